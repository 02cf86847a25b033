"""Declarations: what a class says of a record, and that a mistake in it is an error when the class is made."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest

from sluice.declaration import description
from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
from sluice.declaration.rules import (
    Boolean,
    Custom,
    Date,
    Each,
    Email,
    Float,
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
from sluice.declaration.stream import Part, Stream, constant, derived
from sluice.declaration.tree import Tree
from sluice.failures import DeclarationError, Rejected
from sluice.postgres.cells import Json
from sluice.pseudonyms.keyset import Keyset
from tests.unit.kinds import declare, field, mask_body

TEXT = Text(max=9)
EPOCHS = "Timestamp counts an epoch in seconds, milliseconds, microseconds or nanoseconds"


class Person(Part):
    name: Annotated[str, TEXT, Redact()]
    email: Annotated[str, Email(), Pseudonym(), Truncate("domain")]


def without_addresses(value: object) -> str:
    """Return an id that is the same in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


# Mistakes

ZONED = "Timestamp needs bounds with a time zone: datetime(2026, 1, 31, tzinfo=UTC)"
EMPTY = "Each takes no list, not even an empty one: its max is below 0"
DIGITS = "Number has 1 to 1000 digits of precision, and at most as many of scale"
JANUARY, MARCH = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
NO_FIELD = "must be Annotated[type, rule, mask, …], or a Part"


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (str, NO_FIELD),
        (list[str], NO_FIELD),
        (dict[str, str], NO_FIELD),
        (Annotated[str, TEXT] | None, NO_FIELD),  # the None belongs inside
        (Annotated[str, "pseudonym"], NO_FIELD),
        (Annotated[str, TEXT, "pseudonym"], NO_FIELD),
        (Annotated[str, TEXT, lambda value: value], NO_FIELD),
        (Annotated[str, Pseudonym(), TEXT], NO_FIELD),
        (Annotated[str, Text], NO_FIELD),
        (Annotated[str, Uuid], NO_FIELD),
        (Annotated[str, TEXT, Redact], NO_FIELD),
        (Annotated[Person, Pseudonym()], NO_FIELD),
        (Annotated[list[Person], Pseudonym()], NO_FIELD),
        (Annotated[list[Person], Each(TEXT)], "Each goes with the type list[str]"),
        (Annotated[Person | str, TEXT], "Text goes with the type str"),
        (Annotated[int, TEXT], "Text goes with the type str"),
        (Annotated[float, Number(4, 2)], "Number goes with the type Decimal"),
        (Annotated[str, Timestamp()], "Timestamp goes with the type datetime"),
        (Annotated[UUID, Uuid()], "Uuid goes with the type str"),
        (Annotated[str | None, Boolean()], "Boolean goes with the type bool"),
        (Annotated[str, Each(TEXT)], "Each goes with the type list[str]"),
        (Annotated[list[str], Each(Number(4, 2))], "Each goes with the type list[decimal.Decimal]"),
        (Annotated[list[str], TEXT], "Text goes with the type str"),
        (Annotated[list[str], Each(Text)], "Each needs the rule of an element"),  # type: ignore[arg-type]
        (
            Annotated[list[list[str]], Each(Each(TEXT))],
            "a list of lists is kept as JSON: Each(Each(…), json=True)",
        ),
        (Annotated[datetime, Timestamp("days")], EPOCHS),
        (
            Annotated[datetime, Timestamp(format="iso")],
            "Timestamp has the formats rfc2822 or http, and without one ISO 8601",
        ),
        (
            Annotated[datetime, Timestamp(format="http", zone="Europe/Berlin")],
            "Timestamp with a format takes texts with a zone alone: leave out zone and epoch",
        ),
        *[
            (
                Annotated[datetime, Timestamp(zone=zone)],
                f"Timestamp knows no zone {zone}, only those such as Europe/Berlin",
            )
            for zone in ("Europe/Nowhere", "CEST", "", "../../etc/passwd", "/etc/localtime")
        ],
        (Annotated[date, Date(), Truncate(to="day")], "Truncate of a date goes to the year or month"),
        (Annotated[date, Timestamp()], "Timestamp goes with the type datetime"),
        (Annotated[Decimal, Float()], "Float goes with the type float"),
        (Annotated[float, Float(), Truncate()], "Truncate of a number needs the step to go down to"),
        (Annotated[list[datetime], Each(Timestamp("s"))], EPOCHS),
        (Annotated[datetime, Timestamp(earliest=datetime(2026, 1, 31))], ZONED),
        (Annotated[datetime, Timestamp(latest="2026-01-31")], ZONED),  # type: ignore[arg-type]
        (Annotated[datetime, Timestamp(earliest=MARCH, latest=JANUARY)], "Timestamp has its earliest after its latest"),
        (Annotated[str, OneOf()], "OneOf needs a choice"),
        (Annotated[str, OneOf("a", 1)], "OneOf takes texts"),  # type: ignore[arg-type]
        (Annotated[int, Integer(min=2, max=1)], "Integer has a min above its max"),
        (Annotated[int, Integer(min="0")], "Integer takes a whole number for min"),  # type: ignore[arg-type]
        (Annotated[str, Text(max="9")], "Text takes a whole number for max"),  # type: ignore[arg-type]
        (Annotated[str, Text(max=True)], "Text takes a whole number for max"),
        (Annotated[str, Text(max=0)], "Text has room for at least one character"),
        (Annotated[str, Email(max=-1)], "Email has room for at least one character"),
        (Annotated[str, Phone(region="GB", max=2.5)], "Phone takes a whole number for max"),  # type: ignore[arg-type]
        (Annotated[Decimal, Number(precision="9", scale=2)], "Number takes a whole number for precision"),  # type: ignore[arg-type]
        (Annotated[list[str], Each(Text(max=9), max=None)], "Each takes a whole number for max"),  # type: ignore[arg-type]
        (
            Annotated[list[str], Each(Text(max=9), max=-1)],
            "Each takes no list, not even an empty one: its max is below 0",
        ),
        (Annotated[dict[str, Any], Tree({"/a": Text(max=9)}, max_keys="9")], "Tree takes a whole number for max_keys"),  # type: ignore[arg-type]
        *[(Annotated[Decimal, Number(*digits)], DIGITS) for digits in ((0, 0), (4, 5), (4, -1), (1001, 2))],
        (Annotated[str, Phone(region="UK")], "Phone knows no region UK"),
        (Annotated[str, Phone(region="gb")], "Phone knows no region gb"),
    ],
    ids=without_addresses,
)
def test_a_field_that_means_nothing_is_a_declaration_error(annotation: Any, reason: str) -> None:
    members = {"good": Annotated[str, TEXT], "field": annotation}
    makers: list[Callable[[], Any]] = [
        lambda: declare(Stream, members, table="declared"),
        lambda: declare(Part, members),
    ]
    for make in makers:
        with pytest.raises(DeclarationError) as caught:
            make()
        assert str(caught.value) == f"Declared.field: {reason}"


