"""Orders of a shop, in the form of Shopify's webhooks: what was bought, for how much, by which customer."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from sluice import (
    Boolean,
    Card,
    Email,
    Find,
    Integer,
    IpAddress,
    NullIf,
    Number,
    OneOf,
    Part,
    Phone,
    Prefix,
    Pseudonym,
    Redact,
    Scrub,
    Stream,
    Tagged,
    Text,
    Timestamp,
    Truncate,
    Uuid,
    eventbridge,
)

NO_PEOPLE = Scrub(
    Find(Email(fold=True), Pseudonym(domain="email")),
    Find(Phone(region="GB"), Pseudonym(domain="phone")),
    Find(Card(), Redact(constant="[card]")),
)


class Customer(Part):
    """Who bought."""

    id: Annotated[int, Integer(min=1), Pseudonym("customer", domain="subject")]
    email: Annotated[str | None, Email(fold=True), NullIf("blank"), Pseudonym(domain="email")] = None
    phone: Annotated[str | None, Phone(), NullIf("blank", "invalid"), Pseudonym(domain="phone")] = None
    verified_email: Annotated[bool | None, Boolean()] = None


class Address(Part):
    """Where it goes: the town, no name and no street. A phone number may be any text."""

    city: Annotated[str | None, Text(max=128), NullIf("blank")] = None
    country_code: Annotated[str | None, Text(max=2)] = None
    zip: Annotated[str | None, Text(max=16), NullIf("blank"), Truncate(to=2)] = None
    phone: Annotated[str | None, Phone(region="GB"), NullIf("blank", "invalid"), Pseudonym(domain="phone")] = None
    latitude: Annotated[Decimal | None, Number(precision=3, scale=1, round=True)] = None
    longitude: Annotated[Decimal | None, Number(precision=4, scale=1, round=True)] = None


class Gift(Part):
    """That it is a gift."""

    value: Annotated[str, Text(max=16)]


class GiftEmail(Part):
    """For whom."""

    value: Annotated[str, Email(fold=True), Pseudonym("email_token", domain="email")]


class Note(Part):
    """Whatever else a shop asks for: no more than the question."""

    name: Annotated[str, Text(max=256)]


class Line(Part):
    """What was bought."""

    sku: Annotated[str | None, Text(max=64), NullIf("blank")] = None
    title: Annotated[str, Text(max=256)]
    quantity: Annotated[int, Integer(min=1)]
    price: Annotated[Decimal, Number(precision=12, scale=2)]


class Discount(Part):
    """What was taken off. A code may name a customer."""

    code: Annotated[str, Text(max=256), Pseudonym("code_token", domain="discount_code")]
    amount: Annotated[Decimal, Number(precision=12, scale=2)]
    type: Annotated[str, Text(max=32)]


class Payload(Part):
    """The order."""

    id: Annotated[int, Integer(min=1)]
    name: Annotated[str, Text(max=32)]
    created_at: Annotated[datetime, Timestamp()]
    updated_at: Annotated[datetime, Timestamp()]
    cancelled_at: Annotated[datetime | None, Timestamp()] = None
    cancel_reason: Annotated[str | None, Text(max=32)] = None
    financial_status: Annotated[
        str | None,
        OneOf("pending", "authorized", "partially_paid", "paid", "partially_refunded", "refunded", "voided", "expired"),
    ] = None
    fulfillment_status: Annotated[str | None, Text(max=32)] = None
    currency: Annotated[str, Text(max=3)]
    total_price: Annotated[Decimal, Number(precision=12, scale=2)]
    total_tax: Annotated[Decimal, Number(precision=12, scale=2)]
    total_discounts: Annotated[Decimal, Number(precision=12, scale=2)]
    test: Annotated[bool, Boolean()]
    source_name: Annotated[str | None, Text(max=32)] = None
    tags: Annotated[str | None, Text(max=4000), NullIf("blank")] = None
    note: Annotated[str | None, Text(max=5000), NullIf("blank"), NO_PEOPLE] = None
    email: Annotated[
        str | None,
        Email(fold=True),
        NullIf("blank"),
        Pseudonym("email", domain="email"),
        Pseudonym("buyer", domain="subject"),
    ] = None
    phone: Annotated[str | None, Phone(), NullIf("blank", "invalid"), Pseudonym(domain="phone")] = None
    browser_ip: Annotated[str | None, IpAddress(), NullIf("blank"), Pseudonym(domain="ip")] = None
    landing_site: Annotated[str | None, Text(max=8000), NullIf("blank"), NO_PEOPLE] = None
    customer: Customer | None = None
    shipping_address: Address | None = None
    line_items: list[Line]
    discount_codes: list[Discount] = []
    note_attributes: Annotated[
        list[Gift | GiftEmail | Note], Tagged("name", {"gift": Gift, "gift_email": GiftEmail}, others=Note)
    ] = []


class Metadata(Part):
    """The headers of the webhook."""

    topic: Annotated[str, Text(max=64)] = msgspec.field(name="X-Shopify-Topic")
    shop: Annotated[str, Text(max=256)] = msgspec.field(name="X-Shopify-Shop-Domain")
    webhook_id: Annotated[str, Uuid()] = msgspec.field(name="X-Shopify-Webhook-Id")
    triggered_at: Annotated[datetime, Timestamp()] = msgspec.field(name="X-Shopify-Triggered-At")


class Order(
    Stream,
    table="shop_orders",
    envelope=eventbridge,
    subject=("payload.customer.id", "payload.email"),
    identity="metadata.webhook_id",
    time="metadata.triggered_at",
):
    """An order, as the shop sends it to EventBridge whenever it changes."""

    metadata: Annotated[Metadata, Prefix("")]
    payload: Annotated[Payload, Prefix("")]
