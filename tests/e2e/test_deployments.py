"""A stack is deployed again, changed, broken and deleted, and has a neighbour: nothing that it holds is lost."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from tests.e2e.conftest import Collected, eventually
from tests.e2e.test_operators import sluice
from tests.e2e.test_queue_to_row import login, row
from tests.unit.workflow import run_step
from tools.aws import parameters
from tools.local.emulator import CREDENTIALS, REGION
from tools.local.server import NotStarted
from tools.local.stack import SAM, Stack, running_stack, sam
from tools.local.template import expanded
from tools.project import DECLARED, PROJECT
from tools.testing.deployed import log_of

NEIGHBOUR = {"DatabaseName": "neighbour", "RolePath": "/sluice/", "Polling": "provisioned"}
NEW_CODE = "from the new code"
# The three calls of the AWS CLI that the workflow makes.
AWS = """
import json, sys, boto3
call, *options = sys.argv[2:]
given = dict(zip(options[::2], options[1::2]))
cloudformation = boto3.client("cloudformation")
if call == "describe-stacks":
    print(cloudformation.describe_stacks(StackName=given["--stack-name"])["Stacks"][0]["StackStatus"])
else:
    answer = getattr(cloudformation, call.replace("-", "_"))(ChangeSetName=given["--change-set-name"])
    print(json.dumps(answer, default=str))
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack of this module's own, which it changes and breaks."""
    with running_stack({"LogLevel": "DEBUG"}, streams=DECLARED / "streams") as stack:
        yield stack


@pytest.fixture(scope="module")
def neighbour(stack: Stack) -> Stack:
    """Another stack of the same account, in another database of the same server."""
    with stack.connect() as owner:
        owner.run("CREATE DATABASE neighbour")
    other = replace(stack, name="neighbour", outputs={})
    other.deploy(NEIGHBOUR)
    return other


def status(stack: Stack) -> dict[str, Any]:
    (found,) = stack.client("cloudformation").describe_stacks(StackName=stack.name)["Stacks"]
    described: dict[str, Any] = found
    return described


def events(stack: Stack) -> list[Any]:
    found: list[Any] = stack.client("cloudformation").describe_stack_events(StackName=stack.name)["StackEvents"]
    return found


def change_code(stack: Stack) -> None:
    """Have the built ingest function say in its log that it is another one."""
    app = stack.folder / "build" / "LoginsIngestFunction" / "app.py"
    app.write_text(
        app.read_text().replace('    """Answer an SQS event', f'    print("{NEW_CODE}")\n    """Answer an SQS event')
    )


def sessions_that_wait(stack: Stack) -> int:
    with stack.connect() as owner:  # another transaction each time: in one it would see what it has seen
        ((count,),) = owner.run("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") or [[0]]
    return int(count)


def rows_of(stack: Stack, database: str) -> set[str]:
    with stack.postgres.connect(database) as connection:
        return {user_id for (user_id,) in connection.run("SELECT user_id FROM user_logins") or []}


def test_a_deployment_without_a_change_changes_nothing(stack: Stack) -> None:
    before, happened = status(stack), events(stack)
    assert "No changes to deploy" in stack.deploy({"LogLevel": "DEBUG"})
    assert (status(stack), events(stack)) == (before, happened)


def test_code_is_deployed_without_losing_what_is_in_flight_or_comes_meanwhile(stack: Stack, sent: Collected) -> None:
    stack.client("sqs").set_queue_attributes(
        QueueUrl=stack.queue_url,
        Attributes={"VisibilityTimeout": "10"},  # seconds, not 660: a batch that was cut off comes again
    )
    deployed = Event()

    def send_meanwhile() -> None:
        while not deployed.wait(0.1):
            sent.send(login(user_id="meanwhile"))

    with stack.connect() as other:
        other.run("BEGIN; LOCK TABLE user_logins")
        in_flight = sent.send(login(user_id="in flight"))
        eventually(lambda: sessions_that_wait(stack), 1)
        producer = Thread(target=send_meanwhile)
        producer.start()
        try:
            change_code(stack)
            stack.deploy({"LogLevel": "DEBUG"})
        finally:
            deployed.set()
            producer.join()
        other.run("COMMIT")
    eventually(lambda: row(stack, in_flight) is not None, True)
    after = sent.send(login(user_id="after"))
    eventually(lambda: row(stack, after) is not None, True)  # and in the end `sent` looks for all the others
    assert NEW_CODE in log_of(stack)


