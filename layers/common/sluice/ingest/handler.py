"""The record handlers turn an SQS message into masked rows, and into rejections of records that cannot be rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.declaration import witness
from sluice.declaration.envelopes import Postmark, plain, recognised
from sluice.declaration.outside import Outside, below
from sluice.declaration.records import Splitter
from sluice.declaration.route import Queued, Route
from sluice.declaration.stream import Stream
from sluice.failures import OF_A_USERS_CODE, Rejected, Unforeseen, rejection_of
from sluice.ingest.message import (
    id_of_record,
    id_of_row_or_rejection,
    is_too_old,
    lacks_time,
    message_id,
    outside,
    sent_at,
    sent_at_of_record,
)
from sluice.ingest.rows import Key, MaskedRow, Rejection
from sluice.pseudonyms.keyset import Keyset


@dataclass(frozen=True)
class Place:
    """Where in its message a record is. Its text is clear personal data, so no representation shows it."""

    index: int
    pointer: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class Message:
    """A message with several records."""

    record: SQSRecord = field(repr=False)  # as Lambda has it
    id: str
    sent_at: str
    lacks_time: bool  # its producer has given it an id, and no time
    outside: dict[str, Outside] = field(default_factory=dict, repr=False)  # what is around its records, by stream


class Refusal(NamedTuple):
    """A record that is at fault, and what is told of it."""

    rejected: Rejected  # its pointer begins at the record, not at the message
    rejection: Rejection
    place: Place


class Handled(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a message: its rows, and beside them refusals, if it holds several records."""

    rows: Sequence[MaskedRow] = ()
    refusals: Sequence[Refusal] = ()  # the message is reported as failed; its rows are written
    ignored: int = 0  # records that are acknowledged, and not stored
    places: Mapping[Key, Place] | None = None  # of the rows; None where the message is the record


IGNORED = Handled(ignored=1)


def handler(queued: Queued, keyset: Keyset) -> "RecordHandler":
    """Return the handler of the messages of a queue."""
    if issubclass(queued, Route):
        splitter = queued.head.splitter
        return RouteHandler(queued, keyset) if splitter is None else RouteRecordsHandler(queued, keyset, splitter)
    splitter = queued.splitter
    return RecordHandler(queued, keyset) if splitter is None else RecordsHandler(queued, keyset, splitter)


class RecordHandler:
    """The function from an SQS message to the row of its one record. It raises nothing but Rejected."""

    def __init__(self, stream: type[Stream], keyset: Keyset) -> None:
        self._stream = stream
        self.name = stream.stream_name  # of a stream, or of a route
        self._keyset = keyset
        self._ignores = stream.ignores_message()
        self._postmark = stream.message_postmark()
        self._mask = stream.masker(keyset)
        self._partitioning = stream.partitioning
        self._is_partitioned = stream.partitioning is not None
        self._outside = outside if any(nested.source for nested in stream.layout.nested) else None

    def __call__(self, record: SQSRecord) -> Handled:
        try:
            body = record.raw_event["body"]
            if self._ignores is not None and self._ignores(body):
                return IGNORED
            masked = self._mask(body) if self._outside is None else self._mask(body, self._outside(record))
            postmark = self._postmark(body)
            if postmark is not None and postmark.fault is not None:
                raise postmark.fault
            if self._is_partitioned:
                self._check_time(record, postmark, lacks_time(record, postmark))
            return Handled(
                (
                    MaskedRow(
                        message_id(record, postmark),
                        sent_at(record, postmark),
                        masked.cells,
                        masked.originals,
                        masked.nulled,
                        self.name,
                        self._is_partitioned,
                    ),
                )
            )
        except OF_A_USERS_CODE as error:
            raise rejection_of(error) from None  # the cause may quote the record

    def rejection(self, record: SQSRecord, rejected: Rejected) -> Rejection:
        """Return what is told of a message that is rejected as a whole."""
        identity = id_of_row_or_rejection(record, self._postmark(record.body))
        return self._rejection(identity, rejected, self._stream.shape(record.body))

    def rejection_of_row(self, record: SQSRecord, handled: Handled, row: MaskedRow, rejected: Rejected) -> Rejection:
        """Return what is told of a row that PostgreSQL refuses."""
        if handled.places is None:
            return self.rejection(record, rejected)
        return self._rejection_at(handled.places[row.key], row.message_id, rejected)

    def fails_of_everything(self, stream: str) -> bool:
        """Tell whether a stream's code fails of the stream's own example too: then no record is at fault."""
        try:
            witness.mask(self._stream, self._keyset)
        except Rejected as rejected:
            return isinstance(rejected, Unforeseen)  # any other is a foreseen answer: the code works
        return False

    def _check_time(self, record: SQSRecord, postmark: Postmark | None, lacks_time: bool) -> None:
        """Raise Rejected when the time cannot be in a partitioned table's key: there is none, or it is too old."""
        if lacks_time:
            raise Rejected("no_time", "/sluice_sent_at")
        if postmark and self._partitioning and is_too_old(record, postmark, self._partitioning.keep_for):
            raise Rejected("too_old", postmark.time_pointer)

    def _rejection_at(self, place: Place, identity: str, rejected: Rejected) -> Rejection:
        shape = self._stream.shape(place.text, envelope=plain)
        return self._rejection(identity, below(place.pointer, rejected), shape)

    def _rejection(self, identity: str, rejected: Rejected, shape: dict[str, object]) -> Rejection:
        # Cut to the table's columns: the reason of a user's own rule, or the pointer of a deep field, may be longer.
        return Rejection(identity, self.name, rejected.reason[:64], rejected.pointer[:256], shape)


