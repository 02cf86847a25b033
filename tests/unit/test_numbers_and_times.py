"""Rounded numbers, floats, truth as text, lists of lists; the units, zones and formats of times; dates."""

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from email.utils import format_datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.declaration.masks import Keep, Pseudonym, Truncate
from sluice.declaration.rules import Boolean, Date, Each, Email, Float, Integer, NullIf, Number, Rule, Timestamp
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.unit.kinds import declare, mask_body

BERLIN = ZoneInfo("Europe/Berlin")
MOMENT = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
MICROSECONDS, NANOSECONDS = Timestamp(epoch="microseconds"), Timestamp(epoch="nanoseconds")
ZONED, MAIL, HTTP = Timestamp(zone="Europe/Berlin"), Timestamp(format="rfc2822"), Timestamp(format="http")
ROUNDED = Number(precision=4, scale=2, round=True)
EXACT = Context(prec=400)


def stream_of(rule: Rule, *masks: Any) -> type[Stream]:
    made: type[Stream] = declare(Stream, {"field": Annotated[(rule.makes, rule, *masks)]}, table="declared")
    return made


def reason(rule: Rule, given: str, keyset: Keyset) -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        stream_of(rule).masker(keyset)(f'{{"field": {given}}}')
    return caught.value.reason, caught.value.pointer


