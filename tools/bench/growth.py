"""What the same work costs while the table of logins grows: as one table, with a partition a month, and one a day."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Any, NamedTuple

from sluice.deadline import Deadline
from sluice.declaration.registry import load
from sluice.operators.audit.audit_log import Entry
from sluice.operators.forget.eraser import Eraser
from sluice.operators.forget.requests import Erase
from sluice.operators.rekey.rekeyer import BATCH_SECONDS, Rekeyer
from sluice.postgres.database import Database
from sluice.pseudonyms import keyset_secret
from sluice.settings import ForgetSettings, RekeySettings
from tools.bench.contenders import Contender, floor, sluice
from tools.bench.environment import KEYSET, NEXT_KEYSET, WITHOUT_VAULT, Place, partitioned
from tools.bench.filling import DOMAINS, TABLE, Filled, months
from tools.bench.records import FIRST_SENT_AT, Event, Records
from tools.bench.writing import WARMING_RECORDS, Timing, failures

SMALL, ONE = "small", "one"
UNITS = {SMALL: "month", "by month": "month", "by day": "day"}  # of the tables that have partitions
REFERENCE_ROWS = 10_000  # in the small one, whatever the others have
FLOOR, SLUICE, SEALING, REDELIVERED = "floor", "sluice", "sealing", "redelivered"
ACTOR, TICKET = "benchmark", "BENCH-1"
FEW_ROWS = 100_000  # a table with fewer is filled anew for each round
REKEYED_A_SECOND = 10_000  # rows, more than it can be: a table with fewer would be done too soon
SECONDS = 60  # that an act may take


class Size(NamedTuple):
    """How many rows there are."""

    rows: int
    rows_a_month: int


@dataclass(frozen=True)
class Plan:
    """How much is measured at each size."""

    rounds: int
    batch: int  # records
    persons: int  # to erase
    look_ups: int
    rekey_seconds: float


FULL = Plan(rounds=9, batch=1_000, persons=5, look_ups=21, rekey_seconds=3)
LITTLE = Plan(rounds=1, batch=100, persons=1, look_ups=3, rekey_seconds=0.2)


@dataclass
class Cost(Timing):
    """What batches took, and how many bytes of write-ahead log."""

    log: list[int] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        return super().summary() | {"log_bytes": round(median(self.log))}


@dataclass(frozen=True)
class Grown:
    """A filled database, and who writes to it."""

    filled: Filled
    size: Size
    contenders: dict[str, Contender]

    def renew(self) -> None:
        """If the batches would make much of the table, take them out again."""
        if self.size.rows < FEW_ROWS:
            self.filled.fill(*self.size)

    def rows_with(self, token: str) -> Any:
        """Return the keys of all logins with an address."""
        return self.filled.owner.execute(
            f"SELECT message_id, sent_at FROM {TABLE} WHERE masked_ip = %s", [token]
        ).fetchall()

    def checkpoint(self) -> None:
        """From now on the first change of a page puts the whole page into the log."""
        self.filled.owner.execute("CHECKPOINT")

    def take(self, cost: Cost, batch: Callable[[], object]) -> object:
        """Run a batch right after a checkpoint, and note what it took."""
        self.checkpoint()
        before = self._log_position()
        answer = cost.take(batch)
        cost.log.append(self._log_position() - before)
        return answer

    def _log_position(self) -> int:
        row = self.filled.owner.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
        return int(row[0])


def measure(
    here: Place, sizes: Iterable[Size], plan: Plan, records: Records, say: Callable[[str], None], is_one_left_out: bool
) -> Iterator[dict[str, Any]]:
    """Yield what was measured at each size, as soon as it was."""
    databases = _databases(here)
    if is_one_left_out:
        databases.pop(ONE).disconnect()
    reference = Size(REFERENCE_ROWS, REFERENCE_ROWS)
    for size in sizes:
        say(f"{size.rows:,} rows, {size.rows_a_month:,} a month: filling the tables")
        _fill(here, databases, size)
        spans = months(size.rows, size.rows_a_month)
        grown = {
            name: Grown(filled, reference if name == SMALL else size, _contenders(filled))
            for name, filled in databases.items()
        }
        say(f"Batches of {plan.batch:,}, {plan.rounds} rounds")
        costs = _race(grown, records, plan)
        say("Look-ups, erasures, rekeying")
        tables: dict[str, dict[str, Any]] = {
            name: {of: cost.summary() for of, cost in several.items()} for name, several in costs.items()
        }
        for name, one in grown.items():
            if name != SMALL:
                tables[name] |= _measure_others(one, records, plan, len(spans))
        yield {
            "rows": size.rows,
            "rows_a_month": size.rows_a_month,
            "months": len(spans),
            "vault_entries": sum(month.sealed for month in spans),
            "tables": tables,
        }


def _measure_others(one: Grown, records: Records, plan: Plan, months_filled: int) -> dict[str, Any]:
    """Return what a large table costs those who do not write batches."""
    measured = {
        **one.filled.sizes(),
        "look_up": _look_up(one, plan.look_ups),
        "erasure": _erase(one, records, months_filled, plan.persons),
        "vacuum_seconds": _vacuum(one),
    }
    if one.size.rows > plan.rekey_seconds * REKEYED_A_SECOND:
        measured["rekey"] = _rekey(one, plan.rekey_seconds)
    return measured


def _databases(here: Place) -> dict[str, Filled]:
    """Return the databases by name."""
    found = {ONE: Filled(here.with_database("one_table"), load("user_logins"))}
    for name, unit in UNITS.items():
        with partitioned(unit):
            found[name] = Filled(here.with_database(name.replace(" ", "_")), load(f"logins_by_{unit}"))
    found[SMALL].owner.execute("ALTER SYSTEM SET autovacuum = off")  # not in somebody's turn
    return found


def _fill(here: Place, databases: dict[str, Filled], size: Size) -> None:
    """Fill the databases at once, past the write-ahead log."""
    settings = {"wal_level": "minimal", "max_wal_senders": "0", "max_locks_per_transaction": "1024"}
    for name, value in settings.items():
        databases[SMALL].owner.execute(f"ALTER SYSTEM SET {name} = {value}")
    _restart(here, databases)
    with ThreadPoolExecutor() as threads:
        grown = [filled for name, filled in databases.items() if name != SMALL]
        list(threads.map(lambda filled: filled.fill(size.rows, size.rows_a_month), grown))
    for name in settings:
        databases[SMALL].owner.execute(f"ALTER SYSTEM RESET {name}")
    _restart(here, databases)


def _restart(here: Place, databases: dict[str, Filled]) -> None:
    for filled in databases.values():
        filled.disconnect()
    here.postgres.restart()


def _contenders(filled: Filled) -> dict[str, Contender]:
    filled.place.enter("ingest")
    without_vault = f"{WITHOUT_VAULT}_by_{filled.unit}" if filled.unit else WITHOUT_VAULT
    with partitioned(filled.unit):
        return {
            FLOOR: floor(filled.place),
            SLUICE: sluice(without_vault),
            SEALING: sluice(filled.stream.stream_name),
        }


def _race(grown: dict[str, Grown], records: Records, plan: Plan) -> dict[str, dict[str, Cost]]:
    """Let batches be written to each table in turn, another one first in each round, and some of them once more.

    Raises AssertionError when one did not write all its rows, or wrote some twice.
    """
    costs = {name: {of: Cost(plan.batch) for of in (FLOOR, SLUICE, SEALING, REDELIVERED)} for name in grown}
    turns = [(name, contender) for name, one in grown.items() for contender in one.contenders]
    for number in range(plan.rounds):
        for one in grown.values():
            one.renew()
        first = number % len(turns)
        for name, contender in turns[first:] + turns[:first]:
            one, event = grown[name], records.event(plan.batch)
            write = one.contenders[contender]
            write(records.event(WARMING_RECORDS))()
            answers = [one.take(costs[name][contender], write(event))]
            if contender == SLUICE:
                answers.append(one.take(costs[name][REDELIVERED], write(event)))
            failed = sum(len(failures(answer)) for answer in answers if contender != FLOOR)
            written = _count(one, event)
            if failed or written != plan.batch:
                raise AssertionError(f"{name}, {contender}: {failed} failed, {written} rows were written")
    return costs


def _count(one: Grown, event: Event) -> int:
    ids = [record["messageId"] for record in event["Records"]]
    row = one.filled.owner.execute(f"SELECT count(*) FROM {TABLE} WHERE message_id = ANY(%s::uuid[])", [ids])
    return int(row.fetchone()[0])


def _look_up(one: Grown, times: int) -> dict[str, float]:
    """Look for all logins with an address that is in the table, by its token."""
    timing, owner = Timing(1), one.filled.owner
    some = f"SELECT masked_ip FROM {TABLE} WHERE message_id > md5(%s)::uuid ORDER BY message_id LIMIT 1"
    for number in range(times):
        (token,) = owner.execute(some, [f"look-up {number}"]).fetchone()
        if not timing.take(partial(one.rows_with, token)):
            raise AssertionError("a token was not found")
    return timing.summary()


def _erase(one: Grown, records: Records, logins: int, persons: int) -> dict[str, float]:
    """Erase persons, each with a login in every month. The first one is not timed.

    Raises AssertionError when not all of a person's rows and sealed values are gone.
    """
    timing = Timing(logins)
    with _as_role(one, "forget"):
        settings = ForgetSettings.read()
    database = Database(settings.database, application_name="sluice-forget")
    for number in range(persons + 1):
        event = _one_person(records, logins)
        one.contenders[SEALING](event)()
        one.checkpoint()
        eraser = Eraser(database, [one.filled.stream], keyset_secret.version(settings.token_key_secret_id))
        subject = json.loads(event["Records"][0]["body"])["user_id"]
        request = Erase(subject=subject, reason="data_subject_request", ticket=TICKET)
        clock = timing if number else Timing(logins)
        answer: Any = clock.take(partial(eraser.run, ACTOR, request, _deadline()))
        addresses = len({json.loads(record["body"])["ip"] for record in event["Records"]})
        sealed = 2 * logins if one.filled.unit else addresses + 1  # each partition has the device
        if answer["rows"] != {one.filled.stream.stream_name: logins} or answer["values"] != sealed:
            raise AssertionError(f"{answer['rows']} rows and {answer['values']} values were erased, not {sealed}")
    database.close()
    return timing.summary()


def _one_person(records: Records, logins: int) -> Event:
    """Return the event of a person's logins, one in each month, from the same device and another address each time."""
    event = records.event(logins)
    first = json.loads(event["Records"][0]["body"])
    for month, record in zip(months(logins, 1), event["Records"], strict=True):
        body = json.loads(record["body"]) | {name: first[name] for name in ("user_id", "device_id")}
        record["body"] = json.dumps(body)
        sent_at = month.lower + timedelta(milliseconds=FIRST_SENT_AT % 1000, hours=9)
        record["attributes"]["SentTimestamp"] = str(int(sent_at.timestamp() * 1000))
    return event


