"""A stream as JSON Schema (2020-12): what its producers may rely on.

A record that validates is accepted, except for what no schema can say: `description` names the rule. What is accepted
validates once it is in its canonical form: in NFC, without white space around it.
"""

import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from sluice.declaration import description, wire
from sluice.declaration.envelopes import plain
from sluice.declaration.layout import Case, Field, Layout, Nested
from sluice.declaration.rules import (
    EPOCHS,
    EPOCHS_FROM,
    EPOCHS_TO,
    INVALID,
    Boolean,
    Card,
    CaseFolded,
    Custom,
    Date,
    Each,
    Email,
    Float,
    Iban,
    Id,
    Integer,
    IpAddress,
    NullIf,
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
from sluice.declaration.rules.scalar import Scalar
from sluice.declaration.stream import Stream
from sluice.declaration.tree import Tree
from sluice.declaration.unions import Tagged

type Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NOT_BLANK = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
TRUTH = r"^(?:[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$"
NAMED_MONTH = r"[A-Za-z]{3} .*[0-9]{2}:[0-9]{2}"
WITHOUT_ZONE = r"^[0-9]{4}-?[0-9]{2}-?[0-9]{2}[Tt ][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:[.,][0-9]+)?)?)?$"
BLANK_TEXT = r"^\s*$"
EMAIL = r"^[^@\s]+@[^@\s]+$"
NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[Ee][+-]?[0-9]+)?$"
CARD = r"^\s*[0-9](?:[ \u00a0\u2010\u2011-]?[0-9]){11,18}\s*$"
IBAN = r"^\s*[A-Za-z]{2}(?:[ \u00a0\u2010\u2011-]?[0-9A-Za-z]){13,32}\s*$"
UUID = r"^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$|^[0-9A-Fa-f]{32}$"
_TYPES_OF_TAGS = {str: "string", int: "integer", bool: "boolean"}
VERSION = r"^0*[0-9]{1,4}(?:\.0*[0-9]{1,3}){0,2}$"


def of_stream(stream: type[Stream]) -> Schema:
    """Return the schema of a stream's records, without the envelope in which they come."""
    head: Schema = {"$schema": DIALECT, "title": stream.stream_name, "description": description.about(stream)}
    comments = []
    if stream.unwrap is not plain:
        comments.append(f"This is the record inside of the envelope {stream.unwrap.__name__}.")
    if stream.splitter:
        comments.append(f"A message holds several of them: {stream.splitter.name}.")
    if any(nested.source for nested in stream.layout.nested):
        comments.append("The stream also reads what is outside of the record.")
    if comments:
        head["$comment"] = " ".join(comments)
    return head | _of_object(stream.layout)


def of_rule(rule: Rule) -> Schema:
    """Return the schema of the values that a rule takes."""
    made = _of_kind(rule) if is_ours(rule) else _of_type(rule.accepts)
    return made | {"description": description.rule_text(rule)}


def _of_object(layout: Layout) -> Schema:
    infos = {info.encode_name: info for info in msgspec.structs.fields(layout.wire)}
    inline = [nested for nested in layout.nested if nested.inline]
    members = [
        member for member in layout.members if not (isinstance(member, Nested) and (member.source or member.inline))
    ]
    properties = {member.key: _of_member(member) | _default(infos[member.key]) for member in members}
    required = [key for key, info in infos.items() if info.required]
    made = {"type": "object", "properties": properties, "required": required, "additionalProperties": True}
    return made | ({"allOf": [_of_inline(nested) for nested in inline]} if inline else {})


def _of_member(member: Field | Nested) -> Schema:
    if isinstance(member, Field):
        made = _of_field(member.rule, member.null_if, member.optional)
    else:
        made = _of_union(member) if member.union else _of_object(member.layout)
        made = {"type": "array", "items": made} if member.many else made
    return {"anyOf": [made, {"type": "null"}]} if member.optional else made


def _of_field(rule: Rule, null_if: NullIf | None, optional: bool) -> Schema:
    """Return the schema of a field's values without null; with NullIf a blank text, or anything, is one too."""
    made = of_rule(rule)
    if null_if is None:
        return made
    if isinstance(rule, Each):
        inner = rule.rule
        is_list = isinstance(inner, Each)
        items = _of_field(inner, null_if, not is_list)
        made |= {"items": items if is_list else {"anyOf": [items, {"type": "null"}]}}
    if not optional:
        return made
    return {"anyOf": [made, {} if INVALID in null_if.when else {"type": "string", "pattern": BLANK_TEXT}]}


def _of_union(nested: Nested) -> Schema:
    if isinstance(nested.union, Tagged):
        union = nested.union
        return {"oneOf": [_of_tagged(union, case) for case in nested.cases]}
    return {"anyOf": [_of_json_type(case) for case in nested.cases]}


def _of_inline(nested: Nested) -> Schema:
    """Return what an inline union says of the object around it; an optional one need not be there."""
    made = _of_union(nested)
    if nested.optional and nested.inline:
        made["oneOf"].append({"properties": {nested.inline.key: {"type": "null"}}})
    return made


def _of_tagged(union: Tagged, case: Case) -> Schema:
    made = _of_object(case.layout)
    tags = [*(case.tags or union.cases)]
    tag: Schema = {"const": tags[0]} if len(tags) == 1 else {"enum": tags}
    if union.fold:
        tag = {"pattern": f"^(?:{'|'.join(in_any_case(text) for text in tags)})$"}
    if not case.tags:
        tag = {"not": tag}
    made["properties"] |= {union.key: {"type": _TYPES_OF_TAGS[type(tags[0])]} | tag}
    made["required"] = list(dict.fromkeys([*made["required"], union.key]))
    return made


