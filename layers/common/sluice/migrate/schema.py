"""The database brought up to date: login roles, migrations, check values, the streams' tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sluice.deadline import Deadline
from sluice.declaration import description
from sluice.declaration.registry import load_all, load_as_brought
from sluice.declaration.stream import Stream
from sluice.migrate import conversion, logins, migrations, partitions, rights, tables
from sluice.migrate import keyset as keysets
from sluice.migrate.failures import MigrationFailed
from sluice.migrate.migrations import Versions
from sluice.postgres.credentials import Credentials
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.pseudonyms.keyset import Keyset


def migrate(
    database: Database,
    roles: Mapping[str, Credentials],
    keyset: Keyset,
    deadline: Deadline,
    login_by_iam: bool = False,
) -> Versions:
    """Bring roles, tables and check values up to date, and return the newest migrations that the database has.

    `roles` maps the names that the SQL files use to login roles. A database that is newer than these files is left as
    it is. Raises MigrationFailed or Outage; what was committed until then stays, and the next call goes on after it.
    """

    def finish(connection: Connection) -> Versions:
        _lock(connection)
        streams = load_all()
        _describe(connection)
        _compare(connection, streams, roles)
        partitions.declare(connection, streams)
        conversion.convert_empty(connection)
        for stream in streams:
            rights.grant(connection, stream, roles)
        keysets.remember(connection, keyset, roles)
        return migrations.versions(connection)

    apply(database, roles, deadline, login_by_iam)
    made = database.transact(finish, deadline)
    while database.transact(_make_next_partition, deadline):
        pass
    conversion.build_keys(database, deadline)
    return made


def apply(database: Database, roles: Mapping[str, Credentials], deadline: Deadline, login_by_iam: bool = False) -> None:
    """Make the roles, and apply the migrations that the database lacks. Raises MigrationFailed or Outage."""

    def make_roles(connection: Connection) -> None:
        _lock(connection)
        logins.make_roles(connection, roles)

    def prepare(connection: Connection) -> None:
        _lock(connection)
        migrations.prepare(connection)
        for credentials in roles.values():
            logins.set_role(connection, credentials, login_by_iam)
        logins.set_iam(connection, roles, login_by_iam)

    def apply_next(connection: Connection) -> bool:
        _lock(connection)
        return migrations.apply_next(connection, roles)

    logins.check_names(roles)
    database.transact(make_roles, deadline)  # committed first: what a refusal advises to run needs the roles
    database.transact(prepare, deadline)
    while database.transact(apply_next, deadline):
        pass


class Comparison(NamedTuple):
    """How a database compares with the streams and the migrations that are here."""

    not_applied: list[str]  # names of migrations
    findings: list[str]  # a sentence for each thing to change


def compare(database: Database, streams: Sequence[type[Stream]], deadline: Deadline) -> Comparison:
    """Compare a database with the streams and the migrations, and change nothing. Raises MigrationFailed or Outage."""

    def work(connection: Connection) -> Comparison:
        connection.run("SET TRANSACTION READ ONLY")
        found = _findings(connection, streams, {})
        return Comparison(migrations.not_applied(connection), [*migrations.changed(connection), *found])

    return database.transact(work, deadline, undo=True)


def _compare(connection: Connection, streams: Iterable[type[Stream]], roles: Mapping[str, Credentials]) -> None:
    """Raise MigrationFailed when a stream does not fit its table: a line for each thing to change."""
    if found := _findings(connection, streams, roles):
        raise MigrationFailed("\n".join(found))


def _findings(connection: Connection, streams: Iterable[type[Stream]], roles: Mapping[str, Credentials]) -> list[str]:
    of_streams = [sentence for stream in streams for sentence in tables.findings(connection, stream, roles)]
    of_conversions = [sentence for stream in streams for sentence in conversion.obstacles(connection, stream)]
    return [*tables.distributed(connection), *of_streams, *of_conversions]


def _describe(connection: Connection) -> None:
    """Remember what each declaration says, so that the ledger's fingerprints stand for something."""
    for stream in load_as_brought():
        connection.run(
            "INSERT INTO declaration (fingerprint, stream, description)"
            " VALUES (:fingerprint, :name, CAST(:description AS jsonb)) ON CONFLICT DO NOTHING",
            fingerprint=description.fingerprint(stream),
            name=stream.stream_name,
            description=description.text(stream),
        )


def _make_next_partition(connection: Connection) -> bool:
    return any(partitions.make_next(connection, partitioned) for partitioned in partitions.declared(connection))


def _lock(connection: Connection) -> None:
    connection.run(f"SELECT pg_advisory_xact_lock({partitions.LOCK})")
