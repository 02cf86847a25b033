"""The template keeps what its parts must agree on."""

import json
import re
from typing import Any

import pytest

from sluice import settings
from tests.documentation import blocks
from tests.unit.template import (
    ACCOUNT,
    BACKUP,
    DEPLOYMENT,
    PAYLOAD_BUCKET,
    PRODUCER,
    PROJECT,
    TEMPLATE,
    TRANSFORMED,
    arn,
    broken_rules,
    denied,
    listed,
    policies_of,
    resolved,
    statements,
    transformed,
    vault_actions,
)
from tools.local.template import expanded
from tools.sluice_cli.authors.template import DEFAULTS, OPTIONS
from tools.template import with_streams

RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
# Its parameters, and of what holds data that by which CloudFormation knows it, in a stack called sluice.
FIRST_RELEASE: dict[str, Any] = json.loads((PROJECT / "tests" / "unit" / "first_release.json").read_text())

# What can be given is named by nothing but the parameter of SSM that says which one is in use.
IN_USE = {
    "KeysetSecret": {"Fn::GetAtt": ["KeysetInUse", "Value"]},
    "StorageKey": {"Fn::GetAtt": ["StorageKeyInUse", "Value"]},
    "VaultKey": {"Fn::GetAtt": ["VaultKeyInUse", "Value"]},
}

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
    "MaintainRole",
)
STACKS = "arn:aws:ssm:us-east-1:123456789012:parameter/sluice/sluice"
CONTEXT = {"app": "sluice", "purpose": "vault", "stack": "sluice"}
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
READ = {"secretsmanager:GetSecretValue"}
DECRYPT = {"kms:Decrypt"}
TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}  # of `*`, since X-Ray knows no narrower resource
IN_VPC = {
    f"ec2:{action}"
    for action in (
        "CreateNetworkInterface",
        "DescribeNetworkInterfaces",
        "DescribeSubnets",
        "DeleteNetworkInterface",
        "AssignPrivateIpAddresses",
        "UnassignPrivateIpAddresses",
    )
}
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

# A queue is known by its tags, so that these statements do not grow with the streams.
QUEUES = f"arn:aws:sqs:us-east-1:{ACCOUNT}:*"
MESSAGES = f"{QUEUES} where sluice:stack is sluice, sluice:holds is messages"
DEAD_LETTERS = f"{QUEUES} where sluice:stack is sluice, sluice:holds is dead-letters"
# The vault key is used in the context of this stack alone.
IN_CONTEXT = {
    "StringEquals": {f"kms:EncryptionContext:{name}": value for name, value in CONTEXT.items()},
    "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": list(CONTEXT)},
}
VAULT = "VaultKey in the context of this stack"
SWITCHING = {
    f"{STACKS}/breaker/*": {"ssm:GetParameter", "ssm:PutParameter"},
    f"arn:aws:lambda:us-east-1:{ACCOUNT}:event-source-mapping:* where sluice:stack is sluice": {
        "lambda:GetEventSourceMapping",
        "lambda:UpdateEventSourceMapping",
    },
}

