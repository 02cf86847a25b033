"""Rules: what a field accepts, on both sides of every limit."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration.rules import (
    Card,
    Email,
    Iban,
    Id,
    Integer,
    IpAddress,
    Number,
    Rule,
    Text,
    Version,
    version_number,
)
from sluice.failures import Rejected


@pytest.mark.parametrize(
    ("rule", "value", "canonical_value"),
    [
        (Text(max=3), "abc", "abc"),
        (Text(max=3), "  abc  ", "abc"),  # the limit is that of the column, so of the canonical value
        (Text(max=1), "e\N{COMBINING ACUTE ACCENT}", "é"),
        (Text(max=3), "😀😀😀", "😀😀😀"),  # characters, as PostgreSQL counts
        (Id(max=3), " 042 ", "042"),  # a text stays as it is
        (Id(max=3), 42, "42"),
        (Id(max=3), Decimal("42.0"), "42"),
        (Id(max=3), -42, "-42"),
        (Id(max=19), 2**63, str(2**63)),
        (Email(), "Ada@Example.com", "Ada@example.com"),
        (Email(fold=True), "Ada@Example.com", "ada@example.com"),
        (IpAddress(), "::ffff:1.2.3.4", "1.2.3.4"),
        (Card(), " 4111 1111-1111\u00a01111 ", "4111111111111111"),
        (Card(), "378282246310005", "378282246310005"),
        (Card(), "6759649826438453", "6759649826438453"),
        (Iban(), " gb33 BUKB 2020-1555 5555 55 ", "GB33BUKB20201555555555"),
        (Iban(), "NO9386011117947", "NO9386011117947"),
        (Iban(), "MT84MALT011000012345MTLCAST001S", "MT84MALT011000012345MTLCAST001S"),
        (Version(), "6.02", "6.02"),
        (Version(), "0" * 31 + "1", "0" * 31 + "1"),
        (Version(max=3), "2.3", "2.3"),
    ],
)
def test_a_rule_returns_the_canonical_value(rule: Rule, value: Any, canonical_value: str) -> None:
    assert rule.canonical(value) == canonical_value


@pytest.mark.parametrize(
    ("rule", "value", "reason"),
    [
        (Text(max=3), "abcd", "too_long"),
        (Text(max=3), "", "empty"),
        (Text(max=3), "a\0", "nul_character"),
        (Id(max=3), 4200, "too_long"),
        (Id(max=3), " ", "empty"),
        (Id(max=3), Decimal("4.2"), "too_precise"),
        (Id(max=30), Decimal("1e30"), "out_of_range"),
        (Id(max=3), True, "wrong_type"),
        (Id(max=3), [42], "wrong_type"),
        (IpAddress(), "1.2.3", "not_an_ip_address"),
        (Card(), "4111111111111112", "not_a_card_number"),  # its check digit
        (Card(), "1234567890123452", "not_a_card_number"),  # no scheme has it
        (Card(), "4111  1111 1111 1111", "not_a_card_number"),
        (Card(), "-4111111111111111", "not_a_card_number"),
        (Card(), "4" * 65, "too_long"),
        (Card(), "٤111111111111111", "not_a_card_number"),
        (Iban(), "GB33BUKB20201555555556", "not_an_iban"),
        (Iban(), "GB33BUKB2020155555555", "not_an_iban"),  # its country's length
        (Iban(), "XX33BUKB20201555555555", "not_an_iban"),
        (Iban(), "GB33 BUKB 2020 1555 5555 55 .", "not_an_iban"),
        (Iban(), "ﬁ2112345600000785", "not_an_iban"),  # a ligature, of which upper() makes two letters
        (Version(), "0" * 33, "too_long"),
        (Version(max=3), "2.30", "too_long"),
        (Version(), "2.3b", "not_a_version"),
        (Version(), "2.1000", "out_of_range"),
    ],
)
def test_a_rule_rejects_with_a_reason(rule: Rule, value: Any, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        rule.canonical(value)
    assert (caught.value.reason, caught.value.pointer) == (reason, "")


@pytest.mark.parametrize(
    ("version", "number"),
    [
        ("2.3.0", 2_003_000),
        ("2.3", 2_003_000),
        ("2", 2_000_000),
        ("0", 0),
        ("0.2.6", 2_006),
        ("2.6", 2_006_000),
        ("0.26", 26_000),
        ("0.96", 96_000),
        ("6.02", 6_002_000),
        ("2.00", 2_000_000),
        ("1.999.999", 1_999_999),
        ("01.002.0003", 1_002_003),
        ("2147", 2_147_000_000),
        ("2147.483", 2_147_483_000),
        ("2147.483.647", 2_147_483_647),
    ],
)
def test_a_version_is_one_to_three_numbers(version: str, number: int) -> None:
    assert version_number(version) == number


@pytest.mark.parametrize(
    "version", ["1.1000", "1.0.1000", "1.1000.0", "2147.483.648", "2147.484", "2148", "99999999999999999999"]
)
def test_a_version_over_a_limit_is_rejected(version: str) -> None:
    with pytest.raises(Rejected) as caught:
        version_number(version)
    assert (caught.value.reason, caught.value.pointer) == ("out_of_range", "")


@pytest.mark.parametrize(
    "version",
    [
        "",
        ".",
        "1.",
        ".1",
        "1..2",
        "1.2.3.4",
        "v1",
        "1.2-beta",
        "-1",
        "+1",
        "1_0",
        "1e3",
        "0x1",
        " 1",
        "1\n",
        "1,2",
        "²",
        "\N{ARABIC-INDIC DIGIT ONE}.1",
        "\N{FULLWIDTH DIGIT ONE}",
    ],
)
def test_what_is_not_ascii_digits_between_dots_is_no_version(version: str) -> None:
    with pytest.raises(Rejected) as caught:
        version_number(version)
    assert (caught.value.reason, caught.value.pointer) == ("not_a_version", "")


_versions = st.tuples(st.integers(0, 2146), st.integers(0, 999), st.integers(0, 999))


@given(_versions, _versions)
def test_version_numbers_sort_as_versions_sort(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    numbers = [version_number(".".join(map(str, version))) for version in (one, other)]
    assert (numbers[0] < numbers[1], numbers[0] == numbers[1]) == (one < other, one == other)


def test_the_bounds_of_an_integer_are_among_its_values() -> None:
    rule = Integer(min=1, max=2)
    assert [rule.canonical(number) for number in (1, 2)] == [1, 2]
    Integer(min=1, max=1).check()  # one value is enough


def test_the_text_of_a_number_has_all_its_digits_and_no_exponent() -> None:
    rule = Number(precision=20, scale=10)
    assert [rule.text(rule.canonical(number)) for number in (0, "1e-10", 2)] == [
        "0.0000000000",
        "0.0000000001",
        "2.0000000000",
    ]
