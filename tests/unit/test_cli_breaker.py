"""`sluice status`, `pause` and `resume` say what is, and leave a stream whose breaker is open to the breaker."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest
from botocore.credentials import Credentials
from rich.console import Console

from sluice.aws import clients
from sluice.breaker.record import parameter, path
from sluice.operators.audit.ledger import COUNTS
from tests.unit.cli import run
from tests.unit.operators import OUTPUTS, FakeDeployment
from tests.unit.switches import STACK, WHY, World
from tools.sluice_cli import terminal
from tools.sluice_cli.operators import breaker, deployment, glance
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

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        outputs = [{"OutputKey": name, "OutputValue": url} for name, url in OUTPUTS.items()]
        return {"Stacks": [{"StackName": StackName, "Outputs": outputs}]}

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
    endpoint_url: str
    region_name: str = "eu-central-1"

    def client(self, service: str, *, endpoint_url: str | None) -> Any:
        assert endpoint_url == self.endpoint_url
        return self.clients[service]

    def get_credentials(self) -> Credentials:
        return Credentials("ours", "secret")


@pytest.fixture
def function(deployment: FakeDeployment) -> FakeDeployment:
    """Return the audit function."""
    deployment.answer = (200, {"periods": [period("2026-01-01T08:00"), period("2026-01-01T09:00", ignored=1)]})
    return deployment


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, function: FakeDeployment) -> World:
    world = World()
    world.functions = FakeFunctions()
    world.uuids = {stream: world.functions.add(stream) for stream in ("orders", "logins")}
    services = {
        "lambda": world.functions,
        "ssm": world.ssm,
        "sqs": queues_of("orders", "logins"),
        "cloudformation": FakeCloudFormation(world.functions.mappings),
    }
    url = os.environ["AWS_ENDPOINT_URL"]
    session: Any = FakeSession(services, url)
    monkeypatch.setattr(clients, "client", world.client)
    monkeypatch.setattr(breaker, "time", Clock())
    monkeypatch.setattr(deployment, "deployed", lambda stack: Deployment(session, url, stack or STACK))
    return world


@dataclass
class Watched(Clock):
    """The time of a person who watches, and presses Ctrl-C after some looks."""

    looks: int = 2
    between: Callable[[int], None] = lambda look: None  # what happens after each look

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.between(len(self.pauses))
        if len(self.pauses) == self.looks:
            raise KeyboardInterrupt


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    clock = Watched()
    monkeypatch.setattr(glance, "time", clock)
    return clock


def period(begin: str, **counts: int) -> dict[str, Any]:
    """Return what came in of a stream in an hour: 2 batches, 1,000 rows and 3 that were refused, and what is given."""
    told = {"received": 1003 + sum(counts.values()), "written": 1000, "rejected": 3}
    return {"begin": begin, "batches": 2, "declarations": 1} | dict.fromkeys(COUNTS, 0) | told | counts


def looks_of(out: str) -> list[str]:
    """Return what each look of a watch printed."""
    return re.split(r"^Streams *$", out, flags=re.MULTILINE)[1:]


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
    for text in ("logins", "Enabled", "closed", "orders", "Disabling", "open", "57P03", "(cannot_connect_now)"):
        assert text in table
    assert (
        "orders: The server is starting or stopping: see its log."
        " See docs/operations.md, “The server cannot be reached”."
    ) in " ".join(table.split())


def test_a_watched_status_is_told_again_until_ctrl_c(world: World, watched: Watched, function: FakeDeployment) -> None:
    watched.between = lambda look: world.trip("orders") if look == 1 else None
    code, out, err = run("status", "--watch")
    assert (code, err, watched.pauses) == (0, "", [glance.SECONDS] * 2)
    first, second = looks_of(out)
    assert ("57P03" in first, "57P03" in second, "\x1b" in out) == (False, True, False)
    for look in (first, second):
        cells = [re.sub("[│┃]", " ", line).split() for line in look.splitlines()]
        assert ["Stream", "Received", "Written", "Rejected", "Ignored"] in cells
        assert ["orders", "2,007", "2,000", "6", "1"] in cells
        assert "Ctrl-C ends it." in look
    asked = [(request["action"], request["stream"], request["by"]) for request in function.requests]
    assert asked == [("ledger", "logins", "hour"), ("ledger", "orders", "hour")]


def test_the_ledger_is_asked_less_often(world: World, watched: Watched, function: FakeDeployment) -> None:
    watched.looks = 8  # 40 seconds
    assert run("status", "--watch")[0] == 0
    assert len(function.requests) == 4


def test_a_terminal_shows_the_status_in_one_place(
    world: World, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = StringIO()
    screen = Console(file=seen, force_terminal=True, width=120, height=40, highlight=False)
    monkeypatch.setattr(terminal, "console", lambda: screen)
    assert run("status", "--watch")[0] == 0
    first, *later = seen.getvalue().split("\x1b[1A")
    assert "Streams" in first
    assert len(later) >= first.count("\n") - 1  # the second look is written over the first
    assert "\x1b[2J" not in seen.getvalue()  # the screen is never empty
    assert "Ctrl-C ends it." in later[-1]


@pytest.mark.parametrize("end", ["Ctrl-C ends it.", "\x1b[?25l"])  # of what is on the screen when Ctrl-C comes
def test_ctrl_c_while_the_first_look_is_drawn_leaves_the_terminal_as_it_was(
    end: str, world: World, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(StringIO):
        presses = iter([KeyboardInterrupt])

        def flush(self) -> None:
            if end in self.getvalue() and (press := next(self.presses, None)):
                raise press

    seen = Interrupted()
    screen = Console(file=seen, force_terminal=True, width=120, height=40, highlight=False)
    monkeypatch.setattr(terminal, "console", lambda: screen)
    assert (run("status", "--watch")[0], watched.pauses) == (0, [])
    assert seen.getvalue().rfind("\x1b[?25h") > seen.getvalue().rfind("\x1b[?25l")  # the cursor is shown again


def test_a_ledger_that_one_may_not_read_is_told_and_the_rest_is_shown(
    world: World, watched: Watched, function: FakeDeployment
) -> None:
    function.answer = (403, {"Message": "Forbidden"})
    code, out, err = run("status", "--watch")
    assert (code, err) == (0, "")
    assert out.count("The ledger could not be read: Forbidden (HTTP 403)") == 2
    assert out.count("Disabling") + out.count("Enabled") == 4


def test_an_outage_of_aws_ends_no_watch_that_has_begun(world: World, watched: Watched) -> None:
    def fail(look: int) -> None:
        def refuse(call: str) -> None:
            raise refusal("ThrottlingException")

        world.before_each_call(refuse if look == 1 else lambda call: None)

    watched.looks, watched.between = 3, fail
    code, out, _ = run("status", "--watch")
    looks = looks_of(out)
    assert (code, len(looks)) == (0, 3)
    assert ["ThrottlingException" in look for look in looks] == [False, True, False]
    assert all("orders" in look for look in looks)


def test_a_watch_that_cannot_begin_fails(world: World, watched: Watched) -> None:
    code, out, err = run("status", "--watch", "--stack", "other")
    assert (code, out, err.startswith("sluice: An error occurred (ValidationError)")) == (1, "", True)


def test_a_watch_is_no_json(world: World) -> None:
    assert run("status", "--watch", "--json") == (2, "", "sluice: status: either --json or --watch\n")


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
    why = f"{WHY} (cannot_connect_now)"
    assert out == f"orders is not paused, but its breaker is open ({why}): it is read again after a good probe.\n"
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
