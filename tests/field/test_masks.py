"""Masks: whatever value a rule takes, a column holds what its mask promises and nothing more."""

import ipaddress
import re
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
from sluice.declaration.rules import (
    Boolean,
    Card,
    CaseFolded,
    Custom,
    Date,
    Each,
    Email,
    Float,
    Iban,
    Id,
    Integer,
    IpAddress,
    Number,
    OneOf,
    Phone,
    Rule,
    Text,
    Timestamp,
    Uuid,
    Version,
)
from sluice.declaration.rules.scalar import Scalar
from sluice.declaration.tree import Tree
from sluice.failures import Rejected
from sluice.postgres.cells import json_cell, json_member
from sluice.pseudonyms.keyset import Keyset
from tests.unit.fakes import KEYSET

KEYS = Keyset.parse(KEYSET)
TOKEN = re.compile(r"t1_[\w-]{43}")


class Kind(NamedTuple):
    """A rule, values of which it takes many, and what `Truncate(to=…)` must leave of a canonical one."""

    rule: Rule
    values: st.SearchStrategy[Any]
    to: int | str | None = None
    leaves: str = ""  # the whole form of what is left; empty: there is no shorter form


texts = st.text(max_size=12)
words = st.text(st.characters(categories=["Ll", "Nd"]), min_size=1, max_size=12)
addresses = st.builds("{}@{}.example".format, words, words)
HOST = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
KINDS = {
    "text": Kind(Text(max=12), texts, 3, r"(?s:.{1,3})"),
    "case-folded": Kind(CaseFolded(max=12), texts, 3, r"(?s:.{1,3})"),
    "custom": Kind(Custom(max=12, form=str.upper), texts, 2, r"(?s:.{1,2})"),
    "e-mail": Kind(Email(), st.emails() | addresses | st.tuples(texts, texts).map("@".join), None, HOST),
    "folded e-mail": Kind(Email(fold=True), st.emails(), None, HOST),
    "phone": Kind(
        Phone(region="GB"),
        st.from_regex(r"(020 7946 0[0-9]{3}|\+1202555[0-9]{4})( x[0-9]{1,4})?", fullmatch=True),
        3,
        r"\+\d{2}",
    ),
    "ip address": Kind(IpAddress(), st.ip_addresses().map(str), None, r"[0-9a-f.:]+/(24|48)"),
    "version": Kind(Version(), st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True), 1, r"[0-9]"),
    "integer": Kind(Integer(), st.integers(-(10**15), 10**15), 1000, r"-?\d+000|0"),
    "integer as text": Kind(Integer(text=True), st.integers(-(10**15), 10**15).map(str), 1000, r"-?\d+000|0"),
    "number": Kind(Number(18, 2), st.decimals(-(10**12), 10**12, places=2), 1000, r"-?\d+000|0"),
    "float": Kind(Float(), st.floats(-1e15, 1e15), 1000, r"-?\d+000\.0|0\.0|-?\d(\.\d+)?e\+\d+"),
    "boolean": Kind(Boolean(), st.booleans()),
    "card": Kind(Card(), st.sampled_from(["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005"])),
    "iban": Kind(Iban(), st.sampled_from(["gb33 BUKB 2020 1555 5555 55", "DE89370400440532013000"])),
    "date": Kind(Date(), st.dates().map(str), "year", r"\d{4}-01-01"),
    "choice": Kind(OneOf("new", "paid"), st.sampled_from(["new", "paid", "Paid"])),
    "id": Kind(Id(max=12), st.integers(0, 10**11) | words),
    "uuid": Kind(Uuid(), st.uuids().map(str)),
    "timestamp": Kind(
        Timestamp(),
        st.datetimes(min_value=datetime(1900, 1, 1)).map(lambda moment: f"{moment.isoformat()}Z"),
        "month",
        r"\d{4}-\d\d-01T00:00:00\+00:00",
    ),
    "epoch": Kind(Timestamp(), st.integers(631152000, 4102444800), "day", r"\d{4}-\d\d-\d\dT00:00:00\+00:00"),
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def canonical(kind: Kind, value: Any) -> Any:
    """Return the canonical value, or try another example."""
    try:
        return kind.rule.canonical(value)
    except Rejected:
        assume(False)


def cell(mask: Mask, rule: Rule, value: Any) -> Any:
    return mask.writer("field", rule, KEYS)(value)


def test_every_rule_is_here() -> None:
    def below(rule: type[Rule]) -> set[type[Rule]]:
        return {rule, *(one for inner in rule.__subclasses__() for one in below(inner))}

    ours = {rule for rule in below(Rule) if rule.__module__.startswith("sluice.")}
    inside = {rule for rule in ours if rule.__name__.startswith("_")} | {Scalar, Tree}  # of Sluice's own, or no field
    assert {type(kind.rule) for kind in KINDS.values()} == ours - {Rule, Each} - inside


@kinds
def test_a_canonical_value_is_its_own_canonical_form(kind: Kind) -> None:
    @given(kind.values)
    def hold(value: Any) -> None:
        once = canonical(kind, value)
        again = kind.rule.canonical(kind.rule.text(once) if isinstance(once, date) else once)
        assert (again, repr(again)) == (once, repr(once))

    hold()


@kinds
def test_keep_leaves_the_canonical_value(kind: Kind) -> None:
    @given(kind.values)
    def hold(value: Any) -> None:
        once = canonical(kind, value)
        kept = cell(Keep(), kind.rule, once)
        assert str(kept) == kind.rule.text(once)

    hold()


@kinds
def test_a_pseudonym_leaves_a_token_that_is_one_for_one_value(kind: Kind) -> None:
    @given(kind.values, kind.values)
    def hold(first: Any, second: Any) -> None:
        one, other = canonical(kind, first), canonical(kind, second)
        tokens = [cell(Pseudonym(), kind.rule, value) for value in (one, other)]
        assert all(TOKEN.fullmatch(token) for token in tokens)
        assert (tokens[0] == tokens[1]) == (one == other)

    hold()


@kinds
@pytest.mark.parametrize("constant", [None, "hidden"])
def test_redact_leaves_nothing(kind: Kind, constant: str | None) -> None:
    @given(kind.values)
    def hold(value: Any) -> None:
        assert cell(Redact(constant=constant), kind.rule, canonical(kind, value)) == constant

    hold()


@kinds
def test_truncate_leaves_what_it_promises_and_no_more(kind: Kind) -> None:
    if not kind.leaves:
        return

    @given(kind.values)
    def hold(value: Any) -> None:
        once = canonical(kind, value)
        left = cell(Truncate(to=kind.to), kind.rule, once)
        assert re.fullmatch(kind.leaves, str(left))
        assert cell(Truncate(to=kind.to), Each(kind.rule, json=True), [once]) == json_cell([json_member(left)])
        if isinstance(kind.rule, Email):
            assert once.endswith(f"@{left}")
        elif isinstance(kind.rule, Text):
            assert once.startswith(left)
        elif isinstance(kind.rule, IpAddress):
            assert ipaddress.ip_address(once) in ipaddress.ip_network(left)
        elif isinstance(kind.rule, Timestamp):
            assert timedelta(0) <= once - datetime.fromisoformat(left) < timedelta(31)
        elif isinstance(kind.rule, Date):
            assert timedelta(0) <= once - date.fromisoformat(left) < timedelta(366)
        elif isinstance(kind.rule, Float):
            assert float(left) <= once < float(left) + 1000
        else:
            assert left <= once < left + kind.to

    hold()
