"""Dead letters are told of, redriven and purged: one row of each at most, nothing lost, and nothing of them told."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sluice import telemetry
from sluice.aws.queues import Queues
from sluice.deadline import Deadline
from sluice.declaration import whose
from sluice.operators.dead_letters import letters, listing, redrive, worker
from sluice.operators.dead_letters.handling import DeadLetters
from sluice.operators.dead_letters.requests import List, Redrive
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from sluice.vault import erasures
from tests.integration.databases import TestDatabase
from tests.integration.environment import Environment
from tests.integration.erasing import audited
from tests.integration.messages import KEYSET, login, numbered, token
from tools.testing.aws.account import FakeAws
from tools.testing.aws.sqs import DEAD, FIFO_DEAD, FIFO_QUEUE, LONG_AGO, QUEUE, FakeSqs

EVENTS = sorted((Path(__file__).parents[2] / "events").glob("dead_letters_*.json"))
CALLER = "arn:aws:sts::000000000000:assumed-role/operations/ann"
WHY = {"reason": "operations", "ticket": "OPS-1"}
URLS = {"queue": QUEUE, "dead_letters": DEAD}
NOTHING = {
    "done": True,
    "dry_run": False,
    **dict.fromkeys(("looked_at", "redriven", "erased", "not_sent", "not_deleted", "newer"), 0),
    "failing": {},
}
NOTHING_PURGED = {
    "done": True,
    "dry_run": False,
    **dict.fromkeys(("looked_at", "purged", "subject_unknown", "not_deleted", "newer"), 0),
    "reasons": {},
}


@dataclass
class Operator:
    """Calls the function's URL."""

    environment: Environment

    def call(self, request: dict[str, Any], remaining_seconds: float = 60) -> tuple[int, dict[str, Any]]:
        """Return status and body."""
        authorizer = {"iam": {"userArn": CALLER}}
        event = {"requestContext": {"authorizer": authorizer}, "body": json.dumps(request), "isBase64Encoded": False}
        response = self.environment.invoke(event, remaining_seconds)
        return response["statusCode"], json.loads(response["body"])

    def done(self, request: dict[str, Any]) -> dict[str, Any]:
        status, answer = self.call({"stream": "user_logins", **request})
        assert status == 200, answer
        return answer

    def list(self, **changes: Any) -> list[dict[str, Any]]:
        letters: list[dict[str, Any]] = self.done({"action": "list", **changes})["letters"]
        return letters

    def redrive(self, **changes: Any) -> dict[str, Any]:
        return without_start(self.done({"action": "redrive", **WHY, **changes}))

    def purge(self, **changes: Any) -> dict[str, Any]:
        return without_start(self.done({"action": "purge", **WHY, **changes}))


def without_start(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "began_at"}


def body(**changes: object) -> str:
    return json.dumps(login(**changes))


BAD = body(app_version="new")


