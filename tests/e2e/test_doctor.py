"""`sluice doctor` on the embedded stack: nothing to tell of one that is well, and each finding once it is provoked."""

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from pg8000.native import literal

from tests.documentation import ROOT, blocks
from tests.e2e.test_operators import sluice
from tools.local.emulator import REGION
from tools.local.stack import STACK_NAME, Stack, running_stack
from tools.project import DECLARED

PAGE = ROOT / "docs" / "deployment.md"
SHOWN_URL = "postgresql://owner@db.example:5432/app"
TOPIC = f"arn:aws:sns:{REGION}:000000000000:alarms"
LISTENERS = f"arn:aws:sqs:{REGION}:000000000000:listeners"
IS_ON = "It is on."  # an alarm
DAYS = 24 * 60 * 60  # seconds

type Told = list[tuple[str, str, str, str]]  # area, severity, thing, sentence


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack of this module's own, whose alarms notify somebody."""
    with running_stack({"AlarmTopicArn": TOPIC}, streams=DECLARED / "streams") as stack:
        sns = stack.client("sns")
        sns.create_topic(Name="alarms")
        stack.client("sqs").create_queue(QueueName="listeners")
        sns.subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=LISTENERS)
        yield stack


def told(stack: Stack, exit_code: int = 1) -> Told:
    """Return what the command finds that is not good, but for the alarms that the emulator sets off meanwhile."""
    found = json.loads(sluice(stack, "doctor", "--json", exit_code=exit_code))
    return [
        (one["area"], one["severity"], one["thing"], one["sentence"])
        for one in found
        if one["severity"] != "good" and (one["sentence"] != IS_ON or one["thing"] == "OutageAlarm")
    ]


def arguments(command: str) -> list[str]:
    """Return the arguments of a command as the pages show it."""
    return shlex.split(command.removeprefix("sluice "))


def areas(lines: Sequence[str]) -> list[str]:
    """Return the areas that lines of the command tell of, in their order."""
    return list(dict.fromkeys(line.split()[1] for line in lines if line and line[0] in "✓?!✗"))


@contextmanager
def variables(stack: Stack, function: str, **changed: str) -> Iterator[None]:
    """Change environment variables of a function for a while."""
    functions = stack.client("lambda")
    before = functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    functions.update_function_configuration(FunctionName=function, Environment={"Variables": before | changed})
    try:
        yield
    finally:
        functions.update_function_configuration(FunctionName=function, Environment={"Variables": before})


def test_of_a_stack_that_is_well_there_is_nothing_to_do(stack: Stack) -> None:
    assert told(stack, 0) == []
    lines = sluice(stack, *arguments("sluice doctor --stack sluice")).splitlines()
    assert lines[-1].startswith("17 areas; fails: 0, ")
    (shown,) = [text for text in blocks(PAGE, "console") if "--stack sluice\n✓" in text]
    assert areas(lines) == areas(shown.splitlines())


