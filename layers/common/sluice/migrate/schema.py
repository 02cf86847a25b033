"""Brings the database up to date: SQL files, login roles and keyset in, the schema's version out."""

import re
from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files

import scramp

from sluice.deadline import Deadline
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.registry import load_all
from sluice.declaration.stream import Stream
from sluice.postgres import sqlstate
from sluice.postgres.credentials import Credentials
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection, DatabaseError, identifier, literal
from sluice.postgres.sqlstate import Meaning
from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset import Keyset

LOCK = 0x51CE  # two deployments at once take turns


class MigrationFailed(Exception):
    """The database could not be brought up to date: says which file and line, and PostgreSQL's code for why."""


def migrate(
    database: Database,
    roles: Mapping[str, Credentials],
    keyset: Keyset,
    deadline: Deadline,
    login_by_iam: bool = False,
) -> int:
    """Bring roles, tables and check values up to date, and return the number of the newest migration applied.

    `roles` maps the names that the SQL files use to login roles. A database that is newer than these files is left as
    it is. Raises MigrationFailed or Outage; what was committed until then stays, and the next call goes on after it.
    """

    def prepare(connection: Connection) -> None:
        _lock(connection)
        connection.run(
            "CREATE TABLE IF NOT EXISTS migration"
            " (number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        for credentials in roles.values():
            _set_role(connection, credentials, login_by_iam)

    def apply_next(connection: Connection) -> bool:
        _lock(connection)
        applied = {number for (number,) in connection.run("SELECT number FROM migration") or []}
        for number, name, sql in _migrations():
            if number not in applied:
                _apply(connection, name, _name_roles(name, sql, roles))
                connection.run("INSERT INTO migration (number, name) VALUES (:number, :name)", number=number, name=name)
                return True
        return False

    def finish(connection: Connection) -> int:
        _lock(connection)
        _remember(connection, keyset)
        for stream in load_all():
            check_table(connection, stream)
            grant(connection, stream, roles)
        rows = connection.run("SELECT max(number) FROM migration") or [[0]]
        return int(rows[0][0])

    database.transact(prepare, deadline)
    while database.transact(apply_next, deadline):
        pass
    return database.transact(finish, deadline)


def check_table(connection: Connection, stream: type[Stream]) -> None:
    """Compare a stream with its table. Raises MigrationFailed when one has a column that the other lacks."""
    written = {*OWN_COLUMNS, *(column for column, _ in stream.columns())}
    columns = dict(
        connection.run(
            "SELECT attname, attnotnull AND NOT atthasdef AND attidentity = '' FROM pg_attribute"
            " WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped",
            table=identifier(stream.table),
        )
        or []
    )
    if not columns:
        raise MigrationFailed(f"{stream.__name__}: there is no table {stream.table}")
    for column in sorted(written - set(columns)):
        raise MigrationFailed(f"{stream.__name__}: the table {stream.table} lacks the column {column}")
    for column in sorted({column for column, needed in columns.items() if needed} - written):
        raise MigrationFailed(f"{stream.__name__}: nothing is written to the column {column}, which must not be null")


def grant(connection: Connection, stream: type[Stream], roles: Mapping[str, Credentials]) -> None:
    """Give the roles what their work on the stream's table takes, and no more."""
    table = identifier(stream.table)
    tokens = sorted({str(identifier(place.column)) for place in stream.token_places})
    subject = [str(identifier(stream.subject.column))] if stream.subject else []
    rights = {
        "ingest": "INSERT, SELECT (message_id)",
        "forget": f"DELETE, SELECT ({', '.join(dict.fromkeys([*OWN_COLUMNS, *subject, *tokens]))})",
        "rekey": f"SELECT ({', '.join(['message_id', *tokens])})"
        + (f", UPDATE ({', '.join(tokens)})" if tokens else ""),
    }
    for role, right in rights.items():
        connection.run(f"GRANT {right} ON {table} TO {identifier(roles[role].username)}")


def _lock(connection: Connection) -> None:
    connection.run(f"SELECT pg_advisory_xact_lock({LOCK})")
    connection.run("SET LOCAL statement_timeout = 0")  # an index may take longer than a batch; the deadline still holds


def _migrations() -> list[tuple[int, str, str]]:
    """Return number, name and text of every SQL file, in order. Raises MigrationFailed when two have one number."""
    names = sorted(file.name for file in files("sluice.migrate.migrations").iterdir() if file.name.endswith(".sql"))
    for name in names:
        if not re.match("[0-9]+_", name):
            raise MigrationFailed(f"migrations: the name of {name} must begin with a number and an underscore")
    numbers = [int(name.partition("_")[0]) for name in names]
    for number in numbers:
        if numbers.count(number) > 1:
            raise MigrationFailed(f"migrations: two files have the number {number}")
    return [
        (number, name, files("sluice.migrate.migrations").joinpath(name).read_text("utf-8"))
        for number, name in sorted(zip(numbers, names, strict=True))
    ]


def _name_roles(name: str, sql: str, roles: Mapping[str, Credentials]) -> str:
    """Put the login roles in the place of `:"ingest"`, as psql would. Raises MigrationFailed for one not known."""
    for role in sorted(set(re.findall(r':"(\w+)"', sql)) - set(roles)):
        raise MigrationFailed(f"migration {name}: there is no role {role}")
    return re.sub(r':"(\w+)"', lambda role: str(identifier(roles[role[1]].username)), sql)


def _apply(connection: Connection, name: str, sql: str) -> None:
    try:
        connection.run(sql)
    except DatabaseError as error:
        if sqlstate.meaning(error) is Meaning.TRY_AGAIN:
            raise
        position = int(error.args[0].get("P", 0))  # characters from 1; none for an error that is not the text's
        line = f", line {sql.count('\n', 0, position) + 1}" if position else ""
        why = sqlstate.describe(error)
        raise MigrationFailed(f"migration {name}{line}: {why}") from None  # the cause may quote rows


def _set_role(connection: Connection, credentials: Credentials, login_by_iam: bool) -> None:
    """Create the login role where it is missing, and set its password: the server is sent the verifier alone.

    RDS takes no password of a member of `rds_iam`, and no token of anybody else.
    """
    role = identifier(credentials.username)
    if not connection.run("SELECT FROM pg_roles WHERE rolname = :name", name=credentials.username):
        connection.run(f"CREATE ROLE {role} LOGIN")
    connection.run(f"ALTER ROLE {role} PASSWORD {literal(scram_verifier(credentials.password))}")
    if login_by_iam:
        connection.run(f"GRANT rds_iam TO {role}")
    elif connection.run("SELECT FROM pg_roles WHERE rolname = 'rds_iam'"):
        connection.run(f"REVOKE rds_iam FROM {role}")


def scram_verifier(password: str) -> str:
    """Return what PostgreSQL stores of a password (RFC 5803): `SCRAM-SHA-256$<iterations>:<salt>$<keys>`."""
    salt, stored_key, server_key, iterations = scramp.ScramMechanism("SCRAM-SHA-256").make_auth_info(password)
    encoded_salt, *keys = (b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${iterations}:{encoded_salt}${':'.join(keys)}"


def _remember(connection: Connection, keyset: Keyset) -> None:
    """Store the check value of every key that is new. Raises MigrationFailed when that of another differs."""
    for number in check_values.changed(connection, keyset):
        raise MigrationFailed(
            f"keyset: key {number} is not the one that made the tokens of this database; restore the keyset"
        )
    check_values.remember(connection, keyset)
