"""Who may send to the template's queues, and that nobody may do more with their key: its policies, evaluated."""

from typing import Any

import pytest
from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy

from tests.unit.template import ACCOUNT, BUCKET, PRODUCER, RULE, TOPIC, TRANSFORMED, arn, resolved

QUEUES = sorted(name for name, resource in TRANSFORMED.items() if resource["Type"] == "AWS::SQS::Queue")
MESSAGES = [name for name in QUEUES if "DeadLetter" not in name]
DEAD_LETTERS = [name for name in QUEUES if "DeadLetter" in name]
SOURCES = [("sns", TOPIC), ("events", RULE), ("s3", BUCKET)]
SEND = {"SendMessage"}
LOOK = {"GetQueueUrl", "GetQueueAttributes"}
EVERY = SEND | LOOK | {"ReceiveMessage", "DeleteMessage", "PurgeQueue", "SetQueueAttributes"}
DATA_KEYS = {"GenerateDataKey", "Decrypt"}
OF_KEY = DATA_KEYS | {"Encrypt", "ReEncryptFrom", "CreateGrant"}
VIA_SQS = {"kms:viaservice": "sqs.us-east-1.amazonaws.com"}
OF_QUEUE = {"kms:encryptioncontext:aws:sqs:arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:login-queue"}
OF_SECRET = {"kms:encryptioncontext:secretarn": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:keyset"}
OF_OTHERS = {"kms:encryptioncontext:aws:sqs:arn": "arn:aws:sqs:us-east-1:210987654321:login-queue"}


def policies() -> dict[str, Any]:
    """Return the policy of each queue, by the queue."""
    made = [one["Properties"] for one in TRANSFORMED.values() if one["Type"] == "AWS::SQS::QueuePolicy"]
    return {queue["Ref"]: one["PolicyDocument"] for one in made for queue in one["Queues"]}


def allowed(
    policy: Any,
    actions: set[str],
    resource: str,
    context: dict[str, str],
    principal: str = "*",
    service: str | None = None,
    tls: bool = True,
) -> set[str]:
    """Return which actions a policy allows a principal, or a service, in such a request."""

    def asked(action: str) -> EvalContext:
        return EvalContext(
            principal_arn=principal,
            principal_type="Service" if service else "AssumedRole",
            principal_account=principal.split(":")[4] if ":" in principal else "",
            action=action,
            resource_arn=resource,
            region="us-east-1",
            secure_transport=tls,
            service_context=dict(context),
        )

    kind = "kms" if actions <= OF_KEY else "sqs"
    return {
        action
        for action in actions
        if evaluate_resource_policy(resolved(policy), asked(f"{kind}:{action}"), service).decision == "Allow"
    }


def of_service(queue: str, name: str, source: str, account: str = ACCOUNT, tls: bool = True) -> set[str]:
    """Return what a queue lets a service do for a source."""
    context = {"aws:sourcearn": source, "aws:sourceaccount": account}
    return allowed(policies()[queue], EVERY, arn(queue), context, service=f"{name}.amazonaws.com", tls=tls)


def of_principal(queue: str, principal: str, tls: bool = True) -> set[str]:
    """Return what a queue lets a principal do, whatever its own policies say."""
    return allowed(policies()[queue], EVERY, arn(queue), {}, principal, tls=tls)


def of_key(context: dict[str, str], principal: str = "*", service: str | None = None) -> set[str]:
    """Return what the storage key's policy lets a service or a principal of another account do with it."""
    policy = TRANSFORMED["StorageKey"]["Properties"]["KeyPolicy"]
    return allowed(policy, OF_KEY, arn("StorageKey"), context, principal, service)


def of_producer(actions: set[str], resource: str, context: dict[str, str]) -> set[str]:
    """Return what the producers' managed policy allows who has it."""
    statements = TRANSFORMED["ProducerPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    policy = {"Statement": [{**statement, "Principal": "*"} for statement in statements]}
    return allowed(policy, actions, resource, context)


def test_each_queue_has_one_policy_which_says_nothing_of_another_queue() -> None:
    assert sorted(policies()) == QUEUES
    for queue, policy in policies().items():
        assert {statement["Resource"] for statement in resolved(policy["Statement"])} == {arn(queue)}


@pytest.mark.parametrize(("service", "source"), SOURCES)
def test_a_source_that_is_named_delivers_to_the_streams_and_no_other_one_does(service: str, source: str) -> None:
    for queue in MESSAGES:
        assert of_service(queue, service, source) == SEND
        assert of_service(queue, service, f"{source}-2") == set()
        assert of_service(queue, "scheduler", source) == set()
    for queue in DEAD_LETTERS:
        assert of_service(queue, service, source) == set()


def test_a_topic_of_another_account_delivers_and_a_bucket_that_another_account_has_taken_does_not() -> None:
    assert of_service("LoginsQueue", "sns", TOPIC, account="210987654321") == SEND
    assert of_service("LoginsQueue", "s3", BUCKET, account="210987654321") == set()


def test_who_is_named_of_another_account_sends_to_the_streams_and_receives_nothing() -> None:
    for queue in MESSAGES:
        assert of_principal(queue, PRODUCER) == SEND | {"GetQueueUrl"}
        assert of_principal(queue, f"{PRODUCER}-2") == set()
    for queue in DEAD_LETTERS:
        assert of_principal(queue, PRODUCER) == set()


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_refuses_whatever_does_not_come_by_tls(queue: str) -> None:
    (refusal,) = [one for one in resolved(policies()[queue]["Statement"]) if one["Effect"] == "Deny"]
    assert (refusal["Principal"], refusal["Action"]) == ("*", "sqs:*")
    assert refusal["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert of_service(queue, "sns", TOPIC, tls=False) == of_principal(queue, PRODUCER, tls=False) == set()


def test_who_is_not_named_is_in_no_policy() -> None:
    key = TRANSFORMED["StorageKey"]["Properties"]["KeyPolicy"]["Statement"]
    queue = policies()["LoginsQueue"]["Statement"]
    optional = {
        one["Fn::If"][1]["Sid"]: (one["Fn::If"][0], one["Fn::If"][2]) for one in [*key, *queue] if "Fn::If" in one
    }
    nothing = {"Ref": "AWS::NoValue"}
    assert optional == {
        "ServicesThatDeliver": ("SourcesSend", nothing),
        "TopicsAndRules": ("SourcesSend", nothing),
        "Buckets": ("SourcesSend", nothing),
        "OtherAccounts": ("OtherAccountsSend", nothing),
    }
    assert [one["Sid"] for one in queue if "Sid" in one] == ["TlsOnly"]
    assert [one["Sid"] for one in key if "Sid" in one] == ["AdministratorsThroughIam", "LogGroups"]


@pytest.mark.parametrize("service", [service for service, _ in SOURCES])
def test_a_service_uses_the_storage_key_for_messages_of_this_account_alone(service: str) -> None:
    assert of_key(OF_QUEUE, service=f"{service}.amazonaws.com") == DATA_KEYS
    for context in ({}, OF_SECRET, OF_OTHERS):
        assert of_key(context, service=f"{service}.amazonaws.com") == set()
    assert of_key(OF_QUEUE, service="lambda.amazonaws.com") == set()


def test_who_is_named_of_another_account_uses_the_storage_key_for_messages_alone() -> None:
    assert of_key(VIA_SQS | OF_QUEUE, PRODUCER) == DATA_KEYS
    assert of_key(VIA_SQS | OF_QUEUE, f"{PRODUCER}-2") == set()
    secrets_manager = {"kms:viaservice": "secretsmanager.us-east-1.amazonaws.com"}
    for context in ({}, OF_QUEUE, VIA_SQS | OF_OTHERS, secrets_manager | OF_SECRET, secrets_manager | OF_QUEUE):
        assert of_key(context, PRODUCER) == set()


def test_a_producer_sends_to_the_streams_of_its_stack_and_reads_nothing() -> None:
    def tags(stack: str, holds: str) -> dict[str, str]:
        return {"aws:resourcetag/sluice:stack": stack, "aws:resourcetag/sluice:holds": holds}

    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:login-queue"
    assert of_producer(EVERY, queue, tags("sluice", "messages")) == SEND | LOOK
    for others in (tags("sluice", "dead-letters"), tags("another", "messages"), {}):
        assert of_producer(EVERY, queue, others) == set()
    assert of_producer(OF_KEY, arn("StorageKey"), VIA_SQS | OF_QUEUE) == DATA_KEYS
    assert of_producer(OF_KEY, arn("VaultKey"), VIA_SQS | OF_QUEUE) == set()
    for context in ({}, OF_QUEUE, VIA_SQS, VIA_SQS | OF_OTHERS, VIA_SQS | OF_SECRET):
        assert of_producer(OF_KEY, arn("StorageKey"), context) == set()