def _vacuum(one: Grown) -> float:
    """Vacuum what the batches go to, which has rows that were erased. Return the seconds that it took."""
    newest, began = one.filled.newest, time.perf_counter()
    one.filled.owner.execute(f"VACUUM (INDEX_CLEANUP on) {newest}")
    return round(time.perf_counter() - began, 2)


def _rekey(one: Grown, seconds: float) -> dict[str, float]:
    """Take the second token key into use for some seconds in each step, and return how many tokens a second it does."""
    with _as_role(one, "rekey", NEXT_KEYSET):
        settings = RekeySettings.read()
    database, owner = Database(settings.database, application_name="sluice-rekey"), one.filled.owner
    entry = Entry(actor=ACTOR, action="rekey", reason="key_rotation", ticket=TICKET)
    rates = {}
    for place, of in (("pii_vault", "vault"), (TABLE, "rows")):
        for step in ("map", "apply"):
            owner.execute("TRUNCATE rekeying")
            owner.execute("INSERT INTO rekeying VALUES (2, %s, %s, NULL, now(), 0, 0)", [step, place])
            mapped, began = _count_mapped(one), time.perf_counter()
            rekeyer = Rekeyer(database, [one.filled.stream], settings.token_key_secret_id)
            done = rekeyer.run(entry, _deadline(BATCH_SECONDS + seconds))
            took = time.perf_counter() - began
            tokens = _count_mapped(one) - mapped if step == "map" else done["changed"]
            per_row = len(DOMAINS) if place == TABLE and step == "map" else 1
            rates[f"{of}_{step}_per_second"] = round(tokens / per_row / took)
    database.close()
    owner.execute("TRUNCATE rekeying, rekeyed_token")
    return rates


def _count_mapped(one: Grown) -> int:
    return int(one.filled.owner.execute("SELECT count(*) FROM rekeyed_token").fetchone()[0])


@contextmanager
def _as_role(one: Grown, role: str, keyset: str = KEYSET) -> Iterator[None]:
    one.filled.place.enter(role, keyset)
    yield
    one.filled.place.enter("ingest")


def _deadline(seconds: float = SECONDS) -> Deadline:
    return Deadline(time.monotonic() + seconds)