# Where producers offload bodies to S3; the key is empty by default.
READ_OBJECTS = {"s3:GetObject", "s3:ListBucket"}
PAYLOADS = {
    f"arn:aws:s3:::{PAYLOAD_BUCKET}": READ_OBJECTS,
    f"arn:aws:s3:::{PAYLOAD_BUCKET}/*": READ_OBJECTS,
    " where kms:ViaService is s3.us-east-1.amazonaws.com": DECRYPT,
}
DELETED_PAYLOADS = PAYLOADS | {f"arn:aws:s3:::{PAYLOAD_BUCKET}/*": READ_OBJECTS | {"s3:DeleteObject"}}

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
        "MaintainSecret": READ,
        "StorageKey": DECRYPT,
        "": DECRYPT,  # DatabaseOwnerSecretKmsKeyArn, which is empty by default
    },
    "IngestRole": {
        "IngestLogGroup": LOGS,
        **LOGIN["ingest"],
        MESSAGES: RECEIVE,
        "KeysetSecret": READ,
        "IngestSecret": READ,
        "StorageKey": DECRYPT,
        VAULT: {"kms:GenerateDataKey"},
        **SWITCHING,
        **DELETED_PAYLOADS,
    },
    "RevealRole": {
        "RevealLogGroup": LOGS,
        **LOGIN["reveal"],
        "KeysetSecret": READ,
        "RevealSecret": READ,
        "StorageKey": DECRYPT,
        VAULT: DECRYPT,
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
        VAULT: {"kms:ReEncryptFrom", "kms:ReEncryptTo"},
    },
    "MaintainRole": {
        "MaintainLogGroup": LOGS,
        **LOGIN["maintain"],
        "MaintainSecret": READ,
        "StorageKey": DECRYPT,
    },
    "AuditRole": {"AuditLogGroup": LOGS, **LOGIN["audit"], "AuditSecret": READ, "StorageKey": DECRYPT},
    "DeadLettersRole": {
        "DeadLettersLogGroup": LOGS,
        **LOGIN["dead_letters"],
        DEAD_LETTERS: RECEIVE - {"sqs:GetQueueUrl", "sqs:GetQueueAttributes"},
        MESSAGES: {"sqs:SendMessage"},
        f"{STACKS}/stream": {"ssm:GetParametersByPath"},
        "KeysetSecret": READ,
        "DeadLettersSecret": READ,
        "StorageKey": DECRYPT | {"kms:GenerateDataKey"},
        **DELETED_PAYLOADS,
    },
    "BreakerRole": {
        "BreakerLogGroup": LOGS,
        **LOGIN["ingest"],
        "KeysetSecret": READ,
        "IngestSecret": READ,
        "StorageKey": DECRYPT,
        VAULT: {"kms:GenerateDataKey"},
        **SWITCHING,
        **PAYLOADS,
        STACKS: {"ssm:GetParametersByPath"},
        f"{STACKS}/pause/*": {"ssm:GetParameter"},
        f"{STACKS}/breaker/*": SWITCHING[f"{STACKS}/breaker/*"] | {"ssm:DeleteParameter"},
    },
}
ANYWHERE = {  # what IAM knows no narrower resource for
    role: TRACES | IN_VPC | ({"lambda:ListEventSourceMappings"} if role in ("IngestRole", "BreakerRole") else set())
    for role in ROLES
}


def pascal(name: str) -> str:
    """Return a role's or a service's name as the template spells it."""
    return "".join(word.capitalize() for word in name.split("_"))


def of_type(kind: str) -> dict[str, Any]:
    return {name: resource for name, resource in RESOURCES.items() if resource["Type"] == kind}


