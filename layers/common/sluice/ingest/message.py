"""The message of SQS that holds a record: its event, its identity and its time."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

import msgspec
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.declaration.envelopes import Postmark
from sluice.declaration.outside import OF_PRODUCERS, Outside
from sluice.declaration.postmark import as_uuid
from sluice.failures import Rejected

_UUID = re.compile("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")  # re.IGNORECASE takes twice as long

OURS = "sluice_"  # how the names of our own attributes begin
FIRST_ATTRIBUTES = "sluice_attributes"  # JSON: those of SQS that a redriven message had at first

EARLIEST = 1_000_000_000_000  # milliseconds since 1970: 9 September 2001, the first of 13 digits
DAY = 86_400_000  # milliseconds
_MILLISECOND = timedelta(milliseconds=1)


class NotAnSqsEvent(Exception):
    """The event is not what Lambda sends for an SQS queue: says which rule it breaks."""


def sqs_records(event: Any) -> list[dict[str, Any]]:
    """Return the records of an SQS event. Raises NotAnSqsEvent: an event of another kind is no empty success.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event
    """
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list):
        raise NotAnSqsEvent("event: must have a list of `Records`")
    for record in records:
        if not isinstance(record, dict) or record.get("eventSource") != "aws:sqs":
            raise NotAnSqsEvent("event: every record must have the eventSource `aws:sqs`")
        if not isinstance(record.get("body"), str) or not _UUID.fullmatch(str(record.get("messageId"))):
            raise NotAnSqsEvent("event: every record must have a text as `body` and a UUID as `messageId`")
        if not isinstance(record.get("receiptHandle"), str) or not str(record.get("eventSourceARN")).startswith("arn:"):
            raise NotAnSqsEvent("event: every record must have a `receiptHandle` and an `eventSourceARN`")
        attributes = record.get("attributes")
        if not isinstance(attributes, dict) or not _is_timestamp(str(attributes.get("SentTimestamp"))):
            raise NotAnSqsEvent("event: every record must have the attribute `SentTimestamp`")
        if (own := record.get("messageAttributes")) and not isinstance(own, dict):
            raise NotAnSqsEvent("event: `messageAttributes` must be an object")
    return records


def message_id(record: SQSRecord, postmark: Postmark | None = None) -> str:
    """Return the UUID that identifies the message; `postmark` is what the message's body says of it.

    That is its attribute `sluice_message_id`, else the identity in the record, else the id in its envelope, else the id
    that SQS gave it. SNS and EventBridge may deliver one message twice, under two ids of SQS. A UUIDv5 stands for an id
    that is no UUID. Raises Rejected when the attribute is empty.
    """
    identity = _attribute(record, "sluice_message_id", postmark)
    if identity is None and postmark is not None:
        if postmark.identity is not None:
            return postmark.identity
        identity = postmark.message_id
    if identity is None:
        return _id_of_sqs(record)
    try:
        return as_uuid(identity)
    except Rejected as rejected:
        raise rejected.at("/sluice_message_id") from None


def id_of_row_or_rejection(record: SQSRecord, postmark: Postmark | None = None) -> str:
    """Return the id under which the database knows the message: without a good one of its own, that of SQS."""
    try:
        return message_id(record, postmark)
    except Rejected:
        return _id_of_sqs(record)


def id_of_record(of_message: str, index: int, own: Postmark | None = None) -> str:
    """Return the id of one of several records: its own identity, else a UUIDv5 of the message's id and its place."""
    if own is not None and own.identity is not None:
        return own.identity
    return str(uuid5(UUID(of_message), str(index)))


def sent_at(record: SQSRecord, postmark: Postmark | None = None) -> str:
    """Return when the message was first sent, in ISO 8601 and UTC, to the millisecond.

    That is its attribute `sluice_sent_at`, else the time in the record, else the time in its envelope, else
    SentTimestamp. The attribute is in milliseconds since 1970. Raises Rejected when it is not, and when the attribute
    or the time in the record is before 2001 or more than a day ahead. A time in seconds, for example, would be in
    January 1970, and so before every erasure.
    """
    of_sqs = str(record.raw_event["attributes"]["SentTimestamp"])
    timestamp = _attribute(record, "sluice_sent_at", postmark)
    if timestamp is not None:
        if not _is_timestamp(timestamp):
            raise Rejected("not_a_timestamp", "/sluice_sent_at")
        if not _is_plausible(int(timestamp), of_sqs):
            raise Rejected("out_of_range", "/sluice_sent_at")
        return _iso(timestamp)
    if postmark is not None and postmark.sent_at is not None:
        if _is_plausible(postmark.sent_at, of_sqs):
            return _iso(str(postmark.sent_at))
        if postmark.time_pointer:
            raise Rejected("out_of_range", postmark.time_pointer)
    return _iso(of_sqs)


