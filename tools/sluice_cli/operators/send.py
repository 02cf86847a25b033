"""`sluice send`: sends records to the queue of a deployed stream."""

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Self
from uuid import uuid4

import typer
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sluice.aws import clients, queues
from sluice.declaration.outside import OF_PRODUCERS, Wanted
from sluice.declaration.route import Queued, head_of, reader_of, wanted_of
from sluice.ingest.message import FIRST_ATTRIBUTES
from tools.sluice_cli.authors import declarations, messages
from tools.sluice_cli.authors.generator import NotGenerated
from tools.sluice_cli.authors.messages import Unreadable
from tools.sluice_cli.authors.route_generator import maker
from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.deployment import StackOption
from tools.sluice_cli.terminal import USAGE, fail

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
LARGEST_BATCH = 10  # messages
LARGEST_REQUEST = 2**20  # bytes; a queue may take fewer, and says so
TRIES = 6  # of a message that SQS did not take
FIRST_PAUSE_SECONDS = 0.2  # doubled with each try
OF_ONE_MESSAGE = ("BatchRequestTooLong", "InvalidMessageContents", "InvalidParameterValue")  # and SQS refuses them all
RANDOM = random.Random()  # nosec B311  # no secret

type Attributes = dict[str, dict[str, str]]
type Given = tuple[str, Attributes]  # a body, and its message's attributes


@dataclass(frozen=True)
class Message:
    """What is sent: the body holds clear values."""

    body: str = field(repr=False)
    attributes: Attributes

    @property
    def size(self) -> int:
        """Return how many bytes of a request SQS counts for it."""
        texts = [self.body, *self.attributes, *(text for value in self.attributes.values() for text in value.values())]
        return sum(len(text.encode(errors="surrogatepass")) for text in texts)


def send(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="A module of layers/streams.")],
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="A Lambda event of SQS, or JSON lines; - is standard input."),
    ] = None,
    generate: Annotated[int | None, typer.Option(min=1, metavar="N", help="Make up N records.")] = None,
    junk: Annotated[str, typer.Option(metavar="SHARE", help="Break a rule in this share: 5%.")] = "0%",
    duplicates: Annotated[
        str, typer.Option(metavar="SHARE", help="Send this share twice, under one sluice_message_id: 5%.")
    ] = "0%",
    rate: Annotated[int | None, typer.Option(min=1, metavar="N", help="Messages per second at most.")] = None,
    stack: StackOption = "",
) -> None:
    """Send records to a stream's queue: those of a file, or made-up ones that its rules accept.

    A message without an id gets one in the attribute sluice_message_id, so that sending it again adds no row.
    """
    if bool(file) == bool(generate):
        fail("send: either a file or --generate", USAGE)
    shares = _share("--junk", junk), _share("--duplicates", duplicates)
    declared = declarations.queued(stream)
    try:
        given = brought(declared, messages.read(head_of(declared), [file], None)) if file else []
    except Unreadable as error:
        fail(str(error), USAGE)
    found = deployment.deployed(stack)
    queue = Queue(_client(found), deployment.queues(found, stream).queue, rate)
    selection = Selection.of(len(given) if file else generate or 0, *shares)
    _send(queue, made(declared, given, selection), selection.count + len(selection.twice))
    what = f"{selection.count:,} records, {len(selection.junk):,} of them junk, {len(selection.twice):,} sent twice"
    print(f"Sent {queue.sent:,} messages to the stream {stream} of the stack {found.stack}: {what}.")


@dataclass(frozen=True)
class Selection:
    """How many records there are, and by number which of them are to be junk, and which others sent twice."""

    count: int
    junk: frozenset[int]
    twice: frozenset[int]

    @classmethod
    def of(cls, count: int, junk: float, twice: float) -> Self:
        """Choose the shares of them by chance."""
        spoiled = frozenset(RANDOM.sample(range(count), round(count * junk)))
        others = [number for number in range(count) if number not in spoiled]
        return cls(count, spoiled, frozenset(RANDOM.sample(others, min(round(count * twice), len(others)))))


