"""Partitions by time: how long the rows of one table partition span, and for how long rows are kept."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sluice.failures import DeclarationError

BY_TIME = "RANGE (sent_at)"  # how a table is partitioned, as pg_get_partkeydef tells it
UNITS = ("day", "month", "year")  # as PostgreSQL's date_trunc() has them
LONGEST_DAYS = 36_500
AHEAD = timedelta(days=92)  # for which there are partitions beforehand


@dataclass(frozen=True)
class Partitioning:
    """The partitions of a stream's table."""

    unit: str  # one of UNITS: what one partition spans, in UTC
    keep_for: timedelta | None  # since a row was sent; None: forever

    def expiry(self, now: datetime) -> datetime | None:
        """Return the moment before which no row is kept any more; None: all are kept."""
        return now - self.keep_for if self.keep_for else None


def checked(name: str, partition: str, keep_for: str, identity: str, time: str) -> Partitioning | None:
    """Return what a stream says of its partitions, or None where it has none. Raises DeclarationError."""
    if not partition:
        if keep_for:
            raise DeclarationError(f'{name}: keep_for needs partitions, which go as a whole; add partition="month"')
        return None
    if partition not in UNITS:
        raise DeclarationError(f"{name}: the partition is one of {', '.join(UNITS)}")
    if identity and not time:
        raise DeclarationError(
            f"{name}: with partitions a row is one by its identity and its time, so the identity {identity} needs a"
            " time: name the field that has it"
        )
    return Partitioning(partition, _days(name, keep_for) if keep_for else None)


def _days(name: str, keep_for: object) -> timedelta:
    found = re.fullmatch("([1-9][0-9]*) days?", keep_for) if isinstance(keep_for, str) else None
    if found is None or int(found[1]) > LONGEST_DAYS:
        raise DeclarationError(f'{name}: keep_for is a number of days up to {LONGEST_DAYS}, such as "400 days"')
    return timedelta(days=int(found[1]))
