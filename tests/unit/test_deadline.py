"""The deadline: how much of an invocation is left."""

import time
from functools import partial

import pytest

from sluice.deadline import MARGIN_SECONDS, Deadline
from sluice.failures import Outage
from tools.testing.lambda_context import LambdaContext


@pytest.mark.parametrize(("now", "left"), [(0.0, 10.0), (9.5, 0.5), (9.999, pytest.approx(0.001))])
def test_what_is_left_is_told_in_seconds(now: float, left: float) -> None:
    assert Deadline(10.0, lambda: now).seconds_left() == left


@pytest.mark.parametrize("now", [10.0, 11.0])
def test_when_nothing_is_left_it_is_an_outage(now: float) -> None:
    with pytest.raises(Outage) as caught:
        Deadline(10.0, lambda: now).seconds_left()
    assert str(caught.value) == "out of time"


@pytest.mark.parametrize(("seconds", "allowed"), [(0, True), (4.9, True), (5, False), (60, False)])
def test_work_is_allowed_that_takes_less_than_what_is_left(seconds: float, allowed: bool) -> None:
    assert Deadline(10.0, lambda: 5.0).allows(seconds) is allowed


@pytest.mark.parametrize(("seconds", "at"), [(0.5, 5.5), (5, 10.0), (60, 10.0)])
def test_a_part_of_the_work_gets_a_deadline_that_is_no_later(seconds: float, at: float) -> None:
    clock = partial(float, 5)
    assert Deadline(10.0, clock).within(seconds) == Deadline(at, clock)


def test_a_margin_of_the_invocation_is_kept_for_the_answer() -> None:
    earliest = time.monotonic()
    deadline = Deadline.of(LambdaContext(remaining_seconds=60))
    latest = time.monotonic()
    assert earliest <= deadline.at - 60 + MARGIN_SECONDS <= latest


def test_an_invocation_that_has_no_more_than_the_margin_has_no_time() -> None:
    deadline = Deadline.of(LambdaContext(remaining_seconds=MARGIN_SECONDS))
    assert not deadline.allows(0)
