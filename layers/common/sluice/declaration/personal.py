"""Where the rows of a declared stream hold personal data: the columns with tokens, and those that say whose.

The functions that erase a person or bring tokens to a new key work by this, for any stream.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from sluice.declaration.layout import Field, Layout, Nested, named_field
from sluice.declaration.masks import Keep, Pseudonym
from sluice.declaration.rules import Each, Rule
from sluice.failures import DeclarationError

SUBJECT = "subject"  # the domain of the tokens that stand for a person
LONGEST_DOMAIN = 64  # characters, as the vault's column


@dataclass(frozen=True)
class TokenPlace:
    """Where tokens of a domain are: in a column, or in a member of the objects in a column of JSON."""

    column: str
    path: tuple[str, ...]  # of members, where the column is JSON
    domain: str
    recoverable: bool
    is_array: bool  # of PostgreSQL's

    def replace(self, value: Any, change: Callable[[str], str]) -> Any:
        """Return the column's value, with JSON decoded, after `change` was made to each token."""
        return _replace(value, self.path, change)


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


def token_places(
    layout: Layout, prefix: str = "", column: str = "", path: tuple[str, ...] = ()
) -> Iterator[TokenPlace]:
    """Yield all places of tokens, going the way that `Layout.columns` goes, and into lists of objects too."""
    for field in layout.fields:
        for mask in field.masks:
            if isinstance(mask, Pseudonym):
                name, domain = mask.column or prefix + field.name, mask.domain_of(field.name)
                if len(domain) > LONGEST_DOMAIN:
                    raise DeclarationError(f"{layout.name}.{field.name}: a domain has at most 64 characters")
                where = (column, (*path, name)) if column else (name, ())
                is_array = not column and field.rule.element is not field.rule
                yield TokenPlace(*where, domain, mask.recoverable, is_array)
    for nested in layout.nested:
        name = prefix + nested.name
        if not nested.many:
            yield from token_places(nested.layout, f"{name}_", column, path)
        elif column:
            yield from token_places(nested.layout, "", column, (*path, name))
        else:
            yield from token_places(nested.layout, "", name)


def subject(stream: Layout, paths: Sequence[str]) -> Subject | None:
    """Return the subject that the stream names: the fields that say whose a record is. Raises DeclarationError."""
    if len(set(paths)) < len(paths):
        raise DeclarationError(f"{stream.name}: the subject names a field twice")
    return Subject(tuple(_subject_field(stream, path) for path in paths)) if paths else None


def mentions(stream: Layout, paths: Iterable[str], subject: Subject | None) -> tuple[TokenPlace, ...]:
    """Return where the rows have tokens of persons whom they only mention. Raises DeclarationError."""
    return tuple(place for path in dict.fromkeys(paths) for place in _mentions(stream, path, subject))


def _subject_field(stream: Layout, path: str) -> SubjectField:
    around, field = named_field(stream, "subject", path)
    named = f"{stream.name}: the subject {path}"
    for nested in around:
        if nested.many:
            raise DeclarationError(
                f"{named} goes through {nested.name}, a list of objects, which is a column of JSON;"
                " a list of people is a field of its own: Annotated[list[str], Each(…)]"
            )
    names = (*(nested.name for nested in around), field.name)
    pseudonyms = [mask for mask in field.masks if isinstance(mask, Pseudonym)]
    for mask in field.masks:
        is_kept = isinstance(mask, Keep) and mask.as_ is None
        if is_kept or (isinstance(mask, Pseudonym) and mask.domain_of(field.name) == SUBJECT):
            if isinstance(field.rule, Each) and field.rule.json:
                raise DeclarationError(f"{named} must be an array, to be looked up: Each without json")
            column = mask.column or "_".join(names)
            domains = tuple(dict.fromkeys(one.domain_of(field.name) for one in pseudonyms))
            return SubjectField(names, field.rule.element, column, is_kept, isinstance(field.rule, Each), domains)
    raise DeclarationError(f"{named} must be kept, or be a Pseudonym of the domain subject")


def _mentions(stream: Layout, path: str, subject: Subject | None) -> Iterator[TokenPlace]:
    around, field = named_field(stream, "mention", path)
    named = f"{stream.name}: the mention {path}"
    if subject and path in subject.paths:
        raise DeclarationError(f"{named} is the subject, too: the whole row is erased with its subject")
    if any(isinstance(mask, Keep) for mask in field.masks):
        raise DeclarationError(f"{named} is kept in the clear, where no erasure finds it; mask it with a Pseudonym")
    places = [place for place in token_places(_alone(stream, around, field)) if place.domain == SUBJECT]
    if not places:
        raise DeclarationError(f"{named} must be a Pseudonym of the domain subject")
    can_be_null = field.optional or any(nested.optional for nested in around)
    for place in places:
        if not (place.path or place.is_array or can_be_null):
            raise DeclarationError(f"{named} becomes NULL with an erasure: give its type `| None`")
        yield place


def _alone(stream: Layout, around: Sequence[Nested], field: Field) -> Layout:
    """Return the layout without all other fields."""
    inner: tuple[tuple[Field, ...], tuple[Nested, ...]] = ((field,), ())
    for nested in reversed(around):
        fields, within = inner
        inner = (), (replace(nested, layout=replace(nested.layout, fields=fields, nested=within)),)
    return replace(stream, fields=inner[0], nested=inner[1])


def without(value: Any, path: tuple[str, ...], tokens: Collection[str]) -> Any:
    """Return a column's value, with JSON decoded, without these tokens: null in their place, in a list nothing."""
    if isinstance(value, list):
        return [without(element, path, tokens) for element in value if path or element not in tokens]
    if path and value is not None:
        return {**value, path[0]: without(value[path[0]], path[1:], tokens)} if path[0] in value else value
    return None if value in tokens else value


def _replace(value: Any, path: tuple[str, ...], change: Callable[[str], str]) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_replace(element, path, change) for element in value]
    if path:  # an older row may be of a declaration without it
        return {**value, path[0]: _replace(value[path[0]], path[1:], change)} if path[0] in value else value
    return change(value)
