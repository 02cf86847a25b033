"""Rules for moments."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from sluice.declaration import canonical
from sluice.declaration.rules.rule import Rule
from sluice.failures import DeclarationError, Rejected

EPOCHS_FROM = datetime(1990, 1, 1, tzinfo=UTC)  # what is outside is in another unit, or no epoch at all
EPOCHS_TO = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Timestamp(Rule):
    """A moment, to the microsecond: ISO 8601 with a zone, or a number of `epoch` units since 1970, also as a string.

    It lies between `earliest` and `latest`, both included. Without them a text may name any moment, and a number one
    from 1990 to 2100.
    """

    epoch: str = "seconds"  # or "milliseconds"
    earliest: datetime | None = None
    latest: datetime | None = None
    accepts: ClassVar[Any] = str | int | float

    @property
    def makes(self) -> Any:
        return datetime

    @property
    def example(self) -> str:
        now = datetime.now(UTC)  # for which a partition should be there
        return min(max(now, self.earliest or now), self.latest or now).isoformat()

    def check(self) -> None:
        if self.epoch not in ("seconds", "milliseconds"):
            raise DeclarationError("Timestamp counts an epoch in seconds or milliseconds")
        bounds = [bound for bound in (self.earliest, self.latest) if bound is not None]
        if not all(isinstance(bound, datetime) and bound.tzinfo for bound in bounds):
            raise DeclarationError("Timestamp needs bounds with a time zone: datetime(2026, 1, 31, tzinfo=UTC)")
        if bounds != sorted(bounds):
            raise DeclarationError("Timestamp has its earliest after its latest")

    def canonical(self, value: str | int | float, /) -> datetime:
        found = canonical.epoch(value, 1 if self.epoch == "seconds" else 1_000)
        earliest, latest = self.earliest, self.latest
        if found is None:
            found = canonical.moment(cast("str", value))
        else:
            earliest, latest = earliest or EPOCHS_FROM, latest or EPOCHS_TO
        if (earliest and found < earliest) or (latest and found > latest):
            raise Rejected("out_of_range")
        return found

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
