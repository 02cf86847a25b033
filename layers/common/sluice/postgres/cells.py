"""Cells: what PostgreSQL takes, in COPY and in JSON alike."""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from sluice.failures import Rejected

INTEGERS = range(-(2**63), 2**63)  # those that anybody has

type Cell = str | int | Decimal | None  # a bool is Json

_JSON = msgspec.json.Encoder(decimal_format="number")


class Json(str):
    """A cell that is JSON text already."""

    __slots__ = ()


def cell_of(value: Any) -> Cell:
    """Return what a user's own function made as a cell: lists and objects as JSON.

    Raises Rejected for U+0000, which PostgreSQL cannot store, and TypeError or ValueError for any other value that no
    cell can hold. Such a value would stop the whole batch, or be stored as something else.
    """
    if isinstance(value, Json):
        return value
    value = msgspec.to_builtins(value, builtin_types=(Decimal,))  # dates, UUIDs and the like become texts
    if isinstance(value, str):
        value.encode()  # raises for a lone surrogate
        if "\0" in value:
            raise Rejected("nul_character")
    elif isinstance(value, int):
        if value not in INTEGERS:
            str(value)  # raises for more digits than Python writes
    else:
        _refuse_odd_numbers(value)
    is_cell = value is None or (isinstance(value, str | int | Decimal) and not isinstance(value, bool))
    return cast("Cell", value) if is_cell else json_cell(value)


def _refuse_odd_numbers(value: Any) -> None:
    """Raise ValueError for a number that JSON does not have: msgspec writes null for a float, `NaN` for a Decimal."""
    if (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, Decimal) and not value.is_finite()
    ):
        raise ValueError("no number")
    if isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            _refuse_odd_numbers(one)


def json_cell(value: Any) -> Json:
    """Return a value as a cell of JSON text; decimals are numbers with all their digits."""
    return Json(_JSON.encode(value).decode())


def json_member(cell: Cell) -> object:
    """Return a cell as a member of a JSON object: JSON text goes in as it is."""
    return msgspec.Raw(cell.encode()) if isinstance(cell, Json) else cell


def array_cell(cells: Sequence[Cell]) -> str:
    """Return an array as PostgreSQL spells it (https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO)."""
    return (
        "{"
        + ",".join("NULL" if cell is None else '"' + re.sub(r'(["\\])', r"\\\1", str(cell)) + '"' for cell in cells)
        + "}"
    )
