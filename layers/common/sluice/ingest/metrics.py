"""The metrics and log lines of a batch."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from aws_lambda_powertools.metrics import MetricUnit

from sluice.ingest import traces
from sluice.ingest.rows import Rejection
from sluice.ingest.store import Written
from sluice.telemetry import count, logger, metrics


def count_batch(
    stream: str,
    records: Sequence[Mapping[str, Any]],
    written: Written,
    rejections: Sequence[Rejection],
    rejected_again: int = 0,
    received: int | None = None,
    ignored: int = 0,
    nulled: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Log and count what became of a batch of SQS records; the metrics go out as Embedded Metric Format.

    All counts are of records. `received` counts all of them; None: each message holds one. `rejected_again` counts
    those that were rejected for the same reason before. `nulled` counts by pointer the values that became NULL because
    they were invalid.
    """
    for rejection in rejections:
        logger.warning("record rejected", extra=msgspec.structs.asdict(rejection))
    reasons = Counter(rejection.reason for rejection in rejections)
    counts = {
        "Received": len(records) if received is None else received,
        "Written": written.written,
        "Duplicate": written.duplicates,
        "Rejected": reasons.total(),
        "RejectedAgain": rejected_again,
        "Erased": written.erased,
        "Sealed": written.sealed,
        "Nulled": sum(nulled.values()),
    }
    if ignored:  # by streams that ignore something
        counts["Ignored"] = ignored
    if written.expired:  # of streams with a period of retention
        counts["Expired"] = written.expired
    metrics.add_dimension("stream", stream)
    for name, number in counts.items():
        metrics.add_metric(name, MetricUnit.Count, number)
    metrics.add_metric("WriteMilliseconds", MetricUnit.Milliseconds, written.milliseconds)
    if records:
        oldest = min(int(record["attributes"]["SentTimestamp"]) for record in records)
        metrics.add_metric("OldestRecordAge", MetricUnit.Seconds, max(0.0, time.time() - oldest / 1000))
    for written_to, number in written.written_by_stream.items():
        count("WrittenByStream", number, stream=stream, written_to=written_to)
    for reason, number in reasons.items():
        count("RejectedByReason", number, stream=stream, reason=reason)
    if "internal_error" in reasons:
        count("InternalErrors", reasons["internal_error"])  # of all streams, for one alarm
    metrics.flush_metrics()
    told = {"nulled": dict(nulled), "traces": traces.roots(records)}
    logger.info("batch done", extra=counts | {name: value for name, value in told.items() if value})
