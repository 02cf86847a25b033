"""The ledger, summed up by hour or day: what came in, and what became of it."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from sluice.deadline import Deadline
from sluice.ingest.ledger import first_id
from sluice.postgres.database import Database

MOST_PERIODS = 1000  # of an answer, whose size Lambda bounds
# What became of the records that were received.
OUTCOMES = ("written", "duplicates", "rejected", "rejected_again", "erased", "expired", "ignored")
COUNTS = ("received", *OUTCOMES, "removed")


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action", tag="ledger"):
    """Return the counts of a stream, or of a route's records of no stream, by hour or day in UTC, the oldest first."""

    stream: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    since: Annotated[datetime, msgspec.Meta(tz=True)]
    by: Literal["hour", "day"] = "day"


def run(database: Database, request: Request, deadline: Deadline) -> dict[str, Any]:
    """Return the periods that have batches, the newest MOST_PERIODS of them. Raises Outage."""
    sums = ", ".join(f"'{name}', sum({name})" for name in COUNTS)
    rows: Any = database.transact(
        lambda connection: connection.run(
            f"SELECT jsonb_build_object('begin', date_trunc(:by, at, 'UTC') AT TIME ZONE 'UTC', 'batches', count(*)"
            f" FILTER (WHERE received > 0), {sums}, 'declarations', count(DISTINCT declaration))"
            " FROM batch WHERE stream = :name AND id >= :first GROUP BY date_trunc(:by, at, 'UTC')"
            f" ORDER BY date_trunc(:by, at, 'UTC') DESC LIMIT {MOST_PERIODS}",
            name=request.stream,
            by=request.by,
            first=first_id(int(request.since.timestamp() * 1000)),
        ),
        deadline,
    )
    return {"periods": [period for (period,) in reversed(rows)]}
