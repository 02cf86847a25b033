"""Where the rows of a declared stream hold personal data: the columns with tokens, and those that say whose.

The functions that erase a person or bring tokens to a new key work by this, for any stream.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import msgspec

from sluice.declaration.inside import TokensInside
from sluice.declaration.layout import Field, Layout, Nested, named_fields
from sluice.declaration.masks import Keep, Mask, Pseudonym
from sluice.declaration.rules import INVALID, Each, Rule
from sluice.declaration.tree import Tree
from sluice.failures import DeclarationError

SUBJECT = "subject"  # the domain of the tokens that stand for a person
ERASED = "[erased]"  # in the place of a token inside of a text
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
class SubjectField:
    """A field that can say whose row it is, and the column that tells it: kept in the clear, or as a token."""

    path: tuple[str, ...]  # names in the classes, from the stream inwards
    rule: Rule  # of a single person
    column: str
    is_kept: bool
    is_array: bool  # of several persons
    domains: tuple[str, ...]  # of all tokens of it

    def canonical(self, text: str) -> Any:
        """Return the canonical value of what a person typed. Raises Rejected when the rule does not take it."""
        return self.rule.canonical(msgspec.convert(text, self.rule.accepts, strict=False))


@dataclass(frozen=True)
class Subject:
    """The fields that say whose row it is. The first that is present counts: not null, and no empty list."""

    fields: tuple[SubjectField, ...]

    @property
    def paths(self) -> list[str]:
        """The fields, as the stream names them."""
        return [".".join(field.path) for field in self.fields]

    def reader(self, members: Sequence[str]) -> Callable[[Sequence[Any]], tuple[str, ...]]:
        """Return the function from canonical values, in the order of these members, to the texts of the persons.

        Tokens are made of these texts. There are none where the record does not say whose it is.
        """
        plan = [
            (members.index(field.path[0]), field.path[1:], field.is_array, field.rule.text) for field in self.fields
        ]

        if len(plan) == 1 and plan[0][1:3] == ((), False):  # the hot path: a field of the stream's own
            return _single_reader(plan[0][0], plan[0][3])

        def read(values: Sequence[Any]) -> tuple[str, ...]:
            for place, inner, is_array, text in plan:
                value = values[place]
                for name in inner:
                    value = getattr(value, name, None)
                if value is None or (is_array and not value):
                    continue
                return tuple([text(one) for one in value]) if is_array else (text(value),)
            return ()

        return read


def _single_reader(place: int, text: Callable[[Any], str]) -> Callable[[Sequence[Any]], tuple[str, ...]]:
    def read(values: Sequence[Any]) -> tuple[str, ...]:
        value = values[place]
        return () if value is None else (text(value),)

    return read


@dataclass(frozen=True)
class Mentions:
    """The fields that mention other people, and where the rows have the tokens of these."""

    paths: tuple[str, ...] = ()  # as the stream names them
    places: tuple[TokenPlace, ...] = ()
    texts: tuple[TextPlace, ...] = ()

    @property
    def columns(self) -> dict[str, bool]:
        """The columns, each with whether it is JSON."""
        in_json = {place.column for place in self.places if place.is_json}
        in_json |= {text.column for text in self.texts if text.is_json}
        names = [place.column for place in self.places] + [text.column for text in self.texts]
        return {name: name in in_json for name in names}

    def without(self, values: Mapping[str, Any], tokens: Collection[str]) -> dict[str, Any]:
        """Return the columns' values, with JSON decoded, without these tokens."""
        left = dict(values)
        for place in self.places:
            left[place.column] = _without(left[place.column], place.path, tokens)
        for text in self.texts:
            left[text.column] = text.replace(left[text.column], dict.fromkeys(tokens, ERASED))
        return left


class _Written(NamedTuple):
    """Where a mask writes: to a column, or to a member of the objects in a column of JSON."""

    part: str  # the class that declares it
    field: Field
    mask: Mask
    column: str
    path: tuple[str, ...]  # of members, where the column is JSON


def token_places(layout: Layout) -> Iterator[TokenPlace]:
    """Yield all places of tokens, those in lists of objects too."""
    for place in _written(layout):
        field, mask = place.field, place.mask
        if isinstance(mask, Pseudonym | TokensInside):
            domain = mask.domain_of(field.name)
            if len(domain) > LONGEST_DOMAIN:
                raise DeclarationError(f"{place.part}.{field.name}: a domain has at most 64 characters")
            is_inside = isinstance(mask, TokensInside)
            is_json = bool(place.path) or (not is_inside and field.rule.is_json)
            is_array = not is_json and (is_inside or field.rule.element is not field.rule)
            yield TokenPlace(place.column, place.path, domain, mask.recoverable, is_array, is_json)


def text_places(layout: Layout) -> Iterator[TextPlace]:
    """Yield all places of tokens inside of texts, those in lists of objects too."""
    for place in _written(layout):
        field = place.field
        if any(isinstance(one, TokensInside) for one in place.mask.companions(field.name, field.rule)):
            yield TextPlace(place.column, place.path, bool(place.path) or field.rule.is_json)


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


def subject(stream: Layout, paths: Sequence[str]) -> Subject | None:
    """Return the subject that the stream names: the fields that say whose a record is. Raises DeclarationError."""
    if len(set(paths)) < len(paths):
        raise DeclarationError(f"{stream.name}: the subject names a field twice")
    return Subject(tuple(_subject_field(stream, path) for path in paths)) if paths else None


