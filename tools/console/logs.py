"""The logs of ingest and breaker: outages, and where a breaker changed its state. They hold no value of a record."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tools.console.site import Site

PHRASES = {  # of the lines that are looked for, by the function that logs them
    "ingest": ("outage", '"breaker opened"'),
    "breaker": ('"probe failed"', '"breaker half-open"', '"breaker closed"'),
}
MOST_LINES = 1000  # of a phrase


class Line(NamedTuple):
    """A line of a log."""

    at: datetime
    message: str
    stream: str
    why: str


def lines(site: Site, since: timedelta) -> list[Line]:
    """Return what is told of outages since then, the oldest first. Raises Unavailable."""
    first = int((time.time() - since.total_seconds()) * 1000)
    found = site.aws(lambda: [line for name in PHRASES for line in _lines(site, name, first)])
    return sorted(set(found))


def _lines(site: Site, function: str, first: int) -> Iterator[Line]:
    for phrase in PHRASES[function]:
        answer: Any = site.client("logs").filter_log_events(
            logGroupName=f"/sluice/{site.name}/{function}", filterPattern=phrase, startTime=first, limit=MOST_LINES
        )
        for event in answer["events"]:
            line = _line(event)
            if line and line.message in phrase:
                yield line


def _line(event: Any) -> Line | None:
    try:
        told = json.loads(event["message"])
        at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
        return Line(at, str(told["message"]), str(told["stream"]), str(told.get("why", "")))
    except (ValueError, LookupError, TypeError):
        return None  # a line of Lambda's own
