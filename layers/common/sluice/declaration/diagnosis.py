"""What may be told of a rejected body: reason, pointer and shape, and no value of it."""

import re
from typing import Any

import msgspec

from sluice.declaration.layout import Layout, Nested
from sluice.declaration.unions import Tagged
from sluice.failures import Rejected


def rejection(error: Exception, layout: Layout) -> Rejected:
    """Turn an error of the decoder into reason and pointer, both free of the record's values and undeclared keys."""
    if isinstance(error, RecursionError):
        return Rejected("nested_too_deeply")
    if not isinstance(error, msgspec.ValidationError):
        return Rejected("not_json")
    message = str(error)
    path = re.search(r" - at `\$(.*)`$", message)
    missing = re.match(r"Object missing required field `(.*?)`(?: - at `|$)", message)
    pointer = _pointer(layout, (path[1] if path else "") + (f".{missing[1]}" if missing else ""))
    if missing:
        return Rejected("missing", pointer)
    if not path:
        return Rejected("not_an_object")
    if message.startswith("Integer value out of range"):
        return Rejected("out_of_range", pointer)
    return Rejected("null" if "got `null`" in message else "wrong_type", pointer)


def _pointer(layout: Layout, path: str) -> str:
    """Turn the decoder's path (`.customer.email`, `.tags[2]`) into a JSON pointer that names declared fields alone."""
    inner_layouts = {nested.key: nested.layout for nested in layout.nested if not nested.union}
    for member in sorted(layout.members, key=lambda member: len(member.key), reverse=True):  # a key may have dots in it
        rest = path.removeprefix(f".{member.key}")
        if rest == path or (rest and rest[0] not in ".["):
            continue
        below = re.sub(r"^(?:\[\d+\])+", "", rest)
        indices = rest[: len(rest) - len(below)]  # of a list, or none
        inner = _pointer(inner_layouts[member.key], below) if member.key in inner_layouts else "/*" if below else ""
        return member.pointer + indices.replace("[", "/").replace("]", "") + inner
    return "/*" if path else ""


def shape(layout: Layout, record: dict[str, Any]) -> dict[str, object]:
    """Return the declared fields that an object has with their JSON types; nested objects are told in the same way.

    Of a union those of all its cases are told.
    """
    present = [field.key for field in layout.fields if field.key in record]
    types: dict[str, object] = {key: json_type(record[key]) for key in present}
    for nested in layout.nested:
        value = record if nested.inline else record.get(nested.key)
        told = _shape_inside(nested, value) if isinstance(value, dict) else json_type(value)
        if isinstance(told, dict) and nested.inline:
            types = told | types
        elif nested.key in record:
            types[nested.key] = told
    return types


def _shape_inside(nested: Nested, value: dict[str, Any]) -> dict[str, object]:
    tag = [nested.union.key] if isinstance(nested.union, Tagged) else []
    types: dict[str, object] = {key: json_type(value[key]) for key in tag if key in value}
    for case in nested.cases:
        types |= shape(case.layout, value) if case.is_object else {}
    return types


def json_type(value: object) -> str:
    """Return the JSON type (RFC 8259) of a decoded value."""
    names = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")
