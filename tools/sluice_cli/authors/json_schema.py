"""A stream as JSON Schema (2020-12): what its producers may rely on.

A record that validates is accepted, but for what no schema can say: `description` names the rule. What is accepted
validates once it is in its canonical form: in NFC, without white space around it.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from sluice.declaration.envelopes import plain
from sluice.declaration.layout import Field, Layout, Nested
from sluice.declaration.rules import (
    EPOCHS_FROM,
    EPOCHS_TO,
    Boolean,
    Card,
    CaseFolded,
    Custom,
    Each,
    Email,
    Iban,
    Integer,
    IpAddress,
    Number,
    OneOf,
    Phone,
    Rule,
    Text,
    Timestamp,
    Uuid,
    Version,
)
from sluice.declaration.rules.rule import is_ours
from sluice.declaration.stream import Stream
from sluice.declaration.wire import Numeric
from tools.sluice_cli.authors import declarations

type Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NOT_BLANK = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
EMAIL = r"^[^@\s]+@[^@\s]+$"
NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[Ee][+-]?[0-9]+)?$"
CARD = r"^\s*[0-9](?:[ \u00a0\u2010\u2011-]?[0-9]){11,18}\s*$"
IBAN = r"^\s*[A-Za-z]{2}(?:[ \u00a0\u2010\u2011-]?[0-9A-Za-z]){13,32}\s*$"
UUID = r"^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$|^[0-9A-Fa-f]{32}$"
VERSION = r"^0*[0-9]{1,4}(?:\.0*[0-9]{1,3}){0,2}$"


def of_stream(stream: type[Stream]) -> Schema:
    """Return the schema of a stream's records, without the envelope in which they come."""
    head: Schema = {"$schema": DIALECT, "title": stream.stream_name, "description": declarations.about(stream)}
    if stream.unwrap is not plain:
        head["$comment"] = f"This is the record inside of the envelope {stream.unwrap.__name__}."
    return head | _of_object(stream.layout)


def of_rule(rule: Rule) -> Schema:
    """Return the schema of the values that a rule takes."""
    made = _of_kind(rule) if is_ours(rule) else _of_type(rule.accepts)
    return made | {"description": declarations.rule_text(rule)}


def _of_object(layout: Layout) -> Schema:
    infos = {info.encode_name: info for info in msgspec.structs.fields(layout.wire)}
    properties = {member.key: _of_member(member) | _default(infos[member.key]) for member in layout.members}
    required = [key for key, info in infos.items() if info.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": True}


def _of_member(member: Field | Nested) -> Schema:
    if isinstance(member, Field):
        made = of_rule(member.rule)
    else:
        made = _of_object(member.layout)
        made = {"type": "array", "items": made} if member.many else made
    return {"anyOf": [made, {"type": "null"}]} if member.optional else made


def _default(info: msgspec.structs.FieldInfo) -> Schema:
    if info.required:
        return {}
    value = info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()
    return {"default": msgspec.to_builtins(value)}


def _of_kind(rule: Rule) -> Schema:
    match rule:
        case Each():
            return {"type": "array", "items": of_rule(rule.rule), "maxItems": rule.max}
        case OneOf():
            return {"type": "string", "enum": list(rule.choices)}
        case Boolean():
            return {"type": "boolean"}
        case Integer():
            integer: Schema = {"type": "integer", "minimum": rule.min, "maximum": rule.max}
            return _or_text(integer, NUMBER) if rule.takes_text else integer
        case Number():
            most = 10 ** (rule.precision - rule.scale)
            kind = "number" if rule.scale else "integer"
            return _or_text({"type": kind, "exclusiveMinimum": -most, "exclusiveMaximum": most}, NUMBER)
        case Timestamp():
            return {"anyOf": [{"type": "string", "format": "date-time"}, _epoch(rule)]}
        case Uuid():
            return {"type": "string", "pattern": UUID}
        case IpAddress():
            return {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
        case Version():
            return {"type": "string", "maxLength": rule.max, "pattern": VERSION}
        case Email():
            return {"type": "string", "format": "idn-email", "maxLength": rule.max, "pattern": EMAIL}
        case Custom():  # its `max` is that of what the function returns
            return {"type": "string", "pattern": NOT_BLANK}
        case Card() | Iban():
            return {"type": "string", "maxLength": rule.max, "pattern": CARD if isinstance(rule, Card) else IBAN}
        case Text() | CaseFolded() | Phone():
            return {"type": "string", "minLength": 1, "maxLength": rule.max, "pattern": NOT_BLANK}
    return _of_type(rule.accepts)


def _or_text(schema: Schema, pattern: str) -> Schema:
    return {"anyOf": [schema, {"type": "string", "pattern": pattern}]}


def _epoch(rule: Timestamp) -> Schema:
    earliest, latest = rule.earliest or EPOCHS_FROM, rule.latest or EPOCHS_TO
    return {"type": "number", "minimum": _units(earliest, rule.epoch), "maximum": _units(latest, rule.epoch)}


def _units(moment: datetime, epoch: str) -> int | float:
    """Return a moment as a number of seconds or milliseconds since 1970, without a point where it needs none."""
    units = (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * (1 if epoch == "seconds" else 1_000)
    return int(units) if units == int(units) else units


def _of_type(accepts: Any) -> Schema:
    """Return the schema of what a rule of one's own gets, as far as one can be made."""
    if accepts is Numeric:
        return {"type": ["number", "string"]}
    try:
        made = msgspec.json.schema(accepts)
    except TypeError:
        return {}
    return {} if "$defs" in made else made
