"""An event that is not what a function expects is refused in its own words: no function fails of it unforeseen."""

import json
import logging
from base64 import b64encode
from io import StringIO
from typing import Any

import pytest

from sluice import telemetry
from sluice.ingest.message import NotAnSqsEvent
from sluice.migrate.custom_resource import NotACustomResourceEvent
from tests.field.environments import CALLER, Functions
from tests.integration.environment import Environment
from tests.integration.messages import record
from tests.unit.fakes import ROOT, load_event
from tools.testing.aws.account import FakeAws

OPERATORS = ("audit", "dead_letters", "forget", "rekey", "reveal")
NO_OBJECTS: list[Any] = [None, [], ["kn4ry"], [{"kn4ry": 1}], "kn4ry", "{}", "", 0, 1, 1.5, True, False]
NO_FLAGS: list[Any] = [None, "false", "true", "kn4ry", 1, [True], {"kn4ry": 1}]
HELLO = {"key1": "value1", "key2": "value2", "key3": "value3"}  # the Lambda console's test event
SCHEDULED = load_event("breaker_schedule")
SNS = {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "kn4ry"}}]}
OTHERS = {"hello": HELLO, "schedule": SCHEDULED, "sns": SNS, "sqs": load_event("sqs_single_login")}


@pytest.fixture
def output(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> StringIO:
    """All that the functions log, at any level."""
    caplog.set_level(logging.DEBUG)
    log = StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", log)
    return log


def by(caller: object = CALLER, **parts: object) -> dict[str, Any]:
    return {"requestContext": {"authorizer": {"iam": {"userArn": caller}}}, **parts}


def answered(functions: Functions, function: str, event: object) -> tuple[int, str]:
    """Return the status and the error of the answer to an event of a function's URL."""
    response = functions._environment(function).invoke(event)  # type: ignore[arg-type]  # any JSON may come
    assert "kn4ry" not in json.dumps(response)
    return response["statusCode"], json.loads(response["body"]).get("error", "")


# What operators call


@pytest.mark.parametrize("function", OPERATORS)
def test_an_event_without_a_caller_is_unverified_whatever_else_it_is(function: str, functions: Functions) -> None:
    events = [*NO_OBJECTS, {}, *OTHERS.values(), {"body": "kn4ry"}]
    events += [{"requestContext": context} for context in NO_OBJECTS]
    events += [{"requestContext": {"authorizer": authorizer}} for authorizer in NO_OBJECTS]
    events += [{"requestContext": {"authorizer": {"iam": iam}}} for iam in NO_OBJECTS]
    events += [
        by(caller) for caller in (None, "", [], ["kn4ry"], {"kn4ry": 1}, 1, True, "\0kn4ry", "\ud800", "kn4ry\n")
    ]
    for event in events:
        assert answered(functions, function, event) == (403, "unverified_caller"), event


@pytest.mark.parametrize("function", OPERATORS)
def test_an_event_that_is_no_call_is_a_bad_request_where_nobody_verifies_callers(
    function: str, functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_UNVERIFIED_CALLER", "true")
    for event in [*NO_OBJECTS, {}, *OTHERS.values(), {"requestContext": ["kn4ry"], "body": ["kn4ry"]}]:
        assert answered(functions, function, event) == (400, "bad_request"), event


@pytest.mark.parametrize("function", OPERATORS)
def test_a_body_that_is_no_request_is_a_bad_request(function: str, functions: Functions) -> None:
    no_bodies = [*NO_OBJECTS, {}, {"kn4ry": 1}, [["action", "status"]]]
    texts = ["kn4ry", "null", "[]", '["kn4ry"]', '"kn4ry"', "1", "1e999", "NaN", "{", "{}x", "\ufeff{}", "\ud800", "\0"]
    texts += ['{"kn4ry":' + "[" * 100_000, "[" * 100_000, '{"a":' * 100_000, '{"action":"\\ud800"}', "9" * 100_000]
    encoded = ["=", "kn4ry", "é", "{}", b64encode(b"\xff\xfe{}").decode(), b64encode(b"[]").decode(), 5, None, ["e30="]]
    events = [by(body=body) for body in [*no_bodies, *texts]] + [by()]
    events += [by(body=body, isBase64Encoded=True) for body in encoded]
    events += [by(body="e30=", isBase64Encoded=junk) for junk in NO_FLAGS]
    for event in events:
        assert answered(functions, function, event) == (400, "bad_request"), str(event)[:200]


def test_only_true_says_that_a_body_is_base64(functions: Functions) -> None:
    for junk in NO_FLAGS:
        event = by(body='{"action": "verify"}', isBase64Encoded=junk)
        assert answered(functions, "audit", event) == (200, ""), junk


REQUESTS = [  # a function, and what it is sent in events/
    *[("audit", name) for name in ("list", "verify")],
    *[("dead_letters", name) for name in ("list", "purge_ids", "purge_person", "redrive")],
    *[("forget", name) for name in ("person", "repeat", "sweep")],
    *[("rekey", "status"), ("reveal", "tokens")],
]
VALUES = ["kn4ry", ["kn4ry"], {"kn4ry": 1}, [{"kn4ry": 1}], {"kn4ry": {"kn4ry": "kn4ry"}}, "kn4ry\0", "A-1\nkn4ry"]
VALUES += ["' - at `$.kn4ry`", "t1_kn4ry", ["t1_" + "kn4ry" * 8 + "abc\n"]]
KEYS = ["kn4ry", "a` - at `$.kn4ry", "a - at `$.kn4ry", "a`, got `kn4ry", "\n - at `kn4ry", "kn4ry\0", "kn4ry" * 1000]


@pytest.mark.parametrize(("function", "name"), REQUESTS)
def test_no_answer_and_no_log_holds_what_a_request_says(
    function: str, name: str, functions: Functions, output: StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    request = json.loads(load_event(f"{function}_{name}")["body"])
    for body in [request | {key: 1} for key in KEYS] + [{key: 1} | request for key in KEYS]:
        assert answered(functions, function, by(body=json.dumps(body))) == (400, "bad_request"), body
    for body in [request | {key: value} for key in request for value in VALUES]:
        assert answered(functions, function, by(body=json.dumps(body)))[0] in (200, 400), body
    assert "kn4ry" not in output.getvalue() + "".join(capfd.readouterr())
    assert "kn4ry" not in str(functions.database.sql("SELECT l::text FROM audit_log l"))


# What AWS calls


def test_ingest_takes_no_other_event(ingest: Environment) -> None:
    for event in [*NO_OBJECTS, {}, HELLO, SCHEDULED, SNS, {"Records": {}}, {"Records": [[]]}]:
        with pytest.raises(NotAnSqsEvent, match=r"^event: "):
            ingest.invoke(event)


def test_ingest_takes_no_record_of_another_form(ingest: Environment) -> None:
    junk: dict[str, list[Any]] = {
        "body": [None, 1, ["kn4ry"], {}],
        "messageId": [None, 1, ["kn4ry"], {}],
        "receiptHandle": [None, 1, ["kn4ry"], {}],
        "eventSource": [None, 1, ["aws:sqs"], "aws:kinesis"],
        "eventSourceARN": [None, 1, ["kn4ry"], {}, "", "kn4ry"],
        "attributes": [None, 1, ["kn4ry"], "kn4ry", {}, {"SentTimestamp": ["kn4ry"]}],
        "messageAttributes": [1, ["sluice_message_id"], "sluice_message_id"],
    }
    for part, values in junk.items():
        for value in values:
            with pytest.raises(NotAnSqsEvent, match=r"^event: [^k]"):
                ingest.invoke({"Records": [record(), record() | {part: value}]})


def test_migrate_takes_no_other_event(settings: str) -> None:
    for event in NO_OBJECTS[1:]:  # null is a call by hand, without a payload
        with pytest.raises(NotACustomResourceEvent, match=r"^event: must be an object$"):
            Environment("migrate").invoke(event)


def test_maintain_takes_no_other_event_than_migrate_and_that_of_its_schedule(functions: Functions) -> None:
    for event in NO_OBJECTS[1:]:
        with pytest.raises(NotACustomResourceEvent, match=r"^event: must be an object$"):
            functions._environment("maintain").invoke(event)
    odd = [{"ResourceProperties": properties} for properties in ("kn4ry", None, {"Stream": ["kn4ry"]})]
    for other in ({}, SCHEDULED, HELLO, *odd):
        assert functions._environment("maintain").invoke(other)["postponed"] == {}


def test_every_event_is_a_tick_of_the_breaker(settings: str, fake_aws: FakeAws) -> None:
    for event in [*NO_OBJECTS, {}, HELLO, SNS, {"detail": ["kn4ry"]}]:
        fake_aws.ssm.calls.clear()
        assert Environment("breaker").invoke(event) == {}
        assert fake_aws.ssm.calls != []


def test_each_function_is_in_these_tables() -> None:
    names = {path.name for path in (ROOT / "functions").iterdir()}
    assert names == {*OPERATORS, "ingest", "migrate", "maintain", "breaker"}
