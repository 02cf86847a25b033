"""A stream is declared once: what a record looks like, what is personal in it, which table its rows go to."""

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, cast, dataclass_transform, get_type_hints

import msgspec

from sluice.declaration import (
    annotations,
    collisions,
    diagnosis,
    envelopes,
    ignored,
    masking,
    offloading,
    outside,
    partitioning,
    personal,
    postmark,
    wire,
)
from sluice.declaration import records as records_
from sluice.declaration.envelopes import Envelope, Postmark, plain
from sluice.declaration.ignored import Members
from sluice.declaration.layout import OWN_COLUMNS, Derived, Layout
from sluice.declaration.offloading import ToS3
from sluice.declaration.originals import Notes, Originals
from sluice.declaration.outside import Outside
from sluice.declaration.partitioning import Partitioning
from sluice.declaration.personal import Mentions, Subject, TextPlace, TokenPlace
from sluice.declaration.postmark import OwnPostmark
from sluice.declaration.records import Records, Splitter
from sluice.failures import DeclarationError, Rejected
from sluice.postgres.cells import Cell
from sluice.pseudonyms.keyset import Keyset

type Row = tuple[Cell, ...]


class Masker(Protocol):
    """From a record's body, and what is outside of the record, to what becomes of it."""

    def __call__(self, body: str, around: Outside | None = None, /) -> "Masked": ...


class Masked(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a record."""

    cells: Row
    originals: Originals
    nulled: tuple[str, ...] = ()  # pointers of the fields whose value broke its rule and became NULL


def derived(function: Callable[[Any], Any]) -> Any:
    """Declare a column of the function's name. It sees canonical values; what it returns is stored without a mask."""
    return Derived(function)


def constant(value: str | int) -> Any:
    """Declare a column that always holds the same."""
    return Derived(lambda record: value, is_constant=True)


class _PartType(msgspec.StructMeta):
    """The type of declared classes: reads what a class declares when the class is made."""

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        table: str = "",
        subject: str | tuple[str, ...] = (),
        mentions: str | tuple[str, ...] = (),
        identity: str = "",
        time: str = "",
        envelope: Envelope = plain,
        records: Records | None = None,
        ignore: Sequence[Members] = (),
        batch: str = "",
        partition: str = "",
        keep_for: str = "",
        offloaded: ToS3 | None = None,
        **options: Any,
    ) -> type:
        declared: Any = super().__new__(mcls, name, bases, namespace, frozen=True, kw_only=True, **options)
        if declared.__module__ == __name__:
            return cast("type", declared)  # Part and Stream themselves declare nothing
        _check_names(declared)
        is_stream = issubclass(declared, Stream)
        if is_stream != bool(table):
            raise DeclarationError(f"{name}: a Stream names its table, a Part has none")
        if is_stream and not re.fullmatch(r"[^.\x00]+(\.[^.\x00]+)?", table):
            raise DeclarationError(f"{name}: the table is named as table or as schema.table, without quotes")
        if not callable(envelope):
            raise DeclarationError(f"{name}: the envelope must be a function, such as sluice.sns")
        try:
            splitter = records_.splitter(records)
            ignored.check(ignore)
        except DeclarationError as error:
            raise DeclarationError(f"{name}: {error}") from None
        declared.layout = annotations.read(declared)
        outside.check(declared.layout, is_stream, envelope, splitter)
        if not isinstance(batch, str) or "\0" in batch or batch in OWN_COLUMNS:
            raise DeclarationError(f"{name}: the batch must be the name of a column, such as batch_id")
        collisions.check(declared.layout, (*OWN_COLUMNS, batch) if is_stream else ())
        of_a_stream = {
            "subject": subject,
            "mentions": mentions,
            "identity": identity,
            "time": time,
            "records": records,
            "ignore": ignore,
            "batch": batch,
            "partition": partition,
            "keep_for": keep_for,
            "offloaded": offloaded,
        }
        for what, said in of_a_stream.items():
            if said and not is_stream:
                raise DeclarationError(f"{name}: a Part has no {what}, a Stream names it")
        if is_stream:
            declared.stream_name = declared.__module__.rpartition(".")[2]
            declared.table = table
            declared.column_of_batch = batch
            declared.unwrap = staticmethod(envelopes.guarded(envelope))
            declared.splitter = splitter
            declared.ignored_members = tuple(ignore)
            declared.partitioning = partitioning.checked(name, partition, keep_for, identity, time)
            declared.offloaded = offloading.checked(name, offloaded)
            declared.subject = personal.subject(declared.layout, _paths(name, "subject", subject))
            declared.mentioned = personal.mentions(
                declared.layout, _paths(name, "mentions", mentions), declared.subject
            )
            declared.postmark = postmark.of_stream(
                declared.layout, declared.stream_name, identity, time, declared.subject
            )
        declared.token_places = personal.distinct_places(declared.layout)
        declared.text_places = tuple(dict.fromkeys(personal.text_places(declared.layout)))
        return cast("type", declared)

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, namespace)  # the options are for __new__ alone


@dataclass_transform(kw_only_default=True, field_specifiers=(msgspec.field,))
class Part(msgspec.Struct, metaclass=_PartType):
    """An object in a record, in the clear; a subclass declares its fields as `Annotated[type, rule, mask, …]`.

    The type is that of the canonical value. Without a mask a field is kept under its own name; in a nested object a
    column has that object's name before it. Fields that are not declared are never read.
    """

    layout: ClassVar[Layout]
    token_places: ClassVar[tuple[TokenPlace, ...]]
    text_places: ClassVar[tuple[TextPlace, ...]]

    @classmethod
    def columns(cls) -> tuple[tuple[str, str], ...]:
        """Return the columns of a row in the order of its cells, each with what it is made of (see `Layout`)."""
        return tuple(cls.layout.columns())


