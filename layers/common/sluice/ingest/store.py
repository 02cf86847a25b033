"""Masked rows and rejections in, one transaction in PostgreSQL out: each message once, a refused row alone."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import batched, chain
from typing import NamedTuple

import msgspec

from sluice.deadline import Deadline
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.stream import Stream
from sluice.failures import Outage, Rejected
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.postgres import sqlstate
from sluice.postgres.cells import Cell, array_cell, json_member
from sluice.postgres.copy import copy_in
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection, DatabaseError, identifier
from sluice.postgres.sqlstate import Meaning
from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset import Keyset
from sluice.vault import erasures
from sluice.vault.sealing import Sealed, Vault, WrappedKey

CHUNK_ROWS = 200  # of 100 to 250 none was faster, all at once took a fifth longer


class Written(NamedTuple):
    """What became of the rows of a batch: together they are all of them."""

    written: int
    duplicates: int
    refused: list[tuple[MaskedRow, Rejected]]
    milliseconds: float
    erased: int = 0  # sent before the person was erased: not stored
    sealed: int = 0  # values that are new in the vault, as far as this environment knows


class Store:
    """The tables of one stream, as the ingest role may use them."""

    def __init__(self, database: Database, stream: type[Stream], vault: Vault) -> None:
        self._database = database
        self._vault = vault
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
            " ON CONFLICT (message_id) DO NOTHING RETURNING message_id"
        )

    def verify(self, keyset: Keyset, deadline: Deadline) -> None:
        """Compare every key with what the database remembers of it.

        Raises Outage when one is not the same, or not known: tokens under another key would silently break every join.
        """
        if keyset is self._verified:
            return
        self._database.transact(lambda connection: check_values.check(connection, keyset), deadline)
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
        written, sealed = self._transact(rows, self._work(rows, rejections, reject, deadline), deadline)
        self._vault.committed(sealed)
        return written

    def probe(self, row: MaskedRow, rejection: Rejection, deadline: Deadline) -> None:
        """Write a row and a rejection as `write` does, seal the row's originals, and roll it all back.

        A row that PostgreSQL refuses is no outage. Raises Outage where `write` would.
        """
        work = self._work([row], [rejection], lambda row, rejected: rejection, deadline)

        def work_and_seal(connection: Connection) -> None:
            _, sealed = work(connection)
            if not sealed:  # the row was refused, so its values were not wanted
                sealed = self._vault.seal(row.originals.values)
                if sealed:
                    _insert_sealed(connection, self._vault.wrapped_key, self._vault.is_key_committed, sealed)

        self._transact([row], work_and_seal, deadline, undo=True)

    def _work(
        self,
        rows: Sequence[MaskedRow],
        rejections: Sequence[Rejection],
        reject: Callable[[MaskedRow, Rejected], Rejection],
        deadline: Deadline,
    ) -> Callable[[Connection], tuple[Written, list[Sealed]]]:
        """Return what is to be done in the transaction. It may be done again, when the transaction is tried again."""
        started = time.perf_counter()
        unique = {row.message_id: row for row in reversed(rows)}  # of two with one id, the first
        ordered = [unique[message_id] for message_id in sorted(unique)]  # opposite orders in two environments deadlock

        def work(connection: Connection) -> tuple[Written, list[Sealed]]:
            state = erasures.share(connection)
            self._vault.observe(state.removals)
            erased_ids = self._erased(connection, ordered, state.newest)
            kept = [row for row in ordered if row.message_id not in erased_ids] if erased_ids else ordered
            written, refused = self._insert(connection, kept, deadline)
            sealed = self._vault.seal(chain.from_iterable([row.originals.values for row in written]))
            if sealed:
                _insert_sealed(connection, self._vault.wrapped_key, self._vault.is_key_committed, sealed)
            _insert_rejections(connection, [*rejections, *(reject(row, rejected) for row, rejected in refused)])
            milliseconds = (time.perf_counter() - started) * 1000
            refused_ids = {row.message_id for row, _ in refused}
            erased = sum(row.message_id in erased_ids for row in rows) if erased_ids else 0
            duplicates = sum(row.message_id not in refused_ids for row in rows) - erased - len(written)
            return Written(len(written), duplicates, refused, milliseconds, erased, len(sealed)), sealed

        return work

    def _transact[T](
        self, rows: Iterable[MaskedRow], work: Callable[[Connection], T], deadline: Deadline, undo: bool = False
    ) -> T:
        try:
            if any(row.originals.values for row in rows):
                self._vault.prepare()
            return self._database.transact(work, deadline, undo)
        except Outage:
            raise
        except Exception as error:  # noqa: BLE001 (a fault of this program, whose text may quote a row)
            raise Outage(f"store: {type(error).__name__}") from None

    def _erased(self, connection: Connection, rows: Sequence[MaskedRow], newest: datetime | None) -> set[str]:
        """Return the ids of the messages that were sent before the person they are about was erased."""
        if newest is None:
            return set()
        subjects = {
            row.message_id: (row.originals.subject, sent_at)
            for row in rows
            if row.originals.subject is not None and (sent_at := datetime.fromisoformat(row.sent_at)) < newest
        }
        if not subjects:
            return set()
        if self._verified is None:
            raise Outage("keyset: not verified")
        return erasures.sent_before(connection, self._verified, subjects)

    def _insert(
        self, connection: Connection, rows: Sequence[MaskedRow], deadline: Deadline
    ) -> tuple[list[MaskedRow], list[tuple[MaskedRow, Rejected]]]:
        """Copy the rows; on a duplicate merge them instead; on a refused row go on before and after it.

        Return the rows that were written, which those that were there already are not, and those that were refused.
        """
        written: list[MaskedRow] = []
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
                meaning = sqlstate.meaning(error, self._is_of_the_row(error))
                if meaning not in sqlstate.OF_A_ROW:
                    raise  # `transact` decides what it means
                line, column = self._place(error)
                code = sqlstate.of(error)
            finally:
                savepoint = "RELEASE SAVEPOINT chunk; SAVEPOINT chunk"  # they do not nest, and cost no round trip
            connection.run("ROLLBACK TO SAVEPOINT chunk")
            if meaning is Meaning.DUPLICATE and insert == self._copy:
                pending.append((self._merge, chunk))
            elif line or len(chunk) == 1:
                bad = (line or 1) - 1
                refused.append((chunk[bad], Rejected(f"sqlstate_{code}", self._pointers.get(column, ""))))
                longest = max(1, 4 * len(rows) // len(refused))  # what follows is sent again: let it not be all
                pending += [(insert, part) for part in (chunk[bad + 1 :], chunk[:bad]) if part]
            else:  # PostgreSQL names no line: find the row by halving
                middle = len(chunk) // 2
                pending += [(insert, chunk[middle:]), (insert, chunk[:middle])]
        return written, refused

    def _copy(self, connection: Connection, savepoint: str, rows: Sequence[MaskedRow]) -> Sequence[MaskedRow]:
        chunks = map(copy_text, batched(rows, CHUNK_ROWS))  # PostgreSQL takes one in while the next is made
        copy_in(connection, f"{savepoint}; {self._copy_sql}", chunks)
        return rows

    def _merge(self, connection: Connection, savepoint: str, rows: Sequence[MaskedRow]) -> Sequence[MaskedRow]:
        # Over TCP, after the COPY that failed, µs a row of 1,000 with 1 % duplicates and of 10,000 with 50 %: this 32
        # and 56; a temporary table 44 and 54, and it pins a session of RDS Proxy; to look for the known ids and COPY
        # the rest 47 and 33, which another writer can make wrong; arrays for unnest over 90.
        connection.run(savepoint)
        records = [
            dict(zip(self._columns, (row.message_id, row.sent_at, *map(json_member, row.cells)), strict=True))
            for row in rows
        ]
        inserted = connection.run(self._merge_sql, rows=msgspec.json.encode(records).decode())
        new = {str(message_id) for (message_id,) in inserted or []}
        return [row for row in rows if row.message_id in new]

    def _is_of_the_row(self, error: DatabaseError) -> bool:
        """Tell whether an error is of the stream's own table: one of another table, a trigger's, is not the row's.

        A partition has another name, but the error's context begins with the COPY; a trigger's begins with the trigger.
        """
        found = sqlstate.fields(error)
        table, context = found.get("t", self._table), found.get("W", "")
        return table == self._table or not context or bool(re.match(self._place_pattern, context))

    def _place(self, error: DatabaseError) -> tuple[int | None, str]:
        """Return line (from 1) and column that an error names, where it does. The rest of it holds the row."""
        fields = sqlstate.fields(error)
        place = re.search(self._place_pattern, fields.get("W", ""), re.MULTILINE)
        line, column = (int(place["line"]), place["column"]) if place else (None, None)
        return line, fields.get("c") or column or ""


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


def _insert_sealed(connection: Connection, key: WrappedKey, is_key_committed: bool, sealed: Sequence[Sealed]) -> None:
    """Put values into the vault, and the data key that opens them. What another environment has sealed stays."""
    if not is_key_committed:
        connection.run(
            "INSERT INTO pii_vault_key (id, wrapped, kms_key_arn) VALUES (:id, :wrapped, :kms_key_arn)"
            " ON CONFLICT DO NOTHING",
            **key._asdict(),
        )
    quoted = {domain: array_cell([domain])[1:-1] for domain in {entry.domain for entry in sealed}}
    connection.run(
        "INSERT INTO pii_vault (token, domain, key_id, sealed)"
        " SELECT token, domain, CAST(:key_id AS uuid), sealed FROM unnest("
        "CAST(:tokens AS varchar[]), CAST(:domains AS varchar[]), CAST(:sealed AS bytea[])"
        ") AS entry(token, domain, sealed) ON CONFLICT DO NOTHING",
        key_id=key.id,
        tokens="{" + ",".join([entry.token for entry in sealed]) + "}",
        domains="{" + ",".join([quoted[entry.domain] for entry in sealed]) + "}",
        sealed="{" + ",".join([f'"\\\\x{entry.sealed.hex()}"' for entry in sealed]) + "}",
    )


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
