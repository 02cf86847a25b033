"""What is sent to the queue of the deployed stack is a masked row, or a dead letter with a reason."""

import json
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from streams.orders import Order
from tests.e2e.conftest import RULE, TOPIC, Collected, eventually
from tests.versions import ANSWER
from tools.local.generator import messages, orders
from tools.local.server import NotStarted
from tools.local.stack import Stack, running_stack
from tools.project import PROJECT
from tools.testing.deployed import log_of
from tools.testing.invariants import Sent

FOLDERS = sorted(path.parent.name for path in PROJECT.glob("functions/*/app.py"))
FUNCTIONS = [f"{'Logins' if name == 'ingest' else ''}{name.title().replace('_', '')}Function" for name in FOLDERS]
SENT_AT = 1_700_000_000_000  # milliseconds since 1970
CANARY_IP = "203.0.113.77"
CANARY_DEVICE = "987-65-4321"
CANARY_KEY = "canarykey"
CANARY_VALUE = "canaryvalue"


def login(**changes: Any) -> dict[str, Any]:
    record = {
        "user_id": str(uuid.uuid4()),
        "app_version": "2.3.0",
        "device_type": "android",
        "ip": "199.172.111.135",
        "locale": "RU",
        "device_id": "593-47-5928",
    }
    return record | changes


def row(stack: Stack, message_id: str) -> list[Any] | None:
    with stack.connect() as connection:
        rows = connection.run(
            "SELECT user_id, device_type, masked_ip, masked_device_id, locale, app_version, create_date,"
            " app_version_text, message_id::text FROM user_logins WHERE message_id = :id",
            id=message_id,
        )
    return rows[0] if rows else None


def rejection(stack: Stack, message_id: str) -> list[Any] | None:
    with stack.connect() as connection:
        sql = "SELECT stream, reason, pointer, shape FROM rejection WHERE message_id = :id"
        rows = connection.run(sql, id=message_id)
    return rows[0] if rows else None


def test_a_login_becomes_a_masked_row(stack: Stack, sent: Collected) -> None:
    record = login(user_id="u-1", locale=None)
    today = datetime.now(UTC).date()
    message_id = sent.send(record)
    eventually(lambda: row(stack, message_id) is not None, True)
    stored = row(stack, message_id)
    assert stored is not None
    user_id, device_type, masked_ip, masked_device_id, locale, *rest = stored
    assert (user_id, device_type, locale) == ("u-1", "android", None)
    assert rest == [2003000, today, "2.3.0", message_id] or rest[1] > today  # midnight may pass in between
    assert masked_ip.startswith("t1_") and len(masked_ip) == 46
    assert masked_device_id.startswith("t1_") and masked_device_id != masked_ip


def test_the_same_value_is_the_same_token_in_every_spelling(stack: Stack, sent: Collected) -> None:
    first = sent.send(login(ip="2001:db8::1"))
    second = sent.send(login(ip="2001:0DB8:0:0::0001"))
    eventually(lambda: row(stack, first) is not None and row(stack, second) is not None, True)
    one, other = row(stack, first), row(stack, second)
    assert one is not None and other is not None
    assert one[2] == other[2]
    assert one[3] == other[3]


def test_a_message_with_an_id_of_its_own_is_one_row_however_often_it_is_sent(stack: Stack, sent: Collected) -> None:
    identity = str(uuid.uuid4())
    for user_id in ("first", "second", "third"):
        sent.send(login(user_id=user_id), sluice_message_id=identity, sluice_sent_at="1700000000123")
    last = sent.send(login())
    eventually(lambda: row(stack, last) is not None, True)
    stored = row(stack, identity)
    assert stored is not None
    assert str(stored[6]) == "2023-11-14"


def test_junk_is_a_dead_letter_with_a_reason_long_before_its_visibility_timeouts_end(
    stack: Stack, sent: Collected
) -> None:
    junk = {
        sent.send('{"foo": "oops_wrong_msg_type", "bar": "123"}', valid=False): ("missing", "/user_id"),
        sent.send(login(ip="not an address"), valid=False): ("not_an_ip_address", "/ip"),
        sent.send(login(app_version="1.1000"), valid=False): ("out_of_range", "/app_version"),
        sent.send("not JSON", valid=False): ("not_json", ""),
    }
    eventually(lambda: set(junk) <= set(sent.dead_letters()), True)  # ten timeouts would take an hour
    for message_id, (reason, pointer) in junk.items():
        found = rejection(stack, message_id)
        assert found is not None
        assert found[:3] == ["user_logins", reason, pointer]
        assert row(stack, message_id) is None


def test_another_stream_has_a_queue_and_a_function_of_its_own(stack: Stack, sent: Collected) -> None:
    made = {sent.send(order.body, order.valid, Order): order for order in orders(20, 3)}
    valid = {message_id for message_id, order in made.items() if order.valid}

    def found() -> tuple[set[str], set[str]]:
        with stack.connect() as connection:
            rows = connection.run("SELECT message_id::text FROM orders") or []
            refused = connection.run("SELECT message_id::text FROM rejection WHERE stream = 'orders'") or []
        return {message_id for (message_id,) in rows}, {message_id for (message_id,) in refused}

    eventually(found, (valid, set(made) - valid))


