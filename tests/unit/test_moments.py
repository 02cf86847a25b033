"""Rules for moments and dates: what they make of a value, to its last digit."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from sluice.declaration import times
from sluice.declaration.rules import Date, Timestamp

WEST = timezone(timedelta(hours=-5))


def test_a_date_is_shortened_to_the_first_day_of_its_month_or_year() -> None:
    day = date(2026, 11, 26)
    assert (Date().shorten("month")(day), Date().shorten("year")(day)) == (date(2026, 11, 1), date(2026, 1, 1))


def test_a_float_is_the_moment_that_its_digits_say_not_its_binary_value() -> None:
    assert Timestamp().canonical(1769903999.3) == datetime(2026, 1, 31, 23, 59, 59, 300_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("format", "text"),
    [("http", "Sun, 01 Feb 2026 00:30:00 GMT"), ("rfc2822", "Sun, 01 Feb 2026 00:30:00 +0000")],
)
def test_a_moment_of_any_zone_is_spelled_in_utc(format: str, text: str) -> None:
    moment = datetime(2026, 1, 31, 19, 30, tzinfo=WEST)
    assert times.spelled(moment, format) == text
    assert Timestamp(format=format).canonical(text) == moment
