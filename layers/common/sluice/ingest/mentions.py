"""Mentions of people who were erased after a message was sent: its row is written without them."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from sluice.declaration.stream import Stream
from sluice.ingest.rows import MaskedRow
from sluice.postgres.cells import Cell, array_cell, json_cell
from sluice.pseudonyms.keyset import TOKEN


class MentionColumns:
    """The columns of a stream's rows in which other people are mentioned."""

    def __init__(self, stream: type[Stream]) -> None:
        self._mentioned = stream.mentioned
        self._is_json = stream.mentioned.columns
        self._arrays = {place.column for place in stream.mentioned.places if place.is_array}
        names = [column for column, _ in stream.columns()]
        self._places = {column: names.index(column) for column in self._is_json}

    def __bool__(self) -> bool:
        return bool(self._places)

    def without(self, row: MaskedRow, erased: Mapping[str, datetime]) -> MaskedRow:
        """Return the row without the tokens of people who were erased after it was sent."""
        sent_at = datetime.fromisoformat(row.sent_at)
        cells = {column: row.cells[place] for column, place in self._places.items()}
        tokens = {found[0] for cell in cells.values() for found in TOKEN.finditer(str(cell))}
        gone = {token for token in tokens if token in erased and sent_at < erased[token]}
        if not gone:
            return row
        values = {column: self._value(column, cell) for column, cell in cells.items()}
        changed = list(row.cells)
        for column, value in self._mentioned.without(values, gone).items():
            changed[self._places[column]] = self._cell(column, value)
        return msgspec.structs.replace(row, cells=tuple(changed))

    def _value(self, column: str, cell: Cell) -> Any:
        """Return a cell as it is in the database: JSON decoded, an array of tokens as a list."""
        if cell is None:
            return None
        if self._is_json[column]:
            return json.loads(str(cell), parse_float=Decimal, parse_int=Decimal)
        return [found[0] for found in TOKEN.finditer(str(cell))] if column in self._arrays else cell

    def _cell(self, column: str, value: Any) -> Cell:
        if value is None:
            return None
        if self._is_json[column]:
            return json_cell(value)
        return array_cell(value) if column in self._arrays else str(value)
