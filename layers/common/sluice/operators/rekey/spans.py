"""The spans of time of a table's partitions, by which a table is walked: a batch in all partitions is slow."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sluice.declaration.partitioning import BY_TIME
from sluice.postgres.driver import Connection, literal


class Span(NamedTuple):
    """The times of a partition's rows, as PostgreSQL writes them. None: it has no bound."""

    lower: str | None = None
    upper: str | None = None

    @property
    def condition(self) -> str:
        """The condition, in SQL, that a row belongs into the partition."""
        found = [f"sent_at >= {literal(self.lower)}"] if self.lower else []
        found += [f"sent_at < {literal(self.upper)}"] if self.upper else []
        return " AND ".join(found) or "true"


def since(connection: Connection, table: str, time: str) -> Iterator[Span]:
    """Yield the span that has a time, and those after it.

    Any other table has one span without bounds: one without partitions, one that its owner has partitioned by something
    else than the time, and one with a default partition, which takes rows of any time.
    """
    if not _has_spans(connection, table):
        yield Span()
        return
    rows: Any = connection.run(
        "SELECT lower::text, upper::text, upper <= CAST(:time AS timestamptz)"
        " FROM partitions_of(CAST(:name AS regclass)) ORDER BY lower NULLS FIRST",
        name=table,
        time=time,
    )
    for lower, upper, is_before in rows:
        if not is_before:
            yield Span(lower, upper)


def _has_spans(connection: Connection, table: str) -> bool:
    rows: Any = connection.run(
        "SELECT FROM pg_partitioned_table WHERE partrelid = CAST(:name AS regclass) AND partdefid = 0"
        " AND pg_get_partkeydef(partrelid) = :by_time",
        name=table,
        by_time=BY_TIME,
    )
    return bool(rows)
