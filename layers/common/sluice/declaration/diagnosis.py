"""A body that was refused in, reason, pointer and shape out: all that may be told of it."""

import re
from typing import TYPE_CHECKING, Any

import msgspec

from sluice.failures import Rejected

if TYPE_CHECKING:
    from sluice.declaration.stream import Part


def rejection(error: Exception, part: "type[Part]") -> Rejected:
    """Turn an error of the decoder into reason and pointer, both free of the record's values and undeclared keys."""
    if isinstance(error, RecursionError):
        return Rejected("nested_too_deeply")
    if not isinstance(error, msgspec.ValidationError):
        return Rejected("not_json")
    message = str(error)
    path = re.search(r" - at `\$(.*)`$", message)
    missing = re.match(r"Object missing required field `(.*?)`(?: - at `|$)", message)
    pointer = _pointer(part, (path[1] if path else "") + (f".{missing[1]}" if missing else ""))
    if missing:
        return Rejected("missing", pointer)
    if not pointer:
        return Rejected("not_an_object")
    return Rejected("null" if "got `null`" in message else "wrong_type", pointer)


def _pointer(part: "type[Part]", path: str) -> str:
    """Turn the decoder's path (`.customer.email`, `.tags[2]`) into a JSON pointer that names declared fields alone."""
    parts = {nested.key: nested.part for nested in part.nested}
    members = [*part.fields, *part.nested]
    for member in sorted(members, key=lambda member: len(member.key), reverse=True):  # a key may have dots in it
        rest = path.removeprefix(f".{member.key}")
        if rest == path or (rest and rest[0] not in ".["):
            continue
        below = re.sub(r"^(?:\[\d+\])+", "", rest)
        indices = rest[: len(rest) - len(below)]  # of a list, or none
        inner = _pointer(parts[member.key], below) if member.key in parts else "/*" if below else ""
        return member.pointer + indices.replace("[", "/").replace("]", "") + inner
    return "/*" if path else ""


def shape(part: "type[Part]", record: dict[str, Any]) -> dict[str, object]:
    """Return the declared fields that an object has with their JSON types; nested objects are told in the same way."""
    types: dict[str, object] = {field.key: json_type(record[field.key]) for field in part.fields if field.key in record}
    for nested in part.nested:
        if nested.key in record:
            value = record[nested.key]
            types[nested.key] = shape(nested.part, value) if isinstance(value, dict) else json_type(value)
    return types


def json_type(value: object) -> str:
    """Return the JSON type (RFC 8259) of a decoded value."""
    names = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")
