"""The layout of a declaration: its fields, the objects inside it and its derived columns, as plain data."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import msgspec

from sluice.declaration.masks import Mask
from sluice.declaration.paths import pointer_of
from sluice.declaration.rules import NullIf, Rule
from sluice.declaration.tree import Tree
from sluice.declaration.unions import Tag, Tagged, Union
from sluice.failures import DeclarationError

OWN_COLUMNS = ("message_id", "sent_at")  # every stream's table has these two, from the message


@dataclass(frozen=True)
class Member:
    """What a declaration names: `name` in the class, `key` in the record."""

    name: str
    key: str
    optional: bool  # null is a value
    is_itself: bool = dataclasses.field(default=False, kw_only=True)  # no member of an object, but the value around it

    @property
    def pointer(self) -> str:
        """The key as a JSON pointer (RFC 6901)."""
        return "" if self.is_itself else pointer_of(self.key)


@dataclass(frozen=True)
class Field(Member):
    """A value: what it accepts, and the masks that make its columns."""

    rule: Rule
    masks: tuple[Mask, ...]
    null_if: NullIf | None = None

    @property
    def accepts(self) -> Any:
        """What the decoder takes where this is not null: with NullIf it leaves JSON."""
        return msgspec.Raw if self.null_if else self.rule.accepts


class Source(Enum):
    """Where an object is read from that is outside of the record."""

    ENVELOPE = "envelope"
    MESSAGE = "message"


FROM_ENVELOPE, FROM_MESSAGE = Source.ENVELOPE, Source.MESSAGE


@dataclass(frozen=True)
class Prefix:
    """What goes before the names of an object's columns, in the place of the object's own name."""

    text: str

    def check(self) -> None:
        """Raise DeclarationError when it is no text."""
        if not isinstance(self.text, str):
            raise DeclarationError('Prefix takes a text, such as Prefix("") or Prefix("buyer_")')


@dataclass(frozen=True)
class Case:
    """One of the shapes of a value."""

    layout: "Layout"
    told: str = ""  # what decides for it, as a person reads it
    is_object: bool = True  # else the layout has the value itself alone
    tags: tuple[Tag, ...] = ()  # none: every other tag
    json_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Nested(Member):
    """An object with a layout of its own, or a list of such objects. In a union it has one of several layouts."""

    cases: tuple[Case, ...]
    many: bool
    union: Union | None = None  # what decides which case it is
    prefix: Prefix | None = None  # of its columns; None: its name
    source: Source | None = None  # None: the record has it

    @property
    def pointer(self) -> str:
        """The key as a JSON pointer. Outside of the record it begins with the source, which no pointer in it can."""
        return self.source.value if self.source else super().pointer

    @property
    def layout(self) -> "Layout":
        """The layout of what is no union."""
        (case,) = self.cases
        return case.layout

    @property
    def accepts(self) -> Any:
        """What the decoder takes where this is not null: of a union it leaves JSON."""
        one: Any = msgspec.Raw if self.union else self.layout.wire
        return list[one] if self.many else one

    @property
    def inline(self) -> Tagged | None:
        """The union, where its cases' fields are members of the object around it."""
        return self.union if isinstance(self.union, Tagged) and self.union.inline else None

    def before(self, prefix: str) -> str:
        """Return what goes before the names of the object's columns, given what goes before those around it."""
        return prefix + (f"{self.name}_" if self.prefix is None else self.prefix.text)

    def inside(self, prefix: str = "", pointer: str = "") -> Iterator[tuple[Case, str, str]]:
        """Yield each case, what goes before the names of its columns, and where it is in the record."""
        place = pointer + self.pointer
        for case in self.cases:
            if self.many:
                yield case, "", f"{place}/*"
            else:
                yield case, prefix if self.inline or not case.is_object else self.before(prefix), place

    def places(self, at: "At") -> Iterator["Column"]:
        """Yield the columns of all cases, of a list the members of its objects. What a case lacks can be null."""
        source = at.path + self.name
        found = []
        for case, prefix, pointer in self.inside(at.prefix, at.pointer):
            path = f"{source}." if case.is_object else at.path
            cases = (*at.cases, (source, case.told)) if self.union else at.cases
            found.append([*case.layout.places(At(prefix, pointer, path, at.optional or self.optional, cases))])
        everywhere = set.intersection(*({column.name for column in columns} for columns in found))
        for column in [column for columns in found for column in columns]:
            yield column if column.name in everywhere else replace(column, optional=True)


