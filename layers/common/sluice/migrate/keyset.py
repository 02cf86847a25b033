"""The keyset that a database knows: remembered with each deployment, and replaced while nothing was made with it."""

from collections.abc import Mapping

from sluice.migrate.failures import MigrationFailed
from sluice.postgres.cells import array_cell
from sluice.postgres.credentials import Credentials
from sluice.postgres.driver import Connection
from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset import Keyset
from sluice.telemetry import logger
from sluice.vault import erasures

WITHOUT_TOKENS = ("token_key", "rejection", "operation", "batch")  # of the tables that the roles may write to


def remember(connection: Connection, keyset: Keyset, roles: Mapping[str, Credentials]) -> None:
    """Store the check value of every token key that is new to the database.

    A database that holds no token takes any keyset in the place of the one that it knows. Call it when the roles have
    their rights, which tell where tokens can be. Raises MigrationFailed when there are tokens, and a token key has
    changed or is missing.
    """
    wrong = _wrong(connection, keyset)
    if wrong:
        erasures.exclude(connection)  # No batch is being written, and the next one compares its keyset again.
        connection.run("LOCK TABLE token_key")  # Others who have compared their keyset are done writing.
        if table := _table_with_rows(connection, roles):
            raise MigrationFailed(
                f"keyset: {wrong}: {table} has rows; restore the keyset, or deploy to an empty database"
            )
        check_values.forget(connection)
        logger.warning("keyset replaced: the database holds no token")
    check_values.remember(connection, keyset)


def _wrong(connection: Connection, keyset: Keyset) -> str:
    """Tell which token key is not what the database remembers, or nothing."""
    for number in check_values.changed(connection, keyset):
        return f"key {number} is not the one that made the tokens of this database"
    for number in check_values.missing(connection, keyset):
        return f"key {number} is missing"
    return ""


def _table_with_rows(connection: Connection, roles: Mapping[str, Credentials]) -> str | None:
    """Return a table that has rows and can hold tokens: whatever a login role may insert into, and the audit log."""
    tables = connection.run(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'p')"
        " AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')"
        " AND c.oid <> ALL (CAST(CAST(:without AS text[]) AS regclass[]))"
        " AND (c.oid = to_regclass('audit_log') OR EXISTS (SELECT FROM unnest(CAST(:roles AS text[])) AS role"
        " WHERE has_any_column_privilege(role, c.oid, 'INSERT'))) ORDER BY 1",
        without=array_cell(WITHOUT_TOKENS),
        roles=array_cell([credentials.username for credentials in roles.values()]),
    )
    for (table,) in tables or []:
        if connection.run(f"SELECT FROM {table} LIMIT 1"):  # nosec B608  # PostgreSQL has quoted it
            return str(table)
    return None