def mentions(stream: Layout, paths: Iterable[str], subject: Subject | None) -> Mentions:
    """Return the fields that the stream names as mentions of other people. Raises DeclarationError."""
    found = [
        _mentions(stream, path, around, field, subject)
        for path in dict.fromkeys(paths)
        for around, field in named_fields(stream, "mention", path)
    ]
    return Mentions(
        tuple(dict.fromkeys(path for one in found for path in one.paths)),
        tuple(dict.fromkeys(place for one in found for place in one.places)),
        tuple(dict.fromkeys(text for one in found for text in one.texts)),
    )


def _subject_field(stream: Layout, path: str) -> SubjectField:
    """Return the field of a path, which is the same in each shape that has it. Raises DeclarationError."""
    found, *others = [_of_subject(stream, path, *where) for where in named_fields(stream, "subject", path)]
    if any(other != found for other in others):
        raise DeclarationError(
            f"{stream.name}: the subject {path} is not the same in all shapes that have it;"
            " give it one rule and the same masks"
        )
    return found


def _of_subject(stream: Layout, path: str, around: Sequence[Nested], field: Field) -> SubjectField:
    named = f"{stream.name}: the subject {path}"
    for nested in around:
        if nested.many:
            raise DeclarationError(
                f"{named} goes through {nested.name}, a list of objects, which is a column of JSON;"
                " a list of people is a field of its own: Annotated[list[str], Each(…)]"
            )
    if isinstance(field.rule, Tree):
        raise DeclarationError(f"{named} is no field with a single value, or with a list of them")
    names = (*(nested.name for nested in around), field.name)
    prefix = ""
    for nested in around:
        ((_, prefix, _),) = nested.inside(prefix)
    if field.null_if and INVALID in field.null_if.when:
        raise DeclarationError(
            f"{stream.name}: the subject {path} must not become null where it is invalid: the row would be nobody's"
        )
    pseudonyms = [mask for mask in field.masks if isinstance(mask, Pseudonym)]
    for mask in field.masks:
        is_kept = isinstance(mask, Keep) and mask.as_ is None
        if is_kept or (isinstance(mask, Pseudonym) and mask.domain_of(field.name) == SUBJECT):
            if field.rule.is_json:
                raise DeclarationError(f"{named} must be an array, to be looked up: Each without json")
            column = mask.column or prefix + field.name
            domains = tuple(dict.fromkeys(one.domain_of(field.name) for one in pseudonyms))
            return SubjectField(names, field.rule.element, column, is_kept, isinstance(field.rule, Each), domains)
    raise DeclarationError(f"{named} must be kept, or be a Pseudonym of the domain subject")


def _mentions(stream: Layout, path: str, around: Sequence[Nested], field: Field, subject: Subject | None) -> Mentions:
    named = f"{stream.name}: the mention {path}"
    if subject and path in subject.paths:
        raise DeclarationError(f"{named} is the subject, too: the whole row is erased with its subject")
    if any(isinstance(mask, Keep) for mask in field.masks):
        raise DeclarationError(f"{named} is kept in the clear, where no erasure finds it; mask it with a Pseudonym")
    alone = _alone(stream, around, field)
    places = tuple(place for place in token_places(alone) if place.domain == SUBJECT)
    if not places:
        raise DeclarationError(f"{named} must be a Pseudonym of the domain subject")
    can_be_null = field.optional or any(nested.optional for nested in around)
    if not (can_be_null or all(place.is_json or place.is_array for place in places)):
        raise DeclarationError(f"{named} becomes NULL with an erasure: give its type `| None`")
    return Mentions((path,), places, tuple(text_places(alone)))


def _alone(stream: Layout, around: Sequence[Nested], field: Field) -> Layout:
    """Return the layout without all other fields."""
    inner: tuple[tuple[Field, ...], tuple[Nested, ...]] = ((field,), ())
    for nested in reversed(around):
        fields, within = inner
        (case,) = nested.cases
        alone = replace(case, layout=replace(case.layout, fields=fields, nested=within))
        inner = (), (replace(nested, cases=(alone,)),)
    return replace(stream, fields=inner[0], nested=inner[1])


def _without(value: Any, path: tuple[str, ...], tokens: Collection[str]) -> Any:
    """Return a column's value, with JSON decoded, without these tokens: null in their place, in a list nothing."""
    if isinstance(value, list):
        return [_without(element, path, tokens) for element in value if path or element not in tokens]
    if path and value is not None:
        return {**value, path[0]: _without(value[path[0]], path[1:], tokens)} if path[0] in value else value
    return None if value in tokens else value


def _written(layout: Layout, prefix: str = "", column: str = "", path: tuple[str, ...] = ()) -> Iterator[_Written]:
    """Yield where each mask writes, going the way that `Layout.places` goes, and into lists of objects too."""
    for field in layout.fields:
        for mask in field.masks:
            name = mask.column_of(prefix + field.name)
            yield _Written(layout.name, field, mask, column or name, (*path, name) if column else ())
    for nested in layout.nested:
        name = prefix + nested.name
        for case, before, _ in nested.inside(prefix):
            if nested.many:
                yield from _written(case.layout, "", column or name, (*path, name) if column else ())
            else:
                yield from _written(case.layout, before, column, path)


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
