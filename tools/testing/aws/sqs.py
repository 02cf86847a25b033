"""SQS as dead letters meet it: what is received is hidden for a while, handles grow old, batches fail in part.

A queue whose name ends in `.fifo` is one: groups are kept in order, and what is sent twice in five minutes is dropped.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any
from uuid import uuid4

from tools.testing.aws.service import Service, refusal
from tools.testing.clock import Clock

MOST_RECEIVES = 10
ARN = "arn:aws:sqs:eu-central-1:000000000000:logins"
QUEUE = "http://sqs/000000000000/logins"
DEAD = "http://sqs/000000000000/logins-dlq"
FIFO_QUEUE = "http://sqs/000000000000/logins.fifo"
FIFO_DEAD = "http://sqs/000000000000/logins-dlq.fifo"
URLS = (QUEUE, DEAD, FIFO_QUEUE, FIFO_DEAD)
DEDUPLICATION_SECONDS = 300
LONG_AGO = 1_769_903_999_999  # milliseconds: 2026-01-31T23:59:59.999Z


@dataclass
class Message:
    """A message in a queue."""

    body: str
    message_id: str
    sent: int  # milliseconds since 1970
    attributes: dict[str, Any]
    receives: int = 0
    group: str = ""
    trace: str = ""
    hidden_until: float = 0.0
    handle: str = ""


@dataclass
class FakeSqs(Service):
    """Queues by URL, on a clock of their own. Messages of other queues came by no queue, and can only be released."""

    queues: dict[str, list[Message]] = field(default_factory=lambda: {url: [] for url in URLS})
    clock: Clock = field(default_factory=Clock)
    call_seconds: float = 0.0  # what each call takes
    refuses: Callable[[str, Message], bool] = lambda operation, message: False  # an entry of a batch
    raises: dict[str, list[str]] = field(default_factory=dict)  # by operation the codes of its next calls; "" is none
    released: list[list[dict[str, Any]]] = field(default_factory=list)  # the entries of each call
    sent_at: dict[tuple[str, str], float] = field(default_factory=dict)  # by queue and deduplication id

    def put(
        self,
        body: str,
        url: str = DEAD,
        message_id: str = "",
        sent: int = LONG_AGO,
        receives: int = MOST_RECEIVES,
        attributes: Mapping[str, Any] | None = None,
        group: str = "",
        trace: str = "",
    ) -> str:
        """Put a message, and return its id; attributes that are texts are strings."""
        values = {
            name: {"DataType": "String", "StringValue": value} if isinstance(value, str) else value
            for name, value in (attributes or {}).items()
        }
        self.queues[url].append(Message(body, message_id or str(uuid4()), sent, values, receives, group, trace))
        return self.queues[url][-1].message_id

    @property
    def now(self) -> float:
        return self.clock.now

    def visible(self, url: str = DEAD) -> list[Message]:
        messages = self.queues[url]
        held = {message.group for message in messages if message.hidden_until > self.now and url.endswith(".fifo")}
        return [message for message in messages if message.hidden_until <= self.now and message.group not in held]

    def ids(self, url: str = DEAD) -> list[str]:
        return [message.message_id for message in self.queues[url]]

    def attributes(self, url: str = QUEUE) -> list[dict[str, Any]]:
        """Return each message's attributes, by name: a value, or bytes."""
        return [
            {name: value.get("StringValue", value.get("BinaryValue")) for name, value in message.attributes.items()}
            for message in self.queues[url]
        ]

    def deliver(self, invoke: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Hand what is visible over as Lambda does, until nothing is: what fails ten times becomes a dead letter."""
        while batch := self.visible(QUEUE):
            for message in batch:
                message.receives += 1
                message.handle = str(uuid4())
            answer = invoke({"Records": [_record(message) for message in batch]})
            failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
            self.queues[QUEUE] = [message for message in batch if message.message_id in failed]
            for message in list(self.queues[QUEUE]):
                if message.receives >= MOST_RECEIVES:
                    self.queues[QUEUE].remove(message)
                    self.queues[DEAD].append(message)  # it keeps its id and its time
                    message.hidden_until = 0.0

    # What boto3 offers

    def receive_message(
        self,
        *,
        QueueUrl: str,
        MaxNumberOfMessages: int,
        VisibilityTimeout: int,
        WaitTimeSeconds: int,
        MessageSystemAttributeNames: list[str],
        MessageAttributeNames: list[str],
    ) -> dict[str, Any]:
        self._call("receive_message")
        assert 1 <= MaxNumberOfMessages <= 10
        assert 0 <= VisibilityTimeout <= 43_200
        assert 0 < WaitTimeSeconds < 5  # the clients' read timeout
        assert MessageAttributeNames == ["All"]
        received = self.visible(QueueUrl)[:MaxNumberOfMessages]
        for message in received:
            message.receives += 1
            message.hidden_until = self.now + VisibilityTimeout
            message.handle = str(uuid4())
        return (
            {"Messages": [_described(message, MessageSystemAttributeNames) for message in received]} if received else {}
        )

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        size = 0
        for entry in Entries:
            assert len(entry["MessageAttributes"]) <= 10
            size += len(entry["MessageBody"].encode()) + sum(
                len(name) + len(value["DataType"]) + len(value.get("StringValue", value.get("BinaryValue")))
                for name, value in entry["MessageAttributes"].items()
            )
        self._call("send_message_batch", "AWS.SimpleQueueService.BatchRequestTooLong" if size > 1_048_576 else "")

        is_fifo = QueueUrl.endswith(".fifo")
        for entry in Entries:
            assert ("MessageDeduplicationId" in entry) is is_fifo, "SQS: not valid for this queue type"
            assert "MessageGroupId" in entry or not is_fifo, "SQS: the request must contain MessageGroupId"

        def send(entry: dict[str, Any]) -> Message:
            values = {name: dict(value) for name, value in entry["MessageAttributes"].items()}
            group = entry.get("MessageGroupId", "")
            trace = entry.get("MessageSystemAttributes", {}).get("AWSTraceHeader", {}).get("StringValue", "")
            return Message(entry["MessageBody"], str(uuid4()), int(self.now * 1000), values, group=group, trace=trace)

        def keep(message: Message, entry: dict[str, Any]) -> None:
            deduplication = (QueueUrl, entry.get("MessageDeduplicationId", message.message_id))
            if self.now - self.sent_at.get(deduplication, -inf) >= DEDUPLICATION_SECONDS:
                self.sent_at[deduplication] = self.now
                self.queues[QueueUrl].append(message)

        return self._batch("send", Entries, send, keep)

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self._call("delete_message_batch")

        def delete(message: Message, entry: dict[str, Any]) -> None:
            self.queues[QueueUrl].remove(message)

        return self._batch("delete", Entries, self._by_handle(QueueUrl), delete)

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self._call("change_message_visibility_batch")
        assert all(entry["VisibilityTimeout"] == 0 for entry in Entries)
        self.released.append(Entries)

        def release(message: Message, entry: dict[str, Any]) -> None:
            message.hidden_until = 0.0

        return self._batch("release", Entries, self._by_handle(QueueUrl), release)

    def get_queue_url(self, *, QueueName: str, QueueOwnerAWSAccountId: str) -> dict[str, str]:
        self._call("get_queue_url")
        return {"QueueUrl": f"http://sqs/{QueueOwnerAWSAccountId}/{QueueName}"}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        self._call("get_queue_attributes")
        assert AttributeNames == ["All"]
        visible = len(self.visible(QueueUrl))
        attributes = {
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(len(self.queues[QueueUrl]) - visible),
        }
        if f"{QueueUrl}-dlq" in self.queues:
            account, name = QueueUrl.split("/")[-2:]
            dead_letters = f"arn:aws:sqs:eu-central-1:{account}:{name}-dlq"
            policy = {"deadLetterTargetArn": dead_letters, "maxReceiveCount": MOST_RECEIVES}
            attributes["RedrivePolicy"] = json.dumps(policy)
        return {"Attributes": attributes}

    def _call(self, operation: str, code: str = "") -> None:
        super()._call(operation)
        self.clock.now += self.call_seconds
        codes = self.raises.get(operation, [])
        code = code or (codes.pop(0) if codes else "")
        if code:
            raise refusal(code, operation)

    def _by_handle(self, url: str) -> Callable[[dict[str, Any]], Message | None]:
        """Find a message by its newest handle: an older one is worth nothing."""
        if url not in self.queues:
            return lambda entry: Message("", entry["ReceiptHandle"], LONG_AGO, {})
        messages = {message.handle: message for message in self.queues[url] if message.handle}
        return lambda entry: messages.get(entry["ReceiptHandle"])

    def _batch(
        self,
        operation: str,
        entries: list[dict[str, Any]],
        find: Callable[[dict[str, Any]], Message | None],
        work: Callable[[Message, dict[str, Any]], None],
    ) -> dict[str, Any]:
        assert 1 <= len(entries) <= 10
        assert len({entry["Id"] for entry in entries}) == len(entries)
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in entries:
            message = find(entry)
            if message is None or self.refuses(operation, message):
                answer["Failed"].append({"Id": entry["Id"], "Code": "InternalError", "SenderFault": False})
            else:
                work(message, entry)
                answer["Successful"].append({"Id": entry["Id"]})
        return {name: told for name, told in answer.items() if told}


def _described(message: Message, system_names: list[str]) -> dict[str, Any]:
    system = {"SentTimestamp": str(message.sent), "ApproximateReceiveCount": str(message.receives), "SenderId": "A"}
    system |= {"MessageGroupId": message.group} if message.group else {}
    system |= {"AWSTraceHeader": message.trace} if message.trace else {}
    described = {
        "MessageId": message.message_id,
        "ReceiptHandle": message.handle,
        "Body": message.body,
        "Attributes": {name: system[name] for name in system_names if name in system},
    }
    if message.attributes:  # else SQS leaves it out
        described["MessageAttributes"] = message.attributes
    return described


def _record(message: Message) -> dict[str, Any]:
    return {
        "messageId": message.message_id,
        "receiptHandle": message.handle,
        "body": message.body,
        "attributes": {"SentTimestamp": str(message.sent), "ApproximateReceiveCount": str(message.receives)}
        | ({"AWSTraceHeader": message.trace} if message.trace else {}),
        "messageAttributes": {
            name: {"dataType": value["DataType"], "stringValue": value.get("StringValue")}
            for name, value in message.attributes.items()
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": ARN,
        "awsRegion": "eu-central-1",
    }
