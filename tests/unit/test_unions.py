"""A value of several shapes: what decides for a case, what it becomes, and what is refused where."""

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.declaration import column_types, witness
from sluice.declaration.masks import Keep, Pseudonym, Redact, Truncate
from sluice.declaration.rules import Boolean, Each, Email, Integer, IpAddress, Number, OneOf, Text, Timestamp, Uuid
from sluice.declaration.scrub import Find, Scrub
from sluice.declaration.stream import Part, Stream, constant
from sluice.declaration.unions import ByType, Tagged
from sluice.failures import DeclarationError, Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.integration.messages import KEYSET
from tests.unit.column_types import OF_A_SERVER, TYPES, typed
from tests.unit.kinds import declare, field, read
from tests.unit.payments import Author, Bank, Card, Elsewhere, Payment, Shop
from tools.testing import clear_values

SHORT = Text(max=9)
PAYMENT: dict[str, Any] = {
    "user_id": "kim",
    "type": "track",
    "method": {"type": "card", "number": "kn4ry-4242", "country": "DE", "iban": "kn4ry-undeclared"},
    "to": "kn4ry-to@example.com",
    "event": "opened",
    "by": "kn4ry-by",
}


def payment(**changes: object) -> str:
    return json.dumps(PAYMENT | changes)


def row(stream: type[Stream], body: str) -> dict[str, Any]:
    """Return a row by its columns without those that are NULL, tokens as `token`."""
    cells = read(stream.masker(Keyset.parse(KEYSET))(body).cells)
    named = zip((column for column, _ in stream.columns()), cells, strict=True)
    return {column: _cut(cell) for column, cell in named if cell is not None}


def _cut(cell: Any) -> Any:
    if isinstance(cell, dict):
        return {name: _cut(one) for name, one in cell.items()}
    if isinstance(cell, list):
        return [_cut(one) for one in cell]
    return "token" if isinstance(cell, str) and cell.startswith(("t1_", '{"t1_')) else cell


def refusal(stream: type[Stream], body: str) -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        stream.masker(Keyset.parse(KEYSET))(body)
    return caught.value.reason, caught.value.pointer


OWN = {"user_id": "kim", "to_token": "token", "headers": [], "type": "track", "event": "opened", "by_name": "token"}
BY_CARD = {"card_token": "token", "card_start": "kn4r", "method_country": "DE", "method_kind": "card", "is_card": True}


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ({}, {}),
        ({"method": {"type": "debit", "number": "kn4ry", "country": "FR"}}, {"method_country": "FR"}),
        ({"source": None}, {}),
        ({"source": {"kind": 2, "till": 3}}, {"source_till": 3}),
        ({"source": {"kind": 2.0, "till": 3}}, {"source_till": 3}),
        ({"source": {"kind": 3, "till": 3}}, {}),
        ({"author": None}, {}),
        ({"author": "kn4ry"}, {"author_name": "token"}),
        ({"author": 1.50}, {"author_number": Decimal("1.50")}),
        ({"author": "1.50"}, {"author_name": "token"}),  # a text, though a Number takes it too
        ({"author": {"email": "a@b.example"}}, {"author_email": "token"}),
        ({"author": {"email": "a@b.example", "vat": "1"}}, {"author_email": "token", "author_vat": "1"}),
        ({"author": [{"till": 1}, {"till": 2}]}, {"author": [{"till": 1}, {"till": 2}]}),
        ({"author": []}, {"author": []}),
        ({"by": {"email": "a@b.example"}, "to": ["a@b.example"]}, {"by_email": "token", "to_tokens": "token"}),
        (
            {"headers": [{"name": "TO", "value": "a@b.example"}, {"name": "subject", "value": "x"}, {"name": "x"}]},
            {"headers": [{"name": "TO", "address": "token"}, {"name": "subject", "text": "about"}, {"name": "x"}]},
        ),
    ],
)
def test_a_value_fills_the_columns_of_its_case_alone(changes: dict[str, Any], columns: dict[str, Any]) -> None:
    left = {"by": "by_name", "to": "to_token"}.items()
    lost = {column for field, column in left if field in changes}
    wanted = {name: cell for name, cell in (OWN | BY_CARD).items() if name not in lost}
    assert row(Payment, payment(**changes)) == wanted | columns


