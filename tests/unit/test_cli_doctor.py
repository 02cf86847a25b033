"""`sluice doctor` tells what AWS says of a stack, and what it was not allowed to look at."""

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.documentation import ROOT
from tests.unit.cli import run
from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.deployment import Deployment

type Told = list[tuple[str, str, str, str]]  # area, severity, thing, sentence

ARN = "arn:aws:sqs:eu-central-1:123456789012:"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:alarms"
QUEUES = {"queue": "https://sqs/123456789012/orders", "dead_letters": "https://sqs/123456789012/orders-dlq"}
RESOURCES = (
    ("AWS::Lambda::Function", "MigrateFunction", "migrate"),
    ("AWS::Lambda::Function", "OrdersIngestFunction", "ingest"),
    ("AWS::Lambda::EventSourceMapping", "OrdersMapping", "uuid"),
    ("AWS::SecretsManager::Secret", "KeysetSecret", "keyset"),
    ("AWS::KMS::Key", "VaultKey", "vault-key"),
    ("AWS::CloudWatch::Alarm", "OutageAlarm", "outage"),
    ("AWS::Events::Rule", "EveryMinute", "sluice|rule"),
)
VARIABLES = {"STREAM": "orders", "VAULT_KEY_ID": "vault-key", "TOKEN_KEY_SECRET_ID": "keyset"}
PERMISSIONS = {  # of the calls that an area begins with
    "account": "lambda:GetAccountSettings",
    "stack": "cloudformation:DescribeStacks",
    "mappings": "lambda:GetEventSourceMapping",
    "queues": "sqs:GetQueueAttributes",
    "secrets": "secretsmanager:DescribeSecret",
    "keys": "kms:DescribeKey",
    "alarms": "cloudwatch:DescribeAlarms",
    "schedule": "events:DescribeRule",
    "logs": "logs:DescribeLogGroups",
    "database": "lambda:InvokeFunction",
}


def failure(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


@dataclass
class FakeStack:
    """Stands for a session of boto3: all clients in one, with an answer for each operation."""

    answers: dict[str, Any] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)

    def client(self, service: str, **options: object) -> "FakeStack":
        return self

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**asked: Any) -> Any:
            self.called.add(operation)
            answer = self.answers[operation]
            if isinstance(answer, Exception):
                raise answer
            return answer(asked) if callable(answer) else answer

        return call

    def get_paginator(self, operation: str) -> "Pages":
        return Pages(getattr(self, operation))


@dataclass
class Pages:
    call: Callable[..., Any]

    def paginate(self, **asked: object) -> list[Any]:
        return [self.call(**asked)]


def configuration(asked: Mapping[str, str]) -> dict[str, Any]:
    name = asked["FunctionName"]
    variables = VARIABLES if name == "ingest" else {}
    group = {"LogGroup": f"/sluice/sluice/{name}"}
    return {"FunctionName": name, "State": "Active", "Environment": {"Variables": variables}, "LoggingConfig": group}


def attributes(asked: Mapping[str, str]) -> dict[str, Any]:
    redrive = json.dumps({"deadLetterTargetArn": f"{ARN}orders-dlq"})
    found = {"QueueArn": ARN + asked["QueueUrl"].rpartition("/")[2], "ApproximateNumberOfMessages": "0"}
    return {"Attributes": found | ({} if found["QueueArn"].endswith("dlq") else {"RedrivePolicy": redrive})}


def invoked(answer: object, **more: str) -> Callable[[object], dict[str, Any]]:
    return lambda asked: {"Payload": io.BytesIO(json.dumps(answer).encode())} | more


def parameter(asked: Mapping[str, str]) -> Any:
    raise failure("ParameterNotFound")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    """A stack that is well."""
    resources = [
        {"ResourceType": kind, "LogicalResourceId": name, "PhysicalResourceId": known}
        for kind, name, known in RESOURCES
    ]
    alarm = {"AlarmName": "outage", "StateValue": "OK", "AlarmActions": [TOPIC], "ActionsEnabled": True}
    mapping = {
        "UUID": "uuid",
        "State": "Enabled",
        "FunctionArn": "ingest",
        "EventSourceArn": f"{ARN}orders",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 10},
        "LastProcessingResult": "OK",
    }
    groups = [{"logGroupName": f"/sluice/sluice/{name}", "retentionInDays": 400} for name in ("migrate", "ingest")]
    fake = FakeStack(
        {
            "describe_stacks": {"Stacks": [{"StackStatus": "UPDATE_COMPLETE"}]},
            "list_stack_resources": {"StackResourceSummaries": resources},
            "get_account_settings": {"AccountLimit": {"UnreservedConcurrentExecutions": 1000}},
            "get_function_configuration": configuration,
            "get_function_concurrency": {},
            "get_event_source_mapping": mapping,
            "get_parameters_by_path": {
                "Parameters": [{"Name": "/sluice/sluice/stream/orders", "Value": json.dumps(QUEUES)}]
            },
            "get_parameter": parameter,
            "get_queue_url": lambda asked: {"QueueUrl": f"https://sqs/123456789012/{asked['QueueName']}"},
            "get_queue_attributes": attributes,
            "get_metric_statistics": {"Datapoints": []},
            "describe_secret": {"Name": "keyset"},
            "describe_key": lambda asked: {"KeyMetadata": {"KeyId": asked["KeyId"], "KeyState": "Enabled"}},
            "describe_alarms": {"MetricAlarms": [alarm]},
            "get_topic_attributes": {"Attributes": {"SubscriptionsConfirmed": "1"}},
            "describe_rule": {"State": "ENABLED"},
            "describe_log_groups": {"logGroups": groups},
            "invoke": invoked({"findings": []}),
        }
    )
    session: Any = fake
    monkeypatch.setattr(deployment, "deployed", lambda stack: Deployment(session, None, stack or "sluice"))
    return fake


