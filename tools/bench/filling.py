"""The table of logins, filled to a size: rows as ingest makes them, but made by the server itself."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import ceil
from typing import Any

import psycopg

from sluice.declaration.partitioning import AHEAD
from sluice.declaration.stream import Stream
from sluice.migrate import partitions
from sluice.migrate.partitions import Span
from streams.user_logins import UserLogin
from tools.bench.environment import Place
from tools.bench.records import FIRST_SENT_AT

TABLE = UserLogin.table
ROWS_SEALED = 10  # one row of so many has its values in the vault, as if people came again
BESIDE = ("batch", "rejection", "erasure", "erased_value", "rekeyed_token", "rekeying")  # emptied with it
DOMAINS = {place.column: place.domain for place in UserLogin.token_places}

# All tokens differ, and so do the users: the worst case for the indexes.
# Hashes, since gen_random_uuid() can take longer than a row.
TOKEN = "'t1_' || translate(rtrim(encode(sha256(('{column}' || i)::bytea), 'base64'), '='), '+/', '-_')"
SENT_AT = "%(lower)s::timestamptz + (i - %(first)s::bigint) * %(step)s::interval"
ROWS = f"""
    INSERT INTO {TABLE} (message_id, sent_at, user_id, device_type, app_version_text, app_version, locale,
        {", ".join(DOMAINS)})
    SELECT md5('message' || i)::uuid, {SENT_AT},
        md5('user' || i)::uuid::text, 'android', '2.3.0', 2003000, 'DE',
        {", ".join(TOKEN.format(column=column) for column in DOMAINS)}
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) i
"""
SEALED = f"""
    INSERT INTO pii_vault (token, domain, key_id, sealed, stream, day)
    SELECT token, domain, '00000000-0000-0000-0000-000000000000', decode(md5(token) || md5(domain || token), 'hex'),
        %(stream)s, coalesce(%(day)s, ({SENT_AT})::date)
    FROM generate_series(%(first)s::bigint, %(last)s::bigint, {ROWS_SEALED}) i CROSS JOIN LATERAL (VALUES
        {", ".join(f"({TOKEN.format(column=column)}, '{domain}')" for column, domain in DOMAINS.items())}
    ) AS entry(token, domain)
    ORDER BY token
"""


@dataclass(frozen=True)
class Month:
    """A month, and how many rows there are before it and in it, counted from the newest month on."""

    lower: datetime
    first: int
    rows: int

    @property
    def sealed(self) -> int:
        """How many values of it the vault has."""
        return ceil(self.rows / ROWS_SEALED) * len(DOMAINS)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the statements that make the rows are given."""
        step = (partitions.end(self.lower, "month") - self.lower) / self.rows
        return {"lower": self.lower, "first": self.first, "last": self.first + self.rows - 1, "step": step}


def months(rows: int, rows_a_month: int) -> list[Month]:
    """Return the months that hold so many rows, the newest first: the one in which the batches are sent."""
    found, lower = [], partitions.begin(datetime.fromtimestamp(FIRST_SENT_AT / 1000, UTC), "month")
    for number in range(ceil(rows / rows_a_month)):
        first = number * rows_a_month
        found.append(Month(lower, first, min(rows_a_month, rows - first)))
        lower = partitions.begin(lower - timedelta(days=1), "month")
    return found


