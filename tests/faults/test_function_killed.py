"""The function is killed (SIGKILL) at every place that matters: nothing is lost, nothing doubled."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.conftest import Sending
from tools.testing.faults.aws import Service
from tools.testing.faults.environment import Ended
from tools.testing.faults.proxy import Sender
from tools.testing.faults.queue import Queue
from tools.testing.faults.site import Site


def middle(queue: Queue) -> bytes:
    """Return the id of the row in the middle of the COPY of all that was sent."""
    return sorted(message.identity for message in queue.sent)[len(queue.sent) // 2].encode()


@pytest.mark.parametrize("place", ["before BEGIN", "during COPY", "before COMMIT", "after COMMIT"])
@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
def test_a_function_killed_in_its_transaction_loses_and_doubles_nothing(
    place: str, is_warm: bool, here: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    if is_warm:
        sending(10).drain(here.invoke)
    queue = sending()
    at, sender = {
        "before BEGIN": (b"BEGIN", Sender.CLIENT),
        "during COPY": (middle(queue), Sender.CLIENT),
        "before COMMIT": (b"COMMIT\0", Sender.CLIENT),
        "after COMMIT": (b"COMMIT\0", Sender.SERVER),
    }[place]
    halt = here.way.halt_at(at, sender)
    delivery = thread.submit(queue.deliver, here.invoke, 1000)
    halt.wait()
    here.warm.kill()
    delivery.result()
    halt.cut()
    assert queue.failures == [f"{Ended.__name__}: "]
    stored = here.sql("SELECT count(*) FROM user_logins")[0][0] - (10 if is_warm else 0)
    # Cold, the first transaction compares the keyset.
    assert stored == (len(queue.sent) if place == "after COMMIT" and is_warm else 0)


def test_a_function_killed_before_its_response_loses_and_doubles_nothing(
    here: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    queue = sending(junk=True)  # what is rejected is released after COMMIT and before the response
    has_come, go_on = here.aws.hold(Service.SQS)
    delivery = thread.submit(queue.deliver, here.invoke, 1000)
    assert has_come.wait(20)
    here.warm.kill()
    go_on.set()
    delivery.result()
    assert queue.failures == [f"{Ended.__name__}: "]
    assert here.sql("SELECT count(*) FROM user_logins") == [[sum(message.valid for message in queue.sent)]]