def test_before_a_deployment_a_database_alone_is_looked_at(stack: Stack) -> None:
    with stack.connect() as owner:
        owner.run("CREATE DATABASE next ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    url = stack.postgres.url.rpartition("/")[0] + "/next"
    command = "sluice doctor --database postgresql://owner@db.example:5432/app --stack sluice"
    shown = sluice(stack, *arguments(command.replace(SHOWN_URL, url)))
    assert "! server     The database's encoding is LATIN1" in shown
    assert areas(shown.splitlines()) == ["server", "owner", "roles", "rights", "schema", "keyset"]
    too_long = sluice(stack, "doctor", "--database", url, "--stack", "x" * 60, exit_code=1)
    assert f"✗ roles      {'x' * 60}-ingest: The name is longer than 63 bytes" in too_long
    command = "sluice doctor --database postgresql://owner@db.example:5432/app --json"
    found = json.loads(sluice(stack, *arguments(command.replace(SHOWN_URL, url))))
    assert {one["severity"] for one in found} == {"good", "warns"}


def test_a_stack_that_is_not_there_is_told(stack: Stack) -> None:
    assert "✗ stack      other: There is no such stack here." in sluice(
        stack, "doctor", "--stack", "other", exit_code=1
    )


def test_what_does_not_read_its_queue_is_found(stack: Stack) -> None:
    functions, sqs, ssm = map(stack.client, ("lambda", "sqs", "ssm"))
    orders = stack.physical_id("OrdersIngestFunctionOrders")
    redrive = sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["RedrivePolicy"])["Attributes"]
    of_orders = f"/sluice/{STACK_NAME}/stream/orders"
    queues = ssm.get_parameter(Name=of_orders)["Parameter"]["Value"]

    sluice(stack, "pause", "user_logins")
    functions.update_event_source_mapping(UUID=orders, Enabled=False, FunctionResponseTypes=[])
    sqs.set_queue_attributes(QueueUrl=stack.queue_url, Attributes={"RedrivePolicy": ""})
    swapped = json.loads(queues) | {"queue": stack.queue_url}
    ssm.put_parameter(Name=of_orders, Value=json.dumps(swapped), Type="String", Overwrite=True)
    found = told(stack)

    sluice(stack, "resume", "user_logins")
    functions.update_event_source_mapping(UUID=orders, Enabled=True, FunctionResponseTypes=["ReportBatchItemFailures"])
    sqs.set_queue_attributes(QueueUrl=stack.queue_url, Attributes=redrive)
    ssm.put_parameter(Name=of_orders, Value=queues, Type="String", Overwrite=True)
    no_letters = "Its queue has no dead-letter queue of the stack: bad messages come again until they expire."
    assert found == [
        ("mappings", "fails", "orders", "It is not read."),
        (
            "mappings",
            "fails",
            "orders",
            "The mapping takes no report of single messages: rejected ones would be deleted.",
        ),
        ("mappings", "fails", "orders", "The mapping reads another queue than the stack's parameter names."),
        ("mappings", "warns", "user_logins", "It is not read."),
        ("queues", "fails", "orders", no_letters),
        ("queues", "fails", "user_logins", no_letters),
    ]


def test_a_secret_a_key_and_a_keyset_that_cannot_be_used_are_found(stack: Stack) -> None:
    secrets, kms = stack.client("secretsmanager"), stack.client("kms")
    reveal, keyset, vault_key = map(stack.physical_id, ("RevealSecret", "KeysetSecret", "VaultKey"))
    right = secrets.get_secret_value(SecretId=keyset)["SecretString"]

    secrets.delete_secret(SecretId=reveal, RecoveryWindowInDays=7)
    secrets.put_secret_value(SecretId=keyset, SecretString=json.dumps({"current": 1, "1": "2" * 64}))
    kms.disable_key(KeyId=vault_key)
    found = told(stack)

    secrets.restore_secret(SecretId=reveal)
    secrets.put_secret_value(SecretId=keyset, SecretString=right)
    kms.enable_key(KeyId=vault_key)
    assert found == [
        ("secrets", "fails", "RevealSecret", "It is to be deleted, and cannot be read."),
        ("keys", "fails", "VaultKey", "It is Disabled."),
        ("logins", "fails", "reveal", "secrets manager: InvalidRequestException"),
        ("keyset", "fails", "", "keyset: key 1 is not the key that this database knows"),
    ]


def test_alarms_that_are_on_or_that_nobody_hears_are_found(stack: Stack) -> None:
    cloudwatch, sns = stack.client("cloudwatch"), stack.client("sns")
    outage, breaker = map(stack.physical_id, ("OutageAlarm", "BreakerAlarm"))
    count = len(cloudwatch.describe_alarms()["MetricAlarms"])

    cloudwatch.set_alarm_state(AlarmName=outage, StateValue="ALARM", StateReason="a test")
    cloudwatch.disable_alarm_actions(AlarmNames=[breaker])
    sns.delete_topic(TopicArn=TOPIC)
    found = told(stack)

    cloudwatch.set_alarm_state(AlarmName=outage, StateValue="OK", StateReason="a test")
    cloudwatch.enable_alarm_actions(AlarmNames=[breaker])
    sns.create_topic(Name="alarms")
    without_listeners = told(stack, 0)
    sns.subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=LISTENERS)
    assert found == [
        ("alarms", "warns", "OutageAlarm", "It is on."),
        ("alarms", "warns", "", f"1 of {count} alarms notify nobody."),
        ("alarms", "fails", "alarms", "The alarms' topic is gone."),
    ]
    assert without_listeners == [("alarms", "warns", "alarms", "Nobody has subscribed to the alarms' topic.")]


