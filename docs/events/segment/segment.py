"""Segment's calls: what somebody did on a site or in an app."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from sluice import (
    Card,
    Email,
    Find,
    Id,
    IpAddress,
    NullIf,
    Number,
    OneOf,
    Part,
    Phone,
    Pseudonym,
    Redact,
    Scrub,
    Stream,
    Text,
    Timestamp,
    Tree,
    Truncate,
    listed,
)

NO_PEOPLE = Scrub(
    Find(Email(fold=True), Redact(constant="[email]")),
    Find(Phone(), Redact(constant="[phone]")),
    Find(Card(), Redact(constant="[card]")),
)


class Page(Part):
    """Where a visitor was. People come in addresses, too: `?email=…`."""

    path: Annotated[str | None, Text(max=2000), NullIf("blank"), NO_PEOPLE] = None
    url: Annotated[str | None, Text(max=8000), NullIf("blank"), NO_PEOPLE] = None
    referrer: Annotated[str | None, Text(max=8000), NullIf("blank"), NO_PEOPLE] = None


class Device(Part):
    """What a visitor holds; its name is often the visitor's."""

    id: Annotated[str | None, Text(max=256), Pseudonym(domain="device")] = None
    type: Annotated[str | None, Text(max=32)] = None
    model: Annotated[str | None, Text(max=64)] = None


class App(Part):
    """What a visitor uses."""

    name: Annotated[str | None, Text(max=64)] = None
    version: Annotated[str | None, Text(max=32)] = None


class Location(Part):
    """Where a visitor is, to a kilometre."""

    latitude: Annotated[Decimal | None, Number(precision=4, scale=2, round=True)] = None
    longitude: Annotated[Decimal | None, Number(precision=5, scale=2, round=True)] = None


class Library(Part):
    """What made the call."""

    name: Annotated[str, Text(max=64)]
    version: Annotated[str | None, Text(max=64)] = None


class Context(Part):
    """What is around a call."""

    ip: Annotated[str | None, IpAddress(), NullIf("blank"), Pseudonym("ip", domain="ip"), Truncate("network")] = None
    locale: Annotated[str | None, Text(max=32)] = None
    timezone: Annotated[str | None, Text(max=64)] = None
    page: Page | None = None
    app: App | None = None
    device: Device | None = None
    location: Location | None = None
    library: Library | None = None


class Call(
    Stream,
    table="segment_calls",
    records=listed("batch"),
    subject=("user_id", "anonymous_id"),
    identity="call_id",
    time="timestamp",
    rename="camel",
):
    """A call of Segment's API, of those in a batch."""

    call_id: Annotated[str, Text(max=100)] = msgspec.field(name="messageId")
    type: Annotated[str, OneOf("track", "identify", "page", "screen", "group", "alias")]
    timestamp: Annotated[datetime, Timestamp()]
    user_id: Annotated[str | None, Id(max=256), NullIf("blank"), Pseudonym("user_token", domain="subject")] = None
    anonymous_id: Annotated[
        str | None, Id(max=256), NullIf("blank"), Pseudonym("anonymous_token", domain="subject")
    ] = None
    event: Annotated[str | None, Text(max=256)] = None
    name: Annotated[str | None, Text(max=256)] = None
    group_id: Annotated[str | None, Id(max=256)] = None
    properties: Annotated[
        dict[str, Any] | None,
        Tree(
            {
                "/email": (Email(fold=True), Pseudonym(domain="email")),
                "/to/*": (Email(fold=True), Pseudonym(domain="email")),
                "/message": (Text(max=8000), NO_PEOPLE),
                "/order_id": Text(max=64),
                "/total": Number(precision=12, scale=2),
                "/revenue": Number(precision=12, scale=2),
                "/currency": Text(max=3),
                "/sku": Text(max=64),
                "/price": Number(precision=12, scale=2),
                "/quantity": Number(precision=9, scale=0),
                "/products/*/sku": Text(max=64),
                "/products/*/price": Number(precision=12, scale=2),
            }
        ),
    ] = None
    traits: Annotated[
        dict[str, Any] | None,
        Tree(
            {
                "/email": (Email(fold=True), Pseudonym(domain="email")),
                "/phone": (Phone(), Pseudonym(domain="phone")),
                "/plan": Text(max=32),
                "/employees": Number(precision=9, scale=0),
                "/address/country": Text(max=2),
            }
        ),
    ] = None
    context: Context | None = None
