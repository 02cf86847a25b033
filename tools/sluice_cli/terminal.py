"""The terminal: texts of any origin become printable characters; and how a command ends."""

import json
import re
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.containers import Lines
from rich.table import Table
from rich.text import Text

from tools.sluice_cli.sqlstates import named

LOG_COLUMNS = 110  # where there is no terminal to ask

OF_THE_RECORD = "(the record)"  # in the place of a pointer, where no field of it is at fault

REJECTED = 1  # exit codes: a record was rejected, or a check failed
USAGE = 2

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class _Cell(Text):
    """A text in one style that breaks a word which is too long for its column behind a separator, if it has one."""

    def wrap(self, console: Console, width: int, *, no_wrap: bool | None = None, **options: Any) -> Lines:
        if no_wrap or self.no_wrap:
            return super().wrap(console, width, no_wrap=no_wrap, **options)
        part = rf".{{1,{width}}}$|.{{1,{width}}}(?<=[/_.,:;@(=-])|.{{1,{width}}}"
        broken = re.sub(r"\S+", lambda word: "\n".join(re.findall(part, word[0])), self.plain)
        return Text(broken, self.style).wrap(console, width, no_wrap=no_wrap, **options)


def console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else LOG_COLUMNS)


def printable(text: str) -> str:
    """Return the text with an escape in the place of all that could control a terminal or turn its text around."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def cell(text: object, style: str = "") -> Text:
    """Return a cell of a table: never markup, nothing that is not printable."""
    return _Cell(printable(str(text)), style, overflow="fold")


def table(title: str, *columns: str) -> Table:
    made = Table(title=cell(title), title_justify="left", title_style="")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def show_json(value: object) -> None:
    """Print JSON of ASCII alone, so that no character of a record is one that a terminal obeys."""
    print(json.dumps(value, indent=2, default=str))


def note(text: str) -> None:
    """Print a line that is not the matter itself."""
    console().print(cell(text, "dim"))


def to_the_second(moment: str) -> str:
    """Return a time of ISO 8601 in UTC as a table has it."""
    return moment[:19].replace("T", " ")


def note_more(things: Sequence[object], shown: int) -> None:
    """Say below a table how many of the things it does not show."""
    if len(things) > shown:
        note(f"… and {len(things) - shown:,} more: `sluice preview --json` has them all.")


def ask(question: str, otherwise: str) -> None:
    """Ask before what cannot be undone. Without a yes, or with nobody to ask, the command ends and says `otherwise`."""
    try:
        if typer.confirm(question, err=True):
            return
    except typer.Abort:
        pass
    fail(f"{otherwise}; --yes asks no question")


def run(app: typer.Typer, **options: Any) -> NoReturn:
    """Run a command. Whatever goes wrong is told in one line; what we did not foresee, without the error's text."""
    try:
        sys.exit(app(standalone_mode=False, **options))
    except typer.TyperException as error:  # the command line is at fault
        sys.exit(complain(f"{_usage(error)}; try --help", USAGE))
    except Exception as error:  # noqa: BLE001 (its text, as the traceback's last line, may quote a record)
        sys.exit(complain(unforeseen(error)))


def _usage(error: Any) -> str:
    """Return what is wrong with the command line. Of an unknown option only options that are much alike are named."""
    if possible := getattr(error, "possibilities", None):  # to Typer --reason is like --yes
        error.possibilities = get_close_matches(error.option_name, possible, cutoff=0.75)
    return str(error.format_message()).rstrip(".")


def unforeseen(error: Exception) -> str:
    """Return what can be told of an error that nobody foresaw: its class and place."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"unforeseen {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"


def complain(message: str, code: int = REJECTED) -> int:
    """Print one line where errors go, and return the exit code."""
    print(f"sluice: {printable(named(message))}", file=sys.stderr)
    return code


def fail(message: str, code: int = REJECTED) -> NoReturn:
    """Print one line where errors go, and end the command with the exit code."""
    raise typer.Exit(complain(message, code))


def moment(text: str) -> datetime:
    """Return the time that --since names, one of ISO 8601 with its zone, or how long ago it is. Or end the command."""
    try:
        if ago := re.fullmatch(r"(\d{1,6})([smhd])", text, re.ASCII):
            return datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        at = datetime.min
    if at.tzinfo is None:
        fail("--since: is a time such as 10m, 2h, 1d or 2026-01-31T09:00Z", USAGE)
    return at
