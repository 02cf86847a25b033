"""`sluice audit`: shows the audit log's rows, and whether all are as they were appended."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from sluice.operators.audit.chain import MOST_HEADS, MOST_ROWS
from tools.sluice_cli import terminal
from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.deployment import StackOption

URL_OUTPUT = "AuditUrl"

app = typer.Typer(help="Read the log of who recovered or erased what, and tell whether somebody changed it.")


@app.command(epilog="Example:  sluice audit verify --heads exported.log")
def verify(
    heads: Annotated[
        str,
        typer.Option(metavar="FILE", help="Rows as the functions logged them: their logs, or lines of `id hash`."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    stack: StackOption = "",
) -> None:
    """Compute the chain of hashes anew, and name the first row that is not as it was appended.

    Only with --heads it notices that the last rows are missing, or that the whole chain was computed anew.
    """
    # The newest are enough: the hash of each covers all rows before it.
    known = sorted(_heads(heads))[-MOST_HEADS:] if heads else []
    logged = [{"id": row_id, "hash": row_hash} for row_id, row_hash in known]
    answer = deployment.call(URL_OUTPUT, {"action": "verify", "heads": logged}, stack)
    if as_json:
        terminal.show_json(answer)
    elif answer["intact"]:
        last = f"; the last is {answer['head']['id']} {answer['head']['hash']}" if answer["head"] else ""
        compared = f", {len(logged):,} compared with what was logged" if logged else ""
        print(f"The audit log is intact: {answer['rows']:,} rows{compared}{last}.")
    else:
        terminal.complain(f"the audit log was changed, first at row {answer['first_broken']}: {answer['rule']}")
    raise typer.Exit(0 if answer["intact"] else terminal.REJECTED)


@app.command("list", epilog="Example:  sluice audit list --after 100")
def list_rows(
    after: Annotated[int, typer.Option(min=0, metavar="ID", help="Begin after this row.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="Show no more rows.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: everything, of every row.")] = False,
    stack: StackOption = "",
) -> None:
    """Show the log's rows in the order in which they were appended."""
    rows = deployment.call(URL_OUTPUT, {"action": "list", "after": after, "limit": limit}, stack)["rows"]
    if as_json:
        terminal.show_json(rows)
        return
    table = terminal.table("Audit log", "Row", "At (UTC)", "Who", "What", "Why", "Ticket", "Tokens", "Counts")
    for row in rows:
        counts = ", ".join(f"{name} {count}" for name, count in row["counts"].items())
        at, told = terminal.to_the_second(row["at"]), [row[name] for name in ("actor", "action", "reason", "ticket")]
        table.add_row(*map(terminal.cell, [row["id"], at, *told, len(row["tokens"]), counts]))
    terminal.console().print(table)


def _heads(file: str) -> set[tuple[int, str]]:
    """Return id and hash of all rows that a file tells of, or end the command. A log has other lines too."""
    try:
        lines = Path(file).read_text("utf-8", errors="replace").splitlines()
    except OSError as error:
        terminal.fail(f"{file}: {error.strerror}", terminal.USAGE)
    heads: set[tuple[int, str]] = set()
    for number, line in enumerate(lines, 1):
        plain = re.fullmatch(r"\s*([1-9][0-9]*)\s+([0-9a-f]{64})\s*", line)
        if plain:
            heads.add((int(plain[1]), plain[2]))
        elif "audit_hash" in line:
            heads.update(_logged(line, f"{file}, line {number}"))
    if not heads:
        terminal.fail(f"{file}: tells of no row of the audit log", terminal.USAGE)
    return heads


def _logged(line: str, place: str) -> Iterator[tuple[int, str]]:
    """Yield what a line of a log tells: JSON, after a time maybe, with the function's own line in it maybe."""
    document = _json(line[max(line.find("{"), 0) :])
    if not isinstance(document, dict):
        terminal.fail(f"{place}: must be JSON", terminal.USAGE)
    for told in (document, *document.values()):
        inner = _json(told) if isinstance(told, str) else told
        if isinstance(inner, dict) and "audit_id" in inner and "audit_hash" in inner:
            yield int(inner["audit_id"]), str(inner["audit_hash"])


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
