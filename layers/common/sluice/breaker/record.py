"""What SSM remembers of a stream's breaker: the record of a trip, and a person's pause."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

QUIET = timedelta(hours=1)  # after it a trip has nothing to do with the one before

type Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A trip: what the stream's parameter holds, as JSON."""

    state: Literal["open", "reopened"] = "open"
    stream: str
    mapping: str  # UUID of the event source mapping
    function: str
    why: str  # the outage's text, which holds no value
    tripped_at: Moment
    trips: int = 1  # in a row
    probe_at: Moment  # not before that
    reopened_at: Moment | None = None


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A person's own switch: the mapping stays disabled until the same person, or another one, takes this away."""

    stream: str
    mapping: str
    paused_at: Moment


def path(stack: str) -> str:
    """Return the path of a stack's parameters."""
    return f"/sluice/{stack}"


def parameter(stack: str, kind: Literal["breaker", "pause"], stream: str) -> str:
    """Return the name of the parameter that holds a stream's record or pause."""
    return f"{path(stack)}/{kind}/{stream}"


def decode(text: str | None) -> Record | None:
    """Return the record that a parameter holds, or None where there is none, or none that can be read."""
    try:
        return msgspec.json.decode(text, type=Record) if text else None
    except (msgspec.DecodeError, UnicodeError):
        return None


def encode(state: Record | Pause) -> str:
    return msgspec.json.encode(state).decode()
