"""Canonical forms: every spelling of a value becomes one."""

import ipaddress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration import canonical
from sluice.failures import Rejected


@pytest.mark.parametrize(
    ("value", "canonical_value"),
    [
        ("RU", "RU"),
        ("  RU\t\n", "RU"),
        ("\N{NO-BREAK SPACE}RU\N{IDEOGRAPHIC SPACE}", "RU"),
        ("two words", "two words"),
        ("e\N{COMBINING ACUTE ACCENT}", "é"),
        ("\N{ANGSTROM SIGN}", "Å"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}", "\N{FULLWIDTH LATIN CAPITAL LETTER A}"),  # NFC, not NFKC
        ("😀", "😀"),
    ],
)
def test_text_becomes_nfc_without_surrounding_white_space(value: str, canonical_value: str) -> None:
    assert canonical.text(value) == canonical_value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "empty"),
        (" \t\n", "empty"),
        ("\N{NO-BREAK SPACE}", "empty"),
        ("\0", "nul_character"),
        ("a\0b", "nul_character"),
    ],
)
def test_text_that_is_empty_or_has_a_nul_is_rejected(value: str, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        canonical.text(value)
    assert (caught.value.reason, caught.value.pointer) == (reason, "")


@given(st.text())
def test_canonical_text_is_its_own_canonical_form(value: str) -> None:
    try:
        once = canonical.text(value)
    except Rejected:
        return
    assert canonical.text(once) == once


@pytest.mark.parametrize(
    ("value", "canonical_value"),
    [
        ("199.172.111.135", "199.172.111.135"),
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255"),
        (" 199.172.111.135\n", "199.172.111.135"),
        ("\t2001:DB8::1 ", "2001:db8::1"),
        ("127.96.0.101", "127.96.0.101"),  # loopback
        ("10.0.0.1", "10.0.0.1"),  # private
        ("224.0.0.1", "224.0.0.1"),  # multicast
        ("241.6.88.151", "241.6.88.151"),  # reserved
        ("::1", "::1"),
        ("ff02::1", "ff02::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("2001:db8:0:0:0:0:0.0.0.1", "2001:db8::1"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("::ffff:199.172.111.135", "199.172.111.135"),
        ("::FFFF:c7ac:6f87", "199.172.111.135"),
        ("0:0:0:0:0:ffff:c7ac:6f87", "199.172.111.135"),
        ("::199.172.111.135", "::c7ac:6f87"),  # IPv4-compatible, not IPv4-mapped
        ("64:ff9b::199.172.111.135", "64:ff9b::c7ac:6f87"),
    ],
)
def test_an_ip_address_becomes_its_one_spelling_whatever_it_is_reserved_for(value: str, canonical_value: str) -> None:
    assert canonical.ip_address(value) == canonical_value


@given(st.ip_addresses(v=6))
def test_every_spelling_of_an_ipv6_address_has_one_canonical_form(address: ipaddress.IPv6Address) -> None:
    last = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    spellings = [str(address), address.exploded, address.exploded.upper(), f"{address.exploded[:29]}:{last}"]
    assert {canonical.ip_address(spelling) for spelling in spellings} == {str(address.ipv4_mapped or address)}


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_is_its_own_canonical_form_and_that_of_its_mapped_one(
    address: ipaddress.IPv4Address,
) -> None:
    assert canonical.ip_address(str(address)) == canonical.ip_address(f"::ffff:{address}") == str(address)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "localhost",
        "199.172.111",
        "199.172.111.256",
        "199.172.111.135.1",
        "199.172.111.0135",
        "0x7f.0.0.1",
        "3350228871",
        "199.172.111.135/32",
        "199.172.111.135:80",
        "199.172.111. 135",
        "199.172.111.135\0",
        "\N{ARABIC-INDIC DIGIT ONE}.1.1.1",
        "[::1]",
        "::1/128",
        "1::2::3",
        "12345::",
        ":::",
    ],
)
def test_what_is_no_ip_address_is_rejected(value: str) -> None:
    with pytest.raises(Rejected) as caught:
        canonical.ip_address(value)
    assert (caught.value.reason, caught.value.pointer) == ("not_an_ip_address", "")
    assert caught.value.__suppress_context__  # the cause quotes the value


@pytest.mark.parametrize("value", ["fe80::1%eth0", "fe80::1%1", "::ffff:199.172.111.135%2"])
def test_an_ip_address_with_a_scope_is_rejected(value: str) -> None:
    with pytest.raises(Rejected) as caught:
        canonical.ip_address(value)
    assert (caught.value.reason, caught.value.pointer) == ("scoped_ip_address", "")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, "1"),
        (0.1, "0.1"),
        ("1.50", "1.50"),
        ("-.5e1", "-5"),
        (Decimal("2.50"), "2.50"),
        ("1e1000", "1E+1000"),
        ("1e-1000", "1E-1000"),
    ],
)
def test_a_number_keeps_all_its_digits(value: object, number: str) -> None:
    assert str(canonical.number(value)) == number


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null"),
        (True, "wrong_type"),
        ([1], "wrong_type"),
        ("1_0", "wrong_type"),
        ("one", "wrong_type"),
        ("NaN", "out_of_range"),
        ("-Infinity", "out_of_range"),
        (Decimal("sNaN"), "out_of_range"),
        ("1e1001", "out_of_range"),
        ("1e-1001", "out_of_range"),
    ],
)
def test_what_is_no_number_that_postgresql_holds_is_rejected(value: object, reason: str) -> None:
    with pytest.raises(Rejected) as rejected:
        canonical.number(value)
    assert rejected.value.reason == reason


def test_the_network_of_an_address_is_what_many_share() -> None:
    assert canonical.ip_network("203.0.113.77") == "203.0.113.0/24"
    assert canonical.ip_network("2001:db8:1:2::5") == "2001:db8:1::/48"


def test_a_region_has_two_capital_letters() -> None:
    assert [canonical.is_phone_region(region) for region in ("GB", "gb", "XX")] == [True, False, False]
