"""The template keeps what its parts must agree on."""

import re
from typing import Any

import pytest

from sluice import settings
from tests.unit.template import (
    ACCOUNT,
    BACKUP,
    TEMPLATE,
    TRANSFORMED,
    arn,
    denied,
    listed,
    resolved,
    statements,
    vault_actions,
)

RESOURCES: dict[str, Any] = TEMPLATE["Resources"]

ANYONE = arn("Anyone")  # a principal whom IAM allows everything
ROLES = (
    "IngestRole",
    "MigrateRole",
    "RevealRole",
    "ForgetRole",
    "RekeyRole",
    "AuditRole",
    "BreakerRole",
    "DeadLettersRole",
)
STACKS = "arn:aws:ssm:us-east-1:123456789012:parameter/sluice/sluice"
CONTEXT = {"app": "sluice", "purpose": "vault", "stack": "sluice"}
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
READ = {"secretsmanager:GetSecretValue"}
DECRYPT = {"kms:Decrypt"}
TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}  # of `*`, since X-Ray knows no narrower resource
RECEIVE = {
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ChangeMessageVisibility",
}

# Where the login is by IAM.
LOGIN = {
    role: {f"arn:aws:rds-db:us-east-1:{ACCOUNT}:dbuser:none/sluice-{role.replace('_', '-')}": {"rds-db:connect"}}
    for role in settings.ROLES
}

# All that a role may do, by resource.
PERMISSIONS = {
    "MigrateRole": {
        "MigrateLogGroup": LOGS,
        "KeysetSecret": READ,
        "OwnerSecret": READ,
        "IngestSecret": READ,
        "RevealSecret": READ,
        "ForgetSecret": READ,
        "RekeySecret": READ,
        "AuditSecret": READ,
        "DeadLettersSecret": READ,
        "StorageKey": DECRYPT,
    },
    "IngestRole": {
        "IngestLogGroup": LOGS,
        **LOGIN["ingest"],
        "LoginsQueue": RECEIVE,
        "OrdersQueue": RECEIVE,
        "KeysetSecret": READ,
        "IngestSecret": READ,
        "StorageKey": DECRYPT,
    },
    "RevealRole": {
        "RevealLogGroup": LOGS,
        **LOGIN["reveal"],
        "KeysetSecret": READ,
        "RevealSecret": READ,
        "StorageKey": DECRYPT,
    },
    "ForgetRole": {
        "ForgetLogGroup": LOGS,
        **LOGIN["forget"],
        "KeysetSecret": READ,
        "ForgetSecret": READ,
        "StorageKey": DECRYPT,
    },
    "RekeyRole": {
        "RekeyLogGroup": LOGS,
        **LOGIN["rekey"],
        "KeysetSecret": READ | {"secretsmanager:PutSecretValue"},
        "RekeySecret": READ,
        "StorageKey": DECRYPT | {"kms:GenerateDataKey"},
    },
    "AuditRole": {"AuditLogGroup": LOGS, **LOGIN["audit"], "AuditSecret": READ, "StorageKey": DECRYPT},
    "DeadLettersRole": {
        "DeadLettersLogGroup": LOGS,
        **LOGIN["dead_letters"],
        "LoginsDeadLetterQueue": RECEIVE - {"sqs:GetQueueUrl", "sqs:GetQueueAttributes"},
        "OrdersDeadLetterQueue": RECEIVE - {"sqs:GetQueueUrl", "sqs:GetQueueAttributes"},
        "LoginsQueue": {"sqs:SendMessage"},
        "OrdersQueue": {"sqs:SendMessage"},
        "KeysetSecret": READ,
        "DeadLettersSecret": READ,
        "StorageKey": DECRYPT | {"kms:GenerateDataKey"},
    },
    "BreakerRole": {
        "BreakerLogGroup": LOGS,
        **LOGIN["ingest"],
        "KeysetSecret": READ,
        "IngestSecret": READ,
        "StorageKey": DECRYPT,
        STACKS: {"ssm:GetParametersByPath"},
        f"{STACKS}/pause/*": {"ssm:GetParameter"},
        f"{STACKS}/breaker/*": {"ssm:DeleteParameter"},
    },
}


