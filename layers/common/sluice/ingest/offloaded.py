"""A batch of messages that may point to bodies in S3: the bodies are read first, and deleted last if so declared."""

from collections.abc import Mapping
from itertools import batched
from typing import Any, cast

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse, PartialItemFailures
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.aws import clients
from sluice.deadline import Deadline
from sluice.declaration.offloading import pointer_in
from sluice.failures import Rejected
from sluice.ingest.batch import StoringBatchProcessor
from sluice.ingest.handler import Handled, RecordHandler
from sluice.ingest.message import id_of_record, id_of_row_or_rejection
from sluice.ingest.payloads import MISSING, Payloads, Unread
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.ingest.store import Store
from sluice.ingest.visibility import queue_url
from sluice.telemetry import logger

DELETE_SECONDS = 10  # of a call of SQS and one of S3


class OffloadedHandler(RecordHandler):
    """Rejects the messages whose payloads cannot be had; another handler takes all others."""

    def __init__(self, handler: RecordHandler, faults: Mapping[str, Rejected]) -> None:
        self.name = handler.name
        self._handler = handler
        self._faults = faults  # by the id of SQS

    def __call__(self, record: SQSRecord) -> Handled:
        fault = self._faults.get(record.message_id)
        if fault is not None:
            raise fault
        return self._handler(record)

    def rejection(self, record: SQSRecord, rejected: Rejected) -> Rejection:
        return self._handler.rejection(record, rejected)

    def rejection_of_row(self, record: SQSRecord, handled: Handled, row: MaskedRow, rejected: Rejected) -> Rejection:
        return self._handler.rejection_of_row(record, handled, row, rejected)

    def fails_of_everything(self, stream: str) -> bool:
        return self._handler.fails_of_everything(stream)


class OffloadedBatchProcessor(StoringBatchProcessor):
    """Reads the payloads of a batch before it is processed.

    A message whose payload could not be read this time is left out, and comes again. An object is deleted after its
    message, and the message after the commit. So whatever ends the function, no message that comes again finds its
    object gone. A message that SQS delivers twice may find it gone, and is a duplicate if its id is that of a row.
    """

    def __init__(self, store: Store, deadline: Deadline, payloads: Payloads, request_id: str = "") -> None:
        super().__init__(store, deadline, request_id=request_id)
        self._payloads = payloads
        self._again: set[str] = set()  # ids of messages that did not fail, and are to come again

    def process(self) -> list[tuple[Any, ...]]:
        sent: list[dict[str, Any]] = self.records
        found = self._payloads.read([record["body"] for record in sent], self._deadline)
        read = list(zip(sent, found, strict=True))
        unread = {record["messageId"]: one.why for record, one in read if isinstance(one, Unread)}
        if unread:
            logger.warning("payloads not read", extra={"count": len(unread), "error": next(iter(unread.values()))})
        self._again = set(unread)
        self.records = [
            record | {"body": one if isinstance(one, str) else record["body"]}
            for record, one in read
            if not isinstance(one, Unread)
        ]
        faults = {record["messageId"]: one for record, one in read if isinstance(one, Rejected)}
        done = self._done(faults)
        self._known = len(done)
        self.records = [record for record in self.records if record["messageId"] not in done]
        self.handler = OffloadedHandler(cast("RecordHandler", self.handler), faults)
        results = super().process()
        self.received += len(done)
        self.written = self.written._replace(duplicates=self.written.duplicates + len(done))
        if self._payloads.are_deleted:
            failed = {record.message_id for record in self.failed} | self._again
            self._delete([record for record in sent if record["messageId"] not in failed])
        return results

    def response(self) -> PartialItemFailureResponse:
        again: list[PartialItemFailures] = [{"itemIdentifier": message_id} for message_id in sorted(self._again)]
        return {"batchItemFailures": [*super().response()["batchItemFailures"], *again]}

    def _done(self, faults: Mapping[str, Rejected]) -> set[str]:
        """Return SQS's ids of the messages whose objects are gone because the messages are rows already."""
        missing = {
            record["messageId"]: id_of_row_or_rejection(SQSRecord(record))
            for record in self.records
            if record["messageId"] in faults and faults[record["messageId"]].reason == MISSING
        }
        if not missing or not self._payloads.are_deleted:
            return set()
        first = {sqs_id: id_of_record(message_id, 0) for sqs_id, message_id in missing.items()}  # of several records
        stored = self._store.stored({*missing.values(), *first.values()}, self._deadline)
        return {sqs_id for sqs_id, message_id in missing.items() if {message_id, first[sqs_id]} & stored}

    def _delete(self, done: list[dict[str, Any]]) -> None:
        """Delete messages that point to objects, and then the objects. A message that SQS keeps comes again."""
        for ten in batched([record for record in done if pointer_in(record["body"]) is not None], 10):
            gone = self._deleted(ten) if self._deadline.allows(DELETE_SECONDS) else []
            self._payloads.delete(record["body"] for record in gone)
            self._again |= {record["messageId"] for record in ten} - {record["messageId"] for record in gone}

    def _deleted(self, records: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
        entries = [{"Id": str(number), "ReceiptHandle": one["receiptHandle"]} for number, one in enumerate(records)]
        try:
            url = queue_url(records[0]["eventSourceARN"])
            answer = clients.client("sqs").delete_message_batch(QueueUrl=url, Entries=entries)
        except clients.errors() as error:  # the rows are committed: it is no outage
            logger.warning("messages not deleted", extra={"count": len(records), "error": clients.reason(error)})
            return []
        return [records[int(gone["Id"])] for gone in answer.get("Successful", [])]
