"""`sluice status`, `pause` and `resume` say what is, and leave a stream whose breaker is open to the breaker."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from sluice.aws import clients
from sluice.breaker.record import parameter, path
from tests.unit.cli import run
from tests.unit.switches import STACK, WHY, World
from tools.sluice_cli.operators import breaker, deployment
from tools.sluice_cli.operators.deployment import Deployment
from tools.testing.aws.mappings import FakeMappings
from tools.testing.aws.service import refusal
from tools.testing.aws.sqs import FakeSqs
from tools.testing.clock import Clock

PAUSE = parameter(STACK, "pause", "orders")
RECORD = parameter(STACK, "breaker", "orders")


class FakeFunctions(FakeMappings):
    """Lambda with functions too, each told of its stream."""

    def get_function_configuration(self, *, FunctionName: str) -> dict[str, Any]:
        return {"Environment": {"Variables": {"STREAM": FunctionName.rpartition(":")[2]}}}


@dataclass
class FakeCloudFormation:
    """A stack with other resources too, in pages of one."""

    mappings: Mapping[str, Any]

    def get_paginator(self, operation: str) -> "FakeCloudFormation":
        assert operation == "list_stack_resources"
        return self

    def paginate(self, *, StackName: str) -> Iterator[dict[str, Any]]:
        if StackName != STACK:
            raise refusal("ValidationError")
        others = [("AWS::SQS::Queue", "http://queue")]
        for kind, name in [*others, *(("AWS::Lambda::EventSourceMapping", uuid) for uuid in self.mappings)]:
            yield {"StackResourceSummaries": [{"ResourceType": kind, "PhysicalResourceId": name}]}


def queues_of(*streams: str) -> FakeSqs:
    """Return queues with 3 messages to be had and 2 that are not visible, each with one dead letter."""
    sqs = FakeSqs(queues={})
    for stream in streams:
        url = f"http://sqs/123456789012/{stream}"
        sqs.queues |= {url: [], f"{url}-dlq": []}
        for number in range(5):
            sqs.put(str(number), url)
            sqs.queues[url][-1].hidden_until = sqs.now + 60 if number >= 3 else 0.0
        sqs.put("dead", f"{url}-dlq")
    return sqs


@dataclass
class FakeSession:
    clients: Mapping[str, Any]

    def client(self, service: str, *, endpoint_url: str | None) -> Any:
        assert endpoint_url == "http://emulator"
        return self.clients[service]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    world.functions = FakeFunctions()
    world.uuids = {stream: world.functions.add(stream) for stream in ("orders", "logins")}
    services = {
        "lambda": world.functions,
        "ssm": world.ssm,
        "sqs": queues_of("orders", "logins"),
        "cloudformation": FakeCloudFormation(world.functions.mappings),
    }
    session: Any = FakeSession(services)
    monkeypatch.setattr(clients, "client", world.client)
    monkeypatch.setattr(breaker, "time", Clock())
    monkeypatch.setattr(deployment, "deployed", lambda stack: Deployment(session, "http://emulator", stack or STACK))
    return world


def told(stream: str) -> dict[str, Any]:
    """Return what the status says of a stream."""
    code, out, _ = run("status", "--json")
    assert code == 0
    found: dict[str, Any] = {one["stream"]: one for one in json.loads(out)}[stream]
    return found


def test_the_status_tells_of_every_stream_of_the_stack(world: World) -> None:
    world.trip("orders")
    world.pause("logins")
    code, out, _ = run("status", "--json")
    assert code == 0
    assert json.loads(out) == [
        {
            "stream": "logins",
            "mapping_state": "Enabled",
            "breaker": "closed",
            "why": "",
            "advice": "Somebody has paused it: `sluice resume logins`.",
            "runbook": "Pause, resume",
            "tripped_at": None,
            "trips": 0,
            "paused_at": "2026-01-01T00:00:00Z",
            "waiting": 5,
            "dead_letters": 1,
        },
        {
            "stream": "orders",
            "mapping_state": "Disabling",
            "breaker": "open",
            "why": WHY,
            "advice": "The server is starting or stopping: see its log.",
            "runbook": "The server cannot be reached",
            "tripped_at": "2026-01-01 00:00:00+00:00",
            "trips": 1,
            "paused_at": None,
            "waiting": 5,
            "dead_letters": 1,
        },
    ]
    _, table, _ = run("status")
    for text in ("logins", "Enabled", "closed", "orders", "Disabling", "open", "57P03"):
        assert text in table
    assert (
        "orders: The server is starting or stopping: see its log."
        " See docs/operations.md, “The server cannot be reached”."
    ) in " ".join(table.split())


def test_a_mapping_that_somebody_disabled_by_hand_is_told(world: World) -> None:
    assert told("orders")["advice"] == ""
    world.functions.mappings[world.uuids["orders"]]["State"] = "Disabled"
    assert told("orders")["advice"] == "The mapping was disabled by hand: `sluice resume orders`."


def test_a_function_that_lambda_cannot_run_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"State": "Failed", "StateReason": "The subnet is gone."}
    configuration = FakeFunctions.get_function_configuration
    monkeypatch.setattr(
        FakeFunctions,
        "get_function_configuration",
        lambda functions, **which: configuration(functions, **which) | failed,
    )
    assert told("orders")["advice"] == "Lambda cannot run the function: The subnet is gone."


def test_a_paused_stream_is_disabled_and_stays_so_until_it_is_resumed(world: World) -> None:
    code, out, _ = run("pause", "orders")
    assert (code, out.startswith("orders is paused")) == (0, True)
    assert world.state("orders") == "Disabling"
    assert world.minute(3) == {"orders": "paused"}
    assert (world.state("orders"), world.state("logins")) == ("Disabled", "Enabled")
    code, out, _ = run("resume", "orders")
    assert (code, out) == (0, "orders is read again.\n")
    assert (world.state("orders"), world.ssm.texts) == ("Enabling", {})


def test_both_can_be_said_twice(world: World) -> None:
    for command, state in (("pause", "Disabled"), ("resume", "Enabled")):
        for _ in range(2):
            assert run(command, "orders")[0] == 0
            world.functions.settle()
        assert world.state("orders") == state


@pytest.mark.parametrize("state", ["Enabling", "Updating"])
def test_what_cannot_be_disabled_just_now_is_disabled_by_the_breaker(state: str, world: World) -> None:
    world.functions.mappings[world.uuids["orders"]]["State"] = state
    assert run("pause", "orders")[0] == 0
    world.minute(2)
    world.functions.settle()
    assert world.state("orders") == "Disabled"


def test_what_cannot_be_enabled_just_now_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run("pause", "orders")
    monkeypatch.setattr(Clock, "sleep", lambda clock, seconds: world.functions.settle())
    assert run("resume", "orders")[:2] == (0, "orders is read again.\n")
    assert world.state("orders") == "Enabled"


def test_what_does_not_end_is_told(world: World) -> None:
    run("pause", "orders")
    code, _, err = run("resume", "orders")
    assert (code, err) == (1, "sluice: Lambda is still changing the event source mapping: try again\n")


def test_a_resumed_stream_whose_breaker_is_open_is_enabled_by_a_good_probe_alone(world: World) -> None:
    world.fail("orders")
    world.trip("orders")
    run("pause", "orders")
    world.minute(3)
    code, out, _ = run("resume", "orders")
    assert code == 0
    assert out == f"orders is not paused, but its breaker is open ({WHY}): it is read again after a good probe.\n"
    assert world.minute() == {"orders": "open"}
    assert world.state("orders") == "Disabled"
    world.broken.clear()
    assert world.minute() == {"orders": "half_open"}


def test_a_resumed_stream_whose_breaker_is_half_open_is_enabled_at_once(world: World) -> None:
    world.trip("orders")
    world.minute(2)
    run("pause", "orders")
    world.minute(2)
    run("resume", "orders")
    assert world.state("orders") == "Enabling"
    assert told("orders")["breaker"] == "half_open"
    assert "half-open" in run("status")[1]


@pytest.mark.parametrize("text", ["{", "{}"])
def test_a_record_that_cannot_be_read_is_shown_as_open_and_made_anew_by_resume(text: str, world: World) -> None:
    world.ssm.texts[RECORD] = text
    world.functions.mappings[world.uuids["orders"]]["State"] = "Disabled"
    assert (told("orders")["breaker"], told("orders")["why"]) == ("open", "the record could not be read")
    assert run("resume", "orders")[0] == 0
    record = world.record("orders")
    assert record is not None
    world.now = record.probe_at
    assert world.minute() == {"orders": "half_open"}


def test_a_pause_that_cannot_be_read_is_one(world: World) -> None:
    world.ssm.texts[PAUSE] = "{"
    assert told("orders")["paused_at"] == "?"


def test_a_stream_that_the_stack_does_not_have_is_told_with_those_that_it_has(world: World) -> None:
    for command in ("pause", "resume"):
        code, _, err = run(command, "invoices")
        assert (code, err) == (2, "sluice: the stack tests has no stream invoices; it has logins, orders\n")


def test_a_failed_call_of_aws_is_told_in_one_line(world: World) -> None:
    code, _, err = run("status", "--stack", "other")
    assert (code, err.startswith("sluice: An error occurred (ValidationError)"), err.count("\n")) == (1, True, 1)


def test_a_pause_is_one_that_the_breaker_reads(world: World) -> None:
    run("pause", "orders")
    assert json.loads(world.ssm.texts[PAUSE])["mapping"] == world.uuids["orders"]
    assert path(STACK) == "/sluice/tests"
