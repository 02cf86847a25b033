"""What a stream makes of messages: clear messages in, masked rows, rejections and what they have in common out."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sluice.declaration.inside import TokensInside
from sluice.declaration.layout import Derived, Layout
from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact
from sluice.declaration.scrub import Scrub
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.ingest.batch import record_handler
from sluice.ingest.message import id_of_row_or_rejection
from sluice.ingest.rows import MaskedRow
from sluice.postgres.cells import Cell
from sluice.pseudonyms.keyset import Keyset
from tools.sluice_cli.authors import declarations, detection, faults, hiding, space
from tools.sluice_cli.authors.declarations import Entry
from tools.sluice_cli.authors.messages import Message
from tools.sluice_cli.authors.space import Space

type Clear = Mapping[str, Sequence[Any]]  # canonical values by pointer, with `*` for the elements of lists


@dataclass(frozen=True)
class Accepted:
    """A message that would become a row. It holds clear values."""

    message: Message
    row: MaskedRow = field(repr=False)
    clear: Clear = field(repr=False)


@dataclass(frozen=True)
class RejectedRecord:
    """A message that would become none."""

    message: Message
    rejected: Rejected


@dataclass(frozen=True)
class Exposure:
    """A column that keeps in the clear what looks like personal data, and of how many records."""

    column: str
    kind: str  # in the words of `detection`
    records: int


@dataclass(frozen=True)
class Column:
    """What is to be told of a masked column: the values that came in, and how many there may be."""

    name: str
    mask: str
    values: int  # distinct
    stored: int  # distinct, NULL not counted
    space: Space

    def reversed_after(self, hashes_per_second: float) -> float:
        """Return the decimal logarithm of the seconds in which one CPU hashes every value there may be."""
        return self.space.bits * math.log10(2) - math.log10(hashes_per_second)


class Findings:
    """What a stream, under one keyset, makes of some messages."""

    def __init__(self, stream: type[Stream], messages: Sequence[Message], keyset: Keyset) -> None:
        self.stream = stream
        self.messages = messages
        self.entries = declarations.entries(stream)
        self._keyset = keyset
        self.accepted: list[Accepted] = []
        self.rejected: list[RejectedRecord] = []
        self._writers = {entry: write for entry in self.entries if (write := _writer(entry, keyset))}
        handle = record_handler(stream, keyset)
        for message in messages:
            try:
                row = handle(message.record)
            except Rejected as rejected:
                self.rejected.append(RejectedRecord(message, rejected))
            else:
                self.accepted.append(Accepted(message, row, _canonical(stream, message.body)))

    def row(self, accepted: Accepted, show_clear: bool) -> dict[str, Any]:
        """Return a row as it would be stored, but with Kept for what would be in the clear."""
        hidden = set() if show_clear else {entry.path for entry in self.entries if not self._is_masked(entry, accepted)}
        columns = [column for column, _ in self.stream.columns()]
        row = hiding.hide(dict(zip(columns, accepted.row.cells, strict=True)), self.entries, hidden)
        if accepted.message.sent or self.stream.postmark.identity:
            row["message_id"] = accepted.row.message_id
        if accepted.message.sent or self.stream.postmark.time:
            row["sent_at"] = accepted.row.sent_at
        return row

    @property
    def row_count(self) -> int:
        """How many rows there would be: messages with one id are one."""
        return len({accepted.row.message_id for accepted in self.accepted})

    def faults(self, record: RejectedRecord) -> list[Rejected]:
        """Return all that is wrong with a record, of each field the first fault."""
        return faults.of(self.stream, record.message.body, self._keyset, record.rejected)

    def repeated_messages(self) -> dict[str, list[str]]:
        """Return the message ids that came more than once, and where: each is one row."""
        places: dict[str, list[str]] = defaultdict(list)
        postmark_of = self.stream.postmark.reader(self.stream.unwrap)
        for message in self.messages:
            postmark = postmark_of(message.body)
            if message.sent or (postmark and postmark.identity):
                places[id_of_row_or_rejection(message.record, postmark)].append(message.place)
        return {message_id: found for message_id, found in places.items() if len(found) > 1}

    def repeated_tokens(self) -> list[tuple[str, str, list[str]]]:
        """Return column, token and places of every token in more than one row, the most frequent first."""
        rows = {accepted.row.message_id: accepted for accepted in reversed(self.accepted)}.values()
        places: dict[tuple[str, str], list[str]] = defaultdict(list)
        for accepted in reversed(rows):
            for entry, write in self._writers.items():
                if isinstance(entry.mask, Pseudonym):
                    for token in sorted({str(write(value)) for value in accepted.clear.get(entry.pointer, ())}):
                        places[entry.column, token].append(accepted.message.place)
        repeated = [(column, token, found) for (column, token), found in places.items() if len(found) > 1]
        return sorted(repeated, key=lambda one: -len(one[2]))

    def exposures(self) -> list[Exposure]:
        """Return what looks like personal data by its form, in all that would be stored as it came or less of it."""
        kept = [entry for entry in self.entries if entry.pointer or isinstance(entry.mask, Derived)]
        kept = [
            entry
            for entry in kept
            if not isinstance(entry.mask, Pseudonym | Redact | TokensInside) and not entry.is_constant
        ]
        records: Counter[tuple[str, str]] = Counter()
        for accepted in self.accepted:
            row = self.row(accepted, show_clear=True)
            for entry in kept:
                kinds = {kind for value in _stored(row, entry.path) for kind in detection.find(str(value))}
                records.update((entry.column, kind) for kind in kinds & detection.PERSONAL)
        return [Exposure(column, detection.WORDS[kind], count) for (column, kind), count in sorted(records.items())]

    def columns(self) -> list[Column]:
        """Return what is to be told of every masked column."""
        told = []
        for entry, write in self._writers.items():
            rule = entry.rule
            if rule and not isinstance(entry.mask, Keep | Scrub | TokensInside):
                clear = [value for accepted in self.accepted for value in accepted.clear.get(entry.pointer, ())]
                values = {rule.element.text(value) for value in clear}
                stored = {write(value) for value in clear} - {None}
                mask = declarations.mask_text(entry)
                told.append(Column(entry.column, mask, len(values), len(stored), space.seen(rule, values)))
        return told

    def _is_masked(self, entry: Entry, accepted: Accepted) -> bool:
        """Tell whether nothing in the column is a clear value: neither by declaration nor because it was so short."""
        if entry.is_constant or isinstance(entry.mask, TokensInside):
            return True
        if entry not in self._writers or isinstance(entry.mask, Keep | Scrub) or entry.rule is None:
            return False
        write, element = self._writers[entry], entry.rule.element
        return all(
            write(value) not in (element.cell(value), element.text(value))
            for value in accepted.clear.get(entry.pointer, ())
        )


def _stored(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """Yield what a row has in a column, or in a member of the objects there."""
    if not path:
        yield value
    elif isinstance(value, list):
        for element in value:
            yield from _stored(element, path)
    elif isinstance(value, dict):
        yield from _stored(value.get(path[0]), path[1:])


def _writer(entry: Entry, keyset: Keyset) -> Callable[[Any], Cell] | None:
    """Return the function from a canonical value, or from an element of a list of them, to what the mask leaves."""
    if not isinstance(entry.mask, Mask) or entry.rule is None:
        return None
    return entry.mask.writer(entry.name, entry.rule.element, keyset)


def _canonical(stream: type[Stream], body: str) -> Clear:
    """Return the canonical values of a record that was accepted."""
    values: dict[str, list[Any]] = defaultdict(list)
    for pointer, value in _values(stream.layout, msgspec.json.decode(stream.unwrap(body), type=stream.layout.wire), ""):
        values[pointer].append(value)
    return values


def _values(layout: Layout, record: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    for declared in layout.fields:
        value = getattr(record, declared.name)
        if value is not None:
            canonical = declared.rule.canonical(value)
            for element in canonical if isinstance(canonical, list) else [canonical]:
                yield pointer + declared.pointer, element
    for nested in layout.nested:
        place, value = pointer + nested.pointer, getattr(record, nested.name)
        if nested.many:
            for element in value or []:
                yield from _values(nested.layout, element, f"{place}/*")
        elif value is not None:
            yield from _values(nested.layout, value, place)
