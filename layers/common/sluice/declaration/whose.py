"""Whose record a body is, even where it is no valid record. All of it is personal data."""

from collections.abc import Iterator
from typing import Any

import msgspec

from sluice.declaration.layout import Field, Layout, Nested
from sluice.declaration.personal import SubjectField
from sluice.declaration.route import Queued, records_of
from sluice.declaration.stream import Stream
from sluice.failures import Rejected


def canonical(stream: type[Stream], text: str) -> frozenset[str]:
    """Return the canonical texts of a person, as tokens are made of them: one for each spelling that a field takes.

    There is none where the stream can name no such person.
    """
    fields = stream.subject.fields if stream.subject else ()
    return frozenset(found for field in fields if (found := _canonical(field, text)) is not None)


def of_each(queued: Queued, body: str) -> tuple[tuple[str, ...], ...]:
    """Return whom each record of a body is about, as `of_body` does. A body that cannot be read is about nobody."""
    try:
        records = records_of(queued, body)
    except Rejected:
        return ((),)
    return tuple(_of_record(stream, text, body) for stream, text in records)


def of_body(stream: type[Stream], body: str) -> tuple[str, ...]:
    """Return the canonical texts of whom a body is about: none where it does not say so. It raises nothing.

    Of the record no more needs to be right than what names the persons; a number in the place of a text does.
    """
    try:
        return _of_record(stream, stream.unwrap(body), body)
    except Rejected:
        return ()


def _of_record(stream: type[Stream], text: str | bytes, envelope: str) -> tuple[str, ...]:
    try:
        record = msgspec.json.decode(text)
        for field in stream.subject.fields if stream.subject else ():
            value = _value(stream.layout, field, record, envelope)
            if value is not None and value != []:
                return tuple(_texts(field, value))
        return ()
    except Exception:  # noqa: BLE001 (a rule of one's own may raise anything, and all of it may quote the body)
        return ()


def _value(stream: Layout, field: SubjectField, value: Any, envelope: str) -> Any:
    """Return what a record has in a field; None where it or an object around it is missing or null."""
    layouts = [stream]
    for name in field.path:
        members = [one for layout in layouts for one in layout.members if one.name == name]
        nested = [one for one in members if isinstance(one, Nested)]
        if any(one.source for one in nested):
            value = msgspec.json.decode(envelope)
        elif not any(one.is_itself for one in nested):  # of a union whose members are those of the object around it
            value = next((value[one.key] for one in members if one.key in (value or ())), None)
        may_be_blank = any(isinstance(one, Field) and one.null_if for one in members)
        if may_be_blank and isinstance(value, str) and not value.strip():
            return None
        layouts = [case.layout for one in nested for case in one.cases]
    return value


def _texts(field: SubjectField, value: Any) -> Iterator[str]:
    for one in value if field.is_array and isinstance(value, list) else (value,):
        if isinstance(one, str | int | float) and (found := _canonical(field, str(one))) is not None:
            yield found


def _canonical(field: SubjectField, text: str) -> str | None:
    try:
        return field.rule.text(field.canonical(text))
    except (Rejected, msgspec.ValidationError):
        return None
