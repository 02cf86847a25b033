"""What SSM remembers of a stream's breaker: the record of a trip, and a person's pause."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

QUIET = timedelta(hours=1)  # without an outage: a half-open breaker closes, and the next trip counts as the first

type Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker that is open or half-open: what the stream's parameter holds, as JSON. Without one it is closed."""

    state: Literal["open", "half_open"] = "open"
    stream: str
    mapping: str  # UUID of the event source mapping
    function: str
    why: str  # the outage's text, which holds no value
    tripped_at: Moment
    trips: int = 1  # in a row
    probe_at: Moment  # no probe before that
    half_open_at: Moment | None = None


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A person's own switch: the mapping stays disabled until somebody takes this away."""

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
    """Return the record that a parameter holds, or None if there is none, or none that can be read."""
    try:
        return msgspec.convert(_renamed(msgspec.json.decode(text, type=dict[str, Any])), Record) if text else None
    except (msgspec.DecodeError, UnicodeError):
        return None


def encode(state: Record | Pause) -> str:
    return msgspec.json.encode(state).decode()


def _renamed(members: dict[str, Any]) -> dict[str, Any]:
    """Return a record's members by today's names: an update may meet "reopened", of the first release."""
    renamed = {"half_open_at" if name == "reopened_at" else name: value for name, value in members.items()}
    return renamed | {"state": "half_open"} if renamed.get("state") == "reopened" else renamed
