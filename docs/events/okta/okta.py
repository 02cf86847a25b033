"""Okta's System Log: who signed in, from where, and who changed what."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from sluice import (
    Boolean,
    Email,
    Find,
    Integer,
    IpAddress,
    NullIf,
    Number,
    OneOf,
    Part,
    Pseudonym,
    Scrub,
    Stream,
    Tagged,
    Text,
    Timestamp,
    Tree,
    Truncate,
    Uuid,
    eventbridge,
)

NO_PEOPLE = Scrub(Find(Email(fold=True), Pseudonym(domain="email")), Find(IpAddress(), Truncate()))


class Actor(Part, rename="camel"):
    """Who did it."""

    id: Annotated[str, Text(max=100), Pseudonym("actor", domain="subject")]
    type: Annotated[str, Text(max=64)]
    alternate_id: Annotated[
        str | None, Email(fold=True), NullIf("blank", "invalid"), Pseudonym("actor_email", domain="email")
    ] = None


class Point(Part):
    """Where that is, to ten kilometres."""

    lat: Annotated[Decimal, Number(precision=3, scale=1, round=True)]
    lon: Annotated[Decimal, Number(precision=4, scale=1, round=True)]


class Place(Part):
    """Where an address is. The postal code is not read."""

    city: Annotated[str | None, Text(max=128)] = None
    country: Annotated[str | None, Text(max=128)] = None
    geolocation: Point | None = None


class Browser(Part):
    """What the request was made with."""

    browser: Annotated[str | None, Text(max=64)] = None
    os: Annotated[str | None, Text(max=64)] = None


class Client(Part, rename="camel"):
    """Where the request came from."""

    ip: Annotated[str | None, IpAddress(), Pseudonym("ip", domain="ip"), Truncate("network")] = msgspec.field(
        name="ipAddress", default=None
    )
    device: Annotated[str | None, Text(max=32)] = None
    user_agent: Browser | None = None
    geographical_context: Place | None = None


class Outcome(Part):
    """What came of it."""

    result: Annotated[str, Text(max=32)]
    reason: Annotated[str | None, Text(max=4000), NO_PEOPLE] = None


class Person(Part, rename="camel"):
    """Somebody to whom it was done."""

    type: Annotated[str, Text(max=64)]
    person: Annotated[str, Text(max=100), Pseudonym(domain="subject")] = msgspec.field(name="id")
    alternate_id: Annotated[
        str | None, Email(fold=True), NullIf("blank", "invalid"), Pseudonym("email", domain="email")
    ] = None


class Thing(Part, rename="camel"):
    """Something to which it was done: an app, a group, a policy."""

    type: Annotated[str, Text(max=64)]
    id: Annotated[str, Text(max=100)]
    display_name: Annotated[str | None, Text(max=256)] = None


class Network(Part, rename="camel"):
    """Whose network it is."""

    as_number: Annotated[int | None, Integer(min=0)] = None
    as_org: Annotated[str | None, Text(max=256), NullIf("blank")] = None
    is_proxy: Annotated[bool | None, Boolean()] = None


class Debug(Part, rename="camel"):
    """What Okta's own people look at."""

    debug_data: Annotated[
        dict[str, Any],
        Tree({"/risk": Text(max=1000), "/behaviors": Text(max=1000), "/url": (Text(max=4000), NO_PEOPLE)}),
    ]


class LogEvent(
    Stream,
    table="okta_events",
    envelope=eventbridge,
    subject="actor.id",
    mentions=("target.person",),
    identity="uuid",
    time="published",
    rename="camel",
):
    """An event of the System Log, as Okta streams it to EventBridge."""

    uuid: Annotated[str, Uuid()]
    published: Annotated[datetime, Timestamp()]
    event_type: Annotated[str, Text(max=128)]
    severity: Annotated[str, OneOf("DEBUG", "INFO", "WARN", "ERROR")]
    outcome: Outcome
    actor: Actor
    client: Client
    target: Annotated[
        list[Person | Thing] | None, Tagged("type", {"User": Person, "AppUser": Person}, others=Thing)
    ] = None
    security_context: Network | None = None
    debug_context: Debug | None = None
