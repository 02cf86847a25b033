"""The declared streams: a name in, every column of its rows out, with what it is made of and how it is masked."""

import json
import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from types import GenericAlias, UnionType
from typing import Any, get_type_hints

from sluice.declaration import column_types, registry
from sluice.declaration.inside import TokensInside
from sluice.declaration.layout import Derived, Layout
from sluice.declaration.masks import Mask, Pseudonym
from sluice.declaration.registry import names
from sluice.declaration.rules import Rule
from sluice.declaration.scrub import Find
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError
from tools.sluice_cli.terminal import USAGE, fail

MEMBERS = ("column", "domain")  # options of masks that an entry tells by itself


@dataclass(frozen=True)
class Entry:
    """One column, or one member of the objects in a column of JSON."""

    pointer: str  # RFC 6901, `*` standing for each element of a list; empty: not of a single field
    name: str  # of the field in its class
    type: str
    rule: Rule | None
    mask: Mask | Derived | None  # nothing: it comes from the message
    path: tuple[str, ...]  # the column, then the members inside it
    nullable: bool  # null can be stored, as far as one knows

    @property
    def column(self) -> str:
        return "[*].".join(self.path)

    @property
    def domain(self) -> str | None:
        return self.mask.domain_of(self.name) if isinstance(self.mask, Pseudonym | TokensInside) else None

    @property
    def is_constant(self) -> bool:
        return isinstance(self.mask, Derived) and self.mask.is_constant


def stream(name: str) -> type[Stream]:
    """Import the stream that the command line names, or end the command."""
    if name not in names():
        fail(f"there is no stream {name}; there are {', '.join(names())}", USAGE)
    try:
        return registry.load(name)
    except DeclarationError as error:
        fail(str(error))


def entries(stream: type[Stream]) -> list[Entry]:
    """Return what a row is made of, in the order of its cells; the message's own columns come last."""
    own = [
        Entry("", "message_id", "UUID", None, None, ("message_id",), nullable=False),
        Entry("", "sent_at", "datetime", None, None, ("sent_at",), nullable=False),
    ]
    return [*_of_object(stream.layout, "", ()), *own]


def about(stream: type[Stream]) -> str:
    """Return the first paragraph of a stream's docstring, in one line."""
    return " ".join((stream.__doc__ or "").split("\n\n")[0].split())


def rule_text(rule: Rule | None) -> str:
    return _call(rule) if rule else ""


def mask_text(entry: Entry) -> str:
    """Return a column's mask with its options, or where else the column comes from."""
    if isinstance(entry.mask, Derived):
        return f"Constant({_literal(entry.mask.function(None))})" if entry.is_constant else "Derived"
    return _call(entry.mask) if entry.mask else "Message"


def options(declared: Rule | Mask) -> dict[str, Any]:
    """Return name and options of a rule or mask as JSON has them, but for those that an entry has a member for."""
    told = {name: _plain(value) for name, _, value in _options(declared) if name not in MEMBERS}
    return {"name": type(declared).__name__} | told


def _of_object(layout: Layout, pointer: str, inside: tuple[str, ...]) -> Iterator[Entry]:
    """Yield the entries of a row, or of the objects in a column of JSON."""
    nullable = {column.name: column.nullable for column in column_types.columns(layout)}
    yield from _entries(layout, "", pointer, inside, nullable)


def _entries(
    layout: Layout, prefix: str, pointer: str, inside: tuple[str, ...], nullable: Mapping[str, bool]
) -> Iterator[Entry]:
    """Go the way that `Layout.columns` goes, and into lists of objects too."""
    hints = get_type_hints(layout.make)
    for field in layout.fields:
        for mask in field.masks:
            column = mask.column_of(prefix + field.name)
            place, type_ = pointer + field.pointer, _type(hints[field.name])
            yield Entry(place, field.name, type_, field.rule, mask, (*inside, column), nullable[column])
    for nested in layout.nested:
        name, place = prefix + nested.name, pointer + nested.pointer
        if nested.many:
            yield from _of_object(nested.layout, f"{place}/*", (*inside, name))
        else:
            yield from _entries(nested.layout, f"{name}_", place, inside, nullable)
    for name, made in layout.derived.items():
        returned = type(made.function(None)) if made.is_constant else _returned(made.function)
        column = prefix + name
        yield Entry("", name, _type(returned), None, made, (*inside, column), nullable[column])


def _returned(function: Callable[[Any], Any]) -> Any:
    return get_type_hints(function).get("return", object)


def _type(hint: Any) -> str:
    text = str(hint) if isinstance(hint, UnionType | GenericAlias) or not isinstance(hint, type) else hint.__name__
    return re.sub(r"\b\w+\.", "", text)


def _options(declared: object) -> list[tuple[str, str, Any]]:
    """Return the options of a rule or mask: its name, how it stands before the value in a call, and the value."""
    if not is_dataclass(declared):
        return []
    shown = [option for option in fields(declared) if option.repr]
    named = [(option.metadata.get("parameter", option.name), option.name) for option in shown]
    return [(name or own, f"{name}=" if name else "", getattr(declared, own)) for name, own in named]


def _call(declared: Rule | Mask | Find, hidden: Container[str] = MEMBERS) -> str:
    given = [
        f"{before}{_literal(value)}"
        for name, before, value in _options(declared)
        if name not in hidden and value is not None and value is not False
    ]
    return type(declared).__name__ + (f"({', '.join(given)})" if given else "")


def _literal(value: Any) -> str:
    if isinstance(value, Rule | Find):
        return _call(value)
    if isinstance(value, Mask):
        return _call(value, hidden=())
    if isinstance(value, tuple) and any(isinstance(one, Find) for one in value):
        return ", ".join(map(_literal, value))
    plain = _plain(value)
    return str(plain) if callable(value) else json.dumps(plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Rule):
        return options(value)
    if isinstance(value, Mask | Find):
        return {"name": type(value).__name__} | {name: _plain(inner) for name, _, inner in _options(value)}
    if isinstance(value, tuple):
        return [*map(_plain, value)]
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    if isinstance(value, datetime):
        return value.isoformat()
    return value
