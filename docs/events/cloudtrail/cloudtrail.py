"""CloudTrail: who called which API of AWS, from where."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from sluice import (
    FROM_ENVELOPE,
    Boolean,
    Email,
    Find,
    IpAddress,
    Keep,
    NullIf,
    Number,
    Part,
    Pseudonym,
    Redact,
    Scrub,
    Stream,
    Text,
    Timestamp,
    Tree,
    Truncate,
    Uuid,
    eventbridge,
)

# A user's name, and that of a session: of an ARN, the part behind `user/` or the role.
NAME = r"arn:[\w-]+:(?:iam::\d{12}:user|sts::\d{12}:assumed-role/[^/\s\"]+)/([^\s\",]+)"
NO_PEOPLE = Scrub(
    Find(Text(max=1000), Redact(constant="[name]"), pattern=NAME),
    Find(Email(fold=True), Redact(constant="[email]")),
)


class Issuer(Part, rename="camel"):
    """The role that was assumed."""

    arn: Annotated[str | None, Text(max=2048)] = None


class Session(Part, rename="camel"):
    """What the caller is for a while."""

    session_issuer: Issuer | None = None


class Identity(Part, rename="camel"):
    """Who called."""

    type: Annotated[str | None, Text(max=64)] = None
    account_id: Annotated[str | None, Text(max=12)] = None
    arn: Annotated[str | None, Text(max=2048), Pseudonym(domain="subject")] = None
    principal_id: Annotated[str | None, Text(max=2048), Pseudonym(domain="subject")] = None
    user_name: Annotated[str | None, Text(max=256), Pseudonym(domain="user_name")] = None
    invoked_by: Annotated[str | None, Text(max=256)] = None
    session_context: Session | None = None


class Resource(Part):
    """What was called upon."""

    type: Annotated[str | None, Text(max=256)] = None
    arn: Annotated[str | None, Text(max=2048), NO_PEOPLE] = msgspec.field(name="ARN", default=None)


class Around(Part):
    """What EventBridge says of the event."""

    kind: Annotated[str, Text(max=128), Keep("detail_type")] = msgspec.field(name="detail-type")
    account: Annotated[str, Text(max=12), Keep("bus_account")]


class Call(
    Stream,
    table="cloudtrail_calls",
    envelope=eventbridge,
    subject=("user_identity.arn", "user_identity.principal_id"),
    identity="event_id",
    time="event_time",
    rename="camel",
):
    """A call, as CloudTrail sends it to EventBridge."""

    event_id: Annotated[str, Uuid()] = msgspec.field(name="eventID")
    event_time: Annotated[datetime, Timestamp()]
    event_source: Annotated[str, Text(max=128)]
    event_name: Annotated[str, Text(max=128)]
    event_type: Annotated[str, Text(max=64)]
    aws_region: Annotated[str, Text(max=32)]
    recipient_account_id: Annotated[str, Text(max=12)]
    read_only: Annotated[bool | None, Boolean()] = None
    user_identity: Identity
    source_ip: Annotated[
        str | None,
        IpAddress(),
        NullIf("invalid"),
        Pseudonym("source_ip_token", domain="ip"),
        Truncate("source_network"),
    ] = msgspec.field(name="sourceIPAddress", default=None)
    user_agent: Annotated[str | None, Text(max=2048), NullIf("blank")] = None
    error_code: Annotated[str | None, Text(max=128)] = None
    error_message: Annotated[str | None, Text(max=4096), NO_PEOPLE] = None
    resources: list[Resource] = []
    request_parameters: Annotated[
        dict[str, Any] | None,
        Tree(
            {
                "/bucketName": Text(max=63),
                "/instanceType": Text(max=32),
                "/instancesSet/items/*/instanceId": Text(max=32),
                "/userName": (Text(max=256), Pseudonym(domain="user_name")),
                "/roleSessionName": (Text(max=256), Pseudonym(domain="user_name")),
                "/roleArn": Text(max=2048),
                "/durationSeconds": Number(precision=9, scale=0),
            }
        ),
    ] = None
    response_elements: Annotated[
        dict[str, Any] | None,
        Tree({"/ConsoleLogin": Text(max=16), "/instancesSet/items/*/instanceId": Text(max=32)}),
    ] = None
    additional_event_data: Annotated[
        dict[str, Any] | None,
        Tree({"/MFAUsed": Text(max=8), "/bytesTransferredOut": Number(precision=18, scale=0)}),
    ] = None
    around: Annotated[Around, FROM_ENVELOPE]
