"""SQS records in, rows stored, failed items reported: Powertools' batch processing with one write for the batch."""

import logging
from collections import Counter, defaultdict
from functools import cache, lru_cache
from typing import Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.deadline import Deadline
from sluice.declaration import witness
from sluice.declaration.stream import Stream
from sluice.failures import OF_A_USERS_CODE, Outage, Rejected, Unforeseen, rejection_of
from sluice.ingest.message import id_of_row_or_rejection, message_id, sent_at
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.ingest.store import Store, Written
from sluice.pseudonyms.keyset import Keyset

# Errors of a user's own code that no record can cause: the code itself is wrong.
OF_THE_CODE = ("ImportError", "ModuleNotFoundError", "NameError")


class RecordHandler:
    """The function from an SQS record to its masked row. It raises nothing but Rejected."""

    def __init__(self, stream: type[Stream], keyset: Keyset) -> None:
        self._stream = stream
        self._keyset = keyset
        self._mask = stream.masker(keyset)
        self._postmark = stream.postmark.reader(stream.unwrap)

    def __call__(self, record: SQSRecord) -> MaskedRow:
        try:
            body = record.raw_event["body"]
            masked = self._mask(body)
            postmark = self._postmark(body)
            if postmark is not None and postmark.fault is not None:
                raise postmark.fault
            return MaskedRow(
                message_id(record, postmark), sent_at(record, postmark), masked.cells, masked.originals, masked.nulled
            )
        except OF_A_USERS_CODE as error:
            raise rejection_of(error) from None  # the cause may quote the record

    def fails_of_everything(self) -> bool:
        """Tell whether the stream's code fails of the stream's own example too: then no record is at fault."""
        try:
            witness.mask(self._stream, self._keyset)
        except Rejected as rejected:
            return isinstance(rejected, Unforeseen)  # any other is a foreseen answer: the code works
        return False


@lru_cache(maxsize=1)
def record_handler(stream: type[Stream], keyset: Keyset) -> RecordHandler:
    """Return the handler of a stream's records, made once for each keyset."""
    return RecordHandler(stream, keyset)


class StoringBatchProcessor(BatchProcessor):
    """Handles each record as its parent does, then writes the rows and the rejections of all of them at once.

    After `process()`, `written` tells what became of the rows, and `rejected` holds the failed records, each with its
    rejection; `nulled` counts by pointer the values of the others that became NULL because they were invalid.
    """

    def __init__(
        self, store: Store, stream: type[Stream], deadline: Deadline, logger: logging.Logger | None = None
    ) -> None:
        super().__init__(EventType.SQS, raise_on_entire_batch_failure=False, logger=logger)
        self._store = store
        self._stream = stream
        self._postmark = stream.postmark.reader(stream.unwrap)
        self._deadline = deadline
        self.written = Written(0, 0, [], 0.0)
        self.rejected: list[tuple[SQSRecord, Rejection]] = []
        self.nulled: Counter[str] = Counter()

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
        refused = {row.message_id for row, _ in self.written.refused}
        self.nulled = Counter(pointer for row, _ in accepted if row.message_id not in refused for pointer in row.nulled)
        for row, rejected in self.written.refused:
            for record in records_by_id()[row.message_id]:
                self.failure_handler(record, (Rejected, rejected, None))
                self.rejected.append((record, self._rejection(record, rejected)))
        return results

    @property
    def newly_rejected(self) -> list[Rejection]:
        """The rejections that are to be told: a message is received ten times before it is a dead letter."""
        return [rejection for _, rejection in self.rejected if rejection.message_id in self.written.newly_rejected]

    def _raise_if_it_is_our_fault(self) -> None:
        """Raise Outage when every record failed of something unforeseen, and the stream's own example fails too.

        A bad deployment must not empty the queue into the dead letters. A bad record must not stop the queue.
        """
        unforeseen = [error for error in self._errors() if isinstance(error, Unforeseen)]
        if not unforeseen or len(unforeseen) < len(self.records):
            return
        causes = {error.cause for error in unforeseen}
        if causes & set(OF_THE_CODE) or cast("RecordHandler", self.handler).fails_of_everything():
            raise Outage(f"every record failed: {', '.join(sorted(causes))}")

    def _errors(self) -> list[Rejected]:
        return [cast("Rejected", error) for _, error, _ in self.exceptions]  # all that the record handler raises

    def _rejection(self, record: SQSRecord, rejected: Rejected) -> Rejection:
        identity = id_of_row_or_rejection(record, self._postmark(record.body))
        shape = self._stream.shape(record.body)
        # Cut to the table's columns: a rule of one's own, or an object deep in others, may exceed them.
        return Rejection(identity, self._stream.stream_name, rejected.reason[:64], rejected.pointer[:256], shape)
