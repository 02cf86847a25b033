"""What LocalStack 4.14 makes of the template, and what it does otherwise than AWS.

Its functions run as processes (tools/local/executor.py), so its own way to run them in containers is not tested here.
"""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from tests.e2e.conftest import eventually
from tests.e2e.test_operators import sluice
from tests.e2e.test_queue_to_row import login
from tests.localstack.conftest import TRUST, Migration, Probe, messages
from tools.local.demo import send
from tools.local.generator import messages as generated
from tools.local.localstack import LocalStack
from tools.local.stack import STACK_NAME, Stack

ACCOUNT = "000000000000"
CONTEXT = {"app": "sluice", "purpose": "vault", "stack": STACK_NAME}


def resources(stack: Stack) -> dict[str, dict[str, Any]]:
    """Return the stack's resources as CloudFormation lists them, by their names in the template."""
    pages = stack.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK_NAME)
    return {found["LogicalResourceId"]: found for page in pages for found in page["StackResourceSummaries"]}


def queue(stack: Stack, name: str) -> dict[str, str]:
    """Return the attributes of a queue."""
    sqs = stack.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    attributes: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return attributes


def test_all_resources_are_said_to_be_created_and_two_are_not(stack: Stack) -> None:
    template = stack.client("cloudformation").get_template(StackName=STACK_NAME, TemplateStage="Processed")
    wanted = template["TemplateBody"]["Resources"]
    found = resources(stack)
    assert {name: resource["ResourceType"] for name, resource in found.items()} == {
        name: resource["Type"] for name, resource in wanted.items()
    }
    assert {resource["ResourceStatus"] for resource in found.values()} == {"CREATE_COMPLETE"}
    fallback = "Resource type {} is not supported but was deployed as a fallback"
    assert {
        name: resource["ResourceStatusReason"] for name, resource in found.items() if "ResourceStatusReason" in resource
    } == {
        "Schema": fallback.format("AWS::CloudFormation::CustomResource"),
        "Dashboard": fallback.format("AWS::CloudWatch::Dashboard"),
    }
    assert stack.client("cloudwatch").list_dashboards()["DashboardEntries"] == []


def test_no_custom_resource_is_run_so_the_schema_is_made_after_the_deployment(migration: Migration) -> None:
    assert migration.before == []
    assert {"user_logins", "orders", "rejection", "pii_vault", "audit_log"} <= set(migration.after)


@pytest.mark.parametrize("name", ["login-queue", "order-queue"])
def test_queues_have_their_settings(stack: Stack, name: str) -> None:
    key = stack.outputs["StorageKeyArn"]
    policy = {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}-dlq", "maxReceiveCount": 10}
    found = queue(stack, name)
    assert json.loads(found["RedrivePolicy"]) == policy
    assert {
        "KmsMasterKeyId": key,
        "MessageRetentionPeriod": "604800",
        "VisibilityTimeout": "660",
    }.items() <= found.items()
    dead_letters = queue(stack, f"{name}-dlq")
    assert {"KmsMasterKeyId": key, "MessageRetentionPeriod": "1209600"}.items() <= dead_letters.items()


@pytest.mark.parametrize("name", ["login-queue", "login-queue-dlq", "order-queue", "order-queue-dlq"])
def test_the_policy_of_a_queue_is_kept_and_not_enforced(stack: Stack, name: str) -> None:
    (statement,) = json.loads(queue(stack, name)["Policy"])["Statement"]  # of no sender, since none is named
    assert (statement["Sid"], statement["Effect"], statement["Action"]) == ("TlsOnly", "Deny", "sqs:*")
    assert statement["Resource"] == queue(stack, name)["QueueArn"]
    assert stack.client("sqs").meta.endpoint_url.startswith("http:")  # by which the queue has just told so


def test_a_queue_with_a_key_of_ours_says_that_it_has_one_of_sqs_too(stack: Stack) -> None:
    assert queue(stack, "login-queue")["SqsManagedSseEnabled"] == "true"  # AWS: one or the other


