"""Masking: an object as JSON has it becomes canonical values, and the masked cells of its columns."""

from collections.abc import Callable
from itertools import chain
from typing import Any

from msgspec.structs import astuple

from sluice.declaration import cases, reading
from sluice.declaration.inside import TokensInside, noting
from sluice.declaration.layout import Layout, Nested
from sluice.declaration.masks import Mask, Pseudonym, Writer
from sluice.declaration.originals import Notes
from sluice.declaration.rules.rule import Rule, is_ours
from sluice.declaration.scrub import Scrub
from sluice.declaration.tree import Branch, ByPath, Tree
from sluice.failures import OF_A_USERS_CODE, rejection_of
from sluice.postgres.cells import Cell, cell_of, json_cell, json_member
from sluice.pseudonyms.keyset import Keyset


def masker(
    layout: Layout, keyset: Keyset, notes: Notes, in_json: bool = False, prefix: str = ""
) -> Callable[[Any], tuple[list[Any], list[Cell]]]:
    """Return the function from an object as JSON has it to its canonical values, and to the cells of its columns.

    It adds to the notes what the tokens of recoverable values stand for, and which invalid values became NULL. `prefix`
    goes before the columns' names.
    """
    plan = []
    for field in layout.fields:
        rule = field.rule.in_json if in_json else field.rule
        masks = [mask.in_json if in_json else mask for mask in field.masks]
        writers = [_writer(mask, field.name, rule, keyset, notes) for mask in masks]
        if field.null_if or reading.comes_as_json(field):
            writers = [_or_null(write) for write in writers]
        plan.append((field.pointer, reading.reader(field, rule, notes.note_nulled), writers))
    inner = [
        (nested.pointer, cases.taker(nested, layout), _nested_masker(nested, keyset, notes, in_json, prefix))
        for nested in layout.nested
    ]

    def mask(record: Any) -> tuple[list[Any], list[Cell]]:
        values: list[Any] = []
        cells: list[Cell] = []
        for (pointer, canonical, writers), value in zip(plan, astuple(record), strict=False):  # nested ones come last
            if value is None:
                cells.extend([None] * len(writers))
            else:
                try:
                    value = canonical(value)
                    for write in writers:
                        cells.append(write(value))
                except OF_A_USERS_CODE as error:
                    raise rejection_of(error).at(pointer) from None  # the cause may quote the value
            values.append(value)
        for pointer, take, mask_nested in inner:
            try:
                value, nested_cells = mask_nested(take(record))
            except OF_A_USERS_CODE as error:
                raise rejection_of(error).at(pointer) from None
            values.append(value)
            cells.extend(nested_cells)
        if layout.derived:
            try:
                typed = _typed(layout, values)
                cells.extend([cell_of(column.function(typed)) for column in layout.derived.values()])
            except OF_A_USERS_CODE as error:
                raise rejection_of(error) from None
        return values, cells

    return mask


def _writer(mask: Mask, field: str, rule: Rule, keyset: Keyset, notes: Notes) -> Writer:
    if isinstance(mask, ByPath) and isinstance(rule, Tree):
        return mask.over([_branch_writer(branch, field, keyset, notes) for branch in rule.branches])
    if isinstance(mask, Pseudonym | Scrub | TokensInside):
        return mask.writer(field, rule, keyset, notes)
    write = mask.writer(field, rule, keyset)
    return write if is_ours(mask) else lambda value: cell_of(write(value))


def _or_null(write: Writer) -> Writer:
    return lambda value: None if value is None else write(value)


def _branch_writer(branch: Branch, field: str, keyset: Keyset, notes: Notes) -> Writer:
    """Return the function from a value in a tree to what stands in its place. It notes the tokens."""
    rule, mask, name = branch.rule, branch.mask, branch.name or field
    if rule is None:
        return lambda value: None
    if not isinstance(mask, Pseudonym):
        return _writer(mask, name, rule, keyset, notes)
    return rule.over(noting(mask, name, rule, keyset, notes))


def _nested_masker(
    nested: Nested, keyset: Keyset, notes: Notes, in_json: bool, prefix: str
) -> Callable[[Any], tuple[Any, list[Cell]]]:
    """Return the same function for a nested object, or for a list of them, which is one cell of JSON."""
    if nested.many:
        return _list_masker(nested, keyset, notes)
    if nested.union:
        return _union_masker(nested, keyset, notes, in_json, prefix)
    layout = nested.layout
    inner_prefix = nested.before(prefix)
    mask = masker(layout, keyset, notes.below(nested.pointer), in_json, inner_prefix)
    nothing: list[Cell] = [None for _ in layout.columns(inner_prefix)]

    def mask_one(value: Any) -> tuple[Any, list[Cell]]:
        if value is None:
            return None, nothing
        values, cells = mask(value)
        return _typed(layout, values), cells

    return mask_one


def _union_masker(
    nested: Nested, keyset: Keyset, notes: Notes, in_json: bool, prefix: str
) -> Callable[[Any], tuple[Any, list[Cell]]]:
    """Return the same function for a value of one of several shapes: the columns that its case lacks are NULL."""
    read = cases.reader(nested)
    inside = [(case.layout, inner_prefix) for case, inner_prefix, _ in nested.inside(prefix)]
    below = notes.below(nested.pointer)
    masks = [masker(layout, keyset, below, in_json, inner_prefix) for layout, inner_prefix in inside]
    columns = [[column for column, _ in layout.columns(inner_prefix)] for layout, inner_prefix in inside]
    places = {column: place for place, column in enumerate(dict.fromkeys(chain(*columns)))}
    written = [[places[column] for column in of_case] for of_case in columns]

    def mask_union(value: Any) -> tuple[Any, list[Cell]]:
        row: list[Cell] = [None] * len(places)
        if value is None:
            return None, row
        number, record = read(value)
        values, cells = masks[number](record)
        for place, cell in zip(written[number], cells, strict=True):
            row[place] = cell
        return _typed(inside[number][0], values), row

    return mask_union


def _list_masker(nested: Nested, keyset: Keyset, notes: Notes) -> Callable[[Any], tuple[Any, list[Cell]]]:
    """Return the same function for a list of objects, each with the columns of its case as its members."""
    read = cases.reader(nested)
    below = notes.below(f"{nested.pointer}/*")
    masks = [masker(case.layout, keyset, below, in_json=True) for case in nested.cases]
    columns = [[column for column, _ in case.layout.columns()] for case in nested.cases]

    def mask_many(elements: Any) -> tuple[Any, list[Cell]]:
        if elements is None:
            return None, [None]
        parts, objects = [], []
        for index, element in enumerate(elements):
            try:
                number, record = read(element)
                values, cells = masks[number](record)
                parts.append(_typed(nested.cases[number].layout, values))
            except OF_A_USERS_CODE as error:
                raise rejection_of(error).at(f"/{index}") from None
            objects.append(dict(zip(columns[number], map(json_member, cells), strict=True)))
        return parts, [json_cell(objects)]

    return mask_many


def _typed(layout: Layout, values: list[Any]) -> Any:
    """Return the object that a declaration describes, with canonical values."""
    names = [member.name for member in layout.members]
    return layout.make(**dict(zip(names, values, strict=True)))
