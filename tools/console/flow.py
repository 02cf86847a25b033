"""The flow: for each queue what waits, what ingest made of it, what is in the table, and what left the way."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Address

from sluice.aws import event_source, parameters
from sluice.aws.queues import Queues, of_stack
from sluice.breaker.record import Record, decode
from sluice.breaker.record import path as breaker_path
from sluice.declaration import description, registry
from sluice.failures import DeclarationError
from tools.console import ledger, metrics, pages
from tools.console.actions import KINDS
from tools.console.ledger import Sum
from tools.console.live import Live
from tools.console.metrics import CloudWatch, Figures
from tools.console.site import Site, Unavailable
from tools.sluice_cli.operators import breaker, causes
from tools.sluice_cli.operators import ledger as of_operators
from tools.sluice_cli.operators.breaker import STATES, UNREADABLE, Source, Switchboard
from tools.sluice_cli.operators.causes import Cause

LOOK_SECONDS = 1.0  # on this machine
LOOK_SECONDS_OF_AWS = 10.0  # where each call is paid for
FIRST_PICTURE_SECONDS = 0.5  # a page waits no longer for what AWS and the database say
SOURCES_SECONDS = 60  # streams come and go with a deployment


@dataclass(frozen=True)
class Depth:
    """How many messages are in a queue, by SQS's own approximate numbers."""

    waiting: int
    in_flight: int

    @property
    def total(self) -> int:
        return self.waiting + self.in_flight


@dataclass(frozen=True)
class Lane:
    """A queue's way through the stack, at one moment."""

    stream: str
    about: str
    queue: Depth
    dead_letters: Depth
    mapping_state: str
    record: Record | None  # of its breaker, where that is not closed
    paused_at: str
    cause: Cause | None
    sums: Mapping[str, Sum]  # of each stream that the queue feeds
    figures: Figures

    @property
    def sum(self) -> Sum:
        return Sum.of(self.sums.values())

    @property
    def oldest_seconds(self) -> float | None:
        """How long the oldest message had waited in the last minutes."""
        return self.sum.age_seconds if self.figures.oldest_seconds is None else self.figures.oldest_seconds

    @property
    def is_read(self) -> bool:
        return self.mapping_state in event_source.ON

    @property
    def is_stopped_by_hand(self) -> bool:
        return bool(self.paused_at) or (not self.is_read and self.record is None)

    @property
    def is_half_open(self) -> bool:
        return self.record is not None and self.record.state == "half_open"

    @property
    def state(self) -> tuple[str, str]:
        """How it goes, in words and as a class of the page."""
        if self.paused_at:
            return "paused", "warn"
        if self.record:
            name = f"breaker {STATES[self.record.state]}"
            return (f"flowing again, {name}", "good") if self.is_half_open and self.is_read else (name, "bad")
        return ("flowing", "good") if self.is_read else (f"not read: {self.mapping_state}", "bad")


@dataclass(frozen=True)
class Seen:
    """The stack at one moment."""

    lanes: Sequence[Lane]
    ledger_source: str
    metrics_source: str = ""
    problems: Sequence[str] = ()


