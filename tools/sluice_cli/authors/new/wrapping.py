"""How samples hold their records: each is one, or a list in it is; what is around them; and which are greetings."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from sluice.declaration.ignored import Members, matcher
from tools.sluice_cli.authors.new import samples
from tools.sluice_cli.authors.new.names import literal

LISTS = ("Records", "batch")  # what AWS and most producers call a list of records
AROUND = {"sns": ("Subject",), "eventbridge": ("detail-type", "source")}  # what AWS puts there and no column has
GREETINGS: tuple[Members, ...] = (
    {"Event": "s3:TestEvent"},
    {"Type": "SubscriptionConfirmation"},
    {"Type": "UnsubscribeConfirmation"},
)


class Opened(NamedTuple):
    """A message's body, and what its envelope holds. Without an envelope that is the body."""

    body: str | bytes
    held: str | bytes


class Wrapping(NamedTuple):
    """The records of samples, and what their stream has to say to find them. It holds clear values."""

    records: Sequence[str | bytes]
    key: str = ""  # of the list that holds them; nothing where each sample is a record
    ignore: Sequence[Members] = ()  # greetings that are among the samples, or will come
    around: Sequence[dict[str, Any]] = ()  # of each sample, what a Part can read FROM_ENVELOPE
    beyond_reach: Sequence[str] = ()  # keys of what stands beside the list, but inside of an envelope

    @property
    def doubt(self) -> str:
        """What a person has to look at; nothing where AWS says what it is."""
        return f"each element of {self.key} is a record, and becomes a row" if self.key not in ("", "Records") else ""

    def options(self) -> list[str]:
        """Return the options of the stream as a declaration has them."""
        listed = [f"records=listed({literal(self.key)})"] if self.key else []
        members = "".join(f"{dict(one)}, " for one in self.ignore)
        return [*listed, *([f"ignore=({members.rstrip()})"] if members else [])]


def of(messages: Sequence[Opened], envelope: str = "plain") -> Wrapping:
    """Return how messages hold their records. What is no JSON object counts for nothing."""
    seen = [
        greeting for greeting in GREETINGS if any(map(matcher([greeting]), (text for one in messages for text in one)))
    ]
    is_greeting = matcher(GREETINGS)
    messages = [one for one in messages if not any(map(is_greeting, one))]
    objects = [value for value in (_decoded(one.held) for one in messages) if isinstance(value, dict)]
    key = _key(objects)
    around = _around(messages, envelope, key)
    if not key:
        return Wrapping([one.held for one in messages], ignore=seen, around=around)
    if GREETINGS[0] not in seen and any(_is_of_s3(one) for value in objects for one in value[key]):
        seen.insert(0, GREETINGS[0])  # S3 sends it whenever a notification is set up
    records = [record for one in messages for record in _elements(one.held, key)]
    beside = dict.fromkeys(one for value in objects for one in value if one != key)
    return Wrapping(records, key, seen, around, [*beside] if envelope in AROUND else [])


def _around(messages: Sequence[Opened], envelope: str, key: str) -> list[dict[str, Any]]:
    """Return what is around the records: what their envelope has of its own, or what stands beside their list."""
    if envelope not in AROUND and not key:
        return []
    objects = [_decoded(one.body) for one in messages if isinstance(_decoded(one.held), dict)]
    wanted = AROUND.get(envelope)
    return [
        {name: value for name, value in one.items() if (name in wanted if wanted else name != key)}
        for one in objects
        if isinstance(one, dict)
    ]


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
        return samples.DECODER.decode(body)
    except (ValueError, RecursionError):
        return None
