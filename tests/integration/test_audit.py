"""Who changes the audit log is refused, or noticed: the first row that is not as it was appended is named."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError

from sluice.deadline import Deadline
from sluice.operators.audit import audit_log, chain
from sluice.operators.audit.audit_log import Entry, Head
from sluice.postgres.database import Database
from tests.integration.databases import TestDatabase, in_seconds
from tests.integration.environment import Environment

EVENTS = Path(__file__).parents[2] / "events"
CALLER = "arn:aws:iam::000000000000:user/bob"
REHASH = """
    DO $$ DECLARE r record; before bytea := '\\x'; BEGIN
        FOR r IN SELECT * FROM audit_log ORDER BY id LOOP
            before := audit_hash(
                encode(before, 'hex'), r.id::text, to_char(r.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                r.actor, r.action, r.reason, r.ticket, r.subject_token, r.tokens::text, r.counts::text
            );
            UPDATE audit_log SET hash = before WHERE id = r.id;
            UPDATE audit_log SET previous_hash = before WHERE id = r.id + 1;
        END LOOP;
    END $$
"""

type Audit = Callable[..., tuple[int, Any]]


def entry(**changes: Any) -> Entry:
    """Return an entry with all that may be in one."""
    fields: dict[str, Any] = {
        "actor": "arn:aws:sts::000000000000:assumed-role/privacy-team/Zoë",
        "action": "reveal",
        "reason": "support_request",
        "ticket": "PRIV-1",
        "subject_token": None,
        "tokens": ["t1_a", "t1_b"],
        "counts": {"asked": 2, "found": 1},
    }
    return Entry(**fields | changes)


@pytest.fixture
def append(database: TestDatabase, settings: str, deadline: Deadline) -> Iterator[Callable[[Entry], Head]]:
    """Append to the log, as the reveal role."""
    connection = Database(database.settings("reveal"), "sluice-test")
    yield lambda one: connection.transact(lambda session: audit_log.append(session, one), deadline)
    connection.close()


@pytest.fixture
def heads(append: Callable[[Entry], Head]) -> list[dict[str, Any]]:
    """The log has four rows; return them as the functions' logs would tell of them."""
    entries = [entry(), entry(subject_token="t1_s", tokens=[]), entry(counts={}), entry(action="forget")]
    return [append(one)._asdict() for one in entries]


@pytest.fixture
def audit_function(settings: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Audit]:
    """Call the function: a request in, status and body out."""
    monkeypatch.setenv("DATABASE_SECRET_ID", "audit")
    environment = Environment("audit")

    def call(caller: str = CALLER, **body: object) -> tuple[int, Any]:
        authorizer = {"authorizer": {"iam": {"userArn": caller}}} if caller else {}
        response = environment.invoke({"requestContext": authorizer, "body": json.dumps(body)}, remaining_seconds=60)
        assert response["headers"]["Cache-Control"] == "no-store"
        return response["statusCode"], json.loads(response["body"])

    yield call
    if environment._app._database.cache_info().currsize:
        environment._app._database().close()


def rewrite(database: TestDatabase, sql: str) -> None:
    """Do as the owner what the trigger refuses."""
    database.sql(
        f"ALTER TABLE audit_log DISABLE TRIGGER is_final; {sql}; ALTER TABLE audit_log ENABLE TRIGGER is_final"
    )


def verified(audit_function: Audit, heads: list[dict[str, Any]] | None = None) -> Any:
    status, body = audit_function(action="verify", **({} if heads is None else {"heads": heads}))
    assert status == 200
    return body


@pytest.mark.parametrize("sql", ["UPDATE audit_log SET ticket = ticket", "DELETE FROM audit_log", "TRUNCATE audit_log"])
def test_no_row_is_changed_even_by_the_owner(
    sql: str, database: TestDatabase, heads: list[dict[str, Any]], audit_function: Audit
) -> None:
    with pytest.raises(DatabaseError, match="audit_log: rows are never changed"):
        database.sql(sql)
    assert verified(audit_function, heads)["intact"]


def test_a_log_without_rows_is_intact(audit_function: Audit) -> None:
    assert verified(audit_function) == {"rows": 0, "head": None, "intact": True, "first_broken": None, "rule": ""}


def test_the_hash_of_a_frozen_row_is_what_it_always_was() -> None:
    fields = ["2", "2026-01-31T23:59:59.999000Z", "Zoë", "reveal", "retention", "A-1", None, "{t1_a,t1_b}", '{"a": 1}']
    row = chain.Row(fields, previous_hash="ab" * 32, hash="")
    assert row.computed_hash() == "f21d5e3e6bb1c425be4b9880dfc8df0fc2ed385776f6cd93f3c525233ed52297"


def test_a_log_as_it_was_appended_is_intact(heads: list[dict[str, Any]], audit_function: Audit) -> None:
    intact = {"rows": 4, "head": heads[-1], "intact": True, "first_broken": None, "rule": ""}
    assert verified(audit_function) == verified(audit_function, heads) == verified(audit_function, heads[:2]) == intact


@pytest.mark.parametrize(
    "change",
    [
        "at = at + interval '1 microsecond'",
        "at = at - interval '4052 years' - (extract(year FROM at) * 2 - 4053) * interval '1 year'",
        "at = 'infinity'",
        "actor = 'bob'",
        "action = 'forget'",
        "reason = 'retention'",
        "ticket = 'PRIV-2'",
        "subject_token = ''",
        "tokens = '{\"t1_a,t1_b\"}'",
        "tokens = '{t1_b,t1_a}'",
        "tokens = '{}'",
        "counts = '{\"asked\": 1}'",
        "previous_hash = hash",
        "hash = previous_hash",
    ],
)
def test_a_changed_row_is_named(
    change: str, database: TestDatabase, heads: list[dict[str, Any]], audit_function: Audit
) -> None:
    rewrite(database, f"UPDATE audit_log SET {change} WHERE id = 3")
    told = verified(audit_function)
    assert (told["intact"], told["first_broken"], told["rows"]) == (False, 3, 4)


@pytest.mark.parametrize(
    ("sql", "first_broken"),
    [
        ("DELETE FROM audit_log WHERE id = 1", 1),
        ("DELETE FROM audit_log WHERE id = 2", 2),
        ("DELETE FROM audit_log WHERE id = 2; UPDATE audit_log SET id = id - 1 WHERE id > 2", 2),
    ],
)
def test_a_missing_row_is_named(
    sql: str, first_broken: int, database: TestDatabase, heads: list[dict[str, Any]], audit_function: Audit
) -> None:
    rewrite(database, sql)
    told = verified(audit_function)
    assert (told["intact"], told["first_broken"]) == (False, first_broken)


def test_a_tail_that_was_cut_is_named_by_heads_alone(
    database: TestDatabase, heads: list[dict[str, Any]], audit_function: Audit
) -> None:
    rewrite(database, "DELETE FROM audit_log WHERE id > 2")
    assert verified(audit_function)["intact"]
    assert verified(audit_function, heads[3:]) == {
        "rows": 2,
        "head": heads[1],
        "intact": False,
        "first_broken": 3,
        "rule": "the log ends before a row that was logged",
    }


def test_a_log_without_rows_that_had_some_is_not_intact(
    database: TestDatabase, heads: list[dict[str, Any]], audit_function: Audit
) -> None:
    rewrite(database, "DELETE FROM audit_log")
    assert verified(audit_function, heads)["first_broken"] == 1


def test_a_chain_that_was_computed_anew_is_named_by_heads_alone(
    database: TestDatabase, heads: list[dict[str, Any]], audit_function: Audit
) -> None:
    rewrite(database, f"UPDATE audit_log SET actor = 'bob' WHERE id = 2; {REHASH}")
    assert verified(audit_function)["intact"]
    told = verified(audit_function, heads)
    assert (told["first_broken"], told["rule"]) == (2, "the row's hash is not the one that was logged")
    assert verified(audit_function, heads[3:])["first_broken"] == 4
    assert verified(audit_function, heads[:1])["intact"]


def test_a_function_of_the_database_that_lies_is_not_believed(
    database: TestDatabase, heads: list[dict[str, Any]], audit_function: Audit
) -> None:
    database.sql(
        "CREATE OR REPLACE FUNCTION audit_hash(VARIADIC fields text[]) RETURNS bytea LANGUAGE sql"
        " AS 'SELECT NULL::bytea'"
    )
    rewrite(database, "UPDATE audit_log SET actor = 'bob' WHERE id = 2")
    assert verified(audit_function)["first_broken"] == 2


def test_more_rows_than_are_read_at_once_are_all_verified(
    database: TestDatabase, append: Callable[[Entry], Head], audit_function: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "MOST_ROWS", 3)
    heads = [append(entry())._asdict() for _ in range(13)]
    assert verified(audit_function, heads) == {
        "rows": 13,
        "head": heads[-1],
        "intact": True,
        "first_broken": None,
        "rule": "",
    }
    rewrite(database, "UPDATE audit_log SET actor = 'bob' WHERE id = 12")
    assert verified(audit_function)["first_broken"] == 12


def test_rows_that_are_appended_at_once_are_one_chain(database: TestDatabase, audit_function: Audit) -> None:
    def append_many(number: int) -> None:
        connection = Database(database.settings("forget"), "sluice-test")
        for _ in range(20):
            connection.transact(lambda session: audit_log.append(session, entry(ticket=f"A-{number}")), in_seconds(60))
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append_many, range(4)))
    told = verified(audit_function)
    assert (told["rows"], told["rule"]) == (80, "")


