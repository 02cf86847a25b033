"""Variants: a declaration with other rules or masks for some of its fields, made in memory alone."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import UnionType, new_class
from typing import Annotated, Any, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

import msgspec

import sluice
from sluice import Keep, Mask, NullIf, Part, Route, Rule, Stream
from sluice.declaration import description
from sluice.declaration.cases import types_of
from sluice.declaration.inside import TokensInside
from sluice.declaration.layout import Field, Layout, Nested
from sluice.declaration.paths import keys_of
from sluice.declaration.route import Queued
from sluice.declaration.tree import ByPath
from sluice.declaration.unions import ByType, Tagged
from sluice.failures import DeclarationError
from tools.console.playground.spelling import read, spelled
from tools.sluice_cli.authors import envelopes

type Declared = Rule | Mask | NullIf
type Changes = Mapping[str, str]  # from the path of a field to what is declared of it instead


@dataclass(frozen=True)
class Changeable:
    """A field, and what is declared of it, as a declaration spells it: `IpAddress(), Pseudonym("masked_ip")`."""

    stream: str
    path: str  # names in the classes with dots between them, from the stream inwards; of a union also the shape's name
    spelled: str

    @property
    def is_long(self) -> bool:
        """Whether a line is too short for what is declared, as that of a tree is."""
        return len(self.spelled) > 100


def changeable(queued: Queued) -> list[Changeable]:
    """Return the fields of a stream, or of a route's streams."""
    streams = dict.fromkeys(queued.to.values()) if issubclass(queued, Route) else [queued]
    return [
        Changeable(stream.stream_name, path, ", ".join(map(spelled, _declared(one))))
        for stream in streams
        for path, one in _fields(stream.layout, "")
    ]


def variant(queued: Queued, changes: Mapping[str, Changes]) -> Queued:
    """Return a stream or a route with the changes, which are given by the name of the stream.

    Raises DeclarationError, as the declaration itself would.
    """
    if not issubclass(queued, Route):
        return _stream(queued, changes[queued.stream_name]) if changes.get(queued.stream_name) else queued
    made = {
        stream: _stream(stream, changes[stream.stream_name]) if changes.get(stream.stream_name) else stream
        for stream in queued.to.values()
    }
    head, splitter = queued.head, queued.head.splitter
    namespace = {"__module__": queued.__module__, "to": {value: made[stream] for value, stream in queued.to.items()}}
    options: dict[str, Any] = {
        "by": ".".join(keys_of(queued.by)),
        "envelope": envelopes.kind(head),
        "records": splitter.records if splitter else None,
        "ignore": head.ignored_members,
        "offloaded": head.offloaded,
    }
    return cast("type[Route]", new_class(queued.__name__, (Route,), options, lambda body: body.update(namespace)))


def _declared(field: Field) -> list[Declared]:
    """Return what the annotation of a field says. A mask's companions are not said there, and a tree's mask is Keep."""
    masks = [
        Keep(mask.column) if isinstance(mask, ByPath) else mask
        for mask in field.masks
        if not isinstance(mask, TokensInside) and mask != ByPath()
    ]
    return [field.rule, *masks, *([field.null_if] if field.null_if else [])]


def _fields(layout: Layout, before: str) -> Iterator[tuple[str, Field]]:
    for field in layout.fields:
        yield before + field.name, field
    for nested in layout.nested:
        at = before + nested.name
        if not nested.union:
            yield from _fields(nested.layout, f"{at}.")
            continue
        for shape in _shapes(nested, nested.union):
            if shape.field:
                yield f"{at}.{shape.name}", shape.field
            else:
                yield from _fields(shape.layout, f"{at}.{shape.name}.")


class _Shape(NamedTuple):
    """A case of a union: a Part, a list of a Part, or a rule and its masks."""

    name: str
    declared: Any
    layout: Layout  # of the Part
    field: Field | None  # of the rule


def _shapes(nested: Nested, union: Tagged | ByType) -> Iterator[_Shape]:
    declared = types_of(union) if isinstance(union, Tagged) else union.cases
    for one, case in zip(declared, nested.cases, strict=True):
        layout = case.layout
        if case.is_object:
            yield _Shape(layout.name, one, layout, None)
        elif layout.nested:
            yield _Shape("list", one, layout.nested[0].layout, None)
        else:
            yield _Shape(type(layout.fields[0].rule).__name__, one, layout, layout.fields[0])


