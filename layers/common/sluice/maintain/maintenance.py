"""The run of the maintenance: daily, and after each deployment. What cannot be done now is left to the next run."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.maintain import conversion, retention
from sluice.migrate import partitions
from sluice.migrate.partitions import Partitioned
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.telemetry import count, logger

LONGEST_SECONDS = 120  # of one act: somebody may hold the table all the time
SETTLED = timedelta(hours=1)  # after a declaration: by then all functions that write run the new code


class Maintenance:
    """The tables with partitions, as the maintain role may look after them."""

    def __init__(self, database: Database, deadline: Deadline, new: Collection[str] | None = None) -> None:
        """`new` names the streams whose functions a deployment has just replaced: only these are looked after."""
        self._database = database
        self._deadline = deadline
        self._new = new
        self._done: Counter[str] = Counter()
        self._postponed: dict[str, str] = {}  # by stream: why

    def run(self) -> dict[str, Any]:
        """Do all that is due, and return how much of what. Raises Outage when the database cannot be asked."""
        for act in (self._make_partitions, self._convert, self._make_partitions, self._expire):
            for partitioned in self._database.transact(partitions.declared, self._deadline):
                if self._new is None or partitioned.stream in self._new:
                    self._try(partitioned, act)
        self._done["outdated"] = retention.delete_outdated(self._database, self._deadline)
        return self.tell(self._database.transact(partitions.overdue, self._deadline))

    def tell(self, overdue: Mapping[str, int]) -> dict[str, Any]:
        """Log and count what was done, and for how many days something has been due, by stream."""
        count("OverdueDays", max(overdue.values(), default=0))
        told = {**self._done, "postponed": self._postponed, "overdue_days": overdue}
        logger.info("maintenance done", extra=told)
        return told

    def _try(self, partitioned: Partitioned, act: Callable[[Partitioned, Deadline], None]) -> None:
        """Do one thing for one stream. If it cannot be done now, the rest of the work goes on."""
        seconds = min(LONGEST_SECONDS, self._deadline.seconds_left() / 2)
        try:
            act(partitioned, self._deadline.within(seconds))
        except Outage as outage:
            logger.warning("maintenance postponed", extra={"stream": partitioned.stream, "why": str(outage)})
            self._postponed[partitioned.stream] = str(outage)

    def _make_partitions(self, partitioned: Partitioned, deadline: Deadline) -> None:
        while self._database.transact(lambda connection: partitions.make_next(connection, partitioned), deadline):
            self._done["made"] += 1

    def _convert(self, partitioned: Partitioned, deadline: Deadline) -> None:
        if self._database.transact(lambda connection: self._is_convertible(connection, partitioned), deadline):
            conversion.convert(self._database, partitioned, deadline)
            self._done["converted"] += 1

    def _is_convertible(self, connection: Connection, partitioned: Partitioned) -> bool:
        if partitioned.is_converted or not conversion.has_key(connection, partitioned):
            return False
        is_settled = partitioned.declared_at + SETTLED < partitions.moment(connection)
        return is_settled or self._new is not None

    def _expire(self, partitioned: Partitioned, deadline: Deadline) -> None:
        for dropped in retention.drop_expired(self._database, partitioned, deadline):
            self._done["dropped"] += 1
            self._note(dropped)
        for dropped in retention.delete_expired(self._database, partitioned, deadline):
            self._note(dropped)
        self._note(retention.drop_expired_sealed(self._database, partitioned, deadline))

    def _note(self, dropped: retention.Dropped) -> None:
        self._done["rows"] += dropped.rows
        self._done["values"] += dropped.sealed
