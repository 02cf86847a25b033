"""Tells what `sluice new` has written, what its author has to look at, and what comes next."""

import re
import shlex
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sluice.declaration.masks import Keep
from tools.sluice_cli import terminal
from tools.sluice_cli.authors import marks, preview
from tools.sluice_cli.authors.findings import Findings
from tools.sluice_cli.authors.new.plan import LeftOut, ObjectPlan
from tools.sluice_cli.authors.new.planner import Planner

STANDARD_INPUT = "-"


def show(
    name: str, samples: str, made: Mapping[str, str], findings: Findings, planner: Planner, plan: ObjectPlan
) -> None:
    """Print it all. `samples` is their file; `made` are the texts of what was written, the declaration first."""
    declaration, *_, event, _ = made
    preview.show_doubts(findings)
    _paragraph("Written:", made)
    _paragraph("Left out of the declaration, so never read. Do you need it?", _by_reason(planner.left_out))
    _paragraph("Kept in the clear. Is any of it personal?", _kept(findings))
    _paragraph(f"Masked, or guessed. To confirm, delete the marks in {declaration}:", _marks(made[declaration]))
    without = [] if planner.subject_paths else [_without_subject(plan)]
    _paragraph("To be decided by you:", [*planner.questions, *without])
    previewed = f"sluice preview {name} {shlex.quote(event if samples == STANDARD_INPUT else samples)}"
    checked = f"{'sluice check':<{len(previewed)}}"
    _print("", "Next:")
    _print(f"  {previewed}  # shows the rows", f"  {checked}  # fails as long as a mark is left")


def _paragraph(title: str, lines: Iterable[str]) -> None:
    """Print lines below a title, folded between words; nothing where there are none."""
    shown = [*lines]
    if not shown:
        return
    fold = textwrap.TextWrapper(
        terminal.console().width,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    _print("", title, *(part for line in shown for part in fold.wrap(terminal.printable(line))))


def _print(*lines: str) -> None:
    """Print lines as they are, however long."""
    for line in lines:
        terminal.console().print(terminal.cell(line), soft_wrap=True)


def _kept(findings: Findings) -> list[str]:
    """Return the fields that are kept in the clear, those of an object in one line."""
    members: dict[str, dict[str, None]] = defaultdict(dict)
    for entry in findings.entries:
        if isinstance(entry.mask, Keep) and entry.pointer:
            place, _, key = entry.pointer.rpartition("/")
            members[place][key] = None
    return [f"{place or terminal.OF_THE_RECORD}: {', '.join(keys)}" for place, keys in members.items()]


def _by_reason(left_out: Iterable[LeftOut]) -> list[str]:
    """Return why fields were left out, and behind each reason those fields."""
    pointers = defaultdict(list)
    for one in left_out:
        pointers[one.why].append(one.pointer or terminal.OF_THE_RECORD)
    return [f"{why}: {', '.join(found)}" for why, found in pointers.items()]


def _marks(source: str) -> list[str]:
    """Return what the marks of a declaration say, and the fields and lines of those that say the same."""
    marked, lines = defaultdict(list), source.splitlines()
    for number, told in marks.found(source):
        marked[told].append(f"{_declared_at(lines[:number])} (line {number})")
    return [f"{told}: {', '.join(found)}" for told, found in marked.items()]


def _declared_at(lines: Sequence[str]) -> str:
    """Return what the last of these lines declares, which may have begun above: a field, a path of a Tree, a class."""
    found = (re.match(r"    (\w+): |class (\w+)\(| {8,}[\"'](/.*?)[\"']: ", line) for line in reversed(lines))
    return next((match[match.lastindex or 0] for match in found if match), "")


def _without_subject(plan: ObjectPlan) -> str:
    """Return what is told without a subject; it names one that every record has, if there is one."""
    kinds = ("user_id", "email")  # of persons: a session and a device are of one visit
    found = [one for one in plan.fields() if one.concern and one.concern.kind in kinds and "*" not in one.place.path]
    found.sort(key=lambda one: (one.optional, len(one.place.path)))
    named = f", such as {'.'.join(found[0].place.path)}" if found else ""
    return f"--subject: without a field that says whose record it is{named}, no row can be erased by person"
