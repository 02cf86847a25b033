"""Powertools' batch processing of SQS records, with one write for the whole batch."""

import logging
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.deadline import Deadline
from sluice.declaration.route import Queued
from sluice.failures import Outage, Rejected, Unforeseen
from sluice.ingest.handler import Handled, RecordHandler, handler
from sluice.ingest.ledger import Batch
from sluice.ingest.rows import Key, MaskedRow, Rejection
from sluice.ingest.store import Store, Written
from sluice.pseudonyms.keyset import Keyset

# Errors of a user's own code that no record can cause: the code itself is wrong.
OF_THE_CODE = ("ImportError", "ModuleNotFoundError", "NameError")


def record_handler(queued: Queued, keyset: Keyset) -> RecordHandler:
    """Return the handler of the messages of a queue, made once for each keyset."""
    return _handler(cast("Hashable", queued), keyset)


_handler = lru_cache(maxsize=1)(handler)


class StoringBatchProcessor(BatchProcessor):
    """Handles each record as its parent does, then writes the rows and the rejections of all of them at once.

    After `process()`, `written` tells what became of the rows, and `rejected` holds the refused records' messages, each
    with the rejection. `received` and `ignored` count records. `nulled` counts by pointer the values that became NULL
    because they were invalid, except those of refused records.
    """

    def __init__(
        self, store: Store, deadline: Deadline, logger: logging.Logger | None = None, request_id: str = ""
    ) -> None:
        super().__init__(EventType.SQS, raise_on_entire_batch_failure=False, logger=logger)
        self._store = store
        self._deadline = deadline
        self._request_id = request_id
        self._known = 0  # messages that are rows already, and whose payloads are gone
        self.written = Written(0, 0, [], 0.0)
        self.rejected: list[tuple[SQSRecord, Rejection]] = []
        self.received = self.ignored = 0
        self._failed_ids: set[str] = set()  # of the messages that fail after their handler succeeded
        self.nulled: Counter[str] = Counter()

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
        handler = cast("RecordHandler", self.handler)
        failed = [(error, handler.rejection(record, error)) for record, error in whole]
        self._raise_if_it_is_our_fault(rows, [*failed, *((one.rejected, one.rejection) for one in refusals)])

        @cache
        def messages_by_key() -> dict[Key, list[tuple[SQSRecord, Handled]]]:  # wanted only when a row is refused
            messages = defaultdict(list)
            for _, one, record in handled:
                for row in one.rows:
                    messages[row.key].append((SQSRecord(record), one))
            return messages

        def rejections(row: MaskedRow, rejected: Rejected) -> list[tuple[SQSRecord, Rejection]]:
            messages = messages_by_key()[row.key]
            return [(record, handler.rejection_of_row(record, one, row, rejected)) for record, one in messages]

        self.rejected = [(record, rejection) for (record, _), (_, rejection) in zip(whole, failed, strict=True)]
        for one, record in mixed:
            self._fail([(record, refusal.rejection) for refusal in one.refusals])
        self.written = self._store.write(
            rows,
            [rejection for _, rejection in self.rejected],
            lambda row, rejected: rejections(row, rejected)[0][1],
            self._deadline,
            Batch(handler.name, self._request_id, self.ignored, self._known),
        )
        refused = {row.key for row, _ in self.written.refused}
        nulled = [row for row in rows if row.nulled]
        self.nulled = Counter(pointer for row in nulled if row.key not in refused for pointer in row.nulled)
        for row, rejected in self.written.refused:
            self._fail(rejections(row, rejected))
        return results

    @property
    def failed(self) -> list[SQSRecord]:
        """The messages that fail, each once."""
        return cast("list[SQSRecord]", self.fail_messages)

    @property
    def newly_rejected(self) -> list[Rejection]:
        """The rejections to log and count: a message is received ten times before it is a dead letter."""
        return [rejection for _, rejection in self.rejected if rejection.message_id in self.written.newly_rejected]

    def _raise_if_it_is_our_fault(
        self, rows: Sequence[MaskedRow], failed: Sequence[tuple[Rejected, Rejection]]
    ) -> None:
        """Raise Outage when all records of a stream failed of something unforeseen, and none of them is at fault.

        Then the stream's own example fails too, or the error is one of `OF_THE_CODE`. A bad deployment must not
        empty the queue into the dead letters. A bad record must not stop the queue.
        """
        if not failed:
            return
        errors = defaultdict(list)
        for rejected, rejection in failed:
            errors[rejection.stream].append(rejected)
        for stream in errors.keys() - {row.stream for row in rows}:
            causes = {error.cause for error in errors[stream] if isinstance(error, Unforeseen)}
            if not causes or not all(isinstance(error, Unforeseen) for error in errors[stream]):
                continue
            if causes & set(OF_THE_CODE) or cast("RecordHandler", self.handler).fails_of_everything(stream):
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
