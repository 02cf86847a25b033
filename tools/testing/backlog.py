"""The load test of the deployed stack: two streams drain a backlog at once, with an outage in the middle.

`make soak ARGS='--backlog 100000'` runs it. In the end every message must be where it belongs, and the ledger must say
the same. The emulator hands over ten messages at a time, so its speed says nothing of Lambda's.
"""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

from rich.console import Console
from rich.table import Table

from sluice.declaration.stream import Stream
from sluice.operators.audit.ledger import COUNTS
from sluice.postgres.driver import quoted_table
from streams.orders import Order
from streams.user_logins import UserLogin
from tools.local import generator
from tools.local.generator import Message
from tools.local.stack import Stack, running_stack
from tools.project import DECLARED
from tools.testing import deployed
from tools.testing.faults.postgres import FaultyPostgres
from tools.testing.invariants import Finding, Sent

STREAMS: dict[type[Stream], tuple[str, Callable[[int, int], list[Message]]]] = {
    UserLogin: ("LoginsIngestFunction", generator.messages),
    Order: ("OrdersIngestFunction", generator.orders),
}
LEAST = 1000  # messages
DUPLICATE_SHARE = 0.02
SENDERS = 4  # threads
OUTAGE_SECONDS = 10
OUTAGE_RECEIVES = 2  # of a message at most, as docs/operations.md says
VISIBILITY_SECONDS = 60  # not 660: what failed comes again after it
STALLED_SECONDS = 180

console = Console(highlight=False)


def main(count: int, seed: int) -> list[Finding]:
    """Run the load test on a fresh stack, print what came of it, and return the findings. Raises NotStarted."""
    with running_stack(step=_step, streams=DECLARED / "streams") as stack:
        backlog = Backlog(stack, seed)
        backlog.run(count)
        backlog.show()
        with _step("Check"):
            return deployed.check(stack, backlog.sent, deployed.dead_letters(stack))


