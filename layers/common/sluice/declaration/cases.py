"""The cases of a union: how a declaration names them, and which of them a value is."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from operator import attrgetter
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from sluice.declaration import diagnosis, wire
from sluice.declaration.layout import Case, Field, Layout, Nested
from sluice.declaration.paths import pointer_of
from sluice.declaration.rules import Rule
from sluice.declaration.tree import Tree
from sluice.declaration.unions import ByType, Tagged
from sluice.failures import DeclarationError, Rejected

type Reader = Callable[[Any], tuple[int, Any]]

JSON_TYPES = ("object", "array", "string", "number", "boolean")
_BY_FIRST_BYTE = {ord("{"): "object", ord("["): "array", ord('"'): "string", ord("n"): "null"} | dict.fromkeys(
    b"tf", "boolean"
)
_OF_TAGS = {str: "string", int: "number", bool: "boolean"}
_Members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def json_type(raw: msgspec.Raw | bytes) -> str:
    """Return the JSON type (RFC 8259) of an encoded value."""
    return _BY_FIRST_BYTE.get(memoryview(raw)[0], "number")


def tagged(union: Tagged) -> tuple[Case, ...]:
    """Return the cases of a union that a tag decides. Raises DeclarationError."""
    union.check()
    tags: dict[type, list[Any]] = {}
    for tag, part in union.cases.items():
        tags.setdefault(part, []).append(tag)
    if union.others:
        tags[union.others] = []
    cases = []
    for part, its_tags in tags.items():
        layout = _layout(part)
        if layout is None:
            raise DeclarationError("Tagged has a case that is no Part")
        named = " or ".join(msgspec.json.encode(tag).decode() for tag in its_tags)
        cases.append(Case(layout, f"{union.key} is {named or 'any other'}", tags=tuple(its_tags)))
    return tuple(cases)


def by_type(union: ByType, name: str, field: Callable[[str, Any], Field]) -> tuple[Case, ...]:
    """Return the cases of a union that the JSON type decides, in a field of that name. Raises DeclarationError.

    `field` makes a field of a rule and its masks.
    """
    found = [_case(one, name, field) for one in union.cases]
    chosen: dict[str, list[Case]] = {}
    for json_type in JSON_TYPES:
        takers = [case for case in found if json_type in case.json_types]
        alone = [case for case in takers if len(case.json_types) == 1]
        if len(alone) > 1 and not all(case.is_object for case in alone):
            raise DeclarationError(f"ByType has two cases for what is {_spoken(json_type)}")
        chosen[json_type] = alone or takers[:1]
    _refuse_unreachable([case.layout for case in chosen["object"]])
    cases = []
    for case in found:
        types = tuple(one for one, takers in chosen.items() if any(case is taker for taker in takers))
        if not types:
            raise DeclarationError(f"ByType has a case that no value is left for: {case.told}")
        is_one_of_several = case.is_object and len(chosen["object"]) > 1
        told = f"an object of {case.layout.name}" if is_one_of_several else " or ".join(map(_spoken, types))
        cases.append(Case(case.layout, f"it is {told}", case.is_object, json_types=types))
    return tuple(cases)


def types_of(union: Tagged | ByType) -> list[Any]:
    """Return the types of the canonical values of all cases."""
    if isinstance(union, Tagged):
        return list(dict.fromkeys([*union.cases.values(), *([union.others] if union.others else [])]))
    rules = [one[0] if isinstance(one, tuple) else one for one in union.cases]
    return list(dict.fromkeys(one.makes if isinstance(one, Rule) else one for one in rules))


def reader(nested: Nested) -> Reader:
    """Return the function from a value to the number of its case, and to what the wire makes of it.

    It raises Rejected. What is no union is decoded already.
    """
    if nested.union is None:
        return lambda value: (0, value)
    choose = chooser(nested)
    decoders = [_decoder(case) for case in nested.cases]

    def read(raw: msgspec.Raw) -> tuple[int, Any]:
        number = choose(raw)
        return number, decoders[number](raw)

    return read


def chooser(nested: Nested) -> Callable[[msgspec.Raw | bytes], int]:
    """Return the function from a value of a union to the number of its case. It raises Rejected."""
    return _by_tag(nested, nested.union) if isinstance(nested.union, Tagged) else _by_type(nested)


def taker(nested: Nested, layout: Layout) -> Callable[[Any], Any]:
    """Return the function from a decoded object to what a nested one is made of: of a union that is JSON."""
    take: Callable[[Any], Any] = attrgetter(nested.name)
    if nested.inline:
        take, tag = _inline_taker(nested, nested.inline.key, layout)
    if nested.many or not nested.union or not nested.optional:
        return take
    has = tag if nested.inline else take

    def take_unless_null(record: Any) -> Any:
        found = _encoded(has(record))
        return None if found is None or json_type(found) == "null" else take(record)

    return take_unless_null


def _inline_taker(nested: Nested, tag: str, layout: Layout) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return the function to the members that an inline union reads, and the one to its tag."""
    names = {info.encode_name: info.name for info in msgspec.structs.fields(layout.wire)}
    keys = [(names[key], msgspec.json.encode(key) + b":") for key in keys_of(nested)]

    def take(record: Any) -> msgspec.Raw:
        found = [(key, _encoded(getattr(record, name))) for name, key in keys]
        return msgspec.Raw(b"{" + b",".join(key + bytes(value) for key, value in found if value is not None) + b"}")

    return take, attrgetter(names[tag])


def keys_of(nested: Nested) -> list[str]:
    """Return the keys of all members that an inline union reads, that of the tag among them."""
    cases = [info.encode_name for case in nested.cases for info in msgspec.structs.fields(case.layout.wire)]
    return list(dict.fromkeys([nested.inline.key, *cases])) if nested.inline else []


