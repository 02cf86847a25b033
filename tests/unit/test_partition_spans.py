"""The spans of partitions: together with what is there they fill the window, and no two overlap."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration.partitioning import AHEAD, UNITS, Partitioning
from sluice.migrate.partitions import BEGINNING, Span, begin, end, gaps, wanted

MOMENTS = st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
NOW = datetime(2026, 11, 26, 22, 43, tzinfo=UTC)


def day(year: int, month: int, of_month: int) -> datetime:
    return datetime(year, month, of_month, tzinfo=UTC)


@pytest.mark.parametrize(
    ("unit", "first", "last"),
    [
        ("day", day(2026, 11, 26), day(2026, 11, 27)),
        ("month", day(2026, 11, 1), day(2026, 12, 1)),
        ("year", day(2026, 1, 1), day(2027, 1, 1)),
    ],
)
def test_a_moment_is_in_the_unit_that_has_begun(unit: str, first: datetime, last: datetime) -> None:
    assert (begin(NOW, unit), end(NOW, unit)) == (first, last)
    assert (begin(first, unit), end(first, unit)) == (first, last)
    assert end(last - timedelta(milliseconds=1), unit) == last


@given(st.sampled_from(UNITS), MOMENTS)
def test_every_moment_is_in_one_unit(unit: str, moment: datetime) -> None:
    assert begin(moment, unit) <= moment < end(moment, unit)
    assert end(begin(moment, unit), unit) == end(moment, unit) == begin(end(moment, unit), unit)


def test_what_is_wanted_begins_with_what_is_kept_and_ends_after_three_months() -> None:
    assert wanted(Partitioning("month", timedelta(days=30)), NOW) == Span(day(2026, 10, 1), day(2027, 3, 1))
    assert wanted(Partitioning("year", None), NOW) == Span(BEGINNING, day(2028, 1, 1))


def test_without_a_lower_bound_the_first_span_ends_with_the_unit_before_this_one() -> None:
    window = wanted(Partitioning("month", None), NOW)
    first, second, *_ = gaps(window, "month", [], NOW)
    assert (first, second) == (Span(BEGINNING, day(2026, 11, 1)), Span(day(2026, 11, 1), day(2026, 12, 1)))
    own = Span(day(2020, 1, 1), day(2026, 12, 1))  # the table's owner has made it
    assert list(gaps(window, "month", [own], NOW))[:2] == [
        Span(BEGINNING, own.lower),
        Span(day(2026, 12, 1), day(2027, 1, 1)),
    ]


@given(
    st.sampled_from(UNITS),
    MOMENTS,
    st.one_of(st.none(), st.integers(1, 800)),
    st.lists(st.tuples(st.integers(-900, 200), st.floats(0.01, 90)), max_size=6),
)
def test_gaps_and_what_is_taken_fill_the_window_without_an_overlap(
    unit: str, now: datetime, days: int | None, others: list[tuple[int, float]]
) -> None:
    window = wanted(Partitioning(unit, timedelta(days=days) if days else None), now)
    taken: list[Span] = []
    for offset, length in sorted(others):
        lower = now + timedelta(days=offset)
        if not taken or taken[-1].upper <= lower:
            taken.append(Span(lower, lower + timedelta(days=length)))
    made = list(gaps(window, unit, taken, now))
    spans = sorted([*taken, *made])
    assert all(one.upper <= other.lower for one, other in pairwise(spans))
    inside = [span for span in spans if span.upper > window.lower and span.lower < window.upper]
    assert inside[0].lower <= window.lower
    assert inside[-1].upper >= window.upper
    assert all(one.upper == other.lower for one, other in pairwise(inside))
    longest = {"day": 1, "month": 31, "year": 366}[unit]
    assert all(span.lower == BEGINNING or span.upper - span.lower <= timedelta(days=longest) for span in made)
    assert list(gaps(window, unit, spans, now)) == []
    assert window.upper >= now + AHEAD
