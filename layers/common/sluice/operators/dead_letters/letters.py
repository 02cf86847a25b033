"""A dead-letter queue: letters received, and hidden from all others until they are sent on, deleted or released.

SQS gives at most ten letters of a FIFO queue's message group, and more only once those are deleted.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import batched, islice
from typing import Any, Self

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.aws import clients, queues
from sluice.aws.queues import Queues
from sluice.deadline import Deadline
from sluice.declaration.envelopes import Postmark
from sluice.declaration.outside import Wanted
from sluice.failures import Outage, Rejected
from sluice.ingest import message, traces
from sluice.ingest.payloads import START_SECONDS, Payloads, Unread
from sluice.telemetry import logger

NOTHING_ELSE = Wanted()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CALL_LETTERS = 10  # SQS gives and takes no more at once
CALL_BYTES = 262_144  # SQS takes a MiB at once, from older queues a quarter of that; a larger letter goes alone
PAGE_BYTES = 32 * 1024 * 1024  # of bodies in memory
MOST_HELD = 100_000  # letters; SQS hides 120,000 of a queue at most
ATTRIBUTES = ("SentTimestamp", "ApproximateReceiveCount", "MessageGroupId", traces.HEADER)  # of SQS
MOST_ATTRIBUTES = 10  # of a message
HIDDEN_SECONDS = 60  # longer than the invocation may last: if it dies, its letters come back by themselves
WRAP_UP_SECONDS = 20  # to finish what was begun, and to release the letters that stay
TOO_LARGE = ("BatchRequestTooLong", "InvalidParameterValue")  # the older protocol puts words and a dot before them


@dataclass(frozen=True, eq=False)
class Letter:
    """A dead letter. Its body and attributes are clear personal data, so no representation shows them."""

    record: SQSRecord = field(repr=False)  # as ingest reads it: with the payload as its body
    attributes: dict[str, Any] = field(repr=False)  # as SQS has them
    postmark: Postmark | None = field(default=None, repr=False)  # what its body says of it
    wanted: Wanted = NOTHING_ELSE
    pointer: str | None = field(default=None, repr=False)  # the body as SQS has it, where it points to a payload
    fault: Rejected | None = None  # why its payload cannot be had

    @property
    def sqs_message_id(self) -> str:
        return str(self.record.raw_event["messageId"])

    @property
    def message_id(self) -> str:
        """The id of its row or rejection."""
        return message.id_of_row_or_rejection(self.record, self.postmark)

    @property
    def ids(self) -> set[str]:
        """The ids that its rejection may have: its own, and that without the identity, if that could not be read."""
        earlier = self.postmark and self.postmark._replace(identity=None)
        return {self.message_id, message.id_of_row_or_rejection(self.record, earlier)}

    @property
    def sent_at(self) -> datetime:
        """When it was sent for the first time, UTC."""
        try:
            return datetime.fromisoformat(message.sent_at(self.record, self.postmark))
        except Rejected:
            return datetime.fromtimestamp(self.last_sent_milliseconds / 1000, UTC)

    @property
    def last_sent_milliseconds(self) -> int:
        """When SQS got it, since 1970: later than `sent_at` when it was redriven."""
        return int(self.record.raw_event["attributes"]["SentTimestamp"])

    @property
    def receive_count(self) -> int:
        return int(self.record.raw_event["attributes"]["ApproximateReceiveCount"])

    @property
    def group_id(self) -> str | None:
        """The message group that it was sent with: to a FIFO queue always, to another one where queues are fair."""
        group_id: str | None = self.record.raw_event["attributes"].get("MessageGroupId")
        return group_id

    @property
    def body(self) -> str:
        return str(self.record.raw_event["body"])

    @property
    def sent_body(self) -> str:
        """The body as SQS has it."""
        return self.body if self.pointer is None else self.pointer

    @property
    def body_bytes(self) -> int:
        return len(self.sent_body.encode(errors="surrogatepass"))

    def redriven_attributes(self) -> dict[str, Any]:
        """Return the attributes to send it with: those that keep its id and time, and its own."""
        sent_at = str((self.sent_at - EPOCH) // timedelta(milliseconds=1))
        ours = {"sluice_message_id": _text(self.message_id), "sluice_sent_at": _text(sent_at)}
        of_sqs = {name: self.record.raw_event["attributes"].get(name) for name in self.wanted.of_sqs}
        if of_sqs:
            ours[message.FIRST_ATTRIBUTES] = _text(json.dumps({name: one for name, one in of_sqs.items() if one}))
        read = {name: self.attributes[name] for name in self.wanted.of_producers if name in self.attributes}
        # Its own replace ours of the same name. If they are too many for SQS, the last go, which ingest never reads.
        return dict(islice((ours | read | self.attributes).items(), MOST_ATTRIBUTES))


class DeadLetterQueue:
    """The dead letters of a stream in one invocation: at the end of `with` those that it still holds are released."""

    def __init__(
        self,
        queues: Queues,
        deadline: Deadline,
        postmark_of: Callable[[str], Postmark | None] = lambda body: None,
        wanted: Wanted = NOTHING_ELSE,
        payloads: Payloads | None = None,
    ) -> None:
        """`postmark_of` returns what a body says of its message, as the stream reads it."""
        self._wanted = wanted
        self._payloads = payloads
        # This function has half the memory of ingest.
        self._call_letters = CALL_LETTERS if payloads is None else min(CALL_LETTERS, payloads.at_once // 2)
        self._queues = queues
        self._postmark_of = postmark_of
        self._deadline = deadline
        self._held: dict[str, str] = {}  # receipt handles by SQS's message id
        self._heads: set[str] = set()  # of letters of a FIFO queue: more of their groups may be behind them
        self.is_exhausted = False  # nothing more is visible

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Make visible what is held, as far as time and SQS allow: the rest reappears within minutes."""
        try:
            for handles in batched(self._held.values(), CALL_LETTERS):
                if not self._deadline.allows(5):  # seconds: what one call may take
                    return
                entries = [entry | {"VisibilityTimeout": 0} for entry in _receipts(handles)]
                url = self._queues.dead_letters
                clients.client("sqs").change_message_visibility_batch(QueueUrl=url, Entries=entries)
        except clients.errors() as error:
            logger.warning("dead letters not released", extra={"error": clients.reason(error)})

    @property
    def has_more(self) -> bool:
        """Whether to go on receiving."""
        seconds = 0 if self._payloads is None else START_SECONDS
        return not self.is_exhausted and len(self._held) < MOST_HELD and self.has_time(seconds)

    @property
    def hides_more(self) -> bool:
        """Whether letters may be out of sight behind those that are held."""
        return not self._heads.isdisjoint(self._held)

    def has_time(self, seconds: float = 0) -> bool:
        """Tell whether something may begin that takes so long."""
        return self._deadline.allows(WRAP_UP_SECONDS + seconds)

    def receive(self, most: int) -> list[Letter]:
        """Return letters that this invocation has not seen yet, at most so many. Raises Outage."""
        letters: list[Letter] = []
        size = 0
        while len(letters) < most and size < PAGE_BYTES and self.has_more:
            wanted = min(self._call_letters, most - len(letters))
            received = self._call(
                "receive_message",
                QueueUrl=self._queues.dead_letters,
                MaxNumberOfMessages=wanted,
                VisibilityTimeout=int(self._deadline.seconds_left()) + HIDDEN_SECONDS,
                WaitTimeSeconds=1,  # else SQS asks only some of its servers, and an empty answer may be wrong
                MessageSystemAttributeNames=list(dict.fromkeys([*ATTRIBUTES, *self._wanted.of_sqs])),
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not received:
                self.is_exhausted = not (letters and _is_fifo(self._queues.dead_letters))
                break
            if _is_fifo(self._queues.dead_letters) and len(received) == wanted:
                self._heads.update(received_message["MessageId"] for received_message in received)
            unique = {one["MessageId"]: one for one in received}  # SQS may give one twice
            new = [one for message_id, one in unique.items() if message_id not in self._held]
            self._held |= {message_id: one["ReceiptHandle"] for message_id, one in unique.items()}
            opened = [self._letter(*pair) for pair in zip(new, self._opened(new), strict=True)]
            letters += opened
            size += sum(len(letter.body) for letter in opened)
        return letters

    def _opened(self, received: Sequence[dict[str, Any]]) -> Sequence[str | Rejected | Unread]:
        """Return the bodies of messages, those in S3 too. Raises Outage."""
        bodies = [one["Body"] for one in received]
        return bodies if self._payloads is None else self._payloads.read(bodies, self._deadline)

    def _letter(self, received: dict[str, Any], opened: str | Rejected | Unread) -> Letter:
        sent = received["Body"]
        match opened:
            case str():
                body, fault = opened, None
            case Rejected():
                body, fault = sent, opened
            case Unread():
                body, fault = sent, Rejected("payload_unread")
        pointer = None if opened is sent else sent
        return _letter(received | {"Body": body}, self._postmark_of(body), self._wanted, pointer, fault)

    def send(self, letters: Sequence[Letter]) -> list[Letter]:
        """Send letters of one batch to the stream's queue, and return those that it took. Raises Outage."""
        entries = [{"Id": str(number), **self._sent(letter)} for number, letter in enumerate(letters)]
        try:
            answer = clients.client("sqs").send_message_batch(QueueUrl=self._queues.queue, Entries=entries)
        except clients.errors() as error:
            if clients.reason(error).rpartition(".")[2] in TOO_LARGE:
                return []
            raise Outage(f"sqs: {clients.reason(error)}") from None  # the text may hold ids of account and queue
        return [letters[int(sent["Id"])] for sent in answer.get("Successful", [])]

    def _sent(self, letter: Letter) -> dict[str, Any]:
        sent: dict[str, Any] = {"MessageBody": letter.sent_body, "MessageAttributes": letter.redriven_attributes()}
        if (trace := traces.header(letter.record.raw_event["attributes"])) is not None:
            sent["MessageSystemAttributes"] = {traces.HEADER: _text(trace)}
        if letter.group_id is not None:
            sent["MessageGroupId"] = letter.group_id
        if _is_fifo(self._queues.queue):
            # Not the id that it had: within five minutes SQS would drop the letter as a duplicate of itself.
            sent["MessageDeduplicationId"] = letter.sqs_message_id
        return sent

    def delete(self, letters: Sequence[Letter], for_good: bool = False) -> int:
        """Delete letters of one batch, and return how many are gone. Raises Outage.

        What is deleted for good was not sent on: its payload goes, too, if the stream says so.
        """
        if not letters:
            return 0
        entries = _receipts(self._held[letter.sqs_message_id] for letter in letters)
        answer = self._call("delete_message_batch", QueueUrl=self._queues.dead_letters, Entries=entries)
        deleted = [letters[int(gone["Id"])] for gone in answer.get("Successful", [])]
        for letter in deleted:
            del self._held[letter.sqs_message_id]
        if for_good and self._payloads is not None:
            self._payloads.delete(letter.sent_body for letter in deleted)
        return len(deleted)

    def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(clients.client("sqs"), operation)(**request)
        except clients.errors() as error:
            raise Outage(f"sqs: {clients.reason(error)}") from None  # the text may hold ids of account and queue
        return answer


def batches(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    """Yield as many letters together as one call takes."""
    return queues.batches(letters, lambda letter: letter.body_bytes, CALL_LETTERS, CALL_BYTES)


def _letter(
    message: dict[str, Any], postmark: Postmark | None, wanted: Wanted, pointer: str | None, fault: Rejected | None
) -> Letter:
    attributes = {
        name: {part: value[part] for part in ("DataType", "StringValue", "BinaryValue") if part in value}
        for name, value in message.get("MessageAttributes", {}).items()
    }
    record = {
        "messageId": message["MessageId"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: {
                "stringValue": value.get("StringValue"),
                "binaryValue": b64encode(value["BinaryValue"]).decode() if "BinaryValue" in value else None,
                "dataType": value["DataType"],
            }
            for name, value in attributes.items()
        },
    }
    return Letter(SQSRecord(record), attributes, postmark, wanted, pointer, fault)


def _is_fifo(queue_url: str) -> bool:
    return queue_url.endswith(".fifo")  # as SQS wants its name


def _receipts(handles: Iterable[str]) -> list[dict[str, Any]]:
    return [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]


def _text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}
