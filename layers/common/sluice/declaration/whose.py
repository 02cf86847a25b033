"""Whose record a body is, even where it is no valid record. All of it is personal data."""

import msgspec

from sluice.declaration.layout import Layout, Nested
from sluice.declaration.stream import Stream
from sluice.failures import Rejected


def canonical(stream: type[Stream], text: str) -> str | None:
    """Return the canonical text of a person, as tokens are made of it, or None where the stream can name no such."""
    if stream.subject is None:
        return None
    try:
        return stream.subject.rule.text(stream.subject.canonical(text))
    except (Rejected, msgspec.ValidationError):
        return None


def of_each(stream: type[Stream], body: str) -> tuple[str | None, ...]:
    """Return whom each record of a body is about, as `of_body` does. A body that cannot be read is about None."""
    if stream.splitter is None:
        return (of_body(stream, body),)
    try:
        texts = stream.record_texts(body)
    except Rejected:
        return (None,)
    return tuple(_of_record(stream, text, body) for text in texts)


def of_body(stream: type[Stream], body: str) -> str | None:
    """Return the canonical text of whom a body is about, or None where it does not say so. It raises nothing.

    Of the record no more needs to be right than what names the person; a number in the place of a text does.
    """
    try:
        return _of_record(stream, stream.unwrap(body), body)
    except Rejected:
        return None


def _of_record(stream: type[Stream], record: str | bytes, envelope: str) -> str | None:
    layout: Layout | None = stream.layout
    try:
        value = msgspec.json.decode(record)
        for name in stream.subject.field if stream.subject else ():
            member = next(one for one in (layout.members if layout else ()) if one.name == name)
            is_around = isinstance(member, Nested) and member.source
            value = msgspec.json.decode(envelope) if is_around else value[member.key]
            layout = getattr(member, "layout", None)
        return canonical(stream, str(value)) if isinstance(value, str | int | float) else None
    except Exception:  # noqa: BLE001 (a rule of one's own may raise anything, and all of it may quote the body)
        return None
