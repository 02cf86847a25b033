"""`sluice migration`: writes the SQL that makes a stream's table fit its declaration; applies nothing."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

import streams
from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.failures import Outage
from sluice.migrate import schema
from sluice.migrate.failures import MigrationFailed
from sluice.postgres.driver import Connection
from tools.sluice_cli import terminal
from tools.sluice_cli.authors import contract, declarations, embedded, migration_sql, older_rows, table_sql, throwaway
from tools.sluice_cli.authors import revision as git
from tools.sluice_cli.authors.migration_sql import Migration
from tools.sluice_cli.authors.older_rows import Left
from tools.sluice_cli.authors.revision import NotThere

SECONDS = 60  # for all of the migrations
FIRST = 1000  # the numbers below are Sluice's


def migration(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="A module of layers/streams.")],
    write: Annotated[
        bool, typer.Option("--write", help="Write it to layers/streams/migrations, under the next free number.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(metavar="REV", help="Tell what masks that changed since a revision of git leave in older rows."),
    ] = None,
) -> None:
    """Print the SQL that makes a stream's table fit its declaration, or that creates the table.

    It compares the declaration with the table that the migrations make on a PostgreSQL of its own.

    What would lose data stands in a comment, as a question to you. Nothing is applied: the next deployment does that.
    """
    from tools.local.server import NotStarted  # the embedded server is for these commands alone

    declared = declarations.stream(stream)
    try:
        made = _migration(declared, _older(declared, against) if against else [])
    except (MigrationFailed, Outage, NotStarted) as error:
        terminal.fail(str(error))
    text = f"-- The table of the stream {stream}, as its declaration is now.\n\n{made.text}"
    if made.steps or made.left:
        print(text, end="")
    making = _making(declared)
    if not made.is_needed:
        terminal.note(f"The table {declared.table} has room for every row: there is nothing to change.")
    elif write:
        terminal.note(f"Written to {declarations.place(_written(stream, text))}. Read it before you deploy.")
    if making:
        _advise(stream, making, made.is_needed, write, against)
    raise typer.Exit(terminal.REJECTED if made.left else 0)


def _advise(stream: str, making: Path, is_needed: bool, is_written: bool, against: str | None) -> None:
    """Say what to do instead where the table was never made, and how to learn what older rows keep.

    It goes where errors go: the SQL may be going to a file.
    """
    if is_needed and making.name >= str(FIRST):
        which, what = ("both files", "one") if is_written else ("it", "it")
        _say(
            f"If {declarations.place(making)} was never deployed, delete {which}:"
            f" `sluice migration {stream} --write` then writes {what} anew."
        )
    if not against:
        _say("If a mask has changed, `--against REV` says what older rows keep; REV is the revision that is deployed.")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _older(stream: type[Stream], revision: str) -> list[Left]:
    """Return what older rows keep, by the declaration of a revision. One that is not there ends the command."""
    try:
        old = (git.contracts(revision) or {}).get(stream.stream_name, {})
    except NotThere as error:
        terminal.fail(f"--against: {error}", terminal.USAGE)
    if "columns" not in old:
        terminal.note(f"{revision} has no such stream that could be read, so nothing is told of older rows.")
        return []
    return older_rows.of_stream(old, contract.of_stream(stream))


def _migration(stream: type[Stream], older: Sequence[Left]) -> Migration:
    """Return the stream's migration. Raises MigrationFailed, Outage and NotStarted."""
    deadline, roles = Deadline(monotonic() + SECONDS), throwaway.roles()

    def compare(connection: Connection) -> Migration:
        return migration_sql.of_stream(connection, stream, roles, older)

    with embedded.database() as database:
        schema.apply(database, roles, deadline)
        return database.transact(compare, deadline, undo=True)


def _making(stream: type[Stream]) -> Path | None:
    """Return the migration that makes the stream's table, where it is one of the author's and says so."""
    made = re.compile(rf"^CREATE TABLE {re.escape(table_sql.table_name(stream))} \(", re.MULTILINE | re.IGNORECASE)
    files = sorted(Path(streams.__path__[0], "migrations").glob("*.sql"))
    return next((file for file in files if made.search(file.read_text("utf-8"))), None)


def _written(stream: str, text: str) -> Path:
    """Write a migration under the next free number, never over another, and return where it is."""
    folder = Path(streams.__path__[0], "migrations")
    folder.mkdir(exist_ok=True)
    numbers = [int(found[0]) for file in folder.glob("*.sql") if (found := re.match("[0-9]+", file.name))]
    file = folder / f"{max([FIRST - 1, *numbers]) + 1:04}_{stream}.sql"
    with file.open("x", encoding="utf-8") as opened:
        opened.write(text)
    return file
