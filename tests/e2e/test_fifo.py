"""A FIFO queue feeds ingest: junk does not hold its group back for long, and is redriven in its group."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sluice.aws import clients
from sluice.aws.queues import Queues
from sluice.operators.dead_letters.letters import DeadLetterQueue
from tests.e2e.conftest import eventually
from tests.e2e.test_queue_to_row import login, rejection, row
from tests.integration.databases import in_seconds
from tools.local.stack import Stack

MOST_RECEIVES = 3


@dataclass
class Fifo:
    """A FIFO queue with its dead-letter queue, which ingest reads as it reads the logins'."""

    stack: Stack
    queues: Queues
    number: int = 0

    def send(self, body: object, group: str) -> str:
        self.number += 1
        text = body if isinstance(body, str) else json.dumps(body)
        answer = self.stack.client("sqs").send_message(
            QueueUrl=self.queues.queue,
            MessageBody=text,
            MessageGroupId=group,
            MessageDeduplicationId=str(self.number),
        )
        return str(answer["MessageId"])

    def waiting(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(map(int, told.values()))


@pytest.fixture(scope="module")
def fifo(stack: Stack) -> Iterator[Fifo]:
    sqs, functions = stack.client("sqs"), stack.client("lambda")

    def made(name: str, **attributes: str) -> tuple[str, str]:
        url = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true", **attributes})["QueueUrl"]
        return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    dead_letters, dead_letters_arn = made("logins-dlq.fifo")
    redrive = json.dumps({"deadLetterTargetArn": dead_letters_arn, "maxReceiveCount": MOST_RECEIVES})
    queue, arn = made("logins.fifo", VisibilityTimeout="360", RedrivePolicy=redrive)
    mapping: dict[str, Any] = functions.create_event_source_mapping(
        EventSourceArn=arn,
        FunctionName=stack.ingest_function,
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    yield Fifo(stack, Queues(queue, dead_letters))
    functions.delete_event_source_mapping(UUID=mapping["UUID"])
    for url in (queue, dead_letters):
        sqs.delete_queue(QueueUrl=url)


def test_junk_holds_its_group_back_for_seconds_and_is_redriven_in_its_group(
    stack: Stack, fifo: Fifo, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fifo.send(login(), "a")
    bad = fifo.send("junk", "a")
    others = [fifo.send(login(), group) for group in "aabbaab" * 4]
    eventually(lambda: all(row(stack, one) for one in (first, *others)), True, 120)
    eventually(lambda: (fifo.waiting(fifo.queues.queue), fifo.waiting(fifo.queues.dead_letters)), (0, 1), 120)
    assert rejection(stack, bad) == ["user_logins", "not_json", "", {"bytes": 4}]

    monkeypatch.setattr(clients, "client", stack.client)
    with DeadLetterQueue(fifo.queues, in_seconds(120)) as queue:
        (letter,) = queue.receive(10)
        assert (letter.message_id, letter.group_id) == (bad, "a")
        assert queue.delete(queue.send([letter])) == 1
    eventually(lambda: (fifo.waiting(fifo.queues.queue), fifo.waiting(fifo.queues.dead_letters)), (0, 1), 120)
    with DeadLetterQueue(fifo.queues, in_seconds(120)) as queue:
        (again,) = queue.receive(10)
        assert again.sqs_message_id != bad
        assert (again.message_id, again.sent_at, again.group_id) == (bad, letter.sent_at, "a")
