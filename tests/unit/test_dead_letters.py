"""A dead letter is hidden while it is handled, is sent before it is deleted, and keeps its id and its time."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid5

import pytest

from sluice import Stream, Text, Timestamp
from sluice.aws import clients
from sluice.aws.queues import Queues
from sluice.deadline import Deadline
from sluice.declaration import whose
from sluice.declaration.envelopes import Postmark
from sluice.declaration.personal import SubjectField
from sluice.declaration.postmark import NAMESPACE
from sluice.failures import Outage
from sluice.operators.dead_letters import letters
from sluice.operators.dead_letters.letters import DeadLetterQueue, Letter, batches
from streams.orders import Order
from streams.user_logins import UserLogin
from tests.unit.fakes import login, numbered
from tools.testing.aws.sqs import DEAD, FIFO_DEAD, FIFO_QUEUE, LONG_AGO, QUEUE, FakeSqs

SENT_AT = "1767258000123"


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> FakeSqs:
    sqs = FakeSqs()
    monkeypatch.setattr(clients, "client", {"sqs": sqs}.__getitem__)
    return sqs


@pytest.fixture
def queue(sqs: FakeSqs) -> DeadLetterQueue:
    return opened(sqs)


@pytest.fixture
def fifo(sqs: FakeSqs) -> DeadLetterQueue:
    return opened(sqs, queues=Queues(FIFO_QUEUE, FIFO_DEAD))


def opened(
    sqs: FakeSqs,
    seconds: float = 900,
    queues: Queues = Queues(QUEUE, DEAD),  # noqa: B008
    postmark_of: Callable[[str], Postmark | None] = lambda body: None,
) -> DeadLetterQueue:
    return DeadLetterQueue(queues, Deadline(sqs.now + seconds, sqs.clock.monotonic), postmark_of)


def one(queue: DeadLetterQueue) -> Letter:
    (letter,) = queue.receive(10)
    return letter


def test_letters_are_hidden_while_they_are_held_and_visible_afterwards(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    ids = [sqs.put(login()) for _ in range(25)]
    with queue:
        assert [letter.message_id for letter in queue.receive(1000)] == ids
        assert sqs.visible() == []
        assert queue.is_exhausted
    assert [message.message_id for message in sqs.visible()] == ids
    assert {message.receives for message in sqs.visible()} == {11}  # each was received once


def test_no_more_are_received_than_asked_for(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    ids = [sqs.put(login()) for _ in range(25)]
    assert [letter.message_id for letter in queue.receive(13)] == ids[:13]
    assert queue.has_more
    assert [letter.message_id for letter in queue.receive(13)] == ids[13:]


def test_a_page_ends_when_its_bodies_are_large(
    sqs: FakeSqs, queue: DeadLetterQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "PAGE_BYTES", 100)
    for _ in range(25):
        sqs.put("x" * 10)
    assert len(queue.receive(1000)) == 10


def test_no_more_is_held_than_sqs_hides(sqs: FakeSqs, queue: DeadLetterQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "MOST_HELD", 20)
    for _ in range(25):
        sqs.put(login())
    assert len(queue.receive(1000)) == 20
    assert not (queue.has_more or queue.is_exhausted)


def test_letters_of_a_function_that_died_come_back_by_themselves(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    sqs.put(login())
    one(queue)
    sqs.clock.now += 959  # the invocation's time and a minute
    assert sqs.visible() == []
    sqs.clock.now += 1
    assert len(sqs.visible()) == 1


def test_a_letter_that_comes_twice_is_one_and_is_deleted_by_its_newest_handle(
    sqs: FakeSqs, queue: DeadLetterQueue
) -> None:
    sqs.put(login())
    letter = one(queue)
    sqs.clock.now += 2000
    late = opened(sqs)
    late._held = queue._held
    assert late.receive(10) == []
    assert late.delete([letter]) == 1
    assert sqs.queues[DEAD] == []


def test_an_old_handle_deletes_nothing(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    sqs.put(login())
    letter = one(queue)
    sqs.clock.now += 2000
    one(opened(sqs))  # somebody else
    assert queue.delete([letter]) == 0
    assert len(sqs.queues[DEAD]) == 1


def test_nothing_is_received_when_the_time_is_over(sqs: FakeSqs) -> None:
    sqs.put(login())
    assert opened(sqs, seconds=20).receive(10) == []
    assert sqs.calls == []


def test_what_cannot_be_released_comes_back_later_and_is_no_failure(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    sqs.put(login())
    sqs.raises["change_message_visibility_batch"] = ["ThrottlingException"]
    with queue:
        one(queue)
    assert sqs.visible() == []


def test_a_letter_keeps_its_id_and_its_time(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    sqs.put("{}", message_id=numbered(1))
    assert queue.send([one(queue)]) != []
    assert sqs.attributes() == [{"sluice_message_id": numbered(1), "sluice_sent_at": str(LONG_AGO)}]


def test_a_letter_that_was_redriven_before_keeps_what_it_had_then(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    had = {"sluice_message_id": numbered(7), "sluice_sent_at": SENT_AT}
    sqs.put("{}", attributes=had)
    letter = one(queue)
    assert (letter.message_id, letter.sent_at) == (numbered(7), datetime(2026, 1, 1, 9, 0, 0, 123000, UTC))
    queue.send([letter])
    assert sqs.attributes() == [had]


def test_a_letter_that_has_one_of_the_two_gets_the_other(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    sqs.put("{}", message_id=numbered(1), attributes={"sluice_sent_at": SENT_AT})
    queue.send([one(queue)])
    assert sqs.attributes() == [{"sluice_message_id": numbered(1), "sluice_sent_at": SENT_AT}]


def test_other_attributes_are_kept_as_they_are(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    others = {
        "trace": {"DataType": "Binary", "BinaryValue": b"\0\xff"},
        "size": {"DataType": "Number", "StringValue": "1"},
    }
    sqs.put("{}", message_id=numbered(1), attributes=others)
    queue.send([one(queue)])
    (sent,) = sqs.queues[QUEUE]
    assert {name: sent.attributes[name] for name in others} == others
    assert len(sent.attributes) == 4


def test_of_more_attributes_than_sqs_takes_the_two_are_not_those_that_go(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    sqs.put("{}", message_id=numbered(1), attributes={f"a{number}": "x" for number in range(10)})
    queue.send([one(queue)])
    assert list(sqs.attributes()[0]) == ["sluice_message_id", "sluice_sent_at", *(f"a{n}" for n in range(8))]


def test_a_letter_keeps_the_trace_of_its_producer_and_nothing_else_that_stands_there(
    sqs: FakeSqs, queue: DeadLetterQueue
) -> None:
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    for header in (trace, f"{trace};kn4ry=1", "kn4ry", ""):
        sqs.put("{}", trace=header)
    queue.send(queue.receive(10))
    assert [message.trace for message in sqs.queues[QUEUE]] == [trace, trace, "", ""]


def test_an_id_that_is_none_is_not_told(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    sqs.put("{}", message_id=numbered(1), attributes={"sluice_message_id": " ", "sluice_sent_at": "kn4ry"})
    letter = one(queue)
    assert letter.message_id == numbered(1)
    assert letter.sent_at.timestamp() * 1000 == LONG_AGO
    assert "kn4ry" not in repr(letter)


def test_of_a_batch_each_entry_counts_alone(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    ids = [sqs.put(str(number)) for number in range(3)]
    letters = queue.receive(10)
    sqs.refuses = lambda operation, message: operation == "send" and message.body == "1"
    assert [letter.message_id for letter in queue.send(letters)] == [ids[0], ids[2]]
    sqs.refuses = lambda operation, message: operation == "delete" and message.body == "2"
    assert queue.delete([letters[0], letters[2]]) == 1
    assert sqs.ids() == ids[1:]


def test_a_letter_that_is_too_large_with_its_attributes_is_not_sent(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    sqs.put("x" * 1_048_576)
    assert queue.send([one(queue)]) == []


@pytest.mark.parametrize("operation", ["receive_message", "send_message_batch", "delete_message_batch"])
def test_a_call_that_fails_is_an_outage_and_all_is_released(operation: str, sqs: FakeSqs) -> None:
    sqs.put(login())
    sqs.raises[operation] = ["AccessDenied"]

    def redrive() -> None:
        with opened(sqs) as queue:
            queue.delete(queue.send(queue.receive(10)))

    with pytest.raises(Outage, match=r"^sqs: AccessDenied$"):
        redrive()
    assert len(sqs.visible()) == 1


def test_nothing_is_asked_of_sqs_for_no_letter(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    assert queue.delete([]) == 0
    with queue:
        pass
    assert sqs.calls == []


def test_a_batch_has_ten_letters_and_a_quarter_of_a_mebibyte_at_most(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    for size in [1] * 11 + [200_000, 62_144, 1, 900_000, 1]:
        sqs.put("x" * size)
    sizes = [[letter.body_bytes for letter in ten] for ten in batches(queue.receive(100))]
    assert sizes == [[1] * 10, [1, 200_000], [62_144, 1], [900_000], [1]]


# Groups and FIFO queues


def test_a_letter_keeps_its_group_where_queues_are_fair(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    sqs.put("1", group="tenant-1")
    sqs.put("2")
    assert len(queue.send(queue.receive(10))) == 2
    assert [message.group for message in sqs.queues[QUEUE]] == ["tenant-1", ""]


def test_a_letter_of_a_fifo_queue_keeps_its_group_and_its_order(sqs: FakeSqs, fifo: DeadLetterQueue) -> None:
    for number in range(8):
        sqs.put(str(number), FIFO_DEAD, group=f"group-{number % 2}")
    assert len(fifo.send(fifo.receive(10))) == 8
    sent = [(message.body, message.group) for message in sqs.queues[FIFO_QUEUE]]
    assert sent == [(str(number), f"group-{number % 2}") for number in range(8)]


def test_equal_letters_of_a_fifo_queue_are_two(sqs: FakeSqs, fifo: DeadLetterQueue) -> None:
    for _ in range(2):
        sqs.put("{}", FIFO_DEAD, group="group")
    fifo.send(fifo.receive(10))
    assert len(sqs.queues[FIFO_QUEUE]) == 2


def test_a_letter_that_was_sent_to_a_fifo_queue_and_not_deleted_is_not_sent_twice(
    sqs: FakeSqs, fifo: DeadLetterQueue
) -> None:
    sqs.put("{}", FIFO_DEAD, group="group")
    with fifo:
        letter = one(fifo)
        fifo.send([letter])
    again = opened(sqs, queues=Queues(FIFO_QUEUE, FIFO_DEAD))
    assert again.delete(again.send(again.receive(10))) == 1
    assert (len(sqs.queues[FIFO_QUEUE]), sqs.queues[FIFO_DEAD]) == (1, [])


def test_of_a_group_the_next_ten_come_once_the_first_are_deleted(sqs: FakeSqs, fifo: DeadLetterQueue) -> None:
    ids = [sqs.put(str(number), FIFO_DEAD, group="group") for number in range(25)]
    pages = []
    while letters := fifo.receive(1000):
        pages.append([letter.message_id for letter in letters])
        assert not fifo.is_exhausted
        fifo.delete(letters)
    assert pages == [ids[:10], ids[10:20], ids[20:]]
    assert (fifo.is_exhausted, fifo.hides_more) == (True, False)


@pytest.mark.parametrize(("letters", "hides_more"), [(9, False), (10, True), (25, True)])
def test_letters_that_stay_may_hide_those_behind_them(
    letters: int, hides_more: bool, sqs: FakeSqs, fifo: DeadLetterQueue
) -> None:
    for number in range(letters):
        sqs.put(str(number), FIFO_DEAD, group="group")
    assert len(fifo.receive(1000)) == min(letters, 10)
    assert fifo.receive(1000) == []
    assert (fifo.is_exhausted, fifo.hides_more) == (True, hides_more)


def test_letters_of_a_queue_that_is_not_fifo_hide_nothing(sqs: FakeSqs, queue: DeadLetterQueue) -> None:
    for number in range(25):
        sqs.put(str(number), group="tenant-1")
    assert len(queue.receive(1000)) == 25
    assert (queue.is_exhausted, queue.hides_more) == (True, False)


# Whose record a letter is


@pytest.mark.parametrize(
    ("body", "person"),
    [
        (login(user_id="ann"), "ann"),
        (login(user_id=" ann\n"), "ann"),
        (login(user_id="ann", ip="no address"), "ann"),
        ('{"user_id": "ann"}', "ann"),
        ('{"user_id": 12}', "12"),
        ('{"user_id": ""}', None),
        ('{"user_id": null}', None),
        ('{"user_id": ["ann"]}', None),
        ("{}", None),
        ("[]", None),
        ("ann", None),
        ("[" * 100_000, None),
        ("\ud800", None),
    ],
)
def test_a_record_says_whose_it_is_even_where_it_is_wrong(body: str, person: str | None) -> None:
    assert whose.of_body(UserLogin, body) == (() if person is None else (person,))


def test_whose_it_is_may_be_told_by_an_inner_object() -> None:
    assert whose.of_body(Order, '{"customer": {"email": "ann@Example.com"}}') == ("ann@example.com",)
    assert whose.of_body(Order, '{"customer": "ann@example.com"}') == ()


def test_a_rule_that_raises_anything_tells_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def canonical(*_: object) -> str:
        raise RuntimeError("kn4ry")

    monkeypatch.setattr(SubjectField, "canonical", canonical)
    assert whose.of_body(UserLogin, login()) == ()


# A stream's own identity and time


class Push(Stream, table="t", identity="id", time="at"):
    id: Annotated[str, Text(max=9)]
    at: Annotated[datetime, Timestamp()]


OWN_ID = str(uuid5(uuid5(NAMESPACE, "test_dead_letters"), "abc"))


@pytest.mark.parametrize(
    "body", ['{"id": "abc", "at": "2026-01-01T09:00:00.1239Z"}', '{"at": 1767258000.1239, "id": " abc"}']
)
def test_a_letter_is_redriven_with_the_identity_and_the_time_in_its_record(sqs: FakeSqs, body: str) -> None:
    queue = opened(sqs, postmark_of=Push.postmark.reader(Push.unwrap))
    sqs.put(body, message_id=numbered(1))
    letter = one(queue)
    assert (letter.message_id, letter.ids) == (OWN_ID, {OWN_ID, numbered(1)})
    queue.send([letter])
    assert sqs.attributes() == [{"sluice_message_id": OWN_ID, "sluice_sent_at": SENT_AT}]


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        ("junk", numbered(1)),
        ('{"id": "", "at": "2026-01-01T09:00:00Z"}', numbered(1)),
        ('{"id": "abc", "at": "9999-12-31T23:59:59Z"}', OWN_ID),
        ('{"id": "abc", "at": 1767258000}', OWN_ID),
    ],
)
def test_of_a_letter_without_a_good_time_the_time_of_sqs_counts(sqs: FakeSqs, body: str, message_id: str) -> None:
    sqs.put(body, message_id=numbered(1))
    letter = one(opened(sqs, postmark_of=Push.postmark.reader(Push.unwrap)))
    is_good = body.endswith("1767258000}")
    assert letter.sent_at.timestamp() * 1000 == (1767258000000 if is_good else LONG_AGO)
    assert letter.message_id == message_id