class Queue:
    """A queue, and what it took."""

    def __init__(self, sqs: Any, url: str, rate: int | None = None) -> None:
        self._sqs = sqs
        self._url = url
        self._rate = rate
        self.sent = 0
        self.refused: Counter[str] = Counter()  # by the code of the error
        self.unanswered = 0  # messages of a call that was cut off: they may have been sent

    def send(self, made: Iterable[Message]) -> Iterator[int]:
        """Send all messages; yields how many were dealt with, batch by batch. May raise `clients.errors()`."""
        began = time.monotonic()
        for batch in batches(made, min(LARGEST_BATCH, self._rate or LARGEST_BATCH)):
            self._send(batch)
            yield len(batch)
            if self._rate:
                time.sleep(max(0.0, began + self.sent / self._rate - time.monotonic()))

    def _send(self, batch: Sequence[Message]) -> None:
        """Send a batch, and again what SQS did not take of it; in halves to find the message that it refuses."""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
            try:
                failed = self._call(batch)
            except clients.errors() as error:
                code = clients.reason(error).rpartition(".")[2]
                if code in OF_ONE_MESSAGE or _is_refused(error):
                    self.unanswered = 0
                if code not in OF_ONE_MESSAGE:
                    raise
                if len(batch) == 1:
                    self.refused[code] += 1
                else:
                    self._send(batch[: len(batch) // 2])
                    self._send(batch[len(batch) // 2 :])
                return
            self.refused.update(entry["Code"] for entry in failed if entry["SenderFault"])
            batch = [batch[int(entry["Id"])] for entry in failed if not entry["SenderFault"]]
            if not batch:
                return
        self.refused[f"not taken in {TRIES} tries"] += len(batch)

    def _call(self, batch: Sequence[Message]) -> list[dict[str, Any]]:
        """Send a batch once, and return the entries that failed."""
        entries = [
            {"Id": str(number), "MessageBody": message.body, "MessageAttributes": message.attributes}
            for number, message in enumerate(batch)
        ]
        self.unanswered = len(batch)
        answer = self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
        self.unanswered = 0
        self.sent += len(answer.get("Successful", []))
        failed: list[dict[str, Any]] = answer.get("Failed", [])
        return failed


def _is_refused(error: Exception) -> bool:
    """Tell whether SQS has answered that it takes nothing of a call."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    status: int = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return 400 <= status < 500


def batches(made: Iterable[Message], most: int) -> Iterator[list[Message]]:
    """Yield the messages in batches that one request takes."""
    return queues.batches(made, lambda message: message.size, most, LARGEST_REQUEST)


def _own_id(has_time: bool) -> Attributes:
    """Return the attributes of a new id; with a time, which is a part of what makes a row one in a table by time."""
    own = {"sluice_message_id": str(uuid4())}
    if not has_time:
        own["sluice_sent_at"] = str(int(time.time() * 1000))
    return _of_texts(own)


def made(queued: Queued, given: Sequence[Given], selection: Selection) -> Iterator[Message]:
    """Yield a message of each record, made up where none are given, then those that are sent twice again.

    Raises NotGenerated.
    """
    generator, stream_of = maker(queued, RANDOM), reader_of(queued)
    again = []
    for number in range(selection.count):
        body, attributes = given[number] if given else (generator.body(), as_sent(generator.attributes))
        if number in selection.junk:
            body = generator.spoiled(body)
        is_twice = number in selection.twice
        postmark = stream_of(body).message_postmark()(body)
        is_one = postmark is not None and (postmark.identity or postmark.message_id)
        if "sluice_message_id" not in attributes and (is_twice or not is_one):
            attributes = attributes | _own_id(has_time=postmark is not None and postmark.sent_at is not None)
        message = Message(body, attributes)
        again += [message] * is_twice
        yield message
    yield from again


def _send(queue: Queue, sent: Iterator[Message], total: int) -> None:
    """Send all and show the progress. Whatever is not sent ends the command, and says how many were."""
    columns = TextColumn("Send"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    try:
        with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
            task = progress.add_task("", total=total)
            for count in queue.send(sent):
                progress.advance(task, count)
    except NotGenerated as error:
        fail(f"{_so_far(queue, total)}: {error}; send a file")
    except clients.errors() as error:
        fail(f"{_so_far(queue, total)}: {error}")
    except KeyboardInterrupt:
        fail(f"stopped: {_so_far(queue, total)}")
    if queue.refused:
        fail(f"{_so_far(queue, total)}: " + ", ".join(f"{count:,} {code}" for code, count in queue.refused.items()))


def _so_far(queue: Queue, total: int) -> str:
    perhaps = f", and perhaps {queue.unanswered:,} more" if queue.unanswered else ""
    return f"{queue.sent:,} of {total:,} messages were sent{perhaps}"


def _client(found: deployment.Deployment) -> Any:
    from botocore.config import Config

    try:
        return found.client("sqs", config=Config(retries={"mode": "standard", "total_max_attempts": TRIES}))
    except clients.errors() as error:
        fail(deployment.told(error))


def brought(queued: Queued, found: Sequence[messages.Message]) -> list[Given]:
    """Return the bodies of messages, each with the attributes that are ours. Raises Unreadable."""
    wanted = wanted_of(queued)
    for message in found:
        try:
            message.body.encode()
        except UnicodeEncodeError:
            raise Unreadable(f"{message.place}: is no UTF-8, which is all that SQS takes") from None
        if len(message.body.encode()) > LARGEST_REQUEST:
            raise Unreadable(f"{message.place}: has more than the 1,048,576 bytes that SQS takes")
    return [(message.body, _attributes(message.record, wanted)) for message in found]


def _attributes(record: SQSRecord, wanted: Wanted) -> Attributes:
    """Return the attributes of a message that ingest reads: ours, and those that the stream declares."""
    given = record.raw_event.get("messageAttributes") or {}
    found = {
        name: {"DataType": given[name].get("dataType", "String"), "StringValue": given[name].get("stringValue") or ""}
        for name in (*messages.ATTRIBUTES, *wanted.of_producers)
        if isinstance(given.get(name), dict)
    }
    of_sqs = {name: one for name, one in record.raw_event["attributes"].items() if name in wanted.of_sqs}
    return as_sent(of_sqs) | found


def as_sent(message: Mapping[str, Any]) -> Attributes:
    """Return the attributes that bring what a message had; those of SQS go in one of ours, since SQS sets its own."""
    of_sqs = {name: str(value) for name, value in message.items() if name != OF_PRODUCERS}
    texts = {name: str(value) for name, value in (message.get(OF_PRODUCERS) or {}).items() if value is not None}
    if of_sqs:
        texts[FIRST_ATTRIBUTES] = json.dumps(of_sqs)
    return _of_texts(texts)


def _of_texts(texts: Mapping[str, str]) -> Attributes:
    return {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}


def _share(option: str, text: str) -> float:
    """Return a share that is given as 5% or 0.05, or end the command."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        fail(f"{option}: is a share such as 5%", USAGE)
    return share
