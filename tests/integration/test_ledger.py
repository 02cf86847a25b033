"""The ledger in PostgreSQL: a row for each batch, in its transaction, which leads to the declaration of the rows."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sluice.declaration import description
from sluice.failures import Outage
from sluice.ingest.ledger import Batch
from sluice.ingest.rows import Rejection
from sluice.postgres.database import Database
from streams.orders import Order
from streams.user_logins import UserLogin
from tests.integration.databases import TestDatabase, in_seconds
from tests.integration.environment import Environment, OpenStore
from tests.integration.erasing import Forgetting, forget_function
from tests.integration.messages import event, login, masked_rows, record
from tools.testing.lambda_context import LambdaContext

BY_WHICH_RULES = """
    SELECT t.message_id::text, d.description ->> 'table' FROM user_logins t
    JOIN batch b ON b.id = t.batch_id AND b.stream = 'user_logins'
    JOIN declaration d ON d.fingerprint = b.declaration
"""


@pytest.fixture
def forgetting(settings: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetting]:
    yield from forget_function(monkeypatch)


def batches(database: TestDatabase, stream: str = "user_logins") -> list[dict[str, Any]]:
    """Return what the ledger says of a stream, without what is 0 or nobody knows."""
    rows = database.sql("SELECT to_jsonb(b) FROM batch b WHERE stream = :name ORDER BY id", name=stream)
    unknown = ("id", "stream", "at", "milliseconds", "declaration", "code_version")
    return [{name: value for name, value in row.items() if value and name not in unknown} for (row,) in rows]


def test_an_invocation_is_told_of_and_leads_to_its_declaration(ingest: Environment, database: TestDatabase) -> None:
    sent = [record(), record(login(ip="10.0.0.1")), record("junk")]
    ingest.invoke(event(*sent, sent[0]))
    assert batches(database) == [
        {
            "request_id": LambdaContext().aws_request_id,
            "key_number": 1,
            "received": 4,
            "written": 2,
            "duplicates": 1,
            "rejected": 1,
            "oldest": "2026-01-31T23:59:59.999+00:00",
            "newest": "2026-01-31T23:59:59.999+00:00",
        }
    ]
    made = dict(database.sql(BY_WHICH_RULES))
    assert made == {message["messageId"]: "user_logins" for message in sent[:2]}


def test_what_is_merged_or_comes_again_has_the_batch_that_wrote_it(ingest: Environment, database: TestDatabase) -> None:
    first, second, bad = record(), record(), record("junk")
    ingest.invoke(event(first, bad))
    ingest.invoke(event(first, second, bad))  # a COPY fails of the duplicate, and the rows are merged
    told = [(row["received"], row["written"], row.get("duplicates", 0)) for row in batches(database)]
    assert told == [(2, 1, 0), (3, 1, 1)]
    assert [row.get("rejected_again") for row in batches(database)] == [None, 1]
    ids = dict(database.sql("SELECT message_id::text, batch_id FROM user_logins"))
    in_order = [number for (number,) in database.sql("SELECT id FROM batch ORDER BY id")]
    assert [ids[first["messageId"]], ids[second["messageId"]]] == in_order


def test_what_a_declaration_said_is_kept_and_tells_it_from_any_other(database: TestDatabase) -> None:
    known = {
        one: json.loads(text) for one, text in database.sql("SELECT fingerprint, description::text FROM declaration")
    }
    for stream in (UserLogin, Order):
        assert known[description.fingerprint(stream)] == json.loads(description.text(stream))
    assert len(known) == 2


def test_a_try_that_was_committed_after_all_counts_once(open_store: OpenStore, database: TestDatabase) -> None:
    """The answer to COMMIT is lost, and what is tried again finds all rows there."""
    store, batch, rows = open_store(), Batch("user_logins", "request"), masked_rows([1, 2])
    told = [store.write(rows, [], refuse, in_seconds(60), batch) for _ in range(2)]
    assert [(one.written, one.duplicates) for one in told] == [(2, 0), (0, 2)]
    assert [(row["received"], row["written"]) for row in batches(database)] == [(2, 2)]


def refuse(row: Any, rejected: Any) -> Rejection:
    return Rejection(row.message_id, "user_logins", rejected.reason, rejected.pointer, {})


def test_a_row_that_postgresql_refuses_is_told_of(open_store: OpenStore, database: TestDatabase) -> None:
    database.sql("ALTER TABLE user_logins ADD CHECK (message_id <> '00000000-0000-0000-0000-000000000002')")
    open_store().write(masked_rows([1, 2, 2]), [], refuse, in_seconds(60))
    (told,) = batches(database)
    assert (told["received"], told["written"], told["rejected"]) == (3, 1, 2)


def test_a_batch_that_the_ledger_does_not_take_is_not_stored(open_store: OpenStore, database: TestDatabase) -> None:
    database.sql("ALTER TABLE batch ADD CHECK (false)")
    with pytest.raises(Outage, match="23514"):
        open_store().write(masked_rows([1]), [], refuse, in_seconds(60))
    assert (database.rows(), batches(database)) == ([], [])


def test_records_that_are_all_ignored_are_told_of(open_store: OpenStore, database: TestDatabase) -> None:
    open_store().write([], [], refuse, in_seconds(60), Batch("user_logins", "request", ignored=3))
    assert batches(database) == [{"request_id": "request", "key_number": 1, "received": 3, "ignored": 3}]


def test_a_probe_tries_the_ledger_and_leaves_no_trace(open_store: OpenStore, database: TestDatabase) -> None:
    (row,) = masked_rows([1])
    rejection = Rejection(row.message_id, "user_logins", "empty", "", {})
    open_store().probe([row], rejection, in_seconds(60))
    assert batches(database) == []
    database.sql("ALTER TABLE batch ADD CHECK (false)")
    with pytest.raises(Outage, match="23514"):
        open_store().probe([row], rejection, in_seconds(60))


def test_an_erasure_says_how_many_rows_it_removed(
    ingest: Environment, forgetting: Forgetting, database: TestDatabase
) -> None:
    ingest.invoke(event(record(), record(), record(login(user_id="bob"))))
    forgetting.forget(login()["user_id"], dry_run=True)
    forgetting.forget(login()["user_id"])
    assert [row.get("removed") for row in batches(database)] == [None, 2]
    assert database.value("SELECT sum(written - removed) FROM batch") == database.value(
        "SELECT count(*) FROM user_logins"
    )


def test_ingest_and_forget_can_add_to_it_and_change_nothing(database: TestDatabase, settings: str) -> None:
    for role in ("ingest", "forget"):
        connection = Database(database.settings(role), "sluice-test")
        for statement in ("SELECT FROM batch", "UPDATE batch SET written = 0", "DELETE FROM batch"):
            with pytest.raises(Outage, match="42501"):
                connection.transact(lambda session, sql=statement: session.run(sql), in_seconds(60))  # type: ignore[misc]
        connection.close()
