"""Tables with partitions by time: rows are written once across months, and go with their month when it has expired."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sluice.failures import Outage
from sluice.migrate.doctor import schema
from sluice.migrate.doctor.finding import Finding
from sluice.operators.audit import audit_log
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from tests.integration import own_stream
from tests.integration.databases import TestDatabase, in_seconds
from tests.integration.environment import Environment
from tests.integration.messages import event, failures, numbered, token
from tests.integration.partitioned import (
    BY_TIME,
    DECLARATION,
    NAME,
    NOW,
    PLAIN,
    Maintaining,
    as_maintainer,
    call,
    days_ago,
    make_partition,
    milliseconds,
    months,
    partitions,
)

AHEAD, KEPT = timedelta(days=92), timedelta(days=400)
ALL_MONTHS = months(NOW - KEPT, NOW + AHEAD)


@pytest.fixture(params=[BY_TIME, PLAIN], ids=["made with partitions", "empty, and converted"])
def sql(request: pytest.FixtureRequest) -> str:
    made: str = request.param
    return made


@pytest.fixture
def calls(
    sql: str, database: TestDatabase, settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    with own_stream.deployed(NAME, DECLARATION, sql, database, tmp_path, monkeypatch):
        yield


by_time = pytest.mark.parametrize("sql", [BY_TIME], ids=[""])


@pytest.fixture
def maintaining(calls: None, monkeypatch: pytest.MonkeyPatch) -> Maintaining:
    return Maintaining(monkeypatch)


def ledger(database: TestDatabase) -> dict[str, int]:
    """Return what the ledger says of the stream, but for what is nothing."""
    sums = "received written duplicates rejected erased expired removed".split()
    rows = database.sql(f"SELECT {', '.join(f'sum({name})::int' for name in sums)} FROM batch WHERE stream = 'calls'")
    return {name: number for name, number in zip(sums, rows[0], strict=True) if number}


def sealed_days(database: TestDatabase) -> list[str]:
    return [day for (day,) in database.sql("SELECT day::text FROM pii_vault WHERE stream = 'calls' ORDER BY day")]


def test_a_deployment_makes_the_partitions_of_what_is_kept_and_of_three_months(
    calls: None, database: TestDatabase
) -> None:
    assert partitions(database) == ALL_MONTHS
    assert partitions(database, "pii_vault", NAME) == ALL_MONTHS
    key = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'calls'::regclass AND contype = 'p'"
    assert database.value(key) == "PRIMARY KEY (message_id, sent_at)"
    assert database.value("SELECT count(*) FROM pg_index WHERE indrelid = 'calls'::regclass") == 2


def test_rows_and_sealed_values_go_to_the_months_in_which_they_were_sent(
    calls: None, database: TestDatabase, ingest: Environment
) -> None:
    records = [call(numbered(number), days_ago(40 * number)) for number in range(3)]
    assert ingest.invoke(event(*records)) == failures()
    assert ingest.invoke(event(*records)) == failures()  # each is there already
    rows = database.sql("SELECT message_id::text, sent_at, masked_ip FROM calls ORDER BY message_id")
    ip = token("ip", "192.0.2.1")
    assert rows == [
        [numbered(n), days_ago(40 * n).replace(microsecond=NOW.microsecond // 1000 * 1000), ip] for n in range(3)
    ]
    assert database.value("SELECT count(DISTINCT tableoid) FROM calls") == 3
    assert sealed_days(database) == [f"{days_ago(40 * number):%Y-%m-%d}" for number in (2, 1, 0)]
    assert ledger(database) == {"received": 6, "written": 3, "duplicates": 3}


@by_time
def test_a_message_redelivered_in_the_last_second_of_a_month_is_one_row(
    calls: None, database: TestDatabase, environments: Callable[[], Environment]
) -> None:
    begin = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for number, moment in enumerate((begin - timedelta(milliseconds=1), begin)):
        for environment in (environments(), environments()):
            assert (
                environment.invoke(event(call(numbered(number), moment), call(numbered(number), moment))) == failures()
            )
    assert database.sql("SELECT sent_at FROM calls ORDER BY sent_at") == [[begin - timedelta(milliseconds=1)], [begin]]
    assert database.value("SELECT count(DISTINCT tableoid) FROM calls") == 2


@by_time
def test_environments_whose_batches_cross_a_month_do_not_wait_for_each_other_in_a_circle(
    calls: None, database: TestDatabase, environments: Callable[[], Environment]
) -> None:
    before = database.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    both = [environments(), environments()]
    for _ in range(6):
        records = [call(str(uuid4()), days_ago(number % 2 * 40), ip=f"192.0.2.{number}") for number in range(200)]
        with ThreadPoolExecutor(2) as pool:
            answers = pool.map(
                lambda pair: pair[0].invoke(event(*pair[1])), zip(both, (records, records[::-1]), strict=True)
            )
            assert list(answers) == [failures(), failures()]
    assert database.value("SELECT count(*) FROM calls") == 1200
    database.sql("SELECT pg_stat_clear_snapshot()")
    assert database.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == before


@by_time
def test_what_is_older_than_what_is_kept_is_acknowledged_and_counted(
    calls: None, database: TestDatabase, ingest: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    redriven = call(numbered(3))
    attributes = {"sluice_message_id": numbered(3), "sluice_sent_at": str(milliseconds(days_ago(401)))}
    redriven["messageAttributes"] = {
        name: {"dataType": "String", "stringValue": value} for name, value in attributes.items()
    }
    assert ingest.invoke(event(call(numbered(1)), call(numbered(2), days_ago(401)), redriven)) == failures()
    assert database.sql("SELECT message_id::text FROM calls") == [[numbered(1)]]
    assert sealed_days(database) == [f"{NOW:%Y-%m-%d}"]
    assert ledger(database) == {"received": 3, "written": 1, "expired": 2}
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"Expired"' in line]
    assert [line["Expired"] for line in metrics if "_aws" in line] == [[2.0]]


@by_time
def test_an_id_of_a_producers_own_must_bring_its_time(calls: None, database: TestDatabase, ingest: Environment) -> None:
    alone = call(numbered(1))
    alone["messageAttributes"] = {"sluice_message_id": {"dataType": "String", "stringValue": numbered(9)}}
    assert ingest.invoke(event(alone)) == failures(alone)
    assert database.rejections() == {numbered(9): ("no_time", "/sluice_sent_at")}


def test_a_time_in_the_record_that_is_too_old_is_refused_while_its_message_is_new(
    database: TestDatabase, settings: str, ingest: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration = DECLARATION.replace("from typing", "from datetime import datetime\nfrom typing")
    declaration = declaration.replace("IpAddress,", "IpAddress, Timestamp,").replace(
        'partition="month"', 'partition="month", time="called_at"'
    )
    declaration += "    called_at: Annotated[datetime, Timestamp()]\n"
    sql = BY_TIME.replace("batch_id bigint", "called_at timestamptz NOT NULL, batch_id bigint")
    with own_stream.deployed(NAME, declaration, sql, database, tmp_path, monkeypatch):
        old = call(numbered(1), called_at=days_ago(401).isoformat())
        late = call(numbered(2), days_ago(300), called_at=days_ago(401).isoformat())  # it waited for long
        good = call(numbered(3), called_at=days_ago(399).isoformat())
        assert ingest.invoke(event(old, late, good)) == failures(old)
    assert database.rejections() == {numbered(1): ("too_old", "/called_at")}
    assert ledger(database) == {"received": 3, "written": 1, "expired": 1, "rejected": 1}


def test_where_rows_are_kept_for_ever_the_first_partition_takes_whatever_is_older(
    database: TestDatabase, settings: str, ingest: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration = DECLARATION.replace(', keep_for="400 days"', "")
    with own_stream.deployed(NAME, declaration, BY_TIME, database, tmp_path, monkeypatch):
        ahead = months(NOW, NOW + AHEAD)
        assert partitions(database) == [f"–{ahead[0][:10]}", *ahead] == partitions(database, "pii_vault", NAME)
        records = [call(numbered(number), days_ago(days)) for number, days in enumerate((0, 500, 30, 5000))]
        for _ in range(2):  # the second time by a merge
            assert ingest.invoke(event(*records)) == failures()
        Maintaining(monkeypatch).run()
    assert ledger(database) == {"received": 8, "written": 4, "duplicates": 4}
    assert len(sealed_days(database)) == 2  # in each partition a value is sealed once


@by_time
def test_a_partition_that_must_be_there_and_is_not_is_an_outage(
    calls: None, database: TestDatabase, ingest: Environment
) -> None:
    name = database.value("SELECT relation::text FROM partitions_of('calls') WHERE now() BETWEEN lower AND upper")
    database.sql(f"DROP TABLE {name}")
    with pytest.raises(Outage, match="database: SQLSTATE 23514"):
        ingest.invoke(event(call(numbered(1)), call(numbered(2), days_ago(90))))
    assert database.value("SELECT count(*) FROM calls") == 0


@by_time
def test_an_expired_month_goes_with_its_sealed_values_and_nothing_else_does(
    maintaining: Maintaining, database: TestDatabase, ingest: Environment
) -> None:
    make_partition(database, 440)
    clock = "CREATE OR REPLACE FUNCTION maintenance_time() RETURNS timestamptz LANGUAGE sql STABLE AS"
    ip = token("ip", "192.0.2.1")
    for number in range(3):
        values = f"'person', NULL, '{ip}', NULL, now() - interval '440 days', '{numbered(number)}'"
        database.sql(f"INSERT INTO calls (person, callee, masked_ip, batch_id, sent_at, message_id) VALUES ({values})")
    database.sql(
        "INSERT INTO pii_vault (token, domain, key_id, sealed, stream, day) SELECT 't1_' || n, 'ip', gen_random_uuid(),"
        " '', 'calls', current_date - 440 FROM generate_series(1, 2) n"
    )
    assert ingest.invoke(event(call(numbered(9)))) == failures()
    done = maintaining.run()
    assert (done["dropped"], done["rows"], done["values"], done["postponed"]) == (1, 3, 2, {})
    assert partitions(database) == ALL_MONTHS
    assert partitions(database, "pii_vault", NAME) == ALL_MONTHS
    assert database.sql("SELECT message_id::text FROM calls") == [[numbered(9)]]
    assert ledger(database) == {"received": 1, "written": 1, "removed": 3}
    log = database.sql("SELECT actor, action, reason, ticket, counts FROM audit_log")
    assert log == [["maintenance", "expire", "retention", "none", {"rows": 3, "values": 2}]]
    assert maintaining.run() == {"rows": 0, "values": 0, "outdated": 0, "postponed": {}, "overdue_days": {"calls": 0}}
    # A year later.
    database.sql(f"{clock} 'SELECT now() + interval ''366 days'''")
    done = maintaining.run()
    assert (done["dropped"], done["made"]) == (12, 24)
    assert partitions(database) == months(NOW + timedelta(days=366) - KEPT, NOW + timedelta(days=366) + AHEAD)
    assert database.value("SELECT count(*) FROM calls") == 1
    database.sql(f"{clock} 'SELECT now() + interval ''800 days'''")
    assert maintaining.run()["rows"] == 1
    assert sealed_days(database) == []
    assert database.value("SELECT count(*) FROM pii_vault_key") == 0


def run(connection: Connection, statement: str) -> object:
    return connection.run(statement)


@by_time
def test_the_maintain_role_can_drop_nothing_that_has_not_expired(calls: None, database: TestDatabase) -> None:
    name = database.value("SELECT relation::text FROM partitions_of('calls') ORDER BY lower LIMIT 1")
    for statement in (
        f"SELECT drop_partition('calls', '{name}')",
        "SELECT drop_partition('calls', 'user_logins')",
        "SELECT make_vault_partition('elsewhere', '2026-01-01', '2026-02-01')",
        "SELECT begin_conversion('calls', now())",
        "SELECT * FROM calls",
        f"DROP TABLE {name}",
        "SELECT * FROM pii_vault",
        "DELETE FROM batch",
        "DELETE FROM audit_log",
        "SELECT attach_like('calls', 'calls', '', 'x', '2026-01-01', '')",
        "UPDATE partitioning SET keep_for = interval '0'",
    ):
        with pytest.raises(Outage, match=r"SQLSTATE (42501|P0002)"):
            as_maintainer(database, partial(run, statement=statement))


@by_time
@pytest.mark.parametrize("lock", ["SELECT count(*) FROM calls", "LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE"])
def test_no_batch_waits_for_a_drop_that_waits_for_somebody_else(
    lock: str, maintaining: Maintaining, database: TestDatabase, ingest: Environment
) -> None:
    make_partition(database, 440)
    assert ingest.invoke(event(call())) == failures()
    name = database.value("SELECT relation::text FROM partitions_of('calls') ORDER BY lower LIMIT 1")
    with database.second_session() as other, ThreadPoolExecutor(1) as pool:
        other.run("BEGIN")
        other.run(lock.format(name))
        dropping = pool.submit(maintaining.run, None, 28)
        waits = []
        while not dropping.done():
            began = datetime.now(UTC)
            assert ingest.invoke(event(call())) == failures()
            waits.append((datetime.now(UTC) - began).total_seconds())
        other.run("ROLLBACK")
    assert list(dropping.result()["postponed"]) == [NAME]
    assert len(waits) > 20
    assert max(waits) < 1
    assert maintaining.run()["dropped"] == 1


@by_time
def test_retention_that_is_cut_off_is_gone_on_with_and_each_month_goes_whole_or_not_at_all(
    maintaining: Maintaining, database: TestDatabase, ingest: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    make_partition(database, 440)
    make_partition(database, 480)
    for days in (440, 480):
        values = f"'ada', '', now() - interval '{days} days', gen_random_uuid()"
        database.sql(f"INSERT INTO calls (person, masked_ip, sent_at, message_id) VALUES ({values})")
    append = audit_log.append
    logged: list[Any] = []

    def until(*arguments: Any, **options: Any) -> Any:
        logged.append(append(*arguments, **options))
        if len(logged) == 2:
            raise Killed
        return logged[-1]

    with monkeypatch.context() as patch:
        patch.setattr(audit_log, "append", until)
        with pytest.raises(Killed):
            maintaining.run()
    assert ingest.invoke(event(call())) == failures()
    assert database.value("SELECT count(*) FROM calls WHERE sent_at < now() - interval '400 days'") == 1
    assert ledger(database) == {"received": 1, "written": 1, "removed": 1}
    assert maintaining.run()["dropped"] == 1
    assert ledger(database) == {"received": 1, "written": 1, "removed": 2}
    assert partitions(database) == partitions(database, "pii_vault", NAME) == ALL_MONTHS


@by_time
def test_our_own_tables_do_not_grow_for_ever(maintaining: Maintaining, database: TestDatabase) -> None:
    database.sql(
        "INSERT INTO rejection SELECT gen_random_uuid(), 'calls', 'empty', '', '{}', now() - interval '399 days' * n"
        " FROM generate_series(0, 2) n"
    )
    database.sql(
        "INSERT INTO operation SELECT gen_random_uuid(), now() - interval '23 hours' * n FROM generate_series(0, 2) n"
    )
    for stream in ("calls", "user_logins"):  # of the other one rows are kept for ever
        database.sql(
            f"INSERT INTO batch (id, stream, request_id, at) SELECT n, '{stream}', '', now() - interval '1 day' * n"
            " FROM unnest(ARRAY[0, 430, 435]) n"
        )
    keys = "SELECT gen_random_uuid(), '', '', now() - interval '1 day' * n FROM unnest(ARRAY[1, 1.9, 3]) n"
    database.sql(f"INSERT INTO pii_vault_key {keys}")
    assert maintaining.run()["outdated"] == 1 + 1 + 1 + 1
    assert database.value("SELECT count(*) FROM rejection") == 2
    assert database.value("SELECT count(*) FROM batch WHERE stream = 'calls'") == 2
    assert database.value("SELECT count(*) FROM batch WHERE stream = 'user_logins'") == 3
    assert database.value("SELECT count(*) FROM pii_vault_key") == 2


@by_time
def test_the_doctor_tells_what_the_maintenance_has_not_done(maintaining: Maintaining, database: TestDatabase) -> None:
    def examined() -> list[Finding]:
        connection = Database(database.settings("owner"), "sluice-test")
        try:
            return connection.transact(lambda session: list(schema._of_partitions(session)), in_seconds(30))
        finally:
            connection.close()

    assert examined() == []
    make_partition(database, 450)
    (finding,) = examined()
    assert (finding.severity, finding.thing) == ("warns", NAME)
    assert re.fullmatch(r'"calls" waits for its maintenance for \d+ days.', finding.sentence)
    assert maintaining.run()["dropped"] == 1
    assert examined() == []
    today = database.value("SELECT relation::text FROM partitions_of('calls') WHERE now() BETWEEN lower AND upper")
    database.sql(f"DROP TABLE {today}")
    assert [(one.severity, one.sentence) for one in examined()] == [("fails", '"calls" has no partition for today.')]
    assert maintaining.run()["made"] == 1
    assert examined() == []
