"""Several records in a message: find the JSON of each record in what the envelope holds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec

from sluice.declaration.paths import pointer_of
from sluice.failures import OF_A_USERS_CODE, DeclarationError, Rejected, rejection_of

MOST = 10_000  # records of a message: of the smallest a MiB could hold a hundred thousand

# From what the envelope holds to the records: the JSON of each, or what that JSON stands for.
type Records = Callable[[str], Iterable[Any]]


@dataclass(frozen=True)
class Listed:
    """The records are the elements of a list in an object."""

    keys: tuple[str, ...]  # of the objects around the list, then of the list
    decode: Callable[[str], Any] = field(repr=False, compare=False)

    @property
    def pointer(self) -> str:
        """The list as a JSON pointer (RFC 6901)."""
        return "".join(map(pointer_of, self.keys))

    def __call__(self, held: str) -> list[str]:
        try:
            elements = self.decode(held)
            for _ in self.keys:
                (elements,) = msgspec.structs.astuple(elements)
        except msgspec.ValidationError:
            raise self._fault(held) from None  # the cause may quote the message
        except RecursionError:
            raise Rejected("nested_too_deeply") from None
        except ValueError:
            raise Rejected("not_json") from None
        return [bytes(element).decode() for element in elements]

    def _fault(self, held: str) -> Rejected:
        """Return what is wrong with the way to the list."""
        try:
            value, pointer = msgspec.json.decode(held), ""
        except RecursionError:
            return Rejected("nested_too_deeply")
        except ValueError:
            return Rejected("not_json")
        for key in self.keys:
            if not isinstance(value, dict):
                return _wrong(value, pointer) if pointer else Rejected("not_an_object")
            pointer += pointer_of(key)
            if key not in value:
                return Rejected("missing", pointer)
            value = value[key]
        return _wrong(value, pointer)


def listed(*keys: str) -> Listed:
    """Return the way to a list of records: `listed("Records")`, or `listed("data", "events")` for one in an object."""
    if not keys or not all(isinstance(key, str) for key in keys):
        raise DeclarationError('listed names the keys that lead to the list: listed("Records")')
    type_: Any = list[msgspec.Raw]
    try:
        for key in reversed(keys):
            type_ = msgspec.defstruct("Listed", [("inner", type_, msgspec.field(name=key))], frozen=True)
        return Listed(keys, msgspec.json.Decoder(type_).decode)
    except ValueError as error:  # such as a quote in it
        raise DeclarationError(f"listed cannot read a key: {error}") from None


def json_lines(held: str) -> list[str]:
    """Each line is a record; a blank one is none."""
    return [line for line in held.split("\n") if line.strip()]


def splitter(said: object) -> "Splitter | None":
    """Return what a stream's option `records` says. Raises DeclarationError."""
    if said is not None and (not callable(said) or said is listed):
        raise DeclarationError('records is listed("Records"), json_lines or a function of your own')
    return None if said is None else Splitter(said)


@dataclass(frozen=True)
class Splitter:
    """How the messages of a stream are taken apart."""

    records: Records

    @property
    def name(self) -> str:
        """What the declaration says."""
        if isinstance(self.records, Listed):
            return f"listed({', '.join(f'"{key}"' for key in self.records.keys)})"
        return str(getattr(self.records, "__name__", type(self.records).__name__))

    def pointer(self, index: int) -> str:
        """Return the place of a record in the message."""
        around = self.records.pointer if isinstance(self.records, Listed) else ""
        return f"{around}/{index}"

    def split(self, held: str | bytes) -> list[str]:
        """Return the JSON of each record. Raises Rejected when the message holds none, or too many."""
        try:
            text = held if isinstance(held, str) else held.decode()
        except UnicodeDecodeError:
            raise Rejected("not_json") from None
        try:
            found = self.records(text)
            if isinstance(found, str | bytes | Mapping):
                raise TypeError("no list of records")
            texts = [_text(record) for record in islice(found, MOST + 1)]  # what is endless, too
        except OF_A_USERS_CODE as error:
            raise rejection_of(error) from None  # the cause may quote the message
        if len(texts) > MOST:
            raise Rejected("too_many", self.pointer(0)[:-2])
        return texts


def _text(record: Any) -> str:
    if isinstance(record, str):
        return record
    return (record if isinstance(record, bytes) else msgspec.json.encode(record)).decode()


def _wrong(value: object, pointer: str) -> Rejected:
    return Rejected("null" if value is None else "wrong_type", pointer)
