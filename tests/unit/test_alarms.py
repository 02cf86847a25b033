"""The alarms and the dashboard look at metrics that are emitted, and docs/operations.md tells of each alarm."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate, product
from typing import Any

import pytest

from sluice import telemetry
from sluice.aws import clients
from sluice.deadline import Deadline
from sluice.declaration.registry import names
from sluice.failures import Outage
from sluice.ingest import metrics
from sluice.ingest.rows import Rejection
from sluice.ingest.store import Written
from sluice.maintain.maintenance import Maintenance
from sluice.operators.audit.audit_log import Head
from sluice.operators.reveal import Request, Revealer
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import DatabaseSettings, RevealSettings, VaultSettings
from tests.unit.fakes import IP_TOKEN, KEYSET, ROOT, numbered
from tests.unit.switches import WHY, World
from tests.unit.template import TEMPLATE, TRANSFORMED

RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
NAMESPACE = "Sluice/${AWS::StackName}"
ALARMS: dict[str, dict[str, Any]] = {
    name: resource["Properties"]
    for name, resource in TRANSFORMED.items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}
QUEUES = {name: queue["Properties"] for name, queue in TRANSFORMED.items() if queue["Type"] == "AWS::SQS::Queue"}
FUNCTIONS = {
    name: function["Properties"]["Environment"]["Variables"]
    for name, function in TRANSFORMED.items()
    if function["Type"] == "AWS::Lambda::Function"
}
WITH_URL = {
    url["Properties"]["TargetFunctionArn"]["Ref"] for url in TRANSFORMED.values() if url["Type"] == "AWS::Lambda::Url"
}
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
OF_AWS = {
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"},
    "AWS/Lambda": {"Errors", "Throttles", "Invocations", "Duration", "ConcurrentExecutions", "Url5xxCount"},
}

type Metric = tuple[str, str, frozenset[tuple[str, str]]]  # namespace, name, dimensions with their values


class FakeDatabase(Database):
    """One in which nothing is found."""

    def __init__(self) -> None:
        pass

    def transact(self, work: object, deadline: Deadline, undo: bool = False) -> Any:
        return {}, Head(1, "0" * 64)

    def transact_once(self, work: object, deadline: Deadline) -> Any:
        return self.transact(work, deadline)


@pytest.fixture
def emitted(output: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> set[Metric]:
    """Have every stream's code emit all that it can, and return the metrics."""
    for stream in names():
        with service("ingest", monkeypatch):
            records = [{"attributes": {"SentTimestamp": "1767258000123"}}]
            rejection = Rejection(numbered(1), stream, "internal_error", "", {})
            metrics.count_batch(stream, records, Written(0, 0, [], 1.5, expired=1), [rejection], ignored=1)
            telemetry.count_outage(stream, Outage(WHY))
        with service("breaker", monkeypatch):
            tick(stream, monkeypatch)
    with service("reveal", monkeypatch):
        reveal()
    with service("maintain", monkeypatch):
        Maintenance(FakeDatabase(), Deadline(float("inf"))).tell({})
    lines = [json.loads(line) for line in output().splitlines()]
    return {metric for line in lines if "_aws" in line for metric in metrics_in(line)}


