"""The simulation of an event source mapping: when a backlog is drained, and what was received how often.

One stream's queue, on a clock of its own, without chance. What AWS documents has its page beside it; what is assumed
says so.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil, floor, inf
from typing import NamedTuple

from tools.sluice_cli.authors.capacity.plan import IN_FLIGHT, MESSAGES_OF_A_POLLER, POLLERS

# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: 300 more in a minute while messages remain
POLLER_SECONDS = 60 / 300
# The template's. Its ReportBatchItemFailures lets the pollers go on at full speed when invocations fail:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
VISIBILITY_SECONDS = 660
MAX_RECEIVES = 10  # then the next one makes it a dead letter
TICK_SECONDS = 60  # of the breaker, which probes
SWITCH_SECONDS = 60  # assumed: until a mapping is disabled or enabled
FAILURE_SECONDS = 1.0  # assumed: of an invocation in an outage; if it waits in vain for longer, fewer fail
PATIENCE_SECONDS = 600  # in which a backlog becomes shorter, or never does

type BatchSeconds = Callable[[int], tuple[float, float]]  # of so many records: the function's own, PostgreSQL's


class Outage(NamedTuple):
    """Seconds of the simulation, between which every invocation fails."""

    begin: float
    end: float


NO_OUTAGE = Outage(0, 0)


@dataclass(frozen=True)
class Backlog:
    """What waits in a queue, and how it is read."""

    messages: int
    concurrency: int
    batch_size: int = 1000
    window_seconds: float = 1
    arriving: float = 0  # messages a second, meanwhile
    of_a_poller: float = MESSAGES_OF_A_POLLER  # messages a second that one receives; inf: a batch at once
    outage: Outage = NO_OUTAGE
    has_breaker: bool = True


@dataclass
class Outcome:
    """What became of a backlog."""

    seconds: float | None = None  # None: as many messages come as are stored, or more
    stored: Counter[int] = field(default_factory=Counter)  # messages, by how often each was received
    dead: int = 0
    invocations: int = 0

    @property
    def most_receives(self) -> int:
        """Return how often a stored message was received at most."""
        return max(self.stored, default=0)

    @property
    def received_again(self) -> int:
        """Return how many of the stored messages were received more than once."""
        return self.stored.total() - self.stored[1]


class Group(NamedTuple):
    """Messages that were received equally often."""

    messages: int
    receives: int


class Batch(NamedTuple):
    """What a poller hands over: its messages, and when they come back unless they are deleted."""

    messages: int
    due: float
    groups: Sequence[Group]


def simulate(backlog: Backlog, batch_seconds: BatchSeconds) -> Outcome:
    """Drain the backlog."""
    return _Simulation(backlog, batch_seconds).run()


class _Simulation:
    def __init__(self, backlog: Backlog, batch_seconds: BatchSeconds) -> None:
        self._backlog = backlog
        self._batch_seconds = batch_seconds
        self._outcome = Outcome()
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._queue = deque([Group(backlog.messages, 0)])
        self._waiting = backlog.messages
        self._arrived = 0
        self._in_flight = 0
        self._failed = 0  # of those in flight
        self._is_enabled = True
        self._has_tripped = False
        self._pollers = 0
        self._idle = 0  # of the pollers
        self._database_free = 0.0  # from when on; assumed: it writes a batch at a time, as the benchmark measured it
        self._is_over = False

    def run(self) -> Outcome:
        self._start()
        if self._backlog.arriving:
            self._at(PATIENCE_SECONDS, partial(self._look, self._waiting))
        while self._events and not self._is_over:
            self._now, _, event = heapq.heappop(self._events)
            event()
        return self._outcome

    def _at(self, when: float, event: Callable[[], None]) -> None:
        self._scheduled += 1  # events of the same moment keep their order
        heapq.heappush(self._events, (when, self._scheduled, event))

    def _start(self) -> None:
        """Begin to read, with as many pollers as Lambda begins with."""
        self._is_enabled = True
        while self._pollers < min(POLLERS, self._backlog.concurrency):
            self._pollers += 1
            self._at(self._now, self._poll)
        self._at(self._now + POLLER_SECONDS, self._grow)

    def _grow(self) -> None:
        if not self._is_enabled or self._pollers >= self._backlog.concurrency:
            return
        if self._waiting:
            self._pollers += 1
            self._at(self._now, self._poll)
        self._at(self._now + POLLER_SECONDS, self._grow)

    def _poll(self) -> None:
        """Receive a batch, if there is one and the mapping is enabled; hand it over when it or its window is full."""
        self._arrive()
        if not self._is_enabled:
            self._pollers -= 1
            return
        backlog = self._backlog
        wanted = floor(min(backlog.batch_size, max(10, backlog.of_a_poller * backlog.window_seconds)))
        if backlog.arriving and self._waiting < wanted and not self._failed:
            self._end(self._now)  # what comes is read at once
        count = min(wanted, self._waiting, IN_FLIGHT - self._in_flight)
        if count:
            seconds = count / backlog.of_a_poller if count == wanted else backlog.window_seconds
            self._at(self._now + seconds, partial(self._invoke, self._receive(count)))
        elif backlog.arriving:
            self._at(self._now + 1, self._poll)
        else:
            self._idle += 1  # until messages come back

    def _wake(self, count: int) -> None:
        """Have as many pollers go on as so many messages ask for."""
        awake = min(self._idle, ceil(count / self._backlog.batch_size))
        self._idle -= awake
        for _ in range(awake):
            self._at(self._now, self._poll)

    def _arrive(self) -> None:
        new = floor(self._now * self._backlog.arriving) - self._arrived
        if new:
            self._arrived += new
            self._queue.append(Group(new, 0))
            self._waiting += new

    def _receive(self, count: int) -> Batch:
        self._waiting -= count
        self._in_flight += count
        groups, left = [], count
        while left:
            group = self._queue.popleft()
            taken = min(left, group.messages)
            if taken < group.messages:
                self._queue.appendleft(Group(group.messages - taken, group.receives))
            groups.append(Group(taken, group.receives + 1))
            left -= taken
        return Batch(count, self._now + VISIBILITY_SECONDS, groups)

    def _invoke(self, batch: Batch) -> None:
        self._outcome.invocations += 1
        if self._backlog.outage.begin <= self._now < self._backlog.outage.end:
            self._at(self._now + FAILURE_SECONDS, partial(self._fail, batch))
            return
        own, of_database = self._batch_seconds(batch.messages)
        self._database_free = max(self._now + own, self._database_free) + of_database
        self._at(self._database_free, partial(self._store, batch))

    def _store(self, batch: Batch) -> None:
        for group in batch.groups:
            self._outcome.stored[group.receives] += group.messages
        self._in_flight -= batch.messages
        self._wake(batch.messages if self._waiting else 0)
        self._poll()
        self._end_if_drained()

    def _fail(self, batch: Batch) -> None:
        self._failed += batch.messages
        self._at(batch.due, partial(self._come_back, batch))
        if self._backlog.has_breaker and not self._has_tripped:
            self._has_tripped = True
            self._at(self._now + SWITCH_SECONDS, self._disable)
        self._poll()

    def _come_back(self, batch: Batch) -> None:
        self._failed -= batch.messages
        self._in_flight -= batch.messages
        for group in batch.groups:
            if group.receives >= MAX_RECEIVES:
                self._outcome.dead += group.messages
            else:  # before what was sent later, the worst case: standard queues try to keep the order of sending
                # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues.html
                self._queue.appendleft(group)
                self._waiting += group.messages
        self._wake(batch.messages)
        self._end_if_drained()

    def _disable(self) -> None:
        self._is_enabled = False
        self._pollers, self._idle = self._pollers - self._idle, 0
        self._at(ceil(self._now / TICK_SECONDS) * TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        """Probe: the first one that succeeds enables the mapping again."""
        if self._now < self._backlog.outage.end:
            self._at(self._now + TICK_SECONDS, self._tick)
            return
        self._has_tripped = False
        self._at(self._now + SWITCH_SECONDS, self._start)

    def _look(self, before: float) -> None:
        """End where the backlog does not become shorter, in a time without an outage."""
        self._arrive()
        is_well = self._is_enabled and not self._failed and self._pollers == self._backlog.concurrency
        if is_well and self._waiting >= before:
            self._end(None)
        self._at(self._now + PATIENCE_SECONDS, partial(self._look, self._waiting if is_well else inf))

    def _end_if_drained(self) -> None:
        if not self._waiting and not self._in_flight:
            self._end(self._now)

    def _end(self, seconds: float | None) -> None:
        if not self._is_over:
            self._is_over, self._outcome.seconds = True, seconds
