"""A stream's examples: a record and what it must become in each line, and where that is not so.

The lines are made-up data, so what differs is told with its values. A token is told by its label.
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

import streams
from sluice.declaration import column_types
from sluice.declaration.column_types import BOOLEANS, Arrays, Cells, Floats, Moments, Numbers
from sluice.declaration.envelopes import plain
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.outside import Outside, below
from sluice.declaration.route import Queued, Route, head_of, stream_of, streams_of
from sluice.declaration.stream import Row, Stream
from sluice.failures import Rejected, Unforeseen
from sluice.postgres.cells import Json, json_cell
from sluice.pseudonyms.keyset import Keyset
from tools.sluice_cli.authors import declarations, envelopes

MARK = "\0"  # around a token inside of a text, which has none itself: PostgreSQL could not store it
RECORDS, RESULTS, FURTHER = {"record", "body"}, {"row", "rows", "refused", "ignored"}, {"envelope", "message", "stream"}
ELEMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|NULL', re.DOTALL)  # of PostgreSQL's arrays, as `array_cell` spells them


class NotAnExample(Exception):
    """A line is no example: says why."""


class Refused(msgspec.Struct, forbid_unknown_fields=True):
    """Why a record must be refused, and where."""

    reason: str
    pointer: str = ""


class Example(msgspec.Struct, forbid_unknown_fields=True):
    """A record, or a body that need be none, and what it must become."""

    record: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    body: str | msgspec.UnsetType = msgspec.UNSET
    envelope: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET  # members of the outermost object
    message: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET  # attributes of SQS, in `attributes` the producer's
    row: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    rows: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET  # of a body with several records
    refused: Refused | msgspec.UnsetType = msgspec.UNSET
    ignored: Literal[True] | msgspec.UnsetType = msgspec.UNSET
    stream: str | list[str] | msgspec.UnsetType = msgspec.UNSET  # of a route: to which the record goes, or each of them


class Token(str):
    """A token in a row, in the place of which an example has a label."""

    __slots__ = ()


_DECODER = msgspec.json.Decoder(Example, float_hook=Decimal)


def file(name: str) -> Path:
    """Return where the examples of a stream are; there need be none."""
    return Path(streams.__path__[0], "examples", f"{name}.jsonl")


def is_example(document: object) -> bool:
    """Tell whether a line of JSON is an example rather than a record."""
    keys = set(document) if isinstance(document, dict) else set()
    return len(keys & RECORDS) == 1 and len(keys & RESULTS) == 1 and keys <= RECORDS | RESULTS | FURTHER


def parse(line: str) -> Example:
    """Return the example that a line is. Raises NotAnExample."""
    try:
        example = _DECODER.decode(line)
    except msgspec.ValidationError as error:
        raise NotAnExample(f"is no example: {error}") from None
    except (ValueError, RecursionError):
        raise NotAnExample("is no JSON") from None
    if (example.record is msgspec.UNSET) == (example.body is msgspec.UNSET):
        raise NotAnExample("needs either a record or a body")
    if sum(getattr(example, result) is not msgspec.UNSET for result in RESULTS) != 1:
        raise NotAnExample("needs one of row, rows, refused and ignored")
    if example.record is msgspec.UNSET and example.envelope is not msgspec.UNSET:
        raise NotAnExample("has its envelope in its body")
    if example.stream is not msgspec.UNSET and example.row is msgspec.UNSET and example.rows is msgspec.UNSET:
        raise NotAnExample("has no row, so no stream either")
    return example


def body(queued: Queued, example: Example) -> str:
    """Return the body of the message that brings an example. Raises NotAnExample where nobody knows its envelope."""
    if isinstance(example.body, str):
        return example.body
    stream = head_of(queued)
    if own := envelopes.of_ones_own(stream):
        raise NotAnExample(f"needs a body: {own} is of your own")
    return envelopes.wrap(stream, bytes(example.record or b"").decode(), around=example.envelope or None)


def numbered(name: str) -> list[tuple[int, str]]:
    """Return the lines of a stream's examples that are not empty, with their numbers; none where there is no file."""
    place = file(name)
    text = place.read_text("utf-8", errors="replace") if place.is_file() else ""
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def differences(name: str, queued: Queued, keyset: Keyset) -> list[str]:
    """Return a sentence for each thing in which an example of a stream or a route is not what it says."""
    examples, place = Examples(queued, keyset), declarations.place(file(name))
    return [
        f"{place}, line {number}: {sentence}"
        for number, line in numbered(name)
        for sentence in examples.differences(number, line)
    ]


