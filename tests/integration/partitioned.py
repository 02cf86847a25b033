"""A stream whose table has partitions by month, for the tests of them; rows are kept for 400 days."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluice.postgres.database import Database
from tests.integration.databases import TestDatabase, in_seconds
from tests.integration.environment import Environment
from tests.integration.messages import record

NAME = "calls"
DECLARATION = """
from typing import Annotated
from sluice import IpAddress, Pseudonym, Stream, Text

class Call(
    Stream, table="calls", subject="person", mentions="callee", batch="batch_id", partition="month", keep_for="400 days"
):
    person: Annotated[str, Text(max=64), Pseudonym("person", domain="subject")]
    callee: Annotated[str | None, Text(max=64), Pseudonym("callee", domain="subject")] = None
    ip: Annotated[str, IpAddress(), Pseudonym("masked_ip", recoverable=True)]
"""
COLUMNS = """
    person varchar(256) NOT NULL, callee varchar(256), masked_ip varchar(256) NOT NULL, batch_id bigint,
    sent_at timestamptz NOT NULL
"""
PLAIN = f"CREATE TABLE calls ({COLUMNS}, message_id uuid PRIMARY KEY); CREATE INDEX ON calls (person)"
BY_TIME = (
    f"CREATE TABLE calls ({COLUMNS}, message_id uuid, PRIMARY KEY (message_id, sent_at)) PARTITION BY RANGE (sent_at);"
    " CREATE INDEX ON calls (person)"
)
NOW = datetime.now(UTC)


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def call(message_id: str = "", sent_at: datetime = NOW, **changes: object) -> dict[str, Any]:
    """Return the SQS record of a call, which SQS got when it was sent."""
    made = record({"person": "ada", "ip": "192.0.2.1"} | changes, message_id)
    made["attributes"]["SentTimestamp"] = str(milliseconds(sent_at))
    return made


def make_partition(database: TestDatabase, days: float) -> None:
    """Make the partitions of the month that was so many days ago, as if maintenance had made them then."""
    begin = days_ago(days).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (begin + timedelta(days=31)).replace(day=1)
    database.sql("SELECT make_vault_partition(:name, CAST(:begin AS date), CAST(:end AS date))", **_of(begin, end))
    database.sql("SELECT make_partition(:name, :begin, :end)", **_of(begin, end))


def _of(begin: datetime, end: datetime) -> dict[str, Any]:
    return {"name": NAME, "begin": begin, "end": end}


def partitions(database: TestDatabase, of: str = "calls", stream: str = "") -> list[str]:
    """Return the partitions as `from–to`, of the vault those of a stream."""
    return [
        f"{lower}–{upper}"
        for lower, upper in database.sql(
            "SELECT coalesce(to_char(lower, 'YYYY-MM-DD'), ''), coalesce(to_char(upper, 'YYYY-MM-DD'), '')"
            " FROM partitions_of(CAST(:of AS regclass), :name) ORDER BY lower NULLS FIRST",
            of=of,
            name=stream,
        )
    ]


def months(first: datetime, last: datetime) -> list[str]:
    """Return the months from the first one to the last one, as `partitions` has them."""
    found = []
    begin = first.replace(day=1)
    while begin <= last:
        end = (begin + timedelta(days=31)).replace(day=1)
        found.append(f"{begin:%Y-%m-%d}–{end:%Y-%m-%d}")
        begin = end
    return found


class Maintaining:
    """The maintain function, in an environment of its own each time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def run(self, event: dict[str, Any] | None = None, seconds: float = 60) -> dict[str, Any]:
        with self._monkeypatch.context() as patch:
            patch.setenv("DATABASE_SECRET_ID", "maintain")
            environment = Environment("maintain")
            try:
                done: dict[str, Any] = environment.invoke(event or {}, seconds)
            finally:
                environment._app._database().close()
        return json.loads(json.dumps(done))  # type: ignore[no-any-return]  # what Lambda can answer


def as_maintainer(database: TestDatabase, work: Callable[[Any], Any]) -> Any:
    """Do something as the maintain role."""
    connection = Database(database.settings("maintain"), "sluice-test")
    try:
        return connection.transact(work, in_seconds(30))
    finally:
        connection.close()
