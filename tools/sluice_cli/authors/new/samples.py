"""Collects what samples have at each place of a record."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import msgspec

from sluice.declaration.paths import pointer_of
from tools.sluice_cli.authors import detection

MAPS = frozenset(  # the last words of their keys, often
    "attribute dimension extra header label metadata parameter property tag trait variable".split()
)
MANY_KEYS = 24  # more are a map, where most of them are missing from most objects
TAGS = frozenset(("type", "kind", "name", "key", "object", "event"))  # keys that often say what an object is
MOST_TAGS = 8
LONGEST_KEY = 64  # characters; what is longer is seldom a name
LEAST_OBJECTS = 3  # to tell a key that all of them have from one that they have by chance
NEARLY_ALL = 0.9  # of the objects
MOST_DIGITS = 5  # of a key that is no number of somebody, and no date
DEEPEST = 20  # keys from the record inwards

DECODER = msgspec.json.Decoder(float_hook=Decimal)  # with all digits

type Scalar = str | int | Decimal | bool


@dataclass
class Place:
    """What samples have at one place of a record. It holds clear values."""

    path: tuple[str, ...] = ()  # keys, `*` standing for each element of a list
    seen: int = 0  # times that something was there, null too
    nulls: int = 0
    scalars: list[Scalar] = field(default_factory=list, repr=False)
    objects: int = 0
    members: dict[str, "Place"] = field(default_factory=dict, repr=False)
    lengths: list[int] = field(default_factory=list)  # of the lists
    elements: "Place | None" = None
    tagged: dict[str, dict[str, list[Any]]] = field(default_factory=dict, repr=False)  # objects, by key and its value

    @property
    def pointer(self) -> str:
        """The place as a JSON pointer (RFC 6901)."""
        return "".join(map(pointer_of, self.path))

    @property
    def keys(self) -> list[str]:
        """The keys of the path, without the elements of lists."""
        return [key for key in self.path if key != "*"]

    @property
    def present(self) -> list[Scalar]:
        """The scalars, except blank texts: those mean nothing."""
        return [value for value in self.scalars if not isinstance(value, str) or value.strip()]

    @property
    def kinds(self) -> int:
        """How many of scalars, objects and lists there are."""
        return bool(self.scalars) + bool(self.objects) + bool(self.lengths)

    def add(self, value: Any) -> None:
        self.seen += 1
        if value is None:
            self.nulls += 1
        elif isinstance(value, dict):
            self.objects += 1
            self._add_tags(value)
            for key, member in value.items():
                self.members.setdefault(key, Place((*self.path, key))).add(member)
        elif isinstance(value, list):
            self.lengths.append(len(value))
            self.elements = self.elements or Place((*self.path, "*"))
            for element in value:
                self.elements.add(element)
        else:
            self.scalars.append(value)

    def _add_tags(self, value: dict[str, Any]) -> None:
        for key in TAGS & value.keys():
            by_value, tag = self.tagged.setdefault(key, {}), value[key]
            if isinstance(tag, str) and (tag in by_value or len(by_value) < MOST_TAGS):
                by_value.setdefault(tag, []).append(value)

    def only(self, keys: Collection[str]) -> "Place":
        """Return the place of the same objects with no other keys."""
        return replace(self, members={key: member for key, member in self.members.items() if key in keys})

    def is_data(self, key: str) -> bool:
        """Tell whether a key of its objects is data rather than a name: it looks so, and few of them have it.

        Once nearly all objects have a key with a blank, others that came more than once may have blanks, too.
        """
        if not looks_like_data(key):
            return False
        if is_unnameable(key) or may_be_personal(key):
            return True
        return not self.is_common(key) and not (" " in key and self.members[key].seen > 1 and self._has_blanks)

    @property
    def _has_blanks(self) -> bool:
        return any(" " in key and self.is_common(key) and not may_be_personal(key) for key in self.members)

    def is_common(self, key: str) -> bool:
        """Tell whether nearly all of its objects have a key, as they have one that is a name."""
        return self.objects >= LEAST_OBJECTS and self.members[key].seen >= NEARLY_ALL * self.objects

    def is_map(self) -> bool:
        """Tell whether the keys of its objects are data rather than names: most differ from sample to sample."""
        keys, named = len(self.members), sum(member.seen for member in self.members.values())
        if 2 * sum(map(self.is_data, self.members)) > keys:
            return True
        if not self.path:
            return False
        varies = named < keys * self.objects
        if varies and keys > 1 and MAPS & {*detection.words(self.path[-1])[-1:]}:
            return True
        if keys > MANY_KEYS and 2 * named <= keys * self.objects:
            return True
        return self.objects >= 4 and keys >= 4 and 3 * named <= keys * self.objects


def records_of(bodies: Iterable[str | bytes]) -> Place:
    """Return what the samples have. What is no JSON object is not counted."""
    root = Place()
    for body in bodies:
        try:
            record = DECODER.decode(body)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            with suppress(RecursionError):  # what is nested so deeply is not declared
                root.add(record)
    return root


def is_unnameable(key: str) -> bool:
    """Tell whether a key has a character that msgspec takes in no name."""
    return any(character in '"\\' or character < " " for character in key)


def may_be_personal(key: str) -> bool:
    """Tell whether a key may be an address or a number of somebody, as its form says."""
    is_form = detection.detect(key) in detection.PERSONAL or "@" in key
    return is_form or sum(map(str.isdigit, key)) > MOST_DIGITS


def looks_like_data(key: str) -> bool:
    """Tell whether a key looks like a value, not like a name: an id, an address, a number, a text."""
    return (
        len(key) > LONGEST_KEY
        or is_unnameable(key)
        or not any(map(str.isalpha, key))
        or "@" in key
        or " " in key.strip()
        or detection.detect(key) is not None
        or (len(key) >= 16 and any(map(str.isdigit, key)) and all(one in "0123456789abcdefABCDEF-" for one in key))
    )