@dataclass
class Backlog:
    """A backlog of the stack's two streams, from the first message sent to the last one that is dealt with."""

    stack: Stack
    seed: int
    sent: dict[type[Stream], list[Sent]] = field(default_factory=lambda: {stream: [] for stream in STREAMS})
    seconds: dict[str, float] = field(default_factory=dict)  # that each part took

    def run(self, count: int) -> None:
        """Send so many messages while nobody reads, and have them read. Raises TimeoutError if that does not end."""
        self._be_strict()
        self._switch(enabled=False)
        with self._timed("send"):
            for stream, (_, make) in STREAMS.items():
                self._send(stream, make(count // len(STREAMS), self.seed))
        with self._timed("drain"):
            self._switch(enabled=True)
            self._wait("half of a stream is stored", self._is_half_stored)
            with self._timed("outage"):
                self._break()
            self._wait("both queues are empty", lambda: not any(map(self._depth, STREAMS)))

    def show(self) -> None:
        """Print how long it took, and what the ledger says."""
        total = sum(map(len, self.sent.values()))
        sending, draining = self.seconds["send"], self.seconds["drain"] - self.seconds["outage"]
        console.print(f"{total:,} messages sent in {sending:.0f} s, {total / sending:,.0f} a second.")
        console.print(f"Drained in {draining:.0f} s, {total / draining:,.0f} a second.")
        table = Table("Messages", *(stream.stream_name for stream in STREAMS), title="The ledger", title_justify="left")
        counts = [[len(self.sent[stream]), *self._ledger(stream)] for stream in STREAMS]
        for name, *of_streams in zip(("sent", *COUNTS), *counts, strict=True):
            table.add_row(str(name).replace("_", " "), *(f"{count:,}" for count in of_streams))
        console.print(table)

    def _be_strict(self) -> None:
        """Make a dead letter of what is received once more than an outage may cost, and then to be stored."""
        sqs = self.stack.client("sqs")
        for queues in self.stack.queues.values():
            before = sqs.get_queue_attributes(QueueUrl=queues.queue, AttributeNames=["RedrivePolicy"])["Attributes"]
            redrive = json.loads(before["RedrivePolicy"]) | {"maxReceiveCount": OUTAGE_RECEIVES + 1}
            strict = {"VisibilityTimeout": str(VISIBILITY_SECONDS), "RedrivePolicy": json.dumps(redrive)}
            sqs.set_queue_attributes(QueueUrl=queues.queue, Attributes=strict)

    def _send(self, stream: type[Stream], made: Sequence[Message]) -> None:
        """Send all of them, and some again under the first one's id."""
        source = random.Random(f"{self.seed} {stream.stream_name}")
        first = self._send_all(stream, [(message, {}) for message in made])
        again = [one for one in first if one.valid and source.random() < DUPLICATE_SHARE]
        twice = [(Message(one.body, one.valid), {"sluice_message_id": one.message_id}) for one in again]
        self.sent[stream] = [*first, *self._send_all(stream, twice)]

    def _send_all(self, stream: type[Stream], made: Sequence[tuple[Message, Mapping[str, str]]]) -> list[Sent]:
        sqs, url = self.stack.client("sqs"), self.stack.queues[stream.stream_name].queue
        with ThreadPoolExecutor(SENDERS) as pool:
            sent = pool.map(lambda ten: _send_ten(sqs, url, ten), batched(made, 10))
            return [one for ten in sent for one in ten]

    def _switch(self, enabled: bool) -> None:
        functions = self.stack.client("lambda")
        for mapping in self._mappings():
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)

    def _break(self) -> None:
        """Stop PostgreSQL until both breakers have opened and a probe has failed, and have the breakers close."""
        postgres = self.stack.postgres
        server = FaultyPostgres(postgres.folder, postgres.port, postgres.password)
        server.stop()
        try:
            self._wait("both breakers are open", lambda: self._states() == {"Disabled"})
            time.sleep(OUTAGE_SECONDS)
            self._tick()
            if self._states() != {"Disabled"}:
                raise TimeoutError("a breaker has closed in the outage")
        finally:
            server.start_again()
        self._wait("both breakers let messages through", self._is_enabled_by_tick)

    def _is_enabled_by_tick(self) -> bool:
        self._tick()
        return self._states() == {"Enabled"}

    def _tick(self) -> None:
        """Have the breaker look, as its schedule does every minute."""
        name = self.stack.physical_id("BreakerFunction")
        self.stack.client("lambda").invoke(FunctionName=name, Payload=b"{}")

    def _mappings(self) -> list[Any]:
        functions = self.stack.client("lambda")
        names = [self.stack.physical_id(function) for function, _ in STREAMS.values()]
        found = [functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"] for name in names]
        return [mapping for mappings in found for mapping in mappings]

    def _states(self) -> set[str]:
        return {str(mapping["State"]) for mapping in self._mappings()}

    def _is_half_stored(self) -> bool:
        return any(2 * self._rows(stream) >= len(messages) for stream, messages in self.sent.items())

    def _rows(self, stream: type[Stream]) -> int:
        with self.stack.connect() as owner:
            ((count,),) = owner.run(f"SELECT count(*) FROM {quoted_table(stream.table)}") or [[0]]
        return int(count)

    def _depth(self, stream: type[Stream]) -> int:
        """Return how many messages a queue holds, those in flight included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = self.stack.queues[stream.stream_name].queue
        found = self.stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def _ledger(self, stream: type[Stream]) -> list[int]:
        sums = ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in COUNTS)
        with self.stack.connect() as owner:
            (counts,) = owner.run(f"SELECT {sums} FROM batch WHERE stream = :name", name=stream.stream_name) or [[]]
        return list(counts)

    def _wait(self, what: str, until: Callable[[], bool]) -> None:
        """Wait until it is so. Raises TimeoutError when the queues have not become shorter for long."""
        depth, deadline = None, time.monotonic() + STALLED_SECONDS
        while not until():
            if (now := sum(map(self._depth, STREAMS))) != depth:
                depth, deadline = now, time.monotonic() + STALLED_SECONDS
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing moves before {what}: {depth:,} messages wait")
            time.sleep(0.5)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = time.monotonic()
        with _step(part.capitalize()):
            yield
        self.seconds[part] = time.monotonic() - began


def _send_ten(sqs: Any, url: str, ten: Sequence[tuple[Message, Mapping[str, str]]]) -> list[Sent]:
    entries = [
        {
            "Id": str(number),
            "MessageBody": message.body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        }
        for number, (message, attributes) in enumerate(ten)
    ]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    ids = {int(entry["Id"]): entry["MessageId"] for entry in answer["Successful"]}
    return [
        Sent(ids[number], message.body, message.valid, attributes=attributes)
        for number, (message, attributes) in enumerate(ten)
    ]


@contextmanager
def _step(name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    console.print(f"[green]✓[/] {name:<32}{time.monotonic() - began:6.1f} s")