def advice(name: str) -> str:
    """Return what to do where the examples of a stream are not what they say."""
    return f"If the declaration is right, `sluice test {name} --renew` renews the examples."


class _Reader:
    """What a stream makes of examples."""

    def __init__(self, stream: type[Stream], keyset: Keyset) -> None:
        self.stream = stream
        self.mask = stream.masker(keyset, envelope=plain if stream.splitter else None)
        self.ignores_message, self.ignores_record = stream.ignores_message(), stream.ignores_record()
        self._cells = [column.cells for column in column_types.columns(stream.layout)]

    def row(self, cells: Row) -> dict[str, Any]:
        """Return the row as JSON would have it, with its tokens marked."""
        names = [name for name, _ in self.stream.columns()]
        row = {name: _value(cell, kind) for name, cell, kind in zip(names, cells, self._cells, strict=True)}
        inside: dict[str, str] = {}  # each token, and how it is marked in a text
        for place in self.stream.token_places:
            place.replace(row[place.column], lambda token: inside.setdefault(token, f"{MARK}{token}{MARK}"))
            row[place.column] = place.replace(row[place.column], Token)
        for text_place in self.stream.text_places:
            row[text_place.column] = text_place.replace(row[text_place.column], inside)
        return row


class Made(NamedTuple):
    """A row, and the name of its stream."""

    stream: str
    row: dict[str, Any]