def test_what_does_not_run_is_found(stack: Stack) -> None:
    functions, events, logs = map(stack.client, ("lambda", "events", "logs"))
    audit, rule = stack.physical_id("AuditFunction"), stack.physical_id("BreakerFunctionEveryMinute").rpartition("|")[2]

    functions.put_function_concurrency(FunctionName=audit, ReservedConcurrentExecutions=0)
    events.disable_rule(Name=rule)
    logs.put_retention_policy(logGroupName=f"/sluice/{STACK_NAME}/forget", retentionInDays=30)
    found = told(stack)

    functions.delete_function_concurrency(FunctionName=audit)
    events.enable_rule(Name=rule)
    logs.put_retention_policy(logGroupName=f"/sluice/{STACK_NAME}/forget", retentionInDays=400)
    assert found == [
        ("functions", "fails", "AuditFunction", "Its reserved concurrency is 0, so it never runs."),
        (
            "schedule",
            "fails",
            "BreakerFunctionEveryMinute",
            "The rule is disabled: a queue that an outage has stopped stays stopped.",
        ),
        (
            "logs",
            "warns",
            f"/sluice/{STACK_NAME}/forget",
            "It is kept for 30 days, and a yearly audit finds no head in it.",
        ),
    ]


def test_what_was_changed_in_the_database_is_found_from_inside(stack: Stack) -> None:
    manager = stack.client("secretsmanager")
    audit = json.loads(manager.get_secret_value(SecretId=stack.physical_id("AuditSecret"))["SecretString"])
    with stack.connect() as owner:
        owner.run('REVOKE INSERT ON orders FROM "sluice-ingest"; ALTER TABLE user_logins RENAME COLUMN locale TO lang')
        owner.run("""ALTER ROLE "sluice-audit" PASSWORD 'another'""")
        found = told(stack)
        owner.run('GRANT INSERT ON orders TO "sluice-ingest"; ALTER TABLE user_logins RENAME COLUMN lang TO locale')
        owner.run(f'ALTER ROLE "sluice-audit" PASSWORD {literal(audit["password"])}')
    assert found == [
        ("rights", "fails", "sluice-ingest", "It may not INSERT orders."),
        ("schema", "fails", "user_logins", "UserLogin: the table user_logins lacks the column locale."),
        ("logins", "fails", "sluice-audit", "database: SQLSTATE 28P01"),
    ]


def test_a_server_that_cannot_be_reached_is_found_and_what_to_do_with_it(stack: Stack) -> None:
    with variables(stack, stack.migrate_function, DATABASE_PORT="1"):
        shown = sluice(stack, "doctor", exit_code=1)
    assert "✗ server     database: no connection, ConnectionRefusedError" in shown
    assert "See docs/operations.md, “The server cannot be reached”." in shown


def test_all_that_was_mended_is_well_again(stack: Stack) -> None:
    assert told(stack, 0) == []


def test_what_waits_for_too_long_is_found(stack: Stack) -> None:
    sqs, cloudwatch = stack.client("sqs"), stack.client("cloudwatch")

    def put_age(seconds: int) -> None:
        data: dict[str, Any] = {
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{"Name": "QueueName", "Value": "login-queue"}],
            "Timestamp": datetime.now(UTC),
            "Value": seconds,
        }
        cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=[data])

    sqs.send_message(QueueUrl=stack.dead_letter_queue_url, MessageBody="dead")
    put_age(5 * DAYS)
    found = told(stack)
    sqs.purge_queue(QueueUrl=stack.dead_letter_queue_url)
    assert found == [
        ("queues", "warns", "user_logins", "1 dead letters wait, and expire."),
        ("queues", "fails", "user_logins", "The oldest message has waited for 120 hours."),
    ]
