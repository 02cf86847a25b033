"""Collisions: what is written to one column twice, and what cases of a union cannot write to one."""

from collections.abc import Iterable

from sluice.declaration.inside import TokensInside
from sluice.declaration.layout import At, Column, Field, Layout, Nested
from sluice.declaration.masks import Pseudonym, Redact
from sluice.declaration.rules import Each
from sluice.failures import DeclarationError


def check(layout: Layout, own: tuple[str, ...]) -> None:
    """Raise DeclarationError when a column is written twice, or is one of `own`, which Sluice writes itself.

    Two cases of a union may write one column, where it holds the same kind of thing.
    """
    _check_places(layout.name, layout.places(), own)
    for nested in layout.nested:
        if nested.many and nested.union:
            _check_places(layout.name, nested.places(At()), ())


def _check_places(name: str, places: Iterable[Column], own: tuple[str, ...]) -> None:
    found: dict[str, list[Column]] = {}
    for column in places:
        if column.name in own:
            change = "name another column in its mask" if column.mask else "give it another name"
            raise DeclarationError(
                f"{name}: {column.source} is written to the column {column.name},"
                f" which Sluice writes itself in every table; {change}"
            )
        others = found.setdefault(column.name, [])
        for other in others:
            if not other.excludes(column):
                raise DeclarationError(f"{name}: {_collision(other, column)}")
            if difference := _differ(other, column):
                raise DeclarationError(
                    f"{name}: {other.source} and {column.source} are both written to the column {column.name}, but"
                    f" {difference}; name another column in a mask of one of them"
                )
        others.append(column)


def _collision(one: Column, other: Column) -> str:
    """Tell which two things are written to one column, and what to change."""
    if one.source == other.source:
        return f"two masks of {one.source} write to the column {one.name}; name another column in one of them"
    both = f"{one.source} and {other.source} are both written to the column {one.name}"
    field, is_same_part = one.source.rpartition(".")[2], one.part == other.part
    if one.is_named and other.is_named and is_same_part and other.source.endswith(f".{field}"):
        return (
            f"{both}, which a mask of {one.part}.{field} names; leave the name out there,"
            " so that each object's name goes before the field's, or declare a Part for each"
        )
    if one.mask or other.mask:
        return f"{both}; name another column in a mask of one of them"
    return f"{both}; give one of them another name"


def _differ(one: Column, other: Column) -> str:
    """Tell why two cases of a union cannot write one column; nothing where they can."""
    if _is_empty(one) or _is_empty(other):
        return ""
    tokens = [_tokens(column) for column in (one, other)]
    if tokens[0] != tokens[1]:
        return "not both as tokens of one domain, recoverable or not"
    return "" if _holds(one) == _holds(other) else "one is a list and the other is none"


def _is_empty(column: Column) -> bool:
    return isinstance(column.mask, Redact) and column.mask.constant is None


def _tokens(column: Column) -> tuple[str, bool] | None:
    """Return the domain of a column's tokens, and whether they are recoverable; None where it has none."""
    if isinstance(column.mask, Pseudonym | TokensInside) and isinstance(column.declared, Field):
        return column.mask.domain_of(column.declared.name), column.mask.recoverable
    return None


def _holds(column: Column) -> str:
    if isinstance(column.declared, Field) and isinstance(column.declared.rule, Each):
        return "json" if column.declared.rule.json else "array"
    if isinstance(column.mask, TokensInside):
        return "array"
    return "json" if isinstance(column.declared, Nested) else "one"
