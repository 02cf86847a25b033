"""Envelopes: what AWS wraps around a record on its way to the queue in, the record's JSON out."""

from collections.abc import Callable
from functools import wraps
from json import JSONDecodeError
from typing import Any

import msgspec

from sluice.failures import OF_A_USERS_CODE, Rejected, rejection_of

type Envelope = Callable[[str], Any]  # from a body to the record's JSON, or to what that JSON stands for


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


def guarded(envelope: Envelope) -> Callable[[str], str | bytes]:
    """Return an envelope that raises nothing but Rejected, and returns JSON: a user's own may do anything."""

    @wraps(envelope)
    def unwrap(body: str) -> str | bytes:
        try:
            record = envelope(body)
            return record if isinstance(record, str | bytes) else msgspec.json.encode(record)
        except msgspec.ValidationError:
            raise Rejected("not_in_its_envelope") from None  # the cause may quote the body
        except (msgspec.DecodeError, JSONDecodeError, UnicodeError):
            raise Rejected("not_json") from None
        except RecursionError:
            raise Rejected("nested_too_deeply") from None
        except OF_A_USERS_CODE as error:
            raise rejection_of(error) from None

    return plain if envelope is plain else unwrap


_NOTIFICATION = msgspec.json.Decoder(_Notification)
_EVENT = msgspec.json.Decoder(_Event)


def _open(decoder: msgspec.json.Decoder[Any], body: str) -> Any:
    try:
        return decoder.decode(body).record
    except (ValueError, RecursionError):
        raise Rejected("not_in_its_envelope") from None  # the cause may quote the body
