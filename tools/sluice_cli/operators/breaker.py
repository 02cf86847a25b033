"""`sluice status`, `pause` and `resume`: whether a stream's queue is read, and if not, why; a person's own switch.

The commands call AWS with the caller's own rights: there is no function in between that could be down too.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from sluice.aws import clients, event_source, parameters
from sluice.breaker.record import Pause, Record, decode, encode, parameter
from tools.sluice_cli import terminal
from tools.sluice_cli.operators import causes, deployment, glance
from tools.sluice_cli.operators.deployment import Deployment, StackOption
from tools.sluice_cli.operators.glance import Streams
from tools.sluice_cli.sqlstates import named
from tools.sluice_cli.terminal import USAGE, fail

CHANGE_SECONDS = 90  # as long as Lambda takes to enable or disable
UNREADABLE = "the record could not be read"
STATES = {"closed": "closed", "open": "open", "half_open": "half-open"}  # of a breaker, as a person reads them
COLOURS = {"open": "red", "half_open": "green"}  # records flow while it is half-open

StreamArgument = Annotated[str, typer.Argument(metavar="STREAM", help="Its module's name, such as user_logins.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For scripts.")]


class StillChanging(Exception):
    """Lambda takes no change of a mapping while it makes another one."""


@dataclass(frozen=True)
class Source:
    """The event source mapping that hands the messages of a queue to the function that ingests a stream."""

    stream: str
    mapping: str  # UUID
    state: str
    function: str  # ARN
    queue_arn: str
    failure: str  # why Lambda cannot run the function; empty: it can


class Switchboard:
    """The streams of a deployed stack, as AWS knows them."""

    def __init__(self, found: Deployment) -> None:
        self.deployment = found
        self.stack = found.stack
        self.ssm, self.functions, self._sqs = map(found.client, ("ssm", "lambda", "sqs"))

    def sources(self) -> list[Source]:
        """Return the source of every stream, sorted by stream."""
        cloudformation = self.deployment.client("cloudformation")
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.stack)
        found = [
            self._source(resource["PhysicalResourceId"])
            for page in pages
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == "AWS::Lambda::EventSourceMapping"
        ]
        return sorted(found, key=lambda source: source.stream)

    def source(self, stream: str) -> Source:
        """Return the source of a stream, or end the command."""
        sources = {source.stream: source for source in self.sources()}
        if stream not in sources:
            fail(f"the stack {self.stack} has no stream {stream}; it has {', '.join(sources) or 'none'}", USAGE)
        return sources[stream]

    def name(self, kind: Any, stream: str) -> str:
        return parameter(self.stack, kind, stream)

    def depths(self, queue_arn: str) -> tuple[int, int]:
        """Return how many messages are in a queue, visible or not, and how many in its dead-letter queue."""
        attributes = self._attributes(queue_arn)
        redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
        dead_letters = self._attributes(redrive["deadLetterTargetArn"]) if "deadLetterTargetArn" in redrive else {}
        return depth(attributes), depth(dead_letters)

    def _source(self, uuid: str) -> Source:
        mapping = self.functions.get_event_source_mapping(UUID=uuid)
        function = self.functions.get_function_configuration(FunctionName=mapping["FunctionArn"])
        stream = function["Environment"]["Variables"]["STREAM"]
        failure = function.get("StateReason", "?") if function.get("State") == "Failed" else ""
        return Source(stream, uuid, mapping["State"], mapping["FunctionArn"], mapping["EventSourceArn"], failure)

    def _attributes(self, queue_arn: str) -> Mapping[str, str]:
        *_, account, name = queue_arn.split(":")
        url = self._sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        found: Mapping[str, str] = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return found


def status(
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every few seconds, until Ctrl-C.")] = False,
    stack: StackOption = "",
) -> None:
    """Show for each stream whether its queue is read, and if not, why and what to do; and how many messages wait.

    --watch shows the ledger's sum of the last hour too, to those who may read it.
    """
    if as_json and watch:
        fail("status: either --json or --watch", USAGE)
    with _told():
        board = Switchboard(deployment.deployed(stack))
        if watch:
            glance.watch(glance.Glance(board.deployment, lambda: _looked(board), _shown))
            return
        found = _looked(board)
    if as_json:
        terminal.show_json(found)
    else:
        terminal.console().print(_shown(found))


def _looked(board: Switchboard) -> list[dict[str, Any]]:
    return [status_of(board, source) for source in board.sources()]


def _shown(found: Streams) -> RenderableType:
    """Return the table of the streams, and below it what stops one and what to do."""
    table = terminal.table("Streams", "Stream", "Queue", "Breaker", "Why", "Paused", "Waiting", "Dead letters")
    for told in found:
        paused = "since " + told["paused_at"] if told["paused_at"] else ""
        numbers = (f"{told['waiting']:,}", f"{told['dead_letters']:,}")
        queue = map(terminal.cell, (told["stream"], told["mapping_state"]))
        state = terminal.cell(STATES[told["breaker"]], COLOURS.get(told["breaker"], ""))
        table.add_row(*queue, state, *map(terminal.cell, (named(told["why"]), paused, *numbers)))
    advice = [
        terminal.cell(f"{told['stream']}: {told['advice']} See {causes.RUNBOOK}, “{told['runbook']}”.")
        for told in found
        if told["advice"]
    ]
    return Group(table, *advice)


def pause(stream: StreamArgument, stack: StackOption = "") -> None:
    """Stop reading a stream's queue until `sluice resume`. Messages wait in the queue, for 7 days at most."""
    with _told():
        board = Switchboard(deployment.deployed(stack))
        stop(board, board.source(stream))
    print(f"{stream} is paused: its messages wait in the queue, for 7 days at most, until `sluice resume {stream}`.")


