"""A route is declared once: which key of a queue's records says to which stream each of them goes."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, ClassVar

import msgspec

from sluice.declaration import diagnosis, envelopes, wire
from sluice.declaration.envelopes import Envelope, plain
from sluice.declaration.layout import Layout
from sluice.declaration.rules import OneOf
from sluice.declaration.stream import Part, Stream, in_envelope
from sluice.failures import DeclarationError, Rejected

type Queued = type[Stream] | type[Route]  # what a queue's module declares


class Route:
    """One queue for several streams; a subclass says in `to` which stream takes the records of which value.

    The value is that of the key `by`, or of a key inside of objects: `by="detail.type"`. What is around the records is
    the route's `envelope`; that of a stream is for its own queue alone.
    """

    to: ClassVar[Mapping[str, type[Stream]]]
    stream_name: ClassVar[str]  # that of its module: queue, metrics, breaker and dead letters go by it
    by: ClassVar[tuple[str, ...]]  # keys, from the record inwards
    layout: ClassVar[Layout]  # of a record, with no more than the key that decides
    unwrap: ClassVar[Envelope]
    brought: ClassVar[Mapping[str, type[Stream]]]  # the streams by value, in the route's envelope

    def __init_subclass__(cls, *, by: str, envelope: Envelope = plain) -> None:
        name, to = cls.__name__, vars(cls).get("to")
        if not isinstance(by, str) or not all(by.split(".")):
            raise DeclarationError(f'{name}: by names the key that decides, as in by="type" or by="detail.type"')
        if not isinstance(to, Mapping) or not to or not all(map(_is_destination, to.items())):
            raise DeclarationError(f'{name}: to names a stream\'s class for each value, as in to = {{"track": Track}}')
        if not callable(envelope):
            raise DeclarationError(f"{name}: the envelope must be a function, such as sluice.sns")
        cls.stream_name = cls.__module__.rpartition(".")[2]
        cls.by = tuple(by.split("."))
        cls.layout = _with_key(cls.by, OneOf(*to)).layout
        cls.unwrap = staticmethod(envelopes.guarded(envelope))
        streams = {stream: in_envelope(stream, cls.unwrap) for stream in to.values()}
        cls.brought = {value: streams[stream] for value, stream in to.items()}

    @classmethod
    def pointer(cls) -> str:
        """Return the JSON pointer of the key that decides."""
        return next(cls.layout.places()).pointer

    @classmethod
    def streams(cls) -> tuple[type[Stream], ...]:
        """Return the streams in the order in which they are named, each once, in the route's envelope."""
        return tuple(dict.fromkeys(cls.brought.values()))

    @classmethod
    def chooser(cls) -> Callable[[str | bytes], type[Stream]]:
        """Return the function from a record's JSON to its stream. It raises Rejected for a record of none."""
        decode = wire.decoder(cls.layout.wire)
        value_of: Callable[[Any], str] = attrgetter(".".join(["key"] * len(cls.by)))
        streams, layout, pointer = cls.brought, cls.layout, cls.pointer()

        def choose(record: str | bytes) -> type[Stream]:
            try:
                value = value_of(decode(record))
            except (ValueError, RecursionError) as error:  # DecodeError and UnicodeError are ValueErrors
                raise diagnosis.rejection(error, layout) from None  # the cause may quote the record
            if value not in streams:
                raise Rejected("not_a_choice", pointer)
            return streams[value]

        return choose


def streams_of(queued: Queued) -> tuple[type[Stream], ...]:
    """Return the streams that a queue's records go to."""
    return queued.streams() if issubclass(queued, Route) else (queued,)


def _is_destination(member: tuple[object, object]) -> bool:
    value, stream = member
    return isinstance(value, str) and isinstance(stream, type) and issubclass(stream, Stream) and stream is not Stream


def _with_key(keys: Sequence[str], rule: OneOf) -> type[Part]:
    """Return the object that has the first key, with the others inside of it."""
    first, *inner = keys
    annotation = _with_key(inner, rule) if inner else Annotated[str, rule]
    members = {"__annotations__": {"key": annotation}, "key": msgspec.field(name=first), "__module__": Route.__module__}
    return type("Routed", (Part,), members)
