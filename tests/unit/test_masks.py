"""Masks: what becomes of a canonical value in a column."""

import pytest

from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
from sluice.declaration.rules import IpAddress, Rule, Text, Version, version_number
from sluice.postgres.cells import Cell
from sluice.pseudonyms.keyset import Keyset

TEXT = Text(max=9)


@pytest.mark.parametrize(
    ("mask", "rule", "value", "cell"),
    [
        (Keep(), TEXT, "RU", "RU"),
        (Keep(as_=version_number), Version(), "2.3", 2_003_000),
        (Redact(), TEXT, "RU", None),
        (Redact(constant="hidden"), TEXT, "RU", "hidden"),
        (Truncate(to=3), TEXT, "593-47", "593"),
        (Truncate(to=3), TEXT, "59", "59"),
        (Truncate(to=1), TEXT, "😀😀", "😀"),
        (Truncate(), IpAddress(), "199.172.111.135", "199.172.111.0/24"),
        (Truncate(), IpAddress(), "199.172.111.0", "199.172.111.0/24"),
        (Truncate(), IpAddress(), "2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        (Truncate(), IpAddress(), "::1", "::/48"),
    ],
)
def test_a_mask_makes_the_cell(mask: Mask, rule: Rule, value: str, cell: Cell, keyset: Keyset) -> None:
    assert mask.writer("field", rule, keyset)(value) == cell


def test_a_pseudonym_is_a_token_in_the_domain_of_the_fields_name(keyset: Keyset) -> None:
    token = keyset.pseudonymizer("ip")("1.2.3.4")
    assert Pseudonym("masked_ip").writer("ip", IpAddress(), keyset)("1.2.3.4") == token


def test_fields_of_one_domain_share_their_tokens_and_fields_of_two_do_not(keyset: Keyset) -> None:
    first, second, other = (
        Pseudonym(domain=domain).writer(field, TEXT, keyset)("593-47")
        for domain, field in [("device", "first"), ("device", "second"), (None, "device_id")]
    )
    assert (first == second, first == other) == (True, False)


@pytest.mark.parametrize("mask", [Keep("column"), Pseudonym("column"), Redact("column"), Truncate("column")])
def test_every_mask_may_name_its_column(mask: Mask) -> None:
    assert (mask.column, type(mask)().column) == ("column", None)
