"""A declaration, described: every column of a stream's rows, with what it is made of and how it is masked."""

import json
import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import datetime
from hashlib import sha256
from types import GenericAlias, UnionType
from typing import Any, get_type_hints

from sluice.declaration import column_types
from sluice.declaration.inside import TokensInside
from sluice.declaration.layout import Derived, Layout
from sluice.declaration.masks import Mask, Pseudonym
from sluice.declaration.partitioning import Partitioning
from sluice.declaration.route import Queued
from sluice.declaration.rules import NullIf, Rule
from sluice.declaration.scrub import Find
from sluice.declaration.stream import Stream
from sluice.declaration.tree import ByPath, Tree

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
    null_if: NullIf | None = None
    inside: str = ""  # the path of a value in a Tree
    cases: tuple[str, ...] = ()  # of the unions around it: what decides for each

    @property
    def field(self) -> tuple[str, tuple[str, ...]]:
        """The pointer, and the cases in which it is this field's."""
        return self.pointer, self.cases

    @property
    def column(self) -> str:
        return "[*].".join(self.path) + self.inside

    @property
    def place(self) -> tuple[str, ...]:
        """The path, and that in a Tree after it."""
        return (*self.path, self.inside) if self.inside else self.path

    @property
    def domain(self) -> str | None:
        return self.mask.domain_of(self.name) if isinstance(self.mask, Pseudonym | TokensInside) else None

    @property
    def is_constant(self) -> bool:
        return isinstance(self.mask, Derived) and self.mask.is_constant


def entries(stream: type[Stream]) -> list[Entry]:
    """Return what a row is made of, in the order of its cells; the message's own columns come last."""
    own = [
        Entry("", "message_id", "UUID", None, None, ("message_id",), nullable=False),
        Entry("", "sent_at", "datetime", None, None, ("sent_at",), nullable=False),
    ]
    if stream.column_of_batch:
        own.append(Entry("", stream.column_of_batch, "int", None, None, (stream.column_of_batch,), nullable=True))
    return [*_of_object(stream.layout, "", ()), *own]


def told(stream: type[Stream]) -> dict[str, Any]:
    """Return all that a declaration says, as JSON has it: what `sluice describe --json` prints."""
    return head(stream) | {"columns": [_json(entry) for entry in entries(stream)]}


def fingerprint(stream: type[Stream]) -> str:
    """Return what tells a declaration from any other: the SHA-256 of all that it says, in hexadecimal."""
    return sha256(text(stream).encode()).hexdigest()


def text(stream: type[Stream]) -> str:
    """Return all that a declaration says as one text of JSON, the same for the same declaration."""
    return json.dumps(told(stream), ensure_ascii=False, sort_keys=True, default=_name)


def head(stream: type[Stream]) -> dict[str, Any]:
    """Return what a stream says of all its records, as JSON has it."""
    return {
        "stream": stream.stream_name,
        "about": about(stream),
        "table": stream.table,
        "subject": _one_or_all(stream.subject.paths) if stream.subject else None,
        "mentions": [*stream.mentioned.paths],
        "identity": ".".join(stream.postmark.identity.path) if stream.postmark.identity else None,
        "time": ".".join(stream.postmark.time.path) if stream.postmark.time else None,
        "envelope": stream.unwrap.__name__,
        "records": stream.splitter.name if stream.splitter else None,
        "ignore": list(stream.ignored_members),
        "batch": stream.column_of_batch or None,
        **partitioning(stream.partitioning),
        **({"offloaded": asdict(stream.offloaded)} if stream.offloaded else {}),
    }


def partitioning(declared: Partitioning | None) -> dict[str, str]:
    """Return what a stream says of its partitions, as its declaration does; nothing where it has none."""
    if declared is None:
        return {}
    keep_for = {"keep_for": f"{declared.keep_for.days} days"} if declared.keep_for else {}
    return {"partition": declared.unit} | keep_for


def about(stream: Queued) -> str:
    """Return the first paragraph of a class's docstring, in one line."""
    return " ".join((stream.__doc__ or "").split("\n\n")[0].split())


def rule_text(rule: Rule | None, null_if: NullIf | None = None) -> str:
    return ", ".join(_call(declared) for declared in (rule, null_if) if declared)


