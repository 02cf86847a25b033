"""The table of rejected records: of each fault the reason, the field, what came there and the rule that it broke."""

from typing import Any

from sluice.declaration import description
from sluice.declaration.paths import keys_of, with_any_index
from sluice.failures import Rejected
from tools.sluice_cli import terminal
from tools.sluice_cli.authors.faults import cause
from tools.sluice_cli.authors.findings import Findings, RejectedRecord

COLUMNS = ("Record", "Because", "Field", "Type", "Rule")
LONGEST_RULE = 80  # characters: choices of a OneOf and paths of a Tree are many
UNDECLARED = "Undeclared"  # how many fields; a misspelt one is missing, and one of these


def show(findings: Findings, most: int, show_clear: bool) -> None:
    """Print the table of at most so many rejected records, if there are any, with the records if that is asked for."""
    if not findings.rejected:
        return
    records = [(record, findings.shape(record)) for record in findings.rejected[:most]]
    has_others = any(shape.get("other_fields") for _, shape in records)
    table = terminal.table("Rejected", *COLUMNS, *[UNDECLARED] * has_others, *["Input"] * show_clear)
    for record, shape in records:
        of_record = [str(shape.get("other_fields") or "")] * has_others + [record.text] * show_clear
        for number, fault in enumerate(findings.faults(record)):
            place, rest = (record.place, of_record) if number == 0 else ("", [])
            where = fault.pointer or terminal.OF_THE_RECORD
            told = (_because(fault, show_clear), where, *_came_and_wanted(findings, record, shape, fault))
            table.add_row(*map(terminal.cell, (place, *told, *rest)))
    terminal.console().print("", table)
    terminal.note_more(findings.rejected, most)


def exception(fault: Rejected) -> str:
    """Return the exception of a user's own code behind a fault, which may quote the record; empty: there is none."""
    error = cause(fault)
    return f"{type(error).__name__}: {error}" if error else ""


def type_at(shape: Any, pointer: str) -> str:
    """Return the JSON type of what is at a place of a record, by its shape, or of what ends the way to it."""
    for key in keys_of(pointer):
        if not isinstance(shape, dict):
            break
        shape = shape.get(key)
    return "object" if isinstance(shape, dict) else shape or "missing"


def _because(fault: Rejected, show_clear: bool) -> str:
    """Return the reason, and with the values the exception of a user's own code behind it."""
    error = exception(fault) if show_clear else ""
    return f"{fault.reason}: {error}" if error else fault.reason


def _came_and_wanted(
    findings: Findings, record: RejectedRecord, shape: dict[str, Any], fault: Rejected
) -> tuple[str, str]:
    """Return the JSON type that came at the place of a fault, where the shape tells it, and the rule that is declared.

    A field that several cases of a union have may have several rules.
    """
    pointer = fault.pointer.removeprefix(record.within.pointer if record.within else "")
    place = with_any_index(pointer)
    found = [entry for entry in findings.entries if pointer and entry.pointer in (pointer, place)]
    rules = " or ".join(dict.fromkeys(description.rule_text(entry.rule, entry.null_if) for entry in found))
    is_told = pointer.startswith("/") and place == pointer and "fields" in shape
    came = type_at(shape["fields"], pointer) if is_told else "" if pointer else str(shape.get("type", ""))
    return came, rules if len(rules) <= LONGEST_RULE else f"{rules[:LONGEST_RULE]}…"
