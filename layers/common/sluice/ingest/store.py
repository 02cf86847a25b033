"""The store of streams: the rows and rejections of a batch are written in one transaction, each message once."""

import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime
from itertools import chain
from typing import NamedTuple

import msgspec

from sluice.deadline import Deadline
from sluice.declaration.originals import Original
from sluice.declaration.stream import Stream
from sluice.failures import Outage, Rejected
from sluice.ingest.insertion import Inserted, insert
from sluice.ingest.ledger import Batch, Ledger, Outcome
from sluice.ingest.mentions import MentionColumns
from sluice.ingest.rows import Key, MaskedRow, Rejection
from sluice.ingest.table import StreamTable
from sluice.postgres.cells import array_cell
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset import Keyset
from sluice.vault import erasures
from sluice.vault.sealing import SHARED, Place, Sealed, Vault, WrappedDataKey


class Written(NamedTuple):
    """What became of the rows of a batch: each is written, a duplicate, refused, erased or expired."""

    written: int
    duplicates: int
    refused: list[tuple[MaskedRow, Rejected]]
    milliseconds: float
    erased: int = 0  # sent before the person was erased: not stored
    sealed: int = 0  # values that are new in the vault, as far as this environment knows
    written_by_stream: Mapping[str, int] = {}  # of a queue with several
    expired: int = 0  # older than what is kept: not stored
    newly_rejected: frozenset[str] = frozenset()  # message ids: the others were rejected for the same reason before