class Flow:
    """Looks at a stack."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._sources: Sequence[Source] = ()
        self._sources_at = float("-inf")
        self._queues: dict[str, str] = {}
        self._ledger: ledger.Tables | ledger.Function | None = None
        self._sums: Mapping[str, Sum] = {}  # as they were last seen
        self._cloudwatch = None if site.is_emulated else CloudWatch(site, self.sources)

    @cached_property
    def board(self) -> Switchboard:
        """The streams of the stack, as AWS knows them: made with the first look, for all that follow."""
        return Switchboard(self._site.deployment)

    @property
    def seconds(self) -> float:
        return LOOK_SECONDS if self._site.is_embedded else LOOK_SECONDS_OF_AWS

    def begin_anew(self) -> None:
        """Forget what was summed up, since all was thrown away."""
        self._ledger, self._sums = None, {}

    def queues(self) -> Mapping[str, Queues]:
        """Return the queues of every stream. Raises Outage; may raise `clients.errors()`."""
        return of_stack(self._site.client("ssm"), self._site.name)

    def look(self) -> Seen:
        """Return how it goes. What cannot be had is told as a problem."""
        problems: list[str] = []
        try:
            sources = self._site.aws(self.sources)
            below = self._site.aws(
                lambda: parameters.read_below(self._site.client("ssm"), breaker_path(self._site.name))
            )
        except Unavailable as error:
            return Seen((), "", problems=[str(error)])
        if self._ledger is None:
            self._ledger = (
                ledger.Tables(self._site) if self._site.database else ledger.Function(self._site, self._all_fed)
            )
        known = self._ledger  # it may be forgotten meanwhile
        try:
            self._sums = known.sums()
        except Unavailable as error:
            problems.append(f"{error} Records, rows and batches are as they were last seen.")
        figures, metrics_source = self._figures(sources, known, problems)
        lanes = []
        for source in sources:
            try:
                lanes.append(self._site.aws(lambda source=source: self._lane(source, below, figures)))  # type: ignore[misc]
            except Unavailable as error:
                problems.append(f"{source.stream}: {error}")
        return Seen(lanes, known.source, metrics_source, problems)

    def _figures(
        self, sources: Sequence[Source], known: ledger.Tables | ledger.Function, problems: list[str]
    ) -> tuple[Mapping[str, Figures], str]:
        """Return how functions and queues did, and who says so. Add to the problems what keeps it from being known."""
        if self._cloudwatch is not None:
            try:
                return self._cloudwatch.figures(), self._cloudwatch.source
            except Unavailable as error:
                problems.append(f"CloudWatch cannot be read. {error} Errors are the outages in the logs.")
        try:
            return metrics.counted(self._site, {source.stream: fed(source.stream) for source in sources}, known)
        except Unavailable as error:
            problems.append(f"The logs cannot be read. {error}")
            return {}, ""

    def sources(self) -> Sequence[Source]:
        """Return the source of every stream. May raise `clients.errors()`."""
        if time.monotonic() - self._sources_at > SOURCES_SECONDS:
            self._sources, self._sources_at = self.board.sources(), time.monotonic()
        return self._sources

    def names(self) -> list[str]:
        """Return the name of every stream, at least one. Raises Unavailable."""
        names = [source.stream for source in self._site.aws(self.sources)]
        if not names:
            raise Unavailable("No stream is to be seen. Does the stack run?")
        return names

    def _all_fed(self) -> list[str]:
        """Return the names of all streams that a queue feeds. May raise `clients.errors()`."""
        return [name for source in self.sources() for name in fed(source.stream)]

    def _lane(self, source: Source, below: Mapping[str, str], figures: Mapping[str, Figures]) -> Lane:
        state = event_source.state(self._site.client("lambda"), source.mapping) or "gone"
        text, paused = below.get(f"breaker/{source.stream}"), below.get(f"pause/{source.stream}")
        record = decode(text)
        why = record.why if record else UNREADABLE if text is not None else ""
        cause = causes.of_stop(source.stream, paused is not None, why, state in event_source.OFF, source.failure)
        attributes = self._attributes(source.queue_arn)
        redrive = json.loads(attributes.get("RedrivePolicy", "{}")).get("deadLetterTargetArn")
        return Lane(
            stream=source.stream,
            about=about(source.stream),
            queue=_depth(attributes),
            dead_letters=_depth(self._attributes(redrive) if redrive else {}),
            mapping_state=state,
            record=record,
            paused_at="" if paused is None else breaker.paused_at(paused),
            cause=cause,
            sums={name: self._sums.get(name, ledger.EMPTY) for name in fed(source.stream)},
            figures=figures.get(source.stream, metrics.UNKNOWN),
        )

    def _attributes(self, queue_arn: str) -> Mapping[str, str]:
        sqs = self._site.client("sqs")
        if queue_arn not in self._queues:
            *_, account, name = queue_arn.split(":")
            self._queues[queue_arn] = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        found: Mapping[str, str] = sqs.get_queue_attributes(QueueUrl=self._queues[queue_arn], AttributeNames=["All"])[
            "Attributes"
        ]
        return found


def fed(stream: str) -> Sequence[str]:
    """Return the streams whose records come by a queue, and the route itself."""
    try:
        return [*of_operators.fed(stream)]
    except DeclarationError:
        return [stream]


def about(stream: str) -> str:
    """Return what its declaration says a stream is about."""
    try:
        return description.about(registry.load_queued(stream))
    except DeclarationError:
        return "This checkout does not declare it: is it of another release than the stack?"


def wait_words(record: Record) -> str:
    """Return when the next probe of an open breaker is: the breaker looks every minute."""
    left = (record.probe_at - datetime.now(UTC)).total_seconds()
    return f"in {left / 60:.0f} minutes" if left > 90 else "within a minute"


def _depth(attributes: Mapping[str, str]) -> Depth:
    return Depth(
        int(attributes.get("ApproximateNumberOfMessages", 0)),
        int(attributes.get("ApproximateNumberOfMessagesNotVisible", 0)),
    )


def _context(request: Request, seen: Seen | None) -> dict[str, Any]:
    """Return what the part of the page that changes is made of."""
    jobs = request.app.state.jobs.all()
    return {"seen": seen, "jobs": jobs, "wait_words": wait_words, "site": request.app.state.site}


async def _page(request: Request) -> Response:
    live = request.app.state.live
    seen = None
    with suppress(TimeoutError):  # then the page comes without figures, which follow
        seen = await asyncio.wait_for(asyncio.shield(live.now()), FIRST_PICTURE_SECONDS)
    return pages.page(request, "flow.html", **_context(request, seen) | {"streams": registry.names(), "kinds": KINDS})


async def _live(request: Request) -> Response:
    def shown(seen: Seen) -> str:
        return pages.render("flow_lanes.html", **_context(request, seen))

    live: Live[Seen] = request.app.state.live
    return live.stream(shown)


def routes() -> list[Address]:
    """Return the addresses of this view."""
    return [Address("/", _page), Address("/flow/live", _live)]
