"""`sluice preview --queue` looks at messages and leaves them where they are."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from sluice.aws.clients import client
from tests.unit.cli import run
from tests.unit.fakes import SENT_AT, http_server, login, numbered
from tests.unit.test_cli_records import STREAM as OF_TRACKS

pytestmark = pytest.mark.usefixtures("hashing_clock")

URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/login-queue"


@dataclass
class FakeQueue:
    """SQS as boto3 talks to it: each call is answered with the next list of messages, the last one again and again."""

    receives: list[list[dict[str, Any]]]
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    fails: bool = False

    def respond(self, headers: Message, body: bytes) -> tuple[int, bytes]:
        self.asked.append((headers["X-Amz-Target"], json.loads(body)))
        if self.fails:
            error = {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no\x1b such\nqueue"}
            return 400, json.dumps(error).encode()
        messages = self.receives.pop(0) if len(self.receives) > 1 else self.receives[0]
        return 200, json.dumps({"Messages": messages} if messages else {}).encode()


def message(number: int, body: str = "", **attributes: str) -> dict[str, Any]:
    """Return a message as SQS returns it."""
    body = body or login(device_id=str(number))
    return {
        "MessageId": numbered(number),
        "ReceiptHandle": f"receipt-{number}",
        "Body": body,
        "MD5OfBody": md5(body.encode()).hexdigest(),
        "Attributes": {"SentTimestamp": str(SENT_AT)},
        "MessageAttributes": {name: {"StringValue": value, "DataType": "String"} for name, value in attributes.items()},
    }


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeQueue]:
    fake = FakeQueue([[]])
    client.cache_clear()
    with http_server(fake.respond) as url:
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield fake
    client.cache_clear()


def test_messages_are_seen_with_their_ids_and_times(queue: FakeQueue) -> None:
    own = {"sluice_message_id": numbered(77), "sluice_sent_at": "1767258000000"}
    queue.receives = [[message(1), message(2, **own), message(3, "{}")], []]
    code, output, errors = run("preview", "user_logins", "--queue", URL, "--json")
    assert (code, errors) == (1, "")
    seen = json.loads(output)
    assert [(row["record"], row["row"]["message_id"], row["row"]["sent_at"]) for row in seen["rows"]] == [
        (numbered(1), numbered(1), "2026-01-01T09:00:00.123Z"),
        (numbered(2), numbered(77), "2026-01-01T09:00:00.000Z"),
    ]
    assert [(one["record"], one["reason"]) for one in seen["rejected"]] == [(numbered(3), "missing")]


def test_nothing_is_done_to_a_message_but_to_receive_it_without_hiding_it(queue: FakeQueue) -> None:
    queue.receives = [[message(1)], []]
    assert run("preview", "user_logins", "--queue", URL)[0] == 0
    asked = {
        "QueueUrl": URL,
        "VisibilityTimeout": 0,
        "MessageSystemAttributeNames": ["SentTimestamp"],
        "MessageAttributeNames": ["sluice_message_id", "sluice_sent_at"],
    }
    assert queue.asked == [
        ("AmazonSQS.ReceiveMessage", asked | {"MaxNumberOfMessages": 10}),
        ("AmazonSQS.ReceiveMessage", asked | {"MaxNumberOfMessages": 9}),
    ]


def test_the_attributes_that_a_stream_reads_are_asked_for(
    queue: FakeQueue, declare: Callable[[str, str], None]
) -> None:
    declare("tracks", OF_TRACKS)
    found = message(1, '{"app": "web", "data": {"batch": [{"user": "ada"}]}}', trace="t")
    found["Attributes"]["SenderId"] = "AIDA"
    queue.receives = [[found], []]
    code, output, _ = run("preview", "tracks", "--queue", URL, "--json")
    assert (code, len(json.loads(output)["rows"])) == (0, 1)
    _, asked = queue.asked[0]
    assert asked["MessageSystemAttributeNames"] == ["SentTimestamp", "SenderId"]
    assert asked["MessageAttributeNames"][2:] == ["sluice_attributes", "trace"]


def test_no_message_is_received_more_than_twice(queue: FakeQueue) -> None:
    queue.receives = [[message(1), message(2)], [message(2), message(3)], [message(2)]]
    rows = json.loads(run("preview", "user_logins", "--queue", URL, "--json", "--limit", "100")[1])["rows"]
    assert [row["record"] for row in rows] == [numbered(1), numbered(2), numbered(3)]
    assert len(queue.asked) == 2


def test_limit_bounds_what_is_asked_for(queue: FakeQueue) -> None:
    queue.receives = [[message(number) for number in range(10)], [message(number) for number in range(10, 13)]]
    assert run("preview", "user_logins", "--queue", URL, "--limit", "13")[0] == 0
    assert [request["MaxNumberOfMessages"] for _, request in queue.asked] == [10, 3]


def test_an_empty_queue_is_good(queue: FakeQueue) -> None:
    code, output, errors = run("preview", "user_logins", "--queue", URL)
    assert (code, errors, len(queue.asked)) == (0, "", 1)
    assert "Records: 0." in output


def test_an_error_of_sqs_is_one_printable_line(queue: FakeQueue) -> None:
    queue.fails = True
    code, output, errors = run("preview", "user_logins", "--queue", URL)
    assert (code, output) == (2, "")
    assert errors.startswith("sluice: SQS: An error occurred") and errors.endswith("no\\x1b such\\nqueue\n")
    assert errors.count("\n") == 1


def test_a_queue_of_the_stack_that_the_demo_kept_needs_no_settings(
    queue: FakeQueue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    settings = {"region": "us-east-1", "access_key_id": "kept", "secret_access_key": "secret"}
    (tmp_path / "stack.json").write_text(json.dumps(settings | {"endpoint_url": endpoint}))
    monkeypatch.setattr("tools.sluice_cli.kept.KEPT", tmp_path / "stack.json")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    queue.receives = [[message(1)], []]
    code, output, errors = run("preview", "user_logins", "--queue", f"{endpoint}/000000000000/login-queue")
    assert (code, errors) == (0, "")
    assert output.startswith("Records: 1. Rows: 1.")


def test_a_missing_region_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path_factory.mktemp("none") / "config"))
    client.cache_clear()
    assert run("preview", "user_logins", "--queue", URL) == (2, "", "sluice: SQS: You must specify a region.\n")
