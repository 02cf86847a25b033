"""`sluice migration`: writes the SQL that makes a stream's table fit its declaration; applies nothing."""

import re
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
from tools.sluice_cli.authors import declarations, embedded, migration_sql, throwaway
from tools.sluice_cli.authors.migration_sql import Migration

SECONDS = 60  # for all of the migrations
FIRST = 1000  # the numbers below are Sluice's


def migration(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="A module of layers/streams.")],
    write: Annotated[
        bool, typer.Option("--write", help="Write it to layers/streams/migrations, under the next free number.")
    ] = False,
) -> None:
    """Print the SQL that makes a stream's table fit its declaration, or that creates the table.

    It compares the declaration with the table that the migrations make on a PostgreSQL of its own.

    What would lose data stands in a comment, as a question to you. Nothing is applied: the next deployment does that.
    """
    from tools.local.server import NotStarted  # the embedded server is for these commands alone

    declared = declarations.stream(stream)
    try:
        made = _migration(declared)
    except (MigrationFailed, Outage, NotStarted) as error:
        terminal.fail(str(error))
    text = f"-- The table of the stream {stream}, as its declaration is now.\n\n{made.text}"
    if made.steps or made.left:
        print(text, end="")
    if not made.is_needed:
        terminal.note(f"The table {declared.table} has room for every row: there is nothing to change.")
    elif write:
        terminal.note(f"Written to {'/'.join(_written(stream, text).parts[-3:])}. Read it before you deploy.")
    raise typer.Exit(terminal.REJECTED if made.left else 0)


def _migration(stream: type[Stream]) -> Migration:
    """Return the stream's migration. Raises MigrationFailed, Outage and NotStarted."""
    deadline, roles = Deadline(monotonic() + SECONDS), throwaway.roles()

    def compare(connection: Connection) -> Migration:
        return migration_sql.of_stream(connection, stream, roles)

    with embedded.database() as database:
        schema.apply(database, roles, deadline)
        return database.transact(compare, deadline, undo=True)


def _written(stream: str, text: str) -> Path:
    """Write a migration under the next free number, never over another, and return where it is."""
    folder = Path(streams.__path__[0], "migrations")
    folder.mkdir(exist_ok=True)
    numbers = [int(found[0]) for file in folder.glob("*.sql") if (found := re.match("[0-9]+", file.name))]
    file = folder / f"{max([FIRST - 1, *numbers]) + 1:04}_{stream}.sql"
    with file.open("x", encoding="utf-8") as opened:
        opened.write(text)
    return file