@pytest.mark.parametrize(
    ("function", "name"), [("LoginsIngestFunction", "login-queue"), ("OrdersIngestFunction", "order-queue")]
)
def test_mappings_have_their_settings(stack: Stack, function: str, name: str) -> None:
    found = resources(stack)[function]["PhysicalResourceId"]
    (mapping,) = stack.client("lambda").list_event_source_mappings(FunctionName=found)["EventSourceMappings"]
    assert {setting: mapping[setting] for setting in mapping if setting not in ("UUID", "LastModified")} == {
        "BatchSize": 1000,
        "MaximumBatchingWindowInSeconds": 1,
        "ScalingConfig": {"MaximumConcurrency": 10},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "EventSourceArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}",
        "FunctionArn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{found}",
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:event-source-mapping:{mapping['UUID']}",
        "State": "Enabled",
        "StateTransitionReason": "USER_INITIATED",
    }


def test_secrets_are_generated_as_the_template_says(stack: Stack) -> None:
    manager = stack.client("secretsmanager")
    found = {
        name: json.loads(manager.get_secret_value(SecretId=resource["PhysicalResourceId"])["SecretString"])
        for name, resource in resources(stack).items()
        if resource["ResourceType"] == "AWS::SecretsManager::Secret"
    }
    owner = found.pop("OwnerSecret")
    assert owner == {"username": "postgres", "password": stack.postgres.password}
    keyset = found.pop("KeysetSecret")
    generated_strings = {keyset.pop("1"), *(secret.pop("password") for secret in found.values())}
    assert keyset == {"current": 1}
    assert {name: secret["username"] for name, secret in found.items()} == {
        "AuditSecret": "sluice-audit",
        "DeadLettersSecret": "sluice-dead-letters",
        "ForgetSecret": "sluice-forget",
        "IngestSecret": "sluice-ingest",
        "MaintainSecret": "sluice-maintain",
        "RekeySecret": "sluice-rekey",
        "RevealSecret": "sluice-reveal",
    }
    assert len(generated_strings) == 7
    assert all(re.fullmatch("[A-Za-z0-9]{64}", generated_string) for generated_string in generated_strings)


def test_a_ref_of_a_secret_is_its_arn(stack: Stack) -> None:
    assert stack.outputs["KeysetSecretArn"].startswith(f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:")


def test_the_policy_of_a_secret_is_kept_and_not_enforced(stack: Stack) -> None:
    manager, secret = stack.client("secretsmanager"), stack.outputs["KeysetSecretArn"]
    policy = json.loads(manager.get_resource_policy(SecretId=secret)["ResourcePolicy"])
    statements = {statement["Sid"]: statement["Effect"] for statement in policy["Statement"]}
    assert statements == {
        "NobodyElseReads": "Deny",
        "NobodyButRekeyWrites": "Deny",
        "NobodyButCloudFormationUpdates": "Deny",
    }
    assert manager.get_secret_value(SecretId=secret)["SecretString"]  # AWS: AccessDeniedException


def test_the_policy_of_a_key_is_kept_and_not_enforced(stack: Stack) -> None:
    kms, key = stack.client("kms"), stack.outputs["VaultKeyArn"]
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    assert [statement["Sid"] for statement in policy["Statement"]] == [
        "AdministratorsThroughIam",
        "NobodyButRevealDecrypts",
        "NobodyButRekeyReEncrypts",
        "NobodyGrants",
        "IngestSeals",
        "RevealOpens",
        "RekeyMoves",
    ]
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    made = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=CONTEXT)
    opened = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == made["Plaintext"]  # AWS: AccessDeniedException


def test_a_data_key_is_opened_with_its_encryption_context_alone(stack: Stack) -> None:
    kms = stack.client("kms")
    made = kms.generate_data_key(KeyId=stack.outputs["VaultKeyArn"], KeySpec="AES_256", EncryptionContext=CONTEXT)
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT | {"stack": "another"})


def test_a_data_key_is_encrypted_anew_under_another_key(stack: Stack) -> None:
    kms, key = stack.client("kms"), stack.outputs["VaultKeyArn"]
    made = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=CONTEXT)
    moved = kms.re_encrypt(
        CiphertextBlob=made["CiphertextBlob"],
        SourceKeyId=key,  # AWS can do without, LocalStack cannot
        SourceEncryptionContext=CONTEXT,
        DestinationKeyId=kms.create_key()["KeyMetadata"]["KeyId"],
        DestinationEncryptionContext=CONTEXT,
    )
    opened = kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == made["Plaintext"]


