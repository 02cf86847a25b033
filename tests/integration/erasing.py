"""Calls of the forget function, and a stream that has tokens in every place where there can be some."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest

from sluice.declaration.masks import Keep, Pseudonym
from sluice.declaration.rules import Each, Email, IpAddress, Text, Uuid
from sluice.declaration.scrub import Find, Scrub
from sluice.declaration.stream import Part, Stream
from sluice.declaration.tree import Tree
from sluice.migrate import rights
from tests.integration.databases import LOGINS, TestDatabase
from tests.integration.environment import Environment

CALLER = "arn:aws:sts::000000000000:assumed-role/privacy/ann"
WHY = {"reason": "data_subject_request", "ticket": "PRIV-1"}


MENTIONS = Scrub(
    Find(Email(), Pseudonym(domain="email", recoverable=True)), Find(IpAddress(), Pseudonym("addresses", domain="ip"))
)


SEEN = Tree(
    {
        "/seen/*/email": (Email(), Pseudonym(recoverable=True)),
        "/**/ip": (IpAddress(), Pseudonym("seen_addresses", domain="ip")),
        "/devices": (Each(Text(max=32)), Pseudonym(domain="device_id", recoverable=True)),
        "/words": (Text(max=200), Scrub(Find(Email(), Pseudonym(domain="email", recoverable=True)))),
        "/digits": Keep(),
    }
)


class Guest(Part):
    """Who came along."""

    email: Annotated[str, Email(), Pseudonym(recoverable=True)]
    words: Annotated[str | None, Text(max=200), MENTIONS] = None
    details: Annotated[dict[str, Any] | None, SEEN] = None


class Trip(Part):
    """With whom."""

    guests: list[Guest]


class Visit(Stream, table="visits", subject="visitor"):
    """A visit: kept in the clear is who came, a UUID or nobody; all others are tokens in arrays, JSON and texts."""

    visitor: Annotated[str | None, Uuid()] = None
    devices: Annotated[list[str], Each(Text(max=32)), Pseudonym(domain="device_id", recoverable=True)]
    trips: list[Trip]
    codes: Annotated[list[list[str]], Each(Each(Text(max=32)), json=True), Pseudonym(domain="code")] = []  # noqa: RUF012
    note: Annotated[str | None, Text(max=200), MENTIONS] = None
    details: Annotated[dict[str, Any] | None, SEEN] = None


VISITS = """
CREATE TABLE visits (
    visitor uuid, devices varchar(256)[] NOT NULL, trips jsonb NOT NULL, codes jsonb NOT NULL,
    note text, note_email text[], addresses text[],
    details jsonb, details_email text[], seen_addresses text[], details_device_id text[],
    sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY
)
"""


def make_visits(database: TestDatabase) -> None:
    """Deploy the stream of visits."""
    database.sql(VISITS)
    rights.grant(database.owner, Visit, LOGINS)


@dataclass
class Forgetting:
    """An execution environment of the forget function, as its callers see it."""

    environment: Environment

    def call(self, request: object, caller: str = CALLER, remaining_seconds: float = 30) -> tuple[int, dict[str, Any]]:
        """Return the status and the body."""
        authorizer = {"iam": {"userArn": caller}} if caller else {}
        body = request if isinstance(request, str) else json.dumps(request)
        event = {"requestContext": {"authorizer": authorizer}, "body": body, "isBase64Encoded": False}
        response = self.environment.invoke(event, remaining_seconds)
        return response["statusCode"], json.loads(response["body"])

    def forget(self, subject: str, **changes: object) -> dict[str, Any]:
        return self._done({"action": "forget", "subject": subject, **WHY, **changes})

    def sweep(self, **changes: object) -> dict[str, Any]:
        return self._done({"action": "sweep", **WHY, **changes})

    def repeat(self, erasures: Sequence[dict[str, Any]], **changes: object) -> dict[str, Any]:
        return self._done({"action": "repeat", "erasures": erasures, **WHY, **changes})

    def _done(self, request: dict[str, object]) -> dict[str, Any]:
        status, answer = self.call(request)
        assert status == 200, answer
        return answer

    def close(self) -> None:
        self.environment._app._database().close()


def forget_function(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetting]:
    """Have the forget function where the settings are those of ingest; they differ in whose login is used."""
    environment = Environment("forget")
    monkeypatch.setenv("DATABASE_SECRET_ID", "forget")
    environment._app._settings()  # remembers it
    monkeypatch.setenv("DATABASE_SECRET_ID", "ingest")
    forgetting = Forgetting(environment)
    yield forgetting
    forgetting.close()


@dataclass
class Log:
    """What the functions have logged since it was last read."""

    stream: io.StringIO = field(default_factory=io.StringIO)

    def read(self) -> str:
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return text

    def erasures(self) -> list[dict[str, Any]]:
        """Return the erasures that were logged, as they are repeated."""
        lines = [json.loads(line) for line in self.read().splitlines()]
        names = ("subject_token", "erased_at", "values")
        return [{name: line[name] for name in names} for line in lines if line["message"] == "erased"]


def audited(database: TestDatabase) -> list[list[Any]]:
    """Return what the audit log has of each action, but ids, times and hashes."""
    return database.sql(
        "SELECT actor, action, reason, ticket, subject_token, tokens, counts FROM audit_log ORDER BY id"
    )


def sealed_tokens(database: TestDatabase) -> set[str]:
    return {token for (token,) in database.sql("SELECT token FROM pii_vault")}
