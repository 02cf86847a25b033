"""COPY by the driver's lower calls: what is sent, which answers are read, and what becomes of an error."""

from collections.abc import Iterable
from typing import Any, cast

import pytest
from pg8000.core import Context

from sluice.postgres.copy import Copied, copy_in
from sluice.postgres.driver import Connection, DatabaseError

SQL = "SELECT 1; COPY user_logins FROM STDIN"


class FakeConnection:
    """A server that answers a COPY: with what a SELECT found, a count, or an error before or after the first row."""

    def __init__(
        self, rows: list[list[Any]] | None = None, count: int = 0, error: str = "", early: bool = False
    ) -> None:
        self._rows, self._count, self._error, self._early = rows, count, error, early
        self._sock = self
        self.did: list[str] = []

    def send_QUERY(self, sql: str) -> None:
        self.did.append(f"sent {sql}")

    def flush(self) -> None:
        self.did.append("flushed")

    def handle_messages(self, context: Context) -> None:
        assert context.statement == SQL
        if self.did[-1] != "flushed":
            self.did.append("read the answer to the Sync")
            return
        if self._early:
            self.did.append("refused")
            raise DatabaseError({"V": self._error})
        self.did.append("took " + "".join(cast("Iterable[str]", context.stream)))
        if self._error:
            raise DatabaseError({"V": self._error})
        context.rows, context.row_count = self._rows, self._count


def copied(connection: FakeConnection) -> Copied:
    return copy_in(cast("Connection", connection), SQL, ["a\n", "b\n"])


def test_the_rows_of_a_copy_are_counted_without_those_that_a_select_found() -> None:
    connection = FakeConnection(rows=[["seen"]], count=3)
    assert copied(connection) == Copied(2, [["seen"]])
    assert connection.did == [f"sent {SQL}", "flushed", "took a\nb\n", "read the answer to the Sync"]


def test_a_copy_of_which_nothing_is_told_took_no_row() -> None:
    assert copied(FakeConnection(rows=None, count=-1)) == Copied(0, [])


def test_an_error_after_the_first_row_leaves_a_connection_that_can_be_used() -> None:
    connection = FakeConnection(error="ERROR")
    with pytest.raises(DatabaseError):
        copied(connection)
    assert connection.did[-1] == "read the answer to the Sync"


@pytest.mark.parametrize(("error", "early"), [("FATAL", False), ("ERROR", True)])
def test_no_answer_is_awaited_that_does_not_come(error: str, early: bool) -> None:
    connection = FakeConnection(error=error, early=early)
    with pytest.raises(DatabaseError):
        copied(connection)
    assert "read the answer to the Sync" not in connection.did
