"""The insertion of a batch's rows: duplicates and the rows that PostgreSQL refuses are found, all others are written.

All rows are copied at once, and nearly always that is all. Otherwise the attempt is undone, and others take its place:

- A duplicate among the rows: the same rows are merged.
- A row is refused, and PostgreSQL names its line: the rows before it, and those after it.
- A row is refused, and PostgreSQL names no line: the first half of the rows, and the second, until the row is alone.
"""

from collections.abc import Sequence
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


def insert(connection: Connection, table: StreamTable, rows: Sequence[MaskedRow], deadline: Deadline) -> Inserted:
    """Insert rows within a transaction.

    Raises DatabaseError when no row is at fault, Outage when so many are that the time is over.
    """
    insertion = _Insertion(connection, table, rows)
    while insertion.attempts:
        if insertion.inserted.refused:
            deadline.seconds_left()  # Many refused rows take long: better to repeat the batch than to be cut off.
        insertion.advance()
    return insertion.inserted


class _Attempt(NamedTuple):
    """Rows to write with one statement."""

    rows: Sequence[MaskedRow]
    is_merge: bool = False  # else a COPY


class _Insertion:
    """The attempts that are still to be made, and what became of the rows of the others."""

    def __init__(self, connection: Connection, table: StreamTable, rows: Sequence[MaskedRow]) -> None:
        self.inserted = Inserted([], [])
        self.attempts = [_Attempt(rows)] if rows else []  # the last is the next
        self._connection = connection
        self._table = table
        self._rows = len(rows)
        self._most_rows = len(rows)  # of an attempt
        self._savepoint = "SAVEPOINT attempt"  # the SQL that sets it: sent with a COPY, it takes no round trip

    def advance(self) -> None:
        """Make the next attempt."""
        attempt = self._next()
        fault = self._make(attempt)
        if fault is None:
            return
        if fault.is_duplicate and not attempt.is_merge:
            self._add(attempt.rows, is_merge=True)
        elif fault.line or len(attempt.rows) == 1:
            self._refuse((fault.line or 1) - 1, attempt, fault.rejected)
        else:
            self._halve(attempt)

    def _next(self) -> _Attempt:
        attempt = self.attempts.pop()
        rows, is_merge = attempt
        if len(rows) <= self._most_rows:
            return attempt
        self._add(rows[self._most_rows :], is_merge)
        return _Attempt(rows[: self._most_rows], is_merge)

    def _make(self, attempt: _Attempt) -> Fault | None:
        """Write the rows, or return the fault of one of them, and then none is written."""
        write = self._table.merge if attempt.is_merge else self._table.copy
        savepoint, self._savepoint = self._savepoint, "RELEASE SAVEPOINT attempt; SAVEPOINT attempt"  # none is nested
        try:
            self.inserted.written.extend(write(self._connection, savepoint, attempt.rows))
            return None
        except DatabaseError as error:
            fault = self._table.fault(error)
            if fault is None:
                raise  # the database says what this outage means
        self._connection.run("ROLLBACK TO SAVEPOINT attempt")
        return fault

    def _refuse(self, place: int, attempt: _Attempt, rejected: Rejected) -> None:
        """Note the refused row; the rows before it are next, then those after it."""
        self.inserted.refused.append((attempt.rows[place], rejected))
        # The rows after a refused one are sent again, so an attempt has fewer rows the more were refused.
        self._most_rows = max(1, 4 * self._rows // len(self.inserted.refused))
        self._add(attempt.rows[place + 1 :], attempt.is_merge)
        self._add(attempt.rows[:place], attempt.is_merge)

    def _halve(self, attempt: _Attempt) -> None:
        middle = len(attempt.rows) // 2
        self._add(attempt.rows[middle:], attempt.is_merge)
        self._add(attempt.rows[:middle], attempt.is_merge)

    def _add(self, rows: Sequence[MaskedRow], is_merge: bool) -> None:
        if rows:
            self.attempts.append(_Attempt(rows, is_merge))
