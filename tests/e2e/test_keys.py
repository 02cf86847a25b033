"""Keyset and keys of an operator's own: restored from a backup, left by a deleted stack, moved to another key."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from sluice.aws import clients
from sluice.settings import VaultSettings
from sluice.vault.sealing import WrappedDataKey, open_data_key
from tests.e2e.conftest import Collected
from tests.e2e.test_deployments import status
from tests.e2e.test_operators import reveal, sluice, tokens_of
from tests.e2e.test_queue_to_row import login
from tools.local.emulator import CREDENTIALS, REGION
from tools.local.server import NotStarted
from tools.local.stack import Stack, running_stack, sam
from tools.project import DECLARED

WHY = ("--reason", "operations", "--ticket", "OPS-1")
DEVICE = "a device from before"
ELSEWHERE = "eu-west-1"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack of this module's own, which loses its keyset and is deleted."""
    with running_stack({"LogLevel": "DEBUG"}, streams=DECLARED / "streams") as stack:
        yield stack


@pytest.fixture(scope="module")
def given() -> dict[str, str]:
    """The parameters that the tests have deployed with, one after the other."""
    return {"LogLevel": "DEBUG"}


def new_secret(stack: Stack, name: str, text: str, **options: str) -> str:
    """Make a secret, and return its ARN."""
    return str(stack.client("secretsmanager").create_secret(Name=name, SecretString=text, **options)["ARN"])


def keyset_of(stack: Stack) -> str:
    found = stack.client("secretsmanager").get_secret_value(SecretId=stack.outputs["KeysetSecretArn"])
    return str(found["SecretString"])


def put_policy(stack: Stack, key: str) -> dict[str, Any]:
    """Give a vault key the policy that the command prints (`sluice keys policy > vault-key.json`), and return it."""
    policy = sluice(stack, "keys", "policy", "--key", key)
    stack.client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
    told: dict[str, Any] = json.loads(policy)
    return told


@pytest.fixture(scope="module")
def old_token(stack: Stack, sent: Collected) -> str:
    """The token of a device that was sealed before anything happened."""
    return tokens_of(stack, sent.send(login(device_id=DEVICE)))[1]


def works_as_before(stack: Stack, sent: Collected, old_token: str) -> None:
    """See that the device has the token that it had, and that old and new values can be revealed."""
    assert tokens_of(stack, sent.send(login(device_id=DEVICE)))[1] == old_token
    new = f"a device {uuid.uuid4()}"
    new_token = tokens_of(stack, sent.send(login(device_id=new)))[1]
    assert [found["value"] for found in reveal(stack, old_token, new_token)["values"]] == [DEVICE, new]
    assert "Key 1 of 1 is current" in sluice(stack, "keys", "status", *WHY)


def test_a_keyset_is_restored_from_its_backup_as_another_secret(
    stack: Stack, sent: Collected, old_token: str, given: dict[str, str]
) -> None:
    spoiled, backup = stack.outputs["KeysetSecretArn"], keyset_of(stack)
    stack.client("secretsmanager").put_secret_value(SecretId=spoiled, SecretString="{}")
    sluice(stack, "keys", "status", *WHY, exit_code=1)

    given["KeysetSecretArn"] = new_secret(
        stack, "sluice-keyset-restored", backup, KmsKeyId=stack.outputs["StorageKeyArn"]
    )
    stack.deploy(given)
    assert stack.outputs["KeysetSecretArn"] == given["KeysetSecretArn"] != spoiled
    assert "DeletedDate" not in stack.client("secretsmanager").describe_secret(SecretId=spoiled)
    works_as_before(stack, sent, old_token)


def test_a_wrong_keyset_is_refused_in_a_sentence_and_the_deployment_rolled_back(
    stack: Stack, sent: Collected, old_token: str, given: dict[str, str]
) -> None:
    wrong = new_secret(stack, "sluice-keyset-wrong", json.dumps({"current": 1, "1": "W" * 64}))
    with pytest.raises(NotStarted, match=r"Schema: .*keyset: key 1 is not the one that made the tokens"):
        stack.deploy(given | {"KeysetSecretArn": wrong})
    assert status(stack)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    works_as_before(stack, sent, old_token)


def test_a_deleted_stack_is_made_again_with_the_keyset_and_the_keys_that_it_left(
    stack: Stack, sent: Collected, old_token: str, given: dict[str, str]
) -> None:
    left = {name: stack.outputs[name] for name in ("KeysetSecretArn", "StorageKeyArn", "VaultKeyArn")}
    given |= left
    deleted = sam(
        *("delete", "--stack-name", stack.name, "--region", REGION, "--no-prompts"),
        AWS_ENDPOINT_URL=stack.emulator.endpoint_url,
    )
    assert deleted.returncode == 0, deleted.stdout
    for queues in stack.queues.values():
        stack.client("sqs").delete_queue(QueueUrl=queues.queue)
        stack.client("sqs").delete_queue(QueueUrl=queues.dead_letters)

    stack.deploy(given)
    assert {"LogLevel": "DEBUG"} | {name: stack.outputs[name] for name in left} == given
    statements = put_policy(stack, given["VaultKeyArn"])["Statement"]
    denied = {one["Sid"]: one["Condition"]["ArnNotEquals"]["aws:PrincipalArn"] for one in statements[1:3]}
    assert {sid: arn.rpartition("/")[2] for sid, arn in denied.items()} == {
        "NobodyButRevealDecrypts": stack.physical_id("RevealRole"),  # of the new stack
        "NobodyButRekeyReEncrypts": stack.physical_id("RekeyRole"),
    }
    works_as_before(stack, sent, old_token)


def test_with_new_keys_and_the_old_keyset_all_goes_on_and_a_multi_region_key_opens_elsewhere(
    stack: Stack, sent: Collected, old_token: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kms = stack.client("kms")
    vault_key = kms.create_key(MultiRegion=True)["KeyMetadata"]["Arn"]
    put_policy(stack, vault_key)  # the roles are there already
    # The functions may not use the older storage key any more, so the key of AWS encrypts the keyset.
    keyset = new_secret(stack, "sluice-keyset-moved", keyset_of(stack))
    stack.deploy(given | {"KeysetSecretArn": keyset, "StorageKeyArn": "", "VaultKeyArn": vault_key})
    assert (stack.outputs["VaultKeyArn"], stack.outputs["StorageKeyArn"] != given["StorageKeyArn"]) == (vault_key, True)
    works_as_before(stack, sent, old_token)

    replica = kms.replicate_key(KeyId=vault_key, ReplicaRegion=ELSEWHERE)["ReplicaKeyMetadata"]["Arn"]
    there = boto3.client(
        "kms",
        region_name=ELSEWHERE,
        endpoint_url=stack.emulator.endpoint_url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    monkeypatch.setattr(clients, "client", {"kms": there}.__getitem__)
    with stack.connect() as owner:
        rows = owner.run(
            "SELECT domain, sealed, id, wrapped, kms_key_arn FROM pii_vault JOIN pii_vault_key ON id = key_id"
            " WHERE kms_key_arn = :arn",
            arn=vault_key,
        )
    assert rows
    for domain, sealed, *data_key in rows:
        opened = open_data_key(WrappedDataKey(*data_key), VaultSettings(key_id=replica, stack=stack.name))
        assert opened.open(sealed, domain).startswith("a device ")
