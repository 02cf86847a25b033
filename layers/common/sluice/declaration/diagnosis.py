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
    path = _path(error)
    return Rejected(_reason(error), _pointer(layout, path)) if path else Rejected("not_an_object")


def rejection_of_value(error: ValueError) -> Rejected:
    """Turn an error of the decoder of a single value into the same, the pointer beginning below the value."""
    if not isinstance(error, msgspec.ValidationError):
        return Rejected("not_json")
    return Rejected(_reason(error), _pointer_below(_path(error)))


def _reason(error: msgspec.ValidationError) -> str:
    message = str(error)
    if message.startswith("Object missing required field"):
        return "missing"
    if message.startswith("Integer value out of range"):
        return "out_of_range"
    return "null" if "got `null`" in message else "wrong_type"


def _path(error: msgspec.ValidationError) -> str:
    """Return the decoder's path to what is wrong or missing, such as `.customer.email` or `.tags[2]`."""
    message = str(error)
    path = re.search(r" - at `\$(.*)`$", message)
    missing = re.match(r"Object missing required field `(.*?)`(?: - at `|$)", message)
    return (path[1] if path else "") + (f".{missing[1]}" if missing else "")


def _pointer(layout: Layout, path: str) -> str:
    """Turn the decoder's path into a JSON pointer that names declared fields alone."""
    inner_layouts = {nested.key: nested.layout for nested in layout.nested if not nested.union}
    for member in sorted(layout.members, key=lambda member: len(member.key), reverse=True):  # a key may have dots in it
        rest = path.removeprefix(f".{member.key}")
        if rest == path or (rest and rest[0] not in ".["):
            continue
        return member.pointer + _pointer_below(rest, inner_layouts.get(member.key))
    return "/*" if path else ""


def _pointer_below(path: str, layout: Layout | None = None) -> str:
    """Turn the path inside of a member into a pointer: the indices of a list, or none, then what is in its objects."""
    below = re.sub(r"^(?:\[\d+\])+", "", path)
    indices = path[: len(path) - len(below)].replace("[", "/").replace("]", "")
    return indices + (_pointer(layout, below) if layout else "/*" if below else "")


def shape(layout: Layout, record: dict[str, Any]) -> dict[str, object]:
    """Return the declared fields that an object has with their JSON types; nested objects are told in the same way.

    Of a union those of all its cases are told.
    """
    present = [field.key for field in layout.fields if field.key in record]
    types: dict[str, object] = {key: json_type(record[key]) for key in present}
    for nested in layout.nested:
        if nested.source:
            continue
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
