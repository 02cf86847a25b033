"""The template as CloudFormation gets it, and what its policies make of a request."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ministack.core.iam_evaluator import (
    EvalContext,
    combine_resource_policy,
    evaluate,
    evaluate_resource_policy,
    parse_policy_document,
)

from tools.local.policies import transformed as transformed
from tools.local.template import declared, expanded

PROJECT = Path(__file__).parents[2]
TEMPLATE: dict[str, Any] = expanded(declared((PROJECT / "template.yaml").read_text()))

ACCOUNT = "123456789012"
PAYLOAD_BUCKET = "payloads"
BACKUP = f"arn:aws:iam::{ACCOUNT}:role/Backup"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:logins"
RULE = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/logins"
BUCKET = "arn:aws:s3:::logins"
PRODUCER = "arn:aws:iam::210987654321:role/Producer"  # of another account
DEPLOYMENT = f"arn:aws:iam::{ACCOUNT}:role/deployment/pipeline-ExecutionRole"


TRANSFORMED = transformed(TEMPLATE)


def resolved(value: Any) -> Any:
    """Return what CloudFormation makes of a value, where every condition holds and an ARN is that of a role."""
    match value:
        case {"Ref": "AWS::StackName"}:
            return "sluice"
        case {"Ref": "KeysetBackupPrincipalArn"}:
            return BACKUP
        case {"Ref": "SenderSourceArns"}:
            return [TOPIC, RULE, BUCKET]
        case {"Ref": "SenderPrincipalArns"}:
            return [PRODUCER]
        case {"Ref": "AWS::AccountId"}:
            return ACCOUNT
        case {"Ref": "DeploymentRoleArn"}:
            return DEPLOYMENT
        case {"Fn::GetAtt": [name, "Value"]}:  # of a parameter of SSM
            return resolved(TEMPLATE["Resources"][name]["Properties"]["Value"])
        case {"Ref": name} if name in TEMPLATE["Parameters"]:
            return str(TEMPLATE["Parameters"][name].get("Default", "given"))
        case {"Ref": name} | {"Fn::GetAtt": [name, "Arn"]}:
            return arn(name)
        case {"Fn::Sub": [text, variables]}:
            for name, meant in variables.items():
                text = text.replace(f"${{{name}}}", resolved(meant))
            return resolved({"Fn::Sub": text})
        case {"Fn::Sub": text}:
            names = {"Partition": "aws", "AccountId": ACCOUNT, "Region": "us-east-1", "StackName": "sluice"}
            for name, meant in names.items():
                text = text.replace(f"${{AWS::{name}}}", meant)
            text = text.replace("${PayloadBucket}", PAYLOAD_BUCKET)
            return text.replace("${DatabaseResourceId}", resolved({"Ref": "DatabaseResourceId"}))
        case {"Fn::Join": [between, parts]}:
            return str(between).join(map(resolved, parts))
        case {"Fn::If": [_, then, _]}:
            return resolved(then)
        case dict():
            return {name: resolved(member) for name, member in value.items()}
        case list():
            return [resolved(member) for member in value]
    return value


def broken_rules(template: dict[str, Any], given: dict[str, str]) -> list[str]:
    """Return what CloudFormation says of parameters that the template's rules refuse."""
    values = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()} | given

    def holds(condition: dict[str, Any]) -> bool:
        match condition:
            case {"Fn::Equals": [{"Ref": name}, value]}:
                return bool(values[name] == value)
            case {"Fn::EachMemberEquals": [{"Ref": name}, value]}:
                return set(values[name].split(",")) == {value}
            case {"Fn::Not": [inner]}:
                return not holds(inner)
            case {"Fn::Or": inner}:
                return any(map(holds, inner))
        raise AssertionError(condition)

    return [
        assertion["AssertDescription"]
        for rule in template["Rules"].values()
        if "RuleCondition" not in rule or holds(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"])
    ]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def policies_of(role: str) -> list[dict[str, Any]]:
    """Return a role's own policies, and those that name it."""
    own = TRANSFORMED[role]["Properties"]["Policies"]
    named = [one["Properties"] for one in TRANSFORMED.values() if one["Type"] == "AWS::IAM::Policy"]
    return [*own, *(policy for policy in named if {"Ref": role} in policy["Roles"])]


def statements(role: str) -> list[dict[str, Any]]:
    """Return all that a role is allowed."""
    return [one for policy in policies_of(role) for one in resolved(policy["PolicyDocument"]["Statement"])]


def arn(role: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{role}"


def _request(principal: str, action: str, resource: str, context: Mapping[str, Any] | None = None) -> EvalContext:
    return EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=action,
        resource_arn=arn(resource),
        region="us-east-1",
        service_context=dict(context or {}),
    )


def vault_actions(principal: str, role: str | None, encryption_context: Mapping[str, str]) -> set[str]:
    """Return what the vault key's policy lets a principal do with it, beside what its own policies say."""
    context: dict[str, Any] = {f"kms:encryptioncontext:{name}": value for name, value in encryption_context.items()}
    context["kms:encryptioncontextkeys"] = list(encryption_context)
    policy = resolved(TRANSFORMED["VaultKey"]["Properties"]["KeyPolicy"])
    actions = ("Decrypt", "ReEncryptFrom", "ReEncryptTo", "CreateGrant", "GenerateDataKey", "PutKeyPolicy")
    allowed = set()
    for action in actions:
        asked = _request(principal, f"kms:{action}", "VaultKey", context)
        own = statements(role) if role else [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
        identity = evaluate(asked, [parse_policy_document({"Statement": own})])
        if combine_resource_policy(identity, asked, policy, ACCOUNT, required=True).decision == "Allow":
            allowed.add(action)
    return allowed


def denied(actions: Iterable[str], principal: str, context: Mapping[str, Any] | None = None) -> set[str]:
    """Return which of these actions the keyset's policy denies, whatever else is allowed."""
    policy = resolved(TRANSFORMED["KeysetPolicy"]["Properties"]["ResourcePolicy"])
    return {
        action
        for action in actions
        if evaluate_resource_policy(
            policy, _request(principal, f"secretsmanager:{action}", "KeysetSecret", context)
        ).decision
        == "Deny"
    }
