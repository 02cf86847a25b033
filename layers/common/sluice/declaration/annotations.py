"""The annotations of a declared class, read once into its layout."""

from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from sluice.declaration.layout import Derived, Field, Layout, Nested
from sluice.declaration.masks import Keep, Mask
from sluice.declaration.rules import Rule
from sluice.failures import DeclarationError, Rejected


def read(part: type[msgspec.Struct]) -> Layout:
    """Return the layout that a Part or a Stream declares. Raises DeclarationError, which names class and field."""
    hints = get_type_hints(part, include_extras=True)
    members: list[Field | Nested] = []
    for info in msgspec.structs.fields(part):
        try:
            members.append(_member(info, hints[info.name]))
        except DeclarationError as error:
            raise DeclarationError(f"{part.__name__}.{info.name}: {error}") from None
    fields = tuple(member for member in members if isinstance(member, Field))
    nested = tuple(member for member in members if isinstance(member, Nested))
    wire = _wire_type(part, (*fields, *nested))
    return Layout(part.__name__, fields, nested, derived_columns(part), wire, part)


def derived_columns(part: type) -> dict[str, Derived]:
    """Return what a class and its bases derive, by column."""
    return {
        column: made
        for base in reversed(part.__mro__)
        for column, made in vars(base).items()
        if isinstance(made, Derived)
    }


def _member(info: msgspec.structs.FieldInfo, annotation: Any) -> Field | Nested:
    """Read `Annotated[type, rule, mask, …]`, a Part or a list of them. Raises DeclarationError."""
    hint, *metadata = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    types = [option for option in options if option is not NoneType]
    optional = len(types) < len(options)
    default = info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()
    if default is None and not optional:
        raise DeclarationError("the default None needs a type with `| None`")
    layout, many = _inner_layout(types)
    if layout and not metadata:
        if default not in (msgspec.NODEFAULT, None, []):  # what is masked is the record, not an object of this class
            raise DeclarationError("the default of an object is None, that of a list []")
        return Nested(info.name, info.encode_name, optional, layout, many)
    rule, *masks = metadata or (None,)
    if not isinstance(rule, Rule) or not all(isinstance(mask, Mask) for mask in masks):
        raise DeclarationError("must be Annotated[type, rule, mask, …], or a Part")
    _check_rule(rule, types, default)
    for mask in masks:
        mask.check(rule)
    written = [one for mask in masks or (Keep(),) for one in (mask, *mask.companions(info.name, rule))]
    return Field(info.name, info.encode_name, optional, rule, tuple(written))


def _check_rule(rule: Rule, types: list[Any], default: Any) -> None:
    """Raise DeclarationError unless the rule can hold, and goes with the field's type and default."""
    rule.check()
    name, made = type(rule).__name__, rule.makes
    if types != [made]:
        raise DeclarationError(f"{name} goes with the type {made.__name__ if isinstance(made, type) else made}")
    if default not in (msgspec.NODEFAULT, None):
        try:
            rule.canonical(msgspec.convert(default, rule.accepts))
        except (msgspec.ValidationError, Rejected):
            raise DeclarationError(f"the default is nothing that {name} takes") from None


def _inner_layout(types: list[Any]) -> tuple[Layout | None, bool]:
    """Return the layout of the Part that a type is or is a list of, and whether it is a list; None for other types."""
    if len(types) != 1:
        return None, False
    many = get_origin(types[0]) is list
    (inner,) = get_args(types[0]) if many else types
    layout = getattr(inner, "layout", None)
    return (layout, many) if isinstance(layout, Layout) else (None, False)


def _wire_type(part: type[msgspec.Struct], members: tuple[Field | Nested, ...]) -> type[msgspec.Struct]:
    """Return the type that the decoder checks: JSON types only, since the rules know the rest."""
    defaults = {info.name: (info.default, info.default_factory) for info in msgspec.structs.fields(part)}
    wire: list[tuple[str, Any, Any]] = []
    for member in members:
        accepted: Any
        if isinstance(member, Field):
            accepted = member.rule.accepts
        else:
            accepted = list[member.layout.wire] if member.many else member.layout.wire  # type: ignore[name-defined]
        default, factory = defaults[member.name]
        field: Any = msgspec.field  # its overloads take a default or a factory, not both
        wire.append(
            (
                member.name,
                accepted | None if member.optional else accepted,
                field(name=member.key, default=default, default_factory=factory),
            )
        )
    return msgspec.defstruct(part.__name__, wire, frozen=True, kw_only=True)
