"""Logs and metrics, as JSON lines of ids, reasons and counts. Nothing of a record's content is ever handed in."""

import logging

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from sluice.failures import Outage

logger = Logger()
metrics = Metrics()

for library in ("boto3", "botocore", "urllib3", "s3transfer"):
    logging.getLogger(library).setLevel(logging.WARNING)  # at DEBUG botocore logs secrets, whatever our own level is


def count_outage(stream: str, outage: Outage) -> None:
    """Log and count an outage that ended a batch."""
    logger.error("outage", stream=stream, source=outage.source, why=str(outage))
    count("Outage")  # of all streams, for one alarm
    count("Outage", stream=stream)
    count("OutageByReason", stream=stream, reason=outage.source)


def count(name: str, number: int = 1, **dimensions: str) -> None:
    """Count under dimensions of its own."""
    with single_metric(name, MetricUnit.Count, number) as metric:
        for dimension, value in dimensions.items():
            metric.add_dimension(dimension, value)
