"""`sluice doctor` on the embedded stack: nothing to tell of one that is well, and each finding once it is provoked."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.conftest import eventually
from tests.e2e.test_operators import sluice
from tools.local.emulator import REGION
from tools.local.stack import STACK_NAME, Stack, running_stack
from tools.project import DECLARED

TOPIC = f"arn:aws:sns:{REGION}:000000000000:alarms"

type Told = list[tuple[str, str, str, str]]  # area, severity, thing, sentence


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack of this module's own, whose alarms notify somebody."""
    with running_stack({"AlarmTopicArn": TOPIC}, streams=DECLARED / "streams") as stack:
        stack.client("sns").create_topic(Name="alarms")
        stack.client("sns").subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=stack.dead_letter_queue_url)
        yield stack


def told(stack: Stack, exit_code: int) -> Told:
    """Return what the command finds that is not good."""
    found = json.loads(sluice(stack, "doctor", "--json", exit_code=exit_code))
    return [
        (one["area"], one["severity"], one["thing"], one["sentence"]) for one in found if one["severity"] != "good"
    ]


def test_of_a_stack_that_is_well_there_is_nothing_to_do(stack: Stack) -> None:
    shown = sluice(stack, "doctor")
    print(shown)
    assert told(stack, 0) == []
