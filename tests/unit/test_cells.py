"""A cell is what PostgreSQL takes, whatever a user's own function has made."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from sluice.failures import Rejected
from sluice.postgres.cells import Cell, Json, array_cell, cell_of, json_member

ID = "0192de18-a4c1-4b1e-9d3e-5f60718293a4"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, None),
        ("é", "é"),
        (0, 0),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (10**300, 10**300),
        (Decimal("1.50"), Decimal("1.50")),
        (date(2026, 1, 31), "2026-01-31"),
        (datetime(2026, 1, 31, 23, 59, tzinfo=UTC), "2026-01-31T23:59:00Z"),
        (UUID(ID), ID),
        (Json("[1]"), Json("[1]")),
        (True, Json("true")),
        (1.5, Json("1.5")),
        ([1, "a", None], Json('[1,"a",null]')),
        ({"a": Decimal("1.50"), "at": date(2026, 1, 31)}, Json('{"a":1.50,"at":"2026-01-31"}')),
    ],
)
def test_a_value_becomes_a_cell(value: object, cell: Cell) -> None:
    made = cell_of(value)
    assert (made, type(made)) == (cell, type(cell))


def test_a_nul_character_is_rejected() -> None:
    with pytest.raises(Rejected) as rejected:
        cell_of("a\0b")
    assert rejected.value.reason == "nul_character"


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("-Infinity"),
        [1, float("nan")],
        {"a": [{"b": Decimal("NaN")}]},
    ],
)
def test_a_number_that_json_does_not_have_is_no_cell(value: object) -> None:
    with pytest.raises(ValueError, match=r"^no number$"):
        cell_of(value)


@pytest.mark.parametrize("value", [10**5000, "\ud800"], ids=["digits", "surrogate"])
def test_what_python_or_utf_8_cannot_write_is_no_cell(value: object) -> None:
    with pytest.raises(ValueError, match=r"digits|surrogates"):
        cell_of(value)


def test_what_is_no_data_is_no_cell() -> None:
    with pytest.raises(TypeError):
        cell_of(object())


def test_an_array_is_spelled_as_postgresql_spells_it() -> None:
    assert array_cell([]) == "{}"
    assert array_cell(["a", None, 1, 'say "\\"']) == r'{"a",NULL,"1","say \"\\\""}'


def test_json_inside_of_json_is_no_string() -> None:
    assert (bytes(json_member(Json("[1]"))), json_member("[1]"), json_member(None)) == (b"[1]", "[1]", None)  # type: ignore[call-overload]
