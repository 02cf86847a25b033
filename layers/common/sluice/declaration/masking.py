"""Masking: an object as JSON has it becomes canonical values, and the masked cells of its columns."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import astuple

from sluice.declaration.inside import TokensInside
from sluice.declaration.layout import Layout, Nested
from sluice.declaration.masks import Mask, Pseudonym, Writer
from sluice.declaration.originals import Notes
from sluice.declaration.rules.rule import Rule, is_ours
from sluice.declaration.scrub import Scrub
from sluice.failures import OF_A_USERS_CODE, rejection_of
from sluice.postgres.cells import Cell, cell_of, json_cell, json_member
from sluice.pseudonyms.keyset import Keyset


def masker(
    layout: Layout, keyset: Keyset, notes: Notes, in_json: bool = False
) -> Callable[[Any], tuple[list[Any], list[Cell]]]:
    """Return the function from an object as JSON has it to its canonical values, and to the cells of its columns.

    It adds to the notes what the tokens of recoverable values stand for.
    """
    plan = []
    for field in layout.fields:
        rule = field.rule.in_json if in_json else field.rule
        masks = [mask.in_json if in_json else mask for mask in field.masks]
        writers = [_writer(mask, field.name, rule, keyset, notes) for mask in masks]
        plan.append((field.pointer, rule.canonical, writers))
    inner = [(nested, _nested_masker(nested, keyset, notes, in_json)) for nested in layout.nested]

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
        for nested, mask_nested in inner:
            try:
                value, nested_cells = mask_nested(getattr(record, nested.name))
            except OF_A_USERS_CODE as error:
                raise rejection_of(error).at(nested.pointer) from None
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
    if isinstance(mask, Pseudonym | Scrub | TokensInside):
        return mask.writer(field, rule, keyset, notes)
    write = mask.writer(field, rule, keyset)
    return write if is_ours(mask) else lambda value: cell_of(write(value))


def _nested_masker(
    nested: Nested, keyset: Keyset, notes: Notes, in_json: bool
) -> Callable[[Any], tuple[Any, list[Cell]]]:
    """Return the same function for a nested object, or for a list of them, which is one cell of JSON."""
    mask = masker(nested.layout, keyset, notes, in_json or nested.many)
    columns = [column for column, _ in nested.layout.columns()]

    def mask_one(value: Any) -> tuple[Any, list[Cell]]:
        if value is None:
            return None, [None] * len(columns)
        values, cells = mask(value)
        return _typed(nested.layout, values), cells

    def mask_many(elements: Any) -> tuple[Any, list[Cell]]:
        if elements is None:
            return None, [None]
        parts, objects = [], []
        for index, element in enumerate(elements):
            try:
                part, cells = mask_one(element)
            except OF_A_USERS_CODE as error:
                raise rejection_of(error).at(f"/{index}") from None
            parts.append(part)
            objects.append(dict(zip(columns, map(json_member, cells), strict=True)))
        return parts, [json_cell(objects)]

    return mask_many if nested.many else mask_one


def _typed(layout: Layout, values: list[Any]) -> Any:
    """Return the object that a declaration describes, with canonical values."""
    names = [member.name for member in layout.members]
    return layout.make(**dict(zip(names, values, strict=True)))