CHARACTERS = "Truncate of a text needs the number of characters to keep"
STEP = "Truncate of a number needs the step to go down to"
UNIT = "Truncate of a timestamp goes to the year, month, day, hour, minute"


@pytest.mark.parametrize(
    ("rule", "to", "reason"),
    [
        *[(rule, None, CHARACTERS) for rule in (TEXT, Phone(), Version(), Custom(9, str))],
        *[(TEXT, to, CHARACTERS) for to in ("domain", 0, -1)],
        *[(rule, to, STEP) for rule in (Integer(), Number(4, 2)) for to in (None, 0, -5, "ten")],
        *[(Timestamp(), to, UNIT) for to in (None, 1, "second", "days")],
        *[(rule, to, f"{type(rule).__name__} has no shorter form: Truncate does not go with it")
          for rule in (Boolean(), OneOf("a"), Uuid()) for to in (None, 1)],
        *[(IpAddress(), to, "Truncate of an IP address goes to its /24 or /48, and takes no other size")
          for to in (8, 24, "/24")],
        *[(Email(), to, "Truncate of an e-mail address goes to its domain, and takes no other size")
          for to in (3, "domain")],
    ],
    ids=without_addresses,
)  # fmt: skip
def test_a_truncation_to_something_else_than_less_is_a_declaration_error(
    rule: Rule, to: int | str | None, reason: str
) -> None:
    for declared in (rule, Each(rule), Each(rule, json=True)):
        with pytest.raises(DeclarationError) as caught:
            declare(Stream, {"field": field(declared, Keep(), Truncate("short", to))}, table="declared")
        assert str(caught.value) == f"Declared.field: {reason}"


