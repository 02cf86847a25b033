"""Events of SES: what became of a mail."""

from datetime import datetime
from typing import Annotated, Any

from sluice import (
    CaseFolded,
    Each,
    Email,
    Find,
    Integer,
    IpAddress,
    NullIf,
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
    sns,
)

NO_PEOPLE = Scrub(Find(Email(fold=True), Pseudonym(domain="email")), Find(IpAddress(), Truncate()))


class Campaign(Part):
    """A header of our own."""

    value: Annotated[str, Text(max=64)]


class Header(Part):
    """Any other header: no more than its name."""

    name: Annotated[str, CaseFolded(max=128)]


class Mail(Part, rename="camel"):
    """The mail, as it was sent."""

    message_id: Annotated[str, Text(max=128)]
    timestamp: Annotated[datetime, Timestamp()]
    source: Annotated[str, Text(max=320), Scrub(Find(Email(fold=True), Truncate()))]
    destination: Annotated[list[str], Each(CaseFolded(max=320)), Pseudonym("recipients", domain="subject")]
    headers: Annotated[list[Campaign | Header], Tagged("name", {"X-Campaign": Campaign}, others=Header, fold=True)] = []
    tags: Annotated[dict[str, Any], Tree({"/campaign/*": Text(max=64), "/ses:configuration-set/*": Text(max=64)})] = {}


class Recipient(Part, rename="camel"):
    """Somebody whom the mail did not reach, or did not please."""

    email_address: Annotated[str, CaseFolded(max=320), Pseudonym("recipient", domain="subject")]
    status: Annotated[str | None, Text(max=16)] = None
    diagnostic_code: Annotated[str | None, Text(max=4000), NullIf("blank"), NO_PEOPLE] = None


class Bounce(Part, rename="camel"):
    """Why the mail came back."""

    bounce_type: Annotated[str, Text(max=32)]
    bounce_sub_type: Annotated[str, Text(max=32)]
    bounced_recipients: list[Recipient]
    timestamp: Annotated[datetime, Timestamp()]


class Complaint(Part, rename="camel"):
    """Who called the mail spam."""

    complaint_feedback_type: Annotated[str | None, Text(max=32)] = None
    complained_recipients: list[Recipient]
    timestamp: Annotated[datetime, Timestamp()]


class Delivery(Part, rename="camel"):
    """What the receiving server said."""

    smtp_response: Annotated[str | None, Text(max=4000), NO_PEOPLE] = None
    processing_time_millis: Annotated[int | None, Integer(min=0)] = None
    timestamp: Annotated[datetime, Timestamp()]


class Delay(Part, rename="camel"):
    """Why the mail is late."""

    delay_type: Annotated[str, Text(max=64)]
    delayed_recipients: list[Recipient]
    timestamp: Annotated[datetime, Timestamp()]


class Open(Part, rename="camel"):
    """Who opened the mail, from where."""

    ip_address: Annotated[str, IpAddress(), Truncate()]
    timestamp: Annotated[datetime, Timestamp()]


class Click(Part, rename="camel"):
    """Who went where from the mail. Links name people: `?email=…`."""

    ip_address: Annotated[str, IpAddress(), Truncate()]
    link: Annotated[str, Text(max=4000), NO_PEOPLE]
    timestamp: Annotated[datetime, Timestamp()]


class MailEvent(
    Stream,
    table="mail_events",
    envelope=sns,
    subject="mail.destination",
    ignore=(
        {"Type": "SubscriptionConfirmation"},
        {"Message": "Successfully validated SNS topic for Amazon SES event publishing."},
    ),
    rename="camel",
):
    """An event of a mail, as SES publishes it to SNS."""

    event_type: Annotated[
        str,
        OneOf(
            "Send",
            "Delivery",
            "Bounce",
            "Complaint",
            "DeliveryDelay",
            "Open",
            "Click",
            "Reject",
            "Rendering Failure",
            "Subscription",
        ),
    ]
    mail: Mail
    bounce: Bounce | None = None
    complaint: Complaint | None = None
    delivery: Delivery | None = None
    delivery_delay: Delay | None = None
    open: Open | None = None
    click: Click | None = None
