"""Objects as the decoder hands them over in, canonical values and masked cells out."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import astuple

from sluice.failures import Rejected
from sluice.rules import Cell, cell_of, json_cell, json_member
from sluice.tokens import Keyset

if TYPE_CHECKING:
    from sluice.stream import Nested, Part


def masker(part: "type[Part]", keyset: Keyset, in_json: bool = False) -> Callable[[Any], tuple[list[Any], list[Cell]]]:
    """Return the function from an object as JSON has it to its canonical values, and to the cells of its columns."""
    plan = []
    for field in part.fields:
        rule = field.rule.in_json if in_json else field.rule
        plan.append((field.pointer, rule.canonical, [mask.writer(field.name, rule, keyset) for mask in field.masks]))
    inner = [(nested, masker(nested.part, keyset, in_json or nested.many)) for nested in part.nested]

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
                except Rejected as rejected:
                    raise rejected.at(pointer) from None
            values.append(value)
        for nested, mask_nested in inner:
            try:
                value, nested_cells = _mask_nested(nested, mask_nested, getattr(record, nested.name))
            except Rejected as rejected:
                raise rejected.at(nested.pointer) from None
            values.append(value)
            cells.extend(nested_cells)
        if part.derived:
            typed = _typed(part, values)
            cells.extend([cell_of(column.function(typed)) for column in part.derived.values()])
        return values, cells

    return mask


def _mask_nested(
    nested: "Nested", mask: Callable[[Any], tuple[list[Any], list[Cell]]], value: Any
) -> tuple[Any, list[Cell]]:
    """Return the canonical value of a nested object, or of a list of them, and its cells: a list is one of JSON."""
    columns = [column for column, _ in nested.part.columns()]
    if value is None:
        return None, [None] * (1 if nested.many else len(columns))
    if not nested.many:
        values, cells = mask(value)
        return _typed(nested.part, values), cells
    parts, objects = [], []
    for index, element in enumerate(value):
        try:
            values, cells = mask(element)
        except Rejected as rejected:
            raise rejected.at(f"/{index}") from None
        parts.append(_typed(nested.part, values))
        objects.append(dict(zip(columns, map(json_member, cells), strict=True)))
    return parts, [json_cell(objects)]


def _typed(part: "type[Part]", values: list[Any]) -> "Part":
    """Return the object that a declaration describes, with canonical values."""
    names = [member.name for member in (*part.fields, *part.nested)]
    return part(**dict(zip(names, values, strict=True)))
