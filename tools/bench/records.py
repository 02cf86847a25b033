"""SQS events full of logins, by a seed; and what an ordinary program makes of one: plain hashes, no checks."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from tools.local.generator import messages

QUEUE_ARN = "arn:aws:sqs:eu-central-1:123456789012:login-queue"
FIRST_SENT_AT = 1_767_258_000_000  # milliseconds: 2026-01-01T09:00:00Z
COLUMNS = (
    *("message_id", "sent_at", "user_id", "device_type", "masked_ip", "masked_device_id"),
    *("app_version_text", "app_version", "locale"),
)


type Event = dict[str, Any]  # https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html


class Login(NamedTuple):
    """A row as an ordinary program makes it; in the order of COLUMNS."""

    message_id: str
    sent_at: str
    user_id: str
    device_type: str
    masked_ip: str
    masked_device_id: str
    app_version_text: str
    app_version: int
    locale: str | None


class Records:
    """An endless supply of logins; the same seed gives the same ones."""

    def __init__(self, seed: int = 20_260_101) -> None:
        self._random = random.Random(seed)

    def event(self, records: int) -> Event:
        """Return the event of a batch of new messages with new logins."""
        return {"Records": [self._record(number, body) for number, body in enumerate(self._bodies(records))]}

    def sent_again(self, event: Event) -> Event:
        """Return the event of a batch of new messages with the same logins."""
        return {"Records": [self._record(number, record["body"]) for number, record in enumerate(event["Records"])]}

    def redelivered(self, event: Event, share: float) -> Event:
        """Return an event that holds a share of the batch, picked at random."""
        records = event["Records"]
        return {"Records": self._random.sample(records, round(len(records) * share))}

    def spoilt(self, event: Event, records: int, device_type: str) -> Event:
        """Return the event of a batch of new messages, some of which, picked at random, have that device type."""
        spoilt = self.sent_again(event)
        for record in self._random.sample(spoilt["Records"], records):
            record["body"] = json.dumps(json.loads(record["body"]) | {"device_type": device_type})
        return spoilt

    def on_other_devices(self, event: Event) -> Event:
        """Return the event of a batch of new messages with the same logins, each device another one."""
        others: dict[str, str] = {}
        again = self.sent_again(event)
        for record in again["Records"]:
            login = json.loads(record["body"])
            login["device_id"] = others.setdefault(login["device_id"], self._uuid())
            record["body"] = json.dumps(login)
        return again

    def _record(self, number: int, body: str) -> dict[str, Any]:
        return {
            "messageId": self._uuid(),
            "receiptHandle": "AQEB" + "x" * 300,
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": str(FIRST_SENT_AT + number),
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": str(FIRST_SENT_AT + number + 5),
            },
            "messageAttributes": {},
            "md5OfBody": "4b865e6c7cb379e966648be03e1d7933",
            "eventSource": "aws:sqs",
            "eventSourceARN": QUEUE_ARN,
            "awsRegion": "eu-central-1",
        }

    def _bodies(self, count: int) -> list[str]:
        some = messages(count * 11 // 10 + 1, seed=self._random.getrandbits(32))  # a few of them are junk
        return [message.body for message in some if message.valid][:count]

    def _uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


def ordinary_row(message_id: str, sent_timestamp: str, body: str) -> Login:
    """Return the row of a login, its personal data hashed without a key."""
    login = json.loads(body)
    major, minor, patch = [*map(int, login["app_version"].split(".")), 0, 0][:3]
    return Login(
        message_id=message_id,
        sent_at=_iso(int(sent_timestamp)),
        user_id=login["user_id"],
        device_type=login["device_type"],
        masked_ip=sha256(login["ip"].encode()).hexdigest(),
        masked_device_id=sha256(login["device_id"].encode()).hexdigest(),
        app_version_text=login["app_version"],
        app_version=major * 1_000_000 + minor * 1_000 + patch,
        locale=login["locale"],
    )


def ordinary_rows(event: Event) -> Iterator[Login]:
    """Yield the ordinary rows of an event."""
    for record in event["Records"]:
        yield ordinary_row(record["messageId"], record["attributes"]["SentTimestamp"], record["body"])


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
