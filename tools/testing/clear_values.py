"""The values of a message that must be nowhere in the clear, and whether they are somewhere in a text."""

import json
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from sluice.declaration import cases
from sluice.declaration.layout import Case, Field, Layout, Nested, Source
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
    """Return what of a body must be nowhere, and what its stream lets through: as sent, and in canonical form."""
    hidden: set[str] = set()
    kept: set[str] = set()
    for field, value in _all_values(stream, body):
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
    by_start: dict[str, list[str]] = defaultdict(list)
    for value in wanted:
        by_start[value[:width]].append(value)
    return {
        wanted[value]
        for place in range(len(text) - width + 1)
        for value in by_start.get(text[place : place + width], ())
        if text.startswith(value, place)
    }


def _all_values(stream: type[Stream], body: str) -> Iterator[tuple[Field, Any]]:
    """Yield the values of each record in a body, and of what is around it."""
    with suppress(ValueError, RecursionError, Rejected):
        for text in stream.record_texts(body):
            with suppress(ValueError, RecursionError):
                yield from _values(stream.layout, msgspec.json.decode(text))
    with suppress(ValueError, RecursionError):
        for nested in stream.layout.nested:
            if nested.source is Source.ENVELOPE:
                yield from _values(nested.layout, msgspec.json.decode(body))


def _values(layout: Layout, record: Any) -> Iterator[tuple[Field, Any]]:
    """Yield every value of a declared field, each of a list's for itself, however wrong the rest of the record is."""
    if not isinstance(record, dict):
        return
    for field in layout.fields:
        value = record.get(field.key)
        for element in _elements(value):
            if element is not None and not isinstance(element, dict | bool):
                yield field, element
    for nested in [one for one in layout.nested if not one.source]:
        value = record if nested.inline else record.get(nested.key)
        for element in value if nested.many and isinstance(value, list) else [value]:
            for case in _cases(nested, element):
                yield from _values(case.layout, element if case.is_object else {case.layout.members[0].key: element})


def _cases(nested: Nested, value: Any) -> Sequence[Case]:
    """Return the case of a value; all of them where it is none."""
    with suppress(Rejected):
        return [nested.cases[cases.chooser(nested)(msgspec.json.encode(value)) if nested.union else 0]]
    return nested.cases


def _elements(value: Any) -> Iterator[Any]:
    if not isinstance(value, list):
        yield value
        return
    for element in value:
        yield from _elements(element)


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
