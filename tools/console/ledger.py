"""The ledger as the console shows it: how many records came in since the first batch, and what became of them.

It reads each batch once. What is older than any running transaction can be is summed up and kept.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from sluice.ingest.ledger import first_id
from sluice.operators.audit.ledger import COUNTS, OUTCOMES
from sluice.postgres.cells import array_cell
from sluice.postgres.driver import Connection
from tools.console.seldom import Seldom
from tools.console.site import Site
from tools.sluice_cli.operators.audit import URL_OUTPUT
from tools.sluice_cli.operators.ledger import adds_up

SETTLED = timedelta(minutes=20)  # a batch has its id when it begins, and no function writes for longer than 15 minutes
ASKED_AGAIN_SECONDS = 30  # a function is asked for the ledger: each call is one that is paid for
SINCE = timedelta(days=30)  # what a function is asked for


@dataclass(frozen=True)
class Sum:
    """What came in of a stream's records, and what became of them."""

    counts: Mapping[str, int]  # by COUNTS, and `batches`
    age_seconds: float | None = None  # how long the oldest record of the last minute's batches had waited

    @property
    def rows(self) -> int:
        """How many rows the table has by the ledger."""
        return self.counts["written"] - self.counts["removed"]

    @property
    def outcomes(self) -> Mapping[str, int]:
        return {name: self.counts[name] for name in OUTCOMES}

    @property
    def adds_up(self) -> bool:
        return adds_up(self.counts)

    @classmethod
    def of(cls, sums: Iterable["Sum"]) -> "Sum":
        """Return them as one."""
        total: Counter[str] = Counter(dict.fromkeys(("batches", *COUNTS), 0))
        ages = []
        for one in sums:
            total.update(one.counts)
            ages += [] if one.age_seconds is None else [one.age_seconds]
        return cls(total, max(ages, default=None))


EMPTY = Sum.of(())


class Tables:
    """The ledger, read from its table."""

    source = "the table batch, since the first batch"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = Lock()
        self._settled_before = 0  # an id
        self._settled: dict[str, Sum] = {}

    def sums(self) -> Mapping[str, Sum]:
        """Return the sum of each stream that is in the ledger. Raises Unavailable."""
        with self._lock:
            until = first_id(int((datetime.now(UTC) - SETTLED).timestamp() * 1000))
            found = self._site.read(lambda connection: self._read(connection, until))
            newer: dict[str, list[Sum]] = {name: [one] for name, one in self._settled.items()}
            for stream, is_settled, one in found:
                newer.setdefault(stream, []).append(one)
                if is_settled:
                    self._settled[stream] = Sum.of((self._settled.get(stream, EMPTY), one))
            self._settled_before = max(until, self._settled_before)
            return {stream: Sum.of(sums) for stream, sums in newer.items()}

    def batches(self, fed: Mapping[str, Sequence[str]], since: timedelta) -> Mapping[str, int]:
        """Return how many batches of each queue had records of a stream that it feeds. Raises Unavailable."""
        first = first_id(int((datetime.now(UTC) - since).timestamp() * 1000))

        def count(connection: Connection, names: Sequence[str]) -> int:
            rows: Any = connection.run(
                "SELECT count(DISTINCT id) FROM batch"
                " WHERE id >= :first AND stream = ANY(CAST(:names AS varchar[])) AND received > 0",
                first=first,
                names=array_cell(names),
            )
            return int(rows[0][0])

        return self._site.read(lambda connection: {queue: count(connection, names) for queue, names in fed.items()})

    def _read(self, connection: Connection, until: int) -> list[tuple[str, bool, Sum]]:
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in COUNTS)
        rows: Any = connection.run(
            "SELECT stream, id < :until,"
            " max(extract(epoch FROM at - oldest)) FILTER (WHERE at > now() - interval '1 minute')::float,"
            f" count(*) FILTER (WHERE received > 0), {sums} FROM batch"
            " WHERE id >= :since GROUP BY 1, 2",
            until=until,
            since=self._settled_before,
        )
        return [
            (stream, is_settled, Sum(dict(zip(("batches", *COUNTS), map(int, counts), strict=True)), age))
            for stream, is_settled, age, *counts in rows
        ]


class Function:
    """The ledger, as the audit function tells it to those who may call it."""

    source = "the audit function, for the last 30 days, asked every 30 seconds"

    def __init__(self, site: Site, streams: Callable[[], Sequence[str]]) -> None:
        self._site = site
        self._streams = streams
        self.sums = Seldom(self._asked, ASKED_AGAIN_SECONDS)  # of each stream

    def _asked(self) -> Mapping[str, Sum]:
        since = (datetime.now(UTC) - SINCE).isoformat()
        return {stream: Sum.of(Sum(period) for period in self._periods(stream, since)) for stream in self._streams()}

    def _periods(self, stream: str, since: str) -> list[dict[str, int]]:
        request = {"action": "ledger", "stream": stream, "since": since, "by": "day"}
        periods: list[dict[str, Any]] = self._site.ask(URL_OUTPUT, request)["periods"]
        return [{name: period[name] for name in ("batches", *COUNTS)} for period in periods]
