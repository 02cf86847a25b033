"""A creation fails, and the next one succeeds; a stack is deleted, and made again from what it left."""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import eventually
from tests.e2e.test_operators import sluice
from tests.e2e.test_queue_to_row import login
from tools.local.emulator import REGION
from tools.local.server import NotStarted
from tools.local.stack import Stack, sam
from tools.project import DECLARED

# It fails: there is no such function.
BROKEN = {
    "Type": "AWS::CloudFormation::CustomResource",
    "Properties": {"ServiceToken": f"arn:aws:lambda:{REGION}:000000000000:function:none"},
}
RETAINED = ("StorageKey", "VaultKey", "KeysetSecret", "LoginsQueue", "LoginsDeadLetterQueue", "RevealLogGroup")


@pytest.fixture(scope="module")
def account() -> Iterator[Stack]:
    """An account and a server without any stack, and what is built."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-"))
    folder.chmod(0o711)
    account = Stack.in_folder(folder)
    account.streams = DECLARED / "streams"
    try:
        account.start_servers(lambda _: nullcontext())
        account.build(lambda _: nullcontext())
        yield account
    finally:
        account.stop()


def new_stack(account: Stack, name: str) -> Stack:
    """Return a stack that is still to be deployed, with an empty database of its own."""
    with account.connect() as owner:
        owner.run(f"CREATE DATABASE {name}")
    return replace(account, name=name, outputs={}, parameters={"DatabaseName": name, "LogLevel": "DEBUG"})


def delete(stack: Stack) -> None:
    deleted = sam(
        *("delete", "--stack-name", stack.name, "--region", REGION, "--no-prompts"),
        AWS_ENDPOINT_URL=stack.emulator.endpoint_url,
    )
    assert deleted.returncode == 0, deleted.stdout


def left_by(stack: Stack) -> dict[str, list[str]]:
    """Return what an account has of a stack: queues, secrets, keys that are not about to be deleted, log groups."""
    kms = stack.client("kms")
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    secrets = stack.client("secretsmanager").list_secrets()["SecretList"]
    groups = stack.client("logs").describe_log_groups(logGroupNamePrefix=f"/sluice/{stack.name}/")["logGroups"]
    return {
        "queues": stack.client("sqs").list_queues(QueueNamePrefix=f"{stack.name}-").get("QueueUrls", []),
        "secrets": [one["Name"] for one in secrets if one.get("Description", "").startswith(f"{stack.name}: ")],
        "keys": [
            key["Description"]
            for key in keys
            if key["Description"].startswith(f"{stack.name}: ") and key["KeyState"] == "Enabled"
        ],
        "log groups": [group["logGroupName"] for group in groups],
    }


NOTHING: dict[str, list[str]] = {"queues": [], "secrets": [], "keys": [], "log groups": []}


@contextmanager
def changed(file: Path, text: str) -> Iterator[None]:
    """Have a built file hold another text meanwhile."""
    before = file.read_text() if file.exists() else None
    file.write_text(text)
    try:
        yield
    finally:
        file.unlink() if before is None else file.write_text(before)


def broken(account: Stack, where: str) -> Any:
    """Return the context in which a creation fails there, when all that would be retained is made."""
    build = account.folder / "build"
    if where == "in a migration":
        return changed(build / "StreamsLayer" / "python" / "streams" / "migrations" / "1001_bad.sql", "SELECT 1 / 0;")
    template = json.loads((build / "template.yaml").read_text())
    resources = template["Resources"]
    if where == "before the schema":
        resources["Broken"] = BROKEN | {"DependsOn": [*RETAINED]}
        resources["Schema"]["DependsOn"].append("Broken")
    if where == "after the schema":
        resources["Broken"] = BROKEN | {"DependsOn": ["LoginsIngestFunctionLogins"]}
    return changed(build / "template.yaml", json.dumps(template))


def check_values(stack: Stack) -> list[Any]:
    with stack.postgres.connect(stack.name) as owner:
        has_table = owner.run("SELECT to_regclass('token_key') IS NOT NULL") == [[True]]
        return (owner.run("SELECT check_value FROM token_key") or []) if has_table else []


def user_ids(stack: Stack) -> list[str]:
    with stack.postgres.connect(stack.name) as owner:
        return [user_id for (user_id,) in owner.run("SELECT user_id FROM user_logins ORDER BY 1") or []]


def send(stack: Stack, user_id: str) -> None:
    body = json.dumps(login(user_id=user_id))
    stack.client("sqs").send_message(QueueUrl=stack.queue_url, MessageBody=body)


@pytest.mark.parametrize(
    ("name", "where", "why"),
    [
        ("first", "before the schema", "Broken: "),
        ("second", "at the login", "Schema: .*SQLSTATE 28P01"),
        ("third", "in a migration", "Schema: .*1001_bad.*SQLSTATE 22012"),
        ("fourth", "after the schema", "Broken: "),
    ],
)
def test_a_creation_that_fails_leaves_nothing_in_the_way_of_the_next_one(
    name: str, where: str, why: str, account: Stack
) -> None:
    stack = new_stack(account, name)
    login = {"DatabaseOwnerPassword": "wrong"} if where == "at the login" else {}
    with broken(account, where), pytest.raises(NotStarted, match=why):
        stack.deploy({**stack.parameters, **login})
    (described,) = stack.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    assert (described["StackStatus"], left_by(stack)) == ("ROLLBACK_COMPLETE", NOTHING)
    assert len(check_values(stack)) == (where == "after the schema")  # those of a keyset that is gone

    delete(stack)
    stack.deploy(stack.parameters)
    send(stack, "after")
    eventually(lambda: user_ids(stack), ["after"])


def log(stack: Stack, message: str) -> None:
    """Write into the log of reveal, as that function does when it logs a head of the audit log."""
    logs, group = stack.client("logs"), f"/sluice/{stack.name}/reveal"
    logs.create_log_stream(logGroupName=group, logStreamName=message)
    event = {"timestamp": int(time.time() * 1000), "message": message}
    logs.put_log_events(logGroupName=group, logStreamName=message, logEvents=[event])


def logged(stack: Stack) -> list[str]:
    found = stack.client("logs").filter_log_events(logGroupName=f"/sluice/{stack.name}/reveal")
    return [event["message"] for event in found["events"] if event["message"].startswith("head")]


def test_a_deleted_stack_is_made_again_around_its_queues_and_logs(account: Stack) -> None:
    stack = new_stack(account, "again")
    stack.deploy(stack.parameters)
    send(stack, "before")
    eventually(lambda: user_ids(stack), ["before"])
    log(stack, "head of before")
    delete(stack)
    send(stack, "meanwhile")
    left = left_by(stack)
    assert left["log groups"] == [
        f"/sluice/again/{name}" for name in ("dead-letters", "forget", "maintain", "rekey", "reveal")
    ]
    assert (len(left["queues"]), len(left["keys"]), len(left["secrets"])) == (4, 2, 1)

    told = sluice(stack, "adopt", "--stack", "again").splitlines()
    assert told[-1] == "The stack again has these. Deploy it now: sam build && sam deploy"
    assert sorted(line.partition(": ")[2] for line in told[:-1]) == sorted(left["queues"] + left["log groups"])
    with pytest.raises(NotStarted, match=r"Schema: keyset: key 1 .*: pii_vault has rows; restore the keyset"):
        stack.deploy(stack.parameters)  # its rows have tokens of a keyset that the new stack does not have
    (described,) = stack.client("cloudformation").describe_stacks(StackName="again")["Stacks"]
    assert described["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"

    with stack.postgres.connect("again") as owner:
        owner.run("TRUNCATE user_logins, pii_vault, pii_vault_key")
    stack.deploy(stack.parameters)
    eventually(lambda: user_ids(stack), ["meanwhile"])
    assert logged(stack) == ["head of before"]