@dataclass(frozen=True)
class Derived:
    """A column that a function makes of the whole record."""

    function: Callable[[Any], Any]
    is_constant: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a row, and where in the declaration it comes from."""

    name: str
    pointer: str  # in the record (RFC 6901); empty for a column that is derived from more
    source: str  # the field or derived column, with dots from the declared class inwards
    part: str  # the class that declares it
    declared: Field | Nested | Derived  # what it is made of
    mask: Mask | None  # of a field; it could name another column
    optional: bool  # the field or an object around it can be null, or a case of a union lacks it
    cases: tuple[tuple[str, str], ...] = ()  # of the unions around it: the union's field, and what decides

    def excludes(self, other: "Column") -> bool:
        """Whether the two are of different cases, so that no row has both."""
        cases = dict(self.cases)
        return any(cases.get(union, case) != case for union, case in other.cases)

    @property
    def is_named(self) -> bool:
        """Whether its mask names it: no object's name goes before it then."""
        return self.mask is not None and self.mask.column is not None


@dataclass(frozen=True)
class At:
    """Where in a stream a layout is."""

    prefix: str = ""  # of its columns' names
    pointer: str = ""  # of the object that it describes
    path: str = ""  # of names in the classes, each with a dot behind it
    optional: bool = False
    cases: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Layout:
    """What a Part or a Stream declares."""

    name: str  # of the class
    fields: tuple[Field, ...]
    nested: tuple[Nested, ...]
    derived: Mapping[str, Derived]  # by column
    wire: type[msgspec.Struct]  # the object as JSON has it, before the rules: first the fields, then the nested objects
    make: Callable[..., Any]  # the class: takes canonical values by name

    @property
    def members(self) -> tuple[Field | Nested, ...]:
        """Fields and nested objects, in the order of the wire type."""
        return (*self.fields, *self.nested)

    def columns(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield the columns of a row in the order of its cells, each with what it is made of.

        That is a JSON pointer (RFC 6901) in the record, or nothing for a column that is derived from more.
        """
        pointers: dict[str, str] = {}
        for column in self.places(At(prefix)):
            is_of_one = pointers.setdefault(column.name, column.pointer) == column.pointer
            pointers[column.name] = column.pointer if is_of_one else ""
        yield from pointers.items()

    def places(self, at: At = At()) -> Iterator[Column]:
        """Yield the same columns with all that is known of them, once for each case of a union that writes it."""
        for field in self.fields:
            for mask in field.masks:
                name, place = mask.column_of(at.prefix + field.name), at.pointer + field.pointer
                can_be_null = at.optional or field.optional
                yield Column(name, place, at.path + field.name, self.name, field, mask, can_be_null, at.cases)
        for nested in self.nested:
            name, place = at.prefix + nested.name, at.pointer + nested.pointer
            can_be_null = at.optional or nested.optional
            if nested.many:
                yield Column(name, place, at.path + nested.name, self.name, nested, None, can_be_null, at.cases)
            else:
                yield from nested.places(at)
        for name, derived in self.derived.items():
            source = at.path + name
            yield Column(at.prefix + name, "", source, self.name, derived, None, at.optional, at.cases)


def single_field(stream: Layout, what: str, path: str) -> tuple[list[Nested], Field]:
    """Return the field with a single value that a stream names as `field` or `object.field`, after the objects around.

    Raises DeclarationError, in which `what` says what the stream names it for.
    """
    (around, field), *_ = named_fields(stream, what, path, "field with a single value")
    named = f"{stream.name}: the {what} {path}"
    for nested in around:
        if nested.union:
            raise DeclarationError(
                f"{named} goes through {nested.name}, which has several shapes; name a field that every record has"
            )
        if nested.many:
            raise DeclarationError(f"{named} goes through {nested.name}, which is no object")
    if field.rule.element is not field.rule or isinstance(field.rule, Tree):
        raise DeclarationError(f"{named} is no field with a single value")
    return around, field


def named_fields(stream: Layout, what: str, path: str, wanted: str = "field") -> list[tuple[list[Nested], Field]]:
    """Return the field that a stream names, in objects or in lists of them, after the objects around.

    Of a value with several shapes it is the field of each shape that has it, after a value of that shape alone. Raises
    DeclarationError, in which `what` says what the stream names it for.
    """
    named = f"{stream.name}: the {what} {path}"
    *outer, last = path.split(".")
    ways: list[tuple[list[Nested], Layout]] = [([], stream)]
    for name in outer:
        ways = [
            ([*around, replace(nested, cases=(case,))], case.layout)
            for around, layout in ways
            for nested in layout.nested
            for case in nested.cases
            if nested.name == name and case.is_object
        ]
        if not ways:
            raise DeclarationError(f"{named} goes through {name}, which is no object")
        if any(around[-1].source and (what, around[-1].source) != ("subject", Source.ENVELOPE) for around, _ in ways):
            raise DeclarationError(f"{named} is outside of the record: name one in it")
    found = [(around, field) for around, layout in ways for field in layout.fields if field.name == last]
    if not found:
        raise DeclarationError(f"{named} is no {wanted}")
    return found
