"""The command `sluice forget`: erases a person by the deployed function, and prints what is gone."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from getpass import getpass
from itertools import batched
from pathlib import Path
from typing import Annotated, Any

import typer

from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.deployment import ReasonOption, StackOption, TicketOption
from tools.sluice_cli.terminal import USAGE, ask, console, fail, note, table

URL_OUTPUT = "ForgetUrl"
MOST_ERASURES = 100  # of a call
STAYS = {
    "rows_that_mention": "rows of others that have a token of this person",
    "values_used_by_others": "sealed values of this person's rows, used by rows of others",
    "rows_sent_since": "rows of this person, sent since the erasure",
}

app = typer.Typer(help="Erase a person's rows, and sealed values that nothing uses. It is audited.")

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would go, and end there.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not show first what would go, and do not ask.")]


@app.command(epilog="Example:  sluice forget person - --reason data_subject_request --ticket PRIV-123")
def person(
    subject: Annotated[
        str,
        typer.Argument(
            help="Who, as records name them. With - it is asked for, or read from standard input: an argument stays in"
            " the shell's history."
        ),
    ],
    reason: ReasonOption,
    ticket: TicketOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    stack: StackOption = "",
) -> None:
    """Erase a person: their rows in every stream, the mentions of them in rows of others, and their sealed values.

    What identifies them is unsealed for good. Other sealed values of their rows stay where a row of others uses them.
    Messages that were sent before are not stored any more. Backups, exports and what waits in queues are not reached.
    """
    payload = {"action": "forget", "subject": typed_subject() if subject == "-" else subject}
    _run([payload | {"reason": reason, "ticket": ticket}], dry_run, yes, stack)


@app.command(epilog="Example:  sluice forget sweep --reason retention --ticket PRIV-123")
def sweep(
    reason: ReasonOption,
    ticket: TicketOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    stack: StackOption = "",
) -> None:
    """Delete sealed values that no row of any stream uses, and data keys that no sealed value uses."""
    _run([{"action": "sweep", "reason": reason, "ticket": ticket}], dry_run, yes, stack)


@app.command(epilog="Example:  sluice forget repeat erased.jsonl --reason data_subject_request --ticket PRIV-123")
def repeat(
    file: Annotated[
        Path,
        typer.Argument(
            help="Lines of the function's log (JSON): those with subject_token and erased_at count.",
            exists=True,
            dir_okay=False,
        ),
    ],
    reason: ReasonOption,
    ticket: TicketOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    stack: StackOption = "",
) -> None:
    """Erase again whom the log says was erased, after the database was restored from a backup."""
    payloads = [
        {"action": "repeat", "erasures": list(erasures), "reason": reason, "ticket": ticket}
        for erasures in batched(_erasures(file), MOST_ERASURES)
    ]
    if not payloads:
        fail("no line of the file has subject_token and erased_at", USAGE)
    _run(payloads, dry_run, yes, stack)


def _run(payloads: list[dict[str, Any]], dry_run: bool, yes: bool, stack: str) -> None:
    """Have the function do it; unless told otherwise show first what would go, and ask."""

    def call(only_try: bool) -> list[dict[str, Any]]:
        return [deployment.call(URL_OUTPUT, payload | {"dry_run": only_try}, stack) for payload in payloads]

    if not dry_run and not yes:
        _show("This would go", call(True))
        ask("Erase it for good?", "nothing was erased")
    _show("This would go" if dry_run else "This is gone", call(dry_run))


def _show(title: str, answers: Iterable[Mapping[str, Any]]) -> None:
    gone: Counter[str] = Counter()
    stays: Counter[str] = Counter()
    subjects: list[tuple[str, str]] = []
    for answer in answers:
        gone.update({f"rows of {name}": rows for name, rows in answer.get("rows", {}).items()})
        gone.update({f"mentions in rows of {name}": rows for name, rows in answer.get("mentions", {}).items()})
        gone.update({"sealed values": answer["values"]})
        if "data_keys" in answer:
            gone.update({"data keys": answer["data_keys"]})
        stays.update({STAYS[name]: count for name, count in answer.get("stays", {}).items()})
        subjects += [(token, answer.get("erased_at") or "") for token in answer.get("subject_tokens", [])]
    for heading, counts in ((title, gone), ("This stays", stays)):
        if counts:
            shown = table(heading, "what", "count")
            for name, count in counts.items():
                shown.add_row(name, f"{count:,}")
            console().print(shown)
    for token, erased_at in subjects:
        note(f"The person's token: {token}" + (f", erased at {erased_at}" if erased_at else ""))


def typed_subject() -> str:
    """Return who is to be erased, as it is typed unseen or piped in."""
    subject = getpass("Who: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not subject.strip():
        fail("nobody was named", USAGE)
    return subject.strip()


def _erasures(file: Path) -> list[dict[str, Any]]:
    """Return the erasures of the log's lines; lines of anything else are passed over."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for line in file.read_text("utf-8").splitlines():
        try:
            entry = json.loads(line[line.find("{") :])  # `aws logs tail` puts time and stream before it
            token, erased_at = str(entry["subject_token"]), str(entry["erased_at"])
            values = {"values": entry["values"]} if "values" in entry else {}
            found[token, erased_at] = {"subject_token": token, "erased_at": erased_at, **values}
        except (ValueError, KeyError, TypeError):
            continue
    return [*found.values()]
