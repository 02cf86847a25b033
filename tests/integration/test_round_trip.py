"""What a row's cells hold is what PostgreSQL holds, on both ways into the table."""

from collections.abc import Sequence
from itertools import count
from typing import Annotated

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice.declaration.rules import Text
from sluice.declaration.stream import Stream
from sluice.ingest.rows import MaskedRow
from sluice.postgres.cells import Cell
from tests.integration.databases import TestDatabase, in_seconds
from tests.integration.environment import OpenStore, write
from tests.integration.messages import numbered

SENT_AT = "2026-01-31T23:59:59.999+00:00"
NASTY = [
    *("", "\\N", "\\.", "\\", "\\t", "\t", "\n", "\r", "\r\n", "\b\f\v"),
    *('"', "'", "NULL", "\x7f\x85\u2028", "😀\ufeff\uffff"),
]


class Note(Stream, table="note"):
    """A text and a number, either of which may be missing."""

    text: Annotated[str, Text(max=1000)]
    number: Annotated[str, Text(max=1000)]


CELLS = st.tuples(
    # Every character but those that PostgreSQL cannot hold.
    st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.none() | st.integers(-(2**31), 2**31 - 1),
)


@pytest.mark.parametrize("path", ["copy", "merge"])
def test_every_text_that_postgresql_can_hold_arrives_as_it_was(
    path: str, database: TestDatabase, open_store: OpenStore
) -> None:
    database.sql(
        "CREATE TABLE note (text text, number integer, sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY);"
        "GRANT INSERT, SELECT (message_id) ON note TO ingest_of_tests"
    )
    store = open_store(Note)
    numbers = count()
    old = MaskedRow(numbered(next(numbers)), SENT_AT, (None, None))
    assert write(store, [old], in_seconds(60)) == (1, 0, [])

    @given(st.lists(CELLS, min_size=1, max_size=20))
    @example([(text, None) for text in NASTY])
    @example([("".join(map(chr, range(1, 0xD800))), 0)])
    @settings(max_examples=60, deadline=None, database=None)
    def round_trip(cells: Sequence[tuple[Cell, Cell]]) -> None:
        rows = [MaskedRow(numbered(next(numbers)), SENT_AT, pair) for pair in cells]
        duplicates = [old] if path == "merge" else []
        assert write(store, [*rows, *duplicates], in_seconds(60)) == (len(rows), len(duplicates), [])
        found = database.sql(
            "SELECT text, number FROM note WHERE message_id >= CAST(:first AS uuid) ORDER BY message_id",
            first=rows[0].message_id,
        )
        assert [tuple(pair) for pair in found] == list(cells)

    round_trip()
