"""The partitions of the streams' tables and of the vault. They are made before anything needs them.

A partition spans a day, a month or a year, in UTC. Partitions reach from the oldest rows kept to `AHEAD` of now. If
rows are kept forever, the first partition has no lower bound.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sluice.declaration.partitioning import AHEAD, Partitioning
from sluice.declaration.stream import Stream
from sluice.postgres.driver import Connection, quoted_table

LOCK = 0x51CE  # those who deploy and those who make partitions take turns
LONGEST_STEP = {"day": timedelta(days=1), "month": timedelta(days=31), "year": timedelta(days=366)}


class Partitioned(NamedTuple):
    """A row of the table `partitioning`: a stream whose table has partitions, or will have them."""

    stream: str  # its name
    relation: str  # its table, quoted
    partitioning: Partitioning
    is_converted: bool  # the table has partitions
    declared_at: datetime


class Span(NamedTuple):
    """From when until when, in UTC."""

    lower: datetime  # BEGINNING: it has no bound
    upper: datetime  # END: it has no bound


class Partition(NamedTuple):
    """A partition of a table."""

    relation: str  # quoted
    span: Span


BEGINNING, END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def declare(connection: Connection, streams: Iterable[type[Stream]]) -> None:
    """Remember which streams have partitions. A stream that is no longer declared keeps its own: its rows expire."""
    for stream in streams:
        partitioning = stream.partitioning
        if partitioning is None:
            connection.run("DELETE FROM partitioning WHERE stream = :name", name=stream.stream_name)
            continue
        connection.run(
            "INSERT INTO partitioning (stream, relation, unit, keep_for)"
            " VALUES (:name, :relation, :unit, CAST(:keep_for AS interval))"
            " ON CONFLICT (stream) DO UPDATE SET relation = excluded.relation, unit = excluded.unit,"
            " keep_for = excluded.keep_for",
            name=stream.stream_name,
            relation=quoted_table(stream.table),
            unit=partitioning.unit,
            keep_for=f"{partitioning.keep_for.days} days" if partitioning.keep_for else None,
        )


def declared(connection: Connection) -> list[Partitioned]:
    """Return the streams with partitions whose tables are there, by name."""
    rows: Any = connection.run(
        "SELECT stream, relation, unit, extract(epoch FROM keep_for)::bigint, relkind = 'p', declared_at"
        " FROM partitioning JOIN pg_class ON oid = to_regclass(relation) ORDER BY stream"
    )
    return [
        Partitioned(stream, relation, Partitioning(unit, timedelta(seconds=seconds) if seconds else None), *rest)
        for stream, relation, unit, seconds, *rest in rows or []
    ]


def make_next(connection: Connection, partitioned: Partitioned) -> bool:
    """Make the first missing partition, the vault's before the table's, and tell whether one was missing."""
    connection.run(f"SELECT pg_advisory_xact_lock({LOCK})")
    now = moment(connection)
    unit = partitioned.partitioning.unit
    tables = {"make_vault_partition": ("pii_vault", partitioned.stream)}
    if partitioned.is_converted:
        tables["make_partition"] = (partitioned.relation, "")
    for function, table in tables.items():
        taken = [one.span for one in partitions(connection, *table)]
        missing = next(gaps(wanted(partitioned.partitioning, now), unit, taken, now), None)
        if missing is not None:
            connection.run(
                f"SELECT {function}(:name, :lower, :upper)",
                name=partitioned.stream,
                lower=None if missing.lower == BEGINNING else missing.lower.isoformat(),
                upper=missing.upper.isoformat(),
            )
            return True
    return False


def partitions(connection: Connection, relation: str, stream: str = "") -> list[Partition]:
    """Return the partitions of a table by time, or of the vault those of a stream, the oldest first."""
    rows: Any = connection.run(
        "SELECT relation::text, lower, upper FROM partitions_of(CAST(:relation AS regclass), :name)"
        " ORDER BY lower NULLS FIRST",
        relation=relation,
        name=stream,
    )
    return [Partition(name, Span(lower or BEGINNING, upper or END)) for name, lower, upper in rows]


def expired(connection: Connection, partitioned: Partitioned) -> list[Partition]:
    """Return the partitions of the stream's table all of whose rows have expired."""
    expiry = partitioned.partitioning.expiry(moment(connection))
    if expiry is None or not partitioned.is_converted:
        return []
    return [one for one in partitions(connection, partitioned.relation) if one.span.upper <= expiry]


def overdue(connection: Connection) -> dict[str, int]:
    """Return for how many days something has been due, by stream: a conversion, partitions ahead, what has expired."""
    now = moment(connection)
    found = {}
    for partitioned in declared(connection):
        since = [now]
        if partitioned.is_converted:
            ends = [one.span.upper for one in partitions(connection, partitioned.relation)]
            since.append(max(ends, default=BEGINNING + AHEAD) - AHEAD)
            kept = partitioned.partitioning.keep_for or timedelta()
            since += [one.span.upper + kept for one in expired(connection, partitioned)]
        else:
            since.append(partitioned.declared_at)
        found[partitioned.stream] = (now - min(since)).days
    return found


def moment(connection: Connection) -> datetime:
    """Return the time by which rows expire: the server's."""
    rows: Any = connection.run("SELECT maintenance_time()")
    found: datetime = rows[0][0]
    return found


def wanted(partitioning: Partitioning, now: datetime) -> Span:
    """Return the span that partitions must cover."""
    expiry = partitioning.expiry(now)
    lower = begin(expiry, partitioning.unit) if expiry else BEGINNING
    return Span(lower, end(now + AHEAD, partitioning.unit))


def gaps(window: Span, unit: str, taken: Sequence[Span], now: datetime) -> Iterator[Span]:
    """Yield the spans of a window that are missing, no longer than a unit each. What is taken may have other bounds.

    A span without a lower bound ends where the unit of `now` begins, or before that where the next span begins.
    """
    at = window.lower
    for span in [*sorted(taken), Span(window.upper, window.upper)]:
        until = min(span.lower, window.upper)
        while at < until:
            upper = min(begin(now, unit) if at == BEGINNING else end(at, unit), until)
            yield Span(at, upper)
            at = upper
        at = max(at, span.upper)


def begin(at: datetime, unit: str) -> datetime:
    """Return when the unit begins that a moment is in."""
    start = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return start if unit == "day" else start.replace(day=1) if unit == "month" else start.replace(month=1, day=1)


def end(at: datetime, unit: str) -> datetime:
    """Return when the unit ends that a moment is in."""
    return begin(begin(at, unit) + LONGEST_STEP[unit], unit)
