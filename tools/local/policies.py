"""What each role, and each policy that is handed out, allows: as IAM reads it, where every condition holds.

`python -m tools.local.policies FILE` prints it for a template, as JSON: for the simulators in tools/local/findings.py.
"""

import json
import re
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from tools.local.template import expanded

ACCOUNT = "123456789012"
PSEUDO = {"Partition": "aws", "AccountId": ACCOUNT, "Region": "us-east-1", "StackName": "sluice"}
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/12345678-1234-1234-1234-123456789012"
NOTHING = {"Ref": "AWS::NoValue"}
PARAMETERS = {
    "DatabaseOwnerSecretKmsKeyArn": KEY,
    "DatabaseResourceId": "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "PayloadBucket": "payloads",
    "PayloadBucketKmsKeyArn": KEY,
}
ARNS = {
    "AWS::KMS::Key": KEY,
    "AWS::Lambda::Function": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{{name}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/sluice/sluice/{{name}}:*",
    "AWS::SecretsManager::Secret": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:{{name}}-AbCdEf",
    "AWS::SQS::Queue": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{{name}}",
}


def transformed(template: dict[str, Any]) -> dict[str, Any]:
    """Return the resources of a template without loops as SAM's own translator makes them for CloudFormation."""
    template = deepcopy(template)
    for name, resource in template["Resources"].items():
        for code in {"CodeUri", "ContentUri"} & set(resource["Properties"]):
            resource["Properties"][code] = f"s3://code/{name}"
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
    resources: dict[str, Any] = translator.translate(template, {})["Resources"]
    return resources


def allowed(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return one policy for each role, of all that it is allowed, and those that are handed out."""
    documents: dict[str, list[Any]] = {}
    for name, resource in resources.items():
        properties = resource["Properties"]
        match resource["Type"]:
            case "AWS::IAM::Role":
                documents.setdefault(name, []).extend(one["PolicyDocument"] for one in properties["Policies"])
            case "AWS::IAM::Policy":
                for role in properties["Roles"]:
                    documents.setdefault(role["Ref"], []).append(properties["PolicyDocument"])
            case "AWS::IAM::ManagedPolicy":
                documents[name] = [properties["PolicyDocument"]]
    return {
        name: {
            "Version": "2012-10-17",
            "Statement": [_resolved(one, resources) for policy in policies for one in policy["Statement"]],
        }
        for name, policies in documents.items()
    }


def _resolved(value: Any, resources: dict[str, Any]) -> Any:
    match value:
        case {"Ref": name} | {"Fn::GetAtt": [name, "Arn"]} if name in resources:
            return ARNS[resources[name]["Type"]].format(name=name)
        case {"Fn::GetAtt": [name, "Value"]}:  # of a parameter of SSM
            return _resolved(resources[name]["Properties"]["Value"], resources)
        case {"Ref": name}:
            return PARAMETERS.get(name) or PSEUDO[name.removeprefix("AWS::")]
        case {"Fn::Sub": [text, variables]}:
            return _filled(text, variables)
        case {"Fn::Sub": text}:
            return _filled(text, {})
        case {"Fn::If": [_, then, otherwise]}:
            return _resolved(otherwise if then == NOTHING else then, resources)
        case dict():
            return {key: _resolved(member, resources) for key, member in value.items()}
        case list():
            return [_resolved(member, resources) for member in value]
    return value


def _filled(text: str, variables: dict[str, str]) -> str:
    known = {**PARAMETERS, **{f"AWS::{name}": meant for name, meant in PSEUDO.items()}, **variables}
    return re.sub(r"\$\{([^}]+)\}", lambda match: known[match[1]], text)


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m tools.local.policies FILE", file=sys.stderr)
        return 2
    print(json.dumps(allowed(transformed(expanded(Path(sys.argv[1]).read_text()))), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
