"""Examples renewed: what a declaration makes of their records now takes the place of what it made of them before.

Records, their order and the examples that still fit stay. What changed is told by line and column, without a value.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from sluice.declaration.route import Queued, Route
from sluice.failures import Rejected, Unforeseen
from sluice.postgres.cells import json_cell
from sluice.pseudonyms.keyset import Keyset
from tools.sluice_cli.authors import examples
from tools.sluice_cli.authors.examples import RESULTS, Example, Examples, Made, NotAnExample

type Texts = dict[str, str]  # the members of an object, each as it is spelled in JSON

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Renewal(NamedTuple):
    """What was done to a file of examples."""

    text: str  # of the file now
    renewed: int  # how many examples
    told: list[str]  # what has changed
    left: list[str]  # what could not be renewed, and why


class _Stale(NamedTuple):
    """An example that is not what it says."""

    number: int  # of its line
    example: Example
    members: Texts
    found: list[Made] | Rejected | None  # what becomes of it now; None: it is ignored

    @property
    def rows(self) -> list[Made]:
        """The rows that it becomes now."""
        return self.found if isinstance(self.found, list) else []

    @property
    def told(self) -> str:
        """What becomes of it now, as a person reads it."""
        if isinstance(self.found, Rejected):
            return f"is refused: {examples.refusal(self.found.reason, self.found.pointer)}"
        return examples.told(self.found)

    @property
    def wanted(self) -> list[tuple[dict[str, Any], Texts]]:
        """The rows that it says, each with its columns as they are spelled, where it becomes as many."""
        rows = [self.example.row] if isinstance(self.example.row, dict) else self.example.rows
        if not isinstance(rows, list) or len(rows) != len(self.rows):
            return [({}, {})] * len(self.rows)
        spelled = [self.members["row"]] if "row" in self.members else _elements(self.members["rows"])
        return list(zip(rows, map(_texts, spelled), strict=True))


def renew(name: str, queued: Queued, keyset: Keyset) -> Renewal:
    """Return the examples of a stream or a route, renewed where they are not what they say. Writes nothing."""
    known = Examples(queued, keyset)
    stale: list[_Stale] = []
    left: list[str] = []
    for number, line in [one for one in examples.numbered(name) if not known.fits(known.differences(*one))]:
        try:
            stale.append(_stale(known, number, line))
        except NotAnExample as error:
            left.append(f"line {number} {error}")
    kept = [_kept(known, one) for one in stale]  # of all lines, so that their labels are known before more are made
    is_route = issubclass(queued, Route)
    lines = {
        one.number: _object(_members_now(known, one, texts, is_route)) for one, texts in zip(stale, kept, strict=True)
    }
    text = examples.file(name).read_text("utf-8", errors="replace") if examples.numbered(name) else ""
    renewed = "\n".join(lines.get(number, line) for number, line in enumerate(text.split("\n"), 1))
    return Renewal(renewed, len(stale), [*_columns(stale, kept), *_results(stale, is_route)], left)


def _stale(known: Examples, number: int, line: str) -> _Stale:
    """Return an example with what becomes of it now. Raises NotAnExample, also where code of one's own fails."""
    example = examples.parse(line)
    found: list[Made] | Rejected | None
    try:
        found = known.become(example)
    except Unforeseen as error:
        raise NotAnExample(f"fails: {examples.refusal(f'{error.reason} ({error.cause})', error.pointer)}") from None
    except Rejected as rejected:
        found = rejected
    return _Stale(number, example, _texts(line), found)


def _kept(known: Examples, stale: _Stale) -> list[Texts]:
    """Return of each row the columns that stay as they are spelled."""
    return [
        {
            column: texts[column]
            for column, value in made.row.items()
            if column in wanted
            and not known.is_clear(wanted[column], value)  # from before the mask
            and known.fits(known.of_value(stale.number, column, wanted[column], value))
        }
        for made, (wanted, texts) in zip(stale.rows, stale.wanted, strict=True)
    ]


def _members_now(known: Examples, stale: _Stale, kept: Sequence[Texts], is_route: bool) -> Texts:
    """Return the members of an example, in their order, its result being what becomes of it now."""
    found, rows = stale.found, [_row(known, stale.number, *one) for one in zip(stale.rows, kept, strict=True)]
    if found is None:
        result = ("ignored", "true")
    elif isinstance(found, Rejected):
        told = {"reason": _text(found.reason)} | ({"pointer": _text(found.pointer)} if found.pointer else {})
        result = ("refused", _object(told))
    elif "rows" in stale.members or len(rows) != 1:
        result = ("rows", f"[{', '.join(rows)}]")
    else:
        result = ("row", rows[0])
    members = dict(result if name in RESULTS else (name, text) for name, text in stale.members.items())
    if not rows:
        members.pop("stream", None)
    elif not _goes_there(stale, is_route):
        streams = [made.stream for made in stale.rows]
        members["stream"] = _text(streams[0] if len(set(streams)) == 1 else streams)
    return members


def _row(known: Examples, number: int, made: Made, kept: Texts) -> str:
    """Return a row: what is kept of it, and all else as it is made now."""
    cells = made.row.items()
    return _object({name: kept.get(name) or _text(known.labelled(number, name, value)) for name, value in cells})


def _goes_there(stale: _Stale, is_route: bool) -> bool:
    """Tell whether an example says to which stream its rows go, as those of a route must and others may."""
    if stale.example.stream is msgspec.UNSET:
        return not is_route
    wanted, streams = stale.example.stream, [made.stream for made in stale.rows]
    return streams == ([wanted] * len(streams) if isinstance(wanted, str) else wanted)


def _columns(stale: Sequence[_Stale], kept: Sequence[Sequence[Texts]]) -> list[str]:
    """Return which columns changed in how many rows, of the rows that were rows before."""
    changed: Counter[str] = Counter()
    for one, texts in zip(stale, kept, strict=True):
        for made, (wanted, _), same in zip(one.rows, one.wanted, texts, strict=True):
            if wanted:
                changed.update(name if name in wanted else f"{name} is new" for name in made.row if name not in same)
                changed.update(f"{name} is gone" for name in wanted if name not in made.row)
    return [f"{column}, in {count} {'row' if count == 1 else 'rows'}" for column, count in changed.items()]


def _results(stale: Sequence[_Stale], is_route: bool) -> list[str]:
    """Return which lines become something else than rows of the same stream, and what."""
    told = []
    for one in stale:
        if not any(wanted for wanted, _ in one.wanted):
            told.append(f"line {one.number} {one.told}, was {examples.expected(one.example)}")
        elif not _goes_there(one, is_route):
            told.append(f"line {one.number} goes to the stream {', '.join(made.stream for made in one.rows)}")
    return told


def _texts(text: str | msgspec.Raw) -> Texts:
    return {name: bytes(raw).decode() for name, raw in _members(text).items()}


def _object(members: Texts) -> str:
    return "{" + ", ".join(f"{_text(name)}: {text}" for name, text in members.items()) + "}"


def _text(value: object) -> str:
    """Return a value as examples have it: JSON in one line, with a blank after commas and colons."""
    return msgspec.json.format(str(json_cell(value)), indent=0)
