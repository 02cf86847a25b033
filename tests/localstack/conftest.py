"""The template without its loops, deployed by SAM to LocalStack and a PostgreSQL that live as long as these tests."""

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tools.local.localstack import INSTALLED, LocalStack, fit, migrate
from tools.local.postgres import Postgres
from tools.local.stack import Stack, build
from tools.local.template import expanded
from tools.project import DECLARED

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})

# A function that does as the first message of a batch says, and writes down what it was given and when.
PROBE = """
import json
import time


def lambda_handler(event, context):
    if "Records" not in event:
        return {"statusCode": 200, "body": json.dumps(event["requestContext"])}
    records = [[record["body"], record["attributes"]["ApproximateReceiveCount"]] for record in event["Records"]]
    started = time.time()
    try:
        return answer(records[0][0])
    finally:
        print(json.dumps({"records": records, "started": started, "ended": time.time()}))


def answer(wish):
    match wish:
        case "raise":
            raise ValueError("as I was told")
        case "sleep":
            time.sleep(1)
        case "unknown":
            return {"batchItemFailures": [{"itemIdentifier": "unknown"}]}
        case "null":
            return {"batchItemFailures": [{"itemIdentifier": None}]}
    return {"batchItemFailures": []}
"""


@pytest.fixture(scope="session")
def installed() -> None:
    if not INSTALLED.exists():
        pytest.skip("LocalStack is not installed: `make test-localstack` installs it")


@pytest.fixture(scope="module")
def stack(installed: None) -> Iterator[Stack]:
    """The stack as `sam deploy` leaves it: LocalStack has run no custom resource, so there is no schema yet."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user where we are root
    stack = Stack(folder, Postgres(folder / "postgres"), LocalStack(folder / "localstack"))
    try:
        stack.postgres.start()
        stack.emulator.start()
        build(folder / "build", DECLARED / "streams")
        template = folder / "build" / "template.yaml"
        template.write_text(json.dumps(expanded(template.read_text())))  # which is YAML too
        fit(template)
        stack.deploy({})
        yield stack
    finally:
        stack.stop()


@dataclass(frozen=True)
class Migration:
    """The tables of the database before and after it."""

    before: list[str]
    after: list[str]


@pytest.fixture(scope="module")
def migration(stack: Stack) -> Migration:
    """What `make deploy-local` does after the deployment."""
    before = _tables(stack)
    migrate(stack.client("cloudformation"), stack.client("lambda"))
    return Migration(before, _tables(stack))


def _tables(stack: Stack) -> list[str]:
    with stack.connect() as owner:
        rows = owner.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return [name for (name,) in rows]


@dataclass(frozen=True)
class Probe:
    """A function of our own, whose mappings are set up like the template's."""

    stack: Stack
    name: str
    _numbers: Iterator[int]

    def map_queue(self, **settings: Any) -> str:
        """Make a queue with a mapping to the function, and return its URL."""
        sqs = self.stack.client("sqs")
        attributes = {"VisibilityTimeout": "2"}  # seconds
        url: str = sqs.create_queue(QueueName=f"probe-{next(self._numbers)}", Attributes=attributes)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.stack.client("lambda").create_event_source_mapping(
            FunctionName=self.name,
            EventSourceArn=arn,
            MaximumBatchingWindowInSeconds=1,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            **settings,
        )
        return url

    def seen(self) -> list[dict[str, Any]]:
        """Return what it wrote down of each batch, the first first."""
        return [json.loads(line) for line in messages(self.stack, self.name) if line.startswith("{")]


@pytest.fixture(scope="module")
def probe(stack: Stack) -> Probe:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", PROBE)
    role = stack.client("iam").create_role(RoleName="probe", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    functions = stack.client("lambda")
    functions.create_function(
        FunctionName="probe",
        Runtime="python3.13",
        Handler="app.lambda_handler",
        Role=role,
        Code={"ZipFile": package.getvalue()},
        Timeout=10,  # seconds
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="probe")
    return Probe(stack, "probe", count())


def messages(stack: Stack, function: str) -> list[str]:
    """Return what a function wrote, from the group that LocalStack puts it in, or nothing before its first run."""
    logs = stack.client("logs")
    group = f"/aws/lambda/{function}"
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return []
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    return [event["message"].strip() for page in pages for event in page["events"]]