def _encoded(value: Any) -> bytes | msgspec.Raw | None:
    """Return a member as JSON, as it came or decoded for a field of its own; None where it is missing."""
    if value is msgspec.UNSET:
        return None
    return value if isinstance(value, msgspec.Raw) else msgspec.json.encode(value)


def _case(declared: Any, name: str, field: Callable[[str, Any], Field]) -> Case:
    """Return the case of a Part, of a list of a Part, or of a rule and its masks. Raises DeclarationError."""
    layout = _layout(declared)
    if layout:
        return Case(layout, layout.name, json_types=("object",))
    if get_origin(declared) is list and (element := _layout(get_args(declared)[0])):
        many = Nested(name, name, False, (Case(element),), many=True, is_itself=True)
        return Case(_of_value(many), "list", False, json_types=("array",))
    value = field(name, declared)
    types = ("object",) if isinstance(value.rule, Tree) else _accepted(value.rule.accepts)
    return Case(_of_value(value), type(value.rule).__name__, False, json_types=types)


def _layout(part: Any) -> Layout | None:
    layout = getattr(part, "layout", None)
    return layout if isinstance(part, type) and isinstance(layout, Layout) else None


def _of_value(member: Field | Nested) -> Layout:
    """Return the layout that has a value itself as its one member."""
    made = msgspec.defstruct(member.name, [(member.name, member.accepts)], frozen=True, kw_only=True)
    fields, nested = ((member,), ()) if isinstance(member, Field) else ((), (member,))
    return Layout(member.name, fields, nested, {}, made, _itself)


def _itself(**members: Any) -> Any:
    (value,) = members.values()
    return value


def _accepted(accepts: Any) -> tuple[str, ...]:
    """Return the JSON types of what a rule accepts."""
    if get_origin(accepts) in (Union, UnionType):
        options = {one for option in get_args(accepts) for one in _accepted(option)}
        return tuple(one for one in JSON_TYPES if one in options)
    known: dict[Any, tuple[str, ...]] = {
        str: ("string",),
        bool: ("boolean",),
        int: ("number",),
        float: ("number",),
        Decimal: ("number",),
        list: ("array",),
        dict: ("object",),
        wire.Numeric: ("string", "number"),
    }
    return known.get(get_origin(accepts) or accepts, JSON_TYPES)


def _refuse_unreachable(layouts: Sequence[Layout]) -> None:
    """Raise DeclarationError when an object of a Part is always one of a Part before it."""
    for number, layout in enumerate(layouts):
        for before in layouts[:number]:
            if _required(before) <= _required(layout):
                raise DeclarationError(
                    f"ByType takes {layout.name} for {before.name}, since it has all of its required fields;"
                    f" name {layout.name} first, or decide by a key with Tagged"
                )


def _required(layout: Layout) -> set[str]:
    return {info.encode_name for info in msgspec.structs.fields(layout.wire) if info.required}


def _spoken(json_type: str) -> str:
    names = {"object": "an object", "array": "a list", "string": "a text", "number": "a number"}
    return names.get(json_type, "true or false")


def _by_tag(nested: Nested, union: Tagged) -> Callable[[msgspec.Raw | bytes], int]:
    pointer = pointer_of(union.key)
    numbers = {union.tag(tag): number for number, case in enumerate(nested.cases) for tag in case.tags}
    others = len(nested.cases) - 1 if union.others else None
    wanted = _OF_TAGS[type(next(iter(union.cases)))]
    members = [("tag", msgspec.Raw | msgspec.UnsetType, msgspec.field(name=union.key, default=msgspec.UNSET))]
    decode = msgspec.json.Decoder(msgspec.defstruct("OfTag", members)).decode

    def choose(raw: msgspec.Raw | bytes) -> int:
        _require("object", raw)
        found: Any = decode(raw)
        if found.tag is msgspec.UNSET:
            raise Rejected("missing", pointer)
        try:
            _require(wanted, found.tag)
            number = numbers.get(union.tag(msgspec.json.decode(found.tag)), others)
        except Rejected as rejected:
            raise rejected.at(pointer) from None
        except ValueError:  # a number of too many digits
            number = others
        if number is None:
            raise Rejected("not_a_choice", pointer)
        return number

    return choose


def _by_type(nested: Nested) -> Callable[[msgspec.Raw | bytes], int]:
    numbers: dict[str, list[int]] = {}
    for number, case in enumerate(nested.cases):
        for one in case.json_types:
            numbers.setdefault(one, []).append(number)
    required = [_required(case.layout) for case in nested.cases]

    def choose(raw: msgspec.Raw | bytes) -> int:
        found = json_type(raw)
        if found not in numbers:
            raise Rejected("null" if found == "null" else "wrong_type")
        candidates = numbers[found]
        if len(candidates) == 1:
            return candidates[0]
        keys = _Members.decode(raw).keys()
        number = next((number for number in candidates if required[number] <= keys), None)
        if number is None:
            raise Rejected("not_a_choice")
        return number

    return choose


def _require(wanted: str, raw: msgspec.Raw | bytes) -> None:
    found = json_type(raw)
    if found != wanted:
        raise Rejected("null" if found == "null" else "wrong_type")


def _decoder(case: Case) -> Callable[[msgspec.Raw], Any]:
    layout = case.layout
    decode = wire.decoder(layout.wire)
    head = b"" if case.is_object else b"{" + msgspec.json.encode(layout.members[0].key) + b":"
    tail = b"" if case.is_object else b"}"

    def read(raw: msgspec.Raw) -> Any:
        try:
            return decode(head + bytes(raw) + tail)
        except (ValueError, RecursionError) as error:
            raise diagnosis.rejection(error, layout) from None  # the cause may quote the value

    return read
