"""Rows of a stream, locked: nobody else changes them before the transaction ends."""

from collections.abc import Sequence
from typing import Any

from sluice.postgres import sqlstate
from sluice.postgres.cells import array_cell
from sluice.postgres.driver import Connection, DatabaseError


def lock(connection: Connection, table: str, message_ids: Sequence[str], columns: str, changed: str) -> Any:
    """Lock the rows with these message ids in that order, and return their columns, an SQL list.

    A SELECT locks no rows of a table that Citus has distributed (0A000). There an UPDATE does, which leaves the column
    `changed` as it is. It keeps no order. So it may meet somebody in a deadlock, after which the transaction is tried
    again.
    """
    these = "message_id = ANY(CAST(:message_ids AS uuid[]))"
    ids = array_cell(message_ids)
    connection.run("SAVEPOINT lock")
    try:
        rows = connection.run(
            f"SELECT {columns} FROM {table} WHERE {these} ORDER BY {table}.message_id FOR UPDATE", message_ids=ids
        )
    except DatabaseError as error:
        if sqlstate.of(error) != sqlstate.NOT_SUPPORTED:
            raise
        connection.run("ROLLBACK TO SAVEPOINT lock")
        rows = connection.run(
            f"UPDATE {table} SET {changed} = {changed} WHERE {these} RETURNING {columns}", message_ids=ids
        )
    connection.run("RELEASE SAVEPOINT lock")
    return rows
