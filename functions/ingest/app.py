"""Write an SQS batch to PostgreSQL: mask its records, store their rows, report the messages that failed."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice import telemetry
from sluice.breaker.trip import tripping
from sluice.deadline import Deadline
from sluice.declaration.registry import load_queued
from sluice.declaration.route import Queued, streams_of
from sluice.ingest import metrics, payloads, visibility
from sluice.ingest.batch import StoringBatchProcessor, record_handler
from sluice.ingest.message import sqs_records
from sluice.ingest.offloaded import OffloadedBatchProcessor
from sluice.ingest.payloads import Payloads
from sluice.ingest.store import Store
from sluice.postgres.database import Database
from sluice.pseudonyms import keyset_secret
from sluice.settings import IngestSettings, TripSettings
from sluice.vault.sealing import Vault


@telemetry.logger.inject_lambda_context(log_event=False)  # whatever the environment says: events hold personal data
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Answer an SQS event with `{"batchItemFailures": [{"itemIdentifier": …}, …]}`: Lambda deletes all others.

    Raises NotAnSqsEvent for any other event, Outage when nothing could be stored: Lambda deletes no message then.
    """
    records = sqs_records(event)
    deadline = Deadline.of(context)

    with tripping(TripSettings.read(), records, context.invoked_function_arn):
        queued, store = _stream(), _store()
        keyset = keyset_secret.recent(_settings().token_key_secret_id)
        store.verify(keyset, deadline)
        processor = _processor(store, deadline, context.aws_request_id)
        with processor(records, handler=record_handler(queued, keyset)):
            processor.process()

    newly_rejected = processor.newly_rejected
    again = len(processor.rejected) - len(newly_rejected)
    metrics.count_batch(
        queued.stream_name,
        records,
        processor.written,
        newly_rejected,
        again,
        processor.received,
        processor.ignored,
        processor.nulled,
    )
    visibility.release(processor.failed, deadline)
    return processor.response()


@cache
def _settings() -> IngestSettings:
    return IngestSettings.read()


@cache
def _stream() -> Queued:
    return load_queued(_settings().stream)


@cache
def _payloads() -> Payloads | None:
    return payloads.of(_stream(), _settings().payload_bucket)


def _processor(store: Store, deadline: Deadline, request_id: str) -> StoringBatchProcessor:
    offloaded = _payloads()
    if offloaded is None:
        return StoringBatchProcessor(store, deadline, request_id=request_id)
    return OffloadedBatchProcessor(store, deadline, offloaded, request_id)


@cache
def _store() -> Store:
    """Return the store of this execution environment; it connects with the first batch, and stays connected."""
    database = Database(_settings().database, application_name="sluice-ingest")
    return Store(database, streams_of(_stream()), Vault(_settings().vault), _settings().code_version)
