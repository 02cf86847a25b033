"""Timestamps: ISO 8601 and RFC 3339 exactly, epochs in a plausible range, cut off at the microsecond."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration.rules import Timestamp
from sluice.failures import Rejected

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def refusal(rule: Timestamp, value: Any) -> str:
    with pytest.raises(Rejected) as caught:
        rule.canonical(value)
    return caught.value.reason


@pytest.mark.parametrize(
    "spelling",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00:00z",
        "2026-01-31 12:00:00Z",  # RFC 3339, 5.6
        "2026-01-31T12:00:00.000Z",
        "2026-01-31T12:00:00,000Z",
        "2026-01-31T12:00:00+00:00",
        "2026-01-31T12:00:00-00:00",  # RFC 3339, 4.3
        "2026-01-31T13:00:00+01:00",
        "2026-01-31T13:00:00+0100",  # as strftime writes a zone
        "2026-01-31T13:00:00+01",
        "2026-02-01T02:00+14:00",
        "2026-01-31T12:00Z",
        "2026-01-31T12Z",
        "20260131T120000Z",
        "20260131T120000.0Z",
        "20260131T1730+0530",
        "2026-W05-6T12:00:00Z",
        "2026W056T12Z",
        1769860800,
        1769860800.0,
        "1769860800",
        "1769860800.0",
    ],
)
def test_every_spelling_of_a_moment_is_one_moment(spelling: Any) -> None:
    assert Timestamp().canonical(spelling) == NOON
    assert Timestamp().canonical(spelling).tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("20260131", "no_time_zone"),  # a date, not seconds of 1970
        ("2026-01-31", "no_time_zone"),
        ("2026-01-31T12:00:00", "no_time_zone"),
        ("99999999", "not_a_timestamp"),
        (20260131, "out_of_range"),
        ("2026", "out_of_range"),
        ("202601", "out_of_range"),
        (0, "out_of_range"),
        (-1, "out_of_range"),
        (1769860800000, "out_of_range"),  # milliseconds
        ("1769860800000", "out_of_range"),
        (1e16, "out_of_range"),
        (1e300, "out_of_range"),
        ("9" * 17, "out_of_range"),
        *[
            (value, "not_a_timestamp")
            for value in (
                *("2026-01-31x12:00:00Z", "2026-01-31T12:00:00Zulu", " 2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z\n"),
                *("2026-1-31T12:00:00Z", "2026-01-31T1:00:00Z", "26-01-31T12:00:00Z", "+2026-01-31T12:00:00Z"),
                *("2026-01-31T12:00:00+24:00", "2026-01-31T12:00:00+01:60", "2026-01-31T12:00:00+01:00:30"),
                *("2026-01-31T120000Z", "20260131T12:00:00Z", "2026-01-31T12:00:00.Z", "2026-01-31T12.5Z"),
                *("2026-01-31Z", "2026-01-31T24:00:00Z", "2026-01-31T12:00:61Z", "2026-02-29T12:00:00Z", "12:00Z"),
                *("2026-W54-1T12:00Z", "2026-W05-8T12:00Z", "2026-031T12:00Z", "2026-01-31T12:00:00 Z"),
                *(
                    "\uff12\uff10\uff12\uff16-01-31T12:00:00Z",
                    "2026-01-31T12:00:00\N{MINUS SIGN}01:00",
                    "٢٠٢٦-01-31T12:00:00Z",
                ),
                *("Sat, 31 Jan 2026 12:00:00 GMT", "2026-01-31T12:00:00 UTC", "2026-01-31T12:00:00+01:00[Europe/Rome]"),
                *("1_769_860_800", "1769860800 ", "+1769860800", "1.769e9", "0x697df0c0", "NaN", "now", "", "-"),
            )
        ],
    ],
)
def test_what_is_no_moment_is_refused(value: Any, reason: str) -> None:
    assert refusal(Timestamp(), value) == reason


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T23:59:59.9999996Z",
        "2026-01-31T23:59:59.999999999999Z",
        "20260131T235959,9999999Z",
        "1769903999.99999999999999999999",
        "1769903999.9999996",
    ],
)
def test_what_is_finer_than_a_microsecond_is_cut_off_and_reaches_no_other_day(value: str) -> None:
    assert Timestamp().canonical(value) == datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)


def test_an_epoch_before_1970_is_cut_off_downwards_too() -> None:
    rule = Timestamp(earliest=datetime(1900, 1, 1, tzinfo=UTC))
    assert rule.canonical("-0.0000001") == datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert rule.canonical(-0.0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert rule.canonical(5e-324) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", ["2016-12-31T23:59:60Z", "2017-01-01T00:59:60+01:00", "20161231T235960Z", "2016-12-31t23:59:60.0z"]
)
def test_a_leap_second_is_the_next_second(value: str) -> None:
    assert Timestamp().canonical(value) == datetime(2017, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", ["2026-01-31T12:00:60Z", "2016-12-30T23:59:60Z", "2016-12-31T23:59:60+01:00"])
def test_a_leap_second_ends_a_month_of_utc(value: str) -> None:
    assert refusal(Timestamp(), value) == "not_a_timestamp"


def test_an_epoch_is_of_1990_to_2100_and_a_text_of_any_year() -> None:
    for rule, factor in ((Timestamp(), 1), (Timestamp(epoch="milliseconds"), 1000)):
        for year in (1990, 2100):
            moment = datetime(year, 1, 1, tzinfo=UTC)
            assert rule.canonical(int(moment.timestamp()) * factor) == moment
        assert refusal(rule, 631151999 * factor) == refusal(rule, 4102444801 * factor) == "out_of_range"
        for text in ("0001-01-01T00:00:00+00:00", "1969-07-20T20:17:40+00:00", "9999-12-31T23:59:59.999999+00:00"):
            assert rule.canonical(text).isoformat() == text
    assert refusal(Timestamp(epoch="milliseconds"), 1769860800) == "out_of_range"  # seconds


def test_declared_bounds_hold_for_texts_and_epochs_and_are_included() -> None:
    earliest, latest = datetime(1969, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=1)))
    rule = Timestamp(earliest=earliest, latest=latest)
    for given_ in ("1969-01-01T00:00:00Z", -31536000, "2026-01-30T23:00:00Z", 1769814000, 0):
        assert earliest <= rule.canonical(given_) <= latest
    for given_ in ("1968-12-31T23:59:59Z", -31536001, "2026-01-30T23:00:00.000001Z", 1769814001):
        assert refusal(rule, given_) == "out_of_range"
    assert earliest <= rule.canonical(rule.example) <= latest


moments = st.datetimes(timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))))


@given(moments)
def test_a_canonical_moment_is_its_own_canonical_form(moment: datetime) -> None:
    rule = Timestamp()
    try:
        moment.astimezone(UTC)
    except OverflowError:
        assert refusal(rule, moment.isoformat()) == "out_of_range"
        return
    canonical = rule.canonical(moment.isoformat())
    assert canonical == moment
    assert rule.canonical(rule.text(canonical)) == canonical
    assert rule.canonical(rule.text(canonical).replace("T", "t")) == canonical
    assert rule.canonical(canonical.strftime("%4Y%m%dT%H%M%S.%fZ")) == canonical


@given(moments, st.sampled_from(["year", "month", "day", "hour", "minute"]))
def test_what_truncate_leaves_of_a_moment_is_the_start_of_its_unit(moment: datetime, unit: str) -> None:
    moment = moment.replace(tzinfo=UTC)
    left = Timestamp().shorten(unit)(moment)
    units = ["year", "month", "day", "hour", "minute", "second", "microsecond"]
    kept = units.index(unit) + 1
    first = {"month": 1, "day": 1}
    assert [getattr(left, name) for name in units[:kept]] == [getattr(moment, name) for name in units[:kept]]
    assert [getattr(left, name) for name in units[kept:]] == [first.get(name, 0) for name in units[kept:]]