def _stream(stream: type[Stream], changes: Changes) -> type[Stream]:
    splitter, postmark = stream.splitter, stream.postmark
    options: dict[str, Any] = {
        "table": stream.table,
        "subject": tuple(stream.subject.paths) if stream.subject else (),
        "mentions": stream.mentioned.paths,
        "identity": ".".join(postmark.identity.path) if postmark.identity else "",
        "time": ".".join(postmark.time.path) if postmark.time else "",
        "envelope": envelopes.kind(stream),
        "records": splitter.records if splitter else None,
        "ignore": stream.ignored_members,
        "batch": stream.column_of_batch,
        **description.partitioning(stream.partitioning),
        "offloaded": stream.offloaded,
    }
    return cast("type[Stream]", _part(stream, changes, options))


def _part(part: type[Part], changes: Changes, options: dict[str, Any]) -> type[Part]:
    """Return a subclass of a declared class that declares some of its fields anew."""
    hints = get_type_hints(part, include_extras=True)
    namespace: dict[str, Any] = {"__module__": part.__module__, "__doc__": part.__doc__, "__annotations__": {}}
    declared = {field.name: field for field in part.layout.fields}
    inner = {nested.name: nested for nested in part.layout.nested}
    for info in msgspec.structs.fields(part):
        below = _below(changes, info.name)
        if not below:
            continue
        hint = hints[info.name]
        if info.name in declared:
            anew = _annotation(part, declared[info.name], hint, below[""])
        elif union := inner[info.name].union:
            anew = _union(part, inner[info.name], union, hint, below)
        else:
            old = cast("type[Part]", inner[info.name].layout.make)
            anew = _with(hint, old, _part(old, below, {}))
        namespace["__annotations__"][info.name] = anew
        field: Any = msgspec.field  # its overloads take a default or a factory, not both
        namespace[info.name] = field(name=info.encode_name, default=info.default, default_factory=info.default_factory)
    return cast("type[Part]", new_class(part.__name__, (part,), options, lambda body: body.update(namespace)))


def _below(changes: Changes, name: str) -> Changes:
    """Return the changes whose path begins with a name, by the rest of the path."""
    ways = [(path.partition("."), text) for path, text in changes.items()]
    return {rest: text for (first, _, rest), text in ways if first == name}


def _union(part: type[Part], nested: Nested, union: Tagged | ByType, hint: Any, changes: Changes) -> Any:
    """Return the annotation of a union some of whose shapes are declared anew."""
    made = [(shape.declared, _shape(part, shape, _below(changes, shape.name))) for shape in _shapes(nested, union)]
    if isinstance(union, Tagged):
        cases = {tag: dict(made)[old] for tag, old in union.cases.items()}
        new: Tagged | ByType = replace(union, cases=cases, others=dict(made).get(union.others))
    else:
        new = ByType(*(one for _, one in made))
    type_: Any = Union[tuple(types_of(new))]  # noqa: UP007
    type_ = list[type_] if nested.many else type_
    metadata = [new if one == union else one for one in hint.__metadata__]
    return Annotated[type_ | None if nested.optional else type_, *metadata]


def _shape(part: type[Part], shape: _Shape, changes: Changes) -> Any:
    if not changes:
        return shape.declared
    if shape.field:
        return tuple(_said(part, shape.field, changes[""]))
    made = _part(cast("type[Part]", shape.layout.make), changes, {})
    return list[made] if shape.name == "list" else made  # type: ignore[valid-type]


def _annotation(part: type[Part], field: Field, hint: Any, text: str) -> Any:
    """Return `Annotated[type, rule, mask, …]` of what a person typed. Raises DeclarationError."""
    said = _said(part, field, text)
    type_ = get_args(hint)[0]
    made = next((one.makes for one in said if isinstance(one, Rule)), field.rule.makes)
    if made != field.rule.makes:  # the type has to go along
        type_ = made | None if field.optional else made
    return Annotated[type_, *said]


def _said(part: type[Part], field: Field, text: str) -> list[Any]:
    """Return the rules and masks that a person typed for a field. Raises DeclarationError."""
    own = vars(sys.modules[part.__module__])
    try:
        return read(text, _declared(field), {name: getattr(sluice, name) for name in sluice.__all__} | own)
    except DeclarationError as error:
        raise DeclarationError(f"{part.__name__}.{field.name}: {error}") from None


def _with(hint: Any, old: type, new: type) -> Any:
    """Return a type in which one class stands in the place of another."""
    if hint is old:
        return new
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[_with(arguments[0], old, new), *hint.__metadata__]
    if origin in (Union, UnionType):
        return Union[tuple(_with(one, old, new) for one in arguments)]  # noqa: UP007
    return list[_with(arguments[0], old, new)] if origin is list else hint  # type: ignore[misc]
