"""Parliament and Cloudsplaining on what tools/local/policies.py prints: clean, except for what is expected here.

`.venv-lint/bin/python tools/local/findings.py FILE` tells of each other finding, and of what is expected in vain.
"""

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # parliament imports pkg_resources
    from parliament import analyze_policy_string

from cloudsplaining.scan.policy_document import PolicyDocument

RISKS = (
    "allows_privilege_escalation",
    "allows_data_exfiltration_actions",
    "permissions_management_without_constraints",
    "infrastructure_modification",
    "credentials_exposure",
    "service_wildcard",
)
IN_VPC = "ec2:AssignPrivateIpAddresses, ec2:CreateNetworkInterface, "
IN_VPC += "ec2:DeleteNetworkInterface, ec2:UnassignPrivateIpAddresses"
BY_URL = "Unknown condition lambda:InvokedViaFunctionUrl for action lambda:InvokeFunction"
EXPECTED = {
    # Of network interfaces that Lambda makes, nobody knows the ARN before; AWS's own policy for it says `*` too.
    f"parliament: RESOURCE_STAR: {IN_VPC}",
    f"cloudsplaining: infrastructure_modification: {IN_VPC}",
    # Lambda has asked for it since October 2025; parliament knows what there was half a year before.
    f"parliament: UNKNOWN_CONDITION_FOR_ACTION: {BY_URL}",
}


def findings(policy: dict[str, Any]) -> Iterator[str]:
    """Yield what the two have to say of a policy."""
    for finding in analyze_policy_string(json.dumps(policy)).findings:
        yield f"parliament: {finding.issue}: {_text(finding.detail)}"
    read = PolicyDocument(policy)
    for risk in RISKS:
        if found := getattr(read, risk):
            yield f"cloudsplaining: {risk}: {_text(found)}"


def _text(detail: Any) -> str:
    return ", ".join(map(str, detail)) if isinstance(detail, list) else str(detail)


def main() -> int:
    policies = json.loads(Path(sys.argv[1]).read_text())
    found = [(name, finding) for name, policy in policies.items() for finding in findings(policy)]
    told = [f"{name}: {finding}" for name, finding in found if finding not in EXPECTED]
    told += [f"expected, but not found: {finding}" for finding in EXPECTED - {finding for _, finding in found}]
    print("\n".join(told), end="\n" if told else "")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
