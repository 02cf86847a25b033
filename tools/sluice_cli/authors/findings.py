"""What a stream makes of clear messages: masked rows, rejections, and what they have in common."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sluice.declaration import cases, description, paths, reading, wire
from sluice.declaration.description import Entry
from sluice.declaration.envelopes import plain
from sluice.declaration.inside import TokensInside
from sluice.declaration.kept import Kept, Leaf, Shape, leaves
from sluice.declaration.layout import Derived, Layout
from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact
from sluice.declaration.outside import Reader, below
from sluice.declaration.route import Route
from sluice.declaration.scrub import Scrub
from sluice.declaration.stream import Stream
from sluice.declaration.tree import ByPath, Tree
from sluice.failures import Rejected
from sluice.ingest.batch import record_handler
from sluice.ingest.handler import Place
from sluice.ingest.message import id_of_row_or_rejection, outside
from sluice.ingest.rows import MaskedRow
from sluice.postgres.cells import Cell
from sluice.pseudonyms.keyset import Keyset
from tools.sluice_cli.authors import detection, faults, hiding, space
from tools.sluice_cli.authors.messages import Message
from tools.sluice_cli.authors.space import Space

KEYS = " keys"  # behind the pointer of a Tree

type At = tuple[str, tuple[str, ...]]  # a pointer with `*` for the elements of lists, and the cases of unions
type Clear = Mapping[At, Sequence[Any]]  # canonical values


@dataclass(frozen=True)
class Record:
    """A message, or one of several records in it. It holds clear values."""

    message: Message
    within: Place | None  # where in its message, if that holds several records

    @property
    def place(self) -> str:
        return self.message.place + (self.within.pointer if self.within else "")

    @property
    def text(self) -> str:
        """The record, of a message with one record in its envelope."""
        return self.within.text if self.within else self.message.body


@dataclass(frozen=True)
class Accepted(Record):
    """A record that would become a row."""

    row: MaskedRow = field(repr=False)
    clear: Clear = field(repr=False)


@dataclass(frozen=True)
class RejectedRecord(Record):
    """A record that would become none."""

    rejected: Rejected  # its pointer is that in the record

    @property
    def pointer(self) -> str:
        """The pointer that ingest tells."""
        return self.told(self.rejected).pointer

    def told(self, fault: Rejected) -> Rejected:
        """Return a fault of the record as one of its message."""
        return below(self.within.pointer, fault) if self.within else fault


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

    def __init__(
        self, stream: type[Stream], messages: Sequence[Message], keyset: Keyset, route: type[Route] | None = None
    ) -> None:
        """If the messages are of a route, the findings are of this stream's records alone; ignored are the head's."""
        self.stream = stream
        self.messages: list[Message] = []
        self.entries = description.entries(stream)
        self._keyset = keyset
        self.accepted: list[Accepted] = []
        self.rejected: list[RejectedRecord] = []
        self._writers = {entry: write for entry in self.entries if (write := _writer(entry, keyset))}
        self.ignored = 0  # records
        handle, name = record_handler(route or stream, keyset), stream.stream_name
        for message in messages:
            before = self.records
            try:
                handled = handle(message.record)
            except Rejected as rejected:
                if handle.rejection(message.record, rejected).stream == name:
                    self.rejected.append(RejectedRecord(message, None, rejected))
                    self.messages.append(message)
                continue
            self.ignored += handled.ignored if route is None or stream is route.head else 0
            refusals = [one for one in handled.refusals if one.rejection.stream == name]
            self.rejected += [RejectedRecord(message, one.place, one.rejected) for one in refusals]
            for row in [one for one in handled.rows if one.stream == name]:
                within = handled.places[row.key] if handled.places is not None else None
                self.accepted.append(Accepted(message, within, row, _canonical(stream, message, within)))
            self.messages += [message] * (self.records > before)

    @property
    def records(self) -> int:
        """How many records there are; a message that is rejected as a whole counts as one."""
        return len(self.accepted) + len(self.rejected) + self.ignored

    def shape(self, record: Record) -> dict[str, object]:
        """Return what ingest would tell of a record's form."""
        return self.stream.shape(record.text, envelope=plain if record.within else None)

    def row(self, accepted: Accepted, show_clear: bool) -> dict[str, Any]:
        """Return a row as it would be stored, but with Kept for what would be in the clear."""
        clear = [] if show_clear else [entry for entry in self.entries if not self._is_masked(entry, accepted)]
        hidden = {entry.place for entry in clear}
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
        envelope = plain if record.within else None
        found = faults.of(self.stream, record.text, self._keyset, record.rejected, envelope)
        return [faults.moved(record.told(fault), fault) for fault in found]

    def nulled(self) -> Counter[str]:
        """Return by pointer how many values became NULL because they were invalid."""
        return Counter(pointer for accepted in self.accepted for pointer in accepted.row.nulled)

    def repeated_messages(self) -> dict[str, list[str]]:
        """Return the message ids that came more than once, and where: each is one row."""
        places: dict[str, list[str]] = defaultdict(list)
        if self.stream.splitter:
            for accepted in self.accepted:
                if accepted.message.sent or self.stream.postmark.identity:
                    places[accepted.row.message_id].append(accepted.place)
            return {message_id: found for message_id, found in places.items() if len(found) > 1}
        postmark_of = self.stream.message_postmark()
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
                    for token in sorted({str(write(value)) for value in accepted.clear.get(entry.field, ())}):
                        places[entry.column, token].append(accepted.place)
        repeated = [(column, token, found) for (column, token), found in places.items() if len(found) > 1]
        return sorted(repeated, key=lambda one: -len(one[2]))

    def exposures(self) -> list[Exposure]:
        """Return what looks like personal data by its form, in all that would be stored as it came or less of it."""
        kept = [entry for entry in self.entries if entry.pointer or isinstance(entry.mask, Derived)]
        masked = (Pseudonym, Redact, TokensInside)
        kept = [entry for entry in kept if not isinstance(entry.mask, masked) and not entry.is_constant]
        records: Counter[tuple[str, str]] = Counter()
        for accepted in self.accepted:
            row = self.row(accepted, show_clear=True)
            for entry in kept:
                is_tree = bool(entry.inside) or isinstance(entry.mask, ByPath)
                stored = self._in_tree(entry, accepted) if is_tree else _stored(row, entry.path)
                kinds = {kind for value in stored for kind in detection.find(str(value))}
                records.update((entry.column, kind) for kind in kinds & detection.PERSONAL)
        return [Exposure(column, detection.WORDS[kind], count) for (column, kind), count in sorted(records.items())]

    def columns(self) -> list[Column]:
        """Return what is to be told of every masked column."""
        told = []
        for entry, write in self._writers.items():
            rule = entry.rule
            if rule and not isinstance(entry.mask, Keep | Scrub | TokensInside):
                clear = [value for accepted in self.accepted for value in accepted.clear.get(entry.field, ())]
                values = {rule.element.text(value) for value in clear}
                stored = {write(value) for value in clear} - {None}
                mask = description.mask_text(entry)
                told.append(Column(entry.column, mask, len(values), len(stored), space.seen(rule, values)))
        return told

    def _in_tree(self, entry: Entry, accepted: Accepted) -> Iterator[Cell]:
        """Yield what is stored of the values at one path of a Tree, or of a whole one the keys that no path names."""
        if not entry.inside:
            yield from accepted.clear.get((entry.pointer + KEYS, entry.cases), ())
        elif write := self._writers.get(entry):
            yield from map(write, accepted.clear.get(entry.field, ()))

    def _is_masked(self, entry: Entry, accepted: Accepted) -> bool:
        """Tell whether nothing in the column is a clear value: neither by declaration nor because it was so short."""
        if entry.is_constant or isinstance(entry.mask, TokensInside):
            return True
        if entry not in self._writers or isinstance(entry.mask, Keep | Scrub | ByPath) or entry.rule is None:
            return False
        write, element = self._writers[entry], entry.rule.element
        return all(
            write(value) not in (element.cell(value), element.text(value))
            for value in accepted.clear.get(entry.field, ())
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
    if not isinstance(entry.mask, Mask) or isinstance(entry.mask, ByPath) or entry.rule is None:
        return None
    return entry.mask.writer(entry.name, entry.rule.element, keyset)


def _canonical(stream: type[Stream], message: Message, within: Place | None) -> Clear:
    """Return the canonical values of a record that was accepted, and of what is outside of it."""
    values: dict[At, list[Any]] = defaultdict(list)
    text = within.text if within else stream.unwrap(message.body)
    record = msgspec.json.decode(text, type=stream.layout.wire)
    Reader(stream.layout).read_into(record, outside(message.record))
    for place, value in _values(stream.layout, record, ""):
        values[place].append(value)
    return values


def _values_in_tree(tree: Tree, kept: Kept, pointer: str) -> Iterator[tuple[str, Any]]:
    for leaf in leaves(kept.shape):
        for value in leaf.value if isinstance(leaf.value, list) else [leaf.value]:
            yield pointer + tree.branches[leaf.branch].path, value
    for key in _keys(kept.shape, tree.root):
        yield pointer + KEYS, key


def _keys(shape: Shape, place: paths.Place | None) -> Iterator[str]:
    """Yield the keys in a Tree that no path names."""
    if place is None or shape is None or isinstance(shape, Leaf):
        return
    for key, inner in shape.items() if isinstance(shape, dict) else enumerate(shape):
        if isinstance(key, str) and key not in place.named:
            yield key
        yield from _keys(inner, place.named.get(str(key), place.other))


def _elements(canonical: Any) -> Iterator[Any]:
    """Yield the value, or all that are in a list, without null."""
    if isinstance(canonical, list):
        for element in canonical:
            yield from _elements(element)
    elif canonical is not None:
        yield canonical


def _ignore(pointer: str) -> None:
    pass


def _values(layout: Layout, record: Any, pointer: str, of: tuple[str, ...] = ()) -> Iterator[tuple[At, Any]]:
    for declared in layout.fields:
        value = getattr(record, declared.name)
        if not wire.is_null(value):
            canonical = reading.reader(declared, declared.rule, _ignore)(value)
            if isinstance(declared.rule, Tree) and canonical is not None:
                found = _values_in_tree(declared.rule, canonical, pointer + declared.pointer)
                yield from (((place, of), leaf) for place, leaf in found)
                continue
            for element in _elements(canonical):
                yield (pointer + declared.pointer, of), element
    for nested in layout.nested:
        value, read = cases.taker(nested, layout)(record), cases.reader(nested)
        inside = list(nested.inside(pointer=pointer))
        for element in (value or []) if nested.many else [value]:
            if element is not None:
                number, inner = read(element)
                case, _, place = inside[number]
                yield from _values(case.layout, inner, place, (*of, case.told) if nested.union else of)