@pytest.fixture
def sqs(fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> FakeSqs:
    sqs = FakeSqs()
    monkeypatch.setattr(fake_aws, "sqs", sqs)
    for module in (listing, redrive, worker):
        monkeypatch.setattr(module, "time", sqs.clock)
    return sqs


@pytest.fixture
def operator(settings: str, sqs: FakeSqs, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    for stream in ("user_logins", "orders"):
        fake_aws.ssm.name_queues("tests", stream, **URLS)
    environment = Environment("dead_letters")
    monkeypatch.setenv("DATABASE_SECRET_ID", "dead_letters")
    environment._app._settings()  # remembers it
    monkeypatch.setenv("DATABASE_SECRET_ID", "ingest")
    yield Operator(environment)
    environment._app._database().close()


@pytest.fixture
def rejected(sqs: FakeSqs, ingest: Environment) -> list[str]:
    """Two logins that are rejected for different reasons, until they are dead letters; return their ids."""
    ids = [sqs.put(BAD, QUEUE, receives=0), sqs.put(body(ip="nowhere"), QUEUE, receives=0)]
    sqs.deliver(ingest.invoke)
    assert sqs.ids() == ids
    return ids


def committed_and_dead(sqs: FakeSqs, ingest: Environment) -> str:
    """A login that is a row already, and a dead letter all the same: the answers were lost ten times."""
    message_id = sqs.put(body(), QUEUE, receives=0)
    sqs.deliver(ingest.invoke)
    return sqs.put(body(), message_id=message_id)


# List


def test_a_letter_is_told_with_its_reason_and_without_its_values(
    sqs: FakeSqs, operator: Operator, rejected: list[str]
) -> None:
    lost = sqs.put(body(), attributes={"sluice_message_id": numbered(7), "sluice_sent_at": str(LONG_AGO - 10_000)})
    age = int(sqs.now - LONG_AGO / 1000)
    letters = operator.list()
    assert all(datetime.fromisoformat(letter.pop("rejected_at")).tzinfo == UTC for letter in letters[:2])
    version, address, unknown = letters
    common = {"sqs_message_id": rejected[0], "receive_count": 11, "age_seconds": age, "bytes": len(BAD)}
    assert version == common | {"id": rejected[0], "reason": "not_a_version", "pointer": "/app_version"}
    common |= {"sqs_message_id": rejected[1], "bytes": len(body(ip="nowhere"))}
    assert address == common | {"id": rejected[1], "reason": "not_an_ip_address", "pointer": "/ip"}
    common |= {"sqs_message_id": lost, "age_seconds": age + 10, "bytes": len(body())}
    assert unknown == common | {"id": numbered(7), "reason": "unknown", "pointer": "", "rejected_at": None}


def test_listing_shows_each_letter_once_and_leaves_it_visible(sqs: FakeSqs, operator: Operator) -> None:
    ids = [sqs.put(body()) for _ in range(25)]
    assert [letter["id"] for letter in operator.list()] == ids
    assert [(message.message_id, message.receives) for message in sqs.visible()] == [(one, 11) for one in ids]


def test_no_more_are_listed_than_asked_for(sqs: FakeSqs, operator: Operator) -> None:
    ids = [sqs.put(body()) for _ in range(25)]
    answer = operator.done({"action": "list", "limit": 12})
    assert ([letter["id"] for letter in answer["letters"]], answer["more"]) == (ids[:12], True)
    assert operator.done({"action": "list", "limit": 26})["more"] is False


# Redrive


def test_what_was_committed_and_is_redriven_is_one_row(
    sqs: FakeSqs, operator: Operator, ingest: Environment, database: TestDatabase
) -> None:
    message_id = committed_and_dead(sqs, ingest)
    (before,) = database.rows()
    assert operator.redrive() == NOTHING | {"looked_at": 1, "redriven": 1}
    assert sqs.ids() == []
    (sent,) = sqs.queues[QUEUE]
    assert sent.message_id != message_id
    sqs.deliver(ingest.invoke)
    assert database.rows() == [before]
    assert audited(database) == [[CALLER, "redrive", "operations", "OPS-1", None, [], redriven(1)]]


def redriven(count: int, **changes: int) -> dict[str, int]:
    return {"redriven": count, "erased": 0, "newer": 0, "failing": 0} | changes


def test_a_row_of_a_redriven_letter_has_the_id_and_the_time_of_the_first_sending(
    sqs: FakeSqs, operator: Operator, ingest: Environment, database: TestDatabase
) -> None:
    message_id = sqs.put(body())
    operator.redrive()
    sqs.deliver(ingest.invoke)
    (row,) = database.rows()
    assert (row["message_id"], row["sent_at"]) == (message_id, "2026-01-31T23:59:59.999+00:00")


def test_after_a_crash_between_sending_and_deleting_another_redrive_makes_no_second_row(
    sqs: FakeSqs, operator: Operator, ingest: Environment, database: TestDatabase
) -> None:
    sqs.put(body())
    sqs.raises["delete_message_batch"] = ["ServiceUnavailable"]
    request = {"action": "redrive", "stream": "user_logins", **WHY}
    assert operator.call(request) == (503, {"error": "outage", "detail": "sqs: ServiceUnavailable"})
    assert (len(sqs.visible()), len(sqs.queues[QUEUE])) == (1, 1)
    assert operator.redrive() == NOTHING | {"looked_at": 1, "redriven": 1}
    assert (len(sqs.queues[DEAD]), len(sqs.queues[QUEUE])) == (0, 2)
    sqs.deliver(ingest.invoke)
    assert len(database.rows()) == 1


def test_after_a_crash_before_sending_nothing_is_lost(sqs: FakeSqs, operator: Operator, database: TestDatabase) -> None:
    message_id = sqs.put(body())
    sqs.raises["send_message_batch"] = ["ServiceUnavailable"]
    assert operator.call({"action": "redrive", "stream": "user_logins", **WHY})[0] == 503
    assert ([one.message_id for one in sqs.visible()], sqs.ids(QUEUE)) == ([message_id], [])
    assert operator.redrive()["redriven"] == 1


def test_a_function_that_is_killed_after_receiving_loses_nothing(
    sqs: FakeSqs, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = sqs.put(body())

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        sqs.raises["change_message_visibility_batch"] = ["dead functions release nothing"]
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sqs, "send_message_batch", kill)
        with pytest.raises(Killed):
            operator.call({"action": "redrive", "stream": "user_logins", **WHY})
    assert sqs.visible() == []
    sqs.clock.now += 120  # the invocation's minute, and one more
    assert [one.message_id for one in sqs.visible()] == [message_id]
    assert operator.redrive()["redriven"] == 1


def test_what_would_still_fail_stays_and_is_told(
    sqs: FakeSqs, operator: Operator, rejected: list[str], database: TestDatabase
) -> None:
    good = sqs.put(body())
    failing = {"not_a_version": 1, "not_an_ip_address": 1}
    assert operator.redrive() == NOTHING | {"looked_at": 3, "redriven": 1, "failing": failing}
    assert [one.message_id for one in sqs.visible()] == rejected
    assert [one["sluice_message_id"] for one in sqs.attributes()] == [good]
    assert audited(database)[0][-1] == redriven(1, failing=2)


def test_a_dry_run_says_what_a_redrive_would_do_and_does_not_do_it(
    sqs: FakeSqs, operator: Operator, rejected: list[str], database: TestDatabase
) -> None:
    good = sqs.put(body())
    told = operator.redrive(dry_run=True)
    assert [one.message_id for one in sqs.visible()] == [*rejected, good]
    assert sqs.ids(QUEUE) == []
    assert told == operator.redrive() | {"dry_run": True}
    assert [row[1] for row in audited(database)] == ["redrive_dry_run", "redrive"]


@pytest.mark.parametrize("by", ["id", "sqs_message_id"])
def test_letters_are_redriven_by_id(by: str, sqs: FakeSqs, operator: Operator) -> None:
    for number in range(3):
        sqs.put(body(), attributes={"sluice_message_id": numbered(number)})
    chosen = operator.list()[1]
    assert operator.redrive(ids=[chosen[by], str(uuid4())]) == NOTHING | {"looked_at": 3, "redriven": 1}
    assert [one["sluice_message_id"] for one in sqs.attributes()] == [numbered(1)]


def test_letters_are_redriven_by_the_reason_that_is_told(
    sqs: FakeSqs, operator: Operator, rejected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs.put(body())
    for message in sqs.queues[DEAD]:
        message.body = body()  # as if the stream took all of them today
    assert operator.redrive(rejected_as="not_a_version") == NOTHING | {"looked_at": 3, "redriven": 1}
    assert operator.redrive(rejected_as="unknown") == NOTHING | {"looked_at": 2, "redriven": 1}
    assert sqs.ids() == rejected[1:]


def test_what_is_of_an_erased_person_is_dropped_and_counted_valid_or_not(
    sqs: FakeSqs, operator: Operator, database: TestDatabase
) -> None:
    ann, bad_ann, bob = (sqs.put(one) for one in (body(user_id="ann"), body(user_id="ann", ip="x"), body()))
    february = int(datetime(2026, 2, 2, tzinfo=UTC).timestamp() * 1000)
    late = sqs.put(body(user_id="ann"), sent=february, attributes={"sluice_sent_at": str(february)})
    erasures.remember(database.owner, token("subject", "ann"), datetime(2026, 2, 1, tzinfo=UTC))
    assert operator.redrive() == NOTHING | {"looked_at": 4, "redriven": 2, "erased": 2}
    assert [one["sluice_message_id"] for one in sqs.attributes()] == [bob, late]
    assert {ann, bad_ann}.isdisjoint(sqs.ids())
    assert audited(database)[0][-1] == redriven(2, erased=2)


def test_under_another_keyset_nothing_is_redriven(
    sqs: FakeSqs, operator: Operator, settings: str, fake_aws: FakeAws
) -> None:
    sqs.put(body())
    fake_aws.secretsmanager.secrets[settings] = json.dumps({"current": 1, "1": "R" * 64})
    status, answer = operator.call({"action": "redrive", "stream": "user_logins", **WHY})
    assert (status, answer["error"]) == (503, "outage")
    assert (len(sqs.visible()), sqs.ids(QUEUE)) == (1, [])


def test_without_the_audit_row_nothing_is_sent_or_deleted(
    sqs: FakeSqs, operator: Operator, database: TestDatabase
) -> None:
    sqs.put(body())
    database.sql("ALTER TABLE audit_log ADD CHECK (actor = '')")
    for request in ({"action": "redrive"}, {"action": "purge", "all": True}):
        assert operator.call({"stream": "user_logins", **WHY, **request})[0] == 503
    assert (len(sqs.visible()), sqs.ids(QUEUE)) == (1, [])


def test_entries_that_sqs_refuses_are_told_and_stay(sqs: FakeSqs, operator: Operator) -> None:
    for number in range(12):
        sqs.put(body(user_id=str(number)))
    refused = {("send", body(user_id="3")), ("delete", body(user_id="5"))}
    sqs.refuses = lambda operation, message: (operation, message.body) in refused
    assert operator.redrive() == NOTHING | {"looked_at": 12, "redriven": 11, "not_sent": 1, "not_deleted": 1}
    assert [json.loads(one.body)["user_id"] for one in sqs.visible()] == ["3", "5"]


def test_no_more_are_sent_in_a_second_than_the_rate_says(sqs: FakeSqs, operator: Operator) -> None:
    for _ in range(30):
        sqs.put(body())
    assert operator.redrive(rate=20)["redriven"] == 30
    assert sqs.clock.pauses == [0.5, 0.5]


def test_a_letter_that_is_refused_once_more_waits_for_the_next_run(
    sqs: FakeSqs, operator: Operator, ingest: Environment, database: TestDatabase
) -> None:
    database.sql("ALTER TABLE user_logins ADD CONSTRAINT no_ann CHECK (user_id <> 'ann')")
    first = sqs.put(body(user_id="ann"))
    answer = operator.done({"action": "redrive", **WHY})
    sqs.deliver(ingest.invoke)  # PostgreSQL refuses what only it can
    assert [letter["reason"] for letter in operator.list()] == ["sqlstate_23514"]
    again = operator.redrive(began_at=answer["began_at"])
    assert again == NOTHING | {"looked_at": 1, "newer": 1}
    sqs.clock.now += 1
    assert operator.redrive()["redriven"] == 1
    assert [one["sluice_message_id"] for one in sqs.attributes()] == [first]


# More letters than one call gets through


@pytest.fixture
def handler(database: TestDatabase, settings: str, sqs: FakeSqs) -> Iterator[DeadLetters]:
    connection = Database(database.settings("dead_letters"), "sluice-dead-letters")
    yield DeadLetters(connection, {"user_logins": Queues(**URLS)}, Keyset.parse(KEYSET))
    connection.close()


def run(handler: DeadLetters, sqs: FakeSqs, seconds: float, **changes: Any) -> dict[str, Any]:
    request = Redrive(stream="user_logins", reason="operations", ticket="OPS-1", **changes)
    return handler.run(CALLER, request, Deadline(sqs.now + seconds, sqs.clock.monotonic))


def test_a_fifo_queue_is_redriven_ten_of_a_group_at_a_time_in_order(
    handler: DeadLetters, sqs: FakeSqs, database: TestDatabase
) -> None:
    ids = [sqs.put(body(), FIFO_DEAD, group="group") for _ in range(25)]
    handler._queues = {"user_logins": Queues(FIFO_QUEUE, FIFO_DEAD)}
    assert without_start(run(handler, sqs, 60)) == NOTHING | {"looked_at": 25, "redriven": 25}
    assert [one["sluice_message_id"] for one in sqs.attributes(FIFO_QUEUE)] == ids
    assert [counts["redriven"] for *_, counts in audited(database)] == [10, 10, 5]


def test_letters_of_a_fifo_queue_that_fail_hold_their_group_back_and_that_is_told(
    handler: DeadLetters, sqs: FakeSqs
) -> None:
    for number in range(25):
        sqs.put(BAD if number < 10 else body(), FIFO_DEAD, group="group")
    handler._queues = {"user_logins": Queues(FIFO_QUEUE, FIFO_DEAD)}
    stuck = NOTHING | {"done": False, "looked_at": 10, "failing": {"not_a_version": 10}}
    assert without_start(run(handler, sqs, 60)) == stuck
    listed = handler.run(CALLER, List(stream="user_logins"), Deadline(sqs.now + 60, sqs.clock.monotonic))
    assert (len(listed["letters"]), listed["more"]) == (10, True)


def test_a_run_of_several_calls_ends_although_some_letters_always_fail(handler: DeadLetters, sqs: FakeSqs) -> None:
    for _ in range(30):
        sqs.put(body())
        sqs.put(BAD)
    calls: list[dict[str, Any]] = []
    while not (calls and calls[-1]["done"]):
        assert len(calls) < 20
        began_at = calls[0]["began_at"] if calls else None
        calls.append(run(handler, sqs, seconds=30, rate=1, began_at=began_at))
        assert {one.body for one in sqs.visible()} >= {BAD}  # none stays hidden
    assert len(calls) > 1
    assert sum(one["redriven"] for one in calls) == 30
    assert calls[-1]["failing"] == {"not_a_version": 30}
    assert sorted(one.body for one in sqs.visible()) == [BAD] * 30


def test_a_call_whose_time_is_over_says_that_it_is_not_done(handler: DeadLetters, sqs: FakeSqs) -> None:
    for _ in range(5):
        sqs.put(body())
    sqs.call_seconds = 4
    cut = run(handler, sqs, seconds=25)  # it has time to receive, not to send
    assert (cut["done"], cut["redriven"], len(sqs.visible())) == (False, 0, 5)


def test_what_must_stay_and_is_more_than_sqs_hides_ends_the_call(
    handler: DeadLetters, sqs: FakeSqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "MOST_HELD", 10)
    for _ in range(30):
        sqs.put(BAD)
    answer = run(handler, sqs, seconds=900)
    assert (answer["done"], answer["looked_at"], answer["redriven"]) == (False, 10, 0)
    assert len(sqs.visible()) == 30


def test_a_page_without_anything_to_do_is_no_row_of_the_audit_log(
    handler: DeadLetters, sqs: FakeSqs, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PAGE_LETTERS", 10)
    for text in [*[BAD] * 30, *[body()] * 10]:
        sqs.put(text)
    assert run(handler, sqs, seconds=900)["redriven"] == 10
    assert [row[-1] for row in audited(database)] == [redriven(0, failing=10), redriven(10)]


# Purge


def test_a_purge_by_subject_takes_only_that_persons_even_where_they_are_no_records(
    sqs: FakeSqs, operator: Operator, database: TestDatabase
) -> None:
    for text in (body(user_id="ann"), body(user_id="ann", ip="x"), '{"user_id": "ann"}'):
        sqs.put(text)
    stay = [sqs.put(text) for text in (body(user_id="anna"), body(device_id="ann"), "ann", '{"user_id": ["ann"]}')]
    told = NOTHING_PURGED | {"looked_at": 7, "purged": 3, "subject_unknown": 2, "reasons": {"unknown": 3}}
    assert operator.purge(subject=" ann", dry_run=True) == told | {"dry_run": True}
    assert len(sqs.visible()) == 7
    assert operator.purge(subject=" ann") == told
    assert [one.message_id for one in sqs.visible()] == stay
    counts = {"purged": 3, "newer": 0, "subject_unknown": 2}
    person = token("subject", "ann")
    assert audited(database) == [
        [CALLER, action, "operations", "OPS-1", person, [person], counts] for action in ("purge_dry_run", "purge")
    ]


def test_a_purge_takes_what_is_selected_and_no_more(sqs: FakeSqs, operator: Operator, rejected: list[str]) -> None:
    lost = sqs.put(body())
    purged = NOTHING_PURGED | {"purged": 1}
    assert operator.purge(rejected_as="not_a_version") == purged | {"looked_at": 3, "reasons": {"not_a_version": 1}}
    assert operator.purge(ids=[lost]) == purged | {"looked_at": 2, "reasons": {"unknown": 1}}
    assert operator.purge(all=True) == purged | {"looked_at": 1, "reasons": {"not_an_ip_address": 1}}
    assert (sqs.ids(), sqs.ids(QUEUE)) == ([], [])


def test_what_was_sent_after_it_was_shown_is_not_purged(sqs: FakeSqs, operator: Operator) -> None:
    sqs.put(body())
    shown = operator.done({"action": "purge", **WHY, "all": True, "dry_run": True})
    new = sqs.put(body(), sent=shown["began_at"])
    told = {"looked_at": 2, "purged": 1, "newer": 1, "reasons": {"unknown": 1}}
    assert operator.purge(all=True, began_at=shown["began_at"]) == NOTHING_PURGED | told
    assert sqs.ids() == [new]


# Requests


@pytest.mark.parametrize(
    ("request_", "detail"),
    [
        ({"action": "list", "stream": "kn4ry"}, "stream: must be one of orders, user_logins"),
        ({"action": "list", "stream": "user_logins", "limit": 1001}, "Expected `int` <= 1000 - at `$.limit`"),
        ({"action": "kn4ry"}, "Invalid value - at `$.action`"),
        ({"action": "redrive", "stream": "user_logins", **WHY, "rate": 1001}, "Expected `int` <= 1000 - at `$.rate`"),
        ({"action": "redrive", "stream": "user_logins", **WHY, "rate": 0}, "Expected `int` >= 1 - at `$.rate`"),
        ({"action": "redrive", "stream": "user_logins", **WHY, "subject": "kn4ry"}, "Object contains unknown field"),
        (
            {"action": "redrive", "stream": "user_logins", "ticket": "OPS-1", "reason": "kn4ry"},
            "Invalid enum value - at `$.reason`",
        ),
        (
            {"action": "purge", "stream": "user_logins", **WHY},
            "all: must be true unless ids, rejected_as or subject says which",
        ),
        (
            {"action": "purge", "stream": "user_logins", **WHY, "all": True, "subject": "kn4ry"},
            "all: must be true unless ids, rejected_as or subject says which",
        ),
        (
            {"action": "purge", "stream": "user_logins", **WHY, "subject": "kn4ry" * 100},
            "subject: is nobody whom this stream could name",
        ),
    ],
)
def test_a_bad_request_is_refused_by_field_and_rule(
    request_: dict[str, Any], detail: str, operator: Operator, sqs: FakeSqs, database: TestDatabase
) -> None:
    assert operator.call(request_) == (400, {"error": "bad_request", "detail": detail})
    assert (sqs.calls, audited(database)) == ([], [])


def test_ids_are_no_free_text(operator: Operator) -> None:
    status, answer = operator.call({"action": "purge", "stream": "user_logins", **WHY, "ids": ["kn4ry"]})
    assert status == 400
    assert "kn4ry" not in str(answer)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.stem)
def test_the_events_are_answered(event: Path, operator: Operator, sqs: FakeSqs) -> None:
    sqs.put(body())
    assert operator.environment.invoke(json.loads(event.read_text()), 60)["statusCode"] == 200


def test_no_value_of_a_letter_is_told_anywhere(
    sqs: FakeSqs,
    operator: Operator,
    database: TestDatabase,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = io.StringIO()
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, telemetry.logger.name)
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", told)
    texts = [body(user_id="kn4ry"), body(user_id="kn4ry", ip="kn4ry"), '{"kn4ry": "kn4ry"}', "kn4ry", '{"user_id": 4}']
    for text in texts:
        sqs.put(text, attributes={"kn4ry": "kn4ry", "sluice_sent_at": "kn4ry"})
        sqs.put(text, attributes={"sluice_message_id": "kn4ry"})
        sqs.put(text)
    answers: list[tuple[int, object]] = []
    for request in (
        {"action": "list", "limit": 1000},
        {"action": "redrive", "dry_run": True, **WHY},
        {"action": "purge", "dry_run": True, "subject": "kn4ry", **WHY},
        {"action": "redrive", **WHY},
        {"action": "purge", "subject": "kn4ry", **WHY},
        {"action": "purge", "subject": "", **WHY},
    ):
        answers.append(operator.call({"stream": "user_logins", **request}))
    for operation in ("receive_message", "delete_message_batch"):
        sqs.put(body(user_id="kn4ry"))
        sqs.raises[operation] = ["InternalError"]
        answers.append(operator.call({"action": "purge", "stream": "user_logins", "all": True, **WHY}))

    def fail(*arguments: object) -> str:
        raise RuntimeError(*arguments)

    monkeypatch.setattr(whose, "of_each", fail)
    answers.append(operator.call({"action": "purge", "stream": "user_logins", "all": True, **WHY}))
    assert [status for status, _ in answers] == [200] * 5 + [400, 503, 503, 500]
    captured = capfd.readouterr()
    everything = told.getvalue() + captured.out + captured.err + caplog.text + str(answers)
    assert "audit head" in everything
    assert "kn4ry" not in everything
    assert "kn4ry" not in str(database.sql("SELECT l::text FROM audit_log l"))
