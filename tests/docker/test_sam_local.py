"""`sam local`: every function of the template, in a container, on every event of events/."""

import json
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import boto3
import pytest

from sluice.pseudonyms.keyset import TOKEN
from tests.docker.conftest import Compose
from tests.versions import ANSWER
from tools.local.emulator import CREDENTIALS, REGION
from tools.local.server import free_port
from tools.local.template import declared, expanded
from tools.project import PROJECT

pytestmark = pytest.mark.timeout(600)  # seconds: the first test makes the images, and SAM one of them and the layer

START_SECONDS = 60
STOP_SECONDS = 30


def refused(*message_ids: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in message_ids]}


def answered(status: int) -> dict[str, Any]:
    return {"statusCode": status, "headers": ANY, "body": ANY}


# Each file of events/: the function that it is for, and what that answers; `unittest.mock.ANY` where that is not known.
EVENTS: dict[str, tuple[str, Any]] = {
    "migrate_create": ("MigrateFunction", ANSWER),
    "migrate_delete": ("MigrateFunction", {}),
    "orders_mixed_batch": ("OrdersIngestFunction", refused("b1c9f2f6-6d3e-4d68-9f5c-3f0f4f1f7a02")),
    "sqs_all_bad": (
        "LoginsIngestFunction",
        refused(
            "2bdfbb9b-a3de-4979-86d0-3af16adec494",
            "374326aa-8a91-4e55-99cd-1214aaddd394",
            "8bee8aa0-6418-4ecb-a5e4-777ee6938a39",
            "73cf502e-5d7c-4dbf-afe8-84ec8a934147",
            "a1a07c99-c92a-4e52-bf50-813062b6fd89",
            "61f9ac67-b87f-40f0-86cd-69bc8042d546",
            "dbd40e1c-afd0-422a-945c-1f30100997d0",
            "43f05427-2fd5-4fd4-9f7b-98d9d1f3caeb",
        ),
    ),
    "sqs_empty": ("LoginsIngestFunction", refused()),
    "sqs_mixed_batch": ("LoginsIngestFunction", refused("2771554b-e7a8-43b0-925e-44543af011af")),
    "sqs_redelivery": ("LoginsIngestFunction", refused()),
    "sqs_single_login": ("LoginsIngestFunction", refused()),
    "breaker_schedule": ("BreakerFunction", ANY),
    "maintain_schedule": ("MaintainFunction", ANY),
    "reveal_tokens": ("RevealFunction", answered(200)),
    "reveal_free_text": ("RevealFunction", answered(400)),
    "reveal_unverified": ("RevealFunction", answered(200)),  # `make deploy-local` lets unverified callers in
    "forget_person_dry_run": ("ForgetFunction", answered(200)),
    "forget_person": ("ForgetFunction", answered(200)),
    "forget_repeat": ("ForgetFunction", answered(200)),
    "forget_sweep": ("ForgetFunction", answered(200)),
    "dead_letters_list": ("DeadLettersFunction", answered(200)),
    "dead_letters_purge_ids": ("DeadLettersFunction", answered(200)),
    "dead_letters_purge_person": ("DeadLettersFunction", answered(200)),
    "dead_letters_redrive": ("DeadLettersFunction", answered(200)),
    "dead_letters_redrive_dry_run": ("DeadLettersFunction", answered(200)),
    "audit_list": ("AuditFunction", answered(200)),
    "audit_verify": ("AuditFunction", answered(200)),
    "rekey_status": ("RekeyFunction", answered(200)),
    "rekey_rewrap": ("RekeyFunction", answered(200)),
    "rekey_add_key": ("RekeyFunction", answered(200)),
    "rekey_rekey": ("RekeyFunction", answered(200)),
}


# An event of each function goes by `sam local invoke`, which takes ten seconds. All others go by `start-lambda`.
ONE_EACH = list({function: name for name, (function, _) in reversed(EVENTS.items())}.values())


