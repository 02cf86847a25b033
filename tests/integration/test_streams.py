"""Every stream fits its table."""

from pkgutil import iter_modules
from types import NoneType
from typing import get_args, get_type_hints

import pytest

from sluice import streams
from sluice.masks import Keep, Pseudonym
from sluice.rules import Text
from sluice.stream import OWN_COLUMNS, load
from tests.integration.databases import TestDatabase

STREAMS = [module.name for module in iter_modules(streams.__path__)]
TOKEN_CHARACTERS = len("t999999_") + 43


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_matches_its_table(name: str, database: TestDatabase) -> None:
    stream = load(name)
    columns = {
        column: (is_nullable == "YES", is_filled, length)
        for column, is_nullable, is_filled, length in database.sql(
            "SELECT column_name, is_nullable, column_default IS NOT NULL OR is_generated = 'ALWAYS',"
            " character_maximum_length FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = :table",
            table=stream.table,
        )
    }
    written = {*OWN_COLUMNS, *stream.columns()}
    assert written <= columns.keys()
    assert written >= {column for column, (nullable, filled, _) in columns.items() if not nullable and not filled}
    hints = get_type_hints(stream)
    for field in stream.fields:
        for column, mask in field.columns:
            nullable, _, length = columns[column]
            assert nullable or NoneType not in get_args(hints[field.name]), f"{column} takes no null"
            if isinstance(mask, Pseudonym):
                assert length is None or length >= TOKEN_CHARACTERS, f"{column} is too short for a token"
            elif isinstance(mask, Keep) and mask.as_ is None and isinstance(field.rule, Text):
                assert length is None or length >= field.rule.max, f"{column} is too short for {field.name}"


@pytest.mark.parametrize("name", STREAMS)
def test_the_message_id_alone_is_the_primary_key(name: str, database: TestDatabase) -> None:
    assert database.sql(
        "SELECT column_name, data_type FROM information_schema.columns"
        " JOIN information_schema.key_column_usage USING (table_schema, table_name, column_name)"
        " JOIN information_schema.table_constraints USING (constraint_schema, constraint_name)"
        " WHERE constraint_type = 'PRIMARY KEY' AND columns.table_name = :table",
        table=load(name).table,
    ) == [["message_id", "uuid"]]