def test_a_topic_and_a_rule_that_the_stack_names_deliver_to_a_queue_that_refuses_what_is_not_tls(
    stack: Stack, sent: Collected
) -> None:
    sqs, sns, events = stack.client("sqs"), stack.client("sns"), stack.client("events")
    told = sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["QueueArn", "Policy"])["Attributes"]
    policy = {statement["Sid"]: statement for statement in json.loads(told["Policy"])["Statement"]}
    assert policy["TlsOnly"]["Effect"] == "Deny"
    assert policy["TopicsAndRules"]["Condition"] == {"ArnEquals": {"aws:SourceArn": [TOPIC, RULE]}}

    assert sns.create_topic(Name="sign-ins")["TopicArn"] == TOPIC
    raw = {"RawMessageDelivery": "true"}
    sns.subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=told["QueueArn"], Attributes=raw)
    assert events.put_rule(Name="sign-ins", EventPattern=json.dumps({"source": ["shop"]}))["RuleArn"] == RULE
    events.put_targets(Rule="sign-ins", Targets=[{"Id": "queue", "Arn": told["QueueArn"], "InputPath": "$.detail"}])
    unseen = 100 * " "  # the emulator logs as many characters of a topic's message
    bodies = {
        "by topic": unseen + json.dumps(login(user_id="by topic")),
        "by rule": json.dumps(login(user_id="by rule")),
    }
    sns.publish(TopicArn=TOPIC, Message=bodies["by topic"])
    events.put_events(Entries=[{"Source": "shop", "DetailType": "Login", "Detail": bodies["by rule"]}])

    def delivered() -> dict[str, str]:
        with stack.connect() as connection:
            sql = "SELECT user_id, message_id::text FROM user_logins WHERE user_id LIKE 'by %'"
            return dict(connection.run(sql) or [])

    eventually(lambda: set(delivered()), set(bodies))
    sent.handed_over([Sent(message_id, bodies[by], True) for by, message_id in delivered().items()], [])


def test_a_thousand_messages_are_a_thousand_rows_or_dead_letters(stack: Stack, sent: Collected) -> None:
    """Lambda's largest batches do not come through the emulator's mapping (10 at most), so this one is handed over."""
    made = [Sent(str(uuid.uuid4()), message.body, message.valid, SENT_AT) for message in messages(1000, seed=7)]
    event = {"Records": [message.record() for message in made]}
    invoked = stack.client("lambda").invoke(FunctionName=stack.ingest_function, Payload=json.dumps(event))
    answer = json.load(invoked["Payload"])
    reported = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    sent.handed_over(made, reported)
    ids, bad = {message.message_id for message in made}, {message.message_id for message in made if not message.valid}
    assert set(reported) == bad
    with stack.connect() as connection:
        stored = {str(message_id) for (message_id,) in connection.run("SELECT message_id FROM user_logins") or []}
        refused = {str(message_id) for (message_id,) in connection.run("SELECT message_id FROM rejection") or []}
    assert stored & ids == ids - bad
    assert refused & ids == bad


def test_no_personal_data_is_in_any_log_or_table(stack: Stack, sent: Collected) -> None:
    extra = {CANARY_KEY: CANARY_VALUE}
    good = sent.send(login(ip=CANARY_IP, device_id=CANARY_DEVICE, **extra))
    bad = sent.send(login(ip=CANARY_IP, device_id=CANARY_DEVICE, app_version=CANARY_VALUE, **extra), valid=False)
    eventually(lambda: row(stack, good) is not None and rejection(stack, bad) is not None, True)
    eventually(lambda: bad in log_of(stack), True)
    with stack.connect() as connection:
        dump = str(connection.run("SELECT to_jsonb(t) FROM user_logins t"))
        dump += str(connection.run("SELECT to_jsonb(t) FROM rejection t"))
    assert good in dump
    for canary in (CANARY_IP, CANARY_DEVICE, CANARY_KEY, CANARY_VALUE):
        assert canary not in dump
        assert canary not in log_of(stack)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_finds_all_that_it_imports_in_its_layers(stack: Stack, function: str) -> None:
    """The emulator's interpreter has it all anyway, so it is asked of one that has nothing."""
    parts = [str(stack.folder / "build" / part) for part in (function, "CommonLayer/python", "StreamsLayer/python")]
    program = "import sys; sys.path[:0] = sys.argv[1:]; import app, boto3, cryptography; print(app.__file__)"
    found = subprocess.run([sys.executable, "-ISc", program, *parts], capture_output=True, text=True, check=False)
    assert (found.stdout.strip(), found.stderr) == (str(stack.folder / "build" / function / "app.py"), "")


def test_the_migrate_function_may_be_called_by_hand(stack: Stack) -> None:
    invoked = stack.client("lambda").invoke(FunctionName=stack.migrate_function, Payload=b"{}")
    assert json.load(invoked["Payload"]) == ANSWER


@pytest.mark.long
def test_a_deployment_whose_migration_fails_says_why() -> None:
    with (
        pytest.raises(NotStarted, match=r"Schema: .*SQLSTATE 3D000"),  # no such database
        running_stack({"DatabaseName": "nobody-made-this"}),
    ):
        pass
