"""Where the rows of a declared stream hold personal data: the columns with tokens, and the one that says whose.

The functions that erase a person or bring tokens to a new key work by this, for any stream.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from sluice.declaration.inside import TokensInside
from sluice.declaration.layout import Case, Column, Field, Layout, Nested, single_field
from sluice.declaration.masks import Keep, Pseudonym, Redact
from sluice.declaration.rules import Each, INVALID, Rule
from sluice.failures import DeclarationError

SUBJECT = "subject"  # the domain of the tokens that stand for a person
LONGEST_DOMAIN = 64  # characters, as the vault's column


@dataclass(frozen=True)
class TokenPlace:
    """Where tokens of a domain are looked up: in a column, or in a member of the objects in a column of JSON."""

    column: str
    path: tuple[str, ...]  # of members, where the column is JSON
    domain: str
    recoverable: bool
    is_array: bool  # of PostgreSQL's
    is_json: bool = False

    def replace(self, value: Any, change: Callable[[str], str]) -> Any:
        """Return the column's value, with JSON decoded, after `change` was made to each token."""
        return _replace(value, self.path, change)


@dataclass(frozen=True)
class TextPlace:
    """Where tokens are inside of texts, or anywhere in JSON. They stand in an array too, and are looked up there."""

    column: str
    path: tuple[str, ...]  # of members, where the column is JSON
    is_json: bool

    def replace(self, value: Any, current: Mapping[str, str]) -> Any:
        """Return the column's value, with JSON decoded, with the current tokens in the place of these older ones."""
        if not current:
            return value
        older = re.compile("|".join(map(re.escape, current)))
        change = partial(older.sub, lambda found: current[found[0]])
        return _replace(value, self.path, partial(_replace_everywhere, change=change))


@dataclass(frozen=True)
class Subject:
    """The field that says whose row it is, and the column that tells it: kept in the clear, or as a token."""

    field: tuple[str, ...]  # names in the classes, from the stream inwards
    rule: Rule
    column: str
    is_kept: bool

    def text(self, member: Any) -> str | None:
        """Return whose record it is, as the text that a token is made of; None when that is null.

        `member` is the canonical value of the stream's field, or the object that has the field in it.
        """
        for name in self.field[1:]:
            member = getattr(member, name, None)
        return None if member is None else self.rule.text(member)

    def canonical(self, text: str) -> Any:
        """Return the canonical value of what a person typed. Raises Rejected when the rule does not take it."""
        return self.rule.canonical(msgspec.convert(text, self.rule.accepts, strict=False))


def token_places(
    layout: Layout, prefix: str = "", column: str = "", path: tuple[str, ...] = ()
) -> Iterator[TokenPlace]:
    """Yield all places of tokens, going the way that `Layout.columns` goes, and into lists of objects too."""
    for field in layout.fields:
        for mask in field.masks:
            if isinstance(mask, Pseudonym | TokensInside):
                name, domain = mask.column_of(prefix + field.name), mask.domain_of(field.name)
                if len(domain) > LONGEST_DOMAIN:
                    raise DeclarationError(f"{layout.name}.{field.name}: a domain has at most 64 characters")
                where = (column, (*path, name)) if column else (name, ())
                is_inside = isinstance(mask, TokensInside)
                is_json = bool(column) or (not is_inside and field.rule.is_json)
                is_array = not is_json and (is_inside or field.rule.element is not field.rule)
                yield TokenPlace(*where, domain, mask.recoverable, is_array, is_json)
    for nested in layout.nested:
        for case, before, its_column, its_path in _inside(nested, prefix, column, path):
            yield from token_places(case.layout, before, its_column, its_path)


def text_places(layout: Layout, prefix: str = "", column: str = "", path: tuple[str, ...] = ()) -> Iterator[TextPlace]:
    """Yield all places of tokens inside of texts, going the same way."""
    for field in layout.fields:
        for mask in field.masks:
            if any(isinstance(one, TokensInside) for one in mask.companions(field.name, field.rule)):
                name = mask.column_of(prefix + field.name)
                where = (column, (*path, name)) if column else (name, ())
                yield TextPlace(*where, bool(column) or field.rule.is_json)
    for nested in layout.nested:
        for case, before, its_column, its_path in _inside(nested, prefix, column, path):
            yield from text_places(case.layout, before, its_column, its_path)


def distinct_places(layout: Layout) -> tuple[TokenPlace, ...]:
    """Return the same places, each once where several cases of a union have it. Raises DeclarationError."""
    found: dict[tuple[str, ...], TokenPlace] = {}
    for place in token_places(layout):
        if found.setdefault((place.column, *place.path), place) != place:
            where = "[*].".join((place.column, *place.path))
            raise DeclarationError(
                f"{layout.name}: {where} has tokens of several domains, or some that are recoverable and some that are"
                " not, as the cases of a union have it; name another column in a mask of one of them"
            )
    return tuple(found.values())


def differ(one: Column, other: Column) -> str:
    """Tell why two cases of a union cannot write one column; nothing where they can."""
    if _is_empty(one) or _is_empty(other):
        return ""
    tokens = [_tokens(column) for column in (one, other)]
    if tokens[0] != tokens[1]:
        return "not both as tokens of one domain, recoverable or not"
    return "" if _holds(one) == _holds(other) else "one is a list and the other is none"


def subject(stream: Layout, path: str) -> Subject:
    """Return the subject that the stream names, as `field` or `object.field`. Raises DeclarationError."""
    around, field = single_field(stream, "subject", path)
    names = (*(nested.name for nested in around), field.name)
    if field.null_if and INVALID in field.null_if.when:
        raise DeclarationError(
            f"{stream.name}: the subject {path} must not become null where it is invalid: the row would be nobody's"
        )
    for mask in field.masks:
        is_kept = isinstance(mask, Keep) and mask.as_ is None
        if is_kept or (isinstance(mask, Pseudonym) and mask.domain_of(field.name) == SUBJECT):
            return Subject(names, field.rule, mask.column or "_".join(names), is_kept)
    raise DeclarationError(f"{stream.name}: the subject {path} must be kept, or be a Pseudonym of the domain subject")


def _inside(
    nested: Nested, prefix: str, column: str, path: tuple[str, ...]
) -> Iterator[tuple[Case, str, str, tuple[str, ...]]]:
    """Yield each case of an object, or of a list of them, with prefix, column and path of what is inside."""
    name = prefix + nested.name
    for case, before, _ in nested.inside(prefix):
        if not nested.many:
            yield case, before, column, path
        else:
            yield (case, "", column, (*path, name)) if column else (case, "", name, ())


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


def _replace_everywhere(value: Any, change: Callable[[str], str]) -> Any:
    """Return the value after `change` was made to each text in it."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_replace_everywhere(element, change) for element in value]
    return {key: _replace_everywhere(one, change) for key, one in value.items()} if isinstance(value, dict) else value


def _replace(value: Any, path: tuple[str, ...], change: Callable[[Any], Any]) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_replace(element, path, change) for element in value]
    if path:  # an older row may be of a declaration without it
        return {**value, path[0]: _replace(value[path[0]], path[1:], change)} if path[0] in value else value
    return change(value)