def test_the_tag_decides_for_the_members_beside_it() -> None:
    found = row(Payment, payment(type="identify", traits={"email": "a@b.example"}))
    wanted = OWN | BY_CARD | {"type": "identify", "traits_email": "token"}
    assert found == {name: cell for name, cell in wanted.items() if name not in ("event", "by_name")}


def test_a_derived_column_sees_an_object_of_the_case() -> None:
    assert row(Payment, payment())["is_card"] is True
    assert row(Payment, payment(method={"type": "bank", "iban": "GB33"}))["is_card"] is False


@pytest.mark.parametrize(
    ("changes", "reason", "pointer"),
    [
        ({"method": None}, "null", "/method"),
        ({"method": "card"}, "wrong_type", "/method"),
        ({"method": [{}]}, "wrong_type", "/method"),
        ({"method": {}}, "missing", "/method/type"),
        ({"method": {"type": None}}, "null", "/method/type"),
        ({"method": {"type": 1}}, "wrong_type", "/method/type"),
        ({"method": {"type": "Card"}}, "not_a_choice", "/method/type"),
        ({"method": {"type": "card"}}, "missing", "/method/number"),
        ({"method": {"type": "card", "number": 1}}, "wrong_type", "/method/number"),
        ({"method": {"type": "card", "number": "1", "country": "kn4ry"}}, "too_long", "/method/country"),
        ({"source": {"kind": "1"}}, "wrong_type", "/source/kind"),
        ({"source": {"kind": True}}, "wrong_type", "/source/kind"),
        ({"source": {"kind": 1, "till": 10}}, "out_of_range", "/source/till"),
        ({"author": True}, "wrong_type", "/author"),
        ({"author": ""}, "empty", "/author"),
        ({"author": 1e9}, "out_of_range", "/author"),
        ({"author": {}}, "not_a_choice", "/author"),
        ({"author": {"email": "kn4ry"}}, "not_an_email_address", "/author/email"),
        ({"author": [None]}, "null", "/author/0"),
        ({"author": [{"till": "kn4ry"}]}, "wrong_type", "/author/0/till"),
        ({"to": None}, "null", "/to"),
        ({"to": ["a@b.example", 1]}, "wrong_type", "/to/1"),
        ({"to": ["a@b.example", "kn4ry"]}, "not_an_email_address", "/to/1"),
        ({"headers": None}, "null", "/headers"),
        ({"headers": {}}, "wrong_type", "/headers"),
        ({"headers": [None]}, "null", "/headers/0"),
        ({"headers": [{"name": "x"}, "kn4ry"]}, "wrong_type", "/headers/1"),
        ({"headers": [{"name": "x"}, {}]}, "missing", "/headers/1/name"),
        ({"headers": [{"name": "to"}]}, "missing", "/headers/0/value"),
        ({"headers": [{"name": "to", "value": "kn4ry"}]}, "not_an_email_address", "/headers/0/value"),
        ({"type": "kn4ry"}, "not_a_choice", "/type"),
        ({"type": None}, "null", "/type"),
        ({"type": "identify"}, "missing", "/traits"),
        ({"type": "identify", "traits": {"email": 1}}, "wrong_type", "/traits/email"),
        ({"event": None}, "null", "/event"),
        ({"by": []}, "wrong_type", "/by"),
        ({"by": {"email": "kn4ry"}}, "not_an_email_address", "/by/email"),
    ],
)
def test_what_no_case_takes_is_refused_where_it_is_and_told_without_its_values(
    changes: dict[str, Any], reason: str, pointer: str
) -> None:
    body = payment(**changes)
    with pytest.raises(Rejected) as caught:
        Payment.masker(Keyset.parse(KEYSET))(body)
    assert (caught.value.reason, caught.value.pointer) == (reason, pointer)
    assert caught.value.__suppress_context__
    assert "kn4ry" not in f"{caught.value!r} {caught.value} {Payment.shape(body)}"


def test_the_shape_names_the_tag_and_the_fields_of_all_cases() -> None:
    body = payment(headers=[{"name": "kn4ry"}], source={"kind": 1, "kn4ry": 2}, kn4ry=1)
    assert Payment.shape(body)["fields"] == {
        "user_id": "string",
        "type": "string",
        "method": {"type": "string", "number": "string", "country": "string", "iban": "string"},
        "source": {"kind": "number"},
        "to": "string",
        "headers": "array",
        "event": "string",
        "by": "string",
    }
    assert Payment.shape(body)["other_fields"] == 1


