"""The size of a value space is counted from what is seen at each position, or from what the rule says."""

import math

import pytest

from sluice.declaration.rules import Boolean, Each, Integer, IpAddress, OneOf, Rule, Text
from tools.sluice_cli.authors import space
from tools.sluice_cli.authors.space import Space

TEXT = Text(max=5000)


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        (TEXT, {"593-47-5928", "104-25-0070"}, Space(10**9, "ddd-dd-dddd")),
        (TEXT, {"ab", "cd"}, Space(26**2, "aa")),
        (TEXT, {"ab", "CD"}, Space(52**2, "xx")),
        (TEXT, {"Zz9"}, Space(26 * 26 * 10, "Aad")),
        (TEXT, {"a1", "2z"}, Space(36**2, "xx")),
        (TEXT, {"0a-f9"}, Space(16**4, "hh-hh")),
        (TEXT, {"1", "22", "3333"}, Space(10 + 100 + 10_000, "3 lengths")),
        (TEXT, {"é1", "ü2", "é3"}, Space(2 * 10, "?d")),
        (TEXT, {"a!", "b?"}, Space(26 * 2, "a?")),
        (TEXT, {"!"}, Space(1, "?")),
        (IpAddress(), {"192.0.2.1"}, Space(2**32, "IPv4")),
        (IpAddress(), {"192.0.2.1", "2001:db8::1"}, Space(2**32 + 2**128, "IPv4 and IPv6")),
        (Each(IpAddress()), {"192.0.2.1"}, Space(2**32, "IPv4")),
        (OneOf("new", "paid", "sent"), {"new"}, Space(3, "choices")),
        (Boolean(), {"true"}, Space(2, "true or false")),
        (Integer(min=1, max=12), {"3", "12"}, Space(12, "the rule's bounds")),
        (Integer(), {"3", "7"}, Space(10, "d")),
        (TEXT, set(), Space(0, "")),
    ],
)
def test_a_space_has_this_size(rule: Rule, values: set[str], expected: Space) -> None:
    assert space.seen(rule, values) == expected


@pytest.mark.parametrize(
    ("size", "text"),
    [(9_999, "9,999"), (10**9, "10^9"), (2**32, "2^32"), (3 * 10**9, "about 10^9.5")],
)
def test_a_large_number_is_told_as_a_power(size: int, text: str) -> None:
    assert space.power(size) == text


def test_a_space_beyond_any_float_has_a_size_and_a_time() -> None:
    found = space.seen(TEXT, {"7" * 5000})
    assert found.text == "10^5000 (5000 characters)"
    assert space.duration(found.bits * math.log10(2)) == "10^4993 years"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "60 seconds"),
        (4300, "72 minutes"),
        (86_400, "24 hours"),
        (400 * 86_400, "400 days"),
        (5e10, "1,584 years"),
        (1e40, "10^33 years"),
    ],
)
def test_a_time_is_told_in_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert space.duration(math.log10(seconds)) == text


def test_the_rate_is_measured() -> None:
    assert 1_000 < space.hashes_per_second(seconds=0.01) < 1e9
