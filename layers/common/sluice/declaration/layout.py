"""The layout of a declaration: its fields, the objects inside it and its derived columns, as plain data."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from sluice.declaration.masks import Mask
from sluice.declaration.rules import Rule
from sluice.failures import DeclarationError

OWN_COLUMNS = ("message_id", "sent_at")  # every stream's table has these two, from the message


@dataclass(frozen=True)
class Member:
    """What a declaration names: `name` in the class, `key` in the record."""

    name: str
    key: str
    optional: bool  # null is a value

    @property
    def pointer(self) -> str:
        """The key as a JSON pointer (RFC 6901)."""
        return "/" + self.key.replace("~", "~0").replace("/", "~1")


@dataclass(frozen=True)
class Field(Member):
    """A value: what it accepts, and the masks that make its columns."""

    rule: Rule
    masks: tuple[Mask, ...]


@dataclass(frozen=True)
class Nested(Member):
    """An object with a layout of its own, or a list of such objects."""

    layout: "Layout"
    many: bool


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
    optional: bool  # the field or an object around it: null is a value

    @property
    def is_named(self) -> bool:
        """Whether its mask names it: no object's name goes before it then."""
        return self.mask is not None and self.mask.column is not None


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

    def columns(self) -> Iterator[tuple[str, str]]:
        """Yield the columns of a row in the order of its cells, each with what it is made of.

        That is a JSON pointer (RFC 6901) in the record, or nothing for a column that is derived from more.
        """
        for column in self.places():
            yield column.name, column.pointer

    def places(self, prefix: str = "", pointer: str = "", path: str = "", optional: bool = False) -> Iterator[Column]:
        """Yield the same columns with all that is known of them."""
        for field in self.fields:
            for mask in field.masks:
                name, source = mask.column_of(prefix + field.name), path + field.name
                place, can_be_null = pointer + field.pointer, optional or field.optional
                yield Column(name, place, source, self.name, field, mask, can_be_null)
        for nested in self.nested:
            name, place, source = prefix + nested.name, pointer + nested.pointer, path + nested.name
            can_be_null = optional or nested.optional
            if nested.many:
                yield Column(name, place, source, self.name, nested, None, can_be_null)
            else:
                yield from nested.layout.places(f"{name}_", place, f"{source}.", can_be_null)
        for name, derived in self.derived.items():
            yield Column(prefix + name, "", path + name, self.name, derived, None, optional)


def single_field(stream: Layout, what: str, path: str) -> tuple[list[Nested], Field]:
    """Return the field with a single value that a stream names as `field` or `object.field`, after the objects around.

    Raises DeclarationError, in which `what` says what the stream names it for.
    """
    around, field = named_field(stream, what, path, "field with a single value")
    name = next((nested.name for nested in around if nested.many), None)
    if name is not None:
        raise DeclarationError(f"{stream.name}: the {what} {path} goes through {name}, which is no object")
    if field.rule.element is not field.rule:
        raise DeclarationError(f"{stream.name}: the {what} {path} is no field with a single value")
    return around, field


def named_field(stream: Layout, what: str, path: str, wanted: str = "field") -> tuple[list[Nested], Field]:
    """Return the field that a stream names, in objects or in lists of them, after the objects around.

    Raises DeclarationError, in which `what` says what the stream names it for.
    """
    *outer, last = path.split(".")
    layout, around = stream, []
    for name in outer:
        nested = next((nested for nested in layout.nested if nested.name == name), None)
        if nested is None:
            raise DeclarationError(f"{stream.name}: the {what} {path} goes through {name}, which is no object")
        layout = nested.layout
        around.append(nested)
    field = next((field for field in layout.fields if field.name == last), None)
    if field is None:
        raise DeclarationError(f"{stream.name}: the {what} {path} is no {wanted}")
    return around, field
