"""Notifications of S3: which objects of a bucket were made, changed or deleted."""

from datetime import datetime
from typing import Annotated

import msgspec

from sluice import (
    Email,
    Find,
    Integer,
    IpAddress,
    NullIf,
    Part,
    Phone,
    Prefix,
    Pseudonym,
    Scrub,
    Stream,
    Text,
    Timestamp,
    Truncate,
    listed,
)


class Who(Part, rename="camel"):
    """Who did it: `AWS:`, the id of a user or a role, and often the name of somebody's session."""

    principal_id: Annotated[str, Text(max=256), Pseudonym("principal", domain="subject")]


class Request(Part):
    """Where the request came from: an address, or a service of AWS."""

    ip: Annotated[str | None, IpAddress(), NullIf("invalid"), Truncate("network")] = msgspec.field(
        name="sourceIPAddress"
    )


class Object(Part, rename="camel"):
    """The object. Its key is written as in a URL, and may name people."""

    key: Annotated[
        str,
        Text(max=3072),
        Scrub(Find(Email(fold=True), Pseudonym(domain="email")), Find(Phone(), Pseudonym(domain="phone"))),
    ]
    size: Annotated[int | None, Integer(min=0)] = None
    e_tag: Annotated[str | None, Text(max=64)] = None
    version_id: Annotated[str | None, Text(max=1024), NullIf("blank")] = None
    sequencer: Annotated[str | None, Text(max=64)] = None


class Bucket(Part):
    """Where the object is."""

    name: Annotated[str, Text(max=63)]


class S3(Part):
    """What S3 says of it."""

    bucket: Bucket
    object: Object


class Upload(
    Stream,
    table="s3_uploads",
    records=listed("Records"),
    ignore=({"Event": "s3:TestEvent"},),
    subject="user_identity.principal_id",
    time="event_time",
    rename="camel",
):
    """What happened to an object, as S3 sends it to a queue."""

    event_name: Annotated[str, Text(max=64)]
    event_time: Annotated[datetime, Timestamp()]
    aws_region: Annotated[str, Text(max=32)]
    user_identity: Who
    request_parameters: Request
    s3: Annotated[S3, Prefix("")]
