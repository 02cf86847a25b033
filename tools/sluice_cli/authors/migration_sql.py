"""The SQL of a changed declaration: what its table lacks to hold its rows.

What would lose data, or needs to be known by who writes the migration, is a comment.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple

from sluice.declaration import column_types
from sluice.declaration.column_types import Arrays, Cells, Choices, Column, ColumnType, Numbers
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.masks import Keep
from sluice.declaration.stream import Stream
from sluice.migrate import catalogue, tables
from sluice.migrate.catalogue import Found
from sluice.postgres import sqlstate
from sluice.postgres.credentials import Credentials
from sluice.postgres.driver import Connection, DatabaseError
from tools.sluice_cli.authors import table_sql
from tools.sluice_cli.authors.older_rows import Left
from tools.sluice_cli.authors.table_sql import ColumnSql
from tools.sluice_cli.sqlstates import named

DIGITS = {"int2": 5, "int4": 10, "int8": 19}  # before the point
INTEGERS = ("smallint", "integer", "bigint")
ANEW = "The whole table is written anew, and nobody can read or write it meanwhile."
BUILT = "Nobody can write to the table while the index is built."
LOOKED_UP = "No index begins with {}. Do joins or `sluice forget` look it up? " + BUILT
LINE = 100  # characters of a comment


class Step(NamedTuple):
    """A statement, or nothing but what is to be said."""

    sql: str
    note: str = ""

    @property
    def text(self) -> str:
        return "\n".join([*(f"-- {line}" for line in self.note.splitlines()), *([self.sql] if self.sql else [])])


class Migration(NamedTuple):
    """What makes a stream's table fit its declaration."""

    steps: list[Step]
    left: list[str]  # what does not fit even then: a sentence each

    @property
    def is_needed(self) -> bool:
        return any(step.sql for step in self.steps)

    @property
    def text(self) -> str:
        left = [Step("", f"This is left to you: {sentence}") for sentence in self.left]
        return "\n\n".join(step.text.rstrip() for step in [*self.steps, *left]) + "\n"


def of_stream(
    connection: Connection, stream: type[Stream], roles: Mapping[str, Credentials], older: Sequence[Left] = ()
) -> Migration:
    """Return the migration, with what `older` rows keep as comments.

    It is tried in the transaction, which the caller undoes.
    """
    found = catalogue.found(connection, stream)
    steps = [Step(table_sql.create_table(stream))] if found is None else list(_steps(connection, stream, found, older))
    connection.run("SAVEPOINT migration")
    tried = [_tried(connection, step) for step in steps]
    left = tables.findings(connection, stream, roles)
    connection.run("ROLLBACK TO SAVEPOINT migration")
    asked = "\n".join(step.note for step in tried)
    return Migration(tried + [_kept(one) for one in older if not one.sql or one.sql not in asked], left)


def _kept(left: Left) -> Step:
    """Return what older rows keep, and what ends it, as a comment: not even that may be done before the deployment."""
    told = fill(f"{left.sentence[0].upper()}{left.sentence[1:]}", LINE, break_long_words=False, break_on_hyphens=False)
    return Step("", "\n".join(filter(None, (told, left.sql))))


def _tried(connection: Connection, step: Step) -> Step:
    """Run a step, and return it; one that PostgreSQL refuses, such as for a view on the column, becomes a comment."""
    if not step.sql:
        return step
    connection.run("SAVEPOINT step")
    try:
        connection.run(step.sql)
    except DatabaseError as error:
        connection.run("ROLLBACK TO SAVEPOINT step")
        return Step("", f"PostgreSQL refuses this: {named(sqlstate.describe(error))}. What depends on it?\n{step.text}")
    return step


def _steps(
    connection: Connection, stream: type[Stream], found: Mapping[str, Found], older: Sequence[Left]
) -> Iterator[Step]:
    table = f"ALTER TABLE {table_sql.table_name(stream)}"
    wanted = table_sql.columns_of(stream)
    lacking = [name for name in wanted if name not in found]
    others = [
        column for name, column in found.items() if name not in {*wanted, *OWN_COLUMNS} and not _is_filled(column)
    ]
    for name in lacking:
        yield _added(table, wanted[name], others)
    for name in table_sql.indexed(stream):
        if name in lacking:
            yield Step(table_sql.create_index(stream, name))
    kept = {place.name for place in stream.layout.places() if type(place.mask) is Keep}
    new = {left.column for left in older}  # those that have other masks now
    for column in column_types.columns(stream.layout):
        if column.name in found:
            if not tables.fits(connection, column, found[column.name]):
                new.add(column.name)
            type_ = wanted[column.name].type
            yield from _changed(connection, table, column, found[column.name], type_, column.name in kept)
    yield from _not_indexed(connection, stream, found, new)
    for other in others:
        yield from _left_over(table, other)