def mask_text(entry: Entry) -> str:
    """Return a column's mask with its options, or where else the column comes from."""
    if isinstance(entry.mask, Derived):
        return f"Constant({_literal(entry.mask.function(None))})" if entry.is_constant else "Derived"
    if entry.inside and entry.rule is None:
        return "Dropped"
    return _call(entry.mask) if entry.mask else "Message"


def where(cases: Sequence[str]) -> str:
    """Return in which cases of unions something is so, to be put behind its name; nothing where it always is."""
    return f" where {' and '.join(cases)}" if cases else ""


def options(declared: Rule | Mask | NullIf) -> dict[str, Any]:
    """Return name and options of what is declared as JSON has them, except those that an entry has a member for."""
    told = {name: _plain(value) for name, _, value in _options(declared) if name not in MEMBERS}
    return {"name": type(declared).__name__} | told


def _one_or_all(paths: list[str]) -> str | list[str]:
    return paths[0] if len(paths) == 1 else paths


def _json(entry: Entry) -> dict[str, object]:
    return {
        "field": entry.pointer or None,
        "type": entry.type,
        "rule": options(entry.rule) if entry.rule else None,
        "mask": options(entry.mask) if isinstance(entry.mask, Mask) else {"name": mask_text(entry)},
        "column": entry.column,
        "nullable": entry.nullable,
        "domain": entry.domain,
        **({"null_if": [*entry.null_if.when]} if entry.null_if else {}),
        **({"cases": list(entry.cases)} if entry.cases else {}),
    }


def _of_object(layout: Layout, pointer: str, inside: tuple[str, ...], cases: tuple[str, ...] = ()) -> Iterator[Entry]:
    """Yield the entries of a row, or of the objects in a column of JSON."""
    nullable = {column.name: column.nullable for column in column_types.columns(layout)}
    yield from _entries(layout, "", pointer, inside, nullable, cases)


def _entries(
    layout: Layout,
    prefix: str,
    pointer: str,
    inside: tuple[str, ...],
    nullable: Mapping[str, bool],
    cases: tuple[str, ...],
) -> Iterator[Entry]:
    """Go the way that `Layout.places` goes, and into lists of objects too."""
    hints = get_type_hints(layout.make)
    for field in layout.fields:
        for mask in field.masks:
            column = mask.column_of(prefix + field.name)
            place, type_ = pointer + field.pointer, _type(field.rule.makes if field.is_itself else hints[field.name])
            entry = Entry(
                place,
                field.name,
                type_,
                field.rule,
                mask,
                (*inside, column),
                nullable[column],
                field.null_if,
                cases=cases,
            )
            yield entry
            if isinstance(mask, ByPath):
                yield from _of_tree(entry)
    for nested in layout.nested:
        name = prefix + nested.name
        for case, inner_prefix, place in nested.inside(prefix, pointer):
            told = (*cases, case.told) if nested.union else cases
            if nested.many:
                yield from _of_object(case.layout, place, (*inside, name), told)
            else:
                yield from _entries(case.layout, inner_prefix, place, inside, nullable, told)
    for name, made in layout.derived.items():
        returned = type(made.function(None)) if made.is_constant else _returned(made.function)
        column = prefix + name
        yield Entry("", name, _type(returned), None, made, (*inside, column), nullable[column], cases=cases)


def _of_tree(tree: Entry) -> Iterator[Entry]:
    """Yield the entries of the paths in a Tree."""
    for branch in tree.rule.branches if isinstance(tree.rule, Tree) else ():
        type_, mask = (_type(branch.rule.makes), branch.mask) if branch.rule else ("", None)
        place, name = tree.pointer + branch.path, branch.name or tree.name
        yield Entry(place, name, type_, branch.rule, mask, tree.path, True, inside=branch.path, cases=tree.cases)


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


def _call(declared: Rule | Mask | NullIf | Find, hidden: Container[str] = MEMBERS) -> str:
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
    if isinstance(value, Set):
        return sorted(map(_plain, value), key=str)
    return value


def _name(value: object) -> str:
    """Return what stands in JSON for an option of a rule of one's own, the same in every process."""
    return type(value).__name__