@contextmanager
def service(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be a function of the template that is told this name."""
    assert name in {environment["POWERTOOLS_SERVICE_NAME"] for environment in FUNCTIONS.values()}
    with monkeypatch.context() as patch:
        patch.setenv("POWERTOOLS_SERVICE_NAME", name)
        patch.setattr(telemetry.metrics.provider, "service", name)  # read from the environment when it was made
        yield


def tick(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the breaker find the stream's breaker open, probe in vain, then with success."""
    world = World(stream)
    monkeypatch.setattr(clients, "client", world.client)
    world.trip(stream)
    world.fail(stream)
    world.minute(3)
    world.broken.clear()
    world.minute(3)


def reveal() -> None:
    database = DatabaseSettings(
        host="db", port=5432, name="sluice", secret_id="s", username="", tls="disable", certificate_authority=None
    )
    settings = RevealSettings(
        token_key_secret_id="keyset",
        daily_limit=1,
        allow_unverified_caller=False,
        database=database,
        vault=VaultSettings(key_id="vault", stack="tests"),
    )
    request = Request(tokens=[IP_TOKEN], reason="support_request", ticket="PRIV-1")
    Revealer(FakeDatabase(), [], Keyset.parse(KEYSET), settings).run("someone", request, Deadline(float("inf")))


def metrics_in(line: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield what a line of the Embedded Metric Format emits, in the namespace that the template gives."""
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for dimensions, metric in product(directive["Dimensions"], directive["Metrics"]):
            yield NAMESPACE, metric["Name"], frozenset((name, line[name]) for name in dimensions)


def plain(value: Any) -> str:
    """Return a reference as text, in the spelling of Fn::Sub."""
    match value:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
        case {"Fn::Sub": text}:
            return str(text)
    return str(value)


def metric_of(alarm: Mapping[str, Any]) -> Metric:
    (metric,) = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", []) if "MetricStat" in one] or [alarm]
    dimensions = frozenset((dimension["Name"], plain(dimension["Value"])) for dimension in metric["Dimensions"])
    return plain(metric["Namespace"]), metric["MetricName"], dimensions


SEARCH = re.compile(
    r"""SEARCH\('
        \{(?P<kind> (?:"[^"]+" | [\w/])+ (?:,\w+)+ )\}
        \ MetricName=(?P<names> "\w+" | \(.*?\) )
        (?:\ "[^"]+")?  # a word of the dimensions' values
        ',\ '\w+',\ \d+\)""",
    re.VERBOSE,
)


def searches() -> list[tuple[str, str, frozenset[str]]]:
    """Return namespace, metric and dimensions of what the dashboard looks for, once it was read as JSON."""
    (dashboard,) = (one for one in TRANSFORMED.values() if one["Type"] == "AWS::CloudWatch::Dashboard")
    text, variables = dashboard["Properties"]["DashboardBody"]["Fn::Sub"]
    assert set(re.findall(r"\$\{(\w+)\}", text)) == set(variables)
    body = json.loads(text.replace("${Ours}", ' \\"a\\"'))
    found = []
    for widget in body["widgets"]:
        for (row,) in widget["properties"]["metrics"]:
            search = SEARCH.fullmatch(row["expression"])
            assert search, row
            namespace, *dimensions = search["kind"].split(",")
            names_of_metrics = re.findall(r"\w+", search["names"].replace(" OR ", " "))
            found += [(namespace.strip('"'), name, frozenset(dimensions)) for name in names_of_metrics]
    return found


def exists(metric: Metric, emitted: set[Metric]) -> bool:
    namespace, name, dimensions = metric
    if namespace not in OF_AWS:
        return metric in emitted
    known = {
        "AWS/SQS": [frozenset({("QueueName", f"${{{queue}.QueueName}}")}) for queue in QUEUES],
        "AWS/Lambda": [frozenset({("FunctionName", f"${{{function}}}")}) for function in FUNCTIONS],
    }
    is_of_a_url = name != "Url5xxCount" or any(f"${{{function}}}" in dict(dimensions).values() for function in WITH_URL)
    return name in OF_AWS[namespace] and dimensions in known[namespace] and is_of_a_url


def found(namespace: str, name: str, **dimensions: str) -> list[dict[str, Any]]:
    """Return the alarms that look at this metric."""
    wanted = (namespace, name, frozenset(dimensions.items()))
    return [alarm for alarm in ALARMS.values() if metric_of(alarm) == wanted]


def test_an_alarm_looks_at_a_metric_that_is_emitted_with_these_very_dimensions(emitted: set[Metric]) -> None:
    assert ALARMS
    assert [name for name, alarm in ALARMS.items() if not exists(metric_of(alarm), emitted)] == []


def test_the_dashboard_looks_for_metrics_that_exist_of_whatever_streams_there_are(emitted: set[Metric]) -> None:
    kinds = {(namespace, name, frozenset(key for key, _ in dimensions)) for namespace, name, dimensions in emitted}
    kinds |= {("AWS/SQS", name, frozenset({"QueueName"})) for name in OF_AWS["AWS/SQS"]}
    kinds |= {("AWS/Lambda", name, frozenset({"FunctionName"})) for name in OF_AWS["AWS/Lambda"]}
    shown = searches()
    assert [search for search in shown if search not in kinds] == []
    shown_names = {name for _, name, _ in shown}
    of_batches = {"Received", "Written", "Duplicate", "Rejected", "Ignored", "Sealed", "WriteMilliseconds"}
    assert shown_names >= of_batches | {"BreakerOpen", "Outage", "ValuesRevealed"}
    assert shown_names >= set().union(*OF_AWS.values()) - {"Invocations"}


def test_what_the_functions_emit_is_in_the_stacks_own_namespace() -> None:
    assert {plain(one["POWERTOOLS_METRICS_NAMESPACE"]) for one in FUNCTIONS.values()} == {NAMESPACE}


@pytest.mark.parametrize("name", [name for name, queue in QUEUES.items() if "RedrivePolicy" in queue])
def test_a_queue_tells_of_dead_letters_and_of_messages_before_they_are_too_old(name: str) -> None:
    dead_letters = QUEUES[name]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
    retention, dead_retention = (QUEUES[one]["MessageRetentionPeriod"] for one in (name, dead_letters))
    (depth,) = found("AWS/SQS", "ApproximateNumberOfMessagesVisible", QueueName=f"${{{dead_letters}.QueueName}}")
    (age,) = found("AWS/SQS", "ApproximateAgeOfOldestMessage", QueueName=f"${{{name}.QueueName}}")
    (dead_age,) = found("AWS/SQS", "ApproximateAgeOfOldestMessage", QueueName=f"${{{dead_letters}.QueueName}}")
    assert (depth["ComparisonOperator"], depth["Threshold"]) == ("GreaterThanThreshold", 0)
    assert age["Threshold"] == retention / 2
    # A dead letter's age counts from when it became one, its retention from when it was sent.
    assert dead_age["Threshold"] == (dead_retention - retention) / 2
    assert all(one["ComparisonOperator"] == "GreaterThanOrEqualToThreshold" for one in (age, dead_age))


def test_outages_open_breakers_and_internal_errors_of_all_streams_are_told_of_once() -> None:
    assert len(found(NAMESPACE, "Outage", service="ingest")) == 1
    assert len(found(NAMESPACE, "InternalErrors", service="ingest")) == 1
    (breaker,) = found(NAMESPACE, "BreakerOpen", service="breaker")
    assert (breaker["Statistic"], breaker["Threshold"]) == ("Maximum", 1)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_tells_of_errors_and_throttles(function: str) -> None:
    # What the operators' functions answer with a status is no error to Lambda.
    errors = "Url5xxCount" if function in WITH_URL else "Errors"
    assert len(found("AWS/Lambda", errors, FunctionName=f"${{{function}}}")) == 1
    assert len(found("AWS/Lambda", "Throttles", FunctionName=f"${{{function}}}")) == 1


def test_as_many_values_as_one_caller_may_have_are_told_of() -> None:
    (revealed,) = found(NAMESPACE, "ValuesRevealed", service="reveal")
    assert (revealed["Statistic"], revealed["Period"]) == ("Sum", 24 * 60 * 60)
    assert revealed["Threshold"] == {"Ref": "RevealedValuesPerDay"}


class Series(list[float | None]):
    """Data points of a metric, oldest first; None is one that is missing."""

    def __gt__(self, number: object) -> "Series":  # type: ignore[override]
        assert isinstance(number, int)
        return Series(float((point or 0) > number) for point in self)


def filled(series: Series, number: float) -> Series:
    return Series(number if point is None else point for point in series)


def summed(series: Series) -> Series:
    return Series(accumulate(point or 0 for point in series))


def chosen(condition: Series, then: Series) -> Series:
    return Series(point if is_true else None for is_true, point in zip(condition, then, strict=True))


# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
METRIC_MATH = {"FILL": filled, "RUNNING_SUM": summed, "IF": chosen}


def looked_at(alarm: Mapping[str, Any], metric: Series) -> Series:
    """Return what an alarm makes of its metric."""
    if "Metrics" not in alarm:
        return metric
    expression, source = alarm["Metrics"]
    assert (expression.get("ReturnData", True), source["ReturnData"]) == (True, False)
    found = eval(expression["Expression"], METRIC_MATH | {source["Id"]: metric})
    assert isinstance(found, Series)
    return found


def state(alarm: Mapping[str, Any], metric: Series, before: str) -> str:
    """Return an alarm's state by the data points of its evaluation range, which is longer than what is evaluated.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """
    known = [point for point in looked_at(alarm, metric) if point is not None][-alarm["EvaluationPeriods"] :]
    is_breaching = {
        "LessThanThreshold": lambda point: point < alarm["Threshold"],
        "GreaterThanThreshold": lambda point: point > alarm["Threshold"],
        "GreaterThanOrEqualToThreshold": lambda point: point >= alarm["Threshold"],
    }[alarm["ComparisonOperator"]]
    breaching = sum(map(is_breaching, known))
    missing = alarm["EvaluationPeriods"] - len(known)
    if alarm["TreatMissingData"] == "breaching":
        breaching += missing
    elif alarm["TreatMissingData"] == "ignore" and missing and breaching == len(known):
        return before
    return "ALARM" if breaching >= alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]) else "OK"


@pytest.mark.parametrize("kind", ["IngestErrorsAlarm", "IngestThrottlesAlarm"])
@pytest.mark.parametrize("minute", range(5))  # of the period in which it fails first
def test_a_batch_that_fails_each_time_is_told_of_long_before_its_messages_are_dead_letters(
    kind: str, minute: int
) -> None:
    alarm, queue = ALARMS[f"Logins{kind}"], QUEUES["LoginsQueue"]
    again, period = queue["VisibilityTimeout"] // 60, alarm["Period"] // 60  # minutes
    is_dead = minute + again * queue["RedrivePolicy"]["maxReceiveCount"]
    failures = {at // period for at in range(minute, is_dead, again)}
    metric = [None] * alarm["EvaluationPeriods"] + [1.0 if at in failures else None for at in range(is_dead // period)]
    windows = [Series(metric[start : start + alarm["EvaluationPeriods"]]) for start in range(is_dead // period)]
    first = [state(alarm, window, "OK") for window in windows].index("ALARM")
    assert first * period < is_dead / 3


SILENCE = Series([None] * 8)


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_pages_nobody_when_the_stack_is_new_or_nothing_happens(name: str) -> None:
    at_first = state(ALARMS[name], SILENCE, "INSUFFICIENT_DATA")
    assert at_first == ("INSUFFICIENT_DATA" if name == "BreakerTicksAlarm" else "OK")
    assert state(ALARMS[name], SILENCE, "OK") == "OK"


@pytest.mark.parametrize("evaluation_range", [4, 5, 8])  # CloudWatch does not tell how long it is
def test_a_breaker_that_stops_to_run_is_told_of_after_a_quarter_of_an_hour_and_until_it_runs(
    evaluation_range: int,
) -> None:
    alarm = ALARMS["BreakerTicksAlarm"]
    new, running, stopped = [None] * 6, [3.0, *[5.0] * 9], [None] * 20
    history = [*[None] * evaluation_range, *new, *running, *stopped, *running]
    states = ["INSUFFICIENT_DATA"]
    for end in range(evaluation_range + 1, len(history) + 1):
        states.append(state(alarm, Series(history[end - evaluation_range : end]), states[-1]))
    told = ["INSUFFICIENT_DATA"] * 6 + ["OK"] * (10 + 2) + ["ALARM"] * (20 - 2) + ["OK"] * 10
    assert states[1:] == told
    quarter_of_an_hour = alarm["DatapointsToAlarm"] * alarm["Metrics"][1]["MetricStat"]["Period"]
    assert quarter_of_an_hour == 15 * 60


def test_alarms_notify_the_topic_that_is_given_and_nobody_by_default() -> None:
    notify = {"Fn::If": ["AlarmsNotify", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    assert all(alarm["AlarmActions"] == alarm["OKActions"] == notify for alarm in ALARMS.values())
    assert TEMPLATE["Parameters"]["AlarmTopicArn"]["Default"] == ""
    assert not any("AlarmName" in alarm for alarm in ALARMS.values())  # two stacks of an account would meet


def kind_of(name: str) -> str:
    """Return the heading of the runbook that an alarm names: one for each kind."""
    place = plain(ALARMS[name]["AlarmDescription"]).strip().rpartition(" Runbook: ")[2]
    return place.removeprefix("docs/operations.md, ").removesuffix(".")


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_to_do_and_where_the_runbook_tells_more(name: str) -> None:
    description = plain(ALARMS[name]["AlarmDescription"])
    assert name.endswith(kind_of(name))
    assert 1 <= len(re.findall(r"\.(?: |$)", description.rpartition(" Runbook: ")[0])) <= 3
    assert len(description) <= 1024  # CloudWatch takes no more


def test_the_runbook_has_a_section_of_every_kind_of_alarm_and_of_no_other() -> None:
    headings = re.findall(r"^### (.*)$", RUNBOOK, re.MULTILINE)
    assert sorted(re.findall(r"\w+Alarm\b", "\n".join(headings))) == sorted({kind_of(name) for name in ALARMS})
