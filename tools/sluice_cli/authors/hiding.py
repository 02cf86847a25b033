"""Rows as they may be shown: what is kept in the clear is hidden, unless somebody asked to see it."""

import json
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tools.sluice_cli.authors.declarations import Entry

type Path = tuple[str, ...]  # a column, then the members inside it


@dataclass(frozen=True)
class Kept:
    """Stands in a row for what is stored as it came, where nobody asked to see it."""


def hide(row: Mapping[str, Any], entries: Iterable[Entry], hidden: AbstractSet[Path]) -> dict[str, Any]:
    """Return a row by its columns with Kept for what is hidden; a list of objects as the objects."""
    lists = {entry.path[0] for entry in entries if len(entry.path) > 1}
    return {
        column: _objects(cell, (column,), hidden) if column in lists else _shown(cell, (column,), hidden)
        for column, cell in row.items()
    }


def text(value: Any) -> str:
    """Return a cell of such a row as a person reads it."""
    if value is None:
        return "NULL"
    if isinstance(value, list | dict):
        return json.dumps(plain(value), default=str, ensure_ascii=False)
    return "(kept)" if isinstance(value, Kept) else str(value)


def plain(value: Any) -> Any:
    """Return a cell as JSON has it: what is kept in the clear and not shown is `{"kept": true}`."""
    if isinstance(value, Kept):
        return {"kept": True}
    if isinstance(value, list):
        return [plain(element) for element in value]
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    return value


def _shown(value: Any, path: Path, hidden: AbstractSet[Path]) -> Any:
    return Kept() if path in hidden and value is not None else value


def _objects(cell: Any, path: Path, hidden: AbstractSet[Path]) -> Any:
    """Return a column of JSON as its objects, with Kept for their hidden members."""
    objects = json.loads(cell, parse_float=Decimal) if isinstance(cell, str) else cell
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        return _shown(cell, path, hidden)
    deeper = {known[: len(path) + 1] for known in hidden if len(known) > len(path) + 1}
    return [
        {
            name: (_objects if (*path, name) in deeper else _shown)(value, (*path, name), hidden)
            for name, value in one.items()
        }
        for one in objects
    ]
