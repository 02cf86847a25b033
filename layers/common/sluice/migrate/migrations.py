"""The migrations: SQL files, applied in the order of their numbers, once each.

The product's come first, then those of the streams. Each package has numbers of its own, and a version of its own. In
a file `:"ingest"` (psql's spelling of a variable) stands for the ingest role.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

from sluice.migrate.failures import MigrationFailed
from sluice.migrate.statements import statements
from sluice.postgres import sqlstate
from sluice.postgres.credentials import Credentials
from sluice.postgres.database import SCHEMA
from sluice.postgres.driver import Connection, DatabaseError, identifier
from sluice.postgres.sqlstate import Meaning

FOLDERS = {"sluice": "migrate/sql", "streams": "migrations"}  # of each package, in the order in which it is applied

# The first release numbered the files of both packages together, and did not say whose a file was. These are Sluice's.
OF_THE_FIRST_RELEASE = ("0001_sluice.sql", "0004_vault.sql", "0005_dead_letters.sql")


class Migration(NamedTuple):
    """One SQL file."""

    package: str
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of the text, in hexadecimal: it tells whether the text was changed.

        Line endings and white space at the end of a line or of the text do not count: editors and Git change them.
        """
        lines = [line.rstrip() for line in self.sql.splitlines()]
        return sha256("\n".join(lines).rstrip().encode()).hexdigest()


class Versions(NamedTuple):
    """The number of the newest migration that a database has of each package; 0 where it has none."""

    product: int
    streams: int


def prepare(connection: Connection) -> None:
    """Make the table that remembers what was applied, or bring that of an earlier release up to date.

    Raises MigrationFailed when Sluice's tables are in another schema, where the first release may have made them.
    """
    schema = _schema_of_before(connection)
    if schema is not None:
        raise MigrationFailed(
            f"database: Sluice's tables are in the schema {schema}; move them to {SCHEMA}, with ALTER … SET SCHEMA"
        )
    connection.run(
        "CREATE TABLE IF NOT EXISTS migration (package text DEFAULT 'streams', number integer, name text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now(), checksum text, PRIMARY KEY (package, number))"
    )
    if not _has_column(connection, "package"):
        connection.run("ALTER TABLE migration ADD COLUMN package text NOT NULL DEFAULT 'streams'")
        connection.run("ALTER TABLE migration DROP CONSTRAINT migration_pkey, ADD PRIMARY KEY (package, number)")
        for name in OF_THE_FIRST_RELEASE:
            connection.run("UPDATE migration SET package = 'sluice' WHERE name = :name", name=name)
    if not _has_column(connection, "checksum"):
        connection.run("ALTER TABLE migration ADD COLUMN checksum text")


def _schema_of_before(connection: Connection) -> str | None:
    """Return the schema that has Sluice's tables, if ours has none and another one has."""
    rows = connection.run(
        "SELECT min(relnamespace::regnamespace::text) FROM pg_class WHERE relkind = 'r' AND relname = 'token_key'"
        f" AND to_regclass('{SCHEMA}.migration') IS NULL"
    )
    return rows[0][0] if rows else None


def apply_next(connection: Connection, roles: Mapping[str, Credentials]) -> bool:
    """Apply the first migration that the database lacks, and tell whether there was one.

    Raises MigrationFailed when it fails, or when a file is not what was applied under its number.
    """
    _compare_texts(connection)
    applied = {(package, number) for package, number in connection.run("SELECT package, number FROM migration") or []}
    for migration in _migrations():
        if (migration.package, migration.number) not in applied:
            _apply(connection, migration.name, _name_roles(migration, roles))
            connection.run(
                "INSERT INTO migration (package, number, name, checksum) VALUES (:package, :number, :name, :checksum)",
                package=migration.package,
                number=migration.number,
                name=migration.name,
                checksum=migration.checksum,
            )
            return True
    return False


def versions(connection: Connection) -> Versions:
    """Return how far the database has come."""
    newest = dict(connection.run("SELECT package, max(number) FROM migration GROUP BY package") or [])
    return Versions(*(newest.get(package, 0) for package in FOLDERS))


def not_applied(connection: Connection) -> list[str]:
    """Return the names of the migrations that a database lacks. It may be one without Sluice."""
    known = [_has_column(connection, column) for column in ("number", "package")]
    rows: Any = []
    if all(known):
        rows = connection.run("SELECT package, number FROM migration")
    elif any(known):  # of the first release
        rows = connection.run(
            "SELECT CASE WHEN name = ANY (:names) THEN 'sluice' ELSE 'streams' END, number FROM migration",
            names=list(OF_THE_FIRST_RELEASE),
        )
    applied = {(package, number) for package, number in rows}
    return [migration.name for migration in _migrations() if (migration.package, migration.number) not in applied]


