"""What lies between the function and PostgreSQL fails: nothing is lost, nothing doubled, and no function times out."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.conftest import Sending
from tests.faults.test_function_killed import middle
from tests.faults.test_postgresql import in_few_seconds
from tools.testing.faults.proxy import Sender
from tools.testing.faults.site import Site


@pytest.fixture
def warm(here: Site, sending: Sending) -> Site:
    """The site with an environment that has written before."""
    sending(10).drain(here.invoke)
    return here


@pytest.mark.parametrize("place", ["during COPY", "answer of COMMIT"])
def test_a_connection_that_is_reset_costs_no_batch(
    place: str, warm: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    queue = sending(junk=True)
    good = sorted(message.identity for message in queue.sent if message.valid)
    at, sender = (
        (good[len(good) // 2].encode(), Sender.CLIENT) if place == "during COPY" else (b"COMMIT\0", Sender.SERVER)
    )
    halt = warm.way.halt_at(at, sender)
    delivery = thread.submit(queue.deliver, warm.invoke, 1000)
    halt.wait()
    halt.cut()
    delivery.result()
    assert queue.failures == []


def test_a_connection_that_is_reset_twice_is_an_outage_that_costs_no_row(
    warm: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    queue = sending()
    first = warm.way.halt_at(middle(queue))
    delivery = thread.submit(queue.deliver, warm.invoke, 1000)
    first.wait()
    second = warm.way.halt_at(b"COMMIT\0", Sender.SERVER)
    first.cut()
    second.wait()
    second.cut()
    delivery.result()
    assert len(queue.failures) == 1 and queue.failures[0].startswith("Failed: Outage: database: connection lost")


@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
def test_a_black_hole_is_an_outage_in_time(is_warm: bool, here: Site, sending: Sending) -> None:
    if is_warm:
        sending(10).drain(here.invoke)
    queue = sending()
    here.way.is_black_hole = True
    queue.deliver(in_few_seconds(here))
    here.way.is_black_hole = False
    assert len(queue.failures) == 1 and queue.failures[0].startswith("Failed: Outage: ")


def test_a_commit_that_is_never_answered_is_an_outage_in_time(
    warm: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    queue = sending()
    halt = warm.way.halt_at(b"COMMIT\0", Sender.SERVER)
    thread.submit(queue.deliver, in_few_seconds(warm)).result()
    halt.cut()
    assert len(queue.failures) == 1 and queue.failures[0].startswith("Failed: Outage: ")


def test_a_latency_of_200_milliseconds_costs_no_batch(here: Site, sending: Sending) -> None:
    here.way.latency_seconds = 0.2
    queue = sending()
    queue.drain(here.invoke, 1000)
    assert queue.failures == []


def test_one_byte_at_a_time_costs_no_batch(here: Site, sending: Sending) -> None:
    here.way.one_byte_at_a_time = True
    queue = sending(50, junk=True)
    queue.drain(here.invoke, 1000)
    assert queue.failures == []
