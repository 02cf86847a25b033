"""Numbers: with all their digits, as numbers or as texts of ASCII digits; what is too large is refused at once."""

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration.masks import Keep
from sluice.declaration.rules import Boolean, Integer, Number, Rule
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.unit.kinds import PLACES, declare, field, mask_body

PRICE = Number(precision=6, scale=2)
COUNT = Integer(text=True)


def kept(rule: Rule, value: str, keyset: Keyset) -> Any:
    """Return the cell of a value given as JSON, or the reason why there is none."""
    place = PLACES["alone"]
    try:
        return mask_body(place.declare(rule, Keep()), place.record("", value), keyset)[0]
    except Rejected as rejected:
        return rejected.reason if rejected.pointer == "/field" else rejected


@pytest.mark.parametrize(
    "value", ["12.5", "12.50", "1.25e1", "1.25E+1", "125e-1", '"12.5"', '"012.50"', '"+12.5"', '"1.25e1"']
)
def test_every_spelling_of_a_number_is_one_number(value: str, keyset: Keyset) -> None:
    assert str(kept(PRICE, value, keyset)) == "12.50"


@pytest.mark.parametrize("value", ["0", "-0", "0.0", "-0.00", "0e5", '"-0"', '"+0"', '".0"', '"0."'])
def test_there_is_one_zero(value: str, keyset: Keyset) -> None:
    assert str(kept(PRICE, value, keyset)) == "0.00"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        *[
            (json.dumps(text), "wrong_type")
            for text in (
                *("1_000", "1,000", "1 000", " 1", "1\n", "1\0", "", "+", "-", ".", "1.2.3", "1e", "e1", "0x1f", "1/2"),
                *(
                    "$1",
                    "1 €",
                    "1%",
                    "(1)",
                    "--1",
                    "١٢",
                    "\uff11\uff12",
                    "²",
                    "½",
                    "Ⅷ",
                    "\u22121",
                    "1\N{NO-BREAK SPACE}",
                    "true",
                ),
            )
        ],
        *[
            (f'"{text}"', "out_of_range")
            for text in ("NaN", "-nan", "sNaN", "Infinity", "-inf", "1e999999999999999999")
        ],
        *[(f'"{text}"', "out_of_range") for text in ("1e5000", "1e-5000", "9" * 5000)],
        *[
            (text, "out_of_range")
            for text in ("1e400", "1e99999999999999999999", "1e-99999999999999999999", "9" * 5000)
        ],
        ("1e-400", "too_precise"),
        ("1.005", "too_precise"),
        (f"0.{'9' * 5000}", "too_precise"),
        *[(value, "wrong_type") for value in ("true", "false", "[]", "{}", "[1]")],
        ("null", "null"),
    ],
    ids=lambda value: value[:30],
)
def test_what_is_no_number_is_refused(value: str, reason: str, keyset: Keyset) -> None:
    assert kept(PRICE, value, keyset) == reason


@pytest.mark.parametrize("number", [Number(200, 150), Number(1000, 1000), Number(1000, 0), Number(1, 0), Number(1, 1)])
@pytest.mark.parametrize(
    "value",
    ["1e999", '"1e999"', "-1e1000", "1e50", "1e1001", "1e-1000", "1e-1001", f"{'9' * 999}e1", f'"{"9" * 99999}"'],
)
def test_a_number_of_any_size_is_taken_or_refused_at_once(number: Number, value: str, keyset: Keyset) -> None:
    began = time.process_time()
    found = kept(number, value, keyset)
    assert isinstance(found, Decimal) or found in ("out_of_range", "too_precise")
    assert time.process_time() - began < 1


def test_no_digit_of_a_number_is_lost(keyset: Keyset) -> None:
    number = "1234567890123456789012345678.0123456789"
    for value in (number, f'"{number}"', f"-{number}"):
        assert str(kept(Number(precision=38, scale=10), value, keyset)) == json.loads(f'"{value.strip(chr(34))}"')


@pytest.mark.parametrize("value", ["7", "7.0", "70e-1", '"7"', '"007"', '"+7"', '"7.0"'])
def test_an_integer_may_be_a_text_or_have_a_point_where_that_is_declared(value: str, keyset: Keyset) -> None:
    assert kept(COUNT, value, keyset) == 7
    if value != "7":
        assert kept(Integer(), value, keyset) == "wrong_type"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("7.5", "too_precise"),
        ('"7.5"', "too_precise"),
        ("9223372036854775808", "out_of_range"),
        ('"-9223372036854775809"', "out_of_range"),
        ("1e999999", "out_of_range"),
        ('"1e999999"', "out_of_range"),
        ("9223372036854775807.5", "too_precise"),
        *[
            (json.dumps(text), "wrong_type")
            for text in ("", " 7", "7 ", "1_0", "\u0667", "\uff17", "0x7", "seven", "7\0")
        ],
        *[(value, "wrong_type") for value in ("true", "[]", "{}")],
        ("null", "null"),
    ],
)
def test_an_integer_as_text_is_a_whole_number_and_nothing_else(value: str, reason: str, keyset: Keyset) -> None:
    assert kept(COUNT, value, keyset) == reason


def test_an_integer_as_text_has_all_its_digits(keyset: Keyset) -> None:
    for value in ("9007199254740993", "9007199254740993.0", '"9223372036854775807"'):
        assert kept(COUNT, value, keyset) == int(value.strip('"').removesuffix(".0"))


def test_a_boolean_is_no_number_and_a_number_no_boolean(keyset: Keyset) -> None:
    for rule in (PRICE, COUNT, Integer()):
        assert kept(rule, "true", keyset) == "wrong_type"
    for value in ("0", "1", '"true"'):
        assert kept(Boolean(), value, keyset) == "wrong_type"


@given(st.decimals(-9999, 9999, places=2, allow_nan=False))
def test_a_canonical_number_is_its_own_canonical_form_and_so_is_its_text(value: Decimal) -> None:
    canonical = PRICE.canonical(value)
    again = [PRICE.canonical(canonical), PRICE.canonical(PRICE.text(canonical)), PRICE.canonical(f"{value:E}")]
    assert [repr(one) for one in again] == [repr(canonical)] * 3


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6))
def test_what_truncate_leaves_of_a_number_is_the_next_lower_multiple(value: int, step: int) -> None:
    for left in (Integer().shorten(step)(value), Number(12, 2).shorten(step)(Decimal(value) + Decimal("0.25"))):
        assert left % step == 0
        assert left <= value < left + step
        assert left == int(left)


class Anything(Rule):
    """A rule of a user's own, for JSON of any shape."""

    accepts = dict[str, Any]

    @property
    def makes(self) -> Any:
        return dict

    def canonical(self, value: dict[str, Any], /) -> str:
        return repr(value)


def test_a_rule_of_a_users_own_gets_numbers_as_python_has_them_beside_a_number(keyset: Keyset) -> None:
    stream = declare(Stream, {"any": field(Anything()), "price": field(PRICE)}, table="declared")
    body = '{"any": {"a": 1.50, "b": [1, 2.5e0], "c": 1e400}, "price": 3.10}'
    assert mask_body(stream, body, keyset) == ["{'a': 1.5, 'b': [1, 2.5], 'c': Decimal('1E+400')}", Decimal("3.10")]
