"""Several records in a message: each is one row, however often the message comes; what is refused stays a letter."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from sluice.declaration import registry
from sluice.pseudonyms.keyset import Keyset
from sluice.vault import erasures
from tests.integration import own_stream
from tests.integration.databases import TestDatabase
from tests.integration.environment import Environment
from tests.integration.messages import KEYSET, event, failures, numbered, record, token
from tools.testing.aws.account import FakeAws
from tools.testing.aws.sqs import FakeSqs
from tools.testing.invariants import Checker, Finding, Sent

NAME = "visits"
WHY = {"reason": "operations", "ticket": "OPS-1"}
DECLARATION = """
from typing import Annotated
import msgspec
from sluice import FROM_MESSAGE, Integer, Part, Pseudonym, Stream, Text, listed

class Own(Part):
    trace: Annotated[str | None, Text(max=32)] = None

class Message(Part):
    sender: Annotated[str | None, Text(max=32)] = msgspec.field(name="SenderId", default=None)
    attributes: Own

class Visit(
    Stream, table="visits", subject="person", records=listed("batch"), ignore=({"type": "ping"},)
):
    person: Annotated[str, Text(max=32), Pseudonym(domain="subject")]
    page: Annotated[str, Text(max=8)]
    size: Annotated[int, Integer(max=9)] = 0
    message: Annotated[Message, FROM_MESSAGE]
