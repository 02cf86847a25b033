"""Texts, versions and addresses: one spelling each, whatever Unicode holds, in a time that no batch misses."""

import ipaddress
import time
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration.rules import CaseFolded, Custom, Each, IpAddress, OneOf, Rule, Text, Version, version_number
from sluice.failures import Rejected

TEXT = Text(max=10_000)
FOLDED = CaseFolded(max=10_000)
MARKS = "\N{COMBINING ACUTE ACCENT}\N{COMBINING GRAVE ACCENT BELOW}"


def refusal(rule: Rule, value: object) -> str:
    with pytest.raises(Rejected) as caught:
        rule.canonical(value)
    return caught.value.reason


texts = st.text(st.characters(), max_size=20) | st.text("αιΐΰᾴ̈ͅẞßİ\u0131\u017fK\N{ANGSTROM SIGN}ﬃ" + MARKS, max_size=8)


@given(texts)
def test_composed_and_decomposed_are_one_text(value: str) -> None:
    for rule in (TEXT, FOLDED):
        try:
            canonical = rule.canonical(value)
        except Rejected:
            continue
        assert rule.canonical(canonical) == canonical == normalize("NFC", canonical)
        assert {rule.canonical(normalize(form, value)) for form in ("NFC", "NFD")} == {canonical}
        assert rule.canonical(f" \t{value}\u3000") == canonical


@given(st.text("abzäöüßẞéñĳβδςλджյև" + MARKS, max_size=12).map("a".__add__))
def test_case_folded_is_one_in_capitals_and_in_small_letters(value: str) -> None:
    spellings = [value, value.upper(), value.lower(), value.title(), value.casefold(), value.swapcase()]
    assert len({FOLDED.canonical(spelling) for spelling in spellings}) == 1


def test_what_looks_alike_is_not_one_text() -> None:
    values = ["A", "\uff21", "\u0410", "\u0391", "a\N{ZERO WIDTH SPACE}"]
    assert len({TEXT.canonical(value) for value in values}) == len(values)


@pytest.mark.parametrize("rule", [TEXT, FOLDED, Custom(max=10_000, form=str)])
def test_what_postgresql_cannot_store_is_refused(rule: Rule) -> None:
    assert refusal(rule, "a\0") == "nul_character"
    assert refusal(rule, "a\ud800") == "lone_surrogate"
    assert refusal(rule, "\N{ZERO WIDTH SPACE}"[:0]) == "empty"


@pytest.mark.parametrize("rule", [Text(max=9), CaseFolded(max=9), Custom(max=9, form=str), Text(max=10**6)])
def test_a_text_of_marks_alone_is_refused_at_once(rule: Rule) -> None:
    began = time.process_time()
    assert refusal(rule, MARKS * 200_000) == "too_many_marks"  # to normalise it would take minutes
    assert time.process_time() - began < 5


def test_marks_in_measure_are_fine_in_a_long_text() -> None:
    text = ("a" + MARKS * 15 + " ") * 100
    assert Text(max=10_000).canonical(text) == normalize("NFC", text).strip()


def test_the_limit_of_a_custom_text_is_that_of_its_canonical_form() -> None:
    plate = Custom(max=6, form=lambda value: value.replace(" ", ""))
    assert plate.canonical("B AD 123") == "BAD123"
    assert refusal(plate, "B AD 1234") == "too_long"


@given(texts, st.integers(1, 20))
def test_what_truncate_leaves_of_a_text_is_its_first_characters(value: str, to: int) -> None:
    for rule in (TEXT, FOLDED, Version(), Custom(max=99, form=str)):
        left = rule.shorten(to)(value)
        assert value.startswith(left)
        assert len(left) == min(to, len(value))


@pytest.mark.parametrize(
    "value", ["\uff11.\uff12", "1\u066b2", "٢.٣", "²", "1.2\0", "1_0.2", " 1.2", "1.2\n", "-1.2", "1..2", "1e3"]
)
def test_a_version_has_ascii_digits_and_dots(value: str) -> None:
    assert refusal(Version(), value) == "not_a_version"


def test_a_version_of_any_length_is_taken_or_refused() -> None:
    rule = Version(max=10_000)
    assert refusal(rule, "9" * 5000) == refusal(rule, "1." + "9" * 5000) == "out_of_range"
    assert version_number("0" * 5000 + "1.0") == 1_000_000
    assert rule.canonical("0" * 5000) == "0" * 5000


@given(st.ip_addresses(), st.sampled_from(["", " ", "\t", "\n", "\N{NO-BREAK SPACE}"]))
def test_white_space_around_an_ip_address_is_not_a_part_of_it(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, space: str
) -> None:
    canonical = IpAddress().canonical(f"{space}{address}{space}")
    assert canonical == IpAddress().canonical(canonical) == IpAddress().canonical(str(address))


@given(st.ip_addresses())
def test_what_truncate_leaves_of_an_address_is_its_network(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    canonical = IpAddress().canonical(str(address))
    network = ipaddress.ip_network(IpAddress().shorten(None)(canonical))
    assert ipaddress.ip_address(canonical) in network
    assert network.prefixlen == (24 if network.version == 4 else 48)


@pytest.mark.parametrize("value", ["A", " a", "a ", "\uff41", "\u0430", "a\0", "", "a\N{ZERO WIDTH SPACE}"])
def test_a_choice_is_spelled_exactly_so(value: str) -> None:
    assert refusal(OneOf("a", "b"), value) == "not_a_choice"


def test_an_element_of_a_list_has_the_form_of_its_rule() -> None:
    assert Each(CaseFolded(max=9)).canonical([" É ", "e\N{COMBINING ACUTE ACCENT}"]) == ["é", "é"]
    with pytest.raises(Rejected) as caught:
        Each(Text(max=9)).canonical(["a", "\0"])
    assert (caught.value.reason, caught.value.pointer) == ("nul_character", "/1")