@pytest.mark.parametrize("name", of_type("AWS::Lambda::EventSourceMapping"))
def test_a_queue_and_the_function_that_reads_it_fit(name: str) -> None:
    mapping = RESOURCES[name]["Properties"]
    function = mapping["FunctionName"]["Ref"]
    queue = RESOURCES[mapping["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
    dead_letters = RESOURCES[queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]["Properties"]
    windows = OPTIONS["WindowSeconds"]
    assert windows
    assert queue["VisibilityTimeout"] == 6 * RESOURCES[function]["Properties"]["Timeout"] + max(windows)
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 10
    assert dead_letters["MessageRetentionPeriod"] == 2 * queue["MessageRetentionPeriod"] == 14 * 24 * 60 * 60
    assert queue["KmsMasterKeyId"] == dead_letters["KmsMasterKeyId"] == IN_USE["StorageKey"]
    assert RESOURCES[function]["DependsOn"] == "Schema"


@pytest.mark.parametrize("word", ["Logins", "Orders"])
def test_a_mapping_keeps_the_name_of_the_first_release_and_discards_no_message(word: str) -> None:
    assert TRANSFORMED[f"{word}IngestFunction{word}"] == {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "FunctionName": {"Ref": f"{word}IngestFunction"},
            "EventSourceArn": {"Fn::GetAtt": [f"{word}Queue", "Arn"]},
            "BatchSize": 1000,
            "MaximumBatchingWindowInSeconds": 1,
            "ScalingConfig": {"Fn::If": ["PollersAreProvisioned", {"Ref": "AWS::NoValue"}, {"MaximumConcurrency": 10}]},
            "ProvisionedPollerConfig": {
                "Fn::If": [
                    "PollersAreProvisioned",
                    {"MinimumPollers": 2, "MaximumPollers": 2},
                    {"Ref": "AWS::NoValue"},
                ]
            },
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "Tags": [{"Key": "sluice:stack", "Value": {"Ref": "AWS::StackName"}}],
        },
    }


def made_of(streams: dict[str, dict[str, object]]) -> dict[str, Any]:
    """Return the template with these streams, without its loops."""
    return expanded(with_streams((PROJECT / "template.yaml").read_text(), streams))


def test_a_stream_is_a_word_of_which_all_else_is_made() -> None:
    resources = made_of({"pushes": {}})["Resources"]
    assert {name.removeprefix("pushes") for name in resources if name.startswith("pushes")} == {
        "Queue",
        "DeadLetterQueue",
        "QueuePolicy",
        "DeadLetterQueuePolicy",
        "QueueParameter",
        "IngestFunction",
        "IngestFunctionpushes",
        "Maintenance",
        "DeadLettersAlarm",
        "DeadLettersAgeAlarm",
        "AgeAlarm",
        "IngestErrorsAlarm",
        "IngestThrottlesAlarm",
    }
    assert resources["pushesIngestFunction"]["Properties"]["Environment"]["Variables"]["STREAM"] == "pushes"
    by_stack, name = resources["pushesQueue"]["Properties"]["QueueName"]["Fn::Join"][1]
    assert by_stack == {"Fn::If": ["QueueNamesArePlain", "", {"Fn::Sub": "${AWS::StackName}-"}]}
    assert name == "pushes-queue"


def test_a_line_of_the_mapping_overrides_what_a_word_says() -> None:
    overrides = {"Name": "sign_ups", "Queue": "joined", "BatchSize": 10, "WindowSeconds": 0, "Concurrency": 3}
    overrides |= {"MinimumPollers": 4, "MaximumPollers": 5}
    resources = made_of({"SignUps": overrides})["Resources"]
    assert resources["SignUpsIngestFunction"]["Properties"]["Environment"]["Variables"]["STREAM"] == "sign_ups"
    assert resources["SignUpsQueue"]["Properties"]["QueueName"]["Fn::Join"][1][1] == "joined"
    assert resources["SignUpsDeadLetterQueue"]["Properties"]["QueueName"]["Fn::Join"][1][1:] == ["joined", "-dlq"]
    mapping = resources["SignUpsIngestFunctionSignUps"]["Properties"]
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == (10, 0)
    _, provisioned, _ = mapping["ProvisionedPollerConfig"]["Fn::If"]
    _, _, on_demand = mapping["ScalingConfig"]["Fn::If"]
    assert provisioned == {"MinimumPollers": 4, "MaximumPollers": 5}
    assert on_demand == {"MaximumConcurrency": 3}


def test_what_a_word_does_not_say_is_what_the_check_takes_it_for() -> None:
    mapping = made_of({"pushes": {}})["Resources"]["pushesIngestFunctionpushes"]["Properties"]
    assert {
        "BatchSize": mapping["BatchSize"],
        "WindowSeconds": mapping["MaximumBatchingWindowInSeconds"],
        "Concurrency": mapping["ScalingConfig"]["Fn::If"][2]["MaximumConcurrency"],
        **mapping["ProvisionedPollerConfig"]["Fn::If"][1],
    } == DEFAULTS


def test_thirty_streams_fit_into_a_stack_and_the_first_limit_is_that_of_its_resources() -> None:
    most = {f"Stream{number}": dict[str, object]() for number in range(30)}
    template = made_of(most)
    resources = transformed(template)
    of_a_stream = 13
    assert len(resources) <= 500 < len(resources) + of_a_stream  # as many as CloudFormation takes
    assert len(resources) - len(transformed(made_of({}))) == of_a_stream * len(most)
    # The others are further away: a template may have 1 MB, a role 10,240 characters of its own policies.
    assert len(json.dumps(template)) < 1_000_000 / 2
    for role in ROLES:
        policies = [one["PolicyDocument"] for one in policies_of(role)]
        assert len(json.dumps(policies, separators=(",", ":"))) < 10_240 / 2


def test_the_outputs_are_names_and_addresses_and_no_secret() -> None:
    names = {
        "MigrateFunctionName": "MigrateFunction",
        "IngestSecretArn": "IngestSecret",
        "RevealCallerPolicyArn": "RevealCallerPolicy",
        "OperatorCallerPolicyArn": "OperatorCallerPolicy",
        "ProducerPolicyArn": "ProducerPolicy",
    }
    urls = {f"{name}Url": f"{name}FunctionUrl" for name in ("Reveal", "Forget", "DeadLetters", "Rekey", "Audit")}
    assert {name: output["Value"] for name, output in TEMPLATE["Outputs"].items()} == {
        **{name: {"Ref": resource} for name, resource in names.items()},
        **{name: {"Fn::GetAtt": [url, "FunctionUrl"]} for name, url in urls.items()},
        **{f"{name}Arn": value for name, value in IN_USE.items()},
    }


def test_what_cannot_be_made_again_outlives_the_stack_unless_its_creation_fails() -> None:
    kept = {name: resource["DeletionPolicy"] for name, resource in RESOURCES.items() if "DeletionPolicy" in resource}
    trails = [f"{function}LogGroup" for function in ("Reveal", "Forget", "DeadLetters", "Rekey", "Maintain")]
    assert kept == dict.fromkeys(
        ["StorageKey", "VaultKey", "KeysetSecret", *trails, *of_type("AWS::SQS::Queue")], "RetainExceptOnCreate"
    )
    assert all(RESOURCES[name]["UpdateReplacePolicy"] == "Retain" for name in kept)


@pytest.mark.parametrize("name", FIRST_RELEASE["resources"])
def test_an_update_of_the_first_release_replaces_nothing_that_holds_data(name: str) -> None:
    # What is generated is generated anew where this changes: of the keyset, no token could be made again.
    identity = ("QueueName", "FifoQueue", "Name", "LogGroupName", "SecretString", "GenerateSecretString")
    resource = RESOURCES[name]
    kept = {key: resolved(value) for key, value in resource["Properties"].items() if key in identity}
    assert {"Type": resource["Type"], **kept} == FIRST_RELEASE["resources"][name]


def test_the_parameters_of_the_first_release_that_are_gone_are_documented_and_no_new_one_must_be_given() -> None:
    guide = (PROJECT / "docs" / "operations.md").read_text().partition("### From the first release")[2]
    gone = {*FIRST_RELEASE["parameters"]} - {*TEMPLATE["Parameters"]}
    assert [name for name in gone if f"`{name}`" not in guide] == []
    new = {name for name, parameter in TEMPLATE["Parameters"].items() if "Default" not in parameter}
    assert new <= {*FIRST_RELEASE["parameters"]}


@pytest.mark.parametrize("name", IN_USE)
def test_a_keyset_or_key_that_is_given_takes_the_place_of_the_one_that_is_made(name: str) -> None:
    made = {"Ref": name} if name == "KeysetSecret" else {"Fn::GetAtt": [name, "Arn"]}
    condition = f"{name.removesuffix('Secret')}IsOurs"
    (parameter,) = [
        parameter
        for parameter, resource in RESOURCES.items()
        if f"'{name}'" in str(resource["Properties"])  # nothing else names it
    ]
    assert IN_USE[name]["Fn::GetAtt"][0] == parameter
    assert RESOURCES[parameter]["Properties"]["Value"] == {"Fn::If": [condition, made, {"Ref": f"{name}Arn"}]}
    assert TEMPLATE["Conditions"][condition] == {"Fn::Equals": [{"Ref": f"{name}Arn"}, ""]}
    assert RESOURCES[name]["Condition"] == condition


@pytest.mark.parametrize(
    ("parameter", "given", "is_taken"),
    [
        ("KeysetSecretArn", "", True),
        ("KeysetSecretArn", f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:sluice/keyset-a1B2c3", True),
        ("KeysetSecretArn", f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:sluice/keyset", False),  # half an ARN
        ("KeysetSecretArn", "sluice/keyset", False),
        ("VaultKeyArn", "", True),
        ("VaultKeyArn", f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/mrk-0123456789abcdef0123456789abcdef", True),
        ("VaultKeyArn", f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/vault", False),  # policies know keys, not aliases
        ("VaultKeyArn", "01234567-89ab-cdef-0123-456789abcdef", False),
        ("StorageKeyArn", f"arn:aws-cn:kms:cn-north-1:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef", True),
        ("StorageKeyArn", f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/storage", False),
    ],
)
def test_what_is_given_is_a_whole_arn(parameter: str, given: str, is_taken: bool) -> None:
    pattern = TEMPLATE["Parameters"][parameter]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, given)) == is_taken


def test_the_custom_resource_waits_for_longer_than_its_function_may_take() -> None:
    schema = RESOURCES["Schema"]["Properties"]
    assert schema["ServiceTimeout"] == 300 > RESOURCES["MigrateFunction"]["Properties"]["Timeout"]
    layers = (schema["Layer"], schema["Streams"])
    assert layers == ({"Ref": "CommonLayer"}, {"Ref": "StreamsLayer"})  # other layers, other migrations: it runs again
    assert schema["Keyset"] == IN_USE["KeysetSecret"]  # another keyset, and it is compared
    for role in settings.ROLES:
        assert schema[f"{pascal(role)}Secret"] == {"Ref": f"{pascal(role)}Secret"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_this_and_nothing_else(role: str) -> None:
    allowed: dict[str, set[str]] = {}
    for statement in statements(role):
        assert set(statement) - {"Condition"} == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        where = _condition(statement.get("Condition", {"StringEquals": {}}))
        for resource in listed(statement["Resource"]):
            name = resource.removeprefix(arn("")) + where
            allowed[name] = allowed.get(name, set()) | set(listed(statement["Action"]))
    assert allowed == PERMISSIONS[role] | {"*": ANYWHERE[role]}


def _condition(condition: dict[str, Any]) -> str:
    """Return what a statement asks for: tags of a resource, or the context of a call of KMS."""
    if condition == IN_CONTEXT:
        return " in the context of this stack"
    assert set(condition) == {"StringEquals"}
    tags = [f"{key.removeprefix('aws:ResourceTag/')} is {value}" for key, value in condition["StringEquals"].items()]
    return f" where {', '.join(tags)}" if tags else ""


@pytest.mark.parametrize("kind", ["AWS::SQS::Queue", "AWS::Lambda::EventSourceMapping"])
def test_what_the_policies_know_by_its_tags_has_them(kind: str) -> None:
    for name, resource in of_type(kind).items():
        tags = {tag["Key"]: resolved(tag["Value"]) for tag in resource["Properties"]["Tags"]}
        holds = "dead-letters" if "DeadLetter" in name else "messages"
        queue = {"sluice:holds": holds} if kind == "AWS::SQS::Queue" else {}
        assert tags == {"sluice:stack": "sluice"} | queue


def test_what_a_function_may_do_is_attached_before_it_runs() -> None:
    attached = {
        name
        for name, policy in of_type("AWS::IAM::Policy").items()
        if {"Ref": "IngestRole"} in policy["Properties"]["Roles"]
    }
    before = set(RESOURCES["Schema"]["DependsOn"])
    assert attached | {"KeysetPolicy", "MigratePolicy", "BreakerPolicy", "BreakerVaultPolicy"} == before
    others = {
        "BreakerFunction",
        "RevealFunction",
        "ForgetFunction",
        "DeadLettersFunction",
        "RekeyFunction",
        "AuditFunction",
    }
    assert all(RESOURCES[name]["DependsOn"] == "Schema" for name in others)


def test_a_role_has_to_do_with_network_interfaces_in_a_vpc_alone() -> None:
    for role in ROLES:
        (policy,) = TRANSFORMED[role]["Properties"]["Policies"]
        (found,) = [one for one in policy["PolicyDocument"]["Statement"] if "Fn::If" in one]
        condition, statement, otherwise = found["Fn::If"]
        assert (condition, set(statement["Action"]), otherwise) == ("InVpc", IN_VPC, {"Ref": "AWS::NoValue"})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"DatabaseOwnerPassword": "p"}, []),
        ({"DatabaseOwnerSecretArn": "arn:s", "DatabaseOwnerSecretKmsKeyArn": "arn:k"}, []),
        ({"DatabaseOwnerPassword": "p", "DatabaseLogin": "iam", "DatabaseResourceId": "db-1"}, []),
        ({"DatabaseOwnerPassword": "p", "PayloadBucket": "b", "PayloadsAreDeleted": "true"}, []),
        ({"DatabaseOwnerPassword": "p", "PayloadsAreDeleted": "true"}, ["PayloadBucket"]),
        ({"DatabaseOwnerPassword": "p", "PayloadBucketKmsKeyArn": "arn:k"}, ["PayloadBucket"]),
        ({}, ["DatabaseOwnerSecretArn"]),
        ({"DatabaseOwnerPassword": "p", "DatabaseOwnerSecretKmsKeyArn": "arn:k"}, ["DatabaseOwnerSecretKmsKeyArn"]),
        ({"DatabaseOwnerPassword": "p", "DatabaseLogin": "iam"}, ["DatabaseResourceId"]),
        (
            {
                "DatabaseOwnerPassword": "p",
                "DatabaseLogin": "iam",
                "DatabaseResourceId": "db-1",
                "DatabaseTls": "disable",
            },
            ["DatabaseTls"],
        ),
    ],
)
def test_parameters_that_do_not_belong_together_are_told(given: dict[str, str], told: list[str]) -> None:
    found = broken_rules(TEMPLATE, given)
    assert len(found) == len(told)
    assert all(name in sentence for name, sentence in zip(told, found, strict=True))


@pytest.mark.parametrize("kind", ["AWS::IAM::Role", "AWS::IAM::ManagedPolicy"])
def test_what_iam_keeps_has_the_path_and_what_is_bounded_the_boundary(kind: str) -> None:
    found = [one["Properties"] for one in TRANSFORMED.values() if one["Type"] == kind]
    path = {"Fn::If": ["RolesHaveAPath", {"Ref": "RolePath"}, {"Ref": "AWS::NoValue"}]}
    boundary = {"Fn::If": ["RolesAreBounded", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}
    assert found
    assert all(one["Path"] == path for one in found)
    assert all(one["PermissionsBoundary"] == boundary for one in found if kind == "AWS::IAM::Role")


def test_a_role_is_named_by_its_arn_which_holds_its_path() -> None:
    assert re.findall(r":role/|:policy/", json.dumps(TRANSFORMED)) == []


def test_all_that_costs_has_the_tag_of_its_stack() -> None:
    free = {  # or without tags
        "AWS::IAM::Role",
        "AWS::IAM::Policy",
        "AWS::IAM::ManagedPolicy",
        "AWS::CloudFormation::CustomResource",
        "AWS::SecretsManager::ResourcePolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::Url",
        "AWS::Lambda::Permission",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Events::Rule",
        "AWS::CloudWatch::Dashboard",
    }
    for name, resource in TRANSFORMED.items():
        if resource["Type"] not in free:
            tags = resource["Properties"].get("Tags", [])
            given = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
            assert given.get("sluice:stack") == {"Ref": "AWS::StackName"}, name


def test_every_role_is_one_of_a_function_and_taken_on_by_lambda_alone() -> None:
    assert {name for name, one in TRANSFORMED.items() if one["Type"] == "AWS::IAM::Role"} == set(ROLES)
    for role in ROLES:
        properties = TRANSFORMED[role]["Properties"]
        (trusted,) = properties["AssumeRolePolicyDocument"]["Statement"]
        assert trusted == {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "lambda.amazonaws.com"},
        }
        assert "ManagedPolicyArns" not in properties  # that of VPCs would let it write into every log group


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
        ("IngestSeals", "Allow", {"AWS": [arn("IngestRole"), arn("BreakerRole")]}, "kms:GenerateDataKey", IN_CONTEXT),
        ("RevealOpens", "Allow", {"AWS": arn("RevealRole")}, "kms:Decrypt", IN_CONTEXT),
        ("RekeyMoves", "Allow", {"AWS": arn("RekeyRole")}, ["kms:ReEncryptFrom", "kms:ReEncryptTo"], IN_CONTEXT),
    ]
    assert key["EnableKeyRotation"] is True


