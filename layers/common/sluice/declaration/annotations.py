"""The annotations of a declared class, read once into its layout."""

from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from sluice.declaration import cases, wire
from sluice.declaration.layout import Case, Derived, Field, Layout, Nested, Prefix, Source
from sluice.declaration.masks import Keep, Mask
from sluice.declaration.rules import Each, NullIf, Rule
from sluice.declaration.tree import Tree
from sluice.declaration.unions import ByType, Tagged
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
    _check_inline(part.__name__, (*fields, *nested))
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
    """Read `Annotated[type, rule, mask, …]`, a Part or a list of them, or a union. Raises DeclarationError."""
    hint, *metadata = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    types = [option for option in options if option is not NoneType]
    optional = len(types) < len(options)
    default = wire.default(info)
    if default is None and not optional:
        raise DeclarationError("the default None needs a type with `| None`")
    layout, many = _inner_layout(types)
    prefix = _prefix(metadata)
    if prefix and (not layout or many or any(not isinstance(one, Source) for one in metadata)):
        raise DeclarationError("Prefix goes with an object, a Part that is in no list and no union")
    if layout and [type(one) for one in metadata] == [Source]:
        if many or optional or default is not msgspec.NODEFAULT:
            raise DeclarationError(
                "what is outside of the record is one object, and always there: without a list, `| None` or a default;"
                " its fields may have one"
            )
        return Nested(info.name, info.encode_name, False, (Case(layout),), False, source=metadata[0], prefix=prefix)
    is_union = bool(metadata) and isinstance(metadata[0], Tagged | ByType)
    if (is_union or (layout and not metadata)) and default not in (msgspec.NODEFAULT, None, []):
        # What is masked is the record, not an object of this class.
        raise DeclarationError("the default of an object is None, that of a list []")
    if is_union:
        return _union(info, metadata, types, optional)
    if layout and not metadata:
        return Nested(info.name, info.encode_name, optional, (Case(layout),), many, prefix=prefix)
    rule, *others = metadata or (None,)
    masks = [other for other in others if isinstance(other, Mask)]
    null_if, *more = [other for other in others if isinstance(other, NullIf)] or (None,)
    if not isinstance(rule, Rule) or more or len(masks) + bool(null_if) < len(others):
        raise DeclarationError("must be Annotated[type, rule, mask, …], or a Part")
    if null_if:
        null_if.check()
        types = _not_null_inside(rule, types, optional)
    _check_rule(rule, types, default)
    return Field(info.name, info.encode_name, optional, rule, _masks(info.name, rule, masks), null_if)


def _prefix(metadata: list[Any]) -> Prefix | None:
    """Take the prefix of an object's columns out of an annotation. Raises DeclarationError."""
    prefix = next((one for one in metadata if isinstance(one, Prefix)), None)
    if prefix:
        prefix.check()
        metadata.remove(prefix)
    return prefix


def _masks(field: str, rule: Rule, masks: Sequence[Mask]) -> tuple[Mask, ...]:
    """Return the masks that write a field's columns, by default Keep. Raises DeclarationError."""
    if isinstance(rule, Tree):
        masks = [rule.mask(list(masks))]
    elif isinstance(rule.element, Tree):
        raise DeclarationError("Each takes no Tree: declare a list of a Part that has the Tree")
    for mask in masks:
        mask.check(rule)
    return tuple(one for mask in masks or (Keep(),) for one in (mask, *mask.companions(field, rule)))


def _case(name: str, declared: Any) -> Field:
    """Return a case of ByType, a rule or a rule and its masks, as a field. Raises DeclarationError."""
    rule, *masks = declared if isinstance(declared, tuple) else (declared,)
    if not isinstance(rule, Rule) or not all(isinstance(mask, Mask) for mask in masks):
        raise DeclarationError("a case of ByType is a Part, a list of a Part, a rule, or (rule, mask, …)")
    rule.check()
    return Field(name, name, False, rule, _masks(name, rule, masks), is_itself=True)


