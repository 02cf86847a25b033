"""Calls of a function's URL: who calls and what is asked for, and an answer that no cache keeps.

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
"""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Annotated, Any

import msgspec

from sluice.failures import Outage
from sluice.operators.audit.audit_log import LimitReached
from sluice.pseudonyms.keyset import TOKEN
from sluice.settings import SettingError
from sluice.telemetry import logger

UNVERIFIED = "unverified"  # the caller where none is known, on one's own machine

TICKET = re.compile("[A-Z][A-Z0-9]{0,9}-[0-9]{1,10}")  # an identifier: no free text, which could hold a name
MESSAGE_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

# What a caller is told in the place of a pattern.
FORMS = {
    TICKET: "the id of a ticket, such as PRIV-123",
    MESSAGE_ID: "the id of a message, a UUID in small letters",
    TOKEN: "a token: t, the number of its key, _ and 43 characters (letters, digits, _ and -)",
}

type Ticket = Annotated[str, msgspec.Meta(pattern=rf"\A{TICKET.pattern}\Z")]
type Token = Annotated[str, msgspec.Meta(pattern=rf"\A{TOKEN.pattern}\Z")]


class Refused(Exception):
    """The call is at fault: `code` is one of a fixed set of words, `detail` names field and rule, never a value."""

    def __init__(self, status: int, code: str, detail: str = "") -> None:
        super().__init__(detail or code)
        self.status = status
        self.code = code
        self.detail = detail


def answer[T: msgspec.Struct](
    event: object,
    request_type: type[T] | UnionType,
    allow_unverified: bool,
    work: Callable[[str, T], Mapping[str, Any]],
) -> dict[str, Any]:
    """Answer a call: give `work` the caller and the request, and return what it returns, as Lambda wants it for a URL.

    Whatever goes wrong becomes a status and `{"error": code, "detail": …}` without a value of the request.
    """
    try:
        return _response(200, work(caller(event, allow_unverified), _request(event, request_type)))
    except Refused as refused:
        logger.warning("call refused", extra={"code": refused.code, "detail": refused.detail})
        return _error(refused.status, refused.code, refused.detail)
    except LimitReached:
        logger.warning("call refused", extra={"code": "daily_limit"})
        return _error(429, "daily_limit", "the caller has asked for as many values today as one may")
    except (Outage, SettingError) as outage:
        logger.error("call failed", extra={"detail": str(outage)})
        return _error(503, "outage", str(outage))
    except Exception as error:  # noqa: BLE001 (its text may hold what was asked for, or what was found)
        logger.error("call failed", extra={"detail": type(error).__name__})
        return _error(500, "internal_error", type(error).__name__)


def caller(event: object, allow_unverified: bool) -> str:
    """Return the ARN of who calls, as Lambda verified it for a URL with AWS_IAM. Raises Refused when there is none.

    A caller who may invoke the function without its URL can claim any ARN: the policies must not allow that.
    """
    arn = event
    for name in ("requestContext", "authorizer", "iam", "userArn"):
        arn = arn.get(name) if isinstance(arn, Mapping) else None
    if isinstance(arn, str) and arn and arn.isascii() and arn.isprintable():
        return arn[:256]
    if allow_unverified:
        return UNVERIFIED
    raise Refused(403, "unverified_caller", "call the function's URL, with a signature")


def _request(event: object, request_type: type | UnionType) -> Any:
    if not isinstance(event, Mapping):
        raise Refused(400, "bad_request", "the event must be a call of the function's URL")
    body = event.get("body")
    if not isinstance(body, str):
        raise Refused(400, "bad_request", "the body must be JSON")
    try:
        raw = b64decode(body, validate=True) if event.get("isBase64Encoded") is True else body.encode()
        return msgspec.json.decode(raw, type=request_type)
    except msgspec.ValidationError as error:
        raise Refused(400, "bad_request", _rule(str(error))) from None
    except (ValueError, RecursionError):
        raise Refused(400, "bad_request", "the body must be JSON") from None  # the cause may quote it


def _rule(message: str) -> str:
    """Return what msgspec says of a request without what it may quote of it."""
    if message.startswith("Object contains unknown field"):
        return "Object contains unknown field"  # and no place: what looks like one may be a part of the key
    for rule in ("Invalid enum value", "Invalid value"):
        if message.startswith(rule):
            return f"{rule} - at {message.rpartition(' - at ')[2]}"
    for pattern, form in FORMS.items():
        if message.startswith("Expected `str` matching regex") and pattern.pattern in message:
            return f"Expected {form} - at {message.rpartition(' - at ')[2]}"
    return message


def _response(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
        "body": json.dumps(body),
    }


def _error(status: int, code: str, detail: str) -> dict[str, Any]:
    return _response(status, {"error": code, "detail": detail})
