"""SQS events as Lambda hands them to the function, and the rows that must come of them."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.ingest.batch import record_handler
from sluice.ingest.rows import MaskedRow
from sluice.pseudonyms.keyset import Keyset
from streams.user_logins import UserLogin

QUEUE_ARN = "arn:aws:sqs:eu-central-1:000000000000:logins"
SENT_AT_MILLISECONDS = 1_769_903_999_999  # 2026-01-31T23:59:59.999Z
KEY = "K" * 64
KEYSET = json.dumps({"current": 1, "1": KEY})


def login(**changes: object) -> dict[str, Any]:
    """Return a login as the app sends it."""
    return {
        "user_id": "424cdd21-063a-43a7-b91b-7ca1a833afae",
        "app_version": "2.3.0",
        "device_type": "android",
        "ip": "199.172.111.135",
        "locale": "RU",
        "device_id": "593-47-5928",
    } | changes


def record(body: object = None, message_id: str = "", **attributes: str) -> dict[str, Any]:
    """Return an SQS record: of a login by default, with its `body` as JSON, or as it is when it is a text."""
    return {
        "messageId": message_id or str(uuid4()),
        "receiptHandle": f"receipt-{uuid4()}",
        "body": body if isinstance(body, str) else json.dumps(login() if body is None else body),
        "attributes": {"SentTimestamp": str(SENT_AT_MILLISECONDS), "ApproximateReceiveCount": "1"},
        "messageAttributes": {name: {"dataType": "String", "stringValue": value} for name, value in attributes.items()},
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": "eu-central-1",
    }


def event(*records: dict[str, Any]) -> dict[str, Any]:
    return {"Records": list(records)}


def failures(*records: dict[str, Any]) -> dict[str, Any]:
    """Return the response that reports these records, and no others."""
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in records]}


def row(record: dict[str, Any], **changes: object) -> dict[str, Any]:
    """Return the whole row of a record whose `app_version` and time are the ones above."""
    body = json.loads(record["body"])
    return {
        "user_id": body["user_id"],
        "device_type": body["device_type"],
        "masked_ip": token("ip", body["ip"]),
        "masked_device_id": token("device_id", body["device_id"]),
        "locale": body.get("locale"),
        "app_version": 2_003_000,
        "create_date": "2026-01-31",
        "app_version_text": body["app_version"],
        "sent_at": "2026-01-31T23:59:59.999+00:00",
        "message_id": record["messageId"],
    } | changes


def numbered(number: int) -> str:
    """Return a message id; they sort as their numbers do."""
    return str(UUID(int=number))


def masked_rows(numbers: Iterable[int]) -> list[MaskedRow]:
    """Return the rows of logins with these message ids, as the store takes them."""
    handle = record_handler(UserLogin, Keyset.parse(KEYSET))
    return [handle(SQSRecord(record(message_id=numbered(number)))).rows[0] for number in numbers]


def token(domain: str, value: str) -> str:
    """Return the token that README promises, made with the standard library alone."""
    extracted = hmac.digest(bytes(32), KEY.encode(), "sha256")  # HKDF without salt (RFC 5869)
    expanded = hmac.digest(extracted, f"sluice/token/v1/{domain}".encode() + b"\1", "sha256")
    digest = hmac.digest(expanded, value.encode(), "sha256")
    return "t1_" + urlsafe_b64encode(digest).decode().rstrip("=")
