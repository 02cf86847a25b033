"""Rows of a stream by their ids: read one batch after the other, locked, and changed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sluice.postgres import sqlstate
from sluice.postgres.cells import array_cell, json_cell
from sluice.postgres.driver import Connection, DatabaseError, literal

type RowId = tuple[str, str]  # of a row: its message id and its time, as texts

BEFORE_ALL: RowId = ("00000000-0000-0000-0000-000000000000", "-infinity")
# A time of four digits' years, as PostgreSQL writes it in UTC: such texts sort as the times do.
ORDINARY_TIME = re.compile(r"\d{4}-\d\d-\d\d [\d:.]+\+00")


def following(
    connection: Connection,
    table: str,
    columns: str,
    after: RowId,
    most: int,
    condition: str = "true",
    **parameters: Any,
) -> Any:
    """Return the columns, an SQL list, of the next rows after one in the order of their ids, at most so many."""
    return connection.run(
        f"SELECT {columns} FROM {table} WHERE ({condition})"
        " AND (message_id, sent_at) > (CAST(:message_id AS uuid), CAST(:sent_at AS timestamptz))"
        f" ORDER BY {table}.message_id, {table}.sent_at LIMIT {most}",
        message_id=after[0],
        sent_at=after[1],
        **parameters,
    )


def lock(connection: Connection, table: str, rows: Sequence[RowId], columns: str, changed: str) -> Any:
    """Lock these rows in the order of their ids, and return their columns, an SQL list.

    On a table that Citus has distributed, SELECT … FOR UPDATE fails (0A000). There an UPDATE locks the rows: it sets
    the column `changed` to itself. An UPDATE keeps no order, so it may end in a deadlock. Then the transaction is tried
    again.
    """
    these = (
        "(message_id, sent_at) IN (SELECT * FROM unnest(CAST(:message_ids AS uuid[]), CAST(:times AS timestamptz[])))"
        f" AND {_within('sent_at', [time for _, time in rows])}"
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
        f" AND {_within('t.sent_at', [str(row['sent_at']) for row in rows])}",
        rows=str(json_cell(rows)),
    )


def _within(column: str, times: Sequence[str]) -> str:
    """Return the condition that says within which times rows are, so that PostgreSQL plans for their partitions alone.

    The owner of a table may have given a row any time, such as one before Christ. Then the condition says nothing.
    """
    if not times or not all(map(ORDINARY_TIME.fullmatch, times)):
        return "true"
    return f"{column} BETWEEN {literal(min(times))} AND {literal(max(times))}"