def test_a_migration_that_fails_is_rolled_back_and_says_why_and_the_old_code_goes_on(
    stack: Stack, sent: Collected
) -> None:
    bad = stack.folder / "build" / "StreamsLayer" / "python" / "streams" / "migrations" / "1001_bad.sql"
    bad.write_text("CREATE TABLE half_done (a int); SELECT 1 / 0;\n")
    functions = stack.client("lambda")
    before = functions.get_function_configuration(FunctionName=stack.ingest_function)
    try:
        with pytest.raises(NotStarted, match=r"Schema: .*1001_bad.*SQLSTATE 22012"):  # a division by zero
            stack.deploy({"LogLevel": "DEBUG"})
    finally:
        bad.unlink()
    assert status(stack)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    after = functions.get_function_configuration(FunctionName=stack.ingest_function)
    assert [layer["Arn"] for layer in after["Layers"]] == [layer["Arn"] for layer in before["Layers"]]
    with stack.connect() as owner:
        assert owner.run("SELECT to_regclass('half_done')") == [[None]]
    message_id = sent.send(login())
    eventually(lambda: row(stack, message_id) is not None, True)


def test_a_new_password_of_a_role_loses_no_message(stack: Stack, sent: Collected) -> None:
    secrets, functions = stack.client("secretsmanager"), stack.client("lambda")
    stack.client("sqs").set_queue_attributes(
        QueueUrl=stack.queue_url,
        Attributes={"VisibilityTimeout": "10"},  # seconds, not 660: what a new environment could not store comes again
    )
    secret_id = stack.outputs["IngestSecretArn"]
    old = json.loads(secrets.get_secret_value(SecretId=secret_id)["SecretString"])
    message_ids = [sent.send(login()) for _ in range(10)]
    secrets.put_secret_value(SecretId=secret_id, SecretString=json.dumps(old | {"password": "a new one"}))
    message_ids += [sent.send(login()) for _ in range(10)]
    assert "FunctionError" not in functions.invoke(FunctionName=stack.migrate_function, Payload=b"{}")
    with stack.connect() as owner:  # so that each environment logs in again
        owner.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sluice-ingest'")
    message_ids += [sent.send(login()) for _ in range(10)]

    def stored() -> int:
        functions.invoke(FunctionName=stack.physical_id("BreakerFunction"), Payload=b"{}")  # as each minute
        return sum(row(stack, message_id) is not None for message_id in message_ids)

    eventually(stored, len(message_ids))


