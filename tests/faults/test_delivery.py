"""SQS delivers at least once: however often, whenever and in whatever company a message comes, it is one row."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.faults.conftest import Sending
from tests.faults.test_postgresql import waits
from tools.testing.faults.proxy import Sender
from tools.testing.faults.queue import Queue
from tools.testing.faults.site import Site, new_id
from tools.testing.invariants import Sent

LARGEST_EVENT = 6 * 2**20  # bytes, as Lambda takes it
ACKNOWLEDGED: dict[str, object] = {"batchItemFailures": []}


def event(queue: Queue) -> dict[str, object]:
    return {"Records": [message.record() for message in queue.sent]}


def test_a_batch_given_to_two_environments_at_once_is_written_once(
    here: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    queue = sending(2000)
    both = [here.environment(), here.environment()]
    answers = [thread.submit(environment.invoke, event(queue)) for environment in both]
    assert [answer.result() for answer in answers] == [ACKNOWLEDGED, ACKNOWLEDGED]
    assert here.sql("SELECT count(*) FROM user_logins") == [[2000]]


def test_a_batch_redelivered_while_the_first_attempt_still_runs_is_written_once(
    here: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    queue = sending()
    first, second = here.environment(), here.environment()
    first.invoke({"Records": []})  # the keyset is compared
    halt = here.way.halt_at(b"COMMIT\0")
    one = thread.submit(first.invoke, event(queue))
    halt.wait()
    other = thread.submit(second.invoke, event(queue))
    waits(here)
    halt.go_on()
    assert [one.result(), other.result()] == [ACKNOWLEDGED, ACKNOWLEDGED]


def test_a_batch_redelivered_while_a_killed_attempt_still_holds_its_rows_is_written_once(
    here: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    queue = sending()
    first, second = here.environment(), here.environment()
    first.invoke({"Records": []})  # the keyset is compared
    halt = here.way.halt_at(b"COMMIT\0")
    one = thread.submit(first.invoke, event(queue))
    halt.wait()
    first.kill()
    other = thread.submit(second.invoke, event(queue))
    waits(here)
    halt.cut()
    assert other.result() == ACKNOWLEDGED
    assert one.exception() is not None


def test_duplicates_inside_a_batch_are_one_row(here: Site, sending: Sending) -> None:
    queue = sending(100, junk=True)
    ids = random.Random(1)
    good, other = [message for message in queue.sent if message.valid][:2]
    queue.send([good, good])  # delivered twice
    attributes = {"sluice_message_id": good.message_id, "sluice_sent_at": str(good.sent_at_milliseconds)}
    queue.send([replace(good, message_id=new_id(ids), attributes=attributes)])  # sent twice
    queue.drain(here.invoke, 1000)
    assert queue.failures == []
    assert here.sql("SELECT count(*) FROM user_logins WHERE message_id = :id", id=good.message_id) == [[1]]
    assert here.sql("SELECT count(*) FROM user_logins WHERE message_id = :id", id=other.message_id) == [[1]]


@pytest.mark.parametrize(("number", "padding"), [(24, 250_000), (5000, 600)], ids=["large messages", "many messages"])
def test_a_batch_of_6_mb_is_written(number: int, padding: int, here: Site, sending: Sending) -> None:
    made = sending(number).sent
    queue = sending(0)
    padded = [json.dumps(json.loads(message.body) | {"undeclared": "x" * padding}) for message in made]
    queue.send([replace(message, body=body) for message, body in zip(made, padded, strict=True)])
    size = len(json.dumps(event(queue)))
    assert 0.8 * LARGEST_EVENT < size <= LARGEST_EVENT
    queue.drain(here.invoke, 10_000)
    assert queue.failures == []


def test_a_message_committed_dead_lettered_and_redriven_is_one_row(
    here: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    queue = sending(100, max_receives=1)
    here.invoke({"Records": []})  # the keyset is compared
    halt = here.way.halt_at(b"COMMIT\0", Sender.SERVER)
    delivery = thread.submit(queue.deliver, here.invoke, 1000)
    halt.wait()
    here.warm.kill()
    delivery.result()
    halt.cut()
    assert [message.message_id for message in queue.dead] == [message.message_id for message in queue.sent]
    ids = random.Random(1)
    queue.redrive(lambda: new_id(ids))
    queue.drain(here.invoke, 1000)
    assert here.sql("SELECT count(*) FROM user_logins") == [[100]]


def test_a_message_sent_with_an_id_and_a_time_of_its_own_has_them(here: Site, sending: Sending) -> None:
    queue = sending(0)
    ids = random.Random(2)
    (made,) = sending(1).sent
    identity = new_id(ids)
    attributes = {"sluice_message_id": identity, "sluice_sent_at": "1700000000123"}
    queue.send([Sent(new_id(ids), made.body, True, made.sent_at_milliseconds, attributes)])
    queue.drain(here.invoke)
    assert here.sql("SELECT create_date::text FROM user_logins WHERE message_id = :id", id=identity) == [["2023-11-14"]]