def resume(stream: StreamArgument, stack: StackOption = "") -> None:
    """Resume reading a stream's queue: at once, or after a good probe if the breaker is open."""
    with _told():
        board = Switchboard(deployment.deployed(stack))
        try:
            print(go_on(board, board.source(stream)))
        except StillChanging as error:
            fail(str(error))


def stop(board: Switchboard, source: Source) -> None:
    """Stop reading a stream's queue."""
    paused = Pause(stream=source.stream, mapping=source.mapping, paused_at=_now())
    parameters.write(board.ssm, board.name("pause", source.stream), encode(paused))
    event_source.disable(board.functions, source.mapping)


def go_on(board: Switchboard, source: Source) -> str:
    """Have a stream's queue read again, unless its breaker is open; return what is so then. Raises StillChanging."""
    stream = source.stream
    parameters.delete(board.ssm, board.name("pause", stream))
    text = parameters.read(board.ssm, board.name("breaker", stream))
    record = decode(text)
    if text is not None and record is None:
        record = _anew(source)
        parameters.write(board.ssm, board.name("breaker", stream), encode(record))
    if record is not None and record.state == "open":
        why = named(record.why)
        return f"{stream} is not paused, but its breaker is open ({why}): it is read again after a good probe."
    _enable(board, source)
    return f"{stream} is read again."


def depth(attributes: Mapping[str, str]) -> int:
    """Return how many messages are in a queue, by its attributes."""
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return sum(int(attributes.get(name, 0)) for name in names)


def status_of(board: Switchboard, source: Source) -> dict[str, Any]:
    """Return what the status tells of a stream."""
    text = parameters.read(board.ssm, board.name("breaker", source.stream))
    paused = parameters.read(board.ssm, board.name("pause", source.stream))
    record = decode(text) or (_anew(source) if text is not None else None)
    waiting, dead_letters = board.depths(source.queue_arn)
    why = record.why if record else ""
    is_off = source.state in event_source.OFF
    cause = causes.of_stop(source.stream, paused is not None, why, is_off, source.failure)
    return {
        "stream": source.stream,
        "mapping_state": source.state,
        "breaker": record.state if record else "closed",
        "why": why,
        "advice": cause.sentence if cause else "",
        "runbook": cause.entry if cause else "",
        "tripped_at": record.tripped_at if record and record.why != UNREADABLE else None,
        "trips": record.trips if record else 0,
        "paused_at": paused_at(paused) if paused is not None else None,
        "waiting": waiting,
        "dead_letters": dead_letters,
    }


def paused_at(text: str) -> str:
    """Return since when a stream is paused, by its parameter, or `?` if that cannot be read."""
    try:
        return str(json.loads(text)["paused_at"])
    except (ValueError, LookupError, TypeError):
        return "?"


def _anew(source: Source) -> Record:
    """Return a record in place of one that cannot be read: with it the breaker finds the mapping, and probes."""
    now = _now()
    return Record(
        stream=source.stream,
        mapping=source.mapping,
        function=source.function,
        why=UNREADABLE,
        tripped_at=now,
        probe_at=now,
    )


def _enable(board: Switchboard, source: Source) -> None:
    """Enable a mapping, after waiting for a change that is going on. Raises StillChanging if that takes too long."""
    deadline = time.monotonic() + CHANGE_SECONDS
    while event_source.state(board.functions, source.mapping) not in event_source.ON:
        event_source.enable(board.functions, source.mapping)
        if time.monotonic() > deadline:
            raise StillChanging("Lambda is still changing the event source mapping: try again")
        time.sleep(1)


@contextmanager
def _told() -> Iterator[None]:
    """End the command with one line if a call of AWS fails."""
    try:
        yield
    except clients.errors() as error:
        fail(deployment.told(error))


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)  # people read it
