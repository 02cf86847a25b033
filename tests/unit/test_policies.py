"""The policies that simulators look at are those of every role, and what is wrong with one is told."""

import json
import re
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.unit.template import PROJECT, TRANSFORMED, listed, statements
from tools.local.policies import allowed

LINT = PROJECT / ".venv-lint" / "bin" / "python"
POLICIES = allowed(TRANSFORMED)
QUEUE = "arn:aws:sqs:us-east-1:123456789012:login-queue"


def actions(found: list[dict[str, Any]]) -> list[str]:
    return [action for statement in found for action in listed(statement["Action"])]


def test_each_role_is_looked_at_whole_and_so_is_each_policy_that_is_handed_out() -> None:
    kinds = {name: resource["Type"] for name, resource in TRANSFORMED.items()}
    roles = {name for name, kind in kinds.items() if kind == "AWS::IAM::Role"}
    assert POLICIES.keys() == roles | {name for name, kind in kinds.items() if kind == "AWS::IAM::ManagedPolicy"}
    for role in roles:
        assert sorted(actions(POLICIES[role]["Statement"])) == sorted(actions(statements(role)))
    assert '"Ref"' not in json.dumps(POLICIES)
    assert "Fn::" not in json.dumps(POLICIES)


@pytest.mark.long
@pytest.mark.skipif(not LINT.exists(), reason="make check installs the simulators")
@pytest.mark.parametrize(
    ("action", "resource", "told"),
    [
        ("sqs:SendMessag", QUEUE, "parliament: UNKNOWN_ACTION"),
        ("lambda:GetFunction", QUEUE, "parliament: RESOURCE_MISMATCH"),
        ("secretsmanager:GetSecretValue", "*", "cloudsplaining: allows_data_exfiltration_actions"),
        ("iam:CreateAccessKey", "*", "cloudsplaining: allows_privilege_escalation"),
    ],
)
def test_what_a_role_should_not_be_allowed_is_told(action: str, resource: str, told: str, tmp_path: Path) -> None:
    policies = deepcopy(POLICIES)
    policies["AuditRole"]["Statement"].append({"Effect": "Allow", "Action": action, "Resource": resource})
    file = tmp_path / "policies.json"
    file.write_text(json.dumps(policies))
    findings = [str(LINT), "tools/local/findings.py", str(file)]
    process = subprocess.run(findings, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert process.returncode == 1, process.stderr
    assert f"AuditRole: {told}" in process.stdout


def test_the_page_tells_of_each_service_that_a_boundary_must_allow() -> None:
    page = (PROJECT / "docs" / "deployment.md").read_text()
    listed_there = page.partition("The boundary must allow what the roles do")[2].partition("\n**Path.**")[0]
    roles = [policy["Statement"] for name, policy in POLICIES.items() if name.endswith("Role")]
    services = {action.partition(":")[0] for found in roles for action in actions(found)}
    assert set(re.findall(r"`([a-z0-9-]+)`", listed_there)) == services
