"""Rules for moments and dates."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from functools import cached_property
from typing import Any, cast

from sluice.declaration import times
from sluice.declaration.rules.rule import Rule
from sluice.failures import DeclarationError, Rejected

EPOCHS_FROM = datetime(1990, 1, 1, tzinfo=UTC)  # what is outside is in another unit, or no epoch at all
EPOCHS_TO = datetime(2100, 1, 1, tzinfo=UTC)
EPOCHS = {"seconds": 0, "milliseconds": 3, "microseconds": 6, "nanoseconds": 9}  # digits after the point of a second


@dataclass(frozen=True)
class Timestamp(Rule):
    """A moment, to the microsecond: ISO 8601 with a zone, or a number of `epoch` units since 1970, also as a string.

    It lies between `earliest` and `latest`, both included. Without them a text may name any moment, and a number one
    from 1990 to 2100. A text without a zone is of `zone`, if there is one. With `format` it is a text of that format.
    """

    epoch: str = "seconds"  # or another of EPOCHS
    earliest: datetime | None = None
    latest: datetime | None = None
    zone: str | None = None  # as the IANA time zone database names it
    format: str | None = None  # one of times.FORMATS

    @property
    def accepts(self) -> Any:
        return str if self.format else str | int | float

    @property
    def makes(self) -> Any:
        return datetime

    @property
    def example(self) -> str:
        now = datetime.now(UTC)  # for which a partition should be there
        return self.spelled(min(max(now, self.earliest or now), self.latest or now))

    def check(self) -> None:
        if self.epoch not in EPOCHS:
            raise DeclarationError(f"Timestamp counts an epoch in {_either(EPOCHS)}")
        if self.format is not None and self.format not in times.FORMATS:
            raise DeclarationError(f"Timestamp has the formats {_either(times.FORMATS)}, and without one ISO 8601")
        if self.format and (self.zone or self.epoch != "seconds"):
            raise DeclarationError("Timestamp with a format takes texts with a zone alone: leave out zone and epoch")
        self._check_bounds()
        _ = self.time_zone  # it raises where there is none

    def _check_bounds(self) -> None:
        bounds = [bound for bound in (self.earliest, self.latest) if bound is not None]
        if not all(isinstance(bound, datetime) and bound.tzinfo for bound in bounds):
            raise DeclarationError("Timestamp needs bounds with a time zone: datetime(2026, 1, 31, tzinfo=UTC)")
        if bounds != sorted(bounds):
            raise DeclarationError("Timestamp has its earliest after its latest")

    @cached_property
    def time_zone(self) -> tzinfo | None:
        """That of texts without one. Raises DeclarationError when there is none of the name."""
        if self.zone is None:
            return None
        from zoneinfo import ZoneInfo  # 5 ms: only for streams that name a zone

        try:
            return ZoneInfo(self.zone)
        except (OSError, ValueError, TypeError, KeyError):
            raise DeclarationError(f"Timestamp knows no zone {self.zone}, only those such as Europe/Berlin") from None

    def canonical(self, value: str | int | float, /) -> datetime:
        earliest, latest = self.earliest, self.latest
        if self.format:
            found = times.formatted(cast("str", value), self.format)
        elif (counted := times.epoch(value, EPOCHS[self.epoch])) is not None:
            found, earliest, latest = counted, earliest or EPOCHS_FROM, latest or EPOCHS_TO
        else:
            found = times.moment(cast("str", value), self.time_zone)
        if (earliest and found < earliest) or (latest and found > latest):
            raise Rejected("out_of_range")
        return found

    def spelled(self, moment: datetime) -> str:
        """Return a moment as a text that the rule takes, to the second where its format knows no more."""
        return times.spelled(moment, self.format) if self.format else moment.isoformat()

    def text(self, value: datetime, /) -> str:
        return value.isoformat()

    def cell(self, value: datetime, /) -> str:
        return value.isoformat()

    def shorten(self, to: int | str | None) -> Callable[[datetime], datetime]:
        """Return the function to the start of the `to`, in UTC."""
        units = ("year", "month", "day", "hour", "minute")
        if to not in units:
            raise DeclarationError(f"Truncate of a timestamp goes to the {', '.join(units)}")
        start: dict[str, Any] = {"month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0}
        dropped = {name: first for name, first in start.items() if name not in units[: units.index(str(to)) + 1]}
        return lambda value: value.replace(**dropped)


@dataclass(frozen=True)
class Date(Rule):
    """A calendar date of ISO 8601, `2026-01-31` or `20260131`, without a time."""

    @property
    def makes(self) -> Any:
        return date

    @property
    def example(self) -> str:
        return "2000-01-01"

    def canonical(self, value: str, /) -> date:
        return times.calendar_date(value)

    def text(self, value: date, /) -> str:
        return value.isoformat()

    def cell(self, value: date, /) -> str:
        return value.isoformat()

    def shorten(self, to: int | str | None) -> Callable[[date], date]:
        """Return the function to the first day of the `to`."""
        if to not in ("year", "month"):
            raise DeclarationError("Truncate of a date goes to the year or month")
        return lambda value: value.replace(month=value.month if to == "month" else 1, day=1)


def _either(names: Collection[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"
