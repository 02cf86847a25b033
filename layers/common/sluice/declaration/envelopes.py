"""Envelopes: find the record's JSON in what AWS wraps around it on its way to the queue."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import wraps
from json import JSONDecodeError
from typing import Any, NamedTuple

import msgspec

from sluice.declaration.offloading import pointer_in
from sluice.failures import OF_A_USERS_CODE, Rejected, rejection_of

ATTRIBUTES = ("sluice_message_id", "sluice_sent_at")  # of a message: its producer's own id and time

type Envelope = Callable[[str], Any]  # from a body to the record's JSON, or to what that JSON stands for


class _Attribute(msgspec.Struct):
    value: str = msgspec.field(name="Value")


class _Notification(msgspec.Struct):
    """https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html"""

    record: str = msgspec.field(name="Message")


class _NotificationPostmark(msgspec.Struct):
    topic: str = msgspec.field(name="TopicArn")
    message_id: str = msgspec.field(name="MessageId")
    sent_at: datetime | None = msgspec.field(name="Timestamp", default=None)
    attributes: dict[str, _Attribute] = msgspec.field(name="MessageAttributes", default={})


class _Event(msgspec.Struct):
    """https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html"""

    record: msgspec.Raw = msgspec.field(name="detail")


class _EventPostmark(msgspec.Struct):
    source: str
    kind: str = msgspec.field(name="detail-type")
    message_id: str = msgspec.field(name="id")
    sent_at: datetime | None = msgspec.field(name="time", default=None)


class Postmark(NamedTuple):
    """What a body says of its message: an envelope of AWS, or the record, where its stream names fields for that."""

    message_id: str | None = None
    sent_at: int | None = None  # milliseconds since 1970, UTC
    attributes: Mapping[str, str] = {}  # those that we read of the ones that SNS left in the envelope
    identity: str | None = None  # a UUID, of the record's field
    time_pointer: str = ""  # of the record's field that the time is of
    fault: Rejected | None = None  # why a field that the stream names cannot be read


def plain(body: str) -> str:
    """The body is the record."""
    return body


def sns(body: str) -> str:
    """The body is an SNS notification, the record its message. Raises Rejected when it is none."""
    return str(_open(_NOTIFICATION, body))


def eventbridge(body: str) -> bytes:
    """The body is an EventBridge event, the record its detail. Raises Rejected when it is none."""
    return bytes(_open(_EVENT, body))


def postmark_of(envelope: Envelope, body: str) -> Postmark | None:
    """Return the postmark of a body in an envelope of AWS; None for other envelopes, and where it cannot be read.

    SNS leaves the attributes of a notification in the envelope, unless it delivers raw.
    """
    if envelope is plain:
        return None
    kind = getattr(envelope, "__wrapped__", envelope)
    try:
        if kind is sns:
            notification = _NOTIFICATION_POSTMARK.decode(body)
            own = {name: one.value for name, one in notification.attributes.items() if name in ATTRIBUTES}
            return Postmark(notification.message_id, _milliseconds(notification.sent_at), own)
        if kind is eventbridge:
            event = _EVENT_POSTMARK.decode(body)
            return Postmark(event.message_id, _milliseconds(event.sent_at))
    except (ValueError, RecursionError):
        return None
    return None


def _milliseconds(moment: datetime | None) -> int | None:
    """Return a time in milliseconds, cut off and not rounded: that could cross a day. None for one without a zone."""
    if moment is None or moment.tzinfo is None:
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def recognised(envelope: Envelope, body: str, record: str | bytes) -> Rejected | None:
    """Return what a body, or the record in its envelope, is instead of a record, if that is something well known."""
    if envelope is not plain:
        return pointed(record)  # as SNS has it in a notification that is not delivered raw
    if body.startswith("\ufeff"):
        return Rejected("byte_order_mark")
    if postmark_of(sns, body) is not None:
        return Rejected("sns_notification")
    if postmark_of(eventbridge, body) is not None:
        return Rejected("eventbridge_event")
    return pointed(body)


def pointed(text: str | bytes) -> Rejected | None:
    """Return what a text is that points to a payload in S3, and stands where the payload should."""
    return None if pointer_in(text) is None else Rejected("payload_in_s3")


def guarded(envelope: Envelope) -> Callable[[str], str | bytes]:
    """Return an envelope that raises nothing but Rejected, and returns JSON: a user's own may do anything."""

    @wraps(envelope)
    def unwrap(body: str) -> str | bytes:
        try:
            record = envelope(body)
            return record if isinstance(record, str | bytes) else msgspec.json.encode(record)
        except OF_A_USERS_CODE as error:
            raise pointed(body) or _fault(error) from None  # the cause may quote the body

    return plain if envelope is plain else unwrap


def _fault(error: BaseException) -> Rejected:
    """Return why an envelope holds no record."""
    match error:
        case msgspec.ValidationError():
            return Rejected("not_in_its_envelope")
        case msgspec.DecodeError() | JSONDecodeError() | UnicodeError():
            return Rejected("not_json")
        case RecursionError():
            return Rejected("nested_too_deeply")
    return rejection_of(error)


_NOTIFICATION = msgspec.json.Decoder(_Notification)
_EVENT = msgspec.json.Decoder(_Event)
_NOTIFICATION_POSTMARK = msgspec.json.Decoder(_NotificationPostmark)
_EVENT_POSTMARK = msgspec.json.Decoder(_EventPostmark)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _open(decoder: msgspec.json.Decoder[Any], body: str) -> Any:
    try:
        return decoder.decode(body).record
    except (ValueError, RecursionError):
        raise Rejected("not_in_its_envelope") from None  # the cause may quote the body
