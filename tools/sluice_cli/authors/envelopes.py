"""Wraps a record as AWS does: the body of the message that brings it."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec

from sluice.declaration import envelopes
from sluice.declaration.stream import Stream

TOPIC = "arn:aws:sns:eu-central-1:123456789012:example"


def wrap(stream: type[Stream], record: str, message_id: UUID | None = None, sent_at: datetime | None = None) -> str:
    """Return the body in which the stream gets a record, given as JSON. An envelope of the user's own is left out."""
    kind = _kind(stream)
    identity = str(message_id or uuid4())
    time = f"{sent_at or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if kind is envelopes.sns:  # https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html
        return _json(
            {
                "Type": "Notification",
                "MessageId": identity,
                "TopicArn": TOPIC,
                "Message": record,
                "Timestamp": time,
            }
        )
    if kind is envelopes.eventbridge:  # https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
        return _json(
            {
                "version": "0",
                "id": identity,
                "detail-type": stream.__name__,
                "source": "example",
                "account": "123456789012",
                "time": time,
                "region": "eu-central-1",
                "resources": [],
                "detail": msgspec.Raw(record.encode()),
            }
        )
    return record


def is_of_ones_own(stream: type[Stream]) -> bool:
    """Tell whether nobody but the stream's author knows how to wrap a record."""
    return _kind(stream) not in (envelopes.plain, envelopes.sns, envelopes.eventbridge)


def _kind(stream: type[Stream]) -> object:
    """Return the envelope that the declaration names."""
    return getattr(stream.unwrap, "__wrapped__", stream.unwrap)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