def _not_null_inside(rule: Rule, types: list[Any], optional: bool) -> list[Any]:
    """Return the types of a field with NullIf, those of a list without its null. Raises DeclarationError."""
    if not isinstance(rule, Each):
        if not optional:
            raise DeclarationError("NullIf needs a type with `| None`")
        return types
    rule.check()
    if types != [_list_with_null(rule)]:
        raise DeclarationError(f"NullIf makes null of single elements: the type must be {_list_with_null(rule)}")
    return [rule.makes]


def _list_with_null(rule: Each) -> Any:
    inner = rule.rule
    return list[_list_with_null(inner) if isinstance(inner, Each) else inner.makes | None]  # type: ignore[misc]


def _union(info: msgspec.structs.FieldInfo, metadata: list[Any], types: list[Any], optional: bool) -> Nested:
    """Read `Annotated[one | other, Tagged(…)]`, or such with ByType, or a list of them. Raises DeclarationError."""
    union, *masks = metadata
    name = type(union).__name__
    if masks:
        raise DeclarationError(f"{name} takes no mask after it: each of its cases has its own")
    made = cases.tagged(union) if isinstance(union, Tagged) else cases.by_type(union, info.name, _case)
    many = len(types) == 1 and get_origin(types[0]) is list and cases.types_of(union) != types
    if many:
        (inner,) = get_args(types[0])
        types = list(get_args(inner)) if get_origin(inner) in (Union, UnionType) else [inner]
    wanted = cases.types_of(union)
    if len(types) != len(wanted) or not all(one in wanted for one in types):
        told = " | ".join(one.__name__ if isinstance(one, type) else str(one) for one in wanted)
        raise DeclarationError(f"{name} goes with the type {f'list[{told}]' if many else told}")
    inline = isinstance(union, Tagged) and union.inline
    if inline and many:
        raise DeclarationError("Tagged is inline in an object, not in a list")
    return Nested(info.name, info.encode_name, optional, made, many, union, is_itself=inline)


def _check_inline(part: str, members: tuple[Field | Nested, ...]) -> None:
    """Raise DeclarationError when a case of an inline union has a key that the object around it declares."""
    declared = {member.key: member for member in members if not (isinstance(member, Nested) and member.inline)}
    for nested in members:
        if isinstance(nested, Nested) and nested.inline:
            for key in cases.keys_of(nested):
                is_tag = key == nested.inline.key and isinstance(declared.get(key), Field)
                if key in declared and not is_tag:
                    raise DeclarationError(
                        f"{part}.{nested.name}: a case has the key {key}, which {part}.{declared[key].name} reads"
                    )


def _check_rule(rule: Rule, types: list[Any], default: Any) -> None:
    """Raise DeclarationError unless the rule can hold, and goes with the field's type and default."""
    rule.check()
    name, made = type(rule).__name__, rule.makes
    if types != [made]:
        raise DeclarationError(f"{name} goes with the type {made.__name__ if isinstance(made, type) else made}")
    if default not in (msgspec.NODEFAULT, None):
        try:
            rule.canonical(default if rule.accepts is msgspec.Raw else msgspec.convert(default, rule.accepts))
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
    made: list[tuple[str, Any, Any]] = []
    for member in members:
        if isinstance(member, Nested) and member.source:
            made.append((member.name, Any, msgspec.field(name=member.key, default=None)))  # see outside.Reader
            continue
        if isinstance(member, Nested) and member.inline:
            continue
        accepted = member.accepts
        default, factory = defaults[member.name]
        field: Any = msgspec.field  # its overloads take a default or a factory, not both
        made.append(
            (
                member.name,
                accepted | None if member.optional and accepted is not msgspec.Raw else accepted,  # Raw holds null too
                field(name=member.key, default=default, default_factory=factory),
            )
        )
    declared = {member.key for member in members if not (isinstance(member, Nested) and member.inline)}
    inline = (key for member in members if isinstance(member, Nested) for key in cases.keys_of(member))
    for number, key in enumerate(dict.fromkeys(key for key in inline if key not in declared)):
        missing = msgspec.field(name=key, default=msgspec.UNSET)
        made.append((f"inline_{number}_", msgspec.Raw | msgspec.UnsetType, missing))
    return msgspec.defstruct(part.__name__, made, frozen=True, kw_only=True)
