"""The pipeline: who may propose a change, who may carry it out, and what CloudFormation may do for it."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document
from samtranslator.yaml_helper import yaml_parse

from tests.unit.template import ACCOUNT, PROJECT, TRANSFORMED, listed, statements
from tests.unit.test_template import ROLES
from tests.unit.workflow import WORKFLOW, run_step

PIPELINE: dict[str, Any] = yaml_parse((PROJECT / "deploy" / "pipeline.yaml").read_text())
RESOURCES = PIPELINE["Resources"]
PARAMETERS = {"Repository": "acme/etl", "PayloadBucket": "payloads"}
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/Boundary"
TAG = {"aws:requesttag/sluice:stack": "sluice-prod", "aws:resourcetag/sluice:stack": "sluice-prod"}
STACK = f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:stack/sluice-prod/5f2c"
OURS = f"arn:aws:iam::{ACCOUNT}:role/sluice-prod-IngestRole-1XYZ"

# What CloudFormation calls to make, read, update and delete a resource, as its handlers' schemas have it, without what
# the template does not use (concurrency, code signing, users and groups, replicas, data protection).
HANDLERS: dict[str, tuple[str, str]] = {
    "AWS::CloudWatch::Alarm": (
        "cloudwatch:alarm:sluice-prod-A",
        "PutMetricAlarm DescribeAlarms DeleteAlarms TagResource UntagResource ListTagsForResource",
    ),
    "AWS::CloudWatch::Dashboard": ("cloudwatch:dashboard/Dashboard-1", "PutDashboard GetDashboard DeleteDashboards"),
    "AWS::Events::Rule": (
        "events:rule/sluice-prod-B",
        "PutRule DescribeRule DeleteRule PutTargets RemoveTargets ListTargetsByRule TagResource UntagResource",
    ),
    "AWS::IAM::ManagedPolicy": (
        "iam:policy/sluice-prod-P",
        "CreatePolicy GetPolicy CreatePolicyVersion GetPolicyVersion DeletePolicyVersion ListPolicyVersions"
        " ListEntitiesForPolicy DeletePolicy",
    ),
    "AWS::IAM::Policy": ("iam:role/sluice-prod-R", "PutRolePolicy GetRolePolicy DeleteRolePolicy"),
    "AWS::IAM::Role": (
        "iam:role/sluice-prod-R",
        "CreateRole GetRole UpdateRole UpdateAssumeRolePolicy PutRolePolicy GetRolePolicy DeleteRolePolicy DeleteRole"
        " ListRolePolicies ListAttachedRolePolicies PutRolePermissionsBoundary TagRole UntagRole",
    ),
    "AWS::KMS::Key": (
        "kms:key/1",
        "CreateKey DescribeKey EnableKeyRotation GetKeyPolicy GetKeyRotationStatus ListResourceTags PutKeyPolicy"
        " TagResource UntagResource UpdateKeyDescription ScheduleKeyDeletion",
    ),
    "AWS::Lambda::EventInvokeConfig": (
        "lambda:function:sluice-prod-F",
        "PutFunctionEventInvokeConfig GetFunctionEventInvokeConfig UpdateFunctionEventInvokeConfig"
        " DeleteFunctionEventInvokeConfig",
    ),
    "AWS::Lambda::EventSourceMapping": (
        "lambda:event-source-mapping:1",
        "CreateEventSourceMapping GetEventSourceMapping UpdateEventSourceMapping DeleteEventSourceMapping ListTags"
        " TagResource UntagResource",
    ),
    "AWS::Lambda::Function": (
        "lambda:function:sluice-prod-F",
        "CreateFunction GetFunction UpdateFunctionCode UpdateFunctionConfiguration DeleteFunction TagResource"
        " UntagResource GetFunctionCodeSigningConfig GetFunctionRecursionConfig GetRuntimeManagementConfig",
    ),
    "AWS::Lambda::LayerVersion": (
        "lambda:layer:CommonLayer:1",
        "PublishLayerVersion GetLayerVersion DeleteLayerVersion",
    ),
    "AWS::Lambda::Permission": ("lambda:function:sluice-prod-F", "AddPermission GetPolicy RemovePermission"),
    "AWS::Lambda::Url": (
        "lambda:function:sluice-prod-F",
        "CreateFunctionUrlConfig GetFunctionUrlConfig UpdateFunctionUrlConfig DeleteFunctionUrlConfig",
    ),
    "AWS::Logs::LogGroup": (
        "logs:log-group:/sluice/sluice-prod/ingest",
        "DescribeLogGroups CreateLogGroup PutRetentionPolicy AssociateKmsKey ListTagsForResource TagResource"
        " UntagResource DeleteLogGroup GetDataProtectionPolicy DescribeIndexPolicies DescribeResourcePolicies",
    ),
    "AWS::SQS::Queue": (
        "sqs:login-queue",
        "CreateQueue GetQueueUrl GetQueueAttributes SetQueueAttributes ListQueueTags TagQueue UntagQueue DeleteQueue",
    ),
    "AWS::SQS::QueuePolicy": ("sqs:login-queue", "SetQueueAttributes"),
    "AWS::SSM::Parameter": (
        "ssm:parameter/sluice/sluice-prod/stream/orders",
        "PutParameter GetParameters DeleteParameter AddTagsToResource RemoveTagsFromResource ListTagsForResource",
    ),
    "AWS::SecretsManager::ResourcePolicy": (
        "secretsmanager:secret:KeysetSecret-1",
        "PutResourcePolicy GetResourcePolicy DeleteResourcePolicy",
    ),
    "AWS::SecretsManager::Secret": (
        "secretsmanager:secret:KeysetSecret-1",
        "GetRandomPassword CreateSecret DescribeSecret UpdateSecret TagResource UntagResource DeleteSecret",
    ),
    "AWS::CloudFormation::CustomResource": ("lambda:function:sluice-prod-MigrateFunction-1", "InvokeFunction"),
}


def resolved(value: Any) -> Any:
    """Return what CloudFormation makes of a value, where the pipeline makes provider and boundary itself."""
    match value:
        case {"Ref": "AWS::NoValue"}:
            return None
        case {"Ref": name} if name in PIPELINE["Parameters"]:
            return PARAMETERS.get(name, PIPELINE["Parameters"][name].get("Default"))
        case {"Ref": "Boundary"}:
            return BOUNDARY
        case {"Ref": name}:
            return name
        case {"Fn::GetAtt": [name, "Arn"]}:
            return f"arn:aws:s3:::{name}" if name == "Artifacts" else f"arn:aws:iam::{ACCOUNT}:role/deployment/{name}"
        case {"Fn::Sub": text}:
            names = {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::Region": "us-east-1"}
            names |= {"Artifacts.Arn": "arn:aws:s3:::Artifacts"}
            return re.sub(r"\$\{(.*?)\}", lambda found: names.get(found[1]) or resolved({"Ref": found[1]}), text)
        case {"Fn::If": [condition, then, otherwise]}:
            holds = condition in ("ProviderIsMissing", "BoundaryIsOurs", "PayloadsAreInS3")
            return resolved(then if holds else otherwise)
        case dict():
            return {name: resolved(member) for name, member in value.items()}
        case list():
            return [made for member in value if (made := resolved(member)) is not None]
    return value


def policy(name: str) -> list[dict[str, Any]]:
    """Return what a role, or the boundary, is allowed and denied."""
    properties = resolved(RESOURCES[name]["Properties"])
    documents = [one["PolicyDocument"] for one in properties.get("Policies", [])] or [properties["PolicyDocument"]]
    return [statement for document in documents for statement in document["Statement"]]


def may(name: str, action: str, resource: str, context: Mapping[str, str] | None = None) -> bool:
    """Tell whether a role's policies, or the boundary, allow a call of AWS."""
    request = EvalContext(
        principal_arn=f"arn:aws:iam::{ACCOUNT}:role/{name}",
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=action,
        resource_arn=resource,
        region="us-east-1",
        service_context=dict(context or {}),
    )
    return bool(evaluate(request, [parse_policy_document({"Statement": policy(name)})]).decision == "Allow")


