"""Rows as they may be shown: what is kept in the clear is hidden, unless somebody asked to see it."""

import json
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sluice.declaration.description import Entry
from sluice.declaration.inside import TokensInside
from sluice.declaration.masks import Pseudonym, Redact, Truncate
from sluice.declaration.paths import Place
from sluice.declaration.rules import Email, IpAddress
from sluice.declaration.tree import Tree

type Path = tuple[str, ...]  # a column, then the members inside it; in a Tree the path of a value comes last
type Trees = Mapping[Path, Tree]


@dataclass(frozen=True)
class Kept:
    """Stands in a row for what is stored as it came, where nobody asked to see it."""


def hide(row: Mapping[str, Any], entries: Iterable[Entry], hidden: AbstractSet[Path]) -> dict[str, Any]:
    """Return a row by its columns with Kept for what is hidden; a list of objects as the objects."""
    lists = {entry.path[0] for entry in entries if len(entry.path) > 1}
    trees = {entry.path: entry.rule for entry in entries if isinstance(entry.rule, Tree) and not entry.inside}
    return {
        column: _objects(cell, (column,), hidden, trees) if column in lists else _shown(cell, (column,), hidden, trees)
        for column, cell in row.items()
    }


def kept(entries: Iterable[Entry]) -> set[Path]:
    """Return what is kept in the clear: every place in which a whole value may stand."""
    return {entry.place for entry in entries if not _is_masked(entry)}


def _is_masked(entry: Entry) -> bool:
    """Tell whether nothing in the column can be a whole value: of a short text Truncate leaves all."""
    if isinstance(entry.mask, Truncate):
        return entry.rule is not None and type(entry.rule.element) in (Email, IpAddress)
    return entry.is_constant or type(entry.mask) in (Pseudonym, Redact, TokensInside)


def text(value: Any) -> str:
    """Return a cell of such a row as a person reads it."""
    if value is None:
        return "NULL"
    if isinstance(value, list | dict):
        return json.dumps(value, default=text, ensure_ascii=False)
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


def _shown(value: Any, path: Path, hidden: AbstractSet[Path], trees: Trees) -> Any:
    if path not in hidden or value is None:
        return value
    if path not in trees:
        return Kept()
    decoded = json.loads(value, parse_float=Decimal) if isinstance(value, str) else value
    return _tree(decoded, trees[path], trees[path].root, {place[-1] for place in hidden if place[:-1] == path})


def _tree(value: Any, tree: Tree, place: Place | None, hidden: AbstractSet[str]) -> Any:
    """Return a tree with Kept for its hidden values, and a number for each key that no path names."""
    if value is None or place is None:
        return value
    if isinstance(value, list) and not place.is_whole:
        return [_tree(one, tree, place.named.get(str(index), place.other), hidden) for index, one in enumerate(value)]
    if isinstance(value, dict) and not place.is_whole:
        return {
            key if key in place.named else f"*{number}": _tree(one, tree, place.named.get(key, place.other), hidden)
            for number, (key, one) in enumerate(value.items(), 1)
        }
    return Kept() if place.path is None or tree.branches[place.path].path in hidden else value


def _objects(cell: Any, path: Path, hidden: AbstractSet[Path], trees: Trees) -> Any:
    """Return a column of JSON as its objects, with Kept for their hidden members."""
    objects = json.loads(cell, parse_float=Decimal) if isinstance(cell, str) else cell
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        return _shown(cell, path, hidden, trees)
    inner = {known[:-1] if known[:-1] in trees else known for known in hidden}
    deeper = {known[: len(path) + 1] for known in inner if len(known) > len(path) + 1}
    return [
        {
            name: (_objects if (*path, name) in deeper else _shown)(value, (*path, name), hidden, trees)
            for name, value in one.items()
        }
        for one in objects
    ]