def test_the_witness_is_of_the_first_cases() -> None:
    made = witness.example(Payment.layout)
    assert {name: made[name] for name in ("method", "source", "type")} == {
        "method": {"number": "probe", "country": "pr", "type": "card"},
        "source": {"till": 1, "kind": 1},
        "type": "track",
    }
    assert witness.mask(Payment, Keyset.parse(KEYSET)).cells


# Unions in all places


class Inner(Part):
    """An object with a union in it, and one whose cases' members are its own."""

    deep: Annotated[Card | Bank | None, Tagged("type", {"card": Card, "bank": Bank})] = None
    either: Annotated[Shop | Author | None, Tagged("is", {True: Shop, False: Author}, inline=True)] = None


class Outer(Part):
    """A case with all of this in it."""

    inner: Inner
    several: list[Inner] = []  # noqa: RUF012 (each record gets a copy of a default)
    anything: Annotated[list[Inner | str], ByType(Inner, (SHORT, Keep("text")))] = []  # noqa: RUF012


class Nesting(Stream, table="nesting"):
    """Unions in objects, in lists and in cases."""

    any: Annotated[Outer | int, ByType(Outer, Integer())]


def test_a_union_may_be_in_an_object_in_a_list_and_in_a_case() -> None:
    assert row(Nesting, '{"any": 7}') == {"any": 7}
    inner = {"deep": {"type": "bank", "iban": "GB33"}, "is": False, "email": "a@b.example"}
    found = row(Nesting, json.dumps({"any": {"inner": inner, "several": [{}], "anything": ["x", {"is": None}]}}))
    nothing = dict.fromkeys(("card_token", "card_start", "deep_country", "deep_kind", "deep_iban", "till", "email"))
    assert found == {
        "any_inner_deep_iban": "token",
        "any_inner_deep_kind": "bank transfer",
        "any_inner_email": "token",
        "any_several": [nothing],
        "any_anything": [{"text": "x"}, nothing],
    }


@pytest.mark.parametrize(
    ("inner", "reason", "pointer"),
    [
        ({"deep": {"type": "x"}}, "not_a_choice", "/deep/type"),
        ({"is": "yes"}, "wrong_type", "/is"),
        ({"is": True, "till": 10}, "out_of_range", "/till"),
        ({"is": False}, "missing", "/email"),
    ],
)
def test_a_pointer_names_the_way_into_every_place(inner: dict[str, Any], reason: str, pointer: str) -> None:
    for outer, before in (
        ({"inner": inner}, "/any/inner"),
        ({"inner": {}, "several": [{}, inner]}, "/any/several/1"),
        ({"inner": {}, "anything": ["x", inner]}, "/any/anything/1"),
    ):
        assert refusal(Nesting, json.dumps({"any": outer})) == (reason, before + pointer)


def test_numbers_keep_all_their_digits() -> None:
    digits = "12345678901234567890.12345678901234567890"
    stream = declare(
        Stream, {"any": Annotated[Decimal | str, ByType((Number(50, 20), Keep("number")), SHORT)]}, table="t"
    )
    assert row(stream, f'{{"any": {digits}}}') == {"number": Decimal(digits)}


def test_the_case_that_takes_nothing_else_wins() -> None:
    cases = (Timestamp(), Keep("at")), (SHORT, Keep("text")), (Boolean(), Keep("flag"))
    stream = declare(Stream, {"any": Annotated[datetime | str | bool, ByType(*cases)]}, table="t")
    assert row(stream, '{"any": "noon"}') == {"text": "noon"}
    assert refusal(stream, '{"any": "2026-01-31T00:00:00Z"}') == ("too_long", "/any")
    assert row(stream, '{"any": 1769903999}') == {"at": "2026-01-31T23:59:59+00:00"}
    assert row(stream, '{"any": false}') == {"flag": False}


TEXTS, NUMBERS = Text(max=30), Number(6, 2)


