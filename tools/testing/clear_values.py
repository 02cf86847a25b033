"""A message's body in, its values that must be nowhere in the clear out; and whether they are somewhere in a text."""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from sluice.declaration.layout import Field, Layout
from sluice.declaration.masks import Keep, Redact, Truncate
from sluice.declaration.rules import Rule
from sluice.declaration.scrub import Scrub
from sluice.declaration.search import Search
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset

SHORTEST = 6  # characters: what is shorter is somewhere by chance
SHORTEST_BASE64 = 9  # characters: the same among many tokens, which are random

_NO_KEYSET = Keyset({}, 0)


def values(stream: type[Stream], body: str) -> tuple[set[str], set[str]]:
    """Return what of a record must be nowhere, and what its stream lets through: as sent, and in canonical form."""
    try:
        record = msgspec.json.decode(stream.unwrap(body))
    except (ValueError, RecursionError, Rejected):
        return set(), set()
    hidden: set[str] = set()
    kept: set[str] = set()
    for field, value in _values(stream.layout, record):
        scrubs = [mask for mask in field.masks if isinstance(mask, Scrub)]
        if scrubs:
            found, rest = _scrubbed(scrubs, str(value))
            hidden |= {text for text in found if len(text) >= SHORTEST}
            kept |= rest
            continue
        texts = {str(value), *_canonical_texts(field.rule.element, value)}
        if any(isinstance(mask, Keep) for mask in field.masks):
            kept |= texts
        else:
            hidden |= {text for text in texts if len(text) >= SHORTEST}
            kept |= set(_left_over(field, value))
    return hidden, kept


def spellings(text: str) -> Iterator[str]:
    """Yield a value as it may be spelled where bytes or JSON are written as text."""
    raw = text.encode(errors="surrogatepass")
    yield text
    yield json.dumps(text)[1:-1]
    yield raw.hex()
    for before in range(3):  # where it begins in a group of three bytes; what its neighbours change is cut off
        spelled = b64encode(bytes(before) + raw).decode()[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        if len(spelled) >= SHORTEST_BASE64:
            yield spelled


def find(wanted: Mapping[str, str], text: str) -> set[str]:
    """Return what `wanted` says of the texts that are in a text. It takes two passes, however many are wanted."""
    long = {value: about for value, about in wanted.items() if len(value) >= 2 * SHORTEST}
    short = {value: about for value, about in wanted.items() if value not in long}
    return _find(short, text) | _find(long, text)


def _find(wanted: Mapping[str, str], text: str) -> set[str]:
    if not wanted:
        return set()
    width = min(map(len, wanted))
    starts = {value[:width] for value in wanted}
    there = {start for place in range(len(text) - width + 1) if (start := text[place : place + width]) in starts}
    return {about for value, about in wanted.items() if value[:width] in there and value in text}


def _values(layout: Layout, record: Any) -> Iterator[tuple[Field, Any]]:
    """Yield every value of a declared field, each of a list's for itself, however wrong the rest of the record is."""
    if not isinstance(record, dict):
        return
    for field in layout.fields:
        value = record.get(field.key)
        for element in value if isinstance(value, list) else [value]:
            if element is not None and not isinstance(element, dict | list | bool):
                yield field, element
    for nested in layout.nested:
        value = record.get(nested.key)
        for element in value if isinstance(value, list) else [value]:
            yield from _values(nested.layout, element)


def _canonical_texts(rule: Rule, value: Any) -> Iterator[str]:
    with suppress(Rejected, msgspec.ValidationError):
        yield rule.text(rule.canonical(msgspec.convert(value, rule.accepts)))


def _scrubbed(scrubs: Iterable[Scrub], text: str) -> tuple[set[str], set[str]]:
    """Return what the masks find in a text, as it stands there and in canonical form, and what else is in the text."""
    found: set[str] = set()
    rest: set[str] = set()
    for scrub in scrubs:
        end = 0
        for hit in Search([(find.rule, find.pattern) for find in scrub.finds]).hits(text):
            found |= {text[hit.start : hit.end], scrub.finds[hit.finder].rule.text(hit.value)}
            rest.add(text[end : hit.start])
            end = hit.end
        rest.add(text[end:])
    return found, rest


def _left_over(field: Field, value: Any) -> Iterator[str]:
    """Yield what the masks let through: a shortened value, a constant."""
    rule = field.rule.element
    for mask in field.masks:
        if isinstance(mask, Truncate | Redact):
            with suppress(Rejected, msgspec.ValidationError):
                write = mask.writer(field.name, rule, _NO_KEYSET)
                yield str(write(rule.canonical(msgspec.convert(value, rule.accepts))))