def told(exit_code: int) -> Told:
    """Return what the command finds that is not good."""
    code, output, errors = run("doctor", "--json")
    assert (code, errors) == (exit_code, "")
    return [
        (one["area"], one["severity"], one["thing"], one["sentence"])
        for one in json.loads(output)
        if one["severity"] != "good"
    ]


def test_of_a_stack_that_is_well_there_is_nothing_to_do(aws: FakeStack) -> None:
    assert told(0) == []
    code, output, _ = run("doctor")
    assert (code, output.splitlines()[-1]) == (0, "10 areas; fails: 0, warns: 0, not looked at: 0")
    assert "✓ mappings   1 streams, 10 batches at a time at most" in output


@pytest.mark.parametrize("area", PERMISSIONS)
def test_what_the_caller_may_not_look_at_is_told_and_the_rest_is_looked_at(area: str, aws: FakeStack) -> None:
    permission = PERMISSIONS[area]
    operations = {"lambda:InvokeFunction": "invoke", "cloudformation:DescribeStacks": "describe_stacks"}
    name = permission.partition(":")[2]
    operation = operations.get(permission, "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_"))
    message = f"User: somebody is not authorized to perform: {permission} on resource: *"
    aws.answers[operation] = failure("AccessDeniedException", message)
    assert (area, "unknown", "", f"Not looked at: no permission for {permission}.") in told(0)


def test_the_page_names_the_permissions_that_it_takes(aws: FakeStack) -> None:
    run("doctor")
    page = (ROOT / "docs" / "deployment.md").read_text()
    paragraph = page.partition("**Who may.**")[2].partition("None of these reads")[0]
    named = re.findall(r"`(?:\w+:)?([A-Z]\w+)`", paragraph)
    called = {"".join(word.capitalize() for word in operation.split("_")) for operation in aws.called}
    assert sorted(named) == sorted(called - {"Invoke"})


def test_without_any_permission_nothing_fails(aws: FakeStack) -> None:
    denied = failure("AccessDenied", "not authorized to perform: a:Thing")
    aws.answers = dict.fromkeys(aws.answers, denied)
    found = told(0)
    assert {severity for _, severity, _, _ in found} == {"unknown"}
    assert len(found) == 11


def test_a_stack_that_is_not_there_is_told_and_the_account_is_looked_at(aws: FakeStack) -> None:
    aws.answers["describe_stacks"] = failure("ValidationError", "Stack with id sluice does not exist")
    no_stack = ("stack", "fails", "sluice", "There is no such stack here.")
    assert told(1) == [no_stack]
    aws.answers["get_account_settings"] = {"AccountLimit": {"UnreservedConcurrentExecutions": 10}}
    small = ("account", "warns", "", "The account runs 10 executions at a time, and the stack may want 28.")
    assert told(1) == [small, no_stack]
    aws.answers["get_account_settings"] = failure(
        "AccessDenied", "not authorized to perform: lambda:GetAccountSettings"
    )
    unknown = ("account", "unknown", "", "Not looked at: no permission for lambda:GetAccountSettings.")
    assert told(1) == [unknown, no_stack]


def of_key(state: str) -> Callable[[Mapping[str, str]], dict[str, Any]]:
    return lambda asked: {"KeyMetadata": {"KeyId": asked["KeyId"], "KeyState": state}}