def test_a_row_that_was_rolled_back_leaves_no_gap(
    database: TestDatabase, append: Callable[[Entry], Head], audit_function: Audit
) -> None:
    with database.second_session() as session:
        session.run("BEGIN")
        audit_log.append(session, entry())
        session.run("ROLLBACK")
    assert append(entry()).id == 1
    assert verified(audit_function)["intact"]


def test_rows_are_listed_in_pages(heads: list[dict[str, Any]], audit_function: Audit) -> None:
    status, body = audit_function(action="list", after=1, limit=2)
    assert status == 200
    ats = [row.pop("at") for row in body["rows"]]
    assert ats == sorted(ats) and len(ats) == 2
    common = {"actor": entry().actor, "action": "reveal", "reason": "support_request", "ticket": "PRIV-1"}
    second = {"subject_token": "t1_s", "tokens": [], "counts": {"asked": 2, "found": 1}}
    third: dict[str, Any] = {"subject_token": None, "tokens": ["t1_a", "t1_b"], "counts": {}}
    assert body["rows"] == [
        {"id": 2, **common, **second, "previous_hash": heads[0]["hash"], "hash": heads[1]["hash"]},
        {"id": 3, **common, **third, "previous_hash": heads[1]["hash"], "hash": heads[2]["hash"]},
    ]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"action": "kn4ry"}, "Invalid value - at `$.action`"),
        ({"action": "list", "limit": 1001}, "Expected `int` <= 1000 - at `$.limit`"),
        ({"action": "list", "after": -1}, "Expected `int` >= 0 - at `$.after`"),
        ({"action": "verify", "heads": [{"id": 1, "hash": "kn4ry"}]}, "at `$.heads[0].hash`"),
        ({"action": "verify", "kn4ry": 1}, "Object contains unknown field"),
        ({}, "Object missing required field `action`"),
    ],
)
def test_a_bad_request_is_refused_by_place_and_rule(body: dict[str, Any], detail: str, audit_function: Audit) -> None:
    status, told = audit_function(**body)
    assert (status, told["error"]) == (400, "bad_request")
    assert told["detail"].endswith(detail) and "kn4ry" not in str(told)


@pytest.mark.parametrize("event", sorted(EVENTS.glob("audit_*.json")), ids=lambda event: event.stem)
def test_the_events_are_answered(event: Path, audit_function: Audit) -> None:
    body = json.loads(json.loads(event.read_text())["body"])
    assert audit_function(**body)[0] == 200


def test_a_caller_whom_lambda_did_not_verify_is_refused(audit_function: Audit) -> None:
    assert audit_function(caller="", action="list")[0] == 403
