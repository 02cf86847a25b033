"""PostgreSQL goes away under load: the queue stops, nothing is lost, and it starts again by itself."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Collected, eventually
from tests.e2e.test_queue_to_row import login
from tools.faults.postgres import FaultyPostgres
from tools.stack import STACK_NAME, Stack

RECORD = f"/sluice/{STACK_NAME}/breaker/user_logins"
MESSAGES = 30


@pytest.fixture
def hasty_queue(stack: Stack) -> Iterator[None]:
    """Have what failed come again in seconds, where the template says six minutes."""
    sqs = stack.client("sqs")
    sqs.set_queue_attributes(QueueUrl=stack.queue_url, Attributes={"VisibilityTimeout": "5"})
    yield
    sqs.set_queue_attributes(QueueUrl=stack.queue_url, Attributes={"VisibilityTimeout": "360"})


def mapping_state(stack: Stack) -> str:
    mappings = stack.client("lambda").list_event_source_mappings(FunctionName=stack.ingest_function)
    return str(mappings["EventSourceMappings"][0]["State"])


def record(stack: Stack) -> dict[str, Any] | None:
    ssm = stack.client("ssm")
    try:
        found: dict[str, Any] = json.loads(ssm.get_parameter(Name=RECORD)["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        return None
    return found


def tick(stack: Stack) -> None:
    """Have the breaker look, as its schedule does every minute."""
    resources = stack.client("cloudformation").describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    (name,) = [one["PhysicalResourceId"] for one in resources if one["LogicalResourceId"] == "BreakerFunction"]
    stack.client("lambda").invoke(FunctionName=name, Payload=b"{}")


def rows(stack: Stack) -> int:
    with stack.connect() as connection:
        ((count,),) = connection.run("SELECT count(*) FROM user_logins") or [[0]]
    return int(count)


def test_an_outage_of_postgresql_costs_nothing_but_time(stack: Stack, sent: Collected, hasty_queue: None) -> None:
    for number in range(MESSAGES):
        sent.send(login(user_id=f"before-{number}"))
    eventually(lambda: rows(stack) > 0, True)
    server = FaultyPostgres(stack.postgres.folder, stack.postgres.port, stack.postgres.password)
    server.stop()
    for number in range(MESSAGES):
        sent.send(login(user_id=f"during-{number}"))
    eventually(lambda: mapping_state(stack), "Disabled")
    tripped = record(stack)
    assert tripped is not None
    assert (tripped["state"], tripped["stream"], tripped["trips"]) == ("open", "user_logins", 1)
    tick(stack)
    assert mapping_state(stack) == "Disabled"  # what failed still does

    server.start_again()
    tick(stack)
    eventually(lambda: mapping_state(stack), "Enabled")
    reopened = record(stack)
    assert reopened is not None
    assert reopened["state"] == "reopened"
    eventually(lambda: rows(stack), 2 * MESSAGES, 120)  # and `sent` looks into every corner afterwards
