"""PgBouncer before the database ends, or loses the server, in a batch: nothing is lost, nothing doubled."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from tests.faults.conftest import Sending
from tests.faults.test_function_killed import middle
from tools.testing import pgbouncer
from tools.testing.faults.postgres import FaultyPostgres
from tools.testing.faults.proxy import Sender
from tools.testing.faults.queue import Queue
from tools.testing.faults.site import Site, site

pytestmark = pytest.mark.skipif(not pgbouncer.is_installed(), reason="there is no PgBouncer: make pgbouncer")

_numbers = count(1)


@pytest.fixture
def here(postgres: FaultyPostgres, tmp_path: Path) -> Iterator[Site]:
    if not postgres.runs():
        postgres.start_again()
    with site(postgres, f"pooled_{next(_numbers)}", tmp_path) as here:
        here.lead_through_pooler()
        yield here


@pytest.fixture
def warm(here: Site, sending: Sending) -> Site:
    """The site with an environment that has written before."""
    sending(10).drain(here.invoke)
    return here


PLACES = ["during COPY", "between COPY and COMMIT", "before COMMIT's answer"]


def place_in(queue: Queue, place: str) -> tuple[bytes, Sender]:
    return {
        "during COPY": (middle(queue), Sender.CLIENT),
        "between COPY and COMMIT": (b"COMMIT\0", Sender.CLIENT),
        "before COMMIT's answer": (b"COMMIT\0", Sender.SERVER),
    }[place]


@pytest.mark.parametrize("place", PLACES)
def test_a_pooler_that_is_restarted_in_a_batch_loses_and_doubles_nothing(
    place: str, warm: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    queue = sending()
    halt = warm.way.halt_at(*place_in(queue, place))
    delivery = thread.submit(queue.deliver, warm.invoke, 1000)
    halt.wait()
    warm.pooler.restart()
    halt.cut()  # what is held is lost with the pooler
    delivery.result()
    # Whether it is there again when the function looks for it is a matter of chance.
    assert queue.failures in ([], ["Failed: Outage: database: no connection, InterfaceError"])


@pytest.mark.parametrize("place", PLACES[:2])
def test_a_session_that_is_terminated_behind_the_pooler_costs_no_batch(
    place: str, warm: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    queue = sending()
    halt = warm.way.halt_at(*place_in(queue, place))
    delivery = thread.submit(queue.deliver, warm.invoke, 1000)
    halt.wait()
    warm.disconnect_all()
    halt.go_on()
    delivery.result()
    assert queue.failures == []


def test_a_server_that_is_restarted_behind_the_pooler_costs_no_row(warm: Site, sending: Sending) -> None:
    warm.postgres.restart()
    sending().drain(warm.invoke)


def test_a_pooler_that_is_away_is_an_outage_that_costs_no_row(warm: Site, sending: Sending) -> None:
    queue = sending()
    warm.pooler.stop()
    queue.deliver(warm.invoke, 1000)
    warm.pooler.start()
    assert len(queue.failures) == 1 and queue.failures[0].startswith("Failed: Outage: database: no connection")
