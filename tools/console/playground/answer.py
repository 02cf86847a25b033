"""Answers: what becomes of a typed text by a declaration, as a page tells it.

No value that a record brings is in an answer but for the typed text itself, with marks, and what the person asked to
see. An error of a user's own code is told by its class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from sluice.declaration import description
from sluice.declaration.description import Entry, mask_text, rule_text
from sluice.declaration.paths import with_any_index
from sluice.declaration.route import Queued, Route, head_of
from sluice.failures import Rejected, Unforeseen
from sluice.pseudonyms.keyset import Keyset
from tools.console.cells import Piece, pieces
from tools.console.playground import marks
from tools.console.playground.marks import Line, Mark
from tools.console.playground.typed import Typed
from tools.sluice_cli.authors import hiding, space
from tools.sluice_cli.authors.findings import Accepted, Column, Exposure, Findings, Record, RejectedRecord
from tools.sluice_cli.authors.hiding import Kept
from tools.sluice_cli.authors.messages import Message

ROWS = 10  # that are shown
REFUSALS = 50
ALWAYS = ("Records", "Rows", "Rejected")  # counts that are told even where they are 0


@dataclass(frozen=True)
class Made:
    """What a column, or a member of the objects in it, is made of."""

    column: str
    pointer: str
    rule: str
    mask: str


@dataclass(frozen=True)
class Cell:
    """A column of a row, and how it came about."""

    pieces: Sequence[Piece]
    is_quiet: bool  # nothing is stored, or it is hidden
    made: Sequence[Made]


@dataclass(frozen=True)
class Row:
    """A row as it would be stored."""

    of: str  # which record
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Refusal:
    """A fault of a record."""

    number: int  # of its mark
    of: str  # which record
    reason: str
    pointer: str
    error: str  # the class of the error of a user's own code
    rule: str
    position: str  # in the text; empty: what it is about is not there
    is_around: bool
    times: int  # that its key comes


@dataclass(frozen=True)
class Space:
    """What masking a column is worth: how many values there may be, and how long a hash without a key holds."""

    column: str
    mask: str
    space: str
    reversed_in: str


@dataclass(frozen=True)
class Outcome:
    """What becomes of the records of one stream."""

    stream: str
    findings: Findings = field(repr=False)
    rows: Sequence[Row]
    refusals: Sequence[Refusal]
    exposures: Sequence[Exposure]
    nulled: Sequence[tuple[str, int]]  # pointer, values
    repeated: Sequence[tuple[str, Piece, int]]  # of each token in more than one row: column, token, rows
    spaces: Sequence[Space]

    @property
    def more_rows(self) -> int:
        return len(self.findings.accepted) - len(self.rows)


@dataclass(frozen=True)
class Answer:
    """What becomes of a typed text by one declaration."""

    outcomes: Sequence[Outcome]
    lines: Sequence[Line]  # of the text, with marks; none where nothing is refused

    @property
    def is_cut(self) -> bool:
        """Whether there are as many refusals as are shown, so that there may be more."""
        return len(self.refusals) == REFUSALS

    @property
    def refusals(self) -> Sequence[Refusal]:
        return [refusal for outcome in self.outcomes for refusal in outcome.refusals]

    @property
    def summary(self) -> str:
        """The counts, in the words of `sluice preview`."""
        each = [outcome.findings for outcome in self.outcomes]
        rows, accepted = sum(one.row_count for one in each), sum(len(one.accepted) for one in each)
        counts = {
            "Records": sum(one.records for one in each),
            "Rows": rows,
            "Rejected": sum(len(one.rejected) for one in each),
            "Duplicates": accepted - rows,
            "Ignored": sum(one.ignored for one in each),
        }
        return " ".join(f"{name}: {count:,}." for name, count in counts.items() if count or name in ALWAYS)


def answer(
    typed: Typed, found: Sequence[Message], keyset: Keyset, hashes_per_second: float, show_clear: bool = False
) -> Answer:
    """Return what becomes of the messages of a text."""
    outcomes: list[Outcome] = []
    noted: list[Mark] = []
    for findings in _findings(typed.queued, found, keyset):
        faults = ((record, fault) for record in findings.rejected for fault in findings.faults(record))
        refusals = []
        for record, fault in islice(faults, REFUSALS - len(noted)):
            mark = Mark(len(noted) + 1, typed.find(findings.stream, record.message, record.within, fault))
            noted.append(mark)
            refusals.append(_refusal(typed, findings, record, fault, mark))
        outcomes.append(_outcome(findings, refusals, hashes_per_second, show_clear))
    return Answer(outcomes, marks.lines(typed.text, noted) if noted else [])


def _findings(queued: Queued, found: Sequence[Message], keyset: Keyset) -> list[Findings]:
    if not issubclass(queued, Route):
        return [Findings(queued, found, keyset)]
    each = [Findings(stream, found, keyset, queued) for stream in (head_of(queued), *queued.streams())]
    return [findings for findings in each if findings.records]


def _outcome(findings: Findings, refusals: Sequence[Refusal], hashes_per_second: float, show_clear: bool) -> Outcome:
    repeated = findings.repeated_tokens()[:REFUSALS]
    return Outcome(
        findings.stream.stream_name,
        findings,
        [_row(findings, accepted, show_clear) for accepted in findings.accepted[:ROWS]],
        refusals,
        findings.exposures(),
        findings.nulled().most_common(),
        [(column, Piece(token, is_token=True), len(places)) for column, token, places in repeated],
        [_space(column, hashes_per_second) for column in findings.columns()] if findings.accepted else [],
    )


def _refusal(typed: Typed, findings: Findings, record: RejectedRecord, fault: Rejected, mark: Mark) -> Refusal:
    spans = mark.found.spans
    return Refusal(
        mark.number,
        _name(record),
        fault.reason,
        fault.pointer,
        fault.cause if isinstance(fault, Unforeseen) else "",
        _rule(findings.entries, fault.pointer.removeprefix(record.within.pointer if record.within else "")),
        "; ".join(marks.position(typed.text, span) for span in spans),
        mark.found.is_around,
        len(spans),
    )


def _rule(entries: Sequence[Entry], pointer: str) -> str:
    """Return the rule of the field that a pointer names, or leads into."""
    place = with_any_index(pointer)
    told = {
        rule_text(entry.rule, entry.null_if): None
        for entry in entries
        if entry.rule and entry.pointer and (place == entry.pointer or place.startswith(f"{entry.pointer}/"))
    }
    return "; ".join(told)


def _row(findings: Findings, accepted: Accepted, show_clear: bool) -> Row:
    row = findings.row(accepted, show_clear)
    cells = []
    for column, value in row.items():
        made = [_made(entry) for entry in findings.entries if entry.path[0] == column]
        cells.append(Cell(pieces(hiding.text(value)), value is None or isinstance(value, Kept), made))
    return Row(_name(accepted), cells)


def _made(entry: Entry) -> Made:
    pointer = entry.pointer + description.where(entry.cases)
    return Made(entry.column, pointer, rule_text(entry.rule, entry.null_if), mask_text(entry))


def _name(record: Record) -> str:
    """Return which of the typed records it is; nothing where there is one alone."""
    message = record.message
    place = f"line {message.line}" if message.line else message.pointer
    return " ".join(filter(None, (place, record.within.pointer if record.within else "")))


def _space(column: Column, hashes_per_second: float) -> Space:
    return Space(column.name, column.mask, column.space.text, _reversed_in(column, hashes_per_second))


def _reversed_in(column: Column, hashes_per_second: float) -> str:
    return space.duration(column.reversed_after(hashes_per_second)) if column.space.size else "–"
