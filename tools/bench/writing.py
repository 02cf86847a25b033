"""The race: contenders write the same logins by turns, each into a table of the same size. Measured in milliseconds."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

from tools.bench.contenders import DLT_SCHEMA, NAMES, SMALLEST_DLT_BATCH, Contender
from tools.bench.environment import Place
from tools.bench.records import Records

ROWS_BEFORE = 10_000  # in the table after a reset
LARGEST_COUNT = 3 * ROWS_BEFORE  # in both tables: from there on a round begins with a reset
WARMING_RECORDS = 10
REFUSED_RECORDS = 5
REFUSED_DEVICE_TYPE = "refused"


@dataclass
class Timing:
    """What batches of one size took, in milliseconds: on the clock, and of this process's CPU."""

    records: int
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def take(self, batch: Callable[[], object]) -> object:
        """Run a batch and note what it took."""
        gc.collect()  # nobody pays for what another one left behind
        wall, cpu = time.perf_counter(), time.process_time()
        result = batch()
        self.cpu.append((time.process_time() - cpu) * 1000)
        self.wall.append((time.perf_counter() - wall) * 1000)
        return result

    @property
    def per_record(self) -> float:
        """The median on the clock, in µs a record."""
        return median(self.wall) * 1000 / self.records

    @property
    def cpu_per_record(self) -> float:
        """The lowest CPU time, in µs a record."""
        return min(self.cpu) * 1000 / self.records

    def summary(self) -> dict[str, float]:
        return {
            "runs": len(self.wall),
            "median_ms": round(median(self.wall), 2),
            "lowest_ms": round(min(self.wall), 2),
            "highest_ms": round(max(self.wall), 2),
            "us_per_record": round(self.per_record, 1),
            "cpu_us_per_record": round(self.cpu_per_record, 1),
        }


class Table:
    """The table, and dlt's twin of it, as the owner sees them."""

    def __init__(self, place: Place) -> None:
        self._owner = place.postgres.connect()

    def keep_as_it_is(self) -> None:
        """Make the rows of now those of every round, and keep the server from vacuuming in somebody's turn."""
        for table in ("user_logins", "pii_vault"):
            self._owner.run(f"CREATE TABLE {table}_before AS SELECT * FROM {table}")
        self._owner.run("ALTER SYSTEM SET autovacuum = off")
        self._owner.run("SELECT pg_reload_conf()")

    def reset(self) -> None:
        """Bring back the rows and the vault of the beginning, on pages that need no full image in the log again."""
        self._owner.run(f"TRUNCATE user_logins, {DLT_SCHEMA}.user_logins, rejection, pii_vault, pii_vault_key")
        self._owner.run("CHECKPOINT")
        self._owner.run(f"INSERT INTO user_logins ({NAMES}) SELECT {NAMES} FROM user_logins_before")
        self._owner.run(
            f"INSERT INTO {DLT_SCHEMA}.user_logins ({NAMES}, _dlt_load_id, _dlt_id)"
            f" SELECT {NAMES}, 'before', message_id FROM user_logins_before"
        )
        self._owner.run("INSERT INTO pii_vault SELECT * FROM pii_vault_before")
        self._owner.run("UPDATE removal SET number = number + 1")  # who has sealed forgets that with the next batch

    def refuse(self, device_type: str) -> None:
        """Make PostgreSQL refuse the device type, which Sluice does not know to be bad."""
        self._owner.run(f"ALTER TABLE user_logins ADD CONSTRAINT known_device CHECK (device_type <> '{device_type}')")

    def count_sealed(self) -> int:
        """Return how many values the vault has."""
        return int(self._owner.run("SELECT count(*) FROM pii_vault")[0][0])

    def count(self) -> int:
        """Return how many rows both have."""
        counts = self._owner.run(f"SELECT (SELECT count(*) FROM user_logins) + count(*) FROM {DLT_SCHEMA}.user_logins")
        return int(counts[0][0])


def race(
    table: Table, contenders: Mapping[str, Contender], records: Records, size: int, rounds: int
) -> dict[str, Timing]:
    """Let the contenders write batches of one size by turns, another one first in each round.

    Raises AssertionError when one did not write all its rows.
    """
    running = {name: it for name, it in contenders.items() if name != "dlt" or size >= SMALLEST_DLT_BATCH}
    timings = {name: Timing(size) for name in running}
    names = list(running)
    for number in range(rounds):
        first = number % len(names)
        logins = records.event(size)
        if number == 0 or table.count() > LARGEST_COUNT:
            table.reset()
        before = table.count()
        for name in names[first:] + names[:first]:
            warming, batch = (running[name](it) for it in (records.event(WARMING_RECORDS), records.sent_again(logins)))
            warming()  # what the reset made PostgreSQL forget
            timings[name].take(batch)
        expected = len(names) * (WARMING_RECORDS + size)
        if (written := table.count() - before) != expected:
            raise AssertionError(f"{written} rows were written, not {expected}")
    return timings


def compare_batches(table: Table, sluice: Contender, records: Records, size: int, rounds: int) -> dict[str, Timing]:
    """Let Sluice write clean batches, batches it has in part already, and batches with rows that PostgreSQL refuses."""
    table.refuse(REFUSED_DEVICE_TYPE)
    shares = {"clean": 0.0, "1 % duplicates": 0.01, "50 % duplicates": 0.5, f"{REFUSED_RECORDS} refused": 0.0}
    timings = {name: Timing(size) for name in shares}
    for _ in range(rounds):
        logins = records.event(size)
        for name, share in shares.items():
            table.reset()
            refused = REFUSED_RECORDS if name.endswith("refused") else 0
            event = records.spoilt(logins, refused, REFUSED_DEVICE_TYPE)
            sluice(records.redelivered(event, share) if share else records.event(WARMING_RECORDS))()
            answer = timings[name].take(sluice(event))
            if len(failures(answer)) != refused:
                raise AssertionError(f"{len(failures(answer))} records failed, not {refused}")
    return timings


def failures(answer: object) -> list[dict[str, str]]:
    """Return the failed items of a handler's answer."""
    assert isinstance(answer, dict)
    items: list[dict[str, str]] = answer["batchItemFailures"]
    return items