def test_functions_have_their_settings(stack: Stack) -> None:
    functions, name = stack.client("lambda"), resources(stack)["BreakerFunction"]["PhysicalResourceId"]
    found = functions.get_function_configuration(FunctionName=name)
    wanted = {
        "Runtime": "python3.13",
        "Handler": "app.lambda_handler",
        "Architectures": ["x86_64"],
        "Timeout": 60,
        "MemorySize": 512,
        "TracingConfig": {"Mode": "Active"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/sluice/sluice/breaker"},
    }
    assert {setting: found[setting] for setting in wanted} == wanted
    layers = [f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer:{layer}:1" for layer in ("CommonLayer", "StreamsLayer")]
    assert [layer["Arn"] for layer in found["Layers"]] == layers
    retries = functions.get_function_event_invoke_config(FunctionName=name)
    assert (retries["MaximumRetryAttempts"], retries["MaximumEventAgeInSeconds"]) == (0, 60)


def test_log_groups_have_neither_their_retention_nor_their_key(stack: Stack) -> None:
    groups = stack.client("logs").describe_log_groups(logGroupNamePrefix="/sluice/")["logGroups"]
    found = {group["logGroupName"]: (group.get("retentionInDays"), group.get("kmsKeyId")) for group in groups}
    names = "audit breaker dead-letters forget ingest maintain migrate rekey reveal".split()
    assert found == {f"/sluice/sluice/{name}": (None, None) for name in names}  # AWS: both, as the template says


def test_logs_go_to_a_group_of_the_functions_name(stack: Stack, migration: Migration) -> None:
    name = resources(stack)["MigrateFunction"]["PhysicalResourceId"]
    assert any("database up to date" in message for message in messages(stack, name))
    streams = stack.client("logs").describe_log_streams(logGroupName="/sluice/sluice/migrate")["logStreams"]
    assert streams == []  # AWS: here, as LoggingConfig says


def test_alarms_have_their_settings(stack: Stack) -> None:
    found = resources(stack)
    wanted = {
        resource["PhysicalResourceId"]
        for resource in found.values()
        if resource["ResourceType"] == "AWS::CloudWatch::Alarm"
    }
    alarms = {alarm["AlarmName"]: alarm for alarm in stack.client("cloudwatch").describe_alarms()["MetricAlarms"]}
    assert alarms.keys() == wanted
    alarm = alarms[found["BreakerAlarm"]["PhysicalResourceId"]]
    settings = {
        "Namespace": "Sluice/sluice",
        "MetricName": "BreakerOpen",
        "Dimensions": [{"Name": "service", "Value": "breaker"}],
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 15,
        "DatapointsToAlarm": 10,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    }
    assert {setting: alarm[setting] for setting in settings} == settings


def test_a_url_for_signed_calls_serves_unsigned_ones_and_tells_no_caller(stack: Stack, probe: Probe) -> None:
    functions = stack.client("lambda")
    reveal = resources(stack)["RevealFunction"]["PhysicalResourceId"]
    assert functions.get_function_url_config(FunctionName=reveal)["AuthType"] == "AWS_IAM"
    status, answer = call(stack, stack.outputs["RevealUrl"])
    assert (status, answer["error"]) == (400, "bad_request")  # of the function; AWS: 403 without calling it
    url = functions.create_function_url_config(FunctionName=probe.name, AuthType="AWS_IAM")["FunctionUrl"]
    status, context = call(stack, url)
    assert status == 200
    assert context["accountId"] == "anonymous"
    assert "authorizer" not in context


def call(stack: Stack, url: str) -> tuple[int, dict[str, Any]]:
    """Call a function's URL without a signature; its host name is for LocalStack alone to know."""
    headers = {"Host": urlparse(url).netloc, "Content-Type": "application/json"}
    request = urllib.request.Request(stack.emulator.endpoint_url, b"{}", headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_logins_become_rows_in_one_batch_and_junk_dead_letters(stack: Stack, migration: Migration) -> None:
    functions, name = stack.client("lambda"), stack.ingest_function
    (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    logins = generated(100, seed=1)
    junk = sum(not login.valid for login in logins)
    assert len(send(stack.client("sqs"), stack.queue_url, logins)) == 100
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    def found() -> tuple[int, int, str, str]:
        with stack.connect() as owner:
            ((rows,),) = owner.run("SELECT count(*) FROM user_logins")
            ((refused,),) = owner.run("SELECT count(*) FROM rejection")
        waiting = queue(stack, "login-queue")["ApproximateNumberOfMessages"]
        return rows, refused, waiting, queue(stack, "login-queue-dlq")["ApproximateNumberOfMessages"]

    eventually(found, (100 - junk, junk, "0", str(junk)))
    metrics = [json.loads(message) for message in messages(stack, name) if '"Received":[' in message]
    received = [number for metric in metrics for number in metric["Received"]]
    assert sum(received) == 100 + 9 * junk  # junk ten times: the tenth was the last
    assert max(received) > 10  # a batch of more than SQS hands out at once


def test_a_body_that_is_json_is_written_anew(probe: Probe) -> None:
    url = probe.map_queue()
    bodies = ['"a string"', '{"a":1, "a":2.50}', "not json"]
    for body in bodies:
        probe.stack.client("sqs").send_message(QueueUrl=url, MessageBody=body)

    def found() -> list[str]:
        return sorted(
            body for batch in probe.seen() for body, _ in batch["records"] if "a" in body or body == bodies[2]
        )

    eventually(found, ["a string", "not json", '{"a": 2.5}'])  # AWS: byte by byte as it was sent


@pytest.mark.parametrize("wish", ["raise", "unknown", "null"])
def test_a_batch_that_fails_comes_again_as_a_whole(probe: Probe, wish: str) -> None:
    url = probe.map_queue()
    probe.stack.client("sqs").send_message(QueueUrl=url, MessageBody=wish)

    def found() -> list[str]:
        return [receives for batch in probe.seen() for body, receives in batch["records"] if body == wish][:2]

    eventually(found, ["1", "2"])


def test_a_mapping_takes_one_batch_at_a_time_whatever_its_concurrency(probe: Probe) -> None:
    url = probe.map_queue(BatchSize=1, ScalingConfig={"MaximumConcurrency": 5})
    for _ in range(3):
        probe.stack.client("sqs").send_message(QueueUrl=url, MessageBody="sleep")

    def found() -> list[dict[str, Any]]:
        return [batch for batch in probe.seen() if batch["records"][0][0] == "sleep"]

    eventually(lambda: len(found()), 3)
    first, second, third = found()
    assert first["ended"] <= second["started"]
    assert second["ended"] <= third["started"]


def test_a_mapping_changes_state_at_once_and_may_be_changed_while_it_does(probe: Probe) -> None:
    functions = probe.stack.client("lambda")
    probe.map_queue()
    identifier = functions.list_event_source_mappings(FunctionName=probe.name)["EventSourceMappings"][-1]["UUID"]
    states = [
        functions.update_event_source_mapping(UUID=identifier, Enabled=enabled)["State"]
        for enabled in (False, True, False)  # AWS: ResourceInUseException from the second on
    ]
    assert states == ["Disabling", "Enabling", "Disabling"]
    eventually(lambda: functions.get_event_source_mapping(UUID=identifier)["State"], "Disabled", seconds=5)


def test_the_breaker_runs_by_its_schedule(stack: Stack, migration: Migration) -> None:
    events, found = stack.client("events"), resources(stack)
    name = found["BreakerFunction"]["PhysicalResourceId"]
    (rule,) = events.list_rules()["Rules"]
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "ENABLED")
    (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"] == f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"
    eventually(lambda: bool(messages(stack, name)), True, 90)


def test_the_vault_is_brought_to_another_key_and_its_values_are_still_revealed(
    stack: Stack, migration: Migration
) -> None:
    stack.client("sqs").send_message(QueueUrl=stack.queue_url, MessageBody=json.dumps(login(user_id="moved")))
    row = "SELECT masked_device_id FROM user_logins WHERE user_id = 'moved'"
    eventually(lambda: len(sql(stack, row)), 1)
    key = stack.client("kms").create_key()["KeyMetadata"]["Arn"]
    functions, rekey = stack.client("lambda"), stack.physical_id("RekeyFunction")
    environment = functions.get_function_configuration(FunctionName=rekey)["Environment"]["Variables"]
    # AWS: deploy with VaultKeyArn. LocalStack refuses an update that takes a resource away by its condition.
    functions.update_function_configuration(
        FunctionName=rekey, Environment={"Variables": environment | {"VAULT_KEY_ID": key}}
    )
    why = ("--reason", "key_rotation", "--ticket", "OPS-1")
    assert "Every data key is wrapped" in sluice(stack, "keys", "rewrap", *why)
    assert sql(stack, "SELECT DISTINCT kms_key_arn FROM pii_vault_key") == [[key]]
    ((token,),) = sql(stack, row)
    (revealed,) = json.loads(sluice(stack, "reveal", token, *why, "--json"))["values"]
    assert revealed["value"] == login()["device_id"]


def sql(stack: Stack, text: str, **values: Any) -> list[list[Any]]:
    with stack.connect() as owner:
        return list(owner.run(text, **values) or [])


def test_a_second_deployment_changes_no_resource(stack: Stack) -> None:
    before = resources(stack)
    stack.deploy({})
    assert resources(stack) == before
    (described,) = stack.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"]
    assert described["StackStatus"] == "UPDATE_COMPLETE"  # AWS: no changes to deploy, so still CREATE_COMPLETE


def test_what_the_template_retains_is_there_after_the_stack_is_deleted(stack: Stack) -> None:
    """It takes the others' stack away: the last one."""
    stack.client("cloudformation").delete_stack(StackName=STACK_NAME)
    summaries = stack.client("cloudformation").list_stacks
    eventually(
        lambda: {summary["StackName"]: summary["StackStatus"] for summary in summaries()["StackSummaries"]}[STACK_NAME],
        "DELETE_COMPLETE",
    )
    urls = stack.client("sqs").list_queues()["QueueUrls"]
    queues = {url.rpartition("/")[2] for url in urls}
    assert {"login-queue", "login-queue-dlq", "order-queue", "order-queue-dlq"} <= queues
    secrets = [secret["ARN"] for secret in stack.client("secretsmanager").list_secrets()["SecretList"]]
    assert secrets == [stack.outputs["KeysetSecretArn"]]
    kms = stack.client("kms")
    descriptions = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    assert {key["Description"].partition(".")[0] for key in descriptions if key["KeyState"] == "Enabled"} >= {
        "sluice: queues, secrets and logs",
        "sluice: data keys of the vault",
    }
    groups = stack.client("logs").describe_log_groups(logGroupNamePrefix="/sluice/")["logGroups"]
    trails = {f"/sluice/sluice/{name}" for name in ("dead-letters", "forget", "maintain", "rekey", "reveal")}
    assert {group["logGroupName"] for group in groups} == trails
    names = [function["FunctionName"] for function in stack.client("lambda").list_functions()["Functions"]]
    assert not [name for name in names if name.startswith(STACK_NAME)]
    assert stack.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


FUNCTION_ALONE = {
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "before"}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": json.loads(TRUST)}},
        "Function": {
            "Type": "AWS::Lambda::Function",
            "DependsOn": "Queue",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": "index.lambda_handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Code": {"ZipFile": "def lambda_handler(event, context): ..."},
            },
        },
    }
}


def test_by_itself_localstack_makes_no_function_without_docker(installed: None, tmp_path: Path) -> None:
    localstack = LocalStack(tmp_path / "localstack", executor="docker")
    localstack.start()
    try:
        cloudformation = localstack.client("cloudformation")
        cloudformation.create_stack(StackName="alone", TemplateBody=json.dumps(FUNCTION_ALONE))
        eventually(
            lambda: cloudformation.describe_stacks(StackName="alone")["Stacks"][0]["StackStatus"],
            "CREATE_FAILED",  # AWS: ROLLBACK_COMPLETE
        )
        events = cloudformation.describe_stack_events(StackName="alone")["StackEvents"]
        (why,) = [event["ResourceStatusReason"] for event in events if "ResourceStatusReason" in event]
        assert re.fullmatch(r"Error while creating lambda: Installation of lambda-runtime \S+ failed\.", why)
        urls = localstack.client("sqs").list_queues()["QueueUrls"]
        assert [url.rpartition("/")[2] for url in urls] == ["before"]  # AWS: rolled back
    finally:
        localstack.stop()