class Store:
    """The tables of the streams of one queue, as the ingest role may use them.

    Rows are written table by table in the order of the streams, which is the same in every environment.
    """

    def __init__(
        self, database: Database, streams: Iterable[type[Stream]], vault: Vault, code_version: str = ""
    ) -> None:
        self._database = database
        self._vault = vault
        streams = tuple(streams)
        self._tables = {stream.stream_name: StreamTable(stream) for stream in streams}
        self._mentions = {stream.stream_name: MentionColumns(stream) for stream in streams if stream.mentioned.paths}
        self._domains = sorted(
            {place.domain for stream in streams for place in stream.token_places if place.recoverable}
        )
        self._ledger = Ledger(streams, code_version)
        self._verified: Keyset | None = None
        self._verified_in: int | None = None  # the generation of the vault; None: before the first write

    def verify(self, keyset: Keyset, deadline: Deadline) -> None:
        """Compare every token key with what the database remembers of it.

        Raises Outage when one is not the same, or not known: tokens under another key would silently break every join.
        """
        if keyset is self._verified:
            return
        self._database.transact(lambda connection: check_values.check(connection, keyset), deadline)
        self._verified, self._verified_in = keyset, None

    def write(
        self,
        rows: Sequence[MaskedRow],
        rejections: Sequence[Rejection],
        reject: Callable[[MaskedRow, Rejected], Rejection],
        deadline: Deadline,
        batch: Batch | None = None,
    ) -> Written:
        """Write a batch in one transaction; `reject` says what to record of a row that PostgreSQL refuses.

        What became of it goes into the ledger.

        A message that is a row already, from this batch or an earlier one, is a duplicate. Raises Outage when nothing
        could be written.
        """
        batch = batch or Batch(next(iter(self._tables)))
        if not (rows or rejections or batch.ignored or batch.known):
            return Written(0, 0, [], 0.0)
        written, sealed = self._transact(rows, self._work(rows, rejections, reject, deadline, batch), deadline)
        self._vault.committed(sealed)
        return written

    def stored(self, message_ids: Iterable[str], deadline: Deadline) -> set[str]:
        """Return which of these messages are rows already. Raises Outage."""
        ids = [*message_ids]
        return self._database.transact(
            lambda connection: {one for table in self._tables.values() for one in table.stored(connection, ids)},
            deadline,
        )

    def probe(self, rows: Sequence[MaskedRow], rejection: Rejection, deadline: Deadline) -> None:
        """Write rows and a rejection as `write` does, seal the rows' originals, and roll it all back.

        A row that PostgreSQL refuses is no outage. Raises Outage where `write` would.
        """
        batch = Batch(next(iter(self._tables)))
        work = self._work(rows, [rejection], lambda row, rejected: rejection, deadline, batch)

        def work_and_seal(connection: Connection) -> None:
            _, sealed = work(connection)
            if not sealed:  # the rows were refused, so their originals were not wanted
                self._seal(connection, rows)

        self._transact(rows, work_and_seal, deadline, undo=True)

    def _work(
        self,
        rows: Sequence[MaskedRow],
        rejections: Sequence[Rejection],
        reject: Callable[[MaskedRow, Rejected], Rejection],
        deadline: Deadline,
        batch: Batch,
    ) -> Callable[[Connection], tuple[Written, list[Sealed]]]:
        """Return what is to be done in the transaction. It is done again when the transaction is tried again."""
        started = time.perf_counter()
        ordered = self._in_order(rows)

        def work(connection: Connection) -> tuple[Written, list[Sealed]]:
            state = erasures.share(connection, self._domains)
            self._verify_again(connection, state.vault_generation)
            self._vault.observe(state.vault_generation)
            expired = _expired(ordered)
            kept = _without(ordered, expired) if expired else ordered
            erased = self._erased(connection, chain.from_iterable(kept.values()), state.newest)
            kept = _without(kept, erased) if erased else kept
            if state.newest is not None and self._mentions:
                kept = self._without_erased(connection, kept, state.newest)
            inserted = insert(connection, kept, batch.id, deadline)
            sealed = self._seal(connection, inserted.written, state.domains)
            refusals = [reject(row, rejected) for row, rejected in inserted.refused]
            newly_rejected = _insert_rejections(connection, [*rejections, *refusals])
            milliseconds = (time.perf_counter() - started) * 1000
            outcome = _outcome(rows, inserted, erased, expired, rejections, newly_rejected)
            key_number = self._verified.current if self._verified else None
            self._ledger.append(connection, batch, outcome, key_number, milliseconds)
            counted = _count(outcome, inserted, len(sealed), milliseconds)
            by_stream = Counter(row.stream for row in inserted.written) if len(self._tables) > 1 else {}
            return counted._replace(written_by_stream=by_stream, newly_rejected=newly_rejected), sealed

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

    def _in_order(self, rows: Sequence[MaskedRow]) -> dict[StreamTable, list[MaskedRow]]:
        """Return the rows by table, in the order in which all environments write them."""
        by_stream: dict[str, Sequence[MaskedRow]] = dict.fromkeys(self._tables, rows)
        if len(self._tables) > 1:
            by_stream = {name: [row for row in rows if row.stream == name] for name in self._tables}
        return {table: table.in_order(by_stream[name]) for name, table in self._tables.items()}

    def _erased(self, connection: Connection, rows: Iterable[MaskedRow], newest_erasure: datetime | None) -> set[Key]:
        """Return the keys of the rows that were sent before a person whom they are about was erased."""
        if newest_erasure is None:
            return set()
        subjects = {
            row.key: (row.originals.subjects, sent_at)
            for row in rows
            if row.originals.subjects and (sent_at := datetime.fromisoformat(row.sent_at)) < newest_erasure
        }
        return erasures.sent_before(connection, self._keyset, subjects) if subjects else set()

    def _without_erased(
        self, connection: Connection, ordered: dict[StreamTable, list[MaskedRow]], newest_erasure: datetime
    ) -> dict[StreamTable, list[MaskedRow]]:
        """Return the rows without the mentions of people who were erased after the row was sent."""
        rows = chain.from_iterable(ordered.values())
        oldest = min((datetime.fromisoformat(row.sent_at) for row in rows), default=newest_erasure)
        if oldest >= newest_erasure:
            return ordered
        erased = erasures.since(connection, self._keyset, oldest)

        def without(row: MaskedRow) -> MaskedRow:
            return self._mentions[row.stream].without(row, erased) if row.stream in self._mentions else row

        return {table: [without(row) for row in several] for table, several in ordered.items()}

    def _verify_again(self, connection: Connection, generation: int) -> None:
        """Compare the keyset in the transaction that writes, unless that of the database cannot have changed since."""
        if generation != self._verified_in:
            check_values.check(connection, self._keyset)
            self._verified_in = generation

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
        originals = _by_place(rows)
        if erased_domains:
            own = {original.token for row in rows for original in row.originals.values if _is_own(row, original)}
            unknown = chain.from_iterable(self._vault.unknown(place, several) for place, several in originals.items())
            others = [one for one in unknown if one.domain in erased_domains and one.token not in own]
            erased = erasures.erased_values(connection, self._keyset, others) if others else set()
            originals = {
                place: [original for original in several if original.token not in erased]
                for place, several in originals.items()
            }
        sealed = self._vault.seal(originals)
        if sealed:
            _insert_sealed(connection, self._vault.wrapped_data_key, self._vault.is_data_key_committed, sealed)
        return sealed


