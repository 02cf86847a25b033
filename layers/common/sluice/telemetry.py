"""Logs and metrics: ids, reasons and counts in, JSON lines out. Nothing of a record's content is ever handed in."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from sluice.failures import Outage
from sluice.rows import Rejection
from sluice.store import Written

logger = Logger()
metrics = Metrics()

for library in ("boto3", "botocore", "urllib3", "s3transfer"):
    logging.getLogger(library).setLevel(logging.WARNING)  # at DEBUG botocore logs secrets, whatever our own level is


def count_batch(
    stream: str, records: Sequence[Mapping[str, Any]], written: Written, rejections: Sequence[Rejection]
) -> None:
    """Log and count what became of a batch of SQS records; the metrics go out as Embedded Metric Format."""
    for rejection in rejections:
        logger.warning("record rejected", extra=msgspec.structs.asdict(rejection))
    reasons = Counter(rejection.reason for rejection in rejections)
    counts = {
        "Received": len(records),
        "Written": written.written,
        "Duplicate": written.duplicates,
        "Rejected": reasons.total(),
        "Erased": written.erased,
        "Sealed": written.sealed,
    }
    metrics.add_dimension("stream", stream)
    for name, number in counts.items():
        metrics.add_metric(name, MetricUnit.Count, number)
    metrics.add_metric("WriteMilliseconds", MetricUnit.Milliseconds, written.milliseconds)
    if records:
        oldest = min(int(record["attributes"]["SentTimestamp"]) for record in records)
        metrics.add_metric("OldestRecordAge", MetricUnit.Seconds, max(0.0, time.time() - oldest / 1000))
    for reason, number in reasons.items():
        count("RejectedByReason", number, stream=stream, reason=reason)
    metrics.flush_metrics()
    logger.info("batch done", extra=counts)


def count_outage(stream: str, outage: Outage) -> None:
    """Log and count an outage that ended a batch."""
    logger.error("outage", stream=stream, source=outage.source, why=str(outage))
    count("Outage", stream=stream)
    count("OutageByReason", stream=stream, reason=outage.source)


def count(name: str, number: int = 1, **dimensions: str) -> None:
    """Count under dimensions of its own."""
    with single_metric(name, MetricUnit.Count, number) as metric:
        for dimension, value in dimensions.items():
            metric.add_dimension(dimension, value)
