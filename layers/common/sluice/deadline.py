"""The time that an invocation has left, less what it needs to answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, Self

from sluice.failures import Outage

MARGIN_SECONDS = 2.0  # to roll back, log and answer Lambda


class RemainingTime(Protocol):
    """The part of Lambda's context object that knows when the invocation is ended."""

    def get_remaining_time_in_millis(self) -> int: ...


@dataclass(frozen=True)
class Deadline:
    """A moment after which no new work starts."""

    at: float  # seconds on `clock`
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, context: RemainingTime, margin_seconds: float = MARGIN_SECONDS) -> Self:
        """Return the deadline of this invocation: the margin before Lambda ends it."""
        return cls(time.monotonic() + context.get_remaining_time_in_millis() / 1000 - margin_seconds)

    def within(self, seconds: float) -> Self:
        """Return the deadline that is so many seconds from now, or this one if it is earlier."""
        return replace(self, at=min(self.at, self.clock() + seconds))

    def allows(self, seconds: float) -> bool:
        """Tell whether more than so many seconds are left."""
        return self.at - self.clock() > seconds

    def seconds_left(self) -> float:
        """Return how many seconds are left, more than 0. Raises Outage when nothing is."""
        left = self.at - self.clock()
        if left <= 0:
            raise Outage("out of time")
        return left