def test_what_the_database_told_becomes_the_parameters_of_the_stack(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stack with the outputs of deploy/database.yaml stands for it: the emulator knows no secret of RDS."""
    told = {
        "DatabaseHost": stack.postgres.host,
        "DatabasePort": str(stack.postgres.port),
        "DatabaseName": "sluice",
        "DatabaseOwnerSecretArn": "arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!cluster-1-AbCdEf",
        "DatabaseOwnerSecretKmsKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1",
        "DatabaseResourceId": "cluster-1",
        "SubnetIds": "subnet-1,subnet-2",
        "SecurityGroupIds": "sg-1",
    }
    assert told.keys() == expanded((PROJECT / "deploy" / "database.yaml").read_text())["Outputs"].keys()
    one = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "any"}}
    outputs = {name: {"Value": value} for name, value in told.items()}
    cloudformation = stack.client("cloudformation")
    cloudformation.create_stack(
        StackName="sluice-database", TemplateBody=json.dumps({"Resources": {"One": one}, "Outputs": outputs})
    )
    for name, value in {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": stack.emulator.endpoint_url,
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["parameters", "sluice-database"])
    eventually(lambda: status(replace(stack, name="sluice-database"))["StackStatus"], "CREATE_COMPLETE")
    assert parameters.main() == 0
    deployed = sam(
        *("deploy", "--template-file", str(stack.folder / "build" / "template.yaml"), "--no-execute-changeset"),
        *("--config-file", str(PROJECT / "samconfig.toml"), "--config-env", "local"),
        *("--stack-name", "from-outputs", "--parameter-overrides", *capsys.readouterr().out.split()),
        AWS_ENDPOINT_URL=stack.emulator.endpoint_url,
    )
    assert deployed.returncode == 0, deployed.stdout
    (change_set,) = cloudformation.list_change_sets(StackName="from-outputs")["Summaries"]
    given = cloudformation.describe_change_set(StackName="from-outputs", ChangeSetName=change_set["ChangeSetName"])
    assert {one["ParameterKey"]: one["ParameterValue"] for one in given["Parameters"]}.items() >= told.items()


def test_the_workflow_carries_out_the_change_set_that_it_proposed_and_nothing_before(
    stack: Stack, tmp_path: Path
) -> None:
    stack.client("s3").create_bucket(Bucket="artifacts")
    changed = {"LogLevel": "DEBUG", "RevealedValuesPerDay": "999"}
    (tmp_path / "parameters.yaml").write_text(json.dumps(stack.all_parameters(changed)))
    (tmp_path / "aws.py").write_text(AWS)
    of_ours = f"--template-file {stack.folder}/build/template.yaml --config-file {PROJECT}/samconfig.toml"
    commands = {
        "sam": f'exec {SAM} "$@" {of_ours} --parameter-overrides file://{tmp_path}/parameters.yaml',
        "aws": f'exec {sys.executable} aws.py "$@"',
    }
    place = {
        **CREDENTIALS,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": stack.emulator.endpoint_url,
        "AWS_CONFIG_FILE": os.devnull,
        "SAM_CLI_TELEMETRY": "0",
        "HOME": str(tmp_path),
        "STACK": stack.name,
    }
    role = "arn:aws:iam::000000000000:role/deployment/ExecutionRole"
    code, summary, output, _ = run_step(
        "propose", tmp_path, **commands, **place, ARTIFACTS_BUCKET="artifacts", EXECUTION_ROLE_ARN=role
    )
    assert code == 0
    assert "RevealFunction | AWS::Lambda::Function" in summary
    assert revealed_per_day(stack) == "1000"

    change_set = output.strip().removeprefix("change-set=")
    code, *_ = run_step("execute", tmp_path, **commands, **place, CHANGE_SET=change_set)
    assert code == 0
    assert revealed_per_day(stack) == "999"


def revealed_per_day(stack: Stack) -> str:
    parameters = {one["ParameterKey"]: str(one["ParameterValue"]) for one in status(stack)["Parameters"]}
    return parameters["RevealedValuesPerDay"]


def test_two_stacks_of_one_account_have_nothing_in_common(stack: Stack, neighbour: Stack, sent: Collected) -> None:
    sqs = stack.client("sqs")
    sent.send(login(user_id="ours"))
    sqs.send_message(QueueUrl=neighbour.queue_url, MessageBody=json.dumps(login(user_id="theirs")))
    eventually(lambda: ("ours" in rows_of(stack, "sluice"), rows_of(stack, "neighbour")), (True, {"theirs"}))
    assert "theirs" not in rows_of(stack, "sluice")

    sluice(stack, "pause", "user_logins", "--stack", neighbour.name)
    paused = {
        name: json.loads(sluice(stack, "status", "--stack", name, "--json"))[1] for name in ("sluice", "neighbour")
    }
    assert {name: told["mapping_state"] for name, told in paused.items()} == {
        "sluice": "Enabled",
        "neighbour": "Disabled",
    }
    sluice(stack, "resume", "user_logins", "--stack", neighbour.name)


def test_the_roles_of_a_stack_are_under_its_path_and_so_are_its_policies(stack: Stack, neighbour: Stack) -> None:
    iam = stack.client("iam")
    role = iam.get_role(RoleName=neighbour.physical_id("RevealRole"))["Role"]
    function = stack.client("lambda").get_function_configuration(FunctionName=neighbour.physical_id("RevealFunction"))
    assert role["Path"] == "/sluice/"
    assert function["Role"] == role["Arn"]
    assert ":policy/sluice/" in neighbour.physical_id("RevealCallerPolicy")
    assert iam.get_role(RoleName=stack.physical_id("RevealRole"))["Role"]["Path"] == "/"


def test_what_a_deleted_stack_leaves_is_all_that_cannot_be_made_again(
    stack: Stack, neighbour: Stack, sent: Collected
) -> None:
    sqs, kms, secrets = stack.client("sqs"), stack.client("kms"), stack.client("secretsmanager")
    waiting = sqs.send_message(QueueUrl=neighbour.dead_letter_queue_url, MessageBody="waits")["MessageId"]
    keys = [neighbour.physical_id(key) for key in ("StorageKey", "VaultKey")]
    keyset_id, ingest = neighbour.physical_id("KeysetSecret"), neighbour.ingest_function
    keyset = secrets.get_secret_value(SecretId=keyset_id)["SecretString"]

    deleted = sam(
        *("delete", "--stack-name", neighbour.name, "--region", REGION, "--no-prompts"),
        AWS_ENDPOINT_URL=stack.emulator.endpoint_url,
    )
    assert deleted.returncode == 0, deleted.stdout
    cloudformation = stack.client("cloudformation")
    with pytest.raises(cloudformation.exceptions.ClientError, match="does not exist"):
        cloudformation.describe_stacks(StackName=neighbour.name)
    with pytest.raises(cloudformation.exceptions.ClientError, match="ResourceNotFoundException"):
        stack.client("lambda").get_function_configuration(FunctionName=ingest)

    (letter,) = sqs.receive_message(QueueUrl=neighbour.dead_letter_queue_url)["Messages"]
    assert letter["MessageId"] == waiting
    assert sqs.get_queue_attributes(QueueUrl=neighbour.queue_url, AttributeNames=["QueueArn"])["Attributes"]
    assert secrets.get_secret_value(SecretId=keyset_id)["SecretString"] == keyset
    assert [kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] for key in keys] == ["Enabled", "Enabled"]
    assert rows_of(stack, "neighbour") == {"theirs"}
    groups = stack.client("logs").describe_log_groups(logGroupNamePrefix="/sluice/neighbour/")["logGroups"]
    trails = [f"/sluice/neighbour/{name}" for name in ("dead-letters", "forget", "maintain", "rekey", "reveal")]
    assert [group["logGroupName"] for group in groups] == trails

    message_id = sent.send(login())
    eventually(lambda: row(stack, message_id) is not None, True)  # the stack beside it goes on