def sent_at_of_record(record: SQSRecord, own: Postmark | None, of_message: str) -> str:
    """Return when one of several records was sent: the time in the record takes precedence over the message's.

    So a redrive, which says when the message was sent, changes nothing. Raises Rejected as `sent_at` does.
    """
    if own is None or own.sent_at is None:
        return of_message
    if not _is_plausible(own.sent_at, str(record.raw_event["attributes"]["SentTimestamp"])):
        raise Rejected("out_of_range", own.time_pointer)
    return _iso(str(own.sent_at))


def lacks_time(record: SQSRecord, postmark: Postmark | None) -> bool:
    """Tell whether a producer has given the message an id, but no time: SQS stamps each sending anew."""
    if _attribute(record, "sluice_sent_at", postmark) is not None:
        return False
    own_id = _attribute(record, "sluice_message_id", postmark)
    if postmark is None or postmark.identity is not None:
        return bool(own_id)
    of_sqs = str(record.raw_event["attributes"]["SentTimestamp"])
    has_time = postmark.sent_at is not None and _is_plausible(postmark.sent_at, of_sqs)
    return bool(own_id or postmark.message_id) and not has_time


def is_too_old(record: SQSRecord, postmark: Postmark | None, keep_for: timedelta | None) -> bool:
    """Tell whether a record was too old to be kept when SQS first got it. A redriven message says when that was."""
    if keep_for is None or postmark is None or postmark.sent_at is None or not postmark.time_pointer:
        return False
    first = _attribute(record, "sluice_sent_at", None)
    received_at = int(first if first and _is_timestamp(first) else record.raw_event["attributes"]["SentTimestamp"])
    return postmark.sent_at + keep_for // _MILLISECOND < received_at


def outside(record: SQSRecord) -> Outside:
    """Return what is outside of a message's record: its body as the envelope, and its attributes.

    SQS's attributes go by their own names. A redriven message brings those that it had when it was first sent.
    """
    own = record.raw_event.get("messageAttributes") or {}
    producers = {name: _value(one) for name, one in own.items() if not name.startswith(OURS)}
    message = {**record.raw_event["attributes"], **_first(own.get(FIRST_ATTRIBUTES)), OF_PRODUCERS: producers}
    return Outside(record.body, message)


def _value(attribute: Any) -> str | None:
    """Return the text of an attribute, that of a binary one in base64."""
    return attribute.get("stringValue") or attribute.get("binaryValue") if isinstance(attribute, dict) else None


def _first(attribute: Any) -> dict[str, str]:
    try:
        return msgspec.json.decode(_value(attribute) or "{}", type=dict[str, str])
    except ValueError:
        return {}


def _id_of_sqs(record: SQSRecord) -> str:
    return str(record.raw_event["messageId"]).lower()


def _is_plausible(milliseconds: int, of_sqs: str) -> bool:
    """Tell whether a message can have been sent then: since 2001, and at most a day after SQS got it."""
    return EARLIEST <= milliseconds <= int(of_sqs) + DAY


def _attribute(record: SQSRecord, name: str, postmark: Postmark | None) -> str | None:
    """Return the text of a message attribute, empty when it is of another type, or None when there is none."""
    attributes = record.raw_event.get("messageAttributes")
    if not attributes or name not in attributes:
        return None if postmark is None else postmark.attributes.get(name)
    attribute = attributes[name]
    return str(attribute.get("stringValue") or "") if isinstance(attribute, dict) else ""


def _iso(timestamp: str) -> str:
    return f"{_iso_second(timestamp[:-3])}.{timestamp[-3:].zfill(3)}Z"


def _is_timestamp(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 15  # milliseconds, up to the year 5138


@lru_cache(maxsize=1024)  # the messages of a batch were sent within few seconds: 0.1 instead of 2 µs
def _iso_second(seconds: str) -> str:
    return datetime.fromtimestamp(int(seconds or 0), UTC).strftime("%Y-%m-%dT%H:%M:%S")
