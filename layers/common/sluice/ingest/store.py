"""The store of a stream: the rows and rejections of a batch are written in one transaction, each message once."""

import time
from collections.abc import Callable, Iterable, Sequence, Set
from datetime import datetime
from itertools import chain
from typing import NamedTuple

import msgspec

from sluice.deadline import Deadline
from sluice.declaration.originals import Original
from sluice.declaration.stream import Stream
from sluice.failures import Outage, Rejected
from sluice.ingest.insertion import Inserted, insert
from sluice.ingest.mentions import MentionColumns
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.ingest.table import StreamTable
from sluice.postgres.cells import array_cell
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset import Keyset
from sluice.vault import erasures
from sluice.vault.sealing import Sealed, Vault, WrappedDataKey


class Written(NamedTuple):
    """What became of the rows of a batch: together they are all of them."""

    written: int
    duplicates: int
    refused: list[tuple[MaskedRow, Rejected]]
    milliseconds: float
    erased: int = 0  # sent before the person was erased: not stored
    sealed: int = 0  # values that are new in the vault, as far as this environment knows
    newly_rejected: frozenset[str] = frozenset()  # message ids: the others were rejected for the same reason before


class Store:
    """The tables of one stream, as the ingest role may use them."""

    def __init__(self, database: Database, stream: type[Stream], vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._table = StreamTable(stream)
        self._mentions = MentionColumns(stream)
        self._domains = sorted({place.domain for place in stream.token_places if place.recoverable})
        self._verified: Keyset | None = None

    def verify(self, keyset: Keyset, deadline: Deadline) -> None:
        """Compare every token key with what the database remembers of it.

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
            if not sealed:  # the row was refused, so its originals were not wanted
                self._seal(connection, [row])

        self._transact([row], work_and_seal, deadline, undo=True)

    def _work(
        self,
        rows: Sequence[MaskedRow],
        rejections: Sequence[Rejection],
        reject: Callable[[MaskedRow, Rejected], Rejection],
        deadline: Deadline,
    ) -> Callable[[Connection], tuple[Written, list[Sealed]]]:
        """Return what is to be done in the transaction. It is done again when the transaction is tried again."""
        started = time.perf_counter()
        ordered = _in_order(rows)

        def work(connection: Connection) -> tuple[Written, list[Sealed]]:
            state = erasures.share(connection, self._domains)
            self._vault.observe(state.vault_generation)
            erased_ids = self._erased_ids(connection, ordered, state.newest)
            kept = [row for row in ordered if row.message_id not in erased_ids] if erased_ids else ordered
            if state.newest is not None and self._mentions:
                kept = self._without_erased(connection, kept, state.newest)
            inserted = insert(connection, self._table, kept, deadline)
            sealed = self._seal(connection, inserted.written, state.domains)
            refusals = [reject(row, rejected) for row, rejected in inserted.refused]
            newly_rejected = _insert_rejections(connection, [*rejections, *refusals])
            milliseconds = (time.perf_counter() - started) * 1000
            counted = _count(rows, inserted, erased_ids, len(sealed), milliseconds)
            return counted._replace(newly_rejected=newly_rejected), sealed

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

    def _erased_ids(
        self, connection: Connection, rows: Sequence[MaskedRow], newest_erasure: datetime | None
    ) -> set[str]:
        """Return the ids of the messages that were sent before a person whom they are about was erased."""
        if newest_erasure is None:
            return set()
        subjects = {
            row.message_id: (row.originals.subjects, sent_at)
            for row in rows
            if row.originals.subjects and (sent_at := datetime.fromisoformat(row.sent_at)) < newest_erasure
        }
        return erasures.sent_before(connection, self._keyset, subjects) if subjects else set()

    def _without_erased(
        self, connection: Connection, rows: Sequence[MaskedRow], newest_erasure: datetime
    ) -> list[MaskedRow]:
        """Return the rows without the mentions of people who were erased after they were sent."""
        oldest = min((datetime.fromisoformat(row.sent_at) for row in rows), default=newest_erasure)
        if oldest >= newest_erasure:
            return list(rows)
        erased = erasures.since(connection, self._keyset, oldest)
        return [self._mentions.without(row, erased) for row in rows]

    @property
    def _keyset(self) -> Keyset:
        if self._verified is None:
            raise Outage("keyset: not verified")
        return self._verified

    def _seal(
        self, connection: Connection, rows: Sequence[MaskedRow], erased_domains: Set[str] = frozenset()
    ) -> list[Sealed]:
        """Put into the vault what is not known to be there, and return it.

        What identifies a person who was erased is not sealed again, unless the row is that person's own.
        """
        originals = list(chain.from_iterable([row.originals.values for row in rows]))
        if erased_domains:
            own = {original.token for row in rows for original in row.originals.values if _is_own(row, original)}
            unknown = self._vault.unknown(originals)
            others = [one for one in unknown if one.domain in erased_domains and one.token not in own]
            erased = erasures.erased_values(connection, self._keyset, others) if others else set()
            originals = [original for original in originals if original.token not in erased]
        sealed = self._vault.seal(originals)
        if sealed:
            _insert_sealed(connection, self._vault.wrapped_data_key, self._vault.is_data_key_committed, sealed)
        return sealed


def _is_own(row: MaskedRow, original: Original) -> bool:
    return original.value in row.originals.subjects


def _in_order(rows: Sequence[MaskedRow]) -> list[MaskedRow]:
    """Return the rows sorted by message id, of two with one id the first.

    Two environments that wrote the same rows in opposite orders would wait for each other: a deadlock.
    """
    unique = {row.message_id: row for row in reversed(rows)}
    return [unique[message_id] for message_id in sorted(unique)]


def _count(
    rows: Sequence[MaskedRow], inserted: Inserted, erased_ids: set[str], sealed: int, milliseconds: float
) -> Written:
    written, refused = inserted
    refused_ids = {row.message_id for row, _ in refused}
    erased = sum(row.message_id in erased_ids for row in rows) if erased_ids else 0
    duplicates = sum(row.message_id not in refused_ids for row in rows) - erased - len(written)
    return Written(len(written), duplicates, refused, milliseconds, erased, sealed)


def _insert_sealed(
    connection: Connection, data_key: WrappedDataKey, is_data_key_committed: bool, sealed: Sequence[Sealed]
) -> None:
    """Put sealed values into the vault, and the data key that opens them. What another environment put there stays."""
    if not is_data_key_committed:
        connection.run(
            "INSERT INTO pii_vault_key (id, wrapped, kms_key_arn) VALUES (:id, :wrapped, :kms_key_arn)"
            " ON CONFLICT DO NOTHING",
            **data_key._asdict(),
        )
    quoted = {domain: array_cell([domain])[1:-1] for domain in {entry.domain for entry in sealed}}
    connection.run(
        "INSERT INTO pii_vault (token, domain, key_id, sealed)"
        " SELECT token, domain, CAST(:key_id AS uuid), sealed FROM unnest("
        "CAST(:tokens AS varchar[]), CAST(:domains AS varchar[]), CAST(:sealed AS bytea[])"
        ") AS entry(token, domain, sealed) ON CONFLICT DO NOTHING",
        key_id=data_key.id,
        tokens="{" + ",".join([entry.token for entry in sealed]) + "}",
        domains="{" + ",".join([quoted[entry.domain] for entry in sealed]) + "}",
        sealed="{" + ",".join([f'"\\\\x{entry.sealed.hex()}"' for entry in sealed]) + "}",
    )


def _insert_rejections(connection: Connection, rejections: Iterable[Rejection]) -> frozenset[str]:
    """Record why messages were rejected. Return the ids of those that were not rejected for the same reason before."""
    ordered = sorted(rejections, key=lambda rejection: (rejection.message_id, rejection.reason, rejection.pointer))
    if not ordered:
        return frozenset()
    rows = connection.run(
        "INSERT INTO rejection (message_id, stream, reason, pointer, shape)"
        " SELECT message_id, stream, reason, pointer, shape"
        " FROM json_populate_recordset(NULL::rejection, CAST(:rows AS json)) ON CONFLICT DO NOTHING"
        " RETURNING message_id",
        rows=msgspec.json.encode(ordered).decode(),
    )
    return frozenset(str(message_id) for (message_id,) in rows or [])
