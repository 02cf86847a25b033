"""An outage while the breaker's own services are throttled, slow or down: the outage stays one, and nothing is lost."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.faults.conftest import Sending
from tools.project import PROJECT
from tools.testing.faults.aws import Fault, Service
from tools.testing.faults.environment import Failed
from tools.testing.faults.site import BREAKER_PARAMETER, INGEST_ROLE, Site

MINUTE = json.loads((PROJECT / "events" / "breaker_schedule.json").read_text())
SECONDS = 60  # as the template gives both functions
OUTAGE = "Failed: Outage: database: SQLSTATE 42501"
SWITCHES = pytest.mark.parametrize("service", [Service.SSM, Service.LAMBDA])

type Tick = Callable[[], Any]


@pytest.fixture
def tick(here: Site) -> Tick:
    """Have the breaker look, as its schedule does every minute; return what it finds, or that it failed."""
    breaker = here.environment("breaker")

    def tick() -> Any:
        try:
            return breaker.invoke(MINUTE, SECONDS)
        except Failed:
            return "failed"

    return tick


@contextmanager
def outage(here: Site) -> Iterator[None]:
    here.sql(f'REVOKE INSERT ON user_logins FROM "{INGEST_ROLE}"')
    try:
        yield
    finally:
        here.sql(f'GRANT INSERT ON user_logins TO "{INGEST_ROLE}"')


def mapping_state(here: Site) -> str:
    (mapping,) = here.account.mappings.mappings.values()
    return mapping["State"]


def state(here: Site) -> tuple[str, str | None]:
    """Return what the mapping is, and what the breaker's record says."""
    record = here.account.ssm.texts.get(BREAKER_PARAMETER)
    return mapping_state(here), json.loads(record)["state"] if record else None


def test_an_outage_stops_the_queue_until_a_tick_after_it(here: Site, sending: Sending, tick: Tick) -> None:
    queue = sending(junk=True)
    with outage(here):
        queue.deliver(here.invoke, 1000)
        assert queue.failures == [OUTAGE]
        assert state(here) == ("Disabled", "open")
        assert tick() == {"user_logins": "open"}
    assert tick() == {"user_logins": "half_open"}
    assert state(here) == ("Enabled", "half_open")


@pytest.mark.parametrize(
    ("service", "fault"),
    [
        (Service.SSM, Fault.THROTTLED),
        pytest.param(Service.SSM, Fault.SLOW, marks=pytest.mark.long),
        (Service.SSM, Fault.DOWN),
        (Service.LAMBDA, Fault.THROTTLED),
        (Service.LAMBDA, Fault.DOWN),
    ],
)
def test_a_breaker_that_cannot_be_opened_leaves_the_outage_as_it_is_and_the_next_one_opens_it(
    service: Service, fault: Fault, here: Site, sending: Sending, tick: Tick
) -> None:
    queue = sending(junk=True)
    with outage(here):
        here.aws.breaks(service, fault)
        queue.deliver(lambda event: here.invoke(event, SECONDS), 1000)
        assert queue.failures == [OUTAGE]
        assert "breaker not opened" in here.log.read_text()
        assert mapping_state(here) == "Enabled"
        here.aws.heals()
        queue.deliver(here.invoke, 1000)
        assert state(here) == ("Disabled", "open")
    assert tick() == {"user_logins": "half_open"}


@pytest.mark.long
@SWITCHES
@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.DOWN])
def test_a_service_that_fails_once_hinders_neither_trip_nor_tick(
    service: Service, fault: Fault, here: Site, sending: Sending, tick: Tick
) -> None:
    queue = sending()
    with outage(here):
        here.aws.breaks(service, fault, calls=1)
        queue.deliver(lambda event: here.invoke(event, SECONDS), 1000)
        assert state(here) == ("Disabled", "open")
    here.aws.breaks(service, fault, calls=1)
    assert tick() == {"user_logins": "half_open"}


@pytest.mark.parametrize(
    ("service", "fault", "found"),
    [
        pytest.param(Service.SSM, Fault.THROTTLED, "failed", marks=pytest.mark.long),
        (Service.SSM, Fault.DOWN, "failed"),
        pytest.param(Service.LAMBDA, Fault.THROTTLED, {"user_logins": None}, marks=pytest.mark.long),
        pytest.param(Service.LAMBDA, Fault.SLOW, {"user_logins": None}, marks=pytest.mark.long),
        (Service.LAMBDA, Fault.DOWN, {"user_logins": None}),
        (Service.SECRETS_MANAGER, Fault.DOWN, {"user_logins": "open"}),
        (Service.KMS, Fault.DOWN, {"user_logins": "open"}),
    ],
)
def test_a_queue_stays_stopped_while_a_tick_cannot_tell_or_change_it(
    service: Service, fault: Fault, found: Any, here: Site, sending: Sending, tick: Tick
) -> None:
    queue = sending()
    with outage(here):
        queue.deliver(here.invoke, 1000)
    here.aws.breaks(service, fault)
    assert tick() == found
    assert state(here) == ("Disabled", "open")
    here.aws.heals()
    assert tick() == {"user_logins": "half_open"}
