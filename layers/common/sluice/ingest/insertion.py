"""The insertion of a batch's rows: duplicates and the rows that PostgreSQL refuses are found, all others are written.

All rows are copied at once, and nearly always that is all. Otherwise the attempt is undone, and others take its place:

- A duplicate among the rows, fewer rows copied than sent, or an internal error: the same rows are merged.
- Rows are refused, and it is known which: the rows before the first of them, and those after it.
- A row is refused, and PostgreSQL names no line: the first half of the rows, and the second, until the row is alone.

A message that is a row already is a duplicate, even if its row would be refused today.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import NamedTuple

from sluice.deadline import Deadline
from sluice.failures import Rejected
from sluice.ingest.rows import MaskedRow
from sluice.ingest.table import Fault, StreamTable
from sluice.postgres.driver import Connection, DatabaseError


class Inserted(NamedTuple):
    """What became of the rows. Those in neither list were there already."""

    written: list[MaskedRow]
    refused: list[tuple[MaskedRow, Rejected]]


def insert(
    connection: Connection,
    rows_by_table: Mapping[StreamTable, Sequence[MaskedRow]],
    batch_id: int,
    deadline: Deadline,
) -> Inserted:
    """Insert the rows of a batch within a transaction, table by table.

    Raises DatabaseError when no row is at fault, Outage when so many are that the time is over.
    """
    inserted = Inserted([], [])
    # No constraint stays deferred: at COMMIT PostgreSQL could no longer tell which row breaks it. No savepoint is
    # nested, and each is set together with the statement behind it: it takes no round trip.
    savepoints = chain(
        ["SET CONSTRAINTS ALL IMMEDIATE; SAVEPOINT attempt"], repeat("RELEASE SAVEPOINT attempt; SAVEPOINT attempt")
    )
    for table, rows in rows_by_table.items():
        written, refused = _Insertion(connection, table, rows, batch_id, savepoints).run(deadline)
        inserted.written.extend(written)
        known = {row.key for row in table.known(connection, [row for row, _ in refused])} if refused else set()
        inserted.refused.extend([(row, rejected) for row, rejected in refused if row.key not in known])
    return inserted


class _Attempt(NamedTuple):
    """Rows to write with one statement."""

    rows: Sequence[MaskedRow]
    is_merge: bool = False  # else a COPY


class _Insertion:
    """The attempts on one table that are still to be made, and what became of the rows of the others."""

    def __init__(
        self,
        connection: Connection,
        table: StreamTable,
        rows: Sequence[MaskedRow],
        batch_id: int,
        savepoints: Iterator[str],
    ) -> None:
        self._inserted = Inserted([], [])
        self._attempts = [_Attempt(rows)] if rows else []  # the last is the next
        self._connection = connection
        self._table = table
        self._batch_id = batch_id
        self._rows = len(rows)
        self._most_rows = len(rows)  # of an attempt
        self._refusals = 0  # attempts that refused rows
        self._savepoints = savepoints  # the SQL that sets the next one

    def run(self, deadline: Deadline) -> Inserted:
        """Make all attempts, and return what became of the rows. Raises Outage when the time is over."""
        while self._attempts:
            if self._inserted.refused:
                deadline.seconds_left()  # Many refused rows take long: better to repeat the batch than to be cut off.
            self._advance()
        return self._inserted

    def _advance(self) -> None:
        """Make the next attempt."""
        attempt = self._next()
        fault = self._make(attempt)
        if fault is None:
            return
        if fault.is_duplicate and not attempt.is_merge:
            self._add(attempt.rows, is_merge=True)
        elif fault.places:
            self._refuse(fault, attempt)
        else:
            self._halve(attempt)

    def _next(self) -> _Attempt:
        attempt = self._attempts.pop()
        rows, is_merge = attempt
        if len(rows) <= self._most_rows:
            return attempt
        self._add(rows[self._most_rows :], is_merge)
        return _Attempt(rows[: self._most_rows], is_merge)

    def _make(self, attempt: _Attempt) -> Fault | None:
        """Write the rows. If some are at fault, write none, and return what is wrong."""
        write = self._table.merge if attempt.is_merge else self._table.copy
        try:
            outcome = write(self._connection, next(self._savepoints), attempt.rows, self._batch_id)
        except DatabaseError as error:
            fault = self._table.fault(error, len(attempt.rows), attempt.is_merge)
            if fault is None:
                raise  # `Database.transact` decides what this error means
            outcome = fault
        if isinstance(outcome, Fault):
            self._connection.run("ROLLBACK TO SAVEPOINT attempt")
            return outcome
        self._inserted.written.extend(outcome)
        return None

    def _refuse(self, fault: Fault, attempt: _Attempt) -> None:
        """Note the rows at fault; the rows before the first of them are next, then those after it."""
        rows, at_fault = attempt.rows, set(fault.places)
        self._inserted.refused.extend([(rows[place], fault.rejected) for place in fault.places])
        # The rows after a refused one are sent again, so an attempt has fewer rows the more attempts refused some.
        self._refusals += 1
        self._most_rows = max(1, 4 * self._rows // self._refusals)
        first = fault.places[0]
        self._add([row for place, row in enumerate(rows) if place > first and place not in at_fault], attempt.is_merge)
        self._add(rows[:first], attempt.is_merge)

    def _halve(self, attempt: _Attempt) -> None:
        middle = len(attempt.rows) // 2
        self._add(attempt.rows[middle:], attempt.is_merge)
        self._add(attempt.rows[:middle], attempt.is_merge)

    def _add(self, rows: Sequence[MaskedRow], is_merge: bool) -> None:
        if rows:
            self._attempts.append(_Attempt(rows, is_merge))