def of_product() -> list[Migration]:
    """Return the product's migrations, by number."""
    return _of_package("sluice", FOLDERS["sluice"])


def changed(connection: Connection) -> list[str]:
    """Return what is wrong with the files of migrations that were applied: a sentence each, which says what to do."""
    if not _has_column(connection, "checksum"):
        return []
    return [
        f"migration {migration.name}: the text was changed after it was applied; put the old text back, and write a new"
        " migration for the change"
        if name == migration.name
        else f"migration {migration.name}: {name} was applied under this number; give the file a new number"
        for migration, name, checksum in _applied(connection)
        if checksum not in (None, migration.checksum)
    ]


def _compare_texts(connection: Connection) -> None:
    """Compare every file with what was applied. Where no checksum is known yet, the file's own is remembered."""
    if sentences := changed(connection):
        raise MigrationFailed("\n".join(sentences))
    for migration, _, checksum in _applied(connection):
        if checksum is None:
            connection.run(
                "UPDATE migration SET checksum = :checksum WHERE package = :package AND number = :number",
                checksum=migration.checksum,
                package=migration.package,
                number=migration.number,
            )


def _applied(connection: Connection) -> list[tuple[Migration, str, str | None]]:
    """Return the files whose number was applied, each with the name and the checksum that it had then."""
    rows: Any = connection.run("SELECT package, number, name, checksum FROM migration") or []
    applied = {(package, number): (name, checksum) for package, number, name, checksum in rows}
    return [
        (migration, *applied[migration.package, migration.number])
        for migration in _migrations()
        if (migration.package, migration.number) in applied
    ]


def _has_column(connection: Connection, column: str) -> bool:
    return bool(
        connection.run(
            "SELECT FROM pg_attribute WHERE attrelid = to_regclass('migration') AND attname = :column", column=column
        )
    )


def _migrations() -> list[Migration]:
    """Return all migrations in the order of their application. Raises MigrationFailed for a bad name or number."""
    return [migration for package, folder in FOLDERS.items() for migration in _of_package(package, folder)]


def _of_package(package: str, folder: str) -> list[Migration]:
    """Return the migrations of a package, by number. Raises MigrationFailed when two have one number."""
    place = files(package).joinpath(folder)
    names = sorted(file.name for file in place.iterdir() if file.name.endswith(".sql")) if place.is_dir() else []
    for name in names:
        if not re.match("[0-9]+_", name):
            raise MigrationFailed(f"migrations: the name of {name} must begin with a number and an underscore")
    numbers = [int(name.partition("_")[0]) for name in names]
    for number in numbers:
        if numbers.count(number) > 1:
            raise MigrationFailed(f"migrations: two files of {package} have the number {number}")
    return [
        Migration(package, number, name, place.joinpath(name).read_text("utf-8"))
        for number, name in sorted(zip(numbers, names, strict=True))
    ]


def _name_roles(migration: Migration, roles: Mapping[str, Credentials]) -> str:
    """Put the login roles in the place of `:"ingest"`, as psql would. Raises MigrationFailed for one not known."""
    for role in sorted(set(re.findall(r':"(\w+)"', migration.sql)) - set(roles)):
        raise MigrationFailed(f"migration {migration.name}: there is no role {role}")
    return re.sub(r':"(\w+)"', lambda role: str(identifier(roles[role[1]].username)), migration.sql)


def _apply(connection: Connection, name: str, sql: str) -> None:
    try:
        _run(connection, sql)
    except DatabaseError as error:
        if sqlstate.meaning(error) in (Meaning.TRY_AGAIN, Meaning.RECONNECT):
            raise
        position = int(error.args[0].get("P", 0))  # characters from 1; none for an error that is not the text's
        line = f", line {sql.count('\n', 0, position) + 1}" if position else ""
        why = sqlstate.describe(error)
        raise MigrationFailed(f"migration {name}{line}: {why}") from None  # the cause may quote rows


def _run(connection: Connection, sql: str) -> None:
    """Run a file at once, or statement by statement where Citus wants that, as for a distributed table."""
    connection.run("SAVEPOINT file")
    try:
        connection.run(sql)
    except DatabaseError as error:
        if not sqlstate.is_of_several_statements(error):
            raise
        connection.run("ROLLBACK TO SAVEPOINT file")
        for statement in statements(sql):
            connection.run(statement)
