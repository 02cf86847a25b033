"""How the functions and queues of a stack did in the last minutes, by the metrics that AWS itself keeps.

An emulator keeps none. There the ledger's batches and the logs' outages stand for them.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tools.console import logs
from tools.console.ledger import Function, Tables
from tools.console.seldom import Seldom
from tools.console.site import Site, Unavailable
from tools.sluice_cli.operators.breaker import Source

SINCE = timedelta(minutes=15)
PERIOD_SECONDS = 60  # a metric has a value for each minute
ASKED_AGAIN_SECONDS = 60


class Figures(NamedTuple):
    """How the function of a stream and its queue did."""

    invocations: int | None  # None: nobody tells
    errors: int | None
    oldest_seconds: float | None = None  # how long the oldest message in the queue had waited, a minute or two ago


UNKNOWN = Figures(None, None)


class CloudWatch:
    """The metrics of AWS. They come a minute or two late."""

    source = "CloudWatch, asked every minute"

    def __init__(self, site: Site, sources: Callable[[], Sequence[Source]]) -> None:
        self._site = site
        self._sources = sources
        self.figures = Seldom(lambda: site.aws(self._asked), ASKED_AGAIN_SECONDS)  # by stream

    def _asked(self) -> Mapping[str, Figures]:
        sources = self._sources()
        now = int(time.time()) // PERIOD_SECONDS * PERIOD_SECONDS
        until = datetime.fromtimestamp(now + PERIOD_SECONDS, UTC)
        pages = self._site.client("cloudwatch").get_paginator("get_metric_data")
        answers = pages.paginate(
            MetricDataQueries=[query for number, source in enumerate(sources) for query in _queries(number, source)],
            StartTime=until - SINCE,
            EndTime=until,
            ScanBy="TimestampDescending",
        )
        values: dict[str, list[float]] = {}
        for answer in answers:
            for result in answer["MetricDataResults"]:
                values.setdefault(result["Id"], []).extend(result["Values"])
        return {
            source.stream: Figures(
                round(sum(values.get(f"invocations{number}", ()))),
                round(sum(values.get(f"errors{number}", ()))),
                next(iter(values.get(f"oldest{number}", ())), None),
            )
            for number, source in enumerate(sources)
        }


def counted(
    site: Site, fed: Mapping[str, Sequence[str]], known: Tables | Function
) -> tuple[Mapping[str, Figures], str]:
    """Return what the logs and the ledger tell instead, of each stream and those that its queue feeds, and who says so.

    Raises Unavailable if the logs cannot be read.
    """
    outages = Counter(line.stream for line in logs.lines(site, SINCE) if line.message == "outage")
    batches: Mapping[str, int] = {}
    if isinstance(known, Tables):
        with suppress(Unavailable):  # the page says already that the ledger cannot be read
            batches = known.batches(fed, SINCE)
    figures = {
        stream: Figures(batches[stream] + outages[stream] if stream in batches else None, outages[stream])
        for stream in fed
    }
    return figures, "batches in the ledger and outages in the functions' logs"


def _queries(number: int, source: Source) -> Iterator[Mapping[str, Any]]:
    function, queue = source.function.split(":")[6], source.queue_arn.split(":")[5]
    of_function = {"Name": "FunctionName", "Value": function}
    of_queue = {"Name": "QueueName", "Value": queue}
    for name, namespace, metric, dimension, statistic in (
        ("invocations", "AWS/Lambda", "Invocations", of_function, "Sum"),
        ("errors", "AWS/Lambda", "Errors", of_function, "Sum"),
        ("oldest", "AWS/SQS", "ApproximateAgeOfOldestMessage", of_queue, "Maximum"),
    ):
        of = {"Namespace": namespace, "MetricName": metric, "Dimensions": [dimension]}
        yield {"Id": f"{name}{number}", "MetricStat": {"Metric": of, "Period": PERIOD_SECONDS, "Stat": statistic}}
