"""Fields of every kind, each with a type of PostgreSQL for its column, and whether that type holds every value."""

import re

from sluice.declaration.column_types import ColumnType

HEAD = """
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any
from sluice import *
"""
DECLARED = """
class Name(Part):
    first: Annotated[str, Text(max=9)]


class Visit(Stream, table="{table}"):
    {field}
"""


def declaration(field: str, table: str = "visits") -> str:
    """Return the text of a stream with this field alone."""
    return HEAD + DECLARED.format(field=field, table=table)


TEXT = "note: Annotated[str, Text(max=300)]"

# A field, the type of its column, and the type that it must have; None: it fits.
TYPES = {
    "text": (TEXT, "varchar(300)", None),
    "longer text": (TEXT, "varchar(301)", None),
    "text without a limit": (TEXT, "text", None),
    "char": (TEXT, "char(300)", None),
    "short text": (TEXT, "varchar(3)", "varchar(300)"),
    "name": (TEXT, "name", "varchar(300)"),
    "text in bytes": (TEXT, "bytea", "varchar(300)"),
    "text in an array": (TEXT, "text[]", "varchar(300)"),
    "text in json": (TEXT, "jsonb", "varchar(300)"),
    "token": ('note: Annotated[str, Text(max=3), Pseudonym()]', "varchar(51)", None),
    "short token": ('note: Annotated[str, Text(max=3), Pseudonym()]', "varchar(46)", "varchar(51)"),
    "token in a uuid": ('note: Annotated[str, Text(max=3), Pseudonym()]', "uuid", "varchar(51)"),
    "boolean": ("note: Annotated[bool, Boolean()]", "boolean", None),
    "boolean as text": ("note: Annotated[bool, Boolean()]", "varchar(5)", None),
    "boolean in a time": ("note: Annotated[bool, Boolean()]", "timestamptz", "boolean"),
    "boolean in a number": ("note: Annotated[bool, Boolean()]", "integer", "boolean"),
    "bigint": ("note: Annotated[int, Integer()]", "bigint", None),
    "any integer in 32 bits": ("note: Annotated[int, Integer()]", "integer", "bigint"),
    "small integer": ("note: Annotated[int, Integer(min=0, max=9)]", "smallint", None),
    "integer in 16 bits": ("note: Annotated[int, Integer(min=0, max=40_000)]", "smallint", "integer"),
    "integer in a numeric": ("note: Annotated[int, Integer(min=0, max=999)]", "numeric(3)", None),
    "integer in a short numeric": ("note: Annotated[int, Integer(min=0, max=9999)]", "numeric(3)", "smallint"),
    "integer in a float": ("note: Annotated[int, Integer()]", "double precision", "bigint"),
    "number": ("note: Annotated[Decimal, Number(precision=12, scale=2)]", "numeric(12, 2)", None),
    "number in more digits": ("note: Annotated[Decimal, Number(precision=12, scale=2)]", "numeric(14, 4)", None),
    "number without limits": ("note: Annotated[Decimal, Number(precision=12, scale=2)]", "numeric", None),
    "rounded number": ("note: Annotated[Decimal, Number(precision=12, scale=2)]", "numeric(12, 1)", "numeric(12,2)"),
    "long number": ("note: Annotated[Decimal, Number(precision=12, scale=2)]", "numeric(12, 3)", "numeric(12,2)"),
    "number in a float": ("note: Annotated[Decimal, Number(precision=5, scale=2)]", "real", "numeric(5,2)"),
    "uuid": ("note: Annotated[str, Uuid()]", "uuid", None),
    "uuid as text": ("note: Annotated[str, Uuid()]", "varchar(36)", None),
    "uuid as short text": ("note: Annotated[str, Uuid()]", "varchar(32)", "uuid"),
    "address": ("note: Annotated[str, IpAddress()]", "inet", None),
    "address as text": ("note: Annotated[str, IpAddress()]", "varchar(45)", None),
    "address as short text": ("note: Annotated[str, IpAddress()]", "varchar(15)", "inet"),
    "network": ("note: Annotated[str, IpAddress(), Truncate()]", "cidr", None),
    "moment": ("note: Annotated[datetime, Timestamp()]", "timestamptz", None),
    "rounded moment": ("note: Annotated[datetime, Timestamp()]", "timestamptz(0)", "timestamptz"),
    "date of a moment": ("note: Annotated[datetime, Timestamp()]", "date", "timestamptz"),
    "date": ('note: Annotated[datetime, Timestamp(), Truncate(to="day")]', "date", None),
    "hour in a date": ('note: Annotated[datetime, Timestamp(), Truncate(to="hour")]', "date", "timestamptz"),
    "choices": ('note: Annotated[str, OneOf("new", "paid")]', "varchar(4)", None),
    "long choice": ('note: Annotated[str, OneOf("new", "paid")]', "varchar(3)", "varchar(4)"),
    "enum": ('note: Annotated[str, OneOf("new", "paid")]', "status", None),
    "enum without a label": ('note: Annotated[str, OneOf("new", "paid", "sent")]', "status", "varchar(4)"),
    "numbers as choices": ('note: Annotated[str, OneOf("1", "2")]', "integer", None),
    "choices in a time": ('note: Annotated[str, OneOf("new", "paid")]', "timestamptz", "varchar(4)"),
    "array": ("note: Annotated[list[int], Each(Integer(min=0, max=9))]", "smallint[]", None),
    "array of too short": ("note: Annotated[list[str], Each(Text(max=9))]", "varchar(8)[]", "varchar(9)[]"),
    "array in a text": ("note: Annotated[list[str], Each(Text(max=9))]", "text", "varchar(9)[]"),
    "array in json": ("note: Annotated[list[str], Each(Text(max=9))]", "jsonb", "varchar(9)[]"),
    "json": ("note: Annotated[list[str], Each(Text(max=9), json=True)]", "jsonb", None),
    "json in an array": ("note: Annotated[list[str], Each(Text(max=9), json=True)]", "text[]", "jsonb"),
    "json in a short text": ("note: Annotated[list[str], Each(Text(max=9), json=True)]", "varchar(99)", "jsonb"),
    "objects": ("note: list[Name]", "jsonb", None),
    "objects in an array": ("note: list[Name]", "text[]", "jsonb"),
    "domain": (TEXT, "long_text", None),
    "domain of a short text": (TEXT, "short_text", "varchar(300)"),
    "composite type": (TEXT, "pair", None),
    "truncated text": ("note: Annotated[str, Text(max=300), Truncate(to=2)]", "varchar(2)", None),
    "short truncated text": ("note: Annotated[str, Text(max=300), Truncate(to=4)]", "varchar(2)", "varchar(4)"),
    "domain of an address": ("note: Annotated[str, Email(), Truncate()]", "varchar(253)", None),
    "constant of a redacted": ('note: Annotated[str, Text(max=9), Redact(constant="gone")]', "char(1)", "varchar(4)"),
    "redacted": ("note: Annotated[str, Text(max=9), Redact()]", "point", None),
    "constant": ('note = constant("shop")', "varchar(4)", None),
    "long constant": ('note = constant("shop")', "varchar(3)", "varchar(4)"),
    "large constant": ("note = constant(40_000)", "smallint", "integer"),
    "version number": ('note: Annotated[str, Version(), Keep(as_=version_number)]', "integer", None),
    "version number in a boolean": ('note: Annotated[str, Version(), Keep(as_=version_number)]', "boolean", "bigint"),
    "derived": ("note = derived(lambda self: 1)", "point", None),
}  # fmt: skip
OF_A_SERVER = {  # only a server knows what it holds
    *("enum", "enum without a label", "numbers as choices", "domain", "domain of a short text", "composite type"),
}
NAMES = {  # as pg_type has them
    "bigint": "int8",
    "boolean": "bool",
    "char": "bpchar",
    "double precision": "float8",
    "integer": "int4",
    "real": "float4",
    "smallint": "int2",
}


def typed(spelled: str) -> ColumnType:
    """Return a type as PostgreSQL's catalogue has it: https://www.postgresql.org/docs/current/catalog-pg-attribute.html"""
    found = re.fullmatch(r"([a-z0-9 ]+?)(?:\((\d+)(?:, (-?\d+))?\))?(\[\])?", spelled)
    assert found
    name, first, second, brackets = found.groups()
    modifier = -1
    if name in ("varchar", "char"):
        modifier = int(first) + 4 if first else -1
    elif name == "numeric" and first:
        modifier = (int(first) << 16 | int(second or 0) & 0x7FF) + 4
    elif first:
        modifier = int(first)
    return ColumnType(spelled, NAMES.get(name, name), modifier, is_array=bool(brackets))
