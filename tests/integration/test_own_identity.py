"""A record with an identity of its own is one row: sent twice, by two producers, or redriven after it was rejected."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid5

import pytest

from sluice.declaration.postmark import NAMESPACE
from tests.integration import own_stream
from tests.integration.databases import TestDatabase
from tests.integration.environment import Environment
from tests.integration.messages import event, failures, record, token
from tools.testing.aws.account import FakeAws
from tools.testing.aws.sqs import QUEUE, FakeSqs

NAME = "pushes"
WHY = {"reason": "operations", "ticket": "OPS-1"}
DECLARATION = """
from datetime import datetime
from typing import Annotated
from sluice import Integer, Part, Pseudonym, Stream, Text, Timestamp

class Commit(Part):
    id: Annotated[str, Text(max=8)]

class Push(Stream, table="pushes", subject="person", identity="commit.id", time="pushed_at"):
    commit: Commit
    pushed_at: Annotated[datetime, Timestamp()]
    person: Annotated[str, Text(max=32), Pseudonym(domain="subject")]
    size: Annotated[int, Integer(max=9)] = 0
"""
SQL = """
CREATE TABLE pushes (
    commit_id varchar(64) NOT NULL, pushed_at timestamptz NOT NULL, person varchar(256) NOT NULL, size bigint NOT NULL,
    sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY
)
"""
PUSH = {"commit": {"id": "abc"}, "pushed_at": "2026-01-31T12:00:00.1239999Z", "person": "ada"}
SENT_AT = "2026-01-31T12:00:00.123+00:00"


def identity(text: str) -> str:
    return str(uuid5(uuid5(NAMESPACE, NAME), text))


ROW = {
    "commit_id": "abc",
    "pushed_at": "2026-01-31T12:00:00.123999+00:00",
    "person": token("subject", "ada"),
    "size": 0,
}
ROW |= {"sent_at": SENT_AT, "message_id": identity("abc")}


@pytest.fixture
def declared(
    database: TestDatabase, settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """The stream, declared and deployed, as the one of the ingest function. Returns the function that changes it."""
    with own_stream.deployed(NAME, DECLARATION, SQL, database, tmp_path, monkeypatch) as change:
        yield change


@pytest.fixture
def sqs(fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> FakeSqs:
    return own_stream.queues_of(NAME, fake_aws, monkeypatch)


def call(**request: object) -> dict[str, Any]:
    return own_stream.call(**{"stream": NAME, **request})


@pytest.mark.usefixtures("declared")
def test_a_record_that_is_sent_twice_and_by_two_producers_is_one_row(
    environments: Callable[[], Environment], database: TestDatabase
) -> None:
    one, other = environments(), environments()
    again = PUSH | {"commit": {"id": " abc "}, "more": "of another producer"}
    assert one.invoke(event(record(PUSH), record(PUSH), record(again))) == failures()
    assert other.invoke(event(record(again), record(PUSH | {"commit": {"id": "abd"}}))) == failures()
    rows = database.rows(NAME)
    assert [row for row in rows if row["commit_id"] == "abc"] == [ROW]
    assert {row["message_id"] for row in rows} == {identity("abc"), identity("abd")}


@pytest.mark.usefixtures("declared")
def test_a_record_that_is_a_row_and_is_redriven_stays_one(
    sqs: FakeSqs, ingest: Environment, database: TestDatabase
) -> None:
    assert ingest.invoke(event(record(PUSH))) == failures()
    for _ in range(2):
        sqs.put(json.dumps(PUSH))
    assert [letter["id"] for letter in call(action="list")["letters"]] == [identity("abc")] * 2
    assert call(action="redrive", **WHY)["redriven"] == 2
    assert {sent["sluice_message_id"] for sent in sqs.attributes()} == {identity("abc")}
    sqs.deliver(ingest.invoke)
    assert database.rows(NAME) == [ROW]


@pytest.mark.parametrize(
    ("bad", "rule", "wider", "reason", "pointer"),
    [
        ({"commit": {"id": "abc" * 9}}, "Text(max=8)", "Text(max=64)", "too_long", "/commit/id"),
        ({"size": 10}, "Integer(max=9)", "Integer(max=99)", "out_of_range", "/size"),
    ],
    ids=["the identity", "another field"],
)
def test_a_letter_is_found_by_its_reason_and_is_one_row_once_its_field_is_declared_wider(
    bad: dict[str, Any],
    rule: str,
    wider: str,
    reason: str,
    pointer: str,
    declared: Callable[[str, str], None],
    sqs: FakeSqs,
    environments: Callable[[], Environment],
    database: TestDatabase,
) -> None:
    body = json.dumps(PUSH | bad)
    for _ in range(2):
        sqs.put(body, QUEUE, receives=0)
    sqs.deliver(environments().invoke)
    assert database.rows(NAME) == []
    declared(rule, wider)
    letters = call(action="list")["letters"]
    made = identity(json.loads(body)["commit"]["id"])
    assert [(letter["id"], letter["reason"], letter["pointer"]) for letter in letters] == [(made, reason, pointer)] * 2
    assert call(action="redrive", rejected_as=reason, **WHY)["redriven"] == 2
    sqs.deliver(environments().invoke)
    assert [(row["message_id"], row["sent_at"]) for row in database.rows(NAME)] == [(made, SENT_AT)]


@pytest.mark.usefixtures("declared")
def test_what_happened_before_a_person_was_erased_is_not_stored_however_late_it_is_sent(
    ingest: Environment, database: TestDatabase
) -> None:
    database.sql(
        "INSERT INTO erasure (subject_token, erased_at) VALUES (:token, '2026-01-31T13:00:00Z')",
        token=token("subject", "ada"),
    )
    later = PUSH | {"commit": {"id": "abd"}, "pushed_at": "2026-01-31T13:00:00Z"}
    assert ingest.invoke(event(record(PUSH), record(later))) == failures()
    assert [row["commit_id"] for row in database.rows(NAME)] == ["abd"]
