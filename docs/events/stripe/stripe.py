"""Stripe's events: what was paid, how, and by which customer."""

from datetime import datetime
from typing import Annotated, Any

from sluice import (
    Boolean,
    ByType,
    CaseFolded,
    Email,
    Find,
    Integer,
    Keep,
    NullIf,
    Part,
    Phone,
    Prefix,
    Pseudonym,
    Scrub,
    Stream,
    Tagged,
    Text,
    Timestamp,
    Tree,
    eventbridge,
)


class Address(Part):
    """Where somebody lives: no more than the country."""

    country: Annotated[str | None, Text(max=2), NullIf("blank")] = None


class Contact(Part):
    """How to reach who pays."""

    email: Annotated[str | None, Email(fold=True), NullIf("blank", "invalid"), Pseudonym(domain="email")] = None
    phone: Annotated[str | None, Phone(), NullIf("blank", "invalid"), Pseudonym(domain="phone")] = None
    address: Address | None = None


class Card(Part):
    """A card: Stripe sends no number, and a fingerprint that is the same for one number."""

    brand: Annotated[str, Text(max=32)]
    country: Annotated[str | None, Text(max=2)] = None
    funding: Annotated[str | None, Text(max=16)] = None
    fingerprint: Annotated[str | None, Text(max=64), Pseudonym(domain="card")] = None


class Debit(Part):
    """A bank account."""

    country: Annotated[str | None, Text(max=2)] = None
    bank_code: Annotated[str | None, Text(max=16), NullIf("blank")] = None
    fingerprint: Annotated[str | None, Text(max=64), Pseudonym(domain="account")] = None


class Details(Part):
    """How somebody paid. Each way has an object of its own, of which two are read."""

    type: Annotated[str, Text(max=32), Keep("method")]
    card: Card | None = None
    sepa_debit: Debit | None = None


class Customer(Contact):
    """Who pays."""

    metadata: Annotated[dict[str, Any], Tree({"/user_id": (Text(max=64), Pseudonym(domain="user_id"))})] = {}


class Charge(Part):
    """An attempt to get money."""

    amount: Annotated[int, Integer(min=0)]
    status: Annotated[str, Text(max=32)]
    failure_code: Annotated[str | None, Text(max=64)] = None
    description: Annotated[
        str | None, Text(max=1000), NullIf("blank"), Scrub(Find(Email(fold=True), Pseudonym(domain="email")))
    ] = None
    receipt_email: Annotated[str | None, Email(fold=True), NullIf("blank", "invalid"), Pseudonym(domain="email")] = None
    billing_details: Annotated[Contact | None, Prefix("payer_")] = None
    payment_method_details: Annotated[Details | None, Prefix("")] = None


class Invoice(Part):
    """What somebody has to pay."""

    number: Annotated[str | None, Text(max=64)] = None
    amount_due: Annotated[int, Integer()]
    amount_paid: Annotated[int, Integer()]
    status: Annotated[str | None, Text(max=32)] = None
    customer_email: Annotated[str | None, Email(fold=True), NullIf("blank", "invalid"), Pseudonym(domain="email")] = (
        None
    )


class Intent(Part):
    """What somebody wants to pay."""

    amount: Annotated[int, Integer(min=0)]
    status: Annotated[str, Text(max=32)]
    metadata: Annotated[dict[str, Any], Tree({"/order_id": Text(max=64)})] = {}


class Session(Part):
    """A visit of the checkout."""

    amount_total: Annotated[int | None, Integer(min=0)] = None
    status: Annotated[str | None, Text(max=32)] = None
    customer_details: Annotated[Contact | None, Prefix("payer_")] = None


class Method(Part):
    """A way to pay that a customer keeps."""

    type: Annotated[str, Text(max=32), Keep("method")]
    billing_details: Annotated[Contact | None, Prefix("payer_")] = None


class Anything(Part):
    """Any other object of Stripe."""

    status: Annotated[str | None, Text(max=32)] = None


class Object(Part):
    """What the event is about. Stripe's ids say nothing of a person, and find the row in Stripe."""

    id: Annotated[str, Text(max=255), Keep("object_id")]
    object: Annotated[str, Text(max=64)]
    customer: Annotated[str | None, Text(max=255)] = None
    currency: Annotated[str | None, CaseFolded(max=3)] = None
    kind: Annotated[
        Customer | Charge | Invoice | Intent | Session | Method | Anything,
        Tagged(
            "object",
            {
                "customer": Customer,
                "charge": Charge,
                "invoice": Invoice,
                "payment_intent": Intent,
                "checkout.session": Session,
                "payment_method": Method,
            },
            others=Anything,
            inline=True,
        ),
    ]


class Data(Part):
    """What is around the object, and around what it was before, which is not read."""

    object: Annotated[Object, Prefix("")]


class Request(Part):
    """The call of Stripe's API that made the event."""

    id: Annotated[str | None, Text(max=255)] = None


class Event(
    Stream,
    table="stripe_events",
    envelope=eventbridge,
    subject=("data.object.customer", "data.object.id"),
    identity="id",
    time="created",
):
    """An event, as Stripe sends it to EventBridge."""

    id: Annotated[str, Text(max=255)]
    type: Annotated[str, Text(max=255)]
    created: Annotated[datetime, Timestamp()]
    livemode: Annotated[bool, Boolean()]
    api_version: Annotated[str | None, Text(max=64)] = None
    account: Annotated[str | None, Text(max=255)] = None
    request: Annotated[Request | str | None, ByType(Request, Text(max=255))] = None
    data: Annotated[Data, Prefix("")]
