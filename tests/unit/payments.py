"""A stream whose values have several shapes: everything that a union can be."""

from decimal import Decimal
from typing import Annotated

from sluice import (
    ByType,
    Each,
    Email,
    Integer,
    Keep,
    Number,
    OneOf,
    Part,
    Pseudonym,
    Redact,
    Stream,
    Tagged,
    Text,
    Truncate,
    constant,
    derived,
)


class Card(Part):
    """Paid by card."""

    number: Annotated[str, Text(max=19), Pseudonym("card_token", recoverable=True), Truncate("card_start", to=4)]
    country: Annotated[str, Text(max=2)]
    kind = constant("card")


class Bank(Part):
    """Paid from an account."""

    iban: Annotated[str, Text(max=34), Pseudonym(recoverable=True)]
    country: Annotated[str | None, Text(max=3)] = None
    kind = constant("bank transfer")


class Shop(Part):
    """Paid at a till."""

    till: Annotated[int, Integer(min=1, max=9)]


class Elsewhere(Part):
    """Paid nobody knows where."""


class Author(Part):
    """Who paid, as an object."""

    email: Annotated[str, Email(), Pseudonym(recoverable=True)]


class Company(Part):
    """A company that paid."""

    vat: Annotated[str, Text(max=20)]
    email: Annotated[str, Email(), Pseudonym(recoverable=True)]


class Header(Part):
    """A header of a mail."""

    name: Annotated[str, Text(max=64)]


class Addressed(Header):
    """A header that holds an address."""

    value: Annotated[str, Email(), Pseudonym("address", domain="email", recoverable=True)]


class About(Header):
    """A header that holds free text."""

    value: Annotated[str, Text(max=200), Redact("text", constant="about")]


class Track(Part):
    """Something happened."""

    event: Annotated[str, Text(max=64)]
    by: Annotated[Author | str, ByType(Author, (Text(max=64), Pseudonym("by_name")))]


class Identify(Part):
    """Somebody is known."""

    traits: Author


class Payment(Stream, table="payments", subject="user_id"):
    """A payment, of whatever kind."""

    user_id: Annotated[str, Text(max=64)]
    type: Annotated[str, OneOf("track", "identify")]
    method: Annotated[Card | Bank, Tagged("type", {"card": Card, "debit": Card, "bank": Bank})]
    source: Annotated[Shop | Elsewhere | None, Tagged("kind", {1: Shop, 2: Shop}, others=Elsewhere)] = None
    author: Annotated[
        Company | Author | str | Decimal | list[Shop] | None,
        ByType(
            Company,
            Author,
            (Text(max=100), Pseudonym("author_name")),
            (Number(9, 2), Keep("author_number")),
            list[Shop],
        ),
    ] = None
    to: Annotated[
        list[str] | str,
        ByType(
            (Each(Email()), Pseudonym("to_tokens", domain="email", recoverable=True)),
            (Email(), Pseudonym("to_token", domain="email", recoverable=True)),
        ),
    ]
    headers: Annotated[
        list[Addressed | About | Header],
        Tagged("name", {"To": Addressed, "cc": Addressed, "Subject": About}, others=Header, fold=True),
    ] = []  # noqa: RUF012 (each record gets a copy of a default)
    call: Annotated[Track | Identify, Tagged("type", {"track": Track, "identify": Identify}, inline=True)]

    @derived
    def is_card(self) -> bool:
        return isinstance(self.method, Card)
