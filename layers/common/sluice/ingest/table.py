"""A stream's table, as ingest writes it: rows are copied or merged, and what goes wrong is traced to the row at fault.

The table may have triggers of its owner's own. An error that they raise is the row's fault. A row that they drop,
delete or give another key without an error is found by a look at the rows that are there.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.ingest.copy_text import copy_chunks
from sluice.ingest.rows import Key, MaskedRow
from sluice.postgres import sqlstate
from sluice.postgres.cells import array_cell, json_member
from sluice.postgres.copy import copy_in
from sluice.postgres.driver import Connection, DatabaseError, identifier, literal, quoted_table
from sluice.postgres.sqlstate import Meaning

NOT_STORED = "not_stored"  # the reason: a trigger kept the row out

KEY_BY_TIME = ", ".join(OWN_COLUMNS)  # the primary key of a table with partitions by time

# The triggers that an INSERT can fire, except those that PostgreSQL makes for constraints. A partition may have one of
# its own. To go from the triggers up to their roots costs nothing if there are few; to go down the partitions, 70 µs.
TRIGGERS = (
    "SELECT 1 FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 4 > 0"
    " AND coalesce(pg_partition_root(tgrelid), tgrelid) = coalesce(pg_partition_root({oid}), {oid})"
)


class Fault(NamedTuple):
    """Why rows could not be written as they are."""

    rejected: Rejected
    places: Sequence[int] = ()  # of the rows at fault, among those that were given; empty: it is not known which
    is_duplicate: bool = False  # the messages may be rows already: a merge tells


class StreamTable:
    """The table of a stream."""

    def __init__(self, stream: type[Stream]) -> None:
        self.partitioning = stream.partitioning
        self._name = stream.table.rpartition(".")[2]  # as errors have it
        self._batch_column = [stream.column_of_batch] if stream.column_of_batch else []
        self._columns = [*OWN_COLUMNS, *(column for column, _ in stream.columns()), *self._batch_column]
        self._pointers = dict(stream.columns())  # by column
        self._key = ""  # the primary key's columns, for SQL; empty: not looked up yet
        entry = rf"^COPY {re.escape(self._name)}, line (?P<line>\d+)"
        self._entry = re.compile(entry, re.MULTILINE)
        self._last_entry = re.compile(
            entry + r'(?:, column (?P<column>[^\n]+?))?(?:: (?:null input|".*"))?\Z', re.MULTILINE | re.DOTALL
        )
        self._table, self._cells = quoted_table(stream.table), ", ".join(map(str, map(identifier, self._columns)))
        oid = f"{literal(self._table)}::regclass"
        triggers = TRIGGERS.format(oid=oid)
        self._copy_sql = f"{triggers} LIMIT 1; COPY {self._table} ({self._cells}) FROM STDIN"
        self._look_sql = (
            "SELECT (SELECT array_agg(attname::text ORDER BY attname) FROM pg_index JOIN pg_attribute"
            f" ON attrelid = indrelid AND attnum = ANY (indkey) WHERE indrelid = {oid} AND indisprimary),"
            f" EXISTS ({triggers})"
        )

    def in_order(self, rows: Sequence[MaskedRow]) -> list[MaskedRow]:
        """Return the rows sorted by their key, and only the first of those with one key.

        Two environments that wrote the same rows in opposite orders would wait for each other: a deadlock. Rows of
        partitions are sorted by time first, because COPY fills one partition after the other.
        """
        if self.partitioning is None:
            one_by_id = {row.message_id: row for row in reversed(rows)}
            return [one_by_id[key] for key in sorted(one_by_id)]
        one_by_time = {(row.sent_at, row.message_id): row for row in reversed(rows)}
        return [one_by_time[key] for key in sorted(one_by_time)]

    def expired(self, rows: Iterable[MaskedRow], moment: datetime) -> set[Key]:
        """Return the keys of the rows that are older than what is kept."""
        expiry = self.partitioning.expiry(moment) if self.partitioning else None
        if expiry is None:
            return set()
        oldest = expiry.isoformat()
        return {row.key for row in rows if row.sent_at < oldest}

    def copy(
        self, connection: Connection, savepoint: str, rows: Sequence[MaskedRow], batch_id: int
    ) -> Sequence[MaskedRow] | Fault:
        """Set the savepoint and write the rows, in one round trip; return them. No row may be there already.

        If the table has triggers, a second round trip looks whether the rows are there.
        """
        last = str(batch_id) if self._batch_column else ""
        copied, found = copy_in(connection, f"{savepoint}; {self._copy_sql}", copy_chunks(rows, last))
        if copied < len(rows):  # a trigger suppressed some, perhaps because they are there already
            return Fault(Rejected(NOT_STORED), is_duplicate=True)
        missing = self._missing(connection, rows) if found else []
        return Fault(Rejected(NOT_STORED), missing) if missing else rows

    def merge(
        self, connection: Connection, savepoint: str, rows: Sequence[MaskedRow], batch_id: int
    ) -> Sequence[MaskedRow] | Fault:
        """Set the savepoint and write the rows that are not there yet; return these.

        A merge comes after a COPY that failed. We compared four ways, over TCP, in µs a row: 1,000 rows of which 1 %
        are duplicates, and 10,000 rows of which 50 % are.

        - This one, JSON with ON CONFLICT: 32 and 56.
        - A temporary table: 44 and 54. It also pins a session of RDS Proxy.
        - To look up the known ids and COPY the other rows: 47 and 33. Another writer can make that wrong.
        - Arrays for unnest: over 90.
        """
        has_triggers = self._look(connection, savepoint)
        last = [batch_id] if self._batch_column else []
        records = [
            dict(zip(self._columns, (row.message_id, row.sent_at, *map(json_member, row.cells), *last), strict=True))
            for row in rows
        ]
        inserted = connection.run(
            f"INSERT INTO {self._table} ({self._cells})"
            f" SELECT {self._cells} FROM json_populate_recordset(NULL::{self._table}, CAST(:rows AS json))"
            f" ON CONFLICT ({self._key}) DO NOTHING RETURNING {self._key}",
            rows=msgspec.json.encode(records).decode(),
        )
        missing = self._missing(connection, rows) if has_triggers else []
        if missing:
            return Fault(Rejected(NOT_STORED), missing)
        if self._key == KEY_BY_TIME:
            keys = {(str(message_id), moment) for message_id, moment in inserted or []}
            return [row for row in rows if (row.message_id, datetime.fromisoformat(row.sent_at)) in keys]
        new = {str(message_id) for (message_id,) in inserted or []}
        return [row for row in rows if row.message_id in new]

    def known(self, connection: Connection, rows: Sequence[MaskedRow]) -> list[MaskedRow]:
        """Return those of these rows whose messages are rows already."""
        there = self._there(connection, rows, KEY_BY_TIME if self.partitioning else "message_id")
        return [row for place, row in enumerate(rows) if place in there]

    def stored(self, connection: Connection, message_ids: Sequence[str]) -> set[str]:
        """Return which of these messages are rows, whenever they were sent."""
        rows = [MaskedRow(message_id, "epoch", ()) for message_id in message_ids]
        return {message_ids[place] for place in self._there(connection, rows, "message_id")}

    def fault(self, error: DatabaseError, rows: int, is_merge: bool) -> Fault | None:
        """Return what is wrong with one of so many rows. None: it is an outage, and no row is at fault.

        Citus reports all that a worker refuses of a COPY as an internal error. The merge tells what it is.
        """
        meaning = sqlstate.meaning(error, is_of_the_row=True)
        if meaning is Meaning.OUTAGE and sqlstate.of(error) == sqlstate.INTERNAL_ERROR and not is_merge:
            return Fault(Rejected(f"sqlstate_{sqlstate.INTERNAL_ERROR}"), is_duplicate=True)
        if meaning not in sqlstate.OF_A_ROW:
            return None
        line, column = (None, "") if is_merge else self._place(error)
        places = (0,) if rows == 1 else (line - 1,) if line and line <= rows else ()
        pointer = self._pointers.get(self._column(error) or column, "")
        return Fault(Rejected(f"sqlstate_{sqlstate.of(error)}", pointer), places, meaning is Meaning.DUPLICATE)

    def _look(self, connection: Connection, savepoint: str) -> bool:
        """Set the savepoint, look up the primary key, and tell whether the table or a partition of it has triggers."""
        ((key, has_triggers),) = connection.run(f"{savepoint}; {self._look_sql}") or [([], False)]
        self._key = KEY_BY_TIME if key == [*OWN_COLUMNS] else "message_id"
        return bool(has_triggers)

    def _missing(self, connection: Connection, rows: Sequence[MaskedRow]) -> list[int]:
        """Return the places of the rows that are not there."""
        if not self._key:
            self._look(connection, "SAVEPOINT look")
        there = self._there(connection, rows, self._key)
        return [place for place in range(len(rows)) if place not in there]

    def _there(self, connection: Connection, rows: Sequence[MaskedRow], key: str) -> set[int]:
        """Return the places of the rows that are there, by a key."""
        found = connection.run(
            f"SELECT place FROM {self._table} JOIN unnest(CAST(:ids AS uuid[]), CAST(:times AS timestamptz[]))"
            f" WITH ORDINALITY AS r(message_id, sent_at, place) USING ({key})",
            ids=array_cell([row.message_id for row in rows]),
            times=array_cell([row.sent_at for row in rows]),
        )
        return {place - 1 for (place,) in found or []}

    def _place(self, error: DatabaseError) -> tuple[int | None, str]:
        """Return the line (from 1) and the column that a COPY's error names, if it does so without a doubt.

        They are in the last entry of the context. The entries before may quote what a trigger makes of a row, and the
        last one quotes the row itself. What is quoted may look like an entry, and then nothing is certain.
        """
        context = sqlstate.fields(error).get("W", "")
        entry = self._last_entry.search(context)
        if entry is None or len(self._entry.findall(context)) > 1:
            return None, ""
        return int(entry["line"]), entry["column"] or ""

    def _column(self, error: DatabaseError) -> str:
        """Return the column of this table that an error names, or an empty text.

        An error of a partition names the partition, and its context begins with the COPY. The context of an error of
        another table, which a trigger wrote to, begins with the trigger.
        """
        fields = sqlstate.fields(error)
        table, context = fields.get("t", self._name), fields.get("W", "")
        is_ours = table == self._name or not context or bool(self._entry.match(context))
        return str(fields.get("c", "")) if is_ours else ""