@pytest.mark.parametrize(
    ("rule", "given", "canonical"),
    [
        (ROUNDED, "52.48299920791517", Decimal("52.48")),
        (ROUNDED, "0.005", Decimal("0.01")),  # PostgreSQL: select 0.005::numeric(4,2)
        (ROUNDED, "-0.005", Decimal("-0.01")),
        (ROUNDED, '"1.00499999999999999999999"', Decimal("1.00")),
        (ROUNDED, "-0.004", Decimal("0.00")),
        (ROUNDED, "99.994999999999999999", Decimal("99.99")),
        (ROUNDED, "1e-300", Decimal("0.00")),
        (Number(precision=2, scale=0, round=True), "2.5", Decimal(3)),
        (Float(), "52.48299920791517", 52.48299920791517),
        (Float(), "9007199254740993", 9007199254740992.0),  # the nearest float
        (Float(), "1", 1.0),
        (Float(), '"1.5e3"', 1500.0),
        (Float(), "-0.0", 0.0),
        (Float(), "5e-324", 5e-324),
        (Float(), "1.7976931348623157e308", 1.7976931348623157e308),
        (Boolean(text=True), '"True"', True),
        (Boolean(text=True), '"false"', False),
        (Boolean(text=True), "true", True),
        (MICROSECONDS, "1774944000000001", MOMENT + timedelta(microseconds=1)),
        (MICROSECONDS, '"1774944000000001.9"', MOMENT + timedelta(microseconds=1)),
        (NANOSECONDS, "1774944000000001999", MOMENT + timedelta(microseconds=1)),
        (NANOSECONDS, '"1774944000000000999"', MOMENT),
        (NANOSECONDS, '"2026-03-31T08:00:00.000000999Z"', MOMENT),
        (ZONED, '"2026-03-31T10:00:00"', MOMENT),
        (ZONED, '"2026-03-31 10:00"', MOMENT),
        (ZONED, '"20260331T100000"', MOMENT),
        (ZONED, '"2026-03-31T08:00:00Z"', MOMENT),
        (ZONED, "1774944000", MOMENT),
        (ZONED, '"2026-03-29T01:59:59"', datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)),
        (ZONED, '"2026-03-29T03:00:00"', datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        (ZONED, '"2017-01-01T00:59:60"', datetime(2017, 1, 1, tzinfo=UTC)),  # a leap second, in local time
        *[
            (MAIL, json.dumps(text), MOMENT)
            for text in [
                "Tue, 31 Mar 2026 10:00:00 +0200 (CEST)",
                "Tue, 31 Mar 2026 10:00:00 +0200",
                "31 Mar 2026 08:00 GMT",
                "31 Mar 2026 08:00:00 -0000",
                "tue,  31 mar 2026\r\n 04:00:00 EDT",
                " Tue, 31 Mar 2026 08:00:00 UT ",
            ]
        ],
        (MAIL, '"31 Dec 2016 23:59:60 +0000"', datetime(2017, 1, 1, tzinfo=UTC)),
        (HTTP, '"Tue, 31 Mar 2026 08:00:00 GMT"', MOMENT),
        (HTTP, '"Tue Mar 31 08:00:00 2026"', MOMENT),
        (HTTP, '"Sun Nov  6 08:49:37 1994"', datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        (Date(), '"2026-02-28"', date(2026, 2, 28)),
        (Date(), '"00010101"', date(1, 1, 1)),
    ],
)
def test_a_value_is_brought_to_its_canonical_form(rule: Rule, given: str, canonical: Any, keyset: Keyset) -> None:
    found: list[Any] = []
    stream = stream_of(rule, Keep(as_=lambda value: found.append(value)))
    stream.masker(keyset)(f'{{"field": {given}}}')
    assert [(type(one), repr(one)) for one in found] == [(type(canonical), repr(canonical))]


@pytest.mark.parametrize(
    ("rule", "given", "expected"),
    [
        (ROUNDED, "99.995", "out_of_range"),  # after it is rounded
        (ROUNDED, "-99.995", "out_of_range"),
        (ROUNDED, "1e400", "out_of_range"),
        (ROUNDED, '"NaN"', "out_of_range"),
        (ROUNDED, '"x"', "wrong_type"),
        (Float(), "1e309", "out_of_range"),
        (Float(), "-1e309", "out_of_range"),
        (Float(), "1.7976931348623159e308", "out_of_range"),
        (Float(), "1e-400", "out_of_range"),
        *[(Float(), f'"{text}"', "out_of_range") for text in ("NaN", "Infinity", "-inf")],
        *[(Float(), value, "wrong_type") for value in ('"1_0"', '" 1"', '""', "true", "[]", "{}")],
        *[(Boolean(text=True), value, "wrong_type") for value in ('"yes"', '"1"', '" true"', '""', "1", "[]")],
        (MICROSECONDS, "1774944000000", "out_of_range"),  # milliseconds
        (NANOSECONDS, "1774944000000001", "out_of_range"),
        (NANOSECONDS, "9" * 40, "out_of_range"),
        (ZONED, '"2026-10-25T02:30:00"', "ambiguous_time"),
        (ZONED, '"2026-03-29T02:30:00"', "not_a_timestamp"),  # the clocks skipped it
        (ZONED, '"2026-03-31"', "not_a_timestamp"),
        (ZONED, '"20260331"', "not_a_timestamp"),
        (ZONED, '"0001-01-01T00:00:00"', "out_of_range"),
        *[
            (MAIL, json.dumps(text), "not_a_timestamp")
            for text in [
                "Mon, 31 Mar 2026 10:00:00 +0200",  # it was a Tuesday
                "31 Mar 26 10:00:00 +0200",
                "31 Mar 2026 10:00:00",
                "31 Mar 2026 10:00:00 A",
                "31 Mar 2026 10:00:00 CEST",
                "31 Feb 2026 10:00:00 +0200",
                "31 Mar 2026 24:00:00 +0200",
                "31 Mar 2026 10:00:00 +0260",
                "2026-03-31T10:00:00Z",
                "1774944000",
                "Tue, 31 Mar 2026 10:00:00 +0200 (a (b))",
                "",
                " " * 5000 + "x",
            ]
        ],
        (MAIL, "1774944000", "wrong_type"),
        *[
            (HTTP, json.dumps(text), "not_a_timestamp")
            for text in [
                "Tue, 31 Mar 2026 08:00:00 +0000",
                "Tuesday, 31-Mar-26 08:00:00 GMT",
                "tue, 31 Mar 2026 08:00:00 GMT",
                "Wed Mar 31 08:00:00 2026",
            ]
        ],
        *[
            (Date(), json.dumps(text), "not_a_date")
            for text in ["2026-02-29", "2026-2-1", "2026-02-01T00:00:00Z", "2026-W05-6", "0000-01-01", "", "31.01.2026"]
        ],
        *[(Date(), value, "wrong_type") for value in ("20260131", "true", "[]")],
    ],
)  # fmt: skip
def test_what_is_no_such_value_is_refused(rule: Rule, given: str, expected: str, keyset: Keyset) -> None:
    assert reason(rule, given, keyset) == (expected, "/field")


@settings(max_examples=60)
@given(st.decimals(-(10**6), 10**6, allow_nan=False) | st.floats(-1e6, 1e6).map(lambda value: Decimal(repr(value))))
def test_a_rounded_number_is_the_nearest_and_a_half_goes_away_from_zero(value: Decimal) -> None:
    found = Number(precision=9, scale=2, round=True).canonical(str(value))
    assert found == value.quantize(Decimal("0.01"), ROUND_HALF_UP, EXACT)
    assert abs(found - value) <= Decimal("0.005")


@settings(max_examples=60)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_as_it_is_and_its_text_has_one_spelling(value: float) -> None:
    rule = Float()
    (found,) = {rule.canonical(Decimal(text)) for text in (repr(value), f"{value:.17e}")}
    assert found == value
    assert math.copysign(1, found) == (math.copysign(1, value) if value else 1)
    assert float(rule.text(found)) == json.loads(str(rule.cell(found))) == value


@settings(max_examples=60)
@given(st.datetimes(datetime(1950, 1, 1), datetime(2099, 1, 1)))
def test_a_time_of_a_zone_is_that_moment_or_refused(local: datetime) -> None:
    moments = {local.replace(tzinfo=BERLIN, fold=fold).astimezone(UTC) for fold in (0, 1)}
    try:
        assert {ZONED.canonical(local.isoformat())} == moments
    except Rejected:
        assert len(moments) == 2


@settings(max_examples=60)
@given(st.datetimes(datetime(1950, 1, 1), datetime(2099, 1, 1), timezones=st.sampled_from([UTC, BERLIN])))
def test_what_the_standard_library_writes_in_an_email_is_read(moment: datetime) -> None:
    assert MAIL.canonical(format_datetime(moment)) == moment.replace(microsecond=0).astimezone(UTC)
    in_utc = moment.astimezone(UTC)
    assert HTTP.canonical(format_datetime(in_utc, usegmt=True)) == in_utc.replace(microsecond=0)
    assert MAIL.canonical(MAIL.spelled(moment)) == HTTP.canonical(HTTP.spelled(moment))


def test_bounds_hold_for_every_format(keyset: Keyset) -> None:
    for format in ("rfc2822", "http"):
        rule = Timestamp(format=format, earliest=MOMENT, latest=MOMENT)
        assert rule.canonical(rule.spelled(MOMENT)) == MOMENT
        assert rule.canonical(rule.example) == MOMENT
        late = json.dumps(rule.spelled(MOMENT + timedelta(seconds=1)))
        assert reason(rule, late, keyset) == ("out_of_range", "/field")


MATRIX = Each(Each(Number(precision=4, scale=1), max=2), max=3, json=True)


@pytest.mark.parametrize(
    ("rule", "masks", "given", "cell"),
    [
        (MATRIX, [], '[[1, "2.5"], [], [3]]', [[Decimal("1.0"), Decimal("2.5")], [], [Decimal("3.0")]]),
        (MATRIX, [Truncate(to=2)], "[[1, 2.5]]", [[0, 2]]),
        (MATRIX, [Keep(as_=lambda value: int(value * 10))], "[[1, 2.5]]", [[10, 25]]),
        (Each(Each(Boolean()), json=True), [], "[[true], [false]]", [[True], [False]]),
        (Each(Each(Each(Date())), json=True), [], '[[["20260131"]]]', [[["2026-01-31"]]]),
    ],
)
def test_a_list_of_lists_is_json(rule: Rule, masks: list[Any], given: str, cell: Any, keyset: Keyset) -> None:
    assert mask_body(stream_of(rule, *masks), f'{{"field": {given}}}', keyset) == [cell]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("[[1], [2, 3.25]]", ("too_precise", "/field/1/1")),
        ("[[1], [2, 3, 4]]", ("too_many", "/field/1")),
        ("[[1], [], [], []]", ("too_many", "/field")),
        ("[[1], 2]", ("wrong_type", "/field/1")),
        ("[[1], null]", ("null", "/field/1")),
        ("[[1], [null]]", ("null", "/field/1/0")),
    ],
)
def test_what_is_refused_in_a_list_of_lists_has_its_indices(
    given: str, expected: tuple[str, str], keyset: Keyset
) -> None:
    assert reason(MATRIX, given, keyset) == expected


def test_the_values_in_a_list_of_lists_have_tokens_and_may_be_null(keyset: Keyset) -> None:
    member = Annotated[list[list[str | None]], Each(Each(Email()), json=True), NullIf("blank", "invalid"), Pseudonym()]
    mask = declare(Stream, {"field": member}, table="declared").masker(keyset)
    token = keyset.pseudonymizer("field")("ada@example.com")
    masked = mask('{"field": [["ada@example.com", " "], ["kn4ry", 1, null]]}')
    assert json.loads(masked.cells[0]) == [[token, None], [None, None, None]]
    assert masked.nulled == ("/field/*/*", "/field/*/*")


def test_an_integer_is_not_a_float_by_its_token(keyset: Keyset) -> None:
    assert (Integer().text(5), Float().text(5.0), Number(3, 1).text(Decimal("5.0"))) == ("5", "5.0", "5.0")