class RecordsHandler(RecordHandler):
    """The function from an SQS message with several records. It raises Rejected when the whole message is at fault."""

    def __init__(self, stream: type[Stream], keyset: Keyset, splitter: Splitter) -> None:
        super().__init__(stream, keyset)
        self._splitter = splitter
        self._unwrap = stream.unwrap
        self._ignores_record = stream.ignores_record()
        self._mask = stream.masker(keyset, envelope=plain)
        self._own_postmark = stream.postmark.reader(plain)

    def __call__(self, record: SQSRecord) -> Handled:
        try:
            if self._ignores is not None and self._ignores(record.body):
                return IGNORED
            postmark = self._postmark(record.body)
            lacking = lacks_time(record, postmark)
            message = Message(record, message_id(record, postmark), sent_at(record, postmark), lacking)
            texts = self._texts(record.body)
        except OF_A_USERS_CODE as error:
            raise rejection_of(error) from None  # the cause may quote the message
        rows: list[MaskedRow] = []
        refusals: list[Refusal] = []
        places: dict[Key, Place] = {}
        ignored = 0
        for index, text in enumerate(texts):
            place = Place(index, self._splitter.pointer(index), text)
            match self._record(message, place):
                case MaskedRow() as row:
                    rows.append(row)
                    places.setdefault(row.key, place)
                case Refusal() as refusal:
                    refusals.append(refusal)
                case None:
                    ignored += 1
        return Handled(rows, refusals, ignored, places)

    def _record(self, message: Message, place: Place) -> MaskedRow | Refusal | None:
        """Return what becomes of one of a message's records; None: it is ignored."""
        if self._ignores_record is not None and self._ignores_record(place.text):
            return None
        own = self._own_postmark(place.text)
        identity = id_of_record(message.id, place.index, own)
        try:
            masked = self._mask(place.text, self._around(message))
            if own is not None and own.fault is not None:
                raise own.fault
            at = sent_at_of_record(message.record, own, message.sent_at)
            if self._is_partitioned:
                self._check_time(message.record, own, message.lacks_time and (own is None or own.sent_at is None))
            return MaskedRow(
                identity, at, masked.cells, masked.originals, masked.nulled, self.name, self._is_partitioned
            )
        except OF_A_USERS_CODE as error:
            rejected = rejection_of(error)
            return Refusal(rejected, self._rejection_at(place, identity, rejected), place)

    def _around(self, message: Message) -> Outside | None:
        """Return what is outside of the stream's records, made once for all of a message."""
        if self._outside is None:
            return None
        if self.name not in message.outside:
            message.outside[self.name] = self._outside(message.record)
        return message.outside[self.name]

    def _texts(self, body: str) -> list[str]:
        held = self._unwrap(body)
        try:
            return self._splitter.split(held)
        except Rejected as rejected:
            raise recognised(self._unwrap, body, held) or rejected from None


class _Routing(RecordHandler):
    """Asks the handler of a row's or an error's stream, where a queue has several streams."""

    _handlers: Mapping[str, RecordHandler]  # by stream

    def rejection_of_row(self, record: SQSRecord, handled: Handled, row: MaskedRow, rejected: Rejected) -> Rejection:
        return self._handlers[row.stream].rejection_of_row(record, handled, row, rejected)

    def fails_of_everything(self, stream: str) -> bool:
        return stream in self._handlers and self._handlers[stream].fails_of_everything(stream)


class RouteHandler(_Routing):
    """The function from an SQS message to the row of its one record, which is of one of several streams."""

    def __init__(self, route: type[Route], keyset: Keyset) -> None:
        super().__init__(route.head, keyset)
        self._choose = route.chooser()
        self._handlers = {stream.stream_name: handler(stream, keyset) for stream in route.streams()}

    def __call__(self, record: SQSRecord) -> Handled:
        try:
            body = record.raw_event["body"]
            if self._ignores is not None and self._ignores(body):
                return IGNORED
            stream = self._choose(body)
        except OF_A_USERS_CODE as error:
            raise rejection_of(error) from None  # the cause may quote the message
        return self._handlers[stream.stream_name](record)

    def rejection(self, record: SQSRecord, rejected: Rejected) -> Rejection:
        try:
            stream = self._choose(record.body)
        except Rejected:
            return super().rejection(record, rejected)
        return self._handlers[stream.stream_name].rejection(record, rejected)


class RouteRecordsHandler(_Routing, RecordsHandler):
    """The function from an SQS message with several records, each of which is of one of several streams."""

    def __init__(self, route: type[Route], keyset: Keyset, splitter: Splitter) -> None:
        super().__init__(route.head, keyset, splitter)
        self._choose = route.chooser(envelope=plain)
        self._handlers: Mapping[str, RecordsHandler] = {
            stream.stream_name: RecordsHandler(stream, keyset, splitter) for stream in route.streams()
        }

    def _record(self, message: Message, place: Place) -> MaskedRow | Refusal | None:
        if self._ignores_record is not None and self._ignores_record(place.text):
            return None
        try:
            stream = self._choose(place.text)
        except Rejected as rejected:
            told = self._rejection_at(place, id_of_record(message.id, place.index), rejected)
            return Refusal(rejected, told, place)
        return self._handlers[stream.stream_name]._record(message, place)