PROVOKED: dict[str, tuple[str, Any, Told]] = {
    "a small account": (
        "get_account_settings",
        {"AccountLimit": {"UnreservedConcurrentExecutions": 10}},
        [("account", "warns", "", "The account runs 10 executions at a time, and the stack may want 18.")],
    ),
    "a deployment that failed": (
        "describe_stacks",
        {"Stacks": [{"StackStatus": "UPDATE_ROLLBACK_COMPLETE"}]},
        [("stack", "warns", "sluice", "The last deployment failed: what was there before runs.")],
    ),
    "a creation that failed": (
        "describe_stacks",
        {"Stacks": [{"StackStatus": "ROLLBACK_COMPLETE"}]},
        [("stack", "fails", "sluice", "It is ROLLBACK_COMPLETE.")],
    ),
    "a deployment that goes on": (
        "describe_stacks",
        {"Stacks": [{"StackStatus": "UPDATE_IN_PROGRESS"}]},
        [("stack", "warns", "sluice", "It is UPDATE_IN_PROGRESS: what follows may change.")],
    ),
    "a function that cannot run": (
        "get_function_configuration",
        lambda asked: (
            configuration(asked)
            | ({"State": "Failed", "StateReason": "The subnet is gone."} if asked["FunctionName"] == "migrate" else {})
        ),
        [("functions", "fails", "MigrateFunction", "Lambda cannot run it: The subnet is gone.")],
    ),
    "a mapping that is gone": (
        "get_event_source_mapping",
        failure("ResourceNotFoundException"),
        [("mappings", "fails", "", "The mapping OrdersMapping is gone, and its queue is not read.")],
    ),
    "a secret that is gone": (
        "describe_secret",
        failure("ResourceNotFoundException"),
        [("secrets", "fails", "KeysetSecret", "It is gone.")],
    ),
    "a secret that is to go": (
        "describe_secret",
        {"DeletedDate": datetime.now(UTC)},
        [("secrets", "fails", "KeysetSecret", "It is to be deleted, and cannot be read.")],
    ),
    "a key that is to go": (
        "describe_key",
        of_key("PendingDeletion"),
        [("keys", "fails", "VaultKey", "It is to be deleted, and with it is lost what it encrypts.")],
    ),
    "a key that is disabled": ("describe_key", of_key("Disabled"), [("keys", "fails", "VaultKey", "It is Disabled.")]),
    "an alarm that is gone": (
        "describe_alarms",
        {"MetricAlarms": []},
        [("alarms", "warns", "", "Not there any more: OutageAlarm.")],
    ),
    "an alarm without a topic": (
        "describe_alarms",
        {"MetricAlarms": [{"AlarmName": "outage", "StateValue": "ALARM"}]},
        [
            ("alarms", "warns", "OutageAlarm", "It is on."),
            ("alarms", "warns", "", "1 of 1 alarms notify nobody."),
        ],
    ),
    "a topic that is gone": (
        "get_topic_attributes",
        failure("NotFound"),
        [("alarms", "fails", "alarms", "The alarms' topic is gone.")],
    ),
    "a group of logs that is gone": (
        "describe_log_groups",
        {"logGroups": [{"logGroupName": "/sluice/sluice/migrate"}]},
        [("logs", "fails", "/sluice/sluice/ingest", "The log group is gone.")],
    ),
    "a service that does not answer": (
        "describe_rule",
        failure("ServiceUnavailable", "later"),
        [
            (
                "schedule",
                "fails",
                "",
                "An error occurred (ServiceUnavailable) when calling the Operation operation: later",
            )
        ],
    ),
    "an old release": (
        "invoke",
        invoked({"schema_version": 8}),
        [("database", "unknown", "", "Not looked at: the MigrateFunction of another release cannot do it.")],
    ),
    "a function that failed": (
        "invoke",
        invoked({"errorMessage": "DATABASE_HOST: must be set"}, FunctionError="Unhandled"),
        [("database", "fails", "", "MigrateFunction failed: DATABASE_HOST: must be set")],
    ),
}


@pytest.mark.parametrize(("operation", "answer", "expected"), PROVOKED.values(), ids=PROVOKED.keys())
def test_what_aws_tells_is_found(operation: str, answer: Any, expected: Told, aws: FakeStack) -> None:
    aws.answers[operation] = answer
    assert told(int(any(severity == "fails" for _, severity, _, _ in expected))) == expected


def test_a_batch_that_ended_badly_is_told(aws: FakeStack) -> None:
    aws.answers["get_event_source_mapping"] |= {"LastProcessingResult": "PROBLEM: Function call failed"}
    assert told(0) == [("mappings", "warns", "orders", "The last batch ended with: PROBLEM: Function call failed")]


@pytest.mark.parametrize(
    ("options", "connections"),
    [
        ({"ScalingConfig": {"MaximumConcurrency": 25}}, 25),
        ({"ScalingConfig": {}, "ProvisionedPollerConfig": {"MaximumPollers": 3}}, 30),
    ],
    ids=["concurrency", "provisioned"],
)
def test_the_function_is_told_how_many_connections_the_mappings_may_want(
    options: dict[str, Any], connections: int, aws: FakeStack
) -> None:
    payloads: list[str] = []

    def invoke(asked: Mapping[str, str]) -> dict[str, Any]:
        payloads.append(asked["Payload"])
        return invoked({"findings": []})(asked)

    aws.answers["get_event_source_mapping"] |= options
    aws.answers["invoke"] = invoke
    assert told(0) == []
    assert list(map(json.loads, payloads)) == [{"doctor": {"connections": connections}}]


def test_an_outage_is_told_with_what_the_runbook_says(aws: FakeStack) -> None:
    finding = {"area": "logins", "severity": "fails", "sentence": "database: SQLSTATE 28P01", "thing": "sluice-audit"}
    aws.answers["invoke"] = invoked({"findings": [finding]})
    code, output, _ = run("doctor")
    shown = " ".join(output.split())
    told = "✗ logins sluice-audit: database: SQLSTATE 28P01 (invalid_password) The password is not accepted:"
    assert (code, told in shown) == (1, True)
    assert "See docs/operations.md, “The login is refused”." in shown