def event_file(name: str) -> Path:
    return PROJECT / "events" / f"{name}.json"


def invoke(compose: Compose, function: str, event: Path) -> Any:
    """Return what the function answers. SAM exits with 0 even where a function fails: its answer tells."""
    answer = compose.run(*compose.sam_local("invoke", function, "--event", str(event)))
    return json.loads(answer)


def test_every_event_is_in_the_table_and_every_function_has_one() -> None:
    resources = expanded(declared((PROJECT / "template.yaml").read_text()))["Resources"]
    functions = {name for name, resource in resources.items() if resource["Type"] == "AWS::Serverless::Function"}
    assert set(EVENTS) == {path.stem for path in (PROJECT / "events").iterdir()}
    assert {function for function, _ in EVENTS.values()} == functions


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_function_answers_an_event(deployed: Compose, name: str) -> None:
    function, expected = EVENTS[name]
    assert invoke(deployed, function, event_file(name)) == expected


def test_the_documented_call_is_answered(deployed: Compose) -> None:
    command = deployed.sam_local("invoke", "LoginsIngestFunction", "-e", "events/sqs_mixed_batch.json")
    assert json.loads(deployed.run(*command)) == EVENTS["sqs_mixed_batch"][1]


def test_a_login_that_came_through_the_container_is_a_masked_row(deployed: Compose) -> None:
    invoke(deployed, "LoginsIngestFunction", event_file("sqs_single_login"))
    (record,) = json.loads(event_file("sqs_single_login").read_text())["Records"]
    login = json.loads(record["body"])
    with deployed.connect() as database:
        (row,) = database.run(
            "SELECT user_id, masked_ip, masked_device_id FROM user_logins WHERE message_id = :id",
            id=record["messageId"],
        )
    user_id, masked_ip, masked_device_id = row
    assert user_id == login["user_id"]
    assert TOKEN.fullmatch(masked_ip) and TOKEN.fullmatch(masked_device_id)


def test_the_migration_tells_cloudformation_how_it_went(deployed: Compose, tmp_path: Path) -> None:
    settings = json.loads(deployed.settings.read_text())["MigrateFunction"]
    bucket = f"answers-{uuid.uuid4().hex}"
    s3 = deployed.client("s3")
    s3.create_bucket(Bucket=bucket)
    event = json.loads(event_file("migrate_create").read_text())
    event["ResponseURL"] = f"{settings['AWS_ENDPOINT_URL']}/{bucket}/answer"
    changed = tmp_path / "event.json"
    changed.write_text(json.dumps(event))
    assert invoke(deployed, "MigrateFunction", changed) == ANSWER
    answer = json.load(s3.get_object(Bucket=bucket, Key="answer")["Body"])
    assert answer == {
        "Status": "SUCCESS",
        "Reason": "",
        "PhysicalResourceId": "sluice-schema",
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": "Schema",
        "Data": ANSWER,
    }


def test_a_client_of_aws_can_call_functions_that_stay_warm_with_every_other_event(deployed: Compose) -> None:
    with started_lambda(deployed) as functions:
        for name in [*(name for name in EVENTS if name not in ONE_EACH), "sqs_mixed_batch"]:
            function, expected = EVENTS[name]
            answer = functions.invoke(FunctionName=function, Payload=event_file(name).read_bytes())
            assert "FunctionError" not in answer, name
            assert json.load(answer["Payload"]) == expected, name


@contextmanager
def started_lambda(compose: Compose) -> Iterator[Any]:
    """Yield a client of Lambda that `sam local start-lambda` answers."""
    port = free_port()
    log = compose.folder / "start-lambda.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            compose.sam_local("start-lambda", "--port", str(port), "--warm-containers", "LAZY"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=compose.project,
            env=compose.environment,
        )
    try:
        wait_for(port, process, log)
        session: Any = boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        yield session.client("lambda", endpoint_url=f"http://127.0.0.1:{port}")
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C: it removes its containers
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"start-lambda did not start:\n{log.read_text()}")