def counted(value: int) -> int:
    return value + 1


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (field(SHORT), field(TEXTS), "varchar(30)"),
        (field(SHORT), field(Email()), "varchar(254)"),
        (field(OneOf("a")), field(OneOf("bbb", "a")), "varchar(3)"),
        (field(Integer(0, 9)), field(Integer(-40_000, 9)), "integer"),
        (field(Integer(0, 9)), field(NUMBERS), "numeric(6,2)"),
        (field(Number(9, 0)), field(NUMBERS), "numeric(11,2)"),
        (field(Integer()), field(SHORT), "varchar(20)"),
        (field(Uuid()), field(SHORT), "varchar(36)"),
        (field(Uuid()), field(Boolean()), "varchar(36)"),
        (field(Timestamp()), field(Timestamp(), Truncate(to="day")), "timestamptz"),
        (field(Each(SHORT)), field(Each(TEXTS)), "varchar(30)[]"),
        (field(SHORT), field(SHORT, Redact()), "varchar(9)"),
        (field(SHORT, Redact()), field(SHORT, Pseudonym()), "varchar(51)"),
        (field(SHORT, Redact()), field(TEXTS, Redact()), "any type"),
        (field(Integer(), Keep(as_=len)), field(SHORT), "any type"),
        (field(Integer(), Keep(as_=counted)), field(Integer(0, 9)), "bigint"),
        (field(Integer(), Keep(as_=counted)), field(NUMBERS), "numeric"),
        (field(Integer(), Keep(as_=counted)), field(SHORT), "text"),
        (field(Number(6, 0)), field(Number(5, 0)), "numeric(6,0)"),
        (field(IpAddress()), field(IpAddress(), Truncate()), "inet or cidr"),
        (field(Timestamp(), Truncate(to="day")), field(Timestamp(), Truncate(to="hour")), "timestamptz"),
        (field(Timestamp(), Truncate(to="day")), field(Timestamp(), Truncate(to="month")), "timestamptz"),
        (field(OneOf("a")), field(SHORT), "varchar(9)"),
        (field(SHORT, Scrub(Find(Email(), Redact()))), field(SHORT), "text"),
    ],
)
def test_a_column_of_two_cases_is_of_a_type_that_holds_both(one: Any, other: Any, wanted: str) -> None:
    for pair in ((one, other), (other, one)):
        parts = [declare(Part, {"value": hint}) for hint in pair]
        hint = Annotated[parts[0] | parts[1], Tagged("of", dict(enumerate(parts)))]  # type: ignore[valid-type]
        (column,) = column_types.columns(declare(Stream, {"any": hint}, table="t").layout)
        assert (column.name, column.pointer) == ("any_value", "/any/value")
        assert column.cells.wanted in wanted.split(" or ")
        assert column.nullable == (Redact() in [mask for each in pair for mask in each.__metadata__])
        if wanted == "any type":
            continue
        assert column.cells.fit(typed(column.cells.wanted.replace(",", ", ")))
        each = [next(column_types.columns(declare(Stream, {"value": hint}, table="t").layout)).cells for hint in pair]
        for name in [name for name in TYPES if name not in OF_A_SERVER]:
            type_ = typed(TYPES[name][1])
            assert not column.cells.fit(type_) or all(cells.fit(type_) for cells in each), type_


def merged(*members: dict[str, Any]) -> column_types.Column:
    """Return the one column that the cases of a union have together."""
    parts = [declare(Part, one) for one in members]
    union: Any = reduce(or_, parts)
    hint = Annotated[union, Tagged("of", dict(enumerate(parts)))]
    (column,) = column_types.columns(declare(Stream, {"any": hint}, table="t").layout)
    return column


def test_nobody_knows_how_long_is_what_a_function_of_a_further_case_makes() -> None:
    for other in (Integer(0, 9), NUMBERS):
        column = merged(*[{"value": one} for one in (field(Integer(), Keep(as_=counted)), field(other), field(SHORT))])
        assert column.cells.wanted == "text"


def test_a_column_of_two_cases_has_the_choices_of_both_and_of_two_fields_no_pointer() -> None:
    column = merged({"one": field(OneOf("a"), Keep("same"))}, {"other": field(OneOf("bbb"), Keep("same"))})
    assert (column.name, column.pointer) == ("same", "")
    assert isinstance(column.cells, column_types.Choices)
    assert set(column.cells.choices) == {"a", "bbb"}


# What is declared wrongly


def of_field(hint: Any, **options: Any) -> Callable[[], Any]:
    return lambda: declare(Stream, {"any": hint}, table="t", **options)


CARD_OR_BANK: dict[str, type] = {"card": Card, "bank": Bank}


class Named(Part):
    """A case whose mask names its column."""

    value: Annotated[str, SHORT, Pseudonym("token", domain="other")]


class AlsoNamed(Part):
    """Another one, of another domain."""

    value: Annotated[str, SHORT, Pseudonym("token", recoverable=True)]


