"""The text that COPY reads, against a reader written from PostgreSQL's documentation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.ingest.copy_text import CHUNK_ROWS, copy_chunks, copy_text
from sluice.ingest.rows import MaskedRow
from sluice.postgres.cells import Cell

LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def read_copy(text: str) -> list[list[str | None]]:
    """Read rows as COPY FROM does (https://www.postgresql.org/docs/current/sql-copy.html, Text Format)."""
    rows: list[list[str | None]] = [[]]
    cell, raw, characters = "", "", iter(text)
    for character in characters:
        if character in "\t\n":
            rows[-1].append(None if raw == "\\N" else cell)
            cell = raw = ""
            if character == "\n":
                rows.append([])
        elif character == "\r":
            raise ValueError("literal carriage return found in data")
        elif character == "\\":
            escaped = next(characters)
            if escaped in "01234567x.":
                raise ValueError("COPY would read a code or the end of the data")
            cell, raw = cell + LETTERS.get(escaped, escaped), raw + "\\" + escaped
        else:
            cell, raw = cell + character, raw + character
    assert (rows.pop(), cell) == ([], "")  # it ends with the end of a row
    return rows


_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from("\\\t\n\r.N"))
_cells = st.none() | st.integers() | _texts


@given(st.lists(st.lists(_cells, min_size=1), min_size=1))
def test_what_copy_reads_is_what_was_written(rows: list[list[Cell]]) -> None:
    text = copy_text([MaskedRow("id", "time", tuple(cells)) for cells in rows])
    assert read_copy(text) == [
        ["id", "time", *(None if cell is None else str(cell) for cell in cells)] for cells in rows
    ]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "\\N"),
        ("\\N", "\\\\N"),
        ("\\.", "\\\\."),
        ("", ""),
        (0, "0"),
        (-2_147_483_648, "-2147483648"),
        ("a\tb\nc\rd\\", "a\\tb\\nc\\rd\\\\"),
        ("é😀\x0b\x85\N{LINE SEPARATOR}", "é😀\x0b\x85\N{LINE SEPARATOR}"),
    ],
)
def test_a_cell_is_escaped_so_that_copy_reads_it_back(cell: Cell, text: str) -> None:
    assert copy_text([MaskedRow("id", "time", (None, cell, 1))]) == f"id\ttime\t\\N\t{text}\t1\n"


@pytest.mark.parametrize(("cell", "text"), [("b", "b"), ("b\t", "b\\t")])
def test_what_all_rows_share_is_the_last_cell_of_each(cell: str, text: str) -> None:
    rows = [MaskedRow("id", "time", ("a", None)), MaskedRow("id", "time", (cell, 1))]
    assert copy_text(rows, "7") == f"id\ttime\ta\t\\N\t7\nid\ttime\t{text}\t1\t7\n"


def test_the_chunks_of_a_copy_are_all_of_its_rows() -> None:
    rows = [MaskedRow(str(number), "time", ("a",)) for number in range(CHUNK_ROWS + 1)]
    first, second = copy_chunks(rows, "7")
    assert (first + second, second) == (copy_text(rows, "7"), f"{CHUNK_ROWS}\ttime\ta\t7\n")
    assert list(copy_chunks(rows[:1])) == ["0\ttime\ta\n"]
