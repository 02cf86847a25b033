"""Where messages come from: files, standard input or a queue in, SQS records as the function gets them out."""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.aws import clients
from sluice.declaration.outside import OF_PRODUCERS, Wanted
from sluice.declaration.stream import Stream
from sluice.ingest.message import FIRST_ATTRIBUTES, NotAnSqsEvent, sqs_records
from tools.sluice_cli import kept
from tools.sluice_cli.authors import examples
from tools.sluice_cli.authors.examples import NotAnExample

ATTRIBUTES = ["sluice_message_id", "sluice_sent_at"]
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
LARGEST_RECEIVE = 10  # messages


class Unreadable(Exception):
    """A file or queue holds no messages that can be told apart: says which one it is and why."""


@dataclass(frozen=True)
class Message:
    """A message in the clear, and where it was found."""

    place: str  # file#record, file:line, or the message's id
    record: SQSRecord = field(repr=False)
    sent: bool  # it was in a queue once, so it has an id and a time

    @property
    def body(self) -> str:
        return str(self.record["body"])


def read(stream: type[Stream] | None, files: list[str], limit: int | None) -> list[Message]:
    """Return the messages of all files, at most `limit`. Raises Unreadable.

    Of examples they are those that bring them to the stream. Without one, each line is a message.
    """
    return list(islice((message for file in files for message in _messages(stream, file, _text(file))), limit))


def of_text(stream: type[Stream] | None, place: str, text: str) -> list[Message]:
    """Return the messages of a text, as those of a file. Raises Unreadable, which names the place."""
    return list(_messages(stream, place, text))


def peek(queue_url: str, limit: int, wanted: Wanted) -> list[Message]:
    """Return messages of the queue, at most `limit`; they stay visible to every other consumer. Raises Unreadable.

    `wanted` are the attributes that the stream reads. What SQS counts is the receiving itself, so it ends with the
    first message that comes again: none is received more than twice.
    """
    found: dict[str, Message] = {}
    of_ours = [*ATTRIBUTES, *([FIRST_ATTRIBUTES] if wanted.of_sqs else [])]
    try:
        sqs = _sqs(queue_url)
        while len(found) < limit:
            received = sqs.receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=min(LARGEST_RECEIVE, limit - len(found)),
                VisibilityTimeout=0,  # nothing is hidden from anybody
                MessageSystemAttributeNames=list(dict.fromkeys(["SentTimestamp", *wanted.of_sqs])),
                MessageAttributeNames=[*of_ours, *wanted.of_producers],
            )
            messages = {message["MessageId"]: _received(message) for message in received.get("Messages", [])}
            again = messages.keys() & found.keys()
            found |= messages
            if again or not messages:
                break
    except clients.errors() as error:
        raise Unreadable(f"SQS: {error}") from None
    except ValueError:
        raise Unreadable("SQS: that is no queue's URL") from None
    return list(found.values())


def _sqs(queue_url: str) -> Any:
    """Return a client: for a queue of the stack that the demo has kept that of its emulator."""
    found = kept.stack()
    if found is None or not queue_url.startswith(f"{found['endpoint_url']}/"):
        return clients.client("sqs")
    session: Any = kept.session(found)
    return session.client("sqs", endpoint_url=found["endpoint_url"])


def _text(file: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror}") from None
    return content.decode("utf-8-sig", errors="surrogateescape")  # a record that is no UTF-8 is rejected as one


def _messages(stream: type[Stream] | None, file: str, text: str) -> Iterator[Message]:
    document = _json(text)
    if isinstance(document, dict) and "Records" in document and not _is_body(stream, document):
        try:
            records = sqs_records(document)
        except NotAnSqsEvent as error:
            raise Unreadable(f"{file}: {error}") from None
        for number, record in enumerate(records, 1):
            yield Message(f"{file}#{number}", SQSRecord(record), sent=True)
        return
    if isinstance(document, list) and document and all(isinstance(one, dict) for one in document):
        for number, one in enumerate(msgspec.json.decode(text, type=list[msgspec.Raw]), 1):
            yield Message(f"{file}[{number}]", _record(str(uuid4()), bytes(one).decode(), _now(), {}), sent=False)
        return
    lines = [text.strip()] if document is not None else text.split("\n")  # no other sign ends a line
    numbered = [(number, line) for number, line in enumerate((line.strip(" \t\r") for line in lines), 1) if line]
    if len(numbered) > 1 and not any(isinstance(_json(line), dict) for _, line in numbered):
        raise Unreadable(f"{file}: neither a Lambda event nor JSON lines")
    for number, line in numbered:
        yield _of_line(stream, f"{file}:{number}", line)


def _is_body(stream: type[Stream] | None, document: dict[str, Any]) -> bool:
    """Tell whether a document with `Records` is a message that holds several, as S3 sends it, and no event of SQS."""
    records = document["Records"]
    is_of_sqs = isinstance(records, list) and any(
        isinstance(one, dict) and one.get("eventSource") == "aws:sqs" for one in records
    )
    is_listed = isinstance(records, list) and all(isinstance(one, dict) and "body" not in one for one in records)
    return not is_of_sqs and (is_listed if stream is None else stream.splitter is not None)


def _of_line(stream: type[Stream] | None, place: str, line: str) -> Message:
    """Return the message of a line, or of the example that it is. Raises Unreadable."""
    if stream is None or not examples.is_example(_json(line)):
        return Message(place, _record(str(uuid4()), line, _now(), {}), sent=False)
    try:
        example = examples.parse(line)
        body, given = examples.body(stream, example), example.message or {}
    except NotAnExample as error:
        raise Unreadable(f"{place}: {error}") from None
    return Message(place, with_attributes(_record(str(uuid4()), body, _now(), {}), given), sent=False)


def with_attributes(record: SQSRecord, given: Mapping[str, Any]) -> SQSRecord:
    """Return a record that has the attributes of an example's message: those of SQS, and in one member all others."""
    own = given.get(OF_PRODUCERS)
    record.raw_event["attributes"] |= {name: one for name, one in given.items() if name != OF_PRODUCERS}
    record.raw_event["messageAttributes"] |= {
        name: {"stringValue": value, "dataType": "String"} for name, value in (own or {}).items()
    }
    return record


def _json(text: str) -> Any:
    """Return the document, or nothing when it is no JSON; `null` alone is no document of ours either."""
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None


def _received(message: dict[str, Any]) -> Message:
    attributes = {
        name: {"stringValue": attribute.get("StringValue"), "dataType": attribute["DataType"]}
        for name, attribute in message.get("MessageAttributes", {}).items()
    }
    of_sqs = message["Attributes"]
    record = _record(message["MessageId"], message["Body"], of_sqs["SentTimestamp"], attributes)
    return Message(message["MessageId"], with_attributes(record, of_sqs), sent=True)


def _now() -> str:
    return str(int(time.time() * 1000))


def _record(message_id: str, body: str, sent_timestamp: str, attributes: dict[str, Any]) -> SQSRecord:
    return SQSRecord(
        {
            "messageId": message_id,
            "body": body,
            "attributes": {"SentTimestamp": sent_timestamp},
            "messageAttributes": attributes,
        }
    )