@dataclass
class Filled:
    """A database whose owner fills it."""

    place: Place
    stream: type[Stream]

    @property
    def unit(self) -> str | None:
        """What a partition of table and vault spans, if they have any."""
        return self.stream.partitioning.unit if self.stream.partitioning else None

    @cached_property
    def owner(self) -> Any:
        """The owner's connection, outside of any transaction."""
        return psycopg.connect(self.place.owner_url, autocommit=True)

    def disconnect(self) -> None:
        """Close the owner's connection; the next one opens itself."""
        self.owner.close()
        del self.owner

    def fill(self, rows: int, rows_a_month: int) -> None:
        """Throw all rows away and make so many, indexes last.

        It is one transaction, so that with wal_level = minimal nothing of it goes into the write-ahead log.
        """
        spans = months(rows, rows_a_month)
        with self.owner.transaction():
            self.owner.execute("SET LOCAL maintenance_work_mem = '1GB'")
            self.owner.execute("SET LOCAL TimeZone = 'UTC'")
            self.owner.execute(f"TRUNCATE {TABLE}, pii_vault, {', '.join(BESIDE)}")
            self.owner.execute("UPDATE removal SET number = number + 1")  # who has sealed forgets that
            indexes = self._drop_indexes()
            if self.unit:
                self._make_partitions(spans, self.unit)
            for month in spans:
                self.owner.execute(ROWS, month.parameters)
                self.owner.execute(SEALED, month.parameters | self._place_in_vault)
            for index in indexes:
                self.owner.execute(index)
        self.owner.execute("VACUUM (FREEZE, ANALYZE)")

    @property
    def _place_in_vault(self) -> dict[str, str | None]:
        return {"stream": self._vault_stream, "day": None if self.unit else "-infinity"}

    @property
    def _vault_stream(self) -> str:
        return self.stream.stream_name if self.unit else ""

    @property
    def newest(self) -> str:
        """The table or the partition of it that the batches go to."""
        if not self.unit:
            return TABLE
        sent_at = datetime.fromtimestamp(FIRST_SENT_AT / 1000, UTC)
        ((relation,),) = self.owner.execute(
            f"SELECT relation::text FROM partitions_of('{TABLE}') WHERE %s < upper ORDER BY upper LIMIT 1", [sent_at]
        ).fetchall()
        return str(relation)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of rows and indexes, and those of the vault."""
        found = {}
        for name, table in (("rows", TABLE), ("vault", "pii_vault")):
            found[f"{name}_bytes"], found[f"{name}_index_bytes"] = self.owner.execute(
                "SELECT sum(pg_table_size(part))::bigint, sum(pg_indexes_size(part))::bigint FROM ("
                f"SELECT relation FROM partitions_of('{table}', %s) UNION SELECT '{table}'::regclass) AS parts(part)",
                [self._vault_stream if table == "pii_vault" else ""],
            ).fetchone()
        return found

    def _drop_indexes(self) -> list[str]:
        """Drop the table's indexes, and return the statements that make them again."""
        keys = self.owner.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            f" WHERE conrelid = '{TABLE}'::regclass AND contype = 'p'"
        ).fetchall()
        others = self.owner.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
            f" WHERE indrelid = '{TABLE}'::regclass AND NOT indisprimary ORDER BY 1"
        ).fetchall()
        for name, _ in keys:
            self.owner.execute(f"ALTER TABLE {TABLE} DROP CONSTRAINT {name}")
        for name, _ in others:
            self.owner.execute(f"DROP INDEX {name}")
        return [
            *(f"ALTER TABLE {TABLE} ADD CONSTRAINT {name} {definition}" for name, definition in keys),
            *(definition.replace(" ON ONLY ", " ON ") for _, definition in others),
        ]

    def _make_partitions(self, spans: list[Month], unit: str) -> None:
        """Drop the partitions that there are, and make those for the months and for a time ahead."""
        name = self.stream.stream_name
        for parent, stream in ((TABLE, ""), ("pii_vault", name)):
            for (relation,) in self.owner.execute(
                f"SELECT relation::text FROM partitions_of('{parent}', %s)", [stream]
            ):
                self.owner.execute(f"DROP TABLE {relation}")
        until = partitions.end(spans[0].lower + AHEAD, unit)
        for lower, upper in partitions.gaps(Span(spans[-1].lower, until), unit, [], spans[0].lower):
            self.owner.execute("SELECT make_vault_partition(%s, %s::date, %s::date)", [name, lower, upper])
            self.owner.execute("SELECT make_partition(%s, %s, %s)", [name, lower, upper])