def test_the_policy_for_a_storage_key_of_ones_own_is_documented_as_the_template_has_it() -> None:
    (documented,) = [text for text in blocks(PROJECT / "docs/deployment.md", "json") if "LogGroups" in text]
    known = {"account": ACCOUNT, "region": "us-east-1", "stack": "sluice", "principal": PRODUCER}
    for placeholder, meant in known.items():
        documented = documented.replace(f"<{placeholder}>", meant)
    assert json.loads(documented) == resolved(TRANSFORMED["StorageKey"]["Properties"]["KeyPolicy"])


def test_the_vault_key_is_used_by_nothing_but_the_vault() -> None:
    users = {name for name, resource in TRANSFORMED.items() if "'VaultKeyInUse'" in str(resource["Properties"])}
    assert users == {
        *(f"{role}VaultPolicy" for role in ("Ingest", "Breaker", "Reveal", "Rekey")),
        "BreakerFunction",
        "LoginsIngestFunction",
        "OrdersIngestFunction",
        "RevealFunction",
        "RekeyFunction",
    }


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
        "MaintainRole": every,
        "BreakerRole": every - reading,
        "DeadLettersRole": every - reading,
    }
    assert {role: denied(every, arn(role)) for role in ROLES} == expected
    assert denied(every, ANYONE) == denied(every, f"arn:aws:iam::{ACCOUNT}:root") == every
    assert denied(every, BACKUP) == every - reading
    through_cloudformation = {"aws:calledvia": ["cloudformation.amazonaws.com"]}
    assert denied(every, ANYONE, through_cloudformation) == every - {"UpdateSecret"}
    assert denied(every, DEPLOYMENT) == every - {"UpdateSecret"}  # its own role is no caller's
    policy = TRANSFORMED["KeysetPolicy"]["Properties"]
    assert (policy["SecretId"], policy["BlockPublicPolicy"]) == (IN_USE["KeysetSecret"], True)