def trust(name: str) -> dict[str, Any]:
    (statement,) = resolved(RESOURCES[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"])
    return dict(statement)


# Who may assume the roles


@pytest.mark.parametrize(
    ("role", "subject"),
    [
        ("ProposingRole", "repo:acme/etl:ref:refs/heads/main"),
        ("ExecutingRole", "repo:acme/etl:environment:production"),
    ],
)
def test_a_job_of_that_repository_alone_assumes_a_role(role: str, subject: str) -> None:
    assert trust(role) == {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": "OidcProvider"},
        "Condition": {
            "StringEquals": {
                "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                "token.actions.githubusercontent.com:sub": subject,
            }
        },
    }


def test_cloudformation_alone_assumes_the_role_that_deploys() -> None:
    assert trust("ExecutionRole") == {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "cloudformation.amazonaws.com"},
    }


@pytest.mark.parametrize(
    ("parameter", "wrong"),
    [("Repository", "acme/*"), ("Repository", "*"), ("Repository", "acme"), ("Branch", "*"), ("Environment", "*")],
)
def test_no_wildcard_gets_into_a_subject(parameter: str, wrong: str) -> None:
    assert not re.fullmatch(PIPELINE["Parameters"][parameter]["AllowedPattern"], wrong)


# What they may do


@pytest.mark.parametrize(
    ("role", "proposes", "executes"), [("ProposingRole", True, False), ("ExecutingRole", False, True)]
)
def test_who_proposes_carries_out_nothing_and_who_carries_out_proposes_nothing(
    role: str, proposes: bool, executes: bool
) -> None:
    execution = f"arn:aws:iam::{ACCOUNT}:role/deployment/ExecutionRole"
    given = {"cloudformation:rolearn": execution}
    assert may(role, "cloudformation:CreateChangeSet", STACK, given) == proposes
    assert may(role, "iam:PassRole", execution, {"iam:passedtoservice": "cloudformation.amazonaws.com"}) == proposes
    assert may(role, "s3:PutObject", "arn:aws:s3:::Artifacts/sluice-prod/1") == proposes
    assert may(role, "cloudformation:ExecuteChangeSet", STACK) == executes
    for action in ("UpdateStack", "CreateStack", "DeleteStack", "SetStackPolicy"):
        assert not may(role, f"cloudformation:{action}", STACK, given)


def test_a_change_is_proposed_with_that_role_for_that_stack_and_imports_nothing() -> None:
    execution = {"cloudformation:rolearn": f"arn:aws:iam::{ACCOUNT}:role/deployment/ExecutionRole"}
    proposes = "cloudformation:CreateChangeSet"
    assert not may("ProposingRole", proposes, STACK)
    assert not may("ProposingRole", proposes, STACK, {"cloudformation:rolearn": f"arn:aws:iam::{ACCOUNT}:role/Admin"})
    assert not may("ProposingRole", proposes, STACK.replace("sluice-prod", "other"), execution)
    imports = execution | {"cloudformation:importresourcetypes": "AWS::KMS::Key"}
    assert not may("ProposingRole", proposes, STACK, imports)


def test_every_kind_of_resource_of_the_template_can_be_made_changed_and_deleted() -> None:
    assert {resource["Type"] for resource in TRANSFORMED.values()} - HANDLERS.keys() == set()
    context = TAG | {
        "iam:permissionsboundary": BOUNDARY,
        "lambda:functionurlauthtype": "AWS_IAM",
        "lambda:functionarn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:sluice-prod-F",
    }
    for place, actions in HANDLERS.values():
        service, _, name = place.partition(":")
        region = "" if service == "iam" or "dashboard" in name else "us-east-1"
        resource = f"arn:aws:{service}:{region}:{ACCOUNT}:{name}"
        refused = [one for one in actions.split() if not may("ExecutionRole", f"{service}:{one}", resource, context)]
        assert (place, refused) == (place, [])


@pytest.mark.parametrize("action", ["CreateRole", "PutRolePolicy", "DeleteRolePolicy", "PutRolePermissionsBoundary"])
def test_a_role_without_the_boundary_is_neither_made_nor_given_anything(action: str) -> None:
    assert may("ExecutionRole", f"iam:{action}", OURS, {"iam:permissionsboundary": BOUNDARY})
    assert not may("ExecutionRole", f"iam:{action}", OURS)
    other = BOUNDARY.replace("Boundary", "AdministratorAccess")
    assert not may("ExecutionRole", f"iam:{action}", OURS, {"iam:permissionsboundary": other})


@pytest.mark.parametrize(
    "call",
    [
        "iam:DeleteRolePermissionsBoundary",
        "iam:AttachRolePolicy",
        "iam:CreateUser",
        "iam:CreateAccessKey",
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "kms:CreateGrant",
        "sqs:ReceiveMessage",
    ],
)
def test_cloudformation_frees_no_role_and_reads_no_secret_and_no_message(call: str) -> None:
    service = call.partition(":")[0]
    resources = [OURS, f"arn:aws:{service}:us-east-1:{ACCOUNT}:secret:KeysetSecret-1", "*"]
    context = TAG | {"iam:permissionsboundary": BOUNDARY}
    assert not any(may("ExecutionRole", call, resource, context) for resource in resources)


@pytest.mark.parametrize("name", ["ProposingRole", "ExecutingRole", "ExecutionRole"])
def test_the_pipelines_own_roles_are_out_of_reach_whatever_the_paths(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RESOURCES[name]["Properties"]["Path"] == "/deployment/"
    monkeypatch.setitem(PARAMETERS, "RolePath", "/deployment/")  # which the template refuses
    role = f"arn:aws:iam::{ACCOUNT}:role/deployment/sluice-prod-{name}"
    context = {"iam:permissionsboundary": BOUNDARY, "iam:passedtoservice": "lambda.amazonaws.com"}
    for action in ("PutRolePolicy", "UpdateAssumeRolePolicy", "PassRole", "DeleteRole"):
        assert not may("ExecutionRole", f"iam:{action}", role, context)
    assert not may("ExecutionRole", "iam:CreatePolicyVersion", BOUNDARY.replace("policy/", "policy/deployment/"))


def test_a_role_is_passed_to_lambda_alone_and_never_that_of_another_stack() -> None:
    to_lambda = {"iam:passedtoservice": "lambda.amazonaws.com"}
    assert may("ExecutionRole", "iam:PassRole", OURS, to_lambda)
    assert not may("ExecutionRole", "iam:PassRole", OURS, {"iam:passedtoservice": "ec2.amazonaws.com"})
    assert not may("ExecutionRole", "iam:PassRole", OURS.replace("sluice-prod", "Admin"), to_lambda)


def test_a_path_of_roles_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARAMETERS, "RolePath", "/etl/")
    assert may("ExecutionRole", "iam:GetRole", OURS.replace("role/", "role/etl/"))
    assert not may("ExecutionRole", "iam:GetRole", OURS)


def test_what_another_stack_has_is_out_of_reach() -> None:
    context = dict.fromkeys(TAG, "other") | {"iam:permissionsboundary": BOUNDARY}
    for place, actions in HANDLERS.values():
        service, _, name = place.partition(":")
        if name.startswith(("layer:", "dashboard/", "event-source-mapping:")):
            continue  # their names are not the stack's
        resource = f"arn:aws:{service}:us-east-1:{ACCOUNT}:{name.replace('sluice-prod', 'other')}"
        reached = {one for one in actions.split() if may("ExecutionRole", f"{service}:{one}", resource, context)}
        assert {one for one in reached if not re.match(r"Describe|Get|List|EnableKeyRotation", one)} == set()


def test_no_open_url_is_made() -> None:
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:sluice-prod-F"
    open_url = {"lambda:functionurlauthtype": "NONE"}
    assert not may("ExecutionRole", "lambda:CreateFunctionUrlConfig", function, open_url)
    assert not may("ExecutionRole", "lambda:UpdateFunctionUrlConfig", function, open_url)


def wildcards(name: str) -> Iterator[tuple[str, ...]]:
    """Yield the actions of each statement that is about every resource there is, whatever the condition."""
    for statement in policy(name):
        if statement["Effect"] == "Allow" and "*" in listed(statement["Resource"]):
            yield tuple(listed(statement["Action"]))


def test_what_is_allowed_of_everything_is_named() -> None:
    assert [one for name in ("ProposingRole", "ExecutingRole") for one in wildcards(name)] == []
    found = {action for actions in wildcards("ExecutionRole") for action in actions}
    assert {action for action in found if action.startswith("iam:")} == set()
    assert found == {
        *("lambda:CreateEventSourceMapping", "lambda:GetEventSourceMapping"),  # of the stack's functions
        *("lambda:UpdateEventSourceMapping", "lambda:DeleteEventSourceMapping"),
        *("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:DescribeNetworkInterfaces"),
        "secretsmanager:GetRandomPassword",
        *("kms:CreateKey", "kms:TagResource"),  # with the stack's tag
        *("logs:DescribeLogGroups", "logs:DescribeResourcePolicies"),
    }
    for name in ("ProposingRole", "ExecutingRole", "ExecutionRole", "Boundary"):
        allowed = [one for one in policy(name) if one["Effect"] == "Allow"]
        assert [action for one in allowed for action in listed(one["Action"]) if "*" in action] == []


@pytest.mark.parametrize("role", ROLES)
def test_the_boundary_leaves_a_function_what_its_role_allows(role: str) -> None:
    bounded = {action for statement in policy("Boundary") for action in listed(statement["Action"])}
    own = {action for statement in statements(role) for action in listed(statement["Action"])}
    assert own - bounded == set()


def test_the_boundary_keeps_a_function_to_its_stack() -> None:
    keyset = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:KeysetSecret-1"
    assert may("Boundary", "secretsmanager:GetSecretValue", keyset, TAG)
    assert not may("Boundary", "secretsmanager:GetSecretValue", keyset, dict.fromkeys(TAG, "other"))
    assert not may("Boundary", "iam:PassRole", OURS, TAG)
    assert not may("Boundary", "s3:GetObject", "arn:aws:s3:::others/1")
    assert len(json.dumps(policy("Boundary"), separators=(",", ":"))) < 6144  # as many characters as a policy has


def test_the_bucket_takes_and_gives_code_over_tls_alone_and_encrypts_it() -> None:
    bucket, (statement,) = RESOURCES["Artifacts"]["Properties"], policy("ArtifactsPolicy")
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == ["arn:aws:s3:::Artifacts", "arn:aws:s3:::Artifacts/*"]


# The workflow


def test_every_action_is_pinned_by_its_commit() -> None:
    used = [step["uses"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "uses" in step]
    assert [one for one in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", one)] == []


def test_a_token_is_written_for_the_two_jobs_that_log_in_and_no_key_is_kept() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    permissions = {name: job.get("permissions") for name, job in WORKFLOW["jobs"].items()}
    assert permissions == {
        "test": None,
        "propose": {"contents": "read", "id-token": "write"},
        "execute": {"id-token": "write"},
    }
    text = json.dumps(WORKFLOW)
    assert not re.search(r"secrets\.|access-key|AWS_SECRET|pull_request", text)
    scripts = [step.get("run", "") for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    assert [script for script in scripts if "${{" in script] == []  # nothing from outside becomes a command


def test_the_tests_come_first_and_a_reviewer_before_anything_is_changed() -> None:
    jobs = WORKFLOW["jobs"]
    assert [step["run"] for step in jobs["test"]["steps"] if "run" in step] == ["make check", "make test"]
    assert (jobs["propose"]["needs"], jobs["execute"]["needs"]) == ("test", "propose")
    environments = {name: job.get("environment") for name, job in jobs.items()}
    assert environments == {"test": None, "propose": None, "execute": PIPELINE["Parameters"]["Environment"]["Default"]}
    assert WORKFLOW["concurrency"] == {"group": "deploy", "cancel-in-progress": False}


def test_the_variables_of_the_workflow_are_the_outputs_of_the_pipeline() -> None:
    used = set(re.findall(r"vars\.(\w+)", json.dumps(WORKFLOW)))
    told = {
        found for one in PIPELINE["Outputs"].values() for found in re.findall(r"Variable (\w+)", one["Description"])
    }
    assert used - told == {"AWS_REGION", "STACK_NAME"}
    assert told - used == set()


CHANGE_SET = f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:changeSet/samcli-deploy1/2"
PLACE = {"ARTIFACTS_BUCKET": "code", "EXECUTION_ROLE_ARN": "arn:role"}
CHANGES = {
    "Changes": [
        {"ResourceChange": {"Action": "Modify", "LogicalResourceId": "A", "ResourceType": "T", "Replacement": "True"}},
        {"ResourceChange": {"Action": "Add", "LogicalResourceId": "B", "ResourceType": "U"}},
    ]
}


def test_a_proposal_is_shown_and_handed_on(tmp_path: Path) -> None:
    result = json.dumps({"type": "result", "status": "changeset_created", "changeset_id": CHANGE_SET})
    sam = f"echo 'Uploading'; echo '{result}'"
    code, summary, output, calls = run_step("propose", tmp_path, sam, f"echo '{json.dumps(CHANGES)}'", **PLACE)
    assert (code, output) == (0, f"change-set={CHANGE_SET}\n")
    assert summary.splitlines()[-2:] == ["| Modify | A | T | True |", "| Add | B | U |  |"]
    assert "--no-execute-changeset" in calls
    assert "--role-arn arn:role" in calls


def test_where_nothing_changes_nothing_is_carried_out(tmp_path: Path) -> None:
    sam = """echo '{"type": "result", "status": "no_changes", "message": "No changes to deploy"}'"""
    code, summary, output, _ = run_step(
        "propose", tmp_path, sam, ARTIFACTS_BUCKET="code", EXECUTION_ROLE_ARN="arn:role"
    )
    assert (code, summary, output) == (0, "Nothing to change.\n", "")


def test_a_proposal_that_fails_ends_the_job(tmp_path: Path) -> None:
    code, _, output, _ = run_step("propose", tmp_path, "exit 3", **PLACE)
    assert (code, output) == (3, "")


@pytest.mark.parametrize(
    ("status", "code"), [("UPDATE_COMPLETE", 0), ("CREATE_COMPLETE", 0), ("UPDATE_ROLLBACK_COMPLETE", 1)]
)
def test_that_change_set_is_carried_out_and_its_end_is_the_jobs(status: str, code: int, tmp_path: Path) -> None:
    aws = f"""if [[ $2 == describe-stacks ]]; then
  if [[ $(grep -c describe-stacks calls) == 1 ]]; then echo UPDATE_IN_PROGRESS; else echo {status}; fi
fi"""
    ended, _, _, calls = run_step("execute", tmp_path, aws=aws, CHANGE_SET=CHANGE_SET)
    assert ended == code
    assert calls.splitlines()[0] == f"aws cloudformation execute-change-set --change-set-name {CHANGE_SET}"
    assert calls.count("sleep") == 2
