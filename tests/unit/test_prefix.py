"""What goes before the names of an object's columns."""

import json
from typing import Annotated, Any

import pytest

from sluice.declaration.envelopes import sns
from sluice.declaration.layout import FROM_ENVELOPE, Prefix
from sluice.declaration.masks import Keep, Pseudonym
from sluice.declaration.rules import Email, Text
from sluice.declaration.stream import Part, Stream
from sluice.declaration.unions import Tagged
from sluice.failures import DeclarationError
from sluice.pseudonyms.keyset import Keyset
from tests.integration.messages import KEYSET
from tools.sluice_cli.authors import contract
from tools.sluice_cli.authors.contract import Change

NAME = Text(max=9)


class Address(Part):
    town: Annotated[str, NAME]


class Buyer(Part):
    email: Annotated[str, Email(), Pseudonym(domain="subject"), Keep("kept")]
    address: Address
    billing: Annotated[Address | None, Prefix("bill_")] = None


class Payload(Part):
    id: Annotated[str, NAME]
    buyer: Buyer


class Order(Stream, table="orders", subject="payload.buyer.email", identity="payload.id"):
    payload: Annotated[Payload, Prefix("")]


def test_it_stands_in_the_place_of_the_object_s_name() -> None:
    assert dict(Order.columns()) == {
        "id": "/payload/id",
        "buyer_email": "/payload/buyer/email",
        "kept": "/payload/buyer/email",
        "buyer_address_town": "/payload/buyer/address/town",
        "buyer_bill_town": "/payload/buyer/billing/town",
    }


def test_subject_and_identity_are_named_by_their_fields_all_the_same() -> None:
    assert Order.subject
    assert [field.column for field in Order.subject.fields] == ["buyer_email"]
    assert Order.postmark.identity


def test_rows_are_what_they_were() -> None:
    buyer = {"email": "ann@example.com", "address": {"town": "York"}}
    body = json.dumps({"payload": {"id": "7", "buyer": buyer}})
    cells = Order.masker(Keyset.parse(KEYSET))(body).cells
    assert (cells[0], *cells[2:]) == ("7", "ann@example.com", "York", None)


def test_two_objects_that_meet_in_a_column_are_a_mistake() -> None:
    with pytest.raises(DeclarationError, match=r"^Mistake: one\.town and two\.town are both written to"):

        class Mistake(Stream, table="mistakes"):
            one: Annotated[Address, Prefix("")]
            two: Annotated[Address, Prefix("")]


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[list[Address], Prefix("")],
        Annotated[str, NAME, Prefix("")],
        Annotated[str, Prefix("")],
        Annotated[Address | Buyer, Tagged("type", {"a": Address}, others=Buyer), Prefix("")],
    ],
    ids=["a list", "a field", "no rule", "a union"],
)
def test_it_goes_with_a_single_object_alone(annotation: Any) -> None:
    with pytest.raises(
        DeclarationError, match=r"^Mistake\.field: Prefix goes with an object, a Part that is in no list and no union$"
    ):
        type("Mistake", (Stream,), {"__annotations__": {"field": annotation}, "__module__": __name__}, table="mistakes")


def test_it_needs_a_text() -> None:
    with pytest.raises(DeclarationError, match=r'^Mistake\.field: Prefix takes a text, such as Prefix\(""\)'):

        class Mistake(Stream, table="mistakes"):
            field: Annotated[Address, Prefix(None)]


def test_what_is_around_a_record_may_have_one() -> None:
    class Noted(Stream, table="noted", envelope=sns):
        id: Annotated[str, NAME]
        around: Annotated[Address, FROM_ENVELOPE, Prefix("")]

    assert [column for column, _ in Noted.columns()] == ["id", "town"]


def test_a_comparison_tells_of_the_column_that_has_another_name() -> None:
    class Before(Stream, table="orders"):
        address: Address

    class After(Stream, table="orders"):
        address: Annotated[Address, Prefix("")]

    assert contract.compare({"orders": contract.of_stream(Before)}, {"orders": contract.of_stream(After)}) == [
        Change(True, "orders: the column address_town is town now")
    ]
