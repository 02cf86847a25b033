"""The witness: a record of nobody, made of the rules' own examples, which goes the way of every record."""

from typing import Any

import msgspec

from sluice.declaration.envelopes import plain
from sluice.declaration.layout import Layout, Nested, Source
from sluice.declaration.outside import Outside
from sluice.declaration.stream import Masked, Stream
from sluice.declaration.unions import Tagged
from sluice.failures import OF_A_USERS_CODE, rejection_of
from sluice.pseudonyms.keyset import Keyset


def example(layout: Layout) -> dict[str, Any]:
    """Return an object that the rules of a declaration accept, as in JSON. It is nobody's; lists are empty."""
    made = {field.key: field.rule.example for field in layout.fields}
    for nested in layout.nested:
        if not nested.source:
            inside = [] if nested.many else _inside(nested)
            made |= inside if isinstance(inside, dict) and nested.inline else {nested.key: inside}
    return made


def outside(layout: Layout) -> Outside:
    """Return what is outside of the example, as far as the stream reads it."""
    made: dict[Source, dict[str, Any]] = {source: {} for source in Source}
    for nested in layout.nested:
        if nested.source:
            made[nested.source] |= example(nested.layout)
    return Outside(msgspec.json.encode(made[Source.ENVELOPE]), made[Source.MESSAGE])


def _inside(nested: Nested) -> Any:
    """Return an example of an object, of a union that of its first case."""
    case = nested.cases[0]
    made = example(case.layout)
    if not case.is_object:
        return next(iter(made.values()))
    return made | {nested.union.key: case.tags[0]} if isinstance(nested.union, Tagged) else made


def mask(stream: type[Stream], keyset: Keyset) -> Masked:
    """Mask the example as ingest masks a record, without an envelope.

    Raises Unforeseen when code of the user's own fails of it, Rejected when a rule of the user's own has no example.
    """
    try:
        body, around = msgspec.json.encode(example(stream.layout)).decode(), outside(stream.layout)
    except OF_A_USERS_CODE as error:  # the `example` of a rule of the user's own
        raise rejection_of(error) from None
    masked = stream.masker(keyset, envelope=plain)(body, around)
    postmark = stream.postmark.reader(plain)(body)
    if postmark and postmark.fault:
        raise postmark.fault
    return masked
