"""Differences: what a variant of a declaration makes of the same messages otherwise, column by column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sluice.declaration.description import Entry, mask_text, rule_text
from tools.console.cells import Piece, pieces
from tools.console.playground.answer import Answer, Outcome, Refusal
from tools.sluice_cli.authors import hiding
from tools.sluice_cli.authors.findings import Accepted


@dataclass(frozen=True)
class Side:
    """A column by one of two declarations."""

    rules: str
    masks: str
    pieces: Sequence[Piece]  # what is stored of the first record that both take; of a member, its whole column
    is_inside: bool  # a member of the objects in a column
    space: str
    reversed_in: str


@dataclass(frozen=True)
class Change:
    """A column that is otherwise by the variant: on one side it may not be at all."""

    column: str
    declared: Side | None
    tried: Side | None

    @property
    def is_one(self) -> bool:
        """Whether the two sides differ; the value space alone may do so because they take other records."""
        if self.declared is None or self.tried is None:
            return True
        one, other = self.declared, self.tried
        is_stored_otherwise = not one.is_inside and one.pieces != other.pieces
        return (one.rules, one.masks) != (other.rules, other.masks) or is_stored_otherwise


@dataclass(frozen=True)
class Difference:
    """What is otherwise by a variant of a declaration."""

    changes: Sequence[Change]
    newly: Sequence[Refusal]  # refused by the variant alone; none where not all refusals are known
    no_longer: Sequence[Refusal]  # refused by the declaration alone; as above


def of(declared: Answer, tried: Answer, show_clear: bool = False) -> Difference:
    """Return what the second declaration makes of the same messages otherwise than the first."""
    changes: list[Change] = []
    tried_by = {outcome.stream: outcome for outcome in tried.outcomes}
    for outcome in declared.outcomes:
        other = tried_by.get(outcome.stream)
        pair = _both(outcome, other) if other else None
        one = _sides(outcome, pair[0] if pair else None, show_clear)
        two = _sides(other, pair[1] if pair else None, show_clear) if other else {}
        each = [Change(column, one.get(column), two.get(column)) for column in dict.fromkeys([*one, *two])]
        changes += [change for change in each if change.is_one]
    if declared.is_cut or tried.is_cut:  # what is not shown of the one may be shown of the other
        return Difference(changes, [], [])
    before, after = ({_fault(refusal): refusal for refusal in answer.refusals} for answer in (declared, tried))
    newly = [refusal for fault, refusal in after.items() if fault not in before]
    return Difference(changes, newly, [refusal for fault, refusal in before.items() if fault not in after])


def _fault(refusal: Refusal) -> tuple[str, str, str]:
    return refusal.of, refusal.pointer, refusal.reason


def _both(one: Outcome, other: Outcome) -> tuple[Accepted, Accepted] | None:
    """Return the first record that both declarations take, as each takes it."""
    taken = {_key(accepted): accepted for accepted in reversed(other.findings.accepted)}
    pairs = ((accepted, taken.get(_key(accepted))) for accepted in one.findings.accepted)
    return next(((accepted, found) for accepted, found in pairs if found), None)


def _key(accepted: Accepted) -> tuple[int, int]:
    return id(accepted.message), accepted.within.index if accepted.within else 0


def _sides(outcome: Outcome, accepted: Accepted | None, show_clear: bool) -> Mapping[str, Side]:
    row = outcome.findings.row(accepted, show_clear) if accepted else {}
    spaces = {one.column: one for one in outcome.spaces}
    made: dict[str, Side] = {}
    for column, entries in _by_column(outcome.findings.entries).items():
        worth, path = spaces.get(column), entries[0].path
        stored = hiding.text(row[path[0]]) if path[0] in row else ""
        made[column] = Side(
            "; ".join(dict.fromkeys(rule_text(entry.rule, entry.null_if) for entry in entries)),
            "; ".join(dict.fromkeys(_mask(entry) for entry in entries)),
            pieces(stored),
            len(path) > 1,
            worth.space if worth else "–",
            worth.reversed_in if worth else "–",
        )
    return made


def _mask(entry: Entry) -> str:
    return mask_text(entry) + (f" of {entry.domain}" if entry.domain else "")


def _by_column(entries: Sequence[Entry]) -> Mapping[str, Sequence[Entry]]:
    """Return what each column is made of; the cases of a union may write one."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.column, []).append(entry)
    return found
