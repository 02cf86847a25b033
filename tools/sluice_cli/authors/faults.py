"""All that is wrong with a record: each member is decoded and masked on its own, so that one fault hides no other."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from sluice.declaration import cases, diagnosis, masking, wire
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
        faults = _of_object(stream.layout, record, keyset, in_json=False)
        found = [*{(fault.reason, fault.pointer): fault for fault in faults}.values()]
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
        raw = msgspec.Raw(msgspec.json.encode(record)) if nested.inline else record.get(nested.key)
        inner = list(_of_nested(nested, raw, keyset, in_json)) if raw is not None else []
        fault = None if inner else _of_member(layout, nested, record, keyset, in_json)
        yield from (_at(one, nested.pointer) for one in inner)
        if fault:
            yield fault


def _of_nested(nested: Nested, raw: msgspec.Raw, keyset: Keyset, in_json: bool) -> Iterator[Rejected]:
    """Yield the faults inside of a nested object, or of the objects in a list."""
    if not nested.many:
        with suppress(Rejected):  # it is null or of another type, as a whole
            yield from _of_object(*_case(nested, raw), keyset, in_json)
        return
    elements = msgspec.json.decode(raw, type=list[msgspec.Raw]) if cases.json_type(raw) == "array" else []
    for index, element in enumerate(elements):
        try:
            layout, members = _case(nested, element)
        except Rejected as rejected:
            yield _at(rejected, f"/{index}")
            continue
        yield from (_at(fault, f"/{index}") for fault in _of_object(layout, members, keyset, in_json=True))


def _case(nested: Nested, raw: msgspec.Raw) -> tuple[Layout, Members]:
    """Return the layout of a value, and its members. Raises Rejected when it is of another type, or of no case."""
    case = nested.cases[cases.chooser(nested)(raw) if nested.union else 0]
    if not case.is_object:
        return case.layout, {case.layout.members[0].key: raw}
    if (found := cases.json_type(raw)) != "object":
        raise Rejected("null" if found == "null" else "wrong_type")
    return case.layout, msgspec.json.decode(raw, type=dict[str, msgspec.Raw])


def _of_member(
    layout: Layout, member: Field | Nested, record: Members, keyset: Keyset, in_json: bool
) -> Rejected | None:
    """Decode and mask an object of this one member as ingest does, and return what is wrong with it."""
    alone = _alone(layout, member)
    text = msgspec.json.encode({key: record[key] for key in alone.wire.__struct_encode_fields__ if key in record})
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
    """Return the layout of an object that has nothing but this member, and what it reads."""
    keys = cases.keys_of(member) if isinstance(member, Nested) and member.inline else [member.key]
    field: Any = msgspec.field  # its overloads take a default or a factory, not both
    wire_fields = [
        (one.name, one.type, field(name=one.encode_name, default=one.default, default_factory=one.default_factory))
        for one in msgspec.structs.fields(layout.wire)
        if one.encode_name in keys
    ]
    made = msgspec.defstruct(layout.name, wire_fields, frozen=True, kw_only=True)
    fields = tuple(field for field in layout.fields if field.key in keys)
    nested = () if isinstance(member, Field) else (member,)
    return Layout(layout.name, fields, nested, {}, made, layout.make)
