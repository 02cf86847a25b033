"""Masked rows and rejections in, one transaction in PostgreSQL out: each message once, a refused row alone."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import batched
from typing import NamedTuple

import msgspec
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection, identifier

from sluice.cells import Cell, json_member
from sluice.database import Database, copy_in, sqlstate
from sluice.deadline import Deadline
from sluice.failures import Outage, Rejected
from sluice.rows import MaskedRow, Rejection
from sluice.stream import OWN_COLUMNS, Stream
from sluice.tokens import Keyset

CHUNK_ROWS = 200  # of 100 to 250 none was faster, all at once took a fifth longer


class Written(NamedTuple):
    """What became of the rows of a batch: together they are all of them."""

    written: int
    duplicates: int
    refused: list[tuple[MaskedRow, Rejected]]
    milliseconds: float


class Store:
    """The tables of one stream, as the ingest role may use them."""

    def __init__(self, database: Database, stream: type[Stream]) -> None:
        self._database = database
        self._verified: Keyset | None = None
        columns = [*OWN_COLUMNS, *(column for column, _ in stream.columns())]
        table, names = identifier(stream.table), ", ".join(map(identifier, columns))
        self._table = stream.table
        self._columns = columns
        self._pointers = dict(stream.columns())
        self._place_pattern = rf"^COPY {re.escape(stream.table)}, line (?P<line>\d+)(?:, column (?P<column>\w+))?"
        self._copy_sql = f"COPY {table} ({names}) FROM STDIN"
        self._merge_sql = (
            f"INSERT INTO {table} ({names})"
            f" SELECT {names} FROM json_populate_recordset(NULL::{table}, CAST(:rows AS json))"
            " ON CONFLICT (message_id) DO NOTHING"
        )

    def verify(self, keyset: Keyset, deadline: Deadline) -> None:
        """Compare every key with what the database remembers of it.

        Raises Outage when one is not the same, or not known: tokens under another key would silently break every join.
        """
        if keyset is self._verified:
            return
        remembered = dict(self._database.transact(_read_check_values, deadline))
        for number, check_value in keyset.check_values.items():
            if remembered.get(number) != check_value:
                known = (
                    "is not the key that this database knows"
                    if number in remembered
                    else "is not known to this database"
                )
                raise Outage(f"keyset: key {number} {known}")
        self._verified = keyset

    def write(
        self,
        rows: Sequence[MaskedRow],
        rejections: Sequence[Rejection],
        reject: Callable[[MaskedRow, Rejected], Rejection],
        deadline: Deadline,
    ) -> Written:
        """Write a batch in one transaction; `reject` says what to record of a row that PostgreSQL refuses.

        A message that is a row already, from this batch or an earlier one, is a duplicate. Raises Outage when nothing
        could be written.
        """
        if not rows and not rejections:
            return Written(0, 0, [], 0.0)
        started = time.perf_counter()
        unique = {row.message_id: row for row in reversed(rows)}  # of two with one id, the first
        ordered = [unique[message_id] for message_id in sorted(unique)]  # opposite orders in two environments deadlock

        def work(connection: Connection) -> Written:
            written, refused = self._insert(connection, ordered, deadline)
            _insert_rejections(connection, [*rejections, *(reject(row, rejected) for row, rejected in refused)])
            milliseconds = (time.perf_counter() - started) * 1000
            refused_ids = {row.message_id for row, _ in refused}
            duplicates = sum(row.message_id not in refused_ids for row in rows) - written
            return Written(written, duplicates, refused, milliseconds)

        try:
            return self._database.transact(work, deadline)
        except Outage:
            raise
        except Exception as error:  # noqa: BLE001 (a fault of this program, whose text may quote a row)
            raise Outage(f"store: {type(error).__name__}") from None

    def _insert(
        self, connection: Connection, rows: Sequence[MaskedRow], deadline: Deadline
    ) -> tuple[int, list[tuple[MaskedRow, Rejected]]]:
        """Copy the rows; on a duplicate merge them instead; on a refused row go on before and after it."""
        written = 0
        refused: list[tuple[MaskedRow, Rejected]] = []
        longest = len(rows)
        pending = [(self._copy, rows)] if rows else []
        savepoint = "SAVEPOINT chunk"
        while pending:
            if refused:
                deadline.seconds_left()  # many refused rows take long: better all again than to be cut off
            insert, chunk = pending.pop()
            if len(chunk) > longest:
                pending.append((insert, chunk[longest:]))
                chunk = chunk[:longest]
            try:
                written += insert(connection, savepoint, chunk)
                continue
            except DatabaseError as error:
                duplicate = sqlstate(error) == "23505" and insert == self._copy
                rejected = None if duplicate else self._refusal(error)
                if not duplicate and rejected is None:
                    raise  # `transact` decides what it means
                line, _ = self._place(error)
            finally:
                savepoint = "RELEASE SAVEPOINT chunk; SAVEPOINT chunk"  # they do not nest, and cost no round trip
            connection.run("ROLLBACK TO SAVEPOINT chunk")
            if rejected is None:
                pending.append((self._merge, chunk))
            elif line or len(chunk) == 1:
                bad = (line or 1) - 1
                refused.append((chunk[bad], rejected))
                longest = max(1, 4 * len(rows) // len(refused))  # what follows is sent again: let it not be all
                pending += [(insert, part) for part in (chunk[bad + 1 :], chunk[:bad]) if part]
            else:  # PostgreSQL names no line: find the row by halving
                middle = len(chunk) // 2
                pending += [(insert, chunk[middle:]), (insert, chunk[:middle])]
        return written, refused

    def _copy(self, connection: Connection, savepoint: str, rows: Sequence[MaskedRow]) -> int:
        chunks = map(copy_text, batched(rows, CHUNK_ROWS))  # PostgreSQL takes one in while the next is made
        return copy_in(connection, f"{savepoint}; {self._copy_sql}", chunks)

    def _merge(self, connection: Connection, savepoint: str, rows: Sequence[MaskedRow]) -> int:
        # Over TCP, after the COPY that failed, µs a row of 1,000 with 1 % duplicates and of 10,000 with 50 %: this 32
        # and 56; a temporary table 44 and 54, and it pins a session of RDS Proxy; to look for the known ids and COPY
        # the rest 47 and 33, which another writer can make wrong; arrays for unnest over 90.
        connection.run(savepoint)
        records = [
            dict(zip(self._columns, (row.message_id, row.sent_at, *map(json_member, row.cells)), strict=True))
            for row in rows
        ]
        connection.run(self._merge_sql, rows=msgspec.json.encode(records).decode())
        return connection.row_count or 0

    def _refusal(self, error: DatabaseError) -> Rejected | None:
        """Return why PostgreSQL refused a row, where the row is to blame: its value or a constraint of its own table.

        An error of another table (a trigger's) is not the row's fault, nor is a missing partition, which PostgreSQL
        reports as a check without a name. A partition has another name, but the error's context begins with the COPY;
        a trigger's begins with the trigger.
        """
        code, fields = sqlstate(error), error.args[0]
        context = fields.get("W", "")
        is_ours = fields.get("t", self._table) == self._table or not context or re.match(self._place_pattern, context)
        if not is_ours or (code == "23514" and "n" not in fields):
            return None
        if code[:2] not in ("22", "23", "54"):  # data exception, integrity constraint violation, program limit exceeded
            return None
        _, column = self._place(error)
        return Rejected(f"sqlstate_{code}", self._pointers.get(fields.get("c") or column or "", ""))

    def _place(self, error: DatabaseError) -> tuple[int | None, str | None]:
        """Return line (from 1) and column that the context of a COPY's error names. The rest of it holds the row."""
        place = re.search(self._place_pattern, error.args[0].get("W", ""), re.MULTILINE)
        return (int(place["line"]), place["column"]) if place else (None, None)


def copy_text(rows: Sequence[MaskedRow]) -> str:
    """Return rows in COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html, File Formats)."""
    lines = [
        "\t".join([row.message_id, row.sent_at, *["\\N" if cell is None else str(cell) for cell in row.cells]])
        for row in rows
    ]
    text = "\n".join(lines) + "\n"
    nulls = sum(row.cells.count(None) for row in rows)
    tabs = sum(len(row.cells) + 1 for row in rows)
    if (text.count("\\"), text.count("\t"), text.count("\n")) == (nulls, tabs, len(rows)) and "\r" not in text:
        return text  # nothing in it needs an escape, as nearly always: 1.2 µs a row less than to look at every cell
    return "".join("\t".join([row.message_id, row.sent_at, *map(_copy_cell, row.cells)]) + "\n" for row in rows)


def _copy_cell(cell: Cell) -> str:
    if cell is None:
        return "\\N"
    return str(cell).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _insert_rejections(connection: Connection, rejections: Iterable[Rejection]) -> None:
    """Record why messages were refused; the first reason stays when one comes again."""
    ordered = sorted(rejections, key=lambda rejection: rejection.message_id)
    if ordered:
        connection.run(
            "INSERT INTO rejection (message_id, stream, reason, pointer, shape)"
            " SELECT message_id, stream, reason, pointer, shape"
            " FROM json_populate_recordset(NULL::rejection, CAST(:rows AS json)) ON CONFLICT DO NOTHING",
            rows=msgspec.json.encode(ordered).decode(),
        )


def _read_check_values(connection: Connection) -> list[tuple[int, bytes]]:
    return [
        (number, check_value)
        for number, check_value in connection.run("SELECT number, check_value FROM token_key") or []
    ]