class Examples:
    """The examples of one file: a label stands for one token, and a token has one label."""

    def __init__(self, queued: Queued, keyset: Keyset) -> None:
        self._queued = queued
        self._readers = {stream: _Reader(stream, keyset) for stream in (head_of(queued), *streams_of(queued))}
        domains = {place.domain for reader in self._readers.values() for place in reader.stream.token_places}
        self._pseudonymizers = [*map(keyset.pseudonymizer, domains)]
        self._tokens: dict[str, tuple[str, int]] = {}  # by label, with the line that had it first
        self._labels: dict[str, tuple[str, int]] = {}  # by token

    def fits(self, found: Iterator[str]) -> bool:
        """Tell whether nothing differs, of an example or a value. If anything does, its labels are forgotten."""
        tokens, labels = self._tokens.copy(), self._labels.copy()
        if any(found):
            self._tokens, self._labels = tokens, labels
            return False
        return True

    def is_clear(self, label: Any, value: Any) -> bool:
        """Tell whether a token has for its label the value that it stands for."""
        return isinstance(value, Token) and any(make(str(label)) == value for make in self._pseudonymizers)

    def labelled(self, number: int, column: str, value: Any) -> Any:
        """Return a value with labels in the place of its tokens. Those that have none yet get some of the column."""
        for token in tokens(value):
            if token not in self._labels:
                label = next(label for nth in count(1) if (label := f"{column} {nth}") not in self._tokens)
                self._tokens[label], self._labels[token] = (token, number), (label, number)
        return self._with_labels(value)

    def differences(self, number: int, line: str) -> Iterator[str]:
        """Yield in what an example is not what it says."""
        try:
            example = parse(line)
            found = self.become(example)
        except NotAnExample as error:
            yield str(error)
        except Rejected as rejected:
            if example.refused != Refused(rejected.reason, rejected.pointer):
                cause = f" ({rejected.cause})" if isinstance(rejected, Unforeseen) else ""
                yield f"is refused: {refusal(rejected.reason + cause, rejected.pointer)}, must be {expected(example)}"
        else:
            if found is None and example.ignored:
                return
            wanted = [example.row] if isinstance(example.row, dict) else example.rows
            if found is None or not isinstance(wanted, list) or len(found) != len(wanted):
                yield f"{told(found)}, must be {expected(example)}"
                return
            yield from self._of_streams(example, [made.stream for made in found])
            for row, made in zip(wanted, found, strict=True):
                yield from self._of_row(number, row, made.row)

    def become(self, example: Example) -> list[Made] | None:
        """Return the rows that an example becomes, or None when it is ignored. Raises Rejected."""
        text = body(self._queued, example)
        reader = head = self._readers[head_of(self._queued)]
        if head.ignores_message is not None and head.ignores_message(text):
            return None
        if head.stream.splitter is None:
            reader = self._readers[stream_of(self._queued, text)]
            if reader.ignores_message is not None and reader.ignores_message(text):
                return None
        if reader.stream.splitter is None:
            return [self._made(reader, text, example, text)]
        rows: list[Made] = []
        texts = reader.stream.record_texts(text)
        for index, record in enumerate(map(str, texts)):
            try:
                if made := self._of_record(reader, record, example, text):
                    rows.append(made)
            except Rejected as rejected:
                if example.record is msgspec.UNSET:
                    raise below(reader.stream.splitter.pointer(index), rejected) from rejected
                raise
        return None if texts and not rows else rows

    def _of_record(self, reader: _Reader, record: str, example: Example, body: str) -> Made | None:
        """Return what becomes of one of several records. Raises Rejected."""
        if reader.ignores_record is not None and reader.ignores_record(record):
            return None
        if reader is self._readers[head_of(self._queued)]:
            reader = self._readers[stream_of(self._queued, record, plain)]
            if reader.ignores_record is not None and reader.ignores_record(record):
                return None
        return self._made(reader, record, example, body)

    def _made(self, reader: _Reader, record: str, example: Example, body: str) -> Made:
        cells = reader.mask(record, Outside(body, example.message or {})).cells
        return Made(reader.stream.stream_name, reader.row(cells))

    def _of_streams(self, example: Example, found: list[str]) -> Iterator[str]:
        if example.stream is msgspec.UNSET:
            if issubclass(self._queued, Route):
                yield f"goes to the stream {', '.join(found)}, which the example does not say"
            return
        wanted = [example.stream] * len(found) if isinstance(example.stream, str) else example.stream
        if wanted != found:
            yield f"goes to the stream {', '.join(found)}, must go to {', '.join(wanted)}"

    def _of_row(self, number: int, wanted: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
        for column in [column for column in wanted if column not in found]:
            of_message = ", it is of the message" if column in OWN_COLUMNS else ""
            yield f"the declaration has no column {column}{of_message}"
        for column, value in found.items():
            if column in wanted:
                yield from self.of_value(number, column, wanted[column], value)
            else:
                yield f"the row lacks the column {column}"

    def of_value(self, number: int, place: str, wanted: Any, found: Any) -> Iterator[str]:
        """Yield in what the value of a column, or one inside of it, is not what the example in that line says."""
        if isinstance(found, Token):
            yield from self._of_token(number, place, wanted, found)
        elif isinstance(found, str) and MARK in found:
            yield from self._of_text(number, place, wanted, found)
        elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
            for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
                yield from self.of_value(number, f"{place}[{index}]", one, other)
        elif isinstance(found, dict) and isinstance(wanted, dict) and found.keys() == wanted.keys():
            for name, other in found.items():
                yield from self.of_value(number, f"{place}.{name}", wanted[name], other)
        elif not _are_equal(wanted, found):
            yield f"{place}: is {_shown(self._with_labels(found))}, must be {_shown(wanted)}"

    def _of_text(self, number: int, place: str, wanted: Any, found: str) -> Iterator[str]:
        pieces = found.split(MARK)  # every other one is a token
        pattern = "(.+?)".join(map(re.escape, pieces[::2]))
        labels = re.fullmatch(pattern, wanted, re.DOTALL) if isinstance(wanted, str) else None
        if labels is None:
            yield f"{place}: is {_shown(self._with_labels(found))}, must be {_shown(wanted)}"
            return
        for label, token in zip(labels.groups(), pieces[1::2], strict=True):
            yield from self._of_token(number, place, label, token)

    def _of_token(self, number: int, place: str, label: Any, token: str) -> Iterator[str]:
        if not isinstance(label, str):
            yield f"{place}: is a token, must be {_shown(label)}"
            return
        known, line = self._tokens.setdefault(label, (token, number))
        if known != token:
            yield f"{place}: is another token than {_shown(label)} in line {line}"
            return
        other, line = self._labels.setdefault(token, (label, number))
        if other != label:
            yield f"{place}: is the token {_shown(other)} of line {line}, must be another"

    def _with_labels(self, value: Any) -> Any:
        """Return a value with labels in the place of its tokens, as far as they have any yet."""
        if isinstance(value, Token):
            return self._labels.get(value, ("…", 0))[0]
        if isinstance(value, str) and MARK in value:
            pieces = value.split(MARK)
            pieces[1::2] = [self._labels.get(token, ("…", 0))[0] for token in pieces[1::2]]
            return "".join(pieces)
        if isinstance(value, list):
            return [self._with_labels(element) for element in value]
        return {name: self._with_labels(member) for name, member in value.items()} if isinstance(value, dict) else value


def tokens(value: Any) -> Iterator[str]:
    """Yield the tokens in a value, also those inside of its texts."""
    if isinstance(value, Token):
        yield value
    elif isinstance(value, str):
        yield from value.split(MARK)[1::2]
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from tokens(one)


def _value(cell: Any, cells: Cells) -> Any:
    """Return a cell as JSON would have it, an array as a list, a moment as one."""
    if isinstance(cell, Json):
        return json.loads(cell, parse_float=Decimal)
    if isinstance(cell, str) and isinstance(cells, Arrays):
        return [_element(found[0], found[1], cells.of) for found in ELEMENT.finditer(cell)]
    return _moment(cell) if isinstance(cells, Moments) else cell


def _element(spelled: str, quoted: str | None, cells: Cells) -> Any:
    if spelled == "NULL" or quoted is None:
        return None
    text = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
    if isinstance(cells, Numbers | Floats):
        return Decimal(text)
    if cells == BOOLEANS:
        return text == "true"
    return _moment(text) if isinstance(cells, Moments) else text


def _moment(text: Any) -> Any:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return text


def _are_equal(wanted: Any, found: Any) -> bool:
    if isinstance(found, datetime):
        wanted = _moment(wanted)
    return isinstance(wanted, bool) == isinstance(found, bool) and bool(wanted == found)


def expected(example: Example) -> str:
    """Return what an example must become: `a row`, `refused: missing at /id`."""
    refused = example.refused
    if isinstance(refused, Refused):
        return f"refused: {refusal(refused.reason, refused.pointer)}"
    if isinstance(example.rows, list):
        return f"{len(example.rows)} rows"
    return "a row" if isinstance(example.row, dict) else "ignored"


def told(found: Sequence[Made] | None) -> str:
    """Return what an example becomes where it is not refused: `becomes a row`, `is ignored`."""
    if found is None:
        return "is ignored"
    return "becomes a row" if len(found) == 1 else f"becomes {len(found)} rows"


def refusal(reason: str, pointer: str) -> str:
    """Return a refusal as a person reads it: `missing at /id`."""
    return f"{reason} at {pointer}" if pointer else reason


def _shown(value: Any) -> str:
    return json_cell(value)
