"""Logs and metrics: ids, reasons and counts, and nothing else."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from sluice import telemetry
from sluice.ingest import metrics
from sluice.ingest.rows import Rejection
from sluice.ingest.store import Written
from tests.unit.fakes import numbered
from tools.testing.lambda_context import LambdaContext

FUTURE = 4_102_444_800_000  # milliseconds: 2100-01-01, as a clock that is wrong has it
CONTEXT = {
    "service": "ingest",
    "function_name": "sluice",
    "function_memory_size": 1024,
    "function_arn": "arn:aws:lambda:eu-central-1:000000000000:function:sluice",
    "function_request_id": "52fdfc07-2182-454f-963f-5f0f9a621d72",
}


def count(
    output: Callable[[], str],
    sent_at: list[int],
    written: Written,
    rejections: list[Rejection],
    attributes: Mapping[str, str] = MappingProxyType({}),
    **more: Any,
) -> list[dict[str, Any]]:
    """Return the lines of an invocation that counts a batch, without what differs from run to run."""

    @telemetry.logger.inject_lambda_context(log_event=False)
    def handler(event: object, context: LambdaContext) -> None:
        records = [{"attributes": {"SentTimestamp": str(milliseconds), **attributes}} for milliseconds in sent_at]
        metrics.count_batch("user_logins", records, written, rejections, **more)

    handler({"Records": ["an event is never logged"]}, LambdaContext())
    lines = [json.loads(line) for line in output().splitlines()]
    for line in lines:
        for varying in ("timestamp", "location", "cold_start"):
            line.pop(varying, None)
        line.get("_aws", {}).pop("Timestamp", None)
    return lines


def emf(dimensions: dict[str, str], values: dict[str, tuple[str, float]]) -> dict[str, Any]:
    """Return a line of https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    metrics = [{"Name": name, "Unit": unit} for name, (unit, _) in values.items()]
    metric = {"Namespace": "Sluice", "Dimensions": [list(dimensions)], "Metrics": metrics}
    return (
        {"_aws": {"CloudWatchMetrics": [metric]}} | dimensions | {name: [value] for name, (_, value) in values.items()}
    )


def batch_emf(received: int, written: int, duplicates: int, rejected: int, **more: tuple[str, float]) -> dict[str, Any]:
    counts = {"Received": received, "Written": written, "Duplicate": duplicates, "Rejected": rejected}
    counts |= {"RejectedAgain": 0, "Erased": 0, "Sealed": 0, "Nulled": 0}
    values = {name: ("Count", float(value)) for name, value in counts.items()}
    return emf(
        {"stream": "user_logins", "service": "ingest"}, values | {"WriteMilliseconds": ("Milliseconds", 1.5)} | more
    )


def test_records_are_counted_where_a_message_holds_several_and_those_that_are_ignored(
    output: Callable[[], str],
) -> None:
    lines = count(output, [FUTURE], Written(3, 1, [], 1.5), [], rejected_again=1, received=7, ignored=2)
    (done,) = (line for line in lines if line.get("message") == "batch done")
    counts = ("Received", "Written", "Duplicate", "Rejected", "RejectedAgain", "Erased", "Ignored")
    assert [done[name] for name in counts] == [7, 3, 1, 0, 1, 0, 2]
    (metric,) = (line for line in lines if "_aws" in line)
    assert [metric[name] for name in counts] == [[7], [3], [1], [0], [1], [0], [2]]


