"""The template as CloudFormation gets it, and what its policies make of a request."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import boto3
from ministack.core.iam_evaluator import (
    EvalContext,
    combine_resource_policy,
    evaluate,
    evaluate_resource_policy,
    parse_policy_document,
)
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from tools.local.template import declared, expanded

PROJECT = Path(__file__).parents[2]
TEMPLATE: dict[str, Any] = expanded(declared((PROJECT / "template.yaml").read_text()))

ACCOUNT = "123456789012"
BUCKET = "payloads"
BACKUP = f"arn:aws:iam::{ACCOUNT}:role/Backup"


def transformed(expanded_template: dict[str, Any]) -> dict[str, Any]:
    """Return the resources of a template without loops as SAM's own translator makes them for CloudFormation."""
    template = deepcopy(expanded_template)
    for name, resource in template["Resources"].items():
        for code in {"CodeUri", "ContentUri"} & set(resource["Properties"]):
            resource["Properties"][code] = f"s3://code/{name}"
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
    resources: dict[str, Any] = translator.translate(template, {})["Resources"]
    return resources


TRANSFORMED = transformed(TEMPLATE)


def resolved(value: Any) -> Any:
    """Return what CloudFormation makes of a value, where every condition holds and an ARN is that of a role."""
    match value:
        case {"Ref": "AWS::StackName"}:
            return "sluice"
        case {"Ref": "KeysetBackupPrincipalArn"}:
            return BACKUP
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
            text = text.replace("${PayloadBucket}", BUCKET)
            return text.replace("${DatabaseResourceId}", resolved({"Ref": "DatabaseResourceId"}))
        case {"Fn::If": [_, then, _]}:
            return resolved(then)
        case dict():
            return {name: resolved(member) for name, member in value.items()}
        case list():
            return [resolved(member) for member in value]
    return value


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