class Clear(Part):
    """A case that keeps in the clear what another has tokens of."""

    value: Annotated[str, SHORT, Keep("token")]


class Listed(Part):
    """A case that has a list for what another has one of."""

    value: Annotated[list[str], Each(SHORT), Keep("token")]


class Typed(Part):
    """A case with a key that the record has too."""

    id: Annotated[str, SHORT]


BOTH = "Declared: any.value and any.value are both written to the column token, but {};"
OF_DOMAINS = BOTH.format("not both as tokens of one domain, recoverable or not")
OF_A_LIST = BOTH.format("one is a list and the other is none")
ALIKE = declare(Part, {"email": Annotated[str, SHORT], "more": Annotated[str, SHORT]})
MISTAKES: list[tuple[Any, str]] = [
    (Annotated[Card, Tagged("type", {})], "Tagged needs a case"),
    (Annotated[Card | str, Tagged("type", {"card": Card, "bank": str})], "Tagged has a case that is no Part"),
    (Annotated[Card, Tagged("type", CARD_OR_BANK)], "Tagged goes with the type Card | Bank"),
    (Annotated[list[Card], Tagged("type", CARD_OR_BANK)], "Tagged goes with the type list[Card | Bank]"),
    (Annotated[list[Card | Bank | None], Tagged("type", CARD_OR_BANK)], "Tagged goes with the type list[Card"),
    (Annotated[Card | Bank, Tagged("type", CARD_OR_BANK, others=Bank)], "Tagged has others that are a case"),
    (Annotated[Card | Bank, Tagged("type", {"card": Card, 1: Bank})], "Tagged takes tags of one kind"),
    (Annotated[Card, Tagged("type", {1.5: Card})], "Tagged takes tags of one kind"),
    (Annotated[Card | Bank, Tagged("type", {1: Card, 2: Bank}, fold=True)], "Tagged folds texts alone"),
    (
        Annotated[Card | Bank, Tagged("type", {"a": Card, "A": Bank}, fold=True)],
        "Tagged has two tags that are the same",
    ),
    (Annotated[Card | Bank, Tagged("type", CARD_OR_BANK), Redact()], "Tagged takes no mask after it"),
    (
        Annotated[list[Card | Bank], Tagged("type", CARD_OR_BANK, inline=True)],
        "Tagged is inline in an object, not in a",
    ),
    (Annotated[Author | int, ByType(Author, SHORT)], "ByType goes with the type Author | str"),
    (Annotated[Author | str, ByType(Author, str)], "a case of ByType is a Part, a list of a Part, a rule, or"),
    (Annotated[str, ByType((SHORT, SHORT))], "a case of ByType is a Part, a list of a Part, a rule, or"),
    (Annotated[str, ByType(SHORT, OneOf("a"))], "ByType has two cases for what is a text"),
    (Annotated[Decimal | int | str, ByType(Integer(), SHORT, Number(9, 2))], "ByType has a case that no value is left"),
    (
        Annotated[Author | ALIKE, ByType(Author, ALIKE)],
        "ByType takes Declared for Author, since it has all of its required fields",
    ),
    (Annotated[Named | AlsoNamed, Tagged("type", {"a": Named, "b": AlsoNamed})], OF_DOMAINS),
    (Annotated[Named | Clear, Tagged("type", {"a": Named, "b": Clear})], OF_DOMAINS),
    (Annotated[list[Named | Clear], Tagged("type", {"a": Named, "b": Clear})], OF_DOMAINS),
    (Annotated[Clear | Listed, Tagged("type", {"a": Clear, "b": Listed})], OF_A_LIST),
]


