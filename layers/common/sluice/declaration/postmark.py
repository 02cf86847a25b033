"""The postmark of a record: the fields that a stream names for what makes it one, and for its time.

They are read of a body by themselves. So a record that is rejected for another field has the same id as its row would.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import msgspec

from sluice.declaration import canonical, layout, wire
from sluice.declaration.envelopes import Envelope, Postmark, plain, postmark_of
from sluice.declaration.layout import Field, Layout, Nested
from sluice.declaration.masks import Keep, Truncate
from sluice.declaration.personal import Subject
from sluice.declaration.rules import Rule, Timestamp
from sluice.failures import OF_A_USERS_CODE, DeclarationError, Rejected, rejection_of

NAMESPACE = UUID("6b1d7a3e-0d0a-5c5e-9a55-5c1d5e0f4a11")  # of the UUIDs that stand for ids of producers (RFC 9562, 5.5)

_NOTHING = Postmark()
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


@dataclass(frozen=True)
class NamedField:
    """A field that is in every record, and kept in the clear."""

    path: tuple[str, ...]  # names in the classes, from the stream inwards
    pointer: str
    rule: Rule
    decode: Callable[[str | bytes], Any]  # of the record no more than this field

    def read[T](self, record: str | bytes, make: Callable[[Rule, Any], T]) -> T:
        """Return what `make` makes of the rule and the canonical value. Raises Rejected at the field's pointer."""
        try:
            value = self.decode(record)
            for name in self.path:
                value = getattr(value, name)
            return make(self.rule, self.rule.canonical(value))
        except OF_A_USERS_CODE as error:
            raise rejection_of(error).at(self.pointer) from None  # the cause may quote the value


@dataclass(frozen=True)
class OwnPostmark:
    """What a stream names for the identity and the time of its records, if it does."""

    identity: NamedField | None
    time: NamedField | None
    namespace: UUID  # of the ids that are no UUIDs

    def reader(self, unwrap: Envelope) -> Callable[[str], Postmark | None]:
        """Return the function from a body to its postmark: of the record, else of its envelope. It raises nothing."""
        if self.identity is None and self.time is None:
            return _none if unwrap is plain else partial(postmark_of, unwrap)

        def read(body: str) -> Postmark:
            around = postmark_of(unwrap, body) or _NOTHING
            identity, sent_at, pointer, fault = None, around.sent_at, "", None
            try:
                record = unwrap(body)
                if self.identity is not None:
                    identity = self.identity.read(record, self._message_id)
                if self.time is not None:
                    sent_at = self.time.read(record, _milliseconds)
                    pointer = self.time.pointer
            except Rejected as rejected:
                fault = rejected.at("")  # without its context, which may quote the record
            return Postmark(around.message_id, sent_at, around.attributes, identity, pointer, fault)

        return read

    def _message_id(self, rule: Rule, value: Any) -> str:
        return as_uuid(rule.text(value), self.namespace)


def of_stream(stream: Layout, stream_name: str, identity: str, time: str, subject: Subject | None) -> OwnPostmark:
    """Return the postmark that a stream names, by paths like `object.field`. Raises DeclarationError."""
    found = _named(stream, "identity", identity, "the UUID made of it would give it away")
    if found and subject and found.path in [field.path for field in subject.fields]:
        raise DeclarationError(
            f"{stream.name}: the identity {identity} is the subject, too;"
            " ids are in logs and rejections, which no erasure reaches"
        )
    moment = _named(stream, "time", time, "sent_at holds it")
    if moment and not isinstance(moment.rule, Timestamp):
        raise DeclarationError(f"{stream.name}: the time {time} must be a Timestamp")
    return OwnPostmark(found, moment, uuid5(NAMESPACE, stream_name))


def as_uuid(text: str, namespace: UUID = NAMESPACE) -> str:
    """Return the UUID that a text is, or one that stands for it (RFC 9562, 5.5). Raises Rejected when it is blank."""
    if len(text) in (32, 36):  # without its hyphens, or with them
        with suppress(Rejected):
            return canonical.uuid(text)
    if not text.strip():
        raise Rejected("empty")
    return str(uuid5(namespace, text))


def _named(stream: Layout, what: str, path: str, why_clear: str) -> NamedField | None:
    if not path:
        return None
    around, field = layout.single_field(stream, what, path)
    members: list[Field | Nested] = [*around, field]
    layouts = [stream, *(nested.layout for nested in around)]
    for member, its_layout in zip(members, layouts, strict=True):
        infos = {info.name: info for info in msgspec.structs.fields(its_layout.wire)}
        if member.optional or not infos[member.name].required:
            raise DeclarationError(
                f"{stream.name}: the {what} {path} must be in every record,"
                f" but {member.name} has a default or can be null"
            )
    is_kept = any(isinstance(mask, Keep) and mask.as_ is None for mask in field.masks)
    if not is_kept or not all(isinstance(mask, Keep | Truncate) for mask in field.masks):
        raise DeclarationError(
            f"{stream.name}: the {what} {path} must be kept in the clear, without a token of it or a constant for it:"
            f" {why_clear}"
        )
    names = tuple(member.name for member in members)
    decode = wire.decoder(_wire_type(members))
    return NamedField(names, "".join(member.pointer for member in members), field.rule, decode)


def _wire_type(members: list[Field | Nested]) -> type[msgspec.Struct]:
    """Return the type of a record with one field and the objects around it."""
    first, *inner = members
    type_ = first.rule.accepts if isinstance(first, Field) else _wire_type(inner)
    return msgspec.defstruct("Named", [(first.name, type_, msgspec.field(name=first.key))], frozen=True)


def _milliseconds(rule: Rule, moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND  # cut off, not rounded: that could cross a month


def _none(body: str) -> None:
    return None
