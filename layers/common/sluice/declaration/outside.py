"""What is outside of a record: the envelope around it, and the message of SQS that brought it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from sluice.declaration import diagnosis, wire
from sluice.declaration.envelopes import Envelope, plain
from sluice.declaration.layout import Field, Layout, Nested, Source
from sluice.declaration.records import Splitter, json_lines
from sluice.failures import DeclarationError, Rejected

OF_PRODUCERS = "attributes"  # the member of a message with the attributes that its producer gave it
MOST_OF_PRODUCERS = 7  # SQS takes ten, and a redrive adds three
OF_SQS = (
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "AWSTraceHeader",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
)


@dataclass(frozen=True)
class Outside:
    """The envelope and the message of a record: clear personal data, so no representation shows them."""

    envelope: str | bytes = field(repr=False)
    message: Mapping[str, Any] = field(default_factory=dict, repr=False)
    _read: dict[str, Any] = field(default_factory=dict, repr=False)  # by the name of the Part: once for all records

    def json(self, source: Source | None) -> str | bytes:
        """Return the object that the Parts of a source are read from."""
        return self.envelope if source is Source.ENVELOPE else msgspec.json.encode(self.message)


class Reader:
    """Reads the Parts of a stream that are outside of its records."""

    def __init__(self, layout: Layout) -> None:
        self._parts = [(nested, wire.decoder(nested.layout.wire)) for nested in layout.nested if nested.source]

    def __bool__(self) -> bool:
        return bool(self._parts)

    def read_into(self, record: Any, outside: Outside) -> None:
        """Put the Parts into a decoded record, whatever it has in their place. Raises Rejected."""
        for nested, decode in self._parts:
            if nested.name not in outside._read:
                outside._read[nested.name] = _decoded(nested, decode, outside)
            part = outside._read[nested.name]
            if isinstance(part, Rejected):
                raise part.at("")
            msgspec.structs.force_setattr(record, nested.name, part)


def _decoded(nested: Nested, decode: Callable[[str | bytes], Any], outside: Outside) -> Any:
    """Return the Part as JSON has it, or why there is none."""
    try:
        return decode(outside.json(nested.source))
    except (ValueError, RecursionError) as error:
        return diagnosis.rejection(error, nested.layout).at(nested.pointer)


def below(pointer: str, rejected: Rejected) -> Rejected:
    """Return the rejection of a record at `pointer` in its message; what is outside of the record stays where it is."""
    is_outside = any(rejected.pointer.partition("/")[0] == source.value for source in Source)
    return rejected if is_outside else rejected.at(pointer)


def check(layout: Layout, is_stream: bool, envelope: Envelope, splitter: Splitter | None) -> None:
    """Raise DeclarationError when a declaration reads what is not outside of its records."""
    for nested in layout.nested:
        where = f"{layout.name}.{nested.name}"
        if nested.source and not is_stream:
            raise DeclarationError(f"{where}: only a Stream reads what is outside of the record")
        is_bare = envelope is plain and (splitter is None or splitter.records is json_lines)
        if nested.source is Source.ENVELOPE and is_bare:
            raise DeclarationError(f"{where}: nothing is around the record: the stream names no envelope")
        if nested.source is Source.MESSAGE:
            _check_message(where, nested.layout)


class Wanted(NamedTuple):
    """The names of the attributes that a stream reads: those of SQS, and those that producers give."""

    of_sqs: Sequence[str] = ()
    of_producers: Sequence[str] = ()


def wanted(layout: Layout) -> Wanted:
    """Return what a stream reads of its messages."""
    members = [one for nested in layout.nested if nested.source is Source.MESSAGE for one in nested.layout.members]
    of_sqs = [one.key for one in members if one.key != OF_PRODUCERS]
    return Wanted(of_sqs, [one.key for part in members if isinstance(part, Nested) for one in part.layout.members])


def _check_message(where: str, layout: Layout) -> None:
    for member in layout.members:
        if member.key == OF_PRODUCERS:
            if isinstance(member, Nested) and len(member.layout.members) > MOST_OF_PRODUCERS:
                raise DeclarationError(
                    f"{where}.{member.name}: has more than {MOST_OF_PRODUCERS} attributes,"
                    " which is all that a redrive can carry"
                )
        elif member.key not in OF_SQS or not isinstance(member, Field):
            raise DeclarationError(
                f"{where}.{member.name}: SQS has no attribute {member.key}, but {', '.join(OF_SQS)};"
                f" those of the producer are in the object {OF_PRODUCERS}"
            )