def pascal(name: str) -> str:
    """Return a role's or a service's name as the template spells it."""
    return "".join(word.capitalize() for word in name.split("_"))


def of_type(kind: str) -> dict[str, Any]:
    return {name: resource for name, resource in RESOURCES.items() if resource["Type"] == kind}


def mappings() -> list[tuple[str, dict[str, Any]]]:
    """Return every function's name with the properties of its SQS event."""
    return [
        (name, event["Properties"])
        for name, function in of_type("AWS::Serverless::Function").items()
        for event in function["Properties"].get("Events", {}).values()
        if event["Type"] == "SQS"
    ]


@pytest.mark.parametrize(("function", "mapping"), mappings())
def test_a_queue_and_the_function_that_reads_it_fit(function: str, mapping: dict[str, Any]) -> None:
    queue = RESOURCES[mapping["Queue"]["Fn::GetAtt"][0]]["Properties"]
    dead_letters = RESOURCES[queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]["Properties"]
    assert queue["VisibilityTimeout"] == 6 * RESOURCES[function]["Properties"]["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 10
    assert dead_letters["MessageRetentionPeriod"] == 2 * queue["MessageRetentionPeriod"] == 14 * 24 * 60 * 60
    assert queue["KmsMasterKeyId"] == dead_letters["KmsMasterKeyId"] == {"Ref": "StorageKey"}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert set(mapping) >= {"BatchSize", "MaximumBatchingWindowInSeconds", "ScalingConfig"}
    assert "FilterCriteria" not in mapping  # it would discard what does not match
    assert RESOURCES[function]["DependsOn"] == "Schema"


@pytest.mark.parametrize(
    ("mapping", "function", "queue"),
    [
        ("IngestFunctionLogins", "IngestFunction", "LoginsQueue"),
        ("OrdersIngestFunctionOrders", "OrdersIngestFunction", "OrdersQueue"),
    ],
)
def test_cloudformation_is_told_how_a_queue_is_read(mapping: str, function: str, queue: str) -> None:
    assert TRANSFORMED[mapping] == {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "FunctionName": {"Ref": function},
            "EventSourceArn": {"Fn::GetAtt": [queue, "Arn"]},
            "BatchSize": {"Ref": "BatchSize"},
            "MaximumBatchingWindowInSeconds": {"Ref": "MaximumBatchingWindowSeconds"},
            "ScalingConfig": {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        },
    }


def test_the_outputs_are_names_and_addresses_and_no_secret() -> None:
    names = {
        "QueueUrl": "LoginsQueue",
        "DeadLetterQueueUrl": "LoginsDeadLetterQueue",
        "OrdersQueueUrl": "OrdersQueue",
        "OrdersDeadLetterQueueUrl": "OrdersDeadLetterQueue",
        "IngestFunctionName": "IngestFunction",
        "OrdersIngestFunctionName": "OrdersIngestFunction",
        "MigrateFunctionName": "MigrateFunction",
        "KeysetSecretArn": "KeysetSecret",
        "IngestSecretArn": "IngestSecret",
        "RevealCallerPolicyArn": "RevealCallerPolicy",
        "OperatorCallerPolicyArn": "OperatorCallerPolicy",
    }
    urls = {f"{name}Url": f"{name}FunctionUrl" for name in ("Reveal", "Forget", "DeadLetters", "Rekey", "Audit")}
    assert {name: output["Value"] for name, output in TEMPLATE["Outputs"].items()} == {
        **{name: {"Ref": resource} for name, resource in names.items()},
        **{name: {"Fn::GetAtt": [url, "FunctionUrl"]} for name, url in urls.items()},
        "VaultKeyArn": {"Fn::GetAtt": ["VaultKey", "Arn"]},
    }


def test_what_cannot_be_made_again_outlives_the_stack() -> None:
    kept = {name for name, resource in RESOURCES.items() if resource.get("DeletionPolicy") == "Retain"}
    assert kept == {"StorageKey", "VaultKey", "KeysetSecret", *of_type("AWS::SQS::Queue")}
    assert all(RESOURCES[name]["UpdateReplacePolicy"] == "Retain" for name in kept)


def test_the_custom_resource_waits_for_longer_than_its_function_may_take() -> None:
    schema = RESOURCES["Schema"]["Properties"]
    assert schema["ServiceTimeout"] == 300 > RESOURCES["MigrateFunction"]["Properties"]["Timeout"]
    layers = (schema["Layer"], schema["Streams"])
    assert layers == ({"Ref": "CommonLayer"}, {"Ref": "StreamsLayer"})  # other layers, other migrations: it runs again
    for role in settings.ROLES:
        assert schema[f"{pascal(role)}Secret"] == {"Ref": f"{pascal(role)}Secret"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_this_and_nothing_else(role: str) -> None:
    allowed: dict[str, set[str]] = {}
    for statement in statements(role):
        assert set(statement) == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        for resource in listed(statement["Resource"]):
            name = resource.removeprefix(arn(""))
            allowed[name] = allowed.get(name, set()) | set(listed(statement["Action"]))
    assert allowed == PERMISSIONS[role] | {"*": TRACES}


def test_what_opens_and_what_closes_a_breaker_may_switch_the_mappings_of_the_streams_alone() -> None:
    policy = resolved(TRANSFORMED["SwitchPolicy"]["Properties"])
    assert policy["Roles"] == [arn("IngestRole"), arn("BreakerRole")]
    ours = {"ArnEquals": {"lambda:FunctionArn": [arn("IngestFunction"), arn("OrdersIngestFunction")]}}
    assert [(s["Action"], s["Resource"], s.get("Condition")) for s in policy["PolicyDocument"]["Statement"]] == [
        (["ssm:GetParameter", "ssm:PutParameter"], f"{STACKS}/breaker/*", None),
        (
            ["lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"],
            f"arn:aws:lambda:us-east-1:{ACCOUNT}:event-source-mapping:*",
            ours,
        ),
        ("lambda:ListEventSourceMappings", "*", None),  # IAM knows no narrower resource for it
    ]


def test_every_role_is_one_of_a_function_and_taken_on_by_lambda_alone() -> None:
    assert set(of_type("AWS::IAM::Role")) == set(ROLES)
    for role in ROLES:
        properties = TRANSFORMED[role]["Properties"]
        (trusted,) = properties["AssumeRolePolicyDocument"]["Statement"]
        assert trusted == {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "lambda.amazonaws.com"},
        }
        vpc = {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"}
        assert properties["ManagedPolicyArns"] == {"Fn::If": ["InVpc", [vpc], {"Ref": "AWS::NoValue"}]}


@pytest.mark.parametrize(
    ("role", "actions"),
    [
        ("IngestRole", {"GenerateDataKey"}),
        ("RevealRole", {"Decrypt"}),
        ("RekeyRole", {"ReEncryptFrom", "ReEncryptTo"}),
        ("ForgetRole", set()),
        ("AuditRole", set()),
        ("DeadLettersRole", set()),
        ("MigrateRole", set()),
        ("BreakerRole", {"GenerateDataKey"}),
    ],
)
def test_a_role_may_do_one_thing_with_the_vault_key_in_the_context_of_this_stack(role: str, actions: set[str]) -> None:
    assert vault_actions(arn(role), role, CONTEXT) == actions
    for other in (CONTEXT | {"stack": "other"}, CONTEXT | {"more": ""}, {"app": "sluice"}, {}):
        assert vault_actions(arn(role), role, other) == set()


def test_who_may_do_everything_can_neither_open_what_is_sealed_nor_hand_it_on_but_can_change_the_policy() -> None:
    assert vault_actions(ANYONE, None, CONTEXT) == {"GenerateDataKey", "PutKeyPolicy"}


def test_a_role_that_is_allowed_everything_else_still_does_one_thing_with_the_vault_key() -> None:
    assert "Decrypt" not in vault_actions(arn("IngestRole"), None, CONTEXT)
    assert "Decrypt" not in vault_actions(arn("RekeyRole"), None, CONTEXT)
    assert not {"ReEncryptFrom", "ReEncryptTo", "CreateGrant"} & vault_actions(arn("RevealRole"), None, CONTEXT)


def test_the_vault_keys_policy_says_this_and_nothing_else() -> None:
    key = TRANSFORMED["VaultKey"]["Properties"]
    in_context = {
        "StringEquals": {f"kms:EncryptionContext:{name}": value for name, value in CONTEXT.items()},
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": list(CONTEXT)},
    }
    statements = [
        (s["Sid"], s["Effect"], s["Principal"], s["Action"], s.get("Condition"))
        for s in resolved(key["KeyPolicy"]["Statement"])
    ]

    def all_but(role: str) -> dict[str, Any]:
        return {"ArnNotEquals": {"aws:PrincipalArn": arn(role)}}

    assert statements == [
        ("AdministratorsThroughIam", "Allow", {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "kms:*", None),
        ("NobodyButRevealDecrypts", "Deny", "*", "kms:Decrypt", all_but("RevealRole")),
        ("NobodyButRekeyReEncrypts", "Deny", "*", "kms:ReEncrypt*", all_but("RekeyRole")),
        ("NobodyGrants", "Deny", "*", "kms:CreateGrant", None),
        ("IngestSeals", "Allow", {"AWS": [arn("IngestRole"), arn("BreakerRole")]}, "kms:GenerateDataKey", in_context),
        ("RevealOpens", "Allow", {"AWS": arn("RevealRole")}, "kms:Decrypt", in_context),
        ("RekeyMoves", "Allow", {"AWS": arn("RekeyRole")}, ["kms:ReEncryptFrom", "kms:ReEncryptTo"], in_context),
    ]
    assert key["EnableKeyRotation"] is True


def test_the_vault_key_is_used_by_nothing_but_the_vault() -> None:
    users = {name for name, resource in TRANSFORMED.items() if "'VaultKey'" in str(resource["Properties"])}
    assert users == {"BreakerFunction", "IngestFunction", "OrdersIngestFunction", "RevealFunction", "RekeyFunction"}


def test_the_keyset_is_read_by_those_who_need_it_and_written_by_rekey_whatever_iam_allows() -> None:
    reading, writing = {"GetSecretValue"}, {"PutSecretValue", "UpdateSecretVersionStage", "RotateSecret"}
    every = reading | writing | {"UpdateSecret"}
    expected = {
        "IngestRole": every - reading,
        "MigrateRole": every - reading,
        "RevealRole": every - reading,
        "ForgetRole": every - reading,
        "RekeyRole": {"UpdateSecret"},
        "AuditRole": every,
        "BreakerRole": every - reading,
        "DeadLettersRole": every - reading,
    }
    assert {role: denied(every, arn(role)) for role in ROLES} == expected
    assert denied(every, ANYONE) == denied(every, f"arn:aws:iam::{ACCOUNT}:root") == every
    assert denied(every, BACKUP) == every - reading
    through_cloudformation = {"aws:calledvia": ["cloudformation.amazonaws.com"]}
    assert denied(every, ANYONE, through_cloudformation) == every - {"UpdateSecret"}
    policy = TRANSFORMED["KeysetPolicy"]["Properties"]
    assert (policy["SecretId"], policy["BlockPublicPolicy"]) == ({"Ref": "KeysetSecret"}, True)


def test_every_secret_is_encrypted_and_every_login_has_one_of_its_own() -> None:
    secrets = of_type("AWS::SecretsManager::Secret")
    assert set(secrets) == {"KeysetSecret", "OwnerSecret", *(f"{pascal(role)}Secret" for role in settings.ROLES)}
    assert all(secret["Properties"]["KmsKeyId"] == {"Fn::GetAtt": ["StorageKey", "Arn"]} for secret in secrets.values())
    for role in settings.ROLES:
        made = secrets[f"{pascal(role)}Secret"]["Properties"]["GenerateSecretString"]
        assert made == {
            "SecretStringTemplate": {"Fn::Sub": f'{{"username": "${{AWS::StackName}}-{role.replace("_", "-")}"}}'},
            "GenerateStringKey": "password",
            "PasswordLength": 64,
            "ExcludePunctuation": True,
        }


def test_the_operators_functions_are_called_with_a_signature_or_not_at_all() -> None:
    urls = {name: url["Properties"] for name, url in TRANSFORMED.items() if url["Type"] == "AWS::Lambda::Url"}
    assert urls == {
        f"{name}FunctionUrl": {"TargetFunctionArn": {"Ref": f"{name}Function"}, "AuthType": "AWS_IAM"}
        for name in ("Reveal", "Forget", "DeadLetters", "Rekey", "Audit")
    }
    # A permission would let callers in whom IAM does not know: the schedule's alone.
    permissions = [found["Properties"] for found in TRANSFORMED.values() if found["Type"] == "AWS::Lambda::Permission"]
    assert [(one["FunctionName"], one["Principal"]) for one in permissions] == [
        ({"Ref": "BreakerFunction"}, "events.amazonaws.com")
    ]
    assert TEMPLATE["Parameters"]["AllowUnverifiedCaller"]["Default"] == "false"


@pytest.mark.parametrize(
    ("policy", "functions"),
    [("RevealCallerPolicy", ["Reveal"]), ("OperatorCallerPolicy", ["Forget", "DeadLetters", "Rekey", "Audit"])],
)
def test_a_caller_is_let_in_by_the_url_alone(policy: str, functions: list[str]) -> None:
    arns = [{"Fn::GetAtt": [f"{name}Function", "Arn"]} for name in functions]
    resource = arns if len(arns) > 1 else arns[0]
    stack = "arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}:stack/${AWS::StackName}/*"
    assert TRANSFORMED[policy]["Properties"]["PolicyDocument"]["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "lambda:InvokeFunctionUrl",
            "Resource": resource,
            "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
        },
        {
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": resource,
            "Condition": {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}},
        },
        {"Effect": "Allow", "Action": "cloudformation:DescribeStacks", "Resource": {"Fn::Sub": stack}},
    ]


def test_every_function_is_traced_by_lambda_itself() -> None:
    functions = [resource for resource in TRANSFORMED.values() if resource["Type"] == "AWS::Lambda::Function"]
    assert functions
    assert all(function["Properties"]["TracingConfig"] == {"Mode": "Active"} for function in functions)


@pytest.mark.parametrize("name", of_type("AWS::Serverless::Function"))
def test_a_function_is_told_all_that_it_asks_for(name: str) -> None:
    environment = resolved(TRANSFORMED[name]["Properties"]["Environment"]["Variables"])
    service = environment["POWERTOOLS_SERVICE_NAME"]
    read = getattr(settings, f"{pascal(service)}Settings").read(environment)
    assert not getattr(read, "allow_unverified_caller", False)
    logins = {"migrate": "OwnerSecret", "breaker": "IngestSecret"}  # the breaker probes with what ingest does
    secret = logins.get(service, f"{pascal(service)}Secret")
    assert read.database.secret_id == arn(secret)


@pytest.mark.parametrize("name", of_type("AWS::Serverless::Function"))
def test_a_function_has_a_role_and_an_encrypted_log_of_its_own(name: str) -> None:
    function = RESOURCES[name]["Properties"]
    assert function["Role"]["Fn::GetAtt"][0] in of_type("AWS::IAM::Role")
    group = RESOURCES[function["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
    assert group["KmsKeyId"] == {"Fn::GetAtt": ["StorageKey", "Arn"]}
    # Whether the audit log is whole, and who was erased since a backup, these alone can tell.
    proves = name in ("RevealFunction", "ForgetFunction", "RekeyFunction", "DeadLettersFunction")
    assert group["RetentionInDays"] == ({"Ref": "AuditTrailRetentionDays"} if proves else 90)
    assert not function.get("Policies")  # SAM's own would be wider


def test_every_function_has_the_product_and_the_streams() -> None:
    found = [one["Properties"]["Layers"] for one in TRANSFORMED.values() if one["Type"] == "AWS::Lambda::Function"]
    kinds = [[re.sub(r"Layer[0-9a-f]+$", "Layer", layer["Ref"]) for layer in layers] for layers in found]
    assert kinds == [["CommonLayer", "StreamsLayer"]] * 9
