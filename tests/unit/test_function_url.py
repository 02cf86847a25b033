"""A call of a function's URL is answered with a status, whatever goes wrong, and never with a value of the request."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sluice.failures import Outage
from sluice.operators.audit.audit_log import LimitReached
from sluice.operators.call import Refused, Ticket, Token, answer
from sluice.operators.dead_letters.requests import Id
from sluice.settings import SettingError
from tests.unit.fakes import IP_TOKEN, load_event

CALLER = "arn:aws:sts::123456789012:assumed-role/privacy-team/ada"


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """What the calls of these tests ask for."""

    ticket: Ticket
    token: Token | None = None
    id: Id | None = None


def call(body: object, **changes: object) -> dict[str, Any]:
    """Return the event of a call by CALLER."""
    context = {"requestContext": {"authorizer": {"iam": {"userArn": CALLER}}}}
    return context | {"body": body if isinstance(body, str) else json.dumps(body), "isBase64Encoded": False} | changes


def answered(event: dict[str, Any], allow_unverified: bool = False) -> tuple[int, Any]:
    """Return status and body of the answer: caller and ticket."""
    response = answer(event, Request, allow_unverified, lambda actor, request: {"by": actor, "for": request.ticket})
    assert response["headers"] == {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return response["statusCode"], json.loads(response["body"])


def test_the_caller_is_whom_lambda_verified() -> None:
    assert answered(call({"ticket": "A-1"})) == (200, {"by": CALLER, "for": "A-1"})


def test_the_caller_in_the_events_is_found() -> None:
    event = load_event("reveal_tokens") | {"body": '{"ticket": "A-1"}'}
    assert answered(event) == (200, {"by": CALLER, "for": "A-1"})


def test_a_body_may_come_as_base64() -> None:
    event = call(b64encode(b'{"ticket": "A-1"}').decode(), isBase64Encoded=True)
    assert answered(event)[0] == 200


@pytest.mark.parametrize(
    "context",
    [None, {}, {"authorizer": None}, {"authorizer": {"iam": None}}, {"authorizer": {"iam": {"userArn": ""}}}],
)
def test_without_a_verified_caller_the_call_is_refused_unless_that_is_allowed(context: object) -> None:
    event = call({"ticket": "A-1"}, requestContext=context)
    refused = {"error": "unverified_caller", "detail": "call the function's URL, with a signature"}
    assert answered(event) == (403, refused)
    assert answered(event, allow_unverified=True) == (200, {"by": "unverified", "for": "A-1"})


def test_whoever_is_not_verified_learns_nothing_of_the_request() -> None:
    assert answered(call("no JSON", requestContext={}))[0] == 403


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("", "the body must be JSON"),
        ("kn4ry", "the body must be JSON"),
        ("\ud800", "the body must be JSON"),
        ([], "Expected `object`, got `array`"),
        ({}, "Object missing required field `ticket`"),
        ({"ticket": 1}, "Expected `str`, got `int` - at `$.ticket`"),
        ({"ticket": "kn4ry"}, "Expected the id of a ticket, such as PRIV-123 - at `$.ticket`"),
        ({"ticket": "A-1\n"}, "at `$.ticket`"),
        ({"ticket": "A-1 kn4ry"}, "at `$.ticket`"),
        (
            {"ticket": "A-1", "token": "kn4ry"},
            "Expected a token: t, the number of its key, _ and 43 characters (letters, digits, _ and -) - at `$.token`",
        ),
        (
            {"ticket": "A-1", "id": "kn4ry"},
            "Expected the id of a message, a UUID in small letters - at `$.id`",
        ),
        ({"ticket": "A-1", "token": IP_TOKEN + "\n"}, "at `$.token`"),
        ({"ticket": "A-1", "kn4ry": 1}, "Object contains unknown field"),
    ],
)
def test_a_bad_request_is_told_by_place_and_rule(body: object, detail: str, output: Callable[[], str]) -> None:
    status, told = answered(call(body))
    assert (status, told["error"]) == (400, "bad_request")
    assert told["detail"].endswith(detail)
    assert "kn4ry" not in str(told) + output()


def test_base64_that_is_none_is_a_bad_request() -> None:
    assert answered(call("=", isBase64Encoded=True)) == (
        400,
        {"error": "bad_request", "detail": "the body must be JSON"},
    )


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (Refused(409, "busy", "wait"), 409, {"error": "busy", "detail": "wait"}),
        (Outage("kms: ThrottlingException"), 503, {"error": "outage", "detail": "kms: ThrottlingException"}),
        (SettingError("X: must be set"), 503, {"error": "outage", "detail": "X: must be set"}),
        (KeyError("kn4ry"), 500, {"error": "internal_error", "detail": "KeyError"}),
        (
            LimitReached(),
            429,
            {"error": "daily_limit", "detail": "the caller has asked for as many values today as one may"},
        ),
    ],
)
def test_every_failure_has_a_status_and_no_text_that_may_hold_a_value(
    error: Exception, status: int, told: object, output: Callable[[], str]
) -> None:
    def work(actor: str, request: Request) -> dict[str, Any]:
        raise error

    response = answer(call({"ticket": "A-1"}), Request, False, work)
    assert (response["statusCode"], json.loads(response["body"])) == (status, told)
    assert "kn4ry" not in output()
