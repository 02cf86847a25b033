"""Rights that are new: the migrations wait for them, for a minute, and for nothing else."""

import json
from collections.abc import Callable
from types import ModuleType

import pytest

from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.migrate import new_rights
from tests.unit.fakes import FakePostgres, load_event
from tests.versions import ANSWER
from tools.testing.aws.account import FakeAws
from tools.testing.aws.service import refusal
from tools.testing.clock import Clock
from tools.testing.lambda_context import LambdaContext

DENIED = "AccessDeniedException"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that starts at 0, for the waiting alone."""
    clock = Clock(0.0)
    monkeypatch.setattr(new_rights, "time", clock)
    return clock


def deny(aws: FakeAws, times: int) -> None:
    """Have Secrets Manager refuse so many calls."""
    left = [DENIED] * times

    def before(operation: str) -> None:
        if left:
            raise refusal(left.pop(), operation)

    aws.secretsmanager.before = before


def test_a_role_that_is_new_gets_its_secrets_a_little_later(
    migrate: ModuleType, postgres: FakePostgres, aws: FakeAws, clock: Clock, output: Callable[[], str]
) -> None:
    deny(aws, times=3)
    assert migrate.lambda_handler({}, LambdaContext(240)) == ANSWER
    assert clock.pauses == [5, 5, 5]
    waits = [json.loads(line) for line in output().splitlines() if "trying again" in line]
    assert [line["why"] for line in waits] == [f"secrets manager: {DENIED}"] * 3


def test_rights_that_are_never_given_are_waited_for_a_minute_long(clock: Clock) -> None:
    def work() -> None:
        raise Outage(new_rights.DENIED)

    with pytest.raises(Outage, match=new_rights.DENIED):
        new_rights.wait_for(work, Deadline(1000.0, clock.monotonic))
    assert (clock.now, set(clock.pauses)) == (55, {5})


@pytest.mark.parametrize(("seconds_left", "pauses"), [(12.0, [5, 5]), (5.0, []), (-1.0, [])])
def test_the_deadline_ends_the_waiting_sooner(seconds_left: float, pauses: list[int], clock: Clock) -> None:
    def work() -> None:
        raise Outage(new_rights.DENIED)

    with pytest.raises(Outage, match=new_rights.DENIED):
        new_rights.wait_for(work, Deadline(seconds_left, clock.monotonic))
    assert clock.pauses == pauses


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "DecryptionFailure", "ThrottlingException"])
def test_what_is_no_denied_access_is_not_waited_for(
    code: str, migrate: ModuleType, postgres: FakePostgres, aws: FakeAws, clock: Clock
) -> None:
    aws.secretsmanager.fails_with = code
    with pytest.raises(Outage, match=f"^secrets manager: {code}$"):
        migrate.lambda_handler({}, LambdaContext(240))
    assert clock.pauses == []


def test_the_other_functions_wait_for_nothing(ingest: ModuleType, aws: FakeAws, clock: Clock) -> None:
    deny(aws, times=1)
    with pytest.raises(Outage, match=f"^secrets manager: {DENIED}$"):
        ingest.lambda_handler(load_event("sqs_single_login"), LambdaContext())
    assert clock.pauses == []
