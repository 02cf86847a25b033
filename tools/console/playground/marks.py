"""Marks: the lines of a text with the places in it that something is said of."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from tools.console.playground.places import Found, Span

WHOLE = 60  # lines of a text that is shown with all of them
AROUND = 2  # lines that are shown before and after a mark


class Mark(NamedTuple):
    """A place in a text, and the number of what is said of it."""

    number: int
    found: Found


class Segment(NamedTuple):
    """A part of a line that has the same marks."""

    text: str
    kind: str  # place, around, or nothing
    begins: tuple[int, ...]  # the numbers of the marks that begin here


class Line(NamedTuple):
    """A line as it is shown."""

    number: int  # from 1
    segments: tuple[Segment, ...]
    is_after_gap: bool  # lines before it are not shown


def position(text: str, span: Span) -> str:
    """Return where a span is, as a person finds it: lines and columns from 1, in characters."""
    (line, column), (last_line, last_column) = _at(text, span[0]), _at(text, max(span[0], span[1] - 1))
    if line != last_line:
        return f"lines {line}–{last_line}"
    return f"line {line}, column {column}" + (f"–{last_column}" if last_column > column else "")


def lines(text: str, marks: Sequence[Mark]) -> list[Line]:
    """Return the lines of a text with its marks; of a long text those near the ends of a mark alone."""
    starts = [0, *(index + 1 for index, character in enumerate(text) if character == "\n")]
    ends = [*starts[1:], len(text)]
    shown = set(range(len(starts)))
    if len(starts) > WHOLE:
        near = {bisect_right(starts, index) - 1 for mark in marks for span in mark.found.spans for index in _ends(span)}
        shown &= {line + offset for line in near for offset in range(-AROUND, AROUND + 1)}
    return [
        Line(number + 1, _segments(text, starts[number], ends[number], marks), number > 0 and number - 1 not in shown)
        for number in sorted(shown)
    ]


def _segments(text: str, start: int, end: int, marks: Sequence[Mark]) -> tuple[Segment, ...]:
    """Return a line in parts; its line feed is a part where it has a mark of its own."""
    spans = [(mark, span) for mark in marks for span in mark.found.spans if span[0] < end and start < span[1]]
    cuts = {start, end} | {cut for _, span in spans for cut in span if start < cut < end}
    made = []
    for one, other in pairwise(sorted(cuts)):
        covering = [mark for mark, span in spans if span[0] <= one and other <= span[1]]
        kind = "" if not covering else "around" if all(mark.found.is_around for mark in covering) else "place"
        begins = tuple(mark.number for mark, span in spans if span[0] == one)
        part = text[one:other].removesuffix("\n") or "↵" * (kind == "place")
        if part or begins:
            made.append(Segment(part, kind, begins))
    return tuple(made)


def _at(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def _ends(span: Span) -> tuple[int, int]:
    return span[0], max(span[0], span[1] - 1)
