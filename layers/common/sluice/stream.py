"""A stream is declared once: what a record looks like, what is personal in it, which table its rows go to."""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar, NamedTuple, cast, get_type_hints

import msgspec
from msgspec.structs import astuple

from sluice.failures import Rejected
from sluice.masks import Cell, Keep, Mask
from sluice.rules import Rule
from sluice.tokens import Keyset

OWN_COLUMNS = ("message_id", "sent_at")  # every table has these two, from the message's envelope

type Row = tuple[Cell, ...]


class DeclarationError(TypeError):
    """A stream is declared wrongly: names stream, field and rule."""


class Field(NamedTuple):
    """A declared field: what it accepts, and the columns that it becomes."""

    name: str
    rule: Rule
    columns: tuple[tuple[str, Mask], ...]


class _StreamType(msgspec.StructMeta):
    """Lets a declaration say `class UserLogin(Stream, table="user_logins")`, and reads its annotations once."""

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], table: str = "", **options: Any
    ) -> type:
        if bases != (msgspec.Struct,) and not table:
            raise DeclarationError(f"{name}: must name its table")
        stream: Any = super().__new__(mcls, name, bases, namespace, frozen=True, **options)
        stream.table = table
        stream.fields = _read_fields(stream) if table else ()
        return cast("type", stream)

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, namespace)


class Stream(msgspec.Struct, metaclass=_StreamType):
    """A record as it came, in the clear; a subclass declares its fields as `Annotated[type, rule, mask, …]`.

    Without a mask a field is kept under its own name. Fields that are not declared are never read.
    """

    table: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Return the columns of a row, in the order of its cells."""
        return tuple(column for field in cls.fields for column, _ in field.columns)

    @classmethod
    def masker(cls, keyset: Keyset) -> Callable[[str], Row]:
        """Return the function from a message body to the masked cells of its row. It raises Rejected for a bad body."""
        decode = msgspec.json.Decoder(cls).decode
        plan = [
            (
                f"/{field.name}",
                field.rule.canonical,
                [mask.writer(field.name, field.rule, keyset) for _, mask in field.columns],
            )
            for field in cls.fields
        ]

        def mask(body: str) -> Row:
            try:
                record = decode(body)
            except (ValueError, RecursionError) as error:  # DecodeError and UnicodeError are ValueErrors
                raise _rejection(error, cls.__struct_fields__) from None  # the cause may quote the body
            cells: list[Cell] = []
            for (pointer, canonical, writers), value in zip(plan, astuple(record), strict=True):
                if value is None:
                    cells.extend([None] * len(writers))
                    continue
                try:
                    canonical_value = canonical(value)
                    for write in writers:
                        cells.append(write(canonical_value))
                except Rejected as rejected:
                    raise rejected.at(pointer) from None
            return tuple(cells)

        return mask

    @classmethod
    def shape(cls, body: str) -> dict[str, object]:
        """Tell what a body looks like and nothing of what it says: bytes, declared fields' JSON types, other fields."""
        shape: dict[str, object] = {"bytes": len(body.encode(errors="surrogatepass"))}
        try:
            record = msgspec.json.decode(body)
        except (ValueError, RecursionError):
            return shape
        if not isinstance(record, dict):
            return shape | {"type": _json_type(record)}
        declared = {name: _json_type(record[name]) for name in cls.__struct_fields__ if name in record}
        return shape | {"fields": declared, "other_fields": len(record) - len(declared)}


def load(name: str) -> type[Stream]:
    """Return the stream that the module `sluice.streams.<name>` declares."""
    module = import_module(f"sluice.streams.{name}")
    streams = [
        member
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, Stream) and member.__module__ == module.__name__
    ]
    if len(streams) != 1:
        raise DeclarationError(f"{module.__name__}: must declare one stream, declares {len(streams)}")
    return streams[0]


def _read_fields(stream: type[Stream]) -> tuple[Field, ...]:
    """Read `Annotated[type, rule, mask, …]` of every field. Raises DeclarationError."""
    fields = []
    for name, hint in get_type_hints(stream, include_extras=True).items():
        if name not in stream.__struct_fields__:
            continue
        rule, *masks = getattr(hint, "__metadata__", (None,))
        are_classes = any(isinstance(item, type) for item in (rule, *masks))  # `Pseudonym` instead of `Pseudonym()`
        if are_classes or not isinstance(rule, Rule) or not all(isinstance(mask, Mask) for mask in masks):
            raise DeclarationError(f"{stream.__name__}.{name}: must be Annotated[type, rule, mask, …]")
        if hint.__origin__ not in (str, str | None):
            raise DeclarationError(f"{stream.__name__}.{name}: must be str or str | None")
        fields.append(Field(name, rule, tuple((mask.column or name, mask) for mask in masks or [Keep()])))
    columns = [*OWN_COLUMNS, *(column for field in fields for column, _ in field.columns)]
    for column in columns:
        if columns.count(column) > 1:
            raise DeclarationError(f"{stream.__name__}: two fields are written to the column {column}")
    return tuple(fields)


def _rejection(error: Exception, declared: tuple[str, ...]) -> Rejected:
    """Turn an error of the decoder into reason and pointer, both free of the record's values and undeclared keys."""
    message = str(error)
    missing = re.match(r"Object missing required field `(\w+)`", message)
    path = re.search(r" - at `\$\.?(.*)`$", message)
    name = missing[1] if missing else re.split(r"[.\[]", path[1])[0] if path else ""
    pointer = f"/{name if name in declared else '*'}" if name else ""
    if isinstance(error, RecursionError):
        return Rejected("nested_too_deeply")
    if not isinstance(error, msgspec.ValidationError):
        return Rejected("not_json")
    if missing:
        return Rejected("missing", pointer)
    if "got `null`" in message and pointer:
        return Rejected("null", pointer)
    return Rejected("wrong_type" if pointer else "not_an_object", pointer)


def _json_type(value: object) -> str:
    names = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")
