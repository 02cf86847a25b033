"""SQS records in, rows stored, failed items reported: Powertools' batch processing with one write for the batch."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.failures import Outage, Rejected, Unforeseen
from sluice.ingest.handler import Handled, RecordHandler, RecordsHandler
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.ingest.store import Store, Written
from sluice.pseudonyms.keyset import Keyset

# Errors of a user's own code that no record can cause: the code itself is wrong.
OF_THE_CODE = ("ImportError", "ModuleNotFoundError", "NameError")


@lru_cache(maxsize=1)
def record_handler(stream: type[Stream], keyset: Keyset) -> RecordHandler:
    """Return the handler of a stream's records, made once for each keyset."""
    splitter = stream.splitter
    return RecordHandler(stream, keyset) if splitter is None else RecordsHandler(stream, keyset, splitter)


class StoringBatchProcessor(BatchProcessor):
    """Handles each record as its parent does, then writes the rows and the rejections of all of them at once.

    After `process()`, `written` tells what became of the rows, and `rejected` holds the refused records' messages, each
    with the rejection. `received` and `ignored` count records.
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
        self.received = self.ignored = 0
        self._failed_ids: set[str] = set()  # of the messages that fail though their handler did not

    def process(self) -> list[tuple[Any, ...]]:
        """Return the parent's results. Raises Outage when nothing could be written: every message comes again then."""
        self._failed_ids.clear()
        results = super().process()
        whole = list(zip(self.failed, self._errors(), strict=True))
        handled: list[tuple[str, Handled, Any]] = [result for result in results if result[0] == "success"]
        rows = list(chain.from_iterable([one.rows for _, one, _ in handled]))
        mixed = [(one, SQSRecord(record)) for _, one, record in handled if one.refusals or one.ignored]
        refusals = [refusal for one, _ in mixed for refusal in one.refusals]
        self.ignored = sum(one.ignored for one, _ in mixed)
        self.received = len(whole) + len(rows) + len(refusals) + self.ignored
        if not rows:
            self._raise_if_it_is_our_fault([*self._errors(), *(refusal.rejected for refusal in refusals)])
        handler = cast("RecordHandler", self.handler)

        @cache
        def messages_by_id() -> dict[str, list[tuple[SQSRecord, Handled]]]:  # wanted only when a row is refused
            messages = defaultdict(list)
            for _, one, record in handled:
                for row in one.rows:
                    messages[row.message_id].append((SQSRecord(record), one))
            return messages

        def rejections(row: MaskedRow, rejected: Rejected) -> list[tuple[SQSRecord, Rejection]]:
            messages = messages_by_id()[row.message_id]
            return [(record, handler.rejection_of_row(record, one, row, rejected)) for record, one in messages]

        self.rejected = [(record, handler.rejection(record, error)) for record, error in whole]
        for one, record in mixed:
            self._fail([(record, refusal.rejection) for refusal in one.refusals])
        self.written = self._store.write(
            rows,
            [rejection for _, rejection in self.rejected],
            lambda row, rejected: rejections(row, rejected)[0][1],
            self._deadline,
        )
        for row, rejected in self.written.refused:
            self._fail(rejections(row, rejected))
        return results

    @property
    def failed(self) -> list[SQSRecord]:
        """The messages that fail, each once."""
        return cast("list[SQSRecord]", self.fail_messages)

    @property
    def newly_rejected(self) -> list[Rejection]:
        """The rejections that are to be told: a message is received ten times before it is a dead letter."""
        return [rejection for _, rejection in self.rejected if rejection.message_id in self.written.newly_rejected]

    def _raise_if_it_is_our_fault(self, errors: Sequence[Rejected]) -> None:
        """Raise Outage when all records failed of something unforeseen, and the stream's own example fails too.

        A bad deployment must not empty the queue into the dead letters. A bad record must not stop the queue.
        """
        causes = {error.cause for error in errors if isinstance(error, Unforeseen)}
        if not causes or not all(isinstance(error, Unforeseen) for error in errors):
            return
        if causes & set(OF_THE_CODE) or cast("RecordHandler", self.handler).fails_of_everything():
            raise Outage(f"every record failed: {', '.join(sorted(causes))}")

    def _errors(self) -> list[Rejected]:
        return [cast("Rejected", error) for _, error, _ in self.exceptions]  # all that the record handler raises

    def _fail(self, rejected: Sequence[tuple[SQSRecord, Rejection]]) -> None:
        """Report messages whose records are refused, each once."""
        self.rejected += rejected
        for record, rejection in rejected:
            if record.message_id not in self._failed_ids:
                self._failed_ids.add(record.message_id)
                self.failure_handler(record, (Rejected, Rejected(rejection.reason, rejection.pointer), None))
