"""Every stream fits its table, and one that does not is not deployed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import streams
from sluice.declaration.layout import OWN_COLUMNS, Field, Layout
from sluice.declaration.masks import Keep, Pseudonym
from sluice.declaration.registry import load, names
from sluice.declaration.rules import Number, Text
from sluice.migrate import schema
from sluice.migrate.failures import MigrationFailed
from sluice.migrate.migrations import Versions
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import LOGINS, TestDatabase, in_seconds
from tests.integration.messages import KEYSET
from tests.versions import NEWEST

STREAMS = names()
TOKEN_CHARACTERS = len("t999999_") + 43


def fields_of(layout: Layout, prefix: str = "", optional: bool = False) -> Iterator[tuple[str, Field, bool]]:
    """Return every field that has columns of its own, with the prefix of their names, and whether it may be null."""
    for field in layout.fields:
        yield prefix, field, optional or field.optional
    for nested in layout.nested:
        for case, inner_prefix, _ in nested.inside(prefix):
            if not nested.many:
                yield from fields_of(case.layout, inner_prefix, optional or nested.optional or bool(nested.union))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_matches_its_table(name: str, database: TestDatabase) -> None:
    stream = load(name)
    columns = {
        column: (not is_needed, is_filled, type_)
        for column, is_needed, is_filled, type_ in database.sql(
            "SELECT attname, attnotnull, atthasdef, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped",
            table=stream.table,
        )
    }
    written = {*OWN_COLUMNS, *dict(stream.columns())}
    assert written <= columns.keys()
    assert written >= {column for column, (nullable, filled, _) in columns.items() if not nullable and not filled}
    for prefix, field, optional in fields_of(stream.layout):
        for mask in field.masks:
            column = mask.column_of(prefix + field.name)
            nullable, _, type_ = columns[column]
            length = re.search(r"varying\((\d+)\)", type_)
            assert nullable or not optional, f"{column} takes no null"
            if isinstance(mask, Pseudonym):
                assert length is None or int(length[1]) >= TOKEN_CHARACTERS, f"{column} is too short for a token"
            elif isinstance(mask, Keep) and mask.as_ is None:
                rule = field.rule.element
                if isinstance(rule, Text):
                    assert length is None or int(length[1]) >= rule.max, f"{column} is too short for {field.name}"
                if isinstance(rule, Number):
                    assert type_ in ("numeric", f"numeric({rule.precision},{rule.scale})"), f"{column} is {type_}"


@pytest.mark.parametrize("name", STREAMS)
def test_the_message_id_alone_is_the_primary_key(name: str, database: TestDatabase) -> None:
    assert database.sql(
        "SELECT column_name, data_type FROM information_schema.columns"
        " JOIN information_schema.key_column_usage USING (table_schema, table_name, column_name)"
        " JOIN information_schema.table_constraints USING (constraint_schema, constraint_name)"
        " WHERE constraint_type = 'PRIMARY KEY' AND columns.table_name = :table",
        table=load(name).table,
    ) == [["message_id", "uuid"]]


# A stream and a table that do not fit each other


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("DROP TABLE orders", "Order: there is no table orders"),
        ("ALTER TABLE orders RENAME TO \"Orders\"", "Order: there is no table orders"),
        ("ALTER TABLE orders DROP COLUMN gift", "Order: the table orders lacks the column gift"),
        ("ALTER TABLE orders DROP COLUMN customer_phone", "Order: the table orders lacks the column customer_phone"),
        ("ALTER TABLE orders RENAME COLUMN large TO is_large", "Order: the table orders lacks the column large"),
        ("ALTER TABLE orders DROP COLUMN message_id", "Order: the table orders lacks the column message_id"),
        ("ALTER TABLE user_logins DROP COLUMN locale", "UserLogin: the table user_logins lacks the column locale"),
        (
            "ALTER TABLE orders ADD COLUMN shop text NOT NULL",
            "Order: nothing is written to the column shop, which must not be null",
        ),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_its_stream_fails_the_deployment(
    sql: str, reason: str, database: TestDatabase
) -> None:
    database.sql(sql)
    with pytest.raises(MigrationFailed) as raised:
        migrate(database)
    assert str(raised.value) == reason


@pytest.mark.parametrize(
    "column",
    [
        "shop text",
        "shop text NOT NULL DEFAULT ''",
        "number bigint NOT NULL GENERATED ALWAYS AS IDENTITY",
        "vat numeric NOT NULL GENERATED ALWAYS AS (total * 0.2) STORED",
    ],
)
def test_a_column_that_fills_itself_may_be_added(column: str, database: TestDatabase) -> None:
    database.sql(f"ALTER TABLE orders ADD COLUMN {column}")
    assert migrate(database) == NEWEST


def test_a_stream_without_a_migration_fails_the_deployment(
    database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_no_table.py").write_text(
        "from typing import Annotated\n"
        "from sluice import Stream, Text\n"
        "class OfNoTable(Stream, table='of_no_table'):\n"
        "    text: Annotated[str, Text(max=9)]\n"
    )
    monkeypatch.setattr(streams, "__path__", [*streams.__path__, str(tmp_path)])
    with pytest.raises(MigrationFailed, match=r"^OfNoTable: there is no table of_no_table$"):
        migrate(database)


def migrate(database: TestDatabase) -> Versions:
    """Deploy once more."""
    owner = Database(database.settings("owner"), "sluice-migrate")
    try:
        roles = LOGINS
        return schema.migrate(owner, roles, Keyset.parse(KEYSET), in_seconds(60))
    finally:
        owner.close()
