"""The message of SQS that holds a record: its event, its identity and its time."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.failures import Rejected

_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


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
        if not isinstance(record.get("receiptHandle"), str) or not isinstance(record.get("eventSourceARN"), str):
            raise NotAnSqsEvent("event: every record must have a `receiptHandle` and an `eventSourceARN`")
        if not _is_timestamp(str((record.get("attributes") or {}).get("SentTimestamp"))):
            raise NotAnSqsEvent("event: every record must have the attribute `SentTimestamp`")
    return records


def message_id(record: SQSRecord) -> str:
    """Return what makes the message one: its attribute `sluice_message_id`, a UUID, else the id that SQS gave it.

    Raises Rejected when the attribute is no UUID.
    """
    identity = _attribute(record, "sluice_message_id")
    if identity is None:
        return str(record.raw_event["messageId"]).lower()
    if not _UUID.fullmatch(identity):
        raise Rejected("not_a_uuid", "/sluice_message_id")
    return identity.lower()


def sent_at(record: SQSRecord) -> str:
    """Return when the message was first sent, in ISO 8601 and UTC: its attribute `sluice_sent_at`, else SentTimestamp.

    Both are milliseconds since 1970. Raises Rejected when the attribute is not.
    """
    timestamp = _attribute(record, "sluice_sent_at")
    if timestamp is None:
        timestamp = str(record.raw_event["attributes"]["SentTimestamp"])
    elif not _is_timestamp(timestamp):
        raise Rejected("not_a_timestamp", "/sluice_sent_at")
    return f"{_iso_second(timestamp[:-3])}.{timestamp[-3:]:0>3}Z"


def _attribute(record: SQSRecord, name: str) -> str | None:
    """Return the text of a message attribute, empty when it is of another type, or None when there is none."""
    attributes = record.raw_event.get("messageAttributes")
    if not attributes or name not in attributes:
        return None
    attribute = attributes[name]
    return str(attribute.get("stringValue") or "") if isinstance(attribute, dict) else ""


def _is_timestamp(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 15  # milliseconds, up to the year 5138


@lru_cache(maxsize=1024)  # the messages of a batch were sent within few seconds: 0.1 instead of 2 µs
def _iso_second(seconds: str) -> str:
    return datetime.fromtimestamp(int(seconds or 0), UTC).strftime("%Y-%m-%dT%H:%M:%S")
