"""The console's figures of functions and queues: by CloudWatch, by ledger and logs where it keeps none, and seldom."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluice.failures import Outage
from tools.console import metrics, seldom
from tools.console.ledger import Function, Tables
from tools.console.metrics import CloudWatch, Figures
from tools.console.seldom import Seldom
from tools.console.site import Site, Unavailable
from tools.sluice_cli.operators.breaker import Source
from tools.sluice_cli.operators.deployment import Deployment
from tools.testing.aws.service import CANARY, refusal
from tools.testing.clock import Clock

ARN = "arn:aws:{}:eu-central-1:123456789012:{}"
SOURCES = [
    Source(stream, "uuid", "Enabled", ARN.format("lambda", f"function:sluice-{stream}"), ARN.format("sqs", stream), "")
    for stream in ("logins", "orders")
]
KEPT = {  # values of each minute, the newest first, in pages as CloudWatch gives them
    ("Invocations", "sluice-logins"): [[7.0, 3.0], [2.0]],
    ("Errors", "sluice-logins"): [[1.0]],
    ("ApproximateAgeOfOldestMessage", "logins"): [[42.0, 600.0]],
}


@dataclass
class FakeAws:
    """CloudWatch and the logs."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)  # lines of the logs
    refused: bool = False

    def client(self, service: str, **options: Any) -> "FakeAws":
        return self

    def get_paginator(self, operation: str) -> "FakeAws":
        assert operation == "get_metric_data"
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(asked)
        if self.refused:
            raise refusal("AccessDenied", "GetMetricData")
        for page in range(2):
            results = []
            for query in asked["MetricDataQueries"]:
                metric = query["MetricStat"]["Metric"]
                pages = KEPT.get((metric["MetricName"], metric["Dimensions"][0]["Value"]), [])
                results.append({"Id": query["Id"], "Values": pages[page] if page < len(pages) else []})
            yield {"MetricDataResults": results}

    def filter_log_events(self, **asked: Any) -> dict[str, Any]:
        if self.refused:
            raise refusal("AccessDenied", "FilterLogEvents")
        found = [line for line in self.told if line["message"] in asked["filterPattern"]]
        return {
            "events": [{"timestamp": 1_000 * number, "message": json.dumps(one)} for number, one in enumerate(found)]
        }


def site(aws: Any) -> Site:
    return Site(Deployment(aws, None, "sluice"), None, None, may_change=False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(now=1_800_000_030.0)
    monkeypatch.setattr(metrics, "time", clock)
    monkeypatch.setattr(seldom, "time", clock)
    return clock


def test_cloudwatch_tells_invocations_errors_and_the_age_of_the_oldest_message(clock: Clock) -> None:
    aws = FakeAws()
    figures = CloudWatch(site(aws), lambda: SOURCES).figures()
    assert figures == {"logins": Figures(12, 1, 42.0), "orders": Figures(0, 0, None)}
    (asked,) = aws.asked
    assert (asked["EndTime"] - asked["StartTime"], asked["EndTime"].timestamp()) == (metrics.SINCE, 1_800_000_060)
    queries = [query["MetricStat"] for query in asked["MetricDataQueries"]]
    assert {(one["Metric"]["Namespace"], one["Stat"]) for one in queries} == {
        ("AWS/Lambda", "Sum"),
        ("AWS/SQS", "Maximum"),
    }
    assert len({query["Id"] for query in asked["MetricDataQueries"]}) == 6


def test_it_is_asked_once_a_minute_and_a_refusal_stays_as_long_as_an_answer(clock: Clock) -> None:
    aws = FakeAws(refused=True)
    figures = CloudWatch(site(aws), lambda: SOURCES).figures
    for _ in range(3):
        with pytest.raises(Unavailable, match=r"^Your rights do not allow this: GetMetricData\.$") as error:
            figures()
        assert CANARY not in str(error.value)
    assert len(aws.asked) == 1
    aws.refused = False
    clock.sleep(61)
    assert figures() == figures()
    assert len(aws.asked) == 2


def test_where_cloudwatch_keeps_nothing_the_ledger_and_the_logs_stand_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    outage = {"message": "outage", "stream": "logins", "why": "database: 57P01"}
    here = site(FakeAws(told=[outage, outage, {**outage, "message": "breaker opened"}]))
    fed = {"logins": ["logins"], "orders": ["orders", "returns"]}
    tables = Tables(here)
    monkeypatch.setattr(tables, "batches", lambda fed, since: {queue: 10 * len(names) for queue, names in fed.items()})
    figures, source = metrics.counted(here, fed, tables)
    assert figures == {"logins": Figures(12, 2), "orders": Figures(20, 0)}
    assert source == "batches in the ledger and outages in the functions' logs"


def test_without_a_database_the_logs_tell_errors_alone() -> None:
    here = site(FakeAws())
    ledger = Function(here, list)
    assert metrics.counted(here, {"logins": ["logins"]}, ledger)[0] == {"logins": Figures(None, 0)}


def test_while_the_database_is_down_errors_are_told_and_invocations_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class Down:
        def transact(self, *given: Any, **options: Any) -> Any:
            raise Outage("database: 57P03")

    database: Any = Down()
    here = Site(Deployment(FakeAws(), None, "sluice"), database, None, may_change=False)  # type: ignore[arg-type]
    assert metrics.counted(here, {"logins": ["logins"]}, Tables(here))[0] == {"logins": Figures(None, 0)}


def test_what_is_asked_seldom_is_asked_anew_when_its_time_is_over(clock: Clock) -> None:
    numbers = iter(range(9))
    ask = Seldom(lambda: next(numbers), 30)
    seen = []
    for seconds in (0, 29, 2, 31):
        clock.sleep(seconds)
        seen.append(ask())
    assert seen == [0, 0, 1, 2]