def _not_indexed(
    connection: Connection, stream: type[Stream], found: Container[str], new: Container[str]
) -> Iterator[Step]:
    """Yield the index of each column of tokens that has none; of tokens that were there before it is a question."""
    relation = catalogue.look_up(connection, stream)
    rows: Any = connection.run(
        "SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
        " AND a.attnum = i.indkey[0] WHERE i.indrelid = CAST(:oid AS oid) AND i.indisvalid",
        oid=relation and relation.oid,
    )
    there = {name for (name,) in rows}
    for name in table_sql.indexed(stream):
        if name in found and name not in there:
            sql = table_sql.create_index(stream, name)
            yield Step(sql, BUILT) if name in new else Step("", f"{LOOKED_UP.format(table_sql.name(name))}\n{sql}")


def _is_filled(column: Found) -> bool:
    return column.has_default or column.is_generated


def _added(table: str, column: ColumnSql, others: list[Found]) -> Step:
    notes = [f"{column.note[0].upper()}{column.note[1:]}"] if column.note else []
    if others:
        rename = [f"{table} RENAME COLUMN {table_sql.name(other.name)} TO {column.name};" for other in others]
        notes += [f"If {column.name} is another name for a column that there is, in the place of this:", *rename]
    if column.constraint:
        notes += [
            "The rows that there are have NULL in it. Where they are given a value, or there are none:",
            f"{table} ALTER COLUMN {column.name} SET NOT NULL;",
        ]
    return Step(f"{table} ADD COLUMN {column.name} {column.type};", "\n".join(notes))


def _changed(
    connection: Connection, table: str, declared: Column, found: Found, type_: str, is_kept: bool
) -> Iterator[Step]:
    """Yield what changes a column that is there: its type, to that of a new table, and whether it takes null."""
    name = table_sql.name(declared.name)
    column = f"{table} ALTER COLUMN {name}"
    is_plain = not found.is_generated and not found.is_always_identity
    if is_plain and not tables.fits(connection, declared, found):
        wider = _widened(found.type, declared.cells)
        if wider and type_.startswith(table_sql.OF_TOKENS):
            wider = type_
        if wider:
            yield Step(f"{column} TYPE {wider};", ANEW if _is_written_anew(found.type, wider) else "")
        else:
            yield Step(
                "",
                f"{name} is {found.type.spelled}, which does not hold all that is written to it."
                " Is nothing lost, and does nobody mind?\n"
                f"{column} TYPE {type_} USING CAST({name} AS {type_});",
            )
    elif is_kept and _is_narrowed(found.type, declared.cells):
        yield Step(
            "",
            f"{name} is {found.type.spelled}, and no more than {type_} is written to it. Would older values fit?\n"
            f"{column} TYPE {type_};",
        )
    if found.not_null and declared.nullable:
        yield Step(f"{column} DROP NOT NULL;")


def _left_over(table: str, found: Found) -> Iterator[Step]:
    name = table_sql.name(found.name)
    if found.not_null:
        yield Step(f"{table} ALTER COLUMN {name} DROP NOT NULL;")
    yield Step("", f"Nothing is written to {name}. Is what is in it not wanted any more?\n{table} DROP COLUMN {name};")


def _widened(found: ColumnType, cells: Cells) -> str | None:
    """Return a type that holds all that a column can have now and all that is written to it, if it is of its kind."""
    if found.is_array != isinstance(cells, Arrays):
        return None
    if isinstance(cells, Arrays):
        wider = _widened(found._replace(is_array=False), cells.of)
        return wider and f"{wider}[]"
    type_ = table_sql.type_of(cells)
    if found.name == "varchar" and (type_ == "text" or type_.startswith("varchar")):
        return type_
    if not isinstance(cells, Numbers) or found.name not in (*DIGITS, "numeric"):
        return None
    if type_ == "numeric" or (type_ in INTEGERS and found.name in DIGITS):
        return type_
    before, scale = found.digits or (DIGITS[found.name], 0)
    before = max(before, len(str(max(abs(cells.low), abs(cells.high)))))
    scale = max(scale, cells.scale)
    return f"numeric({before + scale}, {scale})"


def _is_written_anew(found: ColumnType, wider: str) -> bool:
    """Tell whether PostgreSQL writes all rows again: not for a longer text, or for more digits before the point."""
    digits = found.digits
    return not (found.name == "varchar" or (digits and wider.rstrip("[])").endswith(f", {digits[1]}")))


def _is_narrowed(found: ColumnType, cells: Cells) -> bool:
    """Tell whether a text or a number has less room by the declaration than in the table."""
    if isinstance(cells, Choices) or found.is_array or found.is_foreign:
        return False
    if isinstance(cells, Numbers):
        digits, wanted = found.digits, len(str(max(abs(cells.low), abs(cells.high))))
        is_numeric = cells.wanted.startswith("numeric(")
        return is_numeric and digits is not None and (digits[0] > wanted or digits[1] > cells.scale)
    is_text = cells.wanted.startswith("varchar") and cells.longest is not None and found.longest is not None
    return is_text and (found.longest or 0) > (cells.longest or 0)
