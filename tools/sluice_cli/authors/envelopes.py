"""Wraps a record as AWS does: the body of the message that brings it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from sluice.declaration import envelopes
from sluice.declaration.records import Listed, json_lines
from sluice.declaration.stream import Stream

TOPIC = "arn:aws:sns:eu-central-1:123456789012:example"


def wrap(
    stream: type[Stream],
    record: str,
    message_id: UUID | None = None,
    sent_at: datetime | None = None,
    around: Mapping[str, Any] | None = None,
) -> str:
    """Return the body in which the stream gets a record, given as JSON. An envelope of the user's own is left out.

    `around` has further members of the outermost object, or others in the place of those that are made up.
    """
    opens = kind(stream)
    members = dict(around or {})
    held = _held(stream, record, {} if opens in (envelopes.sns, envelopes.eventbridge) else members)
    identity = str(message_id or uuid4())
    time = f"{sent_at or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if opens is envelopes.sns:  # https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html
        notification = {"Type": "Notification", "MessageId": identity, "TopicArn": TOPIC}
        return _json({**notification, "Message": held, "Timestamp": time, **members})
    # https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
    if opens is envelopes.eventbridge:
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
                "detail": msgspec.Raw(held.encode()),
                **members,
            }
        )
    return held


def of_ones_own(stream: type[Stream]) -> str:
    """Return what of the stream's author's own is around a record, so that nobody else can wrap it; or nothing."""
    if kind(stream) not in (envelopes.plain, envelopes.sns, envelopes.eventbridge):
        return f"the envelope {stream.unwrap.__name__}"
    splitter = stream.splitter
    if splitter is None or splitter.records is json_lines or isinstance(splitter.records, Listed):
        return ""
    return f"the function {splitter.name}"


def _held(stream: type[Stream], record: str, beside: Mapping[str, Any]) -> str:
    """Return what the envelope holds: the record, or several of them, which is this one alone."""
    if stream.splitter is None or not isinstance(stream.splitter.records, Listed):
        return record.replace("\n", " ") if stream.splitter else record  # of JSON lines each is one line
    held: Any = [msgspec.Raw(record.encode(errors="surrogatepass"))]
    for key in reversed(stream.splitter.records.keys):
        held = {key: held}
    return _json({**beside, **held})


def kind(stream: type[Stream]) -> object:
    """Return the envelope that the declaration names."""
    return getattr(stream.unwrap, "__wrapped__", stream.unwrap)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