class Stream(Part):
    """A record: what a message of the queue holds."""

    stream_name: ClassVar[str]  # that of its module: metrics, logs, breaker, dead letters and rejections go by it
    table: ClassVar[str]  # as `table`, or as `schema.table`
    column_of_batch: ClassVar[str]  # in which a row has the number of the batch that wrote it; empty: in none
    partitioning: ClassVar[Partitioning | None]  # of the table, by the time when a row was sent
    subject: ClassVar[Subject | None]
    mentioned: ClassVar[Mentions]
    postmark: ClassVar[OwnPostmark]
    unwrap: ClassVar[Envelope]
    splitter: ClassVar[Splitter | None]  # of a message that holds several records
    ignored_members: ClassVar[tuple[Members, ...]]  # what has all of one of these is not stored
    offloaded: ClassVar[ToS3 | None]  # how bodies are taken that are in S3

    @classmethod
    def masker(cls, keyset: Keyset, envelope: Envelope | None = None) -> Masker:
        """Return the function from a message body to the masked record.

        The body is in the stream's envelope, unless another one is given; then what is outside of the record has to
        be given, too, where the stream reads it. The function raises Rejected for a bad body.
        """
        layout, subject = cls.layout, cls.subject
        decode = wire.decoder(layout.wire)
        unwrap = envelope or cls.unwrap
        notes = Notes()
        mask = masking.masker(layout, keyset, notes)
        subjects = subject.reader([member.name for member in layout.members]) if subject else None

        reader = outside.Reader(layout)
        read_into = reader.read_into if reader else None

        def mask_body(body: str, around: Outside | None = None) -> Masked:
            notes.clear()
            record_text = unwrap(body)
            try:
                record = decode(record_text)
            except (ValueError, RecursionError) as error:  # DecodeError and UnicodeError are ValueErrors
                known = envelopes.recognised(unwrap, body, record_text)
                raise known or diagnosis.rejection(error, layout) from None  # the cause may quote the body
            if read_into is not None:
                read_into(record, around or Outside(body))
            values, cells = mask(record)
            originals = Originals(subjects(values) if subjects else (), tuple(notes.originals))
            return Masked(tuple(cells), originals, tuple(notes.nulled))

        return mask_body

    @classmethod
    def ignores_record(cls) -> Callable[[str | bytes], bool] | None:
        """Return the function that tells whether a record is to be ignored; None where none is."""
        return ignored.matcher(cls.ignored_members) if cls.ignored_members else None

    @classmethod
    def ignores_message(cls) -> Callable[[str], bool] | None:
        """Return the function that tells whether a body is to be ignored: it, or what is in its envelope."""
        matches, unwrap = cls.ignores_record(), cls.unwrap
        if matches is None:
            return None

        def is_ignored(body: str) -> bool:
            try:
                return matches(body) or (unwrap is not plain and matches(unwrap(body)))
            except Rejected:
                return False

        return is_ignored

    @classmethod
    def message_postmark(cls) -> Callable[[str], Postmark | None]:
        """Return the function from a body to what it says of its message; of several records in it, it says nothing."""
        own = cls.postmark if cls.splitter is None else OwnPostmark(None, None, cls.postmark.namespace)
        return own.reader(cls.unwrap)

    @classmethod
    def record_texts(cls, body: str) -> list[str | bytes]:
        """Return the JSON of each record in a body, without its envelope. Raises Rejected."""
        held = cls.unwrap(body)
        return [held] if cls.splitter is None else [*cls.splitter.split(held)]

    @classmethod
    def shape(cls, body: str, envelope: Envelope | None = None) -> dict[str, object]:
        """Tell what a body looks like and nothing of what it says: bytes, declared fields' JSON types, other fields."""
        shape: dict[str, object] = {"bytes": len(body.encode(errors="surrogatepass"))}
        try:
            record = msgspec.json.decode((envelope or cls.unwrap)(body))
        except (ValueError, RecursionError, Rejected):
            return shape
        if not isinstance(record, dict) or (cls.splitter is not None and envelope is None):
            return shape | {"type": diagnosis.json_type(record)}
        declared = diagnosis.shape(cls.layout, record)
        return shape | {"fields": declared, "other_fields": len(record) - len(declared)}


def brought(stream: type[Stream], unwrap: Envelope, splitter: Splitter | None) -> type[Stream]:
    """Return the same stream as another queue brings it: with its envelope, and several records in a message."""
    namespace = {
        "__module__": stream.__module__,
        "__doc__": stream.__doc__,
        "unwrap": staticmethod(unwrap),
        "splitter": splitter or stream.splitter,
    }
    made: Any = msgspec.StructMeta.__new__(_PartType, stream.__name__, (stream,), namespace, frozen=True, kw_only=True)
    return cast("type[Stream]", made)


def _paths(name: str, what: str, paths: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the fields that a stream names: one, or a tuple of them. Raises DeclarationError."""
    several = (paths,) if isinstance(paths, str) and paths else paths or ()
    if not isinstance(several, tuple) or not all(isinstance(path, str) and path for path in several):
        raise DeclarationError(f"{name}: the {what} must be a field's name, or a tuple of such names")
    return several


def _check_names(declared: Any) -> None:
    """Raise DeclarationError when a field or a derived column is called like something that a Stream has."""
    taken = {*vars(Part), *vars(Stream), *get_type_hints(Stream)}
    for name in sorted({*declared.__struct_fields__, *annotations.derived_columns(declared)} & taken):
        raise DeclarationError(
            f"{declared.__name__}.{name}: this name is taken, choose one with msgspec.field(name={name!r})"
        )
