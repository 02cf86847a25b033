"""Rules for moments and dates: what they make of a value, to its last digit."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from sluice.declaration import times
from sluice.declaration.rules import Date, Timestamp

WEST = timezone(timedelta(hours=-5))


@pytest.fixture
def _in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run on a machine whose own zone is another than UTC."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


def test_a_date_is_shortened_to_the_first_day_of_its_month_or_year() -> None:
    day = date(2026, 11, 26)
    assert (Date().shorten("month")(day), Date().shorten("year")(day)) == (date(2026, 11, 1), date(2026, 1, 1))


def test_a_float_is_the_moment_that_its_digits_say_not_its_binary_value() -> None:
    assert Timestamp().canonical(1769903999.3) == datetime(2026, 1, 31, 23, 59, 59, 300_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("format", "text"),
    [("http", "Sun, 01 Feb 2026 00:30:00 GMT"), ("rfc2822", "Sun, 01 Feb 2026 00:30:00 +0000")],
)
@pytest.mark.usefixtures("_in_new_york")
def test_a_moment_of_any_zone_is_spelled_in_utc(format: str, text: str) -> None:
    moment = datetime(2026, 1, 31, 19, 30, tzinfo=WEST)
    assert times.spelled(moment, format) == text
    assert Timestamp(format=format).canonical(text) == moment