def test_every_secret_is_encrypted_and_every_login_has_one_of_its_own() -> None:
    secrets = of_type("AWS::SecretsManager::Secret")
    assert set(secrets) == {"KeysetSecret", "OwnerSecret", *(f"{pascal(role)}Secret" for role in settings.ROLES)}
    assert all(secret["Properties"]["KmsKeyId"] == IN_USE["StorageKey"] for secret in secrets.values())
    for role in settings.ROLES:
        made = secrets[f"{pascal(role)}Secret"]["Properties"]["GenerateSecretString"]
        assert made == {
            "SecretStringTemplate": {
                "Fn::Sub": ['{"username": "${AWS::StackName}-${Name}"}', {"Name": role.replace("_", "-")}]
            },
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
    # A permission would let callers in whom IAM does not know: those of the schedules alone.
    permissions = [found["Properties"] for found in TRANSFORMED.values() if found["Type"] == "AWS::Lambda::Permission"]
    assert [(one["FunctionName"], one["Principal"]) for one in permissions] == [
        ({"Ref": "BreakerFunction"}, "events.amazonaws.com"),
        ({"Ref": "MaintainFunction"}, "events.amazonaws.com"),
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
    assert group["KmsKeyId"] == IN_USE["StorageKey"]
    # Whether the audit log is whole, and who was erased since a backup, these alone can tell.
    proves = name in ("RevealFunction", "ForgetFunction", "RekeyFunction", "DeadLettersFunction", "MaintainFunction")
    assert group["RetentionInDays"] == ({"Ref": "AuditTrailRetentionDays"} if proves else 90)
    assert not function.get("Policies")  # SAM's own would be wider


def test_every_function_has_the_product_and_the_streams() -> None:
    found = [one["Properties"]["Layers"] for one in TRANSFORMED.values() if one["Type"] == "AWS::Lambda::Function"]
    kinds = [[re.sub(r"Layer[0-9a-f]+$", "Layer", layer["Ref"]) for layer in layers] for layers in found]
    assert kinds == [["CommonLayer", "StreamsLayer"]] * 10


def test_payloads_are_read_and_deleted_where_the_parameters_say_so() -> None:
    conditions = TEMPLATE["Conditions"]
    assert conditions["PayloadsAreInS3"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "PayloadBucket"}, ""]}]}
    assert conditions["PayloadDeletion"] == {"Fn::Equals": [{"Ref": "PayloadsAreDeleted"}, "true"]}
    for name, may_delete in {"IngestPolicy": True, "BreakerPolicy": False, "DeadLettersPolicy": True}.items():
        found = [
            one["Fn::If"] for one in RESOURCES[name]["Properties"]["PolicyDocument"]["Statement"] if "Fn::If" in one
        ]
        asked = {condition: statement["Action"] for condition, statement, _ in found if condition != "LoginByIam"}
        deletion = {"PayloadDeletion": "s3:DeleteObject"} if may_delete else {}
        assert asked == {
            "PayloadsAreInS3": ["s3:GetObject", "s3:ListBucket"],
            "PayloadsHaveAKey": "kms:Decrypt",
            **deletion,
        }
    told = {
        name
        for name, function in of_type("AWS::Serverless::Function").items()
        if function["Properties"]["Environment"]["Variables"].get("PAYLOAD_BUCKET") == {"Ref": "PayloadBucket"}
    }
    assert told == {"LoginsIngestFunction", "OrdersIngestFunction", "BreakerFunction", "DeadLettersFunction"}
