"""`sluice check`: every declared stream and every migration in, what does not fit together out."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

import streams as streams_package
from sluice.deadline import Deadline
from sluice.declaration import registry
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.registry import names
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError, Outage
from sluice.migrate import schema
from sluice.migrate.failures import MigrationFailed
from sluice.migrate.migrations import Versions
from sluice.postgres.credentials import Credentials
from sluice.settings import ROLES
from tools.sluice_cli import databases, terminal
from tools.sluice_cli.authors import messages, throwaway
from tools.sluice_cli.authors.findings import Findings
from tools.sluice_cli.authors.messages import Unreadable
from tools.sluice_cli.databases import URL, GivenDatabase

if TYPE_CHECKING:
    from tools.local.postgres import Postgres

SECONDS = 60  # for all of the migrations


def check(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help=f"Compare with this database instead, and change nothing in it: {URL}"),
    ] = None,
) -> None:
    """Import every stream, run the migrations on a PostgreSQL of its own, and compare each stream with its table.

    What a stream keeps in the clear of its examples, and looks like personal data, is a warning, no failure.

    It needs no stack and no AWS, and leaves nothing behind.
    """
    given = databases.given(database, "sluice-check") if database else None
    from tools.local.server import NotStarted  # the embedded server is for this command alone

    started = monotonic()
    streams, errors = _declared()
    versions: Versions | None = None
    not_applied: list[str] = []
    if not errors:
        try:
            if given:
                not_applied, found = _compare(given, streams)
                errors += found
            else:
                versions = _migrate()
        except (MigrationFailed, Outage, NotStarted) as error:
            errors += str(error).splitlines()
    warnings = [warning for name, stream in streams.items() for warning in _warnings(name, stream)]
    if as_json:
        told_streams = [
            {"stream": name, "table": stream.table, "columns": _column_count(stream)}
            for name, stream in streams.items()
        ]
        told = versions and {"schema_version": versions.product, "streams_version": versions.streams}
        of_database = {"not_applied": not_applied} if given else {"versions": told}
        terminal.show_json({"streams": told_streams, **of_database, "warnings": warnings, "errors": errors})
    else:
        _show(streams, warnings, errors, monotonic() - started, not_applied if given else None)
    raise typer.Exit(terminal.REJECTED if errors else 0)


def _compare(database: GivenDatabase, streams: dict[str, type[Stream]]) -> schema.Comparison:
    """Compare a database that is there with the streams. Raises what `schema.compare` raises."""
    try:
        return schema.compare(database, list(streams.values()), Deadline(monotonic() + SECONDS))
    finally:
        database.close()


def _declared() -> tuple[dict[str, type[Stream]], list[str]]:
    """Return the streams by name, and what is wrong with those that cannot be imported."""
    streams: dict[str, type[Stream]] = {}
    errors: list[str] = []
    for name in names():
        try:
            streams[name] = registry.load(name)
        except DeclarationError as error:
            errors.append(str(error))
    return streams, errors


def _migrate() -> Versions:
    """Return the versions that the migrations lead to. Raises what `schema.migrate` raises, and NotStarted."""
    roles = {name: Credentials(f"sluice-{name}", secrets.token_urlsafe(24)) for name in ROLES}
    with _server() as server:
        credentials = Credentials(server.user, server.password)
        database = GivenDatabase(server.host, server.port, server.database, credentials, "sluice-check")
        try:
            return schema.migrate(database, roles, throwaway.keyset(), Deadline(monotonic() + SECONDS))
        finally:
            database.close()


@contextmanager
def _server() -> "Iterator[Postgres]":
    from tools.local.postgres import Postgres

    with TemporaryDirectory(prefix="sluice-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL runs as another user where we are root
        server = Postgres(Path(folder, "postgres"))
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _warnings(name: str, stream: type[Stream]) -> Iterator[str]:
    """Yield what a stream keeps in the clear of its examples that looks like personal data."""
    file = Path(streams_package.__path__[0], "examples", f"{name}.jsonl")
    if not file.exists():
        return
    try:
        examples = messages.read([str(file)], None)
    except Unreadable as error:
        yield str(error)
        return
    for exposure in Findings(stream, examples, throwaway.keyset()).exposures():
        count = f"{exposure.records:,} of {len(examples):,} examples"
        yield f"{name}: the column {exposure.column} keeps in the clear what looks like {exposure.kind}, in {count}"


def _column_count(stream: type[Stream]) -> int:
    return len(OWN_COLUMNS) + len(stream.columns())


def _show(
    streams: dict[str, type[Stream]],
    warnings: list[str],
    errors: list[str],
    seconds: float,
    not_applied: list[str] | None = None,
) -> None:
    """Show how it went; `not_applied` is told of a database that is there."""
    console = terminal.console()
    for name in not_applied or []:
        console.print(
            "[yellow]…[/]", terminal.cell(f"migration {name} is not applied yet: the next deployment does it")
        )
    for warning in warnings:
        console.print("[yellow]![/]", terminal.cell(warning), soft_wrap=True)
    if not errors:
        for name, stream in streams.items():
            fits = f"{name:<20}{_column_count(stream)} columns, as in the table {stream.table}"
            console.print("[green]✓[/]", terminal.cell(fits))
        what = "all migrations" if not_applied is None else "the database"
        console.print(f"{len(streams)} streams and {what} fit together: {seconds:.1f} s.")
    for error in errors:
        console.print("[red]✗[/]", terminal.cell(error), soft_wrap=True)
