"""A stream is declared once: what a record looks like, what is personal in it, which table its rows go to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Union, cast, dataclass_transform, get_args, get_origin, get_type_hints

import msgspec

from sluice.declaration import diagnosis, masking, personal
from sluice.declaration.envelopes import Envelope, plain
from sluice.declaration.masks import Keep, Mask
from sluice.declaration.originals import Original, Originals
from sluice.declaration.personal import Subject, TokenPlace
from sluice.declaration.rules import Rule
from sluice.failures import DeclarationError, Rejected
from sluice.postgres.cells import Cell
from sluice.pseudonyms.keyset import Keyset

OWN_COLUMNS = ("message_id", "sent_at")  # every table has these two, from the message's envelope

type Row = tuple[Cell, ...]


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
    """An object with fields of its own, or a list of such objects."""

    part: "type[Part]"
    many: bool


@dataclass(frozen=True)
class Derived:
    """A column that a function makes of the whole record."""

    function: Callable[[Any], Any]


def derived(function: Callable[[Any], Any]) -> Any:
    """Declare a column of the function's name. It sees canonical values; what it returns is stored without a mask."""
    return Derived(function)


def constant(value: str | int) -> Any:
    """Declare a column that always holds the same."""
    return Derived(lambda record: value)


class _PartType(msgspec.StructMeta):
    """Reads the annotations of a declaration once, when its class is made."""

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        table: str = "",
        subject: str = "",
        envelope: Envelope = plain,
        **options: Any,
    ) -> type:
        part: Any = super().__new__(mcls, name, bases, namespace, frozen=True, kw_only=True, **options)
        if part.__module__ != __name__:  # not Part and Stream themselves
            members = [member for made in reversed(part.__mro__) for member in vars(made).items()]
            part.derived = {column: made for column, made in members if isinstance(made, Derived)}
            names = {*part.__struct_fields__, *part.derived}
            for field in sorted(names & {*vars(Part), *vars(Stream), *get_type_hints(Stream)}):
                raise DeclarationError(
                    f"{name}.{field}: this name is taken, choose one with msgspec.field(name={field!r})"
                )
            if part.is_stream != bool(table):
                raise DeclarationError(f"{name}: a Stream names its table, a Part has none")
            if not callable(envelope):
                raise DeclarationError(f"{name}: the envelope must be a function of sluice.declaration.envelopes")
            part.table = table
            part.unwrap = staticmethod(envelope)
            part.fields, part.nested = _read_members(part)
            part.wire = _wire_type(part)
            _check_columns(part)
            if subject and not part.is_stream:
                raise DeclarationError(f"{name}: a Part has no subject, a Stream names it")
            part.subject = personal.subject(part, subject) if subject else None
            part.token_places = tuple(personal.token_places(part))
        return cast("type", part)

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, namespace)


@dataclass_transform(kw_only_default=True, field_specifiers=(msgspec.field,))
class Part(msgspec.Struct, metaclass=_PartType):
    """An object in a record, in the clear; a subclass declares its fields as `Annotated[type, rule, mask, …]`.

    The type is that of the canonical value. Without a mask a field is kept under its own name; in a nested object a
    column has that object's name before it. Fields that are not declared are never read.
    """

    is_stream: ClassVar[bool] = False
    fields: ClassVar[tuple[Field, ...]]
    nested: ClassVar[tuple[Nested, ...]]
    derived: ClassVar[Mapping[str, Derived]]
    wire: ClassVar[type[msgspec.Struct]]  # the record as JSON has it, before the rules

    @classmethod
    def columns(cls, prefix: str = "", pointer: str = "") -> tuple[tuple[str, str], ...]:
        """Return the columns of a row in the order of its cells, each with what it is made of.

        That is a JSON pointer (RFC 6901) in the record, or nothing for a column that is derived from more.
        """
        columns = [
            (mask.column or prefix + field.name, pointer + field.pointer)
            for field in cls.fields
            for mask in field.masks
        ]
        for nested in cls.nested:
            name, place = prefix + nested.name, pointer + nested.pointer
            columns += [(name, place)] if nested.many else nested.part.columns(f"{name}_", place)
        return (*columns, *((prefix + name, "") for name in cls.derived))


