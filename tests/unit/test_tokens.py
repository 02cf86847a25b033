"""Tokens: what they must always be, computed here a second time with the standard library alone."""

import hmac
import json
import traceback
from base64 import urlsafe_b64encode
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.failures import Outage
from sluice.pseudonyms.keyset import Keyset
from tests.unit.fakes import DEVICE_TOKEN, IP_TOKEN, LOGIN

KEY = "k3y" + "0" * 61
KEYS = ["1" * 64, "2" * 64]


def hkdf(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """Derive a key as RFC 5869 says."""
    pseudorandom_key = hmac.digest(salt or bytes(32), key, "sha256")
    output = block = b""
    while len(output) < length:
        block = hmac.digest(pseudorandom_key, block + info + bytes([len(output) // 32 + 1]), "sha256")
        output += block
    return output[:length]


def token(keys: Sequence[str], domain: str, value: str) -> str:
    """Return the token that README promises, made with the standard library alone."""
    digest = value.encode()
    for key in keys:
        digest = hmac.digest(hkdf(key.encode(), b"", f"sluice/token/v1/{domain}".encode(), 32), digest, "sha256")
    return f"t{len(keys)}_{urlsafe_b64encode(digest).decode().rstrip('=')}"


def keyset_of(keys: Sequence[str], current: int | None = None) -> Keyset:
    return Keyset.parse(json.dumps({"current": current or len(keys)} | {str(n): key for n, key in enumerate(keys, 1)}))


@pytest.mark.parametrize(
    ("salt", "info", "key", "output"),
    [
        (
            bytes(range(13)),
            bytes(range(0xF0, 0xFA)),
            b"\x0b" * 22,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            b"",
            b"",
            b"\x0b" * 22,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_the_hkdf_of_these_tests_is_that_of_rfc_5869(salt: bytes, info: bytes, key: bytes, output: str) -> None:
    """Test cases 1 and 3 of its appendix A."""
    assert hkdf(key, salt, info, 42).hex() == output


@pytest.mark.parametrize(
    ("current", "domain", "value", "frozen"),
    [
        (1, "ip", LOGIN["ip"], IP_TOKEN),
        (1, "device_id", LOGIN["device_id"], DEVICE_TOKEN),
        (1, "ip", "199.172.111.135", "t1_WkFUYRuXpcoLtvPqk5kWmYV_ELV79VeO7lMZ3LqcpNE"),
        (1, "ip", "2001:db8::1", "t1_pUfcs3IiccMj8LGfs8CYQRH7FF-do4BbgQ-FACrTkdI"),
        (1, "device_id", "593-47-5928", "t1_9wgIsuw5vUXJZyoCd-eVgBHqXVKJKqWnpYyfoum7SRo"),
        (1, "device_id", "é", "t1_kL0-FBS_oToy38rU3Opu-YUvFjcNJSYJaJ2vl0vD09M"),
        (1, "subject", "424cdd21", "t1_LlCIGmax_MthqhYOuyul-HU6muEPpq1h_e2LYj7bCro"),
        (2, "ip", "199.172.111.135", "t2_m4iF2aQayz6ZKBuEf3POIc5iP0HwmPuc-8X7h_ZPdeo"),
        (2, "ip", "2001:db8::1", "t2_IsNhNn0FXk-DwMSMcDSyaEpZz1tZ6DIHIGxkYEgeMoI"),
        (2, "device_id", "593-47-5928", "t2_wTH2PEeUtAguQFcn7Q5ilt5IUUxJcIjQOABsGEoGQKA"),
        (2, "device_id", "é", "t2_L-XgrCAUtStj80Ys344oToNFMd7WFef3X2Hr5MLG4ww"),
        (2, "subject", "424cdd21", "t2_MnJvpgwZKi2ktjMs_411GF0MmnXiaoS1BL-flW73KtE"),
    ],
)
def test_tokens_never_change(current: int, domain: str, value: str, frozen: str) -> None:
    made = keyset_of(KEYS, current).pseudonymizer(domain)(value)
    assert (made, token(KEYS[:current], domain, value)) == (frozen, frozen)


@pytest.mark.parametrize(
    ("domain", "value", "frozen"),
    [
        (
            "device_id",
            "593-47-5928",
            ["t1_9wgIsuw5vUXJZyoCd-eVgBHqXVKJKqWnpYyfoum7SRo", "t2_wTH2PEeUtAguQFcn7Q5ilt5IUUxJcIjQOABsGEoGQKA"],
        ),
        (
            "subject",
            "424cdd21",
            ["t1_LlCIGmax_MthqhYOuyul-HU6muEPpq1h_e2LYj7bCro", "t2_MnJvpgwZKi2ktjMs_411GF0MmnXiaoS1BL-flW73KtE"],
        ),
    ],
)
def test_a_value_has_a_token_of_each_key_and_a_token_leads_to_the_newer_ones(
    domain: str, value: str, frozen: list[str]
) -> None:
    keyset = keyset_of(KEYS)
    assert keyset.tokens(domain, value) == frozen
    newer = keyset.newer(domain)
    assert [newer(token) for token in frozen] == [frozen[1:], []]


def test_a_key_that_is_not_current_yet_makes_no_token() -> None:
    keyset = keyset_of(KEYS, 1)
    (only,) = keyset.tokens("ip", "199.172.111.135")
    assert (only, keyset.newer("ip")(only)) == ("t1_WkFUYRuXpcoLtvPqk5kWmYV_ELV79VeO7lMZ3LqcpNE", [])


def test_what_is_no_token_has_no_newer_one() -> None:
    with pytest.raises(ValueError, match=r"^this is no token$"):
        keyset_of(KEYS).newer("ip")("199.172.111.135")


@given(keys=st.lists(st.text(min_size=43, max_size=80), min_size=1, max_size=3), value=st.text(max_size=300))
def test_each_token_leads_to_all_newer_ones(keys: list[str], value: str) -> None:
    keyset = keyset_of(keys)
    tokens = keyset.tokens("ip", value)
    assert tokens == [token(keys[:number], "ip", value) for number in range(1, len(keys) + 1)]
    assert [keyset.newer("ip")(older) for older in tokens] == [tokens[number:] for number in range(1, len(keys) + 1)]


@given(
    keys=st.lists(st.text(min_size=43, max_size=80), min_size=1, max_size=3),
    domain=st.text(max_size=64),
    values=st.lists(st.text(max_size=300), min_size=1, max_size=3),
)
def test_tokens_are_hkdf_and_hmac_of_the_standard_library(keys: list[str], domain: str, values: list[str]) -> None:
    pseudonymize = keyset_of(keys).pseudonymizer(domain)
    assert [pseudonymize(value) for value in values] == [token(keys, domain, value) for value in values]


def test_values_longer_than_a_block_of_the_hash_get_their_token_too() -> None:
    lengths = [0, 1, 55, 56, 63, 64, 65, 119, 128, 100_000]  # both sides of where SHA-256 pads into another block
    made = [keyset_of(KEYS).pseudonymizer("text")("x" * length) for length in lengths]
    assert made == [token(KEYS, "text", "x" * length) for length in lengths]


def test_a_token_depends_on_key_domain_and_value() -> None:
    tokens = {
        keyset_of([key]).pseudonymizer(domain)(value) for key in KEYS for domain in ("a", "b") for value in ("c", "d")
    }
    assert len(tokens) == 8


def test_a_check_value_tells_each_key_from_others_and_is_no_key_of_a_token() -> None:
    assert keyset_of(KEYS, 1).check_values == {
        1: bytes.fromhex("d18603a1fcdab76f086f36a78053a7090cf4fefc912901fe9ae91687330152f6"),
        2: bytes.fromhex("374b9b53882664b03d8d925977a1a4612b289afecd5def52df86312307a16308"),
    }
    assert keyset_of(KEYS).check_values[1] == hkdf(KEYS[0].encode(), b"", b"sluice/check/v1", 32)


NO_OBJECT = "keyset: must be a JSON object of keys"
NUMBERS = "keyset: must have `current` and keys numbered from 1 without a gap"
CURRENT = "keyset: `current` must be the number of one of its keys"
SHORT = "keyset: every key must be a text of at least 43 characters"


@pytest.mark.parametrize(
    ("secret", "rule"),
    [
        ("", NO_OBJECT),
        (KEY, NO_OBJECT),
        (f'["{KEY}"]', NO_OBJECT),
        (f'{{"current": 1, "1": ["{KEY}"]}}', NO_OBJECT),
        (f'{{"current": true, "1": "{KEY}"}}', NO_OBJECT),
        (f'{{"current": 1, "1": "{KEY}"', NO_OBJECT),
        ("{}", NUMBERS),
        (f'{{"1": "{KEY}"}}', NUMBERS),
        (f'{{"current": "1", "1": "{KEY}"}}', NUMBERS),
        (f'{{"current": 2, "2": "{KEY}"}}', NUMBERS),
        (f'{{"current": 1, "1": "{KEY}", "3": "{KEY}"}}', NUMBERS),
        (f'{{"current": 1, "1": "{KEY}", "01": "{KEY}"}}', NUMBERS),
        (f'{{"current": 1, "0": "{KEY}", "1": "{KEY}"}}', NUMBERS),
        (f'{{"current": 1, "1": "{KEY}", "{KEY}": "{KEY}"}}', NUMBERS),
        (f'{{"current": 1, "1": "{KEY}", "note": "x"}}', NUMBERS),
        ('{"current": 1}', CURRENT),
        (f'{{"current": 0, "1": "{KEY}"}}', CURRENT),
        (f'{{"current": 2, "1": "{KEY}"}}', CURRENT),
        (f'{{"current": -1, "1": "{KEY}"}}', CURRENT),
        (f'{{"current": 1, "1": "{KEY[:42]}"}}', SHORT),
        ('{"current": 1, "1": ""}', SHORT),
        ('{"current": 1, "1": 123}', SHORT),
        (f'{{"current": 1, "1": "{KEY}", "2": "{KEY[:42]}"}}', SHORT),
    ],
)
def test_a_bad_keyset_is_an_outage_that_names_the_rule_and_shows_no_key(secret: str, rule: str) -> None:
    with pytest.raises(Outage) as caught:
        Keyset.parse(secret)
    assert str(caught.value) == rule
    told = "".join(traceback.format_exception(caught.value))
    assert ("k3y" in told, "During handling of" in told) == (False, False)


def test_a_key_of_43_characters_is_long_enough() -> None:
    assert keyset_of([KEY[:43]]).keys == {1: KEY[:43]}


def test_a_keyset_shows_no_key() -> None:
    keyset = keyset_of([KEY])
    assert (repr(keyset), str(keyset)) == ("Keyset(current=1)", "Keyset(current=1)")
    assert KEY not in repr(keyset.pseudonymizer("ip"))


def test_keysets_are_compared_by_identity_never_by_their_keys() -> None:
    assert keyset_of(KEYS) != keyset_of(KEYS)
