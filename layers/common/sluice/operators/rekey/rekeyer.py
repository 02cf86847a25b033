"""All tokens are brought to the current token key: in rows, the vault and the erasures, without a clear value.

The work goes over all tables, batch after batch, in steps:

- `map` only remembers which token is now which, for all tables. From then on `current_token` makes joins whole.
- `apply` rewrites the tokens, in all tables.
- `wait` lasts until nobody makes tokens under an older token key any more. Then it begins again with `map`.
- `empty` deletes what `map` remembered. It follows when `apply` found nothing to rewrite, and nobody could have made an
  older token since `map` began. Then the work is done.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.failures import Outage
from sluice.operators.audit import audit_log
from sluice.operators.audit.audit_log import Entry, Head
from sluice.operators.rekey.token_tables import TokenTable, tables
from sluice.postgres.cells import array_cell
from sluice.postgres.database import Database, now
from sluice.postgres.driver import Connection
from sluice.pseudonyms import check_values, keyset_secret
from sluice.pseudonyms.keyset_secret import KeysetVersion
from sluice.vault import erasures

BATCH_SECONDS = 5  # what a batch may take
STANDING_SECONDS = 2  # what it may take to see how far the work has come
EMPTIED_ROWS = 10_000  # of `rekeyed_token`, in a transaction

type Step = Literal["map", "apply", "wait", "empty"]


class Progress(msgspec.Struct):
    """How far the work has come: the row of the table `rekeying`."""

    key_number: int  # of the token key that is taken into use
    step: Step
    place: str  # the name of a table
    after: str | None  # the primary key of the last row of that table that is done
    began_at: datetime  # when `map` began
    changed: int  # rows, since then
    changed_ever: int  # rows, in all repetitions


class Outcome(msgspec.Struct, frozen=True):
    """What became of one transaction."""

    step: Step | Literal["done"]
    changed: int = 0  # rows
    wait_seconds: int = 0
    head: Head | None = None  # of the audit log, once the work is done


class Standing(NamedTuple):
    """How far the work has come."""

    step: str | None  # None: no work is going on
    table: str | None = None  # that `map` or `apply` is at
    share: float | None = None  # of the rows of all tables, done in this step
    at: float = 0  # seconds on the monotonic clock

    def told(self) -> dict[str, Any]:
        """Return the members of an answer that tell it."""
        return {"step": self.step, "table": self.table, "share": None if self.share is None else round(self.share, 4)}

    def seconds_left(self, before: "Standing") -> int | None:
        """Return how long the step goes on at the pace since `before`, or None where that cannot be told."""
        if self.share is None or before.share is None or self.step != before.step or self.share <= before.share:
            return None
        return round((1 - self.share) * (self.at - before.at) / (self.share - before.share))


@dataclass(frozen=True)
class Rekeyer:
    """All tables with tokens, as the rekey role may use them."""

    database: Database
    streams: Sequence[type[Stream]]
    secret_id: str

    def run(self, entry: Entry, deadline: Deadline) -> dict[str, Any]:
        """Go on until nothing is left to do, or the time is nearly over; return how far the work has come.

        Raises Outage. What was committed until then stays, and the next call goes on after it.
        """
        version = keyset_secret.version(self.secret_id)
        work = _Work(tables(self.streams, version.keyset), version, entry)
        self.database.transact(work.begin, deadline)
        changed, step, first = 0, "map", Standing(None)
        while deadline.allows(BATCH_SECONDS):
            outcome = self.database.transact_once(work.advance, deadline)
            changed += outcome.changed
            step = outcome.step
            if outcome.head:
                audit_log.log_head(outcome.head)
            if step == "done":
                return {"done": True, "step": step, "changed": changed}
            if outcome.wait_seconds:
                return {"done": False, "step": step, "changed": changed, "wait_seconds": outcome.wait_seconds}
            if first.step != step:
                first = self._standing(work, step)
        last = self._standing(work, step)
        return {"done": False, "changed": changed, **last.told(), "seconds_left": last.seconds_left(first)}

    def _standing(self, work: "_Work", step: str) -> Standing:
        """Return how far the work has come, without numbers when somebody holds one of the tables."""
        try:
            return self.database.transact(work.standing, Deadline(time.monotonic() + STANDING_SECONDS))
        except Outage:
            return Standing(step)


@dataclass(frozen=True)
class _Work:
    """The work, as one invocation goes on with it: a transaction for each batch."""

    tables: Sequence[TokenTable]
    version: KeysetVersion
    entry: Entry

    @property
    def _names(self) -> list[str]:
        return [table.name for table in self.tables]

    def begin(self, connection: Connection) -> None:
        """Note that the work begins, unless it has begun."""
        check_values.check_whole(connection, self.version.keyset)
        connection.run(
            "INSERT INTO rekeying VALUES (:key_number, 'map', :place, NULL, clock_timestamp(), 0, 0)"
            " ON CONFLICT DO NOTHING",
            key_number=self.version.keyset.current,
            place=self.tables[0].name,
        )

    def advance(self, connection: Connection) -> Outcome:
        """Do the next batch, and remember where it ended, in one transaction."""
        erasures.share(connection)  # a person who is erased meanwhile must not come back as a token
        progress = self._progress(connection)
        match progress:
            case None:
                return Outcome("done")  # another caller was quicker
            case Progress(step="wait"):
                return self._wait(connection, progress)
            case Progress(step="empty"):
                return self._empty(connection, progress)
            case _:
                return self._walk(connection, progress)

    def standing(self, connection: Connection) -> Standing:
        """Return how far the work has come."""
        return standing(connection, self.tables)

    def _progress(self, connection: Connection) -> Progress | None:
        """Return how far the work has come, and keep other callers out of it. For a newer token key it begins anew."""
        current = self.version.keyset.current
        rows: Any = connection.run("SELECT * FROM rekeying FOR UPDATE")
        if not rows:
            return None
        progress = Progress(*rows[0])
        if progress.key_number > current:
            raise Outage(f"keyset: key {progress.key_number} is being taken into use, but is no longer the current one")
        if progress.key_number < current:
            progress = Progress(current, "map", self.tables[0].name, None, now(connection), 0, progress.changed_ever)
        return progress

    def _walk(self, connection: Connection, progress: Progress) -> Outcome:
        if progress.place not in self._names:  # its stream is no longer declared
            progress.place, progress.after = self._names[0], None
        table, changed = self.tables[self._names.index(progress.place)], 0
        batch = table.read(connection, progress.after)
        if batch.row_ids and progress.step == "map":
            _remember(connection, batch.tokens)
        elif batch.row_ids:
            changed = table.rewrite(connection, batch, is_settled=progress.began_at >= self.version.settled_at)
        progress.changed += changed
        progress.changed_ever += changed
        progress.after = batch.last_id
        if batch.last_id is None:
            self._go_to_next_table(progress)
        _save(connection, progress)
        return Outcome(progress.step, changed)

    def _go_to_next_table(self, progress: Progress) -> None:
        following = self._names.index(progress.place) + 1
        progress.place = self._names[following % len(self._names)]
        if following < len(self._names):
            return
        if progress.step == "map":
            progress.step = "apply"
        else:
            is_complete = progress.changed == 0 and progress.began_at >= self.version.settled_at
            progress.step = "empty" if is_complete else "wait"

    def _wait(self, connection: Connection, progress: Progress) -> Outcome:
        moment = now(connection)
        if moment < self.version.settled_at:
            return Outcome("wait", wait_seconds=int((self.version.settled_at - moment).total_seconds()) + 1)
        progress.step, progress.began_at, progress.changed = "map", moment, 0
        _save(connection, progress)
        return Outcome("map")

    def _empty(self, connection: Connection, progress: Progress) -> Outcome:
        # In order, so that each node of Citus deletes the same ones.
        next_ones = f"SELECT old_token FROM rekeyed_token ORDER BY old_token LIMIT {EMPTIED_ROWS}"
        connection.run(f"DELETE FROM rekeyed_token WHERE old_token IN ({next_ones})")
        if connection.row_count:
            return Outcome("empty")
        connection.run("DELETE FROM rekeying")
        counts = {"key_number": progress.key_number, "changed": progress.changed_ever}
        entry = msgspec.structs.replace(self.entry, action="rekeyed", counts=counts)
        return Outcome("done", head=audit_log.append(connection, entry))


def standing(connection: Connection, tables: Sequence[TokenTable]) -> Standing:
    """Return how far the work has come, by the estimates of PostgreSQL."""
    rows: Any = connection.run("SELECT step, place, after FROM rekeying")
    if not rows:
        return Standing(None)
    step, place, after = rows[0]
    names = [table.name for table in tables]
    if step not in ("map", "apply") or place not in names:
        return Standing(step)
    number, counts = names.index(place), [table.estimate(connection) for table in tables]
    done = sum(counts[:number]) + (tables[number].estimate(connection, after) if after else 0)
    return Standing(step, place, min(1.0, done / max(1, sum(counts))), time.monotonic())


def _remember(connection: Connection, tokens: Mapping[str, str]) -> None:
    """Remember the current token of each older one."""
    ordered = sorted(tokens)
    connection.run(
        "INSERT INTO rekeyed_token (old_token, token)"
        " SELECT * FROM unnest(CAST(:old_tokens AS text[]), CAST(:tokens AS text[]))"
        " ON CONFLICT (old_token) DO UPDATE SET token = excluded.token WHERE rekeyed_token.token <> excluded.token",
        old_tokens=array_cell(ordered),
        tokens=array_cell([tokens[token] for token in ordered]),
    )


def _save(connection: Connection, progress: Progress) -> None:
    connection.run(
        "UPDATE rekeying SET key_number = :key_number, step = :step, place = :place, after = :after,"
        " began_at = :began_at, changed = :changed, changed_ever = :changed_ever",
        **msgspec.structs.asdict(progress),
    )