def test_a_batch_is_counted_by_metrics_and_each_rejection_logged(output: Callable[[], str]) -> None:
    reasons = ["missing", "not_json", "missing"]
    rejections = [Rejection(numbered(n), "user_logins", why, "", {"bytes": n}) for n, why in enumerate(reasons)]
    lines = count(output, [FUTURE] * 7, Written(3, 1, [], 1.5), rejections)
    rejected: list[dict[str, object]] = [
        {
            "level": "WARNING",
            "message": "record rejected",
            "message_id": numbered(n),
            "stream": "user_logins",
            "reason": why,
            "pointer": "",
            "shape": {"bytes": n},
        }
        for n, why in enumerate(reasons)
    ]
    done: dict[str, object] = {
        "level": "INFO",
        "message": "batch done",
        "Received": 7,
        "Written": 3,
        "Duplicate": 1,
        "Rejected": 3,
        "RejectedAgain": 0,
        "Erased": 0,
        "Sealed": 0,
        "Nulled": 0,
    }
    by_reason = [
        emf({"stream": "user_logins", "reason": why, "service": "ingest"}, {"RejectedByReason": ("Count", float(n))})
        for why, n in (("missing", 2), ("not_json", 1))
    ]
    logged = [line for line in lines if "_aws" not in line]
    assert logged == [line | CONTEXT for line in [*rejected, done]]
    assert [line for line in lines if "_aws" in line] == [
        *by_reason,
        batch_emf(7, 3, 1, 3, OldestRecordAge=("Seconds", 0.0)),
    ]


def test_rows_of_a_route_are_counted_by_their_stream_too(output: Callable[[], str]) -> None:
    written = Written(3, 1, [], 1.5, written_by_stream={"tracks": 2, "users": 1})
    lines = count(output, [FUTURE] * 4, written, [])
    assert [line for line in lines if "_aws" in line] == [
        *[
            emf(
                {"stream": "user_logins", "written_to": stream, "service": "ingest"},
                {"WrittenByStream": ("Count", float(number))},
            )
            for stream, number in (("tracks", 2), ("users", 1))
        ],
        batch_emf(4, 3, 1, 0, OldestRecordAge=("Seconds", 0.0)),
    ]


def test_an_empty_batch_has_no_oldest_record(output: Callable[[], str]) -> None:
    lines = count(output, [], Written(0, 0, [], 1.5), [])
    assert [line for line in lines if "_aws" in line] == [batch_emf(0, 0, 0, 0)]


def test_the_age_of_the_oldest_record_is_told_in_seconds(output: Callable[[], str]) -> None:
    sent_at = int(time.time() * 1000) - 60_000
    lines = count(output, [sent_at + 30_000, sent_at, FUTURE], Written(3, 0, [], 1.5), [])
    assert 60 <= lines[-1]["OldestRecordAge"][0] <= time.time() - sent_at / 1000


def test_metrics_of_one_invocation_are_not_told_again_by_the_next(output: Callable[[], str]) -> None:
    count(output, [FUTURE], Written(1, 0, [], 1.5), [])
    lines = count(output, [FUTURE] * 2, Written(2, 0, [], 1.5), [])
    assert lines[-1] == batch_emf(2, 2, 0, 0, OldestRecordAge=("Seconds", 0.0))


@pytest.mark.parametrize("root", ["DEBUG", "WARNING"])
def test_no_level_of_ours_makes_the_libraries_of_aws_talk(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "DEBUG")
    program = (
        "import logging, sys; sys.path += sys.argv[2:]; logging.basicConfig(level=sys.argv[1]);"
        "from sluice import telemetry;"
        "names = 'botocore', 'botocore.auth', 'boto3', 'urllib3.connectionpool', 's3transfer', 'ingest';"
        "print(*(logging.getLevelName(logging.getLogger(name).getEffectiveLevel()) for name in names))"
    )
    levels = subprocess.run(
        [sys.executable, "-c", program, root, *sys.path], capture_output=True, text=True, check=True
    ).stdout.split()
    assert levels == ["WARNING"] * 5 + ["DEBUG"]


def test_a_batch_tells_the_traces_of_its_producers_and_no_junk_in_their_place(output: Callable[[], str]) -> None:
    root = "1-5759e988-bd862e3fe1be46a994272793"
    header = {"AWSTraceHeader": f"Root={root};Parent=kn4ry;kn4ry=kn4ry"}
    (done,) = (
        line for line in count(output, [FUTURE, FUTURE], Written(2, 0, [], 1.5), [], header) if "message" in line
    )
    assert (done["traces"], "kn4ry" in json.dumps(done)) == ([root], False)
    (done,) = (line for line in count(output, [FUTURE], Written(1, 0, [], 1.5), []) if "message" in line)
    assert "traces" not in done
