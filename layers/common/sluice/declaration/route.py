"""A route is declared once: which key of a queue's records says to which stream each of them goes."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, ClassVar

import msgspec

from sluice.declaration import diagnosis, outside, wire
from sluice.declaration.envelopes import Envelope, plain, recognised
from sluice.declaration.ignored import Members
from sluice.declaration.offloading import ToS3
from sluice.declaration.outside import MOST_OF_PRODUCERS, Wanted
from sluice.declaration.records import Records, Splitter
from sluice.declaration.rules import OneOf
from sluice.declaration.stream import Part, Stream, brought
from sluice.failures import DeclarationError, Rejected

type Queued = type[Stream] | type[Route]  # what the module of a queue declares


class Route:
    """One queue for several streams; a subclass says in `to` which stream takes the records of which value.

    The value is that of the key `by`, or of a key inside of objects: `by="detail.type"`. The route says how its
    records come: `envelope` and `offloaded` of a stream are for that stream's own queue alone.
    """

    to: ClassVar[Mapping[str, type[Stream]]]
    stream_name: ClassVar[str]  # that of its module: queue, metrics, breaker and dead letters go by it
    by: ClassVar[str]  # the JSON pointer of the key that decides
    head: ClassVar[type[Stream]]  # its records with no more than that key; no table has it
    brought: ClassVar[Mapping[str, type[Stream]]]  # the streams by value, as the route brings their records

    def __init_subclass__(
        cls,
        *,
        by: str,
        envelope: Envelope = plain,
        records: Records | None = None,
        ignore: Sequence[Members] = (),
        offloaded: ToS3 | None = None,
    ) -> None:
        name, to = cls.__name__, vars(cls).get("to")
        if not isinstance(by, str) or not all(by.split(".")):
            raise DeclarationError(f'{name}: by names the key that decides, as in by="type" or by="detail.type"')
        if not isinstance(to, Mapping) or not to or not all(map(_is_destination, to.items())):
            raise DeclarationError(f'{name}: to names a stream\'s class for each value, as in to = {{"track": Track}}')
        options = {"table": name, "envelope": envelope, "records": records, "ignore": ignore, "offloaded": offloaded}
        try:
            cls.head = _with_key(cls, by.split("."), Stream, **options)
        except ValueError as error:  # such as a quote in a key
            raise DeclarationError(f"{name}: by cannot read a key: {error}") from None
        cls.stream_name = cls.head.stream_name
        ((_, cls.by),) = cls.head.columns()
        splitter = cls.head.splitter
        for stream in to.values():
            _check_stream(name, stream, envelope, splitter)
        streams = {stream: brought(stream, cls.head.unwrap, splitter) for stream in to.values()}
        cls.brought = {value: streams[stream] for value, stream in to.items()}
        if len(wanted_of(cls).of_producers) > MOST_OF_PRODUCERS:
            raise DeclarationError(
                f"{name}: its streams read more than {MOST_OF_PRODUCERS} attributes of producers,"
                " which is all that a redrive can carry"
            )

    @classmethod
    def streams(cls) -> tuple[type[Stream], ...]:
        """Return the streams in the order in which they are named, each once, as the route brings them."""
        return tuple(dict.fromkeys(cls.brought.values()))

    @classmethod
    def chooser(cls, envelope: Envelope | None = None) -> Callable[[str], type[Stream]]:
        """Return the function from a message body to the stream of its record.

        The body is in the route's envelope, unless another one is given. It raises Rejected for a record of no stream.
        """
        layout, streams, by = cls.head.layout, cls.brought, cls.by
        decode = wire.decoder(layout.wire)
        value_of: Callable[[Any], str] = attrgetter(".".join(["key"] * by.count("/")))
        unwrap = envelope or cls.head.unwrap

        def choose(body: str) -> type[Stream]:
            record = unwrap(body)
            try:
                return streams[value_of(decode(record))]
            except KeyError:
                rejected = Rejected("not_a_choice", by)
            except (ValueError, RecursionError) as error:  # DecodeError and UnicodeError are ValueErrors
                rejected = diagnosis.rejection(error, layout)
            known = recognised(unwrap, body, record)
            raise known or rejected from None  # the cause may quote the record

        return choose


def streams_of(queued: Queued) -> tuple[type[Stream], ...]:
    """Return the streams that a queue's records go to."""
    return queued.streams() if issubclass(queued, Route) else (queued,)


def head_of(queued: Queued) -> type[Stream]:
    """Return the stream that opens the messages of a queue, and of a route reads no more than where they go."""
    return queued.head if issubclass(queued, Route) else queued


def stream_of(queued: Queued, body: str, envelope: Envelope | None = None) -> type[Stream]:
    """Return the stream of the record in a body. Raises Rejected for a record of none."""
    return queued.chooser(envelope)(body) if issubclass(queued, Route) else queued


def reader_of(queued: Queued, envelope: Envelope | None = None) -> Callable[[str], type[Stream]]:
    """Return the function from a message body to the stream that reads it, a route's head where it is of none.

    The body is in the queue's envelope, unless another one is given. The function raises nothing.
    """
    if not issubclass(queued, Route):
        return lambda body: queued
    choose, head = queued.chooser(envelope), queued.head

    def read(body: str) -> type[Stream]:
        try:
            return choose(body)
        except Rejected:
            return head

    return read


def records_of(queued: Queued, body: str) -> list[tuple[type[Stream], str | bytes]]:
    """Return the JSON of each record in a body, with the stream that reads it. Raises Rejected."""
    stream = reader_of(queued)(body)
    texts = stream.record_texts(body)
    if not (issubclass(queued, Route) and queued.head.splitter):
        return [(stream, text) for text in texts]
    read = reader_of(queued, plain)
    return [(read(str(text)), text) for text in texts]


def wanted_of(queued: Queued) -> Wanted:
    """Return what the streams of a queue read of its messages."""
    found = [outside.wanted(stream.layout) for stream in streams_of(queued)]
    of_sqs, of_producers = ({name for names in kind for name in names} for kind in zip(*found, strict=True))
    return Wanted(sorted(of_sqs), sorted(of_producers))


def _is_destination(member: tuple[object, object]) -> bool:
    value, stream = member
    return isinstance(value, str) and isinstance(stream, type) and issubclass(stream, Stream) and stream is not Stream


def _check_stream(name: str, stream: type[Stream], envelope: Envelope, splitter: Splitter | None) -> None:
    """Raise DeclarationError when the messages of a route are not as the stream takes them."""
    if splitter and stream.splitter:
        raise DeclarationError(f"{name}: the route and {stream.__name__} have records=, one of them must not")
    try:
        outside.check(stream.layout, True, envelope, splitter or stream.splitter)
    except DeclarationError:
        raise DeclarationError(
            f"{name}: {stream.__name__} reads what is around its records, but the route names no envelope"
        ) from None


def _with_key(route: type[Route], keys: Sequence[str], base: type[Part], **options: Any) -> Any:
    """Return the object that has the first key, with the others inside of it."""
    first, *inner = keys
    annotation = _with_key(route, inner, Part) if inner else Annotated[str, OneOf(*route.to)]
    members = {"__annotations__": {"key": annotation}, "key": msgspec.field(name=first), "__module__": route.__module__}
    make: Any = type(base)
    return make(route.__name__, (base,), members, **options)
