"""`sluice protect` has CloudFormation refuse to delete a stack."""

from typing import Any

import pytest

from tests.unit.cli import run
from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.deployment import Deployment
from tools.testing.aws.service import refusal


class FakeCloudFormation:
    """One stack, protected or not. It is its own session."""

    def __init__(self) -> None:
        self.is_protected = False

    def client(self, service: str, *, endpoint_url: str | None) -> "FakeCloudFormation":
        assert (service, endpoint_url) == ("cloudformation", None)
        return self

    def update_termination_protection(self, *, StackName: str, EnableTerminationProtection: bool) -> None:
        if StackName != "sluice":
            raise refusal("ValidationError")
        self.is_protected = EnableTerminationProtection


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> FakeCloudFormation:
    fake = FakeCloudFormation()
    session: Any = fake
    monkeypatch.setattr(deployment, "deployed", lambda stack: Deployment(session, None, stack or "sluice"))
    return fake


def test_a_stack_is_protected_until_it_is_not(cloudformation: FakeCloudFormation) -> None:
    told = "The stack sluice is protected: it cannot be deleted until `sluice protect --off`.\n"
    assert run("protect") == (0, told, "")
    assert cloudformation.is_protected
    told = "The stack sluice can be deleted: `sluice protect` protects it again.\n"
    assert run("protect", "--off") == (0, told, "")
    assert not cloudformation.is_protected


def test_a_stack_that_is_not_there_is_told_of_in_one_line(cloudformation: FakeCloudFormation) -> None:
    code, out, error = run("protect", "--stack", "other")
    assert (code, out) == (1, "")
    assert "ValidationError" in error
    assert error.count("\n") == 1
