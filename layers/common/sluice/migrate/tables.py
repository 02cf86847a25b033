"""The streams' tables: each compared with its declaration, and the roles' rights on it."""

from collections.abc import Mapping

from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.stream import Stream
from sluice.migrate.failures import MigrationFailed
from sluice.postgres import sqlstate
from sluice.postgres.credentials import Credentials
from sluice.postgres.driver import Connection, DatabaseError, identifier


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
    """Give the roles what their work on the stream's table takes, and take back what it took once."""
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
        name = identifier(roles[role].username)
        try:
            # Both are committed at once. REVOKE takes back the rights on single columns, too.
            connection.run(f"REVOKE ALL ON {table} FROM {name}; GRANT {right} ON {table} TO {name}")
        except DatabaseError as error:
            if sqlstate.of(error) != sqlstate.INSUFFICIENT_PRIVILEGE:
                raise
            raise MigrationFailed(
                f"{stream.__name__}: the table {stream.table} must belong to the owner that migrates"
            ) from None
