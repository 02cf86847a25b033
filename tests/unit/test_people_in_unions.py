"""People in a value of several shapes: whose record it is, and whom it mentions."""

import json
from typing import Annotated, Any

import pytest

from sluice.declaration import whose
from sluice.declaration.masks import Keep, Pseudonym
from sluice.declaration.personal import TokenPlace
from sluice.declaration.rules import Integer, Text
from sluice.declaration.stream import Part, Stream
from sluice.declaration.unions import ByType, Tagged
from sluice.failures import DeclarationError
from sluice.pseudonyms.keyset import Keyset
from tests.integration.messages import KEYSET

NAME = Text(max=9)
PERSON = Pseudonym(domain="subject")


class Card(Part):
    """Paid by a person."""

    holder: Annotated[str, NAME, PERSON]


class Account(Part):
    """Paid by a person, through a bank."""

    bank: Annotated[str, NAME]
    holder: Annotated[str, NAME, PERSON]


class Cash(Part):
    """Paid by nobody knows whom."""

    till: Annotated[int, Integer()]


CASES = {"card": Card, "account": Account}


class Paid(Stream, table="paid", subject=("method.holder", "by"), mentions=("witnesses.holder",)):
    """A payment."""

    by: Annotated[str | None, NAME, PERSON] = None
    method: Annotated[Card | Account | Cash, Tagged("type", CASES, others=Cash)]
    witnesses: Annotated[list[Card | Account | Cash], Tagged("type", CASES, others=Cash)] = []  # noqa: RUF012


class Inline(Stream, table="inline", subject="method.holder"):
    """A payment whose method is told beside it."""

    id: Annotated[int, Integer()]
    method: Annotated[Card | Account | Cash, Tagged("type", CASES, others=Cash, inline=True)]


class ByName(Stream, table="by_name", subject="by.holder"):
    """A payment of a person, or of a number of a till."""

    by: Annotated[Card | int, ByType(Card, Integer())]


def paid(**method: object) -> dict[str, Any]:
    return {"method": method, "by": "kim"}


@pytest.mark.parametrize(
    ("stream", "record", "persons"),
    [
        (Paid, paid(type="card", holder="ann"), ("ann",)),
        (Paid, paid(type="account", holder="bob", bank="one"), ("bob",)),
        (Paid, paid(type="coins", till=1), ("kim",)),
        (Inline, {"id": 1, "type": "card", "holder": "ann"}, ("ann",)),
        (Inline, {"id": 1, "type": "account", "holder": "bob", "bank": "one"}, ("bob",)),
        (Inline, {"id": 1, "type": "coins", "till": 1}, ()),
        (ByName, {"by": {"holder": "ann"}}, ("ann",)),
        (ByName, {"by": 7}, ()),
    ],
)
def test_a_record_is_of_whom_its_shape_names(
    stream: type[Stream], record: dict[str, Any], persons: tuple[str, ...]
) -> None:
    body = json.dumps(record)
    assert stream.masker(Keyset.parse(KEYSET))(body).originals.subjects == persons
    assert whose.of_body(stream, body) == persons


def test_the_subject_has_the_column_of_all_its_shapes() -> None:
    assert [(field.column, field.is_array) for stream in (Paid, Inline, ByName) for field in _fields(stream)] == [
        ("method_holder", False),
        ("by", False),
        ("holder", False),
        ("by_holder", False),
    ]


def _fields(stream: type[Stream]) -> Any:
    assert stream.subject
    return stream.subject.fields


def test_a_mention_is_found_in_each_shape_that_has_it() -> None:
    assert Paid.mentioned.places == (
        TokenPlace("witnesses", ("holder",), "subject", recoverable=False, is_array=False, is_json=True),
    )


def test_a_subject_that_differs_between_shapes_is_a_mistake() -> None:
    class Other(Part):
        holder: Annotated[str, NAME, Keep("holder")]

    with pytest.raises(
        DeclarationError,
        match=r"^Mistake: the subject method\.holder is not the same in all shapes that have it;"
        " give it one rule and the same masks$",
    ):

        class Mistake(Stream, table="mistakes", subject="method.holder"):
            method: Annotated[Card | Other, Tagged("type", {"card": Card}, others=Other)]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"subject": "method.owner"}, "the subject method.owner is no field"),
        ({"subject": "method.holder.name"}, "the subject method.holder.name goes through holder, which is no object"),
        ({"subject": "method"}, "the subject method is no field"),
        ({"mentions": "method.till"}, "the mention method.till is kept in the clear"),
        ({"identity": "method.holder"}, "the identity method.holder goes through method, which has several shapes"),
    ],
)
def test_what_no_shape_has_is_told(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeclarationError, match=f"^Mistake: {sentence}"):

        class Mistake(Stream, table="mistakes", **options):
            method: Annotated[Card | Account | Cash, Tagged("type", CASES, others=Cash)]
