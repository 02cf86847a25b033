"""What the console reads of PostgreSQL: sums, the newest rows, refusals, and the points of its charts."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sluice.postgres.credentials import Credentials
from streams.orders import Order
from streams.user_logins import UserLogin
from tests.integration.databases import TestDatabase
from tests.integration.environment import Environment
from tests.integration.messages import event, login, record
from tools.console import charts, ledger, refusals, rows
from tools.console.ledger import Tables
from tools.console.site import Site, Unavailable
from tools.sluice_cli.databases import GivenDatabase
from tools.sluice_cli.operators.deployment import Deployment

NEVER: Any = None  # no call of AWS is made here


@pytest.fixture
def site(database: TestDatabase, ingest: Environment) -> Iterator[Site]:
    """A stack whose tables are read by the tests' owner."""
    server = database.server
    given = GivenDatabase(
        server.host, server.port, server.database, Credentials(server.user, server.password), "sluice-console"
    )
    yield Site(Deployment(NEVER, None, "sluice"), given, None, may_change=False)
    given.close()


def test_the_sums_are_those_of_all_batches_however_often_they_are_read(
    site: Site, ingest: Environment, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, sums = Tables(site), []
    for number in range(3):
        ingest.invoke(event(record(login(user_id=f"{number}")), record("junk")))
        monkeypatch.setattr(ledger, "SETTLED", ledger.SETTLED * 0 if number else ledger.SETTLED)
        sums.append(tables.sums()["user_logins"])
    assert [(one.counts["received"], one.rows, one.adds_up) for one in sums] == [
        (2, 1, True),
        (4, 2, True),
        (6, 3, True),
    ]
    assert sums[-1].age_seconds is not None
    ((settled,),) = database.sql("SELECT count(*) FROM batch WHERE id < :id", id=tables._settled_before)
    assert settled == 3  # the next time they are not read again
    fed = {name: [name] for name in ("user_logins", "orders")}
    assert tables.batches(fed, timedelta(minutes=15)) == {"user_logins": 3, "orders": 0}


def test_the_newest_rows_come_first_and_what_is_in_the_clear_is_hidden(site: Site, ingest: Environment) -> None:
    sent = [replace_sent_at(record(login(user_id=f"person {number}")), number) for number in range(3)]
    ingest.invoke(event(*sent))
    hidden, shown = (rows.newest(site, UserLogin, show_clear) for show_clear in (False, True))
    texts = ["".join(piece.text for piece in row.cells[0].pieces) for row in shown.rows]
    assert texts == ["person 2", "person 1", "person 0"]
    assert [row.cells[0].is_kept for row in hidden.rows] == [True, True, True]
    assert "user_id" in hidden.hidden
    (token,) = {piece.text for row in hidden.rows for piece in row.cells[2].pieces}
    assert token in hidden.repeated


def replace_sent_at(sent: dict[str, Any], seconds: int) -> dict[str, Any]:
    moment = str(int((time.time() + seconds) * 1000))
    return sent | {"attributes": sent["attributes"] | {"SentTimestamp": moment}}


def test_rows_are_found_where_the_end_of_the_table_was_undone(
    site: Site, ingest: Environment, database: TestDatabase
) -> None:
    ingest.invoke(event(record()))
    columns = "user_id, device_type, masked_ip, masked_device_id, app_version, app_version_text, sent_at"
    database.sql(
        f"INSERT INTO user_logins ({columns}, message_id)"
        " SELECT 'gone', device_type, masked_ip, masked_device_id, app_version, app_version_text, sent_at,"
        " gen_random_uuid() FROM user_logins, generate_series(1, 20000)"
    )
    database.sql("DELETE FROM user_logins WHERE user_id = 'gone'")
    assert len(rows.newest(site, UserLogin, False).rows) == 1


def test_a_token_finds_its_rows_and_their_domain(site: Site, ingest: Environment, database: TestDatabase) -> None:
    ingest.invoke(event(record(), record(), record(login(ip="10.0.0.1"))))
    ((token,),) = database.sql("SELECT masked_ip FROM user_logins GROUP BY 1 HAVING count(*) = 2")
    found = rows.of_token(site, UserLogin, token, show_clear=False)
    assert (len(found.rows), found.domains, rows.of_token(site, Order, token, False).rows) == (2, ["ip"], [])
    assert rows.sealed_as(site, token) == "ip"
    assert rows.sealed_as(site, token[:-1] + "A") is None


def test_a_table_that_is_not_there_is_told(site: Site, database: TestDatabase) -> None:
    database.sql("DROP TABLE orders")
    with pytest.raises(Unavailable, match="The table orders is not there"):
        rows.newest(site, Order, False)


def test_refusals_are_told_by_reason_and_field(site: Site, ingest: Environment) -> None:
    ingest.invoke(event(record("junk"), record(login(ip="no address")), record(login(ip="none either"))))
    found = [(one.stream, one.reason, one.pointer, one.count) for one in refusals.groups(site)]
    assert found == [("user_logins", "not_an_ip_address", "/ip", 2), ("user_logins", "not_json", "", 1)]
    newest = refusals.newest(site, "user_logins", "not_an_ip_address", "/ip")
    assert [dict(one.fields)["/ip"] for one in newest] == ["string", "string"]


def test_the_points_of_the_charts_are_the_ledgers(site: Site, ingest: Environment, database: TestDatabase) -> None:
    database.sql("ALTER TABLE user_logins ADD CHECK (device_type <> 'toaster')")
    ingest.invoke(event(record(), record("junk"), record(login(device_type="toaster"))))
    for table in ("batch", "rejection"):
        database.sql(f"UPDATE {table} SET at = date_trunc('minute', at) - interval '0.3 seconds'")
    found = charts.points(site, ["user_logins"], charts.WINDOWS["15m"])
    (at,) = [at for at, rows in zip(found["times"], found["rows"], strict=True) if rows]
    assert at % 60 == 50  # in the ten seconds that end with the minute
    assert len(found["times"]) == len(found["rows"]) == len(found["age"]) == 91
    assert sum(found["rows"]) * 10 == pytest.approx(1)
    reasons = {"not_json": 1, "sqlstate_23514 (check_violation)": 1}
    assert {reason: sum(counts) for reason, counts in found["reasons"].items()} == reasons
    assert sum(one is not None for one in found["milliseconds"]) == 1
    assert charts.points(site, ["orders"], charts.WINDOWS["7d"])["reasons"] == {}


def test_a_database_that_is_not_there_is_told_without_its_password(site: Site) -> None:
    given = site.database
    assert isinstance(given, GivenDatabase)
    elsewhere = GivenDatabase("127.0.0.1", 1, "nothing", Credentials("reader", "kn4ry"), "sluice-console")
    with pytest.raises(Unavailable) as error:
        rows.newest(replace(site, database=elsewhere), UserLogin, False)
    assert str(error.value) == "The database does not answer: database: no connection, ConnectionRefusedError."
