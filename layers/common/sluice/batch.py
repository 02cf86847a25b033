"""SQS records in, rows stored, failed items reported: Powertools' batch processing with one write for the batch."""

import logging
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.failures import Outage, Rejected
from sluice.pseudonyms.keyset import Keyset
from sluice.rows import MaskedRow, Rejection
from sluice.store import Store, Written

UNFORESEEN = "internal_error"

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


@lru_cache(maxsize=1)
def record_handler(stream: type[Stream], keyset: Keyset) -> Callable[[SQSRecord], MaskedRow]:
    """Return the function from an SQS record to its masked row. It raises nothing but Rejected."""
    mask = stream.masker(keyset)

    def handle(record: SQSRecord) -> MaskedRow:
        try:
            return MaskedRow(message_id(record), sent_at(record), *mask(record.raw_event["body"]))
        except Rejected:
            raise
        except Exception:  # noqa: BLE001 (what we did not foresee in one record must not stop the others)
            raise Rejected(UNFORESEEN) from None  # the cause may quote the record

    return handle


class StoringBatchProcessor(BatchProcessor):
    """Handles each record as its parent does, then writes the rows and the rejections of all of them at once.

    After `process()`, `written` tells what became of the rows, and `rejected` holds the failed records, each with its
    rejection.
    """

    def __init__(
        self, store: Store, stream: type[Stream], deadline: Deadline, logger: logging.Logger | None = None
    ) -> None:
        super().__init__(EventType.SQS, raise_on_entire_batch_failure=False, logger=logger)
        self._store = store
        self._stream = stream
        self._deadline = deadline
        self.written = Written(0, 0, [], 0.0)
        self.rejected: list[tuple[SQSRecord, Rejection]] = []

    def process(self) -> list[tuple[Any, ...]]:
        """Return the parent's results. Raises Outage when nothing could be written: every message comes again then."""
        results = super().process()
        self._raise_if_it_is_our_fault()
        accepted = [(row, record) for status, row, record in results if status == "success"]

        @cache
        def records_by_id() -> dict[str, list[SQSRecord]]:  # wanted only when the database refuses a row
            records = defaultdict(list)
            for row, record in accepted:
                records[row.message_id].append(SQSRecord(record))
            return records

        failed = cast("list[SQSRecord]", self.fail_messages)
        self.rejected = [
            (record, self._rejection(record, error)) for record, error in zip(failed, self._errors(), strict=True)
        ]
        self.written = self._store.write(
            [row for row, _ in accepted],
            [rejection for _, rejection in self.rejected],
            lambda row, rejected: self._rejection(records_by_id()[row.message_id][0], rejected),
            self._deadline,
        )
        for row, rejected in self.written.refused:
            for record in records_by_id()[row.message_id]:
                self.failure_handler(record, (Rejected, rejected, None))
                self.rejected.append((record, self._rejection(record, rejected)))
        return results

    def _raise_if_it_is_our_fault(self) -> None:
        """Raise Outage when every record fails for a reason that we did not foresee.

        Then this program is at fault, and a bad deployment must not empty the queue into the dead letters.
        """
        unforeseen = [error for error in self._errors() if error.reason == UNFORESEEN]
        if unforeseen and len(unforeseen) == len(self.records):
            causes = sorted({type(error.__context__).__name__ for error in unforeseen})
            raise Outage(f"every record failed: {', '.join(causes)}")

    def _errors(self) -> list[Rejected]:
        return [cast("Rejected", error) for _, error, _ in self.exceptions]  # all that the record handler raises

    def _rejection(self, record: SQSRecord, rejected: Rejected) -> Rejection:
        try:
            identity = message_id(record)
        except Rejected:
            identity = record.message_id
        shape = self._stream.shape(record.body)
        # Cut to the table's columns: a rule of one's own, or an object deep in others, may exceed them.
        return Rejection(identity, self._stream.table, rejected.reason[:64], rejected.pointer[:256], shape)


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
