"""Writes the CREATE TABLE of a stream's table, as a person would write it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sluice.declaration import column_types
from sluice.declaration.column_types import NOTHING, Anything, Cells, Choices
from sluice.declaration.inside import TokensInside
from sluice.declaration.layout import Column, Derived
from sluice.declaration.masks import Pseudonym, Redact
from sluice.declaration.stream import Stream
from sluice.postgres.driver import identifier

OF_TOKENS = "varchar(256)"  # longer than a token is today
OF_BATCHES = "the batch that wrote the row: see the table batch"
OF_ONES_OWN = "made by code of your own: is this its type?"

# https://www.postgresql.org/docs/current/sql-keywords-appendix.html: those that name no column or table.
RESERVED = frozenset(
    "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation"
    " column concurrently constraint create cross current_catalog current_date current_role current_schema current_time"
    " current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze"
    " from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like"
    " limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary"
    " references returning right select session_user similar some symmetric system_user table tablesample then to"
    " trailing true union unique user using variadic verbose when where window with".split()
)


class ColumnSql(NamedTuple):
    """A column as a CREATE TABLE has it."""

    name: str  # quoted where SQL wants it
    type: str
    constraint: str = ""
    note: str = ""  # behind it, as a comment

    @property
    def definition(self) -> str:
        return f"{self.name} {self.type} {self.constraint}".rstrip()


SENT_AT = ColumnSql("sent_at", "timestamptz", "NOT NULL")
OWN = (SENT_AT, ColumnSql("message_id", "uuid", "PRIMARY KEY"))
OWN_BY_TIME = (SENT_AT, ColumnSql("message_id", "uuid"))  # of a table with partitions: both together are the key
KEY_BY_TIME = "    PRIMARY KEY (message_id, sent_at)"


def create_table(stream: type[Stream]) -> str:
    """Return the statements that make a stream's table, and its indexes for joins and for erasing a person."""
    lines = list(_lines([*columns_of(stream).values(), *(OWN_BY_TIME if stream.partitioning else OWN)]))
    if stream.partitioning:
        lines[-1] += ","
        lines.append(KEY_BY_TIME)
    by_time = " PARTITION BY RANGE (sent_at)" if stream.partitioning else ""
    schema, _, _ = stream.table.rpartition(".")
    place = f"CREATE SCHEMA IF NOT EXISTS {name(schema)};\n\n" if schema else ""
    table = f"{place}CREATE TABLE {table_name(stream)} (\n{'\n'.join(lines)}\n){by_time};\n"
    indexes = [create_index(stream, column) for column in indexed(stream)]
    return table + ("\n" + "\n".join(indexes) + "\n" if indexes else "")


def create_index(stream: type[Stream], column: str) -> str:
    return f"CREATE INDEX ON {table_name(stream)} {indexed(stream)[column]};"


def columns_of(stream: type[Stream]) -> dict[str, ColumnSql]:
    """Return the columns that a declaration writes, by name; the message's own two are not among them."""
    places: dict[str, list[Column]] = {}
    for place in stream.layout.places():
        places.setdefault(place.name, []).append(place)
    types = column_types.columns(stream.layout)
    columns = {made.name: _column(places[made.name], made.cells, made.nullable) for made in types}
    if stream.column_of_batch:
        columns[stream.column_of_batch] = ColumnSql(name(stream.column_of_batch), "bigint", note=OF_BATCHES)
    return columns


def indexed(stream: type[Stream]) -> dict[str, str]:
    """Return the columns that are looked up, each with what its index says of it.

    They are those of the persons, of mentions, with a token each, and of tokens in texts.
    """
    subject = {field.column: field.is_array for field in (stream.subject.fields if stream.subject else ())}
    tokens = {place.column: False for place in stream.token_places if not place.is_json and not place.is_array}
    inside = {place.name: True for place in stream.layout.places() if isinstance(place.mask, TokensInside)}
    mentioned = {place.column: place.is_array for place in stream.mentioned.places if not place.is_json}
    in_json = [place.column for place in stream.mentioned.places if place.is_json]
    looked_up = subject | tokens | inside | mentioned
    indexes = {column: "USING gin " * is_array + f"({name(column)})" for column, is_array in looked_up.items()}
    return indexes | {column: f"USING gin ({name(column)} jsonb_path_ops)" for column in in_json}


def type_of(cells: Cells) -> str:
    """Return the type to take for what is written to a column."""
    if isinstance(cells, Choices):
        return "text"  # so that one more choice needs no migration
    return cells.wanted.replace("any type", "text").replace(",", ", ")


def name(identifier_: str) -> str:
    """Return the name of a column, quoted where SQL wants it."""
    is_plain = re.fullmatch("[a-z_][a-z0-9_]*", identifier_) and identifier_ not in RESERVED
    return identifier_ if is_plain else str(identifier(identifier_))


def table_name(stream: type[Stream]) -> str:
    """Return the name of a stream's table, with its schema where the declaration says so."""
    return ".".join(map(name, stream.table.split(".")))


def _column(places: Sequence[Column], cells: Cells, nullable: bool) -> ColumnSql:
    """Return a column, given all that writes it: one thing, or some cases of a union."""
    constraint, note = "" if nullable else "NOT NULL", ""
    type_ = type_of(cells)
    if any(isinstance(place.mask, Pseudonym) for place in places) and type_.startswith("varchar"):
        type_ = OF_TOKENS + "[]" * type_.endswith("[]")
    elif all(isinstance(place.mask, Redact) for place in places):
        note = "redacted: always NULL" if cells is NOTHING else ""
    elif isinstance(cells, Anything) and not all(map(_is_constant, places)):
        constraint, note = "", OF_ONES_OWN  # which may return None
    return ColumnSql(name(places[0].name), type_, constraint, note)


def _is_constant(place: Column) -> bool:
    return isinstance(place.declared, Derived) and place.declared.is_constant


def _lines(columns: Sequence[ColumnSql]) -> Iterator[str]:
    name_width = _width(column.name for column in columns)
    type_width = _width(column.type for column in columns)
    for number, column in enumerate(columns, 1):
        definition = f"    {column.name:<{name_width}} {column.type:<{type_width}} {column.constraint}".rstrip()
        comma = "," if number < len(columns) else ""
        yield definition + comma + (f"  -- {column.note}" if column.note else "")


def _width(texts: Iterable[str]) -> int:
    return max(map(len, texts))
