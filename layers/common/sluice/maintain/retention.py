"""Retention: partitions whose rows have all expired are dropped, with the sealed values that belong to these rows.

Each goes in a transaction of its own, which the audit log and the ledger tell of. The transaction waits 0.3 seconds for
its lock, and batches wait behind it for no longer. If it does not get the lock, it tries again.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from sluice.deadline import Deadline
from sluice.ingest import ledger
from sluice.migrate import partitions
from sluice.migrate.partitions import Partition, Partitioned
from sluice.operators.audit import audit_log
from sluice.operators.audit.audit_log import Entry, Head
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.vault import erasures

ACTOR = "maintenance"  # in the audit log: nobody has called it
NO_TICKET = "none"
BLOCKS = 2_000  # of 8 KB, in which expired rows are deleted at once
ROWS = 10_000  # of our own tables, deleted at once
OUTDATED = ("operation", "rejection", "batch", "pii_vault_key")


class Dropped(NamedTuple):
    """What is gone with one partition, or with some rows."""

    rows: int
    sealed: int = 0  # values of the vault


def drop_expired(database: Database, partitioned: Partitioned, deadline: Deadline) -> Iterator[Dropped]:
    """Drop the stream's partitions that have expired, the oldest first. Raises Outage when one cannot be dropped."""
    for partition in database.transact(lambda connection: partitions.expired(connection, partitioned), deadline):

        def drop(connection: Connection, partition: Partition = partition) -> tuple[Dropped, Head]:
            connection.run(f"SELECT pg_advisory_xact_lock({erasures.MAINTENANCE_LOCK})")
            rows: Any = connection.run(
                "SELECT removed, sealed FROM drop_partition(:name, CAST(:partition AS regclass))",
                name=partitioned.stream,
                partition=partition.relation,
            )
            return _noted(connection, partitioned, Dropped(*rows[0]))

        dropped, head = database.transact_once(drop, deadline)
        audit_log.log_head(head)
        yield dropped


def drop_expired_sealed(database: Database, partitioned: Partitioned, deadline: Deadline) -> Dropped:
    """Drop the vault's partitions of the stream whose rows were deleted one by one. Raises Outage."""

    def drop(connection: Connection) -> Dropped:
        connection.run(f"SELECT pg_advisory_xact_lock({erasures.MAINTENANCE_LOCK})")
        rows: Any = connection.run("SELECT drop_vault_partitions(:name)", name=partitioned.stream)
        return Dropped(0, rows[0][0])

    return database.transact_once(drop, deadline)


def delete_expired(database: Database, partitioned: Partitioned, deadline: Deadline) -> Iterator[Dropped]:
    """Delete expired rows from the partition that a converted table has become, some at a time. Raises Outage."""
    first, blocks = 0, 1
    while first < blocks and partitioned.is_converted:

        def delete(connection: Connection, first: int = first) -> tuple[Dropped, int, Head | None]:
            rows: Any = connection.run(
                "SELECT removed, blocks FROM delete_expired(:name, :first, :end)",
                name=partitioned.stream,
                first=first,
                end=first + BLOCKS,
            )
            removed, blocks = rows[0]
            dropped, head = _noted(connection, partitioned, Dropped(removed)) if removed else (Dropped(0), None)
            return dropped, blocks, head

        dropped, blocks, head = database.transact_once(delete, deadline)
        if head:
            audit_log.log_head(head)
            yield dropped
        first += BLOCKS


def delete_outdated(database: Database, deadline: Deadline) -> int:
    """Delete what our own tables need no more: rejections, the ledger of rows that are gone, unused data keys."""
    deleted = 0
    for what in OUTDATED:
        number = ROWS
        while number == ROWS:
            number = database.transact_once(partial(_delete_some, what=what), deadline)
            deleted += number
    return deleted


def _delete_some(connection: Connection, what: str) -> int:
    rows: Any = connection.run("SELECT delete_outdated(:what, :most)", what=what, most=ROWS)
    return int(rows[0][0])


def _noted(connection: Connection, partitioned: Partitioned, dropped: Dropped) -> tuple[Dropped, Head]:
    """Write into ledger and audit log what is gone."""
    ledger.note_removed(connection, {partitioned.stream: dropped.rows})
    counts = {"rows": dropped.rows, "values": dropped.sealed}
    entry = Entry(actor=ACTOR, action="expire", reason="retention", ticket=NO_TICKET, counts=counts)
    return dropped, audit_log.append(connection, entry)