def _is_own(row: MaskedRow, original: Original) -> bool:
    return original.value in row.originals.subjects


def _by_place(rows: Sequence[MaskedRow]) -> dict[Place, list[Original]]:
    """Return the rows' originals by where in the vault they are sealed."""
    shared = chain.from_iterable([row.originals.values for row in rows if not row.is_partitioned])
    by_place = {SHARED: list(shared)}
    for row in rows:
        if row.is_partitioned:
            by_place.setdefault(Place(row.stream, row.sent_at[:10]), []).extend(row.originals.values)
    return by_place


def _expired(ordered: Mapping[StreamTable, Sequence[MaskedRow]]) -> set[Key]:
    now = datetime.now(UTC)
    return {key for table, rows in ordered.items() for key in table.expired(rows, now)}


def _without(
    ordered: Mapping[StreamTable, Sequence[MaskedRow]], keys: Container[Key]
) -> dict[StreamTable, list[MaskedRow]]:
    return {table: [row for row in rows if row.key not in keys] for table, rows in ordered.items()}


def _outcome(
    rows: Sequence[MaskedRow],
    inserted: Inserted,
    erased: Container[Key],
    expired: Container[Key],
    rejections: Sequence[Rejection],
    newly_rejected: Set[str],
) -> Outcome:
    """Return what became of each row. Two rows with one key are erased, expired or refused together."""
    refused = {row.key for row, _ in inserted.refused}
    return Outcome(
        rows=rows,
        written=inserted.written,
        erased=[row for row in rows if row.key in erased] if erased else [],
        expired=[row for row in rows if row.key in expired] if expired else [],
        refused=[row for row in rows if row.key in refused] if refused else [],
        rejections=rejections,
        newly_rejected=newly_rejected,
    )


def _count(outcome: Outcome, inserted: Inserted, sealed: int, milliseconds: float) -> Written:
    written, erased, expired = len(outcome.written), len(outcome.erased), len(outcome.expired)
    duplicates = len(outcome.rows) - written - erased - expired - len(outcome.refused)
    return Written(written, duplicates, inserted.refused, milliseconds, erased, sealed, expired=expired)


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
    names = {entry.domain for entry in sealed} | {entry.place.stream for entry in sealed}
    quoted = {name: array_cell([name])[1:-1] for name in names}
    connection.run(
        "INSERT INTO pii_vault (token, domain, key_id, sealed, stream, day)"
        " SELECT token, domain, CAST(:key_id AS uuid), sealed, stream, day FROM unnest("
        "CAST(:tokens AS varchar[]), CAST(:domains AS varchar[]), CAST(:sealed AS bytea[]),"
        " CAST(:streams AS text[]), CAST(:days AS date[])"
        ") AS entry(token, domain, sealed, stream, day) ON CONFLICT DO NOTHING",
        key_id=data_key.id,
        tokens="{" + ",".join([entry.token for entry in sealed]) + "}",
        domains="{" + ",".join([quoted[entry.domain] for entry in sealed]) + "}",
        sealed="{" + ",".join([f'"\\\\x{entry.sealed.hex()}"' for entry in sealed]) + "}",
        streams="{" + ",".join([quoted[entry.place.stream] for entry in sealed]) + "}",
        days="{" + ",".join([entry.place.day for entry in sealed]) + "}",
    )


def _insert_rejections(connection: Connection, rejections: Iterable[Rejection]) -> frozenset[str]:
    """Record why messages were rejected. Return the ids of those that were not rejected for the same reason before."""
    ordered = sorted(rejections, key=lambda one: (one.message_id, one.stream, one.reason, one.pointer))
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
