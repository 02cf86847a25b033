"""The record handlers: from an SQS message to its masked rows, and to the rejections of those that can be none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.declaration import witness
from sluice.declaration.envelopes import plain, recognised
from sluice.declaration.outside import below
from sluice.declaration.records import Splitter
from sluice.declaration.stream import Stream
from sluice.failures import OF_A_USERS_CODE, Rejected, Unforeseen, rejection_of
from sluice.ingest.message import id_of_record, id_of_row_or_rejection, message_id, outside, sent_at, sent_at_of_record
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.pseudonyms.keyset import Keyset


@dataclass(frozen=True)
class Place:
    """Where in its message a record is. Its text is clear personal data, so no representation shows it."""

    pointer: str
    text: str = field(repr=False)


class Refusal(NamedTuple):
    """A record that is at fault, and what is told of it."""

    rejected: Rejected  # its pointer is that in the record
    rejection: Rejection
    place: Place


class Handled(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a message: rows, and where it holds several records perhaps refusals beside them."""

    rows: Sequence[MaskedRow] = ()
    refusals: Sequence[Refusal] = ()  # the message fails of them; the rows are written
    ignored: int = 0  # records that are acknowledged, and not stored
    places: Mapping[str, Place] | None = None  # of the rows, by message id; None where the message is the record


IGNORED = Handled(ignored=1)


class RecordHandler:
    """The function from an SQS message to the row of its one record. It raises nothing but Rejected."""

    def __init__(self, stream: type[Stream], keyset: Keyset) -> None:
        self._stream = stream
        self._keyset = keyset
        self._ignores = stream.ignores_message()
        self._postmark = stream.message_postmark()
        self._mask = stream.masker(keyset)
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
            return Handled(
                (
                    MaskedRow(
                        message_id(record, postmark),
                        sent_at(record, postmark),
                        masked.cells,
                        masked.originals,
                        masked.nulled,
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
        return self._rejection_at(handled.places[row.message_id], row.message_id, rejected)

    def fails_of_everything(self) -> bool:
        """Tell whether the stream's code fails of the stream's own example too: then no record is at fault."""
        try:
            witness.mask(self._stream, self._keyset)
        except Rejected as rejected:
            return isinstance(rejected, Unforeseen)  # any other is a foreseen answer: the code works
        return False

    def _rejection_at(self, place: Place, identity: str, rejected: Rejected) -> Rejection:
        shape = self._stream.shape(place.text, envelope=plain)
        return self._rejection(identity, below(place.pointer, rejected), shape)

    def _rejection(self, identity: str, rejected: Rejected, shape: dict[str, object]) -> Rejection:
        # Cut to the table's columns: a rule of one's own, or an object deep in others, may exceed them.
        return Rejection(identity, self._stream.stream_name, rejected.reason[:64], rejected.pointer[:256], shape)


class RecordsHandler(RecordHandler):
    """The function from an SQS message with several records. It raises Rejected when nothing of the message is good."""

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
            of_message, sent = message_id(record, postmark), sent_at(record, postmark)
            texts = self._texts(record.body)
            around = None if self._outside is None else self._outside(record)
        except OF_A_USERS_CODE as error:
            raise rejection_of(error) from None  # the cause may quote the message
        rows: list[MaskedRow] = []
        refusals: list[Refusal] = []
        places: dict[str, Place] = {}
        ignored = 0
        for index, text in enumerate(texts):
            if self._ignores_record is not None and self._ignores_record(text):
                ignored += 1
                continue
            own = self._own_postmark(text)
            identity = id_of_record(of_message, index, own)
            place = Place(self._splitter.pointer(index), text)
            try:
                masked = self._mask(text, around)
                if own is not None and own.fault is not None:
                    raise own.fault
                at = sent_at_of_record(record, own, sent)
                rows.append(MaskedRow(identity, at, masked.cells, masked.originals, masked.nulled))
                places.setdefault(identity, place)
            except OF_A_USERS_CODE as error:
                rejected = rejection_of(error)
                refusals.append(Refusal(rejected, self._rejection_at(place, identity, rejected), place))
        return Handled(rows, refusals, ignored, places)

    def _texts(self, body: str) -> list[str]:
        try:
            return self._splitter.split(self._unwrap(body))
        except Rejected as rejected:
            known = recognised(body) if self._unwrap is plain else None
            raise known or rejected from None
