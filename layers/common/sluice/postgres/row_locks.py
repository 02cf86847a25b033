"""Rows of a stream, locked and then changed: nobody else changes them before the transaction ends."""

from collections.abc import Mapping, Sequence
from typing import Any

from sluice.postgres import sqlstate
from sluice.postgres.cells import array_cell, json_cell
from sluice.postgres.driver import Connection, DatabaseError, literal

type RowId = tuple[str, str]  # of a row: its message id and its time, as texts

BEFORE_ALL: RowId = ("00000000-0000-0000-0000-000000000000", "-infinity")
# The condition for the rows that come after one in the order of their ids; its parameters are a row's id.
AFTER = "(message_id, sent_at) > (CAST(:message_id AS uuid), CAST(:sent_at AS timestamptz))"


def lock(connection: Connection, table: str, rows: Sequence[RowId], columns: str, changed: str) -> Any:
    """Lock these rows in the order of their ids, and return their columns, an SQL list.

    On a table that Citus has distributed, SELECT … FOR UPDATE fails (0A000). There an UPDATE locks the rows: it sets
    the column `changed` to itself. An UPDATE keeps no order, so it may end in a deadlock. Then the transaction is tried
    again.
    """
    these = (
        "(message_id, sent_at) IN (SELECT * FROM unnest(CAST(:message_ids AS uuid[]), CAST(:times AS timestamptz[])))"
        f" AND sent_at {_between([time for _, time in rows])}"
    )
    ids = {"message_ids": array_cell([one for one, _ in rows]), "times": array_cell([time for _, time in rows])}
    connection.run("SAVEPOINT lock")
    try:
        found = connection.run(
            f"SELECT {columns} FROM {table} WHERE {these} ORDER BY {table}.message_id, {table}.sent_at FOR UPDATE",
            **ids,
        )
    except DatabaseError as error:
        if sqlstate.of(error) != sqlstate.NOT_SUPPORTED:
            raise
        connection.run("ROLLBACK TO SAVEPOINT lock")
        found = connection.run(f"UPDATE {table} SET {changed} = {changed} WHERE {these} RETURNING {columns}", **ids)
    connection.run("RELEASE SAVEPOINT lock")
    return found


def change(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Give rows new values in these columns, quoted names; each row has its id beside them."""
    connection.run(
        f"UPDATE {table} t SET {', '.join(f'{name} = r.{name}' for name in columns)}"
        f" FROM json_populate_recordset(NULL::{table}, CAST(:rows AS json)) r"
        " WHERE t.message_id = r.message_id AND t.sent_at = r.sent_at"
        f" AND t.sent_at {_between([str(row['sent_at']) for row in rows])}",
        rows=str(json_cell(rows)),
    )


def _between(times: Sequence[str]) -> str:
    """Return the condition that says within which times rows are, so that PostgreSQL plans for their partitions alone.

    The times are texts of PostgreSQL, all in UTC: they sort as the times do.
    """
    first, last = (literal(end(times, default="infinity")) for end in (min, max))
    return f"BETWEEN {first} AND {last}"
