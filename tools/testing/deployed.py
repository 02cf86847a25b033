"""A deployed stack as the checker looks at it: its keysets, its data keys, its dead letters, its logs."""

from collections.abc import Mapping, Sequence

from sluice.declaration.stream import Stream
from sluice.pseudonyms.keyset import Keyset
from sluice.vault.sealing import DataKey, WrappedDataKey
from tools.local.stack import Stack
from tools.testing.invariants import Checker, Finding, Sent

UNSEEN_SECONDS = 600  # no dead letter is received twice


def check(stack: Stack, sent: Mapping[type[Stream], Sequence[Sent]], dead_letters: Sequence[str]) -> list[Finding]:
    """Return what is not where it belongs, of all that was sent to the stack."""
    with stack.connect() as owner:
        checker = Checker(owner, _keysets(stack), lambda wrapped: _open_data_key(stack, wrapped))
        return checker.check(sent, dead_letters, {"log": log_of(stack)})


def dead_letters(stack: Stack) -> list[str]:
    """Return the ids of the dead letters that were not received before, each as often as it is there."""
    ids = []
    for queues in stack.queues.values():
        while (
            received := stack.client("sqs")
            .receive_message(QueueUrl=queues.dead_letters, MaxNumberOfMessages=10, VisibilityTimeout=UNSEEN_SECONDS)
            .get("Messages")
        ):
            ids += [message["MessageId"] for message in received]
    return ids


def log_of(stack: Stack) -> str:
    """Return all that the functions wrote: the emulator's log has their output, CloudWatch Logs has it by function."""
    logs = stack.client("logs")
    events = [
        event["message"]
        for group in logs.describe_log_groups()["logGroups"]
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        for event in page["events"]
    ]
    return "\n".join([*events, stack.emulator.log.read_text(), stack.postgres.log.read_text()])


def _keysets(stack: Stack) -> list[Keyset]:
    """Return the keyset as it is, and as it was with each older key: a function may know it for five minutes."""
    manager, secret_id = stack.client("secretsmanager"), stack.outputs["KeysetSecretArn"]
    newest = Keyset.parse(manager.get_secret_value(SecretId=secret_id)["SecretString"])
    return [Keyset(newest.keys, number) for number in newest.keys if number <= newest.current]


def _open_data_key(stack: Stack, wrapped: WrappedDataKey) -> DataKey:
    context = {"app": "sluice", "purpose": "vault", "stack": stack.name}
    kms = stack.client("kms")
    opened = kms.decrypt(CiphertextBlob=wrapped.wrapped, KeyId=wrapped.kms_key_arn, EncryptionContext=context)
    return DataKey(wrapped, opened["Plaintext"])
