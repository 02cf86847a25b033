"""The witness: a record of nobody, made of the rules' own examples, which goes the way of every record."""

from typing import Any

import msgspec

from sluice.declaration.envelopes import plain
from sluice.declaration.layout import Layout
from sluice.declaration.stream import Masked, Stream
from sluice.failures import OF_A_USERS_CODE, rejection_of
from sluice.pseudonyms.keyset import Keyset


def example(layout: Layout) -> dict[str, Any]:
    """Return an object that the rules of a declaration accept, as in JSON. It is nobody's; lists are empty."""
    fields = {field.key: field.rule.example for field in layout.fields}
    return fields | {nested.key: [] if nested.many else example(nested.layout) for nested in layout.nested}


def mask(stream: type[Stream], keyset: Keyset) -> Masked:
    """Mask the example as ingest masks a record, without an envelope.

    Raises Unforeseen when code of the user's own fails of it, Rejected when a rule of the user's own has no example.
    """
    try:
        body = msgspec.json.encode(example(stream.layout)).decode()
    except OF_A_USERS_CODE as error:  # the `example` of a rule of the user's own
        raise rejection_of(error) from None
    masked = stream.masker(keyset, envelope=plain)(body)
    postmark = stream.postmark.reader(plain)(body)
    if postmark and postmark.fault:
        raise postmark.fault
    return masked