def _of_json_type(case: Case) -> Schema:
    """Return the schema of a case that the JSON type decides, of no other JSON type."""
    if case.is_object:
        return _of_object(case.layout)
    types = {"type": case.json_types[0] if len(case.json_types) == 1 else list(case.json_types)}
    return types | _of_member(case.layout.members[0])


def in_any_case(text: str) -> str:
    """Return the pattern of all texts that are the same in upper and lower case, as ECMA 262 has patterns."""
    folded, made = text.casefold(), ""
    while folded:
        several = next((folded[:most] for most in (3, 2) if folded[:most] in _folded_from()), folded[0])
        either = "".join(map(_either_case, several))
        if len(several) > 1:  # as `ss`, to which ß folds
            either = f"(?:{either}|[{_folded_from()[several]}])"
        made, folded = made + either, folded[len(several) :]
    return made


def _either_case(one: str) -> str:
    if one in _folded_from():
        return f"[{one}{_folded_from()[one]}]"
    return f"\\{one}" if one in r"\^$.|?*+()[]{}/" else one


@cache
def _folded_from() -> dict[str, str]:
    """Return the characters that Unicode folds to a text, by the text."""
    found: dict[str, str] = {}
    for code in range(sys.maxunicode + 1):
        one = chr(code)
        if (folded := one.casefold()) != one:
            found[folded] = found.get(folded, "") + one
    return found


def _default(info: msgspec.structs.FieldInfo) -> Schema:
    return {} if info.required else {"default": msgspec.to_builtins(wire.default(info))}


def _of_kind(rule: Rule) -> Schema:
    match rule:
        case Each():
            return {"type": "array", "items": of_rule(rule.rule), "maxItems": rule.max}
        case Tree():
            return _of_tree(rule)
        case Scalar():
            return {"type": ["string", "number", "boolean"]}
        case OneOf():
            return {"type": "string", "enum": list(rule.choices)}
        case Boolean():
            return _or_text({"type": "boolean"}, TRUTH) if rule.takes_text else {"type": "boolean"}
        case Float():
            return _or_text({"type": "number"}, NUMBER)
        case Date():
            return {"type": "string", "anyOf": [{"format": "date"}, {"pattern": r"^[0-9]{8}$"}]}
        case Timestamp() if rule.format:
            return {"type": "string", "pattern": NAMED_MONTH}
        case Timestamp() if rule.zone:
            spelled: list[Schema] = [{"format": "date-time"}, {"pattern": WITHOUT_ZONE}]
            return {"anyOf": [{"type": "string", "anyOf": spelled}, _epoch(rule)]}
        case Integer():
            integer: Schema = {"type": "integer", "minimum": rule.min, "maximum": rule.max}
            return _or_text(integer, NUMBER) if rule.takes_text else integer
        case Number():
            most = 10 ** (rule.precision - rule.scale)
            kind = "number" if rule.scale or rule.round else "integer"
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
        case Id():
            text: Schema = {"type": "string", "minLength": 1, "maxLength": rule.max, "pattern": NOT_BLANK}
            return {"anyOf": [{"type": "integer"}, text]}
        case Custom():  # its `max` is that of what the function returns
            return {"type": "string", "pattern": NOT_BLANK}
        case Card() | Iban():
            return {"type": "string", "maxLength": rule.max, "pattern": CARD if isinstance(rule, Card) else IBAN}
        case Text() | CaseFolded() | Phone():
            return {"type": "string", "minLength": 1, "maxLength": rule.max, "pattern": NOT_BLANK}
    return _of_type(rule.accepts)


def _of_tree(tree: Tree) -> Schema:
    """Return the schema of an object with any keys, in which only paths without wildcards are told."""
    told: Schema = {"type": "object", "additionalProperties": True}
    for branch in tree.branches:
        if branch.rule and branch.keys:
            inner, place = told, tree.root
            for key in branch.keys:
                inner, place = inner.setdefault("properties", {}).setdefault(key, {}), place.named[key]
            looked_into = [] if place.is_whole else [{"type": ["object", "array"]}]
            inner |= {"anyOf": [of_rule(branch.rule), {"type": "null"}, *looked_into]}
    return told


def _or_text(schema: Schema, pattern: str) -> Schema:
    return {"anyOf": [schema, {"type": "string", "pattern": pattern}]}


def _epoch(rule: Timestamp) -> Schema:
    earliest, latest = rule.earliest or EPOCHS_FROM, rule.latest or EPOCHS_TO
    return {"type": "number", "minimum": _units(earliest, rule.epoch), "maximum": _units(latest, rule.epoch)}


def _units(moment: datetime, epoch: str) -> int | float:
    """Return a moment as a number of units since 1970, without a point where it needs none."""
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    units = Decimal(microseconds).scaleb(EPOCHS[epoch] - 6)
    return int(units) if units == int(units) else float(units)


def _of_type(accepts: Any) -> Schema:
    """Return the schema of what a rule of one's own gets, as far as one can be made."""
    if accepts is wire.Numeric:
        return {"type": ["number", "string"]}
    try:
        made = msgspec.json.schema(accepts)
    except TypeError:
        return {}
    return {} if "$defs" in made else made
