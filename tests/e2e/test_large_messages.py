"""Large messages: those of a mebibyte, and those whose bodies are in S3, from the queue to the row."""

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import eventually
from tools.local.stack import Stack, running_stack
from tools.project import DECLARED
from tools.testing.deployed import log_of

MIB = 1_048_576
BUCKET = "payloads"
TRACE = "1-5759e988-bd862e3fe1be46a994272793"
# In the place of the orders.
DECLARATION = """
from typing import Annotated
from sluice import Pseudonym, Stream, Text, ToS3

class Upload(Stream, table="uploads", offloaded=ToS3(prefix="up/", max_bytes=2_500_000, after="delete")):
    person: Annotated[str, Text(max=32), Pseudonym()]
    text: Annotated[str, Text(max=2_400_000)]
"""
SQL = """
CREATE TABLE uploads (
    person varchar(64) NOT NULL, text text NOT NULL, sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY
);
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    streams = tmp_path_factory.mktemp("large") / "streams"
    shutil.copytree(DECLARED / "streams", streams, ignore=shutil.ignore_patterns("__pycache__"))
    (streams / "orders.py").write_text(DECLARATION)
    (streams / "migrations" / "0003_orders.sql").write_text(SQL)
    (streams / "examples" / "orders.jsonl").unlink()
    with running_stack({"PayloadBucket": BUCKET, "PayloadsAreDeleted": "true"}, streams=streams) as stack:
        stack.client("s3").create_bucket(Bucket=BUCKET)
        yield stack


def upload(number: int, size: int) -> str:
    """Return a body of so many bytes."""
    around = len(json.dumps({"person": f"{number:08}", "text": ""}))
    return json.dumps({"person": f"{number:08}", "text": "x" * (size - around)})


def send(stack: Stack, body: str) -> None:
    stack.client("sqs").send_message(
        QueueUrl=stack.queues["orders"].queue,
        MessageBody=body,
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": f"Root={TRACE};Sampled=1"}},
    )


def offload(stack: Stack, key: str, body: str) -> None:
    """Send a message as the extended client does."""
    stack.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body.encode())
    send(
        stack,
        json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": BUCKET, "s3Key": key}]),
    )


def sizes(stack: Stack) -> dict[int, int]:
    """Return how many rows there are with texts of each size, in whole kibibytes."""
    with stack.connect() as owner:
        found = owner.run("SELECT length(text) / 1024, count(*) FROM uploads GROUP BY 1") or []
    return dict(found)


def waiting(stack: Stack, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(map(int, told.values()))


def test_messages_of_a_mebibyte_and_bodies_in_s3_become_rows(stack: Stack) -> None:
    for number in range(12):
        send(stack, upload(number, MIB))
    for number in range(12):
        offload(stack, f"up/{number}", upload(number, 2 * MIB))
    offload(stack, "elsewhere/1", upload(1, 1024))
    eventually(lambda: sizes(stack), {1023: 12, 2047: 12}, 180)
    queues = stack.queues["orders"]
    eventually(lambda: (waiting(stack, queues.queue), waiting(stack, queues.dead_letters)), (0, 1), 120)
    kept = stack.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [one["Key"] for one in kept] == ["elsewhere/1"]
    with stack.connect() as owner:
        assert owner.run("SELECT reason, pointer FROM rejection") == [["payload_elsewhere", "/1/s3Key"]]
    log = log_of(stack)
    assert (f'"traces":["{TRACE}"]' in log, "elsewhere/1" in log) == (True, False)
