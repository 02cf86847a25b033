"""Rejected messages are made visible again, as far as time and SQS allow."""

import json
from collections.abc import Callable, Iterator

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.deadline import Deadline
from sluice.ingest import visibility
from tests.unit.fakes import sqs_record
from tools.testing.aws.account import FakeAws


def records(count: int) -> list[SQSRecord]:
    return [SQSRecord(sqs_record("{}", number)) for number in range(count)]


def test_messages_are_released_ten_at_a_time(aws: FakeAws) -> None:
    visibility.release(records(11), Deadline(60.0, lambda: 0.0))
    assert aws.sqs.released == [
        [{"Id": str(n), "ReceiptHandle": f"receipt-{n}", "VisibilityTimeout": 0} for n in range(10)],
        [{"Id": "0", "ReceiptHandle": "receipt-10", "VisibilityTimeout": 0}],
    ]


def test_nothing_is_asked_of_sqs_when_nothing_was_rejected(aws: FakeAws) -> None:
    aws.fail_with("AccessDeniedException")
    visibility.release([], Deadline(60.0, lambda: 0.0))
    assert aws.sqs.released == []


def test_no_call_starts_for_which_there_is_no_time(aws: FakeAws) -> None:
    clock: Iterator[float] = iter([54.9, 55.0])
    visibility.release(records(20), Deadline(60.0, lambda: next(clock)))
    assert [len(entries) for entries in aws.sqs.released] == [10]


def test_a_failure_of_sqs_is_a_warning_and_no_failure_of_the_batch(aws: FakeAws, output: Callable[[], str]) -> None:
    aws.fail_with("AccessDeniedException")
    visibility.release(records(1), Deadline(60.0, lambda: 0.0))
    line = json.loads(output())
    assert (line["level"], line["message"], line["error"]) == (
        "WARNING",
        "rejected messages not released",
        "AccessDeniedException",
    )