class Stream(Part):
    """A record: what a message of the queue holds."""

    is_stream: ClassVar[bool] = True
    table: ClassVar[str]
    subject: ClassVar[Subject | None]
    token_places: ClassVar[tuple[TokenPlace, ...]]
    unwrap: ClassVar[Envelope]

    @classmethod
    def masker(cls, keyset: Keyset, envelope: Envelope | None = None) -> Callable[[str], tuple[Row, Originals]]:
        """Return the function from a message body to the masked cells of its row, and to what may be recovered of it.

        The body is in the stream's envelope, unless another one is given. It raises Rejected for a bad body.
        """
        decode = msgspec.json.Decoder(cls.wire).decode
        unwrap, subject = envelope or cls.unwrap, cls.subject
        found: list[Original] = []
        mask = masking.masker(cls, keyset, found.append)
        place = [member.name for member in (*cls.fields, *cls.nested)].index(subject.field[0]) if subject else 0

        def mask_body(body: str) -> tuple[Row, Originals]:
            found.clear()
            try:
                record = decode(unwrap(body))
            except (ValueError, RecursionError) as error:  # DecodeError and UnicodeError are ValueErrors
                raise diagnosis.rejection(error, cls) from None  # the cause may quote the body
            values, cells = mask(record)
            return tuple(cells), Originals(subject.text(values[place]) if subject else None, tuple(found))

        return mask_body

    @classmethod
    def shape(cls, body: str) -> dict[str, object]:
        """Tell what a body looks like and nothing of what it says: bytes, declared fields' JSON types, other fields."""
        shape: dict[str, object] = {"bytes": len(body.encode(errors="surrogatepass"))}
        try:
            record = msgspec.json.decode(cls.unwrap(body))
        except (ValueError, RecursionError, Rejected):
            return shape
        if not isinstance(record, dict):
            return shape | {"type": diagnosis.json_type(record)}
        declared = diagnosis.shape(cls, record)
        return shape | {"fields": declared, "other_fields": len(record) - len(declared)}


def _read_members(part: type[Part]) -> tuple[tuple[Field, ...], tuple[Nested, ...]]:
    """Read what every field declares. Raises DeclarationError."""
    members: list[Field | Nested] = []
    hints = get_type_hints(part, include_extras=True)
    for info in msgspec.structs.fields(part):
        try:
            members.append(_read_member(info, hints[info.name]))
        except DeclarationError as error:
            raise DeclarationError(f"{part.__name__}.{info.name}: {error}") from None
    return (
        tuple(member for member in members if isinstance(member, Field)),
        tuple(member for member in members if isinstance(member, Nested)),
    )


def _read_member(info: msgspec.structs.FieldInfo, annotation: Any) -> Field | Nested:
    """Read `Annotated[type, rule, mask, …]`, a Part or a list of them. Raises DeclarationError."""
    hint, *metadata = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    types = [option for option in options if option is not NoneType]
    optional = len(types) < len(options)
    default = info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()
    if default is None and not optional:
        raise DeclarationError("the default None needs a type with `| None`")
    part, many = _part_of(types)
    if part and not metadata:
        if default not in (msgspec.NODEFAULT, None, []):  # what is masked is the record, not an object of this class
            raise DeclarationError("the default of an object is None, that of a list []")
        return Nested(info.name, info.encode_name, optional, part, many)
    rule, *masks = metadata or (None,)
    if not isinstance(rule, Rule) or not all(isinstance(mask, Mask) for mask in masks):
        raise DeclarationError("must be Annotated[type, rule, mask, …], or a Part")
    rule.check()
    name, made = type(rule).__name__, rule.makes
    if types != [made]:
        raise DeclarationError(f"{name} goes with the type {made.__name__ if isinstance(made, type) else made}")
    if default not in (msgspec.NODEFAULT, None):
        try:
            rule.canonical(msgspec.convert(default, rule.accepts))
        except (msgspec.ValidationError, Rejected):
            raise DeclarationError(f"the default is nothing that {name} takes") from None
    for mask in masks:
        mask.check(rule)
    return Field(info.name, info.encode_name, optional, rule, tuple(masks) or (Keep(),))


def _part_of(types: list[Any]) -> tuple[Any, bool]:
    """Return the Part that a type is or is a list of, and whether it is a list; None for any other type."""
    if len(types) != 1:
        return None, False
    many = get_origin(types[0]) is list
    (inner,) = get_args(types[0]) if many else types
    return (inner, many) if isinstance(inner, _PartType) else (None, False)


def _wire_type(part: type[Part]) -> type[msgspec.Struct]:
    """Return the type that the decoder checks: JSON types only, since the rules know the rest."""
    defaults = {info.name: (info.default, info.default_factory) for info in msgspec.structs.fields(part)}
    members: list[tuple[str, Any, Any]] = []
    members_in_order: tuple[Field | Nested, ...] = (*part.fields, *part.nested)
    for member in members_in_order:  # the order in which `_masker` takes them
        accepted: Any
        if isinstance(member, Field):
            accepted = member.rule.accepts
        else:
            accepted = list[member.part.wire] if member.many else member.part.wire  # type: ignore[name-defined]
        default, factory = defaults[member.name]
        field: Any = msgspec.field
        members.append(
            (
                member.name,
                accepted | None if member.optional else accepted,
                field(name=member.key, default=default, default_factory=factory),
            )
        )
    return msgspec.defstruct(part.__name__, members, frozen=True, kw_only=True)


def _check_columns(part: type[Part]) -> None:
    own = OWN_COLUMNS if part.is_stream else ()
    columns = (*own, *(column for column, _ in part.columns()))
    for column in columns:
        if columns.count(column) > 1:
            raise DeclarationError(f"{part.__name__}: two fields are written to the column {column}")
