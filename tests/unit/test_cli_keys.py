"""`sluice keys` calls the rekey function until it is done, and says how far it is; it prints the vault key's policy."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.cli import run
from tests.unit.operators import FakeDeployment
from tests.unit.template import ACCOUNT, TRANSFORMED, arn, resolved
from tools.sluice_cli.operators import deployment

WHY = ("--reason", "key_rotation", "--ticket", "OPS-1")
PAYLOAD = {"reason": "key_rotation", "ticket": "OPS-1"}


@dataclass
class FakeFunction:
    """Stands in for `operators.call`: gives one answer after the other."""

    answers: Sequence[Mapping[str, Any]] = ()
    calls: list[tuple[str, Mapping[str, Any], str]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def call(self, url_output: str, payload: Mapping[str, Any], stack: str = "") -> Mapping[str, Any]:
        self.calls.append((url_output, payload, stack))
        return self.answers[len(self.calls) - 1]


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> FakeFunction:
    fake = FakeFunction()
    monkeypatch.setattr(deployment, "call", fake.call)
    monkeypatch.setattr(time, "sleep", fake.slept.append)
    return fake


def test_the_functions_url_is_called_signed(deployment: FakeDeployment) -> None:
    deployment.answer = (200, {"current": 2, "keys": 2})
    assert run("keys", "add", *WHY) == (0, "Key 2 of 2 is current. Now: sluice keys rekey.\n", "")
    assert deployment.requests == [{"action": "add_key", **PAYLOAD}]


def test_what_the_function_refuses_is_one_line(deployment: FakeDeployment) -> None:
    deployment.answer = (503, {"error": "outage", "detail": "keyset: key 2 is missing; restore the keyset"})
    assert run("keys", "add", *WHY) == (1, "", "sluice: keyset: key 2 is missing; restore the keyset (HTTP 503)\n")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"step": None, "data_keys_to_rewrap": 0}, "Key 2 of 3 is current; no work is going on.\n"),
        (
            {"step": "map", "table": "orders", "share": 0.4249, "data_keys_to_rewrap": 1200},
            "Key 2 of 3 is current; the tokens are being brought to it (map, in orders: about 42% of all rows).\n"
            "1,200 data keys are to be moved: sluice keys rewrap.\n",
        ),
    ],
)
def test_status_tells_what_is_going_on(answer: dict[str, Any], told: str, function: FakeFunction) -> None:
    function.answers = [{"current": 2, "keys": 3, **answer}]
    assert run("keys", "status", *WHY, "--stack", "ours") == (0, told, "")
    assert function.calls == [("RekeyUrl", {"action": "status", **PAYLOAD}, "ours")]


def test_rekey_goes_on_until_it_is_done_and_waits_as_long_as_it_is_told_but_a_minute_at_a_time(
    function: FakeFunction,
) -> None:
    function.answers = [
        {"done": False, "step": "apply", "changed": 1400},  # as the function of before tells it
        {"done": False, "step": "apply", "changed": 100, "table": "orders", "share": 0.5, "seconds_left": 3601},
        {"done": False, "step": "wait", "changed": 10, "wait_seconds": 90},
        {"done": False, "step": "wait", "changed": 0, "wait_seconds": 30},
        {"done": True, "step": "done", "changed": 0},
    ]
    code, output, errors = run("keys", "rekey", *WHY)
    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        "1,400 changed; step apply.",
        "1,500 changed; step apply, in orders: about 50% of all rows, 61 min more at this pace.",
        "1,510 changed; the key before may be in use for 90 s more: waiting.",
        "1,510 changed; the key before may be in use for 30 s more: waiting.",
        "Done: 1,510 changed. Every token is of the current key.",
    ]
    assert function.slept == [60, 30]
    assert function.calls == [("RekeyUrl", {"action": "rekey", **PAYLOAD}, "")] * 5


def test_rewrap_goes_on_until_it_is_done(function: FakeFunction) -> None:
    function.answers = [{"done": False, "changed": 700}, {"done": True, "changed": 5}]
    assert run("keys", "rewrap", *WHY) == (
        0,
        "700 moved.\nDone: 705 moved. Every data key is wrapped by the stack's KMS key.\n",
        "",
    )


def test_ctrl_c_says_that_nothing_is_lost(function: FakeFunction, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    function.answers = [{"done": False, "step": "wait", "changed": 0, "wait_seconds": 90}]
    monkeypatch.setattr(time, "sleep", interrupt)
    code, _, errors = run("keys", "rekey", *WHY)
    assert (code, errors) == (1, "sluice: stopped; the same command goes on with it: sluice keys rekey\n")


@pytest.mark.parametrize("command", ["status", "add", "rekey", "rewrap"])
def test_reason_and_ticket_are_needed(command: str, function: FakeFunction) -> None:
    assert run("keys", command)[0] == 2
    assert function.calls == []


# The policy of a vault key of one's own


@dataclass
class FakeStack:
    """A deployed stack as CloudFormation and IAM describe it. CloudFormation names the roles."""

    vault_key: str
    stack: str = "sluice"

    def client(self, service: str) -> "FakeStack":
        return self

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        return {"Stacks": [{"Outputs": [{"OutputKey": "VaultKeyArn", "OutputValue": self.vault_key}]}]}

    def get_template(self, *, StackName: str, TemplateStage: str) -> dict[str, Any]:
        assert TemplateStage == "Processed"  # without macros
        return {"TemplateBody": {"Resources": TRANSFORMED}}

    def describe_stack_resource(self, *, StackName: str, LogicalResourceId: str) -> dict[str, Any]:
        return {"StackResourceDetail": {"PhysicalResourceId": f"{StackName}-{LogicalResourceId}"}}

    def get_role(self, *, RoleName: str) -> dict[str, Any]:
        return {"Role": {"Arn": arn(RoleName.removeprefix(f"{self.stack}-"))}}


def test_the_policy_of_a_vault_key_is_the_templates_own(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeStack(f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/theirs")
    monkeypatch.setattr(deployment, "deployed", lambda stack: fake)
    code, printed, told = run("keys", "policy")
    assert (code, told) == (0, "")
    assert json.loads(printed) == resolved(TRANSFORMED["VaultKey"]["Properties"]["KeyPolicy"])


def test_the_administrators_of_a_vault_key_are_those_of_its_own_account(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = "arn:aws:kms:eu-west-1:999999999999:key/theirs"
    fake = FakeStack(f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/ours")
    monkeypatch.setattr(deployment, "deployed", lambda stack: fake)
    administrators, *others = json.loads(run("keys", "policy", "--key", theirs)[1])["Statement"]
    assert administrators["Principal"] == {"AWS": "arn:aws:iam::999999999999:root"}
    assert "999999999999" not in json.dumps(others)


def test_a_key_is_named_by_its_arn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("keys", "policy", "--key", "alias/vault") == (2, "", "sluice: --key: must be the ARN of a KMS key\n")
