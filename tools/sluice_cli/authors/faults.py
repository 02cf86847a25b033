"""All that is wrong with a record: each member is decoded and masked on its own, so that one fault hides no other."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from sluice.declaration import diagnosis, masking, wire
from sluice.declaration.envelopes import Envelope
from sluice.declaration.layout import Field, Layout, Nested
from sluice.declaration.originals import Notes
from sluice.declaration.stream import Stream
from sluice.failures import OF_A_USERS_CODE, Rejected, Unforeseen, rejection_of
from sluice.pseudonyms.keyset import Keyset

type Members = Mapping[str, msgspec.Raw]


def of(
    stream: type[Stream], body: str, keyset: Keyset, first: Rejected, envelope: Envelope | None = None
) -> list[Rejected]:
    """Return the faults of a body that was rejected, of each field its first one; `first` is what ingest tells.

    The body is in the stream's envelope, unless another one is given.
    """
    if stream.splitter and envelope is None:
        return [first]  # a message that is rejected as a whole
    try:
        record = msgspec.json.decode((envelope or stream.unwrap)(body), type=dict[str, msgspec.Raw])
        found = list(_of_object(stream.layout, record, keyset, in_json=False))
    except (ValueError, RecursionError, Rejected):
        return [first]
    is_told = any((fault.reason, fault.pointer) == (first.reason, first.pointer) for fault in found)
    return found if is_told else [first, *found]


def cause(rejected: Rejected) -> BaseException | None:
    """Return the exception of a user's own code behind an internal error. Its text may quote the record."""
    error: BaseException | None = rejected if isinstance(rejected, Unforeseen) else None
    while isinstance(error, Rejected):
        error = error.__context__  # `from None` hides it from the traceback alone
    return error


def _of_object(layout: Layout, record: Members, keyset: Keyset, in_json: bool) -> Iterator[Rejected]:
    for field in layout.fields:
        if fault := _of_member(layout, field, record, keyset, in_json):
            yield fault
    for nested in [one for one in layout.nested if not one.source]:
        inner = list(_of_nested(nested, record[nested.key], keyset, in_json)) if nested.key in record else []
        fault = None if inner else _of_member(layout, nested, record, keyset, in_json)
        yield from (_at(one, nested.pointer) for one in inner)
        if fault:
            yield fault


def _of_nested(nested: Nested, raw: msgspec.Raw, keyset: Keyset, in_json: bool) -> Iterator[Rejected]:
    """Yield the faults inside of a nested object, or of the objects in a list."""
    try:
        value: Any = msgspec.json.decode(raw, type=list[msgspec.Raw] if nested.many else dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return  # it is null or of another type, as a whole
    if isinstance(value, dict):
        yield from _of_object(nested.layout, value, keyset, in_json)
        return
    for index, element in enumerate(value):
        try:
            members = msgspec.json.decode(element, type=dict[str, msgspec.Raw])
        except msgspec.ValidationError:
            yield Rejected("null" if bytes(element) == b"null" else "wrong_type", f"/{index}")
            continue
        yield from (_at(fault, f"/{index}") for fault in _of_object(nested.layout, members, keyset, in_json=True))


def _of_member(
    layout: Layout, member: Field | Nested, record: Members, keyset: Keyset, in_json: bool
) -> Rejected | None:
    """Decode and mask an object of this one member as ingest does, and return what is wrong with it."""
    alone = _alone(layout, member)
    text = msgspec.json.encode({member.key: record[member.key]} if member.key in record else {})
    try:
        decoded = wire.decoder(alone.wire)(text)
    except (ValueError, RecursionError) as error:
        return diagnosis.rejection(error, alone)
    try:
        masking.masker(alone, keyset, Notes(), in_json)(decoded)
    except OF_A_USERS_CODE as error:
        return rejection_of(error)
    return None


def _at(fault: Rejected, pointer: str) -> Rejected:
    """Return the same fault of what is below the pointer, with what it comes of."""
    return moved(fault.at(pointer), fault)


def moved(told: Rejected, fault: Rejected) -> Rejected:
    """Return a fault as it is told elsewhere, with what it comes of."""
    if told is not fault:
        told.__context__ = fault
    return told


def _alone(layout: Layout, member: Field | Nested) -> Layout:
    """Return the layout of an object that has nothing but this member."""
    (declared,) = [one for one in msgspec.structs.fields(layout.wire) if one.name == member.name]
    field: Any = msgspec.field  # its overloads take a default or a factory, not both
    default = field(name=member.key, default=declared.default, default_factory=declared.default_factory)
    made = msgspec.defstruct(layout.name, [(member.name, declared.type, default)], frozen=True, kw_only=True)
    fields, nested = ((member,), ()) if isinstance(member, Field) else ((), (member,))
    return Layout(layout.name, fields, nested, {}, made, layout.make)