NAME_ANOTHER = "name another column in a mask of one of them"
OWN = "which Sluice writes itself in every table"


@pytest.mark.parametrize(
    ("base", "options", "reason"),
    [
        (Stream, {}, "Declared: a Stream names its table, a Part has none"),
        (Part, {"table": "declared"}, "Declared: a Stream names its table, a Part has none"),
        (
            Stream,
            {"table": "declared", "envelope": "sns"},
            "Declared: the envelope must be a function, such as sluice.sns",
        ),
    ],
)
def test_a_stream_has_a_table_and_a_part_has_none(base: Any, options: dict[str, Any], reason: str) -> None:
    for members in ({}, {"field": Annotated[str, TEXT]}):
        with pytest.raises(DeclarationError) as caught:
            declare(base, members, **options)
        assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("members", "defaults", "error"),
    [
        (
            {"one": field(TEXT, Keep("same")), "two": field(TEXT, Keep("same"))},
            {},
            f"one and two are both written to the column same; {NAME_ANOTHER}",
        ),
        (
            {"one": field(TEXT, Keep(), Redact())},
            {},
            "two masks of one write to the column one; name another column in one of them",
        ),
        (
            {"person": Person, "domain": field(TEXT)},
            {},
            f"domain and person.email are both written to the column domain; {NAME_ANOTHER}",
        ),
        (
            {"person": Person, "person_name": field(TEXT)},
            {},
            f"person_name and person.name are both written to the column person_name; {NAME_ANOTHER}",
        ),
        (
            {"buyer": Person, "payer": Person},
            {},
            "buyer.email and payer.email are both written to the column domain, which a mask of Person.email names;"
            " leave the name out there, so that each object's name goes before the field's, or declare a Part for each",
        ),
        (
            {"lines": list[Person], "other": field(TEXT, Keep("lines"))},
            {},
            f"other and lines are both written to the column lines; {NAME_ANOTHER}",
        ),
        (
            {"one": field(TEXT, Keep("two"))},
            {"two": constant(2)},
            f"one and two are both written to the column two; {NAME_ANOTHER}",
        ),
        (
            {"a": declare(Part, {"b": field(TEXT)}, {"c": constant(1)})},
            {"a_c": constant(2)},
            "a.c and a_c are both written to the column a_c; give one of them another name",
        ),
        (
            {"sent_at": field(Timestamp())},
            {},
            f"sent_at is written to the column sent_at, {OWN}; name another column in its mask",
        ),
        (
            {"mail": declare(Part, {"id": field(TEXT, Keep("message_id"))})},
            {},
            f"mail.id is written to the column message_id, {OWN}; name another column in its mask",
        ),
        (
            {"one": field(TEXT)},
            {"message_id": constant(2)},
            f"message_id is written to the column message_id, {OWN}; give it another name",
        ),
        (
            {"sent_at": list[Person]},
            {},
            f"sent_at is written to the column sent_at, {OWN}; give it another name",
        ),
    ],
    ids=without_addresses,
)
def test_two_things_for_one_column_are_a_declaration_error_that_names_both(
    members: dict[str, Any], defaults: dict[str, Any], error: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare(Stream, members, defaults, table="declared")
    assert str(caught.value) == f"Declared: {error}"


def test_a_part_may_be_used_twice_where_its_masks_name_no_column(keyset: Keyset) -> None:
    address: Any = declare(
        Part, {"street": field(TEXT, Pseudonym()), "city": field(TEXT)}, {"source": constant("form")}
    )
    stream = declare(Stream, {"billing": address, "shipping": address | None, "older": list[address]}, table="declared")
    assert [column for column, _ in stream.columns()] == [
        *("billing_street", "billing_city", "billing_source"),
        *("shipping_street", "shipping_city", "shipping_source"),
        "older",
    ]
    home = {"street": "Ringweg 1", "city": "Bonn"}
    token = keyset.pseudonymizer("street")("Ringweg 1")
    found = mask_body(stream, json.dumps({"billing": home, "shipping": home, "older": [home]}), keyset)
    assert found == [token, "Bonn", "form"] * 2 + [[{"street": token, "city": "Bonn", "source": "form"}]]


@pytest.mark.parametrize(
    ("annotation", "default", "reason"),
    [
        (field(TEXT), None, "the default None needs a type with `| None`"),
        (Person, None, "the default None needs a type with `| None`"),
        (list[Person], None, "the default None needs a type with `| None`"),
        (field(TEXT), "much too long", "the default is nothing that Text takes"),
        (field(TEXT), 1, "the default is nothing that Text takes"),
        (field(OneOf("a")), "b", "the default is nothing that OneOf takes"),
        (field(Number(4, 2)), Decimal("NaN"), "the default is nothing that Number takes"),
        (field(Timestamp()), "now", "the default is nothing that Timestamp takes"),
        (field(Each(TEXT)), msgspec.field(default_factory=lambda: [""]), "the default is nothing that Each takes"),
        (Person, Person(name="Ada", email="ada@example.com"), "the default of an object is None, that of a list []"),
    ],
    ids=without_addresses,
)
def test_a_default_that_would_be_rejected_is_a_declaration_error(annotation: Any, default: Any, reason: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare(Stream, {"field": annotation}, {"field": default}, table="declared")
    assert str(caught.value) == f"Declared.field: {reason}"


@pytest.mark.parametrize(
    "name",
    [
        "columns",
        "shape",
        "masker",
        "table",
        "unwrap",
        "layout",
        "token_places",
        "mentioned",
        "subject",
        "postmark",
        "stream_name",
    ],
)
def test_a_name_that_a_stream_has_already_is_a_declaration_error(name: str) -> None:
    for members, defaults in (({name: field(TEXT)}, {}), ({"field": field(TEXT)}, {name: constant(1)})):
        with pytest.raises(DeclarationError) as caught:
            declare(Stream, members, defaults, table="declared")
        assert str(caught.value).startswith(f"Declared.{name}: this name is taken")


# What makes a record one, and its time


class Head(Part):
    id: Annotated[str, TEXT]
    parent: Annotated[str | None, TEXT] = None
    at: Annotated[datetime, Timestamp()]


IN_THE_CLEAR = "must be kept in the clear, without a token of it or a constant for it"


@pytest.mark.parametrize("path", ["nothing", "head", "tags", "head.nothing", "heads.id", "missing.at", "plain.id"])
@pytest.mark.parametrize("option", ["identity", "time"])
def test_a_path_that_leads_to_no_single_value_is_a_declaration_error(option: str, path: str) -> None:
    through = path.partition(".")[0]
    reason = f"goes through {through}, which is no object" if "." in path else "is no field with a single value"
    reason = "is no field with a single value" if through == "head" else reason
    assert refusal(**{option: path}) == f"the {option} {path} {reason}"


@pytest.mark.parametrize("path", ["nothing", "head", "head.nothing", "missing.at", "plain.id"])
@pytest.mark.parametrize(("option", "what"), [("subject", "subject"), ("mentions", "mention")])
def test_a_path_that_leads_to_no_field_is_a_declaration_error(option: str, what: str, path: str) -> None:
    through = path.partition(".")[0]
    reason = "is no field" if "." not in path or through == "head" else f"goes through {through}, which is no object"
    assert refusal(**{option: path}) == f"the {what} {path} {reason}"


@pytest.mark.parametrize(
    ("option", "path", "name"),
    [
        ("identity", "plan", "plan"),
        ("identity", "nullable", "nullable"),
        ("identity", "head.parent", "parent"),
        ("identity", "base.id", "base"),
        ("time", "perhaps", "perhaps"),
        ("time", "base.at", "base"),
    ],
)
def test_identity_and_time_must_be_in_every_record(option: str, path: str, name: str) -> None:
    reason = f"must be in every record, but {name} has a default or can be null"
    assert refusal(**{option: path}) == f"the {option} {path} {reason}"


@pytest.mark.parametrize("path", ["token", "both", "redacted", "short", "made"])
def test_an_identity_is_no_masked_field(path: str) -> None:
    assert refusal(identity=path) == f"the identity {path} {IN_THE_CLEAR}: the UUID made of it would give it away"


def test_a_time_is_a_timestamp_that_is_not_masked() -> None:
    assert refusal(time="born") == f"the time born {IN_THE_CLEAR}: sent_at holds it"
    assert refusal(time="plain") == "the time plain must be a Timestamp"


def test_an_identity_is_not_the_subject() -> None:
    reason = "the identity plain is the subject, too; ids are in logs and rejections, which no erasure reaches"
    assert refusal(identity="plain", subject="plain") == reason


def test_a_field_in_an_object_and_one_that_is_also_shortened_may_be_identity_or_time() -> None:
    postmark = declare_push(identity="head.id", time="head.at").postmark
    assert [named.pointer for named in (postmark.identity, postmark.time)] == ["/head/id", "/head/at"]
    assert declare_push(identity="prefixed").postmark.time is None


@pytest.mark.parametrize("option", ["subject", "mentions", "identity", "time"])
def test_a_part_names_none_of_them(option: str) -> None:
    named: Any = {option: "field"}
    with pytest.raises(DeclarationError) as caught:
        declare(Part, {"field": field(TEXT)}, **named)
    assert str(caught.value) == f"Declared: a Part has no {option}, a Stream names it"


def refusal(**options: str) -> str:
    with pytest.raises(DeclarationError) as caught:
        declare_push(**options)
    return str(caught.value).removeprefix("Declared: ")


def declare_push(**options: Any) -> Any:
    members = {
        "plain": field(TEXT),
        "plan": field(TEXT),
        "nullable": Annotated[str | None, TEXT],
        "token": field(TEXT, Pseudonym()),
        "both": field(TEXT, Keep(), Pseudonym("both_token")),
        "redacted": field(TEXT, Keep(), Redact("nothing")),
        "short": field(TEXT, Truncate(to=3)),
        "made": field(TEXT, Keep(as_=len)),
        "prefixed": field(TEXT, Keep(), Truncate("prefix", to=3)),
        "tags": field(Each(TEXT)),
        "head": Head,
        "base": Head | None,
        "heads": list[Head],
        "born": field(Timestamp(), Truncate(to="year")),
        "perhaps": Annotated[datetime | None, Timestamp()],
    }
    return declare(Stream, members, {"plan": "free", "base": None}, table="declared", **options)


# Names in the record


class Renamed(Part, rename="camel"):
    first_name: Annotated[str, TEXT]
    shoe_size: Annotated[int | None, Integer()] = msgspec.field(name="size/eu", default=None)


class Parcel(Stream, table="parcels", rename="kebab"):
    sent_to: Renamed
    also_to: list[Renamed] = msgspec.field(default_factory=list)
    table_: Annotated[str | None, TEXT] = msgspec.field(name="table", default=None)
    user: Annotated[str | None, TEXT] = None
    user_mail: Annotated[str | None, Email(), Pseudonym("token")] = msgspec.field(name="user.mail~1", default=None)


PARCEL = {
    "sent-to": {"firstName": "Ada", "size/eu": 38},
    "also-to": [{"firstName": "Bob"}],
    "table": "t",
    "user.mail~1": "ada@example.com",
}


def test_a_column_has_the_name_in_the_class_and_a_pointer_the_key_in_the_record(keyset: Keyset) -> None:
    assert Parcel.columns() == (
        ("table_", "/table"),
        ("user", "/user"),
        ("token", "/user.mail~01"),
        ("sent_to_first_name", "/sent-to/firstName"),
        ("sent_to_shoe_size", "/sent-to/size~1eu"),
        ("also_to", "/also-to"),
    )
    token = keyset.pseudonymizer("user_mail")("ada@example.com")
    found = mask_body(Parcel, json.dumps(PARCEL), keyset)
    assert found == ["t", None, token, "Ada", 38, [{"first_name": "Bob", "shoe_size": None}]]


@pytest.mark.parametrize(
    ("changes", "reason", "pointer"),
    [
        ({"user.mail~1": "ada"}, "not_an_email_address", "/user.mail~01"),
        ({"user.mail~1": 1}, "wrong_type", "/user.mail~01"),
        ({"sent-to": {"firstName": "Ada", "size/eu": "38"}}, "wrong_type", "/sent-to/size~1eu"),
        ({"sent-to": {"firstName": "Ada", "size/eu": 2**63}}, "out_of_range", "/sent-to/size~1eu"),
        ({"sent-to": {"first_name": "Ada"}}, "missing", "/sent-to/firstName"),
        ({"also-to": [PARCEL["sent-to"], {"kn4ry": 1}]}, "missing", "/also-to/1/firstName"),
        ({"also-to": [PARCEL["sent-to"], {"firstName": ""}]}, "empty", "/also-to/1/firstName"),
    ],
)
def test_a_pointer_names_keys_with_any_character(
    changes: dict[str, Any], reason: str, pointer: str, keyset: Keyset
) -> None:
    with pytest.raises(Rejected) as caught:
        Parcel.masker(keyset)(json.dumps(PARCEL | changes))
    assert (caught.value.reason, caught.value.pointer) == (reason, pointer)


class AnyObject(Rule):
    accepts = dict[str, list[int]]

    def canonical(self, value: dict[str, list[int]], /) -> dict[str, list[int]]:
        return value


class Open(Stream, table="open"):
    counts: Annotated[dict[str, list[int]], AnyObject(), Redact()]


def test_keys_below_a_field_are_in_no_pointer(keyset: Keyset) -> None:
    with pytest.raises(Rejected) as caught:
        Open.masker(keyset)('{"counts": {"kn4ry": [1, "2"]}}')
    assert (caught.value.reason, caught.value.pointer) == ("wrong_type", "/counts/*")
    assert Open.shape('{"counts": {"kn4ry": [1, "2"]}}')["fields"] == {"counts": "object"}


# Objects and lists that may be missing


class Visit(Stream, table="visits"):
    person: Person | None = None
    people: list[Person] | None = None
    others: list[Person] = msgspec.field(default_factory=list)
    tags: Annotated[list[str], Each(TEXT)] = msgspec.field(default_factory=lambda: ["none"])
    languages: Annotated[list[str] | None, Each(TEXT), Keep(), Pseudonym("language_tokens")] = None
    kind: Annotated[str, OneOf("short", "long")] = "short"
    price: Annotated[Decimal, Number(4, 2)] = Decimal("1.5")
    at: Annotated[datetime | None, Timestamp()] = None


def test_what_is_missing_has_its_default_and_null_is_null_in_every_column(keyset: Keyset) -> None:
    names = [column for column, _ in Visit.columns()]
    row: dict[str, Any] = {
        "tags": '{"none"}',
        "languages": None,
        "language_tokens": None,
        "kind": "short",
        "price": Decimal("1.50"),
        "at": None,
        "person_name": None,
        "person_email": None,
        "domain": None,
        "people": None,
        "others": [],
    }
    assert dict(zip(names, mask_body(Visit, "{}", keyset), strict=True)) == row
    nulls = '{"person": null, "people": null, "languages": null, "at": null}'
    assert dict(zip(names, mask_body(Visit, nulls, keyset), strict=True)) == row


@pytest.mark.parametrize("key", ["others", "tags", "kind", "price"])
def test_null_is_refused_where_a_default_is_no_null(key: str, keyset: Keyset) -> None:
    with pytest.raises(Rejected) as caught:
        Visit.masker(keyset)(json.dumps({key: None}))
    assert (caught.value.reason, caught.value.pointer) == ("null", f"/{key}")


# Constants and derived columns


class Colour(Enum):
    RED = "red"


class Sum(Part):
    sold_at: Annotated[datetime, Timestamp()]
    price: Annotated[Decimal, Number(6, 2)]
    version = constant(2)

    @derived
    def price_and_tax(self) -> Decimal:
        return self.price * 2


class Sale(Stream, table="sales"):
    person: Person
    first: Sum
    sums: list[Sum] = msgspec.field(default_factory=list)
    source = constant("shop")

    @derived
    def domain_of_person(self) -> str:
        return self.person.email.partition("@")[2]

    @derived
    def total(self) -> Decimal:
        return sum((part.price for part in self.sums), self.first.price)


SALE = {
    "person": {"name": "Ada", "email": "Ada@EXAMPLE.com"},
    "first": {"sold_at": 1600000000, "price": "1.1"},
    "sums": [{"sold_at": 1600000001, "price": 2.2}, {"sold_at": 1600000002, "price": 3}],
}


def test_a_derived_column_sees_canonical_values_and_a_constant_none(keyset: Keyset) -> None:
    names = [column for column, _ in Sale.columns()]
    assert dict(zip(names, mask_body(Sale, json.dumps(SALE), keyset), strict=True)) == {
        "person_name": None,
        "person_email": keyset.pseudonymizer("email")("Ada@example.com"),
        "domain": "example.com",
        "first_sold_at": "2020-09-13T12:26:40+00:00",
        "first_price": Decimal("1.10"),
        "first_version": 2,
        "first_price_and_tax": Decimal("2.20"),
        "sums": [
            {"sold_at": f"2020-09-13T12:26:4{second}+00:00", "price": price, "version": 2, "price_and_tax": 2 * price}
            for second, price in ((1, Decimal("2.20")), (2, Decimal("3.00")))
        ],
        "source": "shop",
        "domain_of_person": "example.com",
        "total": Decimal("6.30"),
    }
    assert ("total", "") in Sale.columns()


@pytest.mark.parametrize(
    ("make", "cell"),
    [
        (lambda: None, None),
        (lambda: "text", "text"),
        (lambda: True, True),
        (lambda: Decimal("1.10"), Decimal("1.10")),
        (lambda: 1.5, 1.5),
        (lambda: datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00Z"),
        (lambda: date(2026, 1, 31), "2026-01-31"),
        (lambda: UUID(int=1), str(UUID(int=1))),
        (lambda: Colour.RED, "red"),
        (lambda: ["a", Decimal("1.10"), date(2026, 1, 31)], ["a", Decimal("1.10"), "2026-01-31"]),
        (lambda: {"a": {"b": None}}, {"a": {"b": None}}),
        (lambda: Person(name="Ada", email="a@b"), {"name": "Ada", "email": "a@b"}),
    ],
)
def test_a_derived_column_may_be_of_any_type_that_a_column_has(
    make: Callable[[], object], cell: object, keyset: Keyset
) -> None:
    stream = declare(Stream, {"field": field(TEXT)}, {"made": derived(lambda record: make())}, table="declared")
    _, found = stream.masker(keyset)('{"field": "a"}').cells
    if isinstance(cell, bool | float | list | dict):
        assert isinstance(found, Json)
        assert json.loads(found, parse_float=type(cell) if isinstance(cell, float) else Decimal) == cell
    else:
        assert (type(found), found) == (type(cell), cell)


def test_a_derived_column_may_reject_the_record(keyset: Keyset) -> None:
    def refuse(record: Any) -> None:
        raise Rejected("too_late")

    stream = declare(Stream, {"field": field(TEXT)}, {"made": derived(refuse)}, table="declared")
    with pytest.raises(Rejected) as caught:
        stream.masker(keyset)('{"field": "a"}')
    assert (caught.value.reason, caught.value.pointer) == ("too_late", "")


def test_a_declaration_may_build_on_another(keyset: Keyset) -> None:
    base = declare(Part, {"one": field(TEXT)}, {"made": derived(lambda record: record.one * 2)})
    longer = declare(base, {"two": field(TEXT)}, {"more": constant(3)})
    stream = declare(Stream, {"part": longer}, table="declared")
    assert [column for column, _ in stream.columns()] == ["part_one", "part_two", "part_made", "part_more"]
    assert mask_body(stream, '{"part": {"one": "a", "two": "b"}}', keyset) == ["a", "b", "aa", 3]


def test_an_object_may_have_what_a_table_has_for_itself(keyset: Keyset) -> None:
    mail = declare(Part, {"message_id": field(Uuid()), "sent_at": field(Timestamp())})
    stream = declare(Stream, {"mail": mail, "mails": list[mail]}, table="declared")  # type: ignore[valid-type]
    assert [column for column, _ in stream.columns()] == ["mail_message_id", "mail_sent_at", "mails"]


# The shape of what was rejected


def test_a_shape_names_declared_fields_alone_at_every_depth() -> None:
    body = json.dumps({
        "person": {"name": "kn4ry", "email": None, "kn4ry": 1},
        "first": ["kn4ry"],
        "sums": [{"kn4ry": 1}],
        "kn4ry": {"price": 1},
        "source": "kn4ry",
    })  # fmt: skip
    shape = {"person": {"name": "string", "email": "null"}, "first": "array", "sums": "array"}
    assert Sale.shape(body) == {"bytes": len(body), "fields": shape, "other_fields": 2}


# Enumerations


def test_the_choices_may_be_those_of_an_enumeration() -> None:
    assert OneOf.of(Colour) == OneOf("red")


@pytest.mark.parametrize("mask", [Keep(), Pseudonym(), Redact(), Truncate(to=3)])
def test_a_mask_without_a_column_writes_to_that_of_the_fields_name(mask: Mask) -> None:
    part = declare(Part, {"inner": field(TEXT, mask)})
    stream = declare(Stream, {"field": field(TEXT, mask), "outer": part}, table="declared")
    assert [column for column, _ in stream.columns()] == ["field", "outer_inner"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partition": "week"}, "the partition is one of day, month, year"),
        ({"partition": ["month"]}, "the partition is one of day, month, year"),
        ({"keep_for": "9 days"}, 'keep_for needs partitions, which go as a whole; add partition="month"'),
        *(
            (
                {"partition": "month", "keep_for": keep_for},
                'keep_for is a number of days up to 36500, such as "400 days"',
            )
            for keep_for in ("0 days", "-1 days", "1.5 days", "2 months", "40000 days", "400", 400, "  9 days")
        ),
        (
            {"partition": "month", "identity": "field"},
            "with partitions a row is one by its identity and its time, so the identity field needs a time: name the"
            " field that has it",
        ),
    ],
)
def test_partitions_are_declared_by_unit_and_by_days(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare(Stream, {"field": field(TEXT)}, table="declared", **options)
    assert str(caught.value) == f"Declared: {message}"


def test_what_is_kept_is_told_in_days() -> None:
    made = declare(Stream, {"field": field(TEXT)}, table="declared", partition="day", keep_for="1 day")
    assert description.head(made)["partition"] == "day"
    assert description.head(made)["keep_for"] == "1 days"
