"""`sluice check`: every declared stream and every migration in, what does not fit together out."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

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
from sluice.postgres.database import Database
from sluice.settings import ROLES, DatabaseSettings
from tools.sluice_cli import terminal
from tools.sluice_cli.authors import throwaway

if TYPE_CHECKING:
    from tools.local.postgres import Postgres

SECONDS = 60  # for all of the migrations


def check(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Import every stream, run the migrations on a PostgreSQL of its own, and compare each stream with its table.

    It needs no stack and no AWS, and leaves nothing behind.
    """
    from tools.local.server import NotStarted  # the embedded server is for this command alone

    started = monotonic()
    streams, errors = _declared()
    versions = None
    if not errors:
        try:
            versions = _migrate()
        except (MigrationFailed, Outage, NotStarted) as error:
            errors += str(error).splitlines()
    if as_json:
        found = [
            {"stream": name, "table": stream.table, "columns": _column_count(stream)}
            for name, stream in streams.items()
        ]
        told = versions and {"schema_version": versions.product, "streams_version": versions.streams}
        terminal.show_json({"streams": found, "versions": told, "errors": errors})
    else:
        _show(streams, errors, monotonic() - started)
    raise typer.Exit(terminal.REJECTED if errors else 0)


class EmbeddedDatabase(Database):
    """The embedded server, as its owner: the password is known, so no secret is read."""

    def __init__(self, server: "Postgres") -> None:
        where = DatabaseSettings(
            host=server.host,
            port=server.port,
            name=server.database,
            secret_id="",  # nosec B106: there is no secret
            username="",
            tls="disable",
            certificate_authority=None,
        )
        super().__init__(where, application_name="sluice-check")
        self._credentials = Credentials(server.user, server.password)


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
        database = EmbeddedDatabase(server)
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


def _column_count(stream: type[Stream]) -> int:
    return len(OWN_COLUMNS) + len(stream.columns())


def _show(streams: dict[str, type[Stream]], errors: list[str], seconds: float) -> None:
    console = terminal.console()
    if not errors:
        for name, stream in streams.items():
            fits = f"{name:<20}{_column_count(stream)} columns, as in the table {stream.table}"
            console.print("[green]✓[/]", terminal.cell(fits))
        console.print(f"{len(streams)} streams and all migrations fit together: {seconds:.1f} s.")
    for error in errors:
        console.print("[red]✗[/]", terminal.cell(error), soft_wrap=True)
