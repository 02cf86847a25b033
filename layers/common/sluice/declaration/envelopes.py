"""Envelopes: what AWS wraps around a record on its way to the queue in, the record's JSON out."""

from collections.abc import Callable
from typing import Any

import msgspec

from sluice.failures import Rejected

type Envelope = Callable[[str], str | bytes]


class _Notification(msgspec.Struct):
    """https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html"""

    record: str = msgspec.field(name="Message")


class _Event(msgspec.Struct):
    """https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html"""

    record: msgspec.Raw = msgspec.field(name="detail")


def plain(body: str) -> str:
    """The body is the record."""
    return body


def sns(body: str) -> str:
    """The body is an SNS notification, the record its message. Raises Rejected when it is none."""
    return str(_open(_NOTIFICATION, body))


def eventbridge(body: str) -> bytes:
    """The body is an EventBridge event, the record its detail. Raises Rejected when it is none."""
    return bytes(_open(_EVENT, body))


_NOTIFICATION = msgspec.json.Decoder(_Notification)
_EVENT = msgspec.json.Decoder(_Event)


def _open(decoder: msgspec.json.Decoder[Any], body: str) -> Any:
    try:
        return decoder.decode(body).record
    except (ValueError, RecursionError):
        raise Rejected("not_in_its_envelope") from None  # the cause may quote the body
