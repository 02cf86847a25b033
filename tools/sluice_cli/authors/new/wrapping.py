"""How samples hold their records: each is one, or a list in it is; and which of them are greetings."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from sluice.declaration.ignored import Members, matcher

LISTS = ("Records", "batch")  # what AWS and most producers call a list of records
GREETINGS: tuple[Members, ...] = (
    {"Event": "s3:TestEvent"},
    {"Type": "SubscriptionConfirmation"},
    {"Type": "UnsubscribeConfirmation"},
)


class Wrapping(NamedTuple):
    """The records of samples, and what their stream has to say to find them."""

    records: Sequence[str | bytes]
    key: str = ""  # of the list that holds them; nothing where each sample is a record
    ignore: Sequence[Members] = ()  # greetings that are among the samples, or will come
    beside: Sequence[str] = ()  # keys of what stands beside the list

    @property
    def doubt(self) -> str:
        """What a person has to look at; nothing where AWS says what it is."""
        return f"each element of {self.key} is a record, and becomes a row" if self.key not in ("", "Records") else ""

    def options(self) -> list[str]:
        """Return the options of the stream as a declaration has them."""
        listed = [f"records=listed({_literal(self.key)})"] if self.key else []
        members = "".join(f"{dict(one)}, " for one in self.ignore)
        return [*listed, *([f"ignore=({members.rstrip()})"] if members else [])]


def of(bodies: Sequence[str | bytes]) -> Wrapping:
    """Return how the bodies hold their records. What is no JSON object counts for nothing."""
    seen = [greeting for greeting in GREETINGS if any(map(matcher([greeting]), bodies))]
    is_greeting = matcher(GREETINGS)
    samples = [body for body in bodies if not is_greeting(body)]
    objects = [value for value in map(_decoded, samples) if isinstance(value, dict)]
    key = _key(objects)
    if not key:
        return Wrapping(samples, ignore=seen)
    if GREETINGS[0] not in seen and any(_is_of_s3(one) for value in objects for one in value[key]):
        seen.insert(0, GREETINGS[0])  # S3 sends it whenever a notification is set up
    records = [record for body in samples for record in _elements(body, key)]
    return Wrapping(records, key, seen, [*dict.fromkeys(one for value in objects for one in value if one != key)])


def _key(objects: Sequence[dict[str, Any]]) -> str:
    """Return the key of the list that holds the records, in all of the samples, or nothing."""
    for key in objects[0] if objects else ():
        is_named = key in LISTS or all(len(value) == 1 for value in objects)
        if is_named and all(_is_list_of_objects(value.get(key)) for value in objects):
            return key if any(value[key] for value in objects) else ""
    return ""


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _is_of_s3(record: dict[str, Any]) -> bool:
    return record.get("eventSource") == "aws:s3"


def _elements(body: str | bytes, key: str) -> list[bytes]:
    """Return the elements as they are, with all digits."""
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        return [bytes(one) for one in msgspec.json.decode(members[key], type=list[msgspec.Raw])]
    except (ValueError, RecursionError, KeyError):
        return []


def _decoded(body: str | bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None


def _literal(text: str) -> str:
    return repr(text) if text.isprintable() else ascii(text)