"""
SQL = """
CREATE TABLE visits (
    person varchar(256) NOT NULL, page varchar(64) NOT NULL, size bigint NOT NULL CHECK (size <> 7),
    message_sender varchar(64), message_attributes_trace varchar(64),
    sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY
)
"""
ADA, BOB, CYD = ({"person": person, "page": "/"} for person in ("ada", "bob", "cyd"))
BIG = BOB | {"size": 10}  # refused until the stream takes it


def message(*visits: object) -> dict[str, object]:
    return {"batch": list(visits)}


def identity(message_id: str, index: int) -> str:
    return str(uuid5(UUID(message_id), str(index)))


def row(message_id: str, index: int, visit: dict[str, Any]) -> dict[str, object]:
    sent_at = "2026-01-31T23:59:59.999+00:00"
    of_visit = {"person": token("subject", visit["person"]), "page": visit["page"], "size": visit.get("size", 0)}
    of_visit |= {"message_sender": None, "message_attributes_trace": None}
    return {"message_id": identity(message_id, index), "sent_at": sent_at, **of_visit}


def rows(message_id: str, visits: dict[int, dict[str, Any]]) -> list[dict[str, object]]:
    return sorted((row(message_id, *visit) for visit in visits.items()), key=lambda found: str(found["message_id"]))


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
def test_a_message_that_fails_of_one_record_has_its_others_stored_once(
    environments: Callable[[], Environment], database: TestDatabase
) -> None:
    refused_by_check = CYD | {"size": 7}
    sent = record(message(ADA, BIG, CYD, refused_by_check, {"type": "ping"}), numbered(1))
    good = record(message(BOB), numbered(2))
    for environment in (environments(), environments()):
        assert environment.invoke(event(sent, good)) == failures(sent)
        stored = rows(numbered(1), {0: ADA, 2: CYD}) + rows(numbered(2), {0: BOB})
        assert database.rows(NAME) == sorted(stored, key=lambda found: str(found["message_id"]))
        assert database.rejections() == {
            identity(numbered(1), 1): ("out_of_range", "/batch/1/size"),
            identity(numbered(1), 3): ("sqlstate_23514", "/batch/3"),
        }


@pytest.mark.usefixtures("declared")
def test_the_counts_of_a_batch_are_of_records_and_add_up(ingest: Environment, caplog: pytest.LogCaptureFixture) -> None:
    sent = record(message(ADA, BIG, {"type": "ping"}, CYD | {"size": 7}), numbered(1))
    for expected in (
        {"Received": 4, "Written": 1, "Duplicate": 0, "Rejected": 2, "RejectedAgain": 0, "Ignored": 1},
        {"Received": 4, "Written": 0, "Duplicate": 1, "Rejected": 0, "RejectedAgain": 2, "Ignored": 1},
    ):
        caplog.clear()
        ingest.invoke(event(sent))
        (told,) = (vars(record) for record in caplog.records if record.message == "batch done")
        assert {name: told[name] for name in expected} == expected


@pytest.mark.usefixtures("declared")
def test_two_environments_that_get_one_message_write_each_record_once(
    environments: Callable[[], Environment], database: TestDatabase
) -> None:
    sent = record(message(*(ADA | {"page": f"/{number}"} for number in range(50))), numbered(1))
    with ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(one.invoke, event(sent, sent)) for one in (environments(), environments())]
        assert [answer.result() for answer in answers] == [failures(), failures()]
    assert database.rows(NAME) == rows(numbered(1), {number: ADA | {"page": f"/{number}"} for number in range(50)})


def test_two_records_of_one_identity_in_a_message_are_one_row(
    declared: Callable[[str, str], None],
    environments: Callable[[], Environment],
    database: TestDatabase,
    caplog: pytest.LogCaptureFixture,
) -> None:
    declared('subject="person"', 'subject="person", identity="page"')
    sent = record(message(ADA, BOB, ADA | {"page": "/a"}, BIG), numbered(1))
    assert environments().invoke(event(sent)) == failures(sent)
    (told,) = (vars(record) for record in caplog.records if record.message == "batch done")
    assert [told[name] for name in ("Received", "Written", "Duplicate", "Rejected")] == [4, 2, 1, 1]
    assert {(one["person"], one["page"]) for one in database.rows(NAME)} == {
        (token("subject", "ada"), "/"),
        (token("subject", "ada"), "/a"),
    }


@pytest.mark.usefixtures("declared")
def test_of_several_persons_the_erased_one_is_not_stored(
    ingest: Environment, database: TestDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    erasures.remember(database.owner, token("subject", "ada"), datetime.now(UTC))
    sent = record(message(ADA, BOB, CYD), numbered(1))
    assert ingest.invoke(event(sent)) == failures()
    (told,) = (vars(record) for record in caplog.records if record.message == "batch done")
    assert [told[name] for name in ("Received", "Written", "Erased")] == [3, 2, 1]
    assert database.rows(NAME) == rows(numbered(1), {1: BOB, 2: CYD})


@pytest.mark.usefixtures("declared")
def test_every_valid_record_is_a_row_and_nothing_of_the_others_is_anywhere(
    ingest: Environment, database: TestDatabase
) -> None:
    bodies = [message(ADA, BOB), message(), message({"type": "ping"}, CYD), {"type": "ping"}]
    sent = [Sent(numbered(number), json.dumps(body), valid=True) for number, body in enumerate(bodies, 1)]
    assert ingest.invoke(event(*(one.record() for one in sent))) == failures()
    checker = Checker(database.owner, [Keyset.parse(KEYSET)])
    assert checker.check({registry.load(NAME): sent}, texts={"logs": ""}) == []
    database.sql("DELETE FROM visits WHERE page = '/' AND message_id = :id", id=identity(numbered(1), 1))
    assert checker.check({registry.load(NAME): sent})[0] == Finding("lost row", identity(numbered(1), 1))


def test_after_a_mend_a_redrive_adds_what_was_missing_and_nothing_twice(
    declared: Callable[[str, str], None], sqs: FakeSqs, environments: Callable[[], Environment], database: TestDatabase
) -> None:
    sent_id = sqs.put(json.dumps(message(ADA, BIG, BOB)))
    environments().invoke(event(record(message(ADA, BIG, BOB), sent_id)))
    wrong = {"reason": "out_of_range", "pointer": "/batch/1/size", "id": sent_id}
    (letter,) = call(action="list")["letters"]
    assert {name: letter[name] for name in wrong} == wrong
    assert call(action="redrive", **WHY)["failing"] == {"out_of_range": 1}
    declared("max=9", "max=10")
    by_record = {"ids": [identity(sent_id, 1)], "rejected_as": "out_of_range"}
    assert call(action="redrive", **WHY, **by_record)["redriven"] == 1
    sqs.deliver(environments().invoke)
    found = {one["message_id"]: one["size"] for one in database.rows(NAME)}
    assert found == {identity(sent_id, 0): 0, identity(sent_id, 1): 10, identity(sent_id, 2): 0}


@pytest.mark.usefixtures("declared")
def test_a_letter_is_found_by_each_of_its_reasons_and_each_of_its_persons(sqs: FakeSqs, ingest: Environment) -> None:
    body = message(ADA, BIG, CYD | {"page": ""})
    sent_id = sqs.put(json.dumps(body))
    ingest.invoke(event(record(body, sent_id)))
    for found in ({"rejected_as": "out_of_range"}, {"rejected_as": "empty"}, *({"subject": one} for one in PERSONS)):
        assert call(action="purge", dry_run=True, **WHY, **found)["purged"] == 1, found
    for lost in ({"rejected_as": "missing"}, {"subject": "dan"}, {"ids": [numbered(3)]}):
        assert call(action="purge", dry_run=True, **WHY, **lost)["purged"] == 0, lost


PERSONS = ("ada", "bob", "cyd")


@pytest.mark.usefixtures("declared")
def test_a_redrive_after_an_erasure_stores_the_others(
    sqs: FakeSqs, ingest: Environment, database: TestDatabase
) -> None:
    sent_id, of_ada_alone = sqs.put(json.dumps(message(ADA, BOB))), sqs.put(json.dumps(message(ADA, ADA)))
    erasures.remember(database.owner, token("subject", "ada"), datetime.now(UTC))
    answer = call(action="redrive", **WHY)
    assert (answer["redriven"], answer["erased"]) == (1, 1)
    sqs.deliver(ingest.invoke)
    assert [one["message_id"] for one in database.rows(NAME)] == [identity(sent_id, 1)]
    assert of_ada_alone != sent_id


@pytest.mark.usefixtures("declared")
def test_a_redriven_message_makes_the_rows_that_it_would_have_made(
    sqs: FakeSqs, ingest: Environment, database: TestDatabase
) -> None:
    many = {f"a{number}": "x" for number in range(6)}  # and SQS takes no more than ten
    sqs.put(json.dumps(message(ADA)), attributes=many | {"trace": "t-1"})
    assert call(action="redrive", **WHY)["redriven"] == 1
    sqs.deliver(ingest.invoke)  # as the role of the function, which has another SenderId
    (stored,) = database.rows(NAME)
    assert (stored["message_sender"], stored["message_attributes_trace"]) == ("A", "t-1")