@pytest.mark.parametrize(("hint", "error"), MISTAKES, ids=[error[:40] for _, error in MISTAKES])
def test_a_mistake_is_told_with_what_to_change(hint: Any, error: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        of_field(hint)()
    assert str(raised.value).removeprefix("Declared.any: ").startswith(error)


def test_a_column_outside_of_the_union_is_not_one_of_a_case() -> None:
    hint = Annotated[Card | Bank, Tagged("type", CARD_OR_BANK)]
    with pytest.raises(DeclarationError, match="are both written to the column any_country"):
        declare(Stream, {"any": hint, "any_country": Annotated[str, SHORT]}, table="t")
    sent = declare(Part, {"value": Annotated[str, SHORT, Keep("sent_at")]})
    with pytest.raises(DeclarationError, match="which Sluice writes itself"):
        declare(Stream, {"any": Annotated[sent, Tagged("a", {1: sent})]}, table="t")


def test_a_key_that_the_record_reads_is_not_one_of_an_inline_case() -> None:
    hint = Annotated[Typed | Clear, Tagged("type", {"a": Typed, "b": Clear}, inline=True)]
    with pytest.raises(DeclarationError) as raised:
        declare(Stream, {"id": Annotated[str, SHORT], "any": hint}, table="t")
    assert str(raised.value) == "Declared.any: a case has the key id, which Declared.id reads"


@pytest.mark.parametrize("option", ["identity", "time"])
def test_what_makes_a_record_one_is_in_every_record_so_in_no_case(option: str) -> None:
    hint = Annotated[Card | Bank, Tagged("type", CARD_OR_BANK)]
    with pytest.raises(DeclarationError) as raised:
        of_field(hint, **{option: "any.country"})()
    assert str(raised.value) == (
        f"Declared: the {option} any.country goes through any, which has several shapes;"
        " name a field that every record has"
    )


def test_a_default_is_nothing_or_an_empty_list() -> None:
    hint = Annotated[Author | str, ByType(Author, SHORT)]
    with pytest.raises(DeclarationError, match="the default of an object is None"):
        declare(Stream, {"any": hint}, {"any": "x"}, table="t")


# No value of one case stands anywhere else


values = st.text("abcdefgh", min_size=5, max_size=12).map(lambda text: f"kn4ry{text}")
cards = st.fixed_dictionaries({"type": st.sampled_from(["card", "debit"]), "number": values, "country": st.just("DE")})
banks = st.fixed_dictionaries({"type": st.just("bank"), "iban": values, "number": values, "country": st.just("DE")})
addresses = values.map(lambda value: f"{value}@example.com")
authors = st.fixed_dictionaries({"email": addresses})
shops = st.fixed_dictionaries({"kind": st.integers(1, 3), "till": st.integers(1, 9), "number": values})
headers = st.fixed_dictionaries({"name": st.sampled_from(["to", "Cc"]), "value": addresses}) | st.fixed_dictionaries(
    {"name": st.sampled_from(["subject", "other"]), "value": values}
)
PAYMENTS = st.fixed_dictionaries(
    {
        "user_id": st.just("kim"),
        "type": st.sampled_from(["track", "identify"]),
        "event": st.just("opened"),
        "traits": authors,
        "method": cards | banks,
        "source": shops | st.none(),
        "author": values | authors | st.none() | st.integers(0, 99),
        "to": addresses | st.lists(addresses, max_size=3),
        "headers": st.lists(headers, max_size=3),
        "by": values | authors,
    }
)


@settings(deadline=None)
@given(PAYMENTS)
def test_no_clear_value_of_any_case_is_in_any_column(record: dict[str, Any]) -> None:
    body = json.dumps(record)
    masked = Payment.masker(Keyset.parse(KEYSET))(body)
    found = dict(zip((column for column, _ in Payment.columns()), masked.cells, strict=True))
    assert found.pop("card_start") == ("kn4r" if record["method"]["type"] != "bank" else None)
    assert "kn4ry" not in repr(found)
    assert (found["card_token"] is None) == (record["method"]["type"] == "bank") == (found["method_iban"] is not None)
    assert (found["event"] is None) == (record["type"] == "identify") == (found["traits_email"] is not None)
    hidden, kept = clear_values.values(Payment, body)
    assert {value for value in hidden - kept if value in repr(found)} == set()
    assert record["method"].get("iban", record["method"]["number"]) in hidden


def test_a_constant_of_each_case_tells_which_it_was() -> None:
    one, two = (declare(Part, {}, {"kind": constant(name)}) for name in ("one", "two"))
    stream = declare(Stream, {"any": Annotated[one | two, Tagged("of", {0: one, 1: two})]}, table="t")
    assert [row(stream, f'{{"any": {{"of": {number}}}}}') for number in (0, 1)] == [
        {"any_kind": "one"},
        {"any_kind": "two"},
    ]


def test_an_empty_part_keeps_nothing() -> None:
    stream = declare(Stream, {"any": Annotated[Shop | Elsewhere, Tagged("a", {1: Shop}, others=Elsewhere)]}, table="t")
    assert row(stream, '{"any": {"a": 2, "till": 3}}') == {}
