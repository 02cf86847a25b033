"""Orders: what was bought, by whom, for how much."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from sluice import (
    Boolean,
    CaseFolded,
    Each,
    Email,
    Integer,
    IpAddress,
    Number,
    OneOf,
    Part,
    Phone,
    Pseudonym,
    Redact,
    Stream,
    Text,
    Timestamp,
    Truncate,
    Uuid,
    constant,
    derived,
)


class Customer(Part):
    """Who bought."""

    email: Annotated[
        str,
        Email(),
        Pseudonym("customer_email", recoverable=True),
        Pseudonym("customer", domain="subject"),
        Truncate("customer_domain"),
    ]
    phone: Annotated[str | None, Phone(region="GB"), Pseudonym()] = None
    name: Annotated[str, Text(max=200), Redact()]


class Line(Part):
    """What was bought."""

    sku: Annotated[str, Text(max=64)]
    quantity: Annotated[int, Integer(min=1, max=10_000)]
    price: Annotated[Decimal, Number(precision=12, scale=2)]
    engraving: Annotated[str | None, Text(max=100), Redact(constant="engraved")] = None


class Order(Stream, table="orders", subject="customer.email", batch="batch_id"):
    """An order, as the shop sends it."""

    order_id: Annotated[str, Uuid()]
    placed_at: Annotated[datetime, Timestamp()]
    status: Annotated[str, OneOf("new", "paid", "sent")]
    total: Annotated[Decimal, Number(precision=12, scale=2)]
    gift: Annotated[bool, Boolean()] = False
    tags: Annotated[list[str], Each(CaseFolded(max=32), max=20)] = []
    recipients: Annotated[list[str], Each(Email()), Pseudonym("recipient_emails", domain="email")] = []
    ip: Annotated[str | None, IpAddress(), Pseudonym("masked_ip"), Truncate("network")] = None
    customer: Customer
    lines: list[Line]
    source = constant("shop")

    @derived
    def large(self) -> bool:
        return self.total >= 1000
