"""Made-up records: values of nobody that each rule of a declaration accepts, and records that break one."""

import json
import random
import string
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

import msgspec

from sluice.declaration.envelopes import eventbridge, plain, sns
from sluice.declaration.layout import Field, Layout, Nested
from sluice.declaration.rules import (
    Boolean,
    Custom,
    Each,
    Email,
    Integer,
    IpAddress,
    Number,
    OneOf,
    Phone,
    Rule,
    Text,
    Timestamp,
    Uuid,
    Version,
)
from sluice.declaration.stream import Stream
from sluice.failures import OF_A_USERS_CODE, Rejected, rejection_of
from tools.sluice_cli.authors import throwaway

NULL_SHARE = 0.2  # of the values that may be null
MOST_ELEMENTS = 3
TEXT_LENGTH = 12  # characters
DIGITS = 4  # of a number before its point
DOMAINS = ("example.com", "example.net", "example.org")  # RFC 2606
NETWORKS = ("192.0.2.0", "198.51.100.0", "203.0.113.0")  # RFC 5737
TRIES = 50  # for a value or record that is as it should be


class NotGenerated(Exception):
    """No record can be made up for the stream: says which field or what else is in the way."""


class Generator:
    """Makes up bodies of messages for a stream, the same for the same source."""

    def __init__(self, stream: type[Stream], source: random.Random) -> None:
        self._stream = stream
        self._source = source
        self._mask = stream.masker(throwaway.keyset())
        self._envelope = getattr(stream.unwrap, "__wrapped__", stream.unwrap)  # as declared

    def body(self) -> str:
        """Return a body that the stream takes. Raises NotGenerated."""
        body = ""
        for _ in range(TRIES):
            body = self._wrapped(self._record(self._stream.layout, ""))
            rejected = self._rejected(body)
            if rejected is None:
                return body
        raise NotGenerated(f"every record that was made up is rejected: {self._rejected(body)}; send a file")

    def spoiled(self, body: str) -> str:
        """Return a body like this one that the stream rejects. Raises NotGenerated."""
        try:
            record = msgspec.json.decode(self._stream.unwrap(body))
        except (ValueError, RecursionError, Rejected):
            return body  # it is no record already
        for _ in range(TRIES):
            spoiled = self._wrapped(self._broken(record)) if self._envelope in (plain, sns, eventbridge) else body[:-1]
            if self._rejected(spoiled):
                return spoiled
        raise NotGenerated("no record was found that the stream rejects")

    def _rejected(self, body: str) -> Rejected | None:
        try:
            self._mask(body)
        except OF_A_USERS_CODE as error:
            return rejection_of(error)
        return None

    def _record(self, layout: Layout, place: str) -> dict[str, Any]:
        return {member.key: self._member(member, place + member.pointer) for member in layout.members}

    def _member(self, member: Field | Nested, place: str) -> Any:
        if member.optional and self._source.random() < NULL_SHARE:
            return None
        if isinstance(member, Field):
            return self._value(member.rule, place)
        if not member.many:
            return self._record(member.layout, place)
        return [self._record(member.layout, f"{place}/*") for _ in range(self._source.randint(1, MOST_ELEMENTS))]

    def _value(self, rule: Rule, pointer: str) -> Any:
        if isinstance(rule, Each):
            count = self._source.randint(0, min(rule.max, MOST_ELEMENTS))
            return [self._value(rule.element, f"{pointer}/*") for _ in range(count)]
        with suppress(*OF_A_USERS_CODE):  # such as the `example` of a rule of one's own
            for _ in range(TRIES):
                value = _made_up(rule, self._source)
                if _takes(rule, value):
                    return value
            if _takes(rule, rule.example):
                return rule.example
        raise NotGenerated(f"{pointer}: {type(rule).__name__} has no example that it takes; send a file")

    def _broken(self, record: Any) -> Any:
        """Return the record with one of its members missing, null, empty or of another type."""
        if not isinstance(record, dict) or not record:
            return [record]
        key = self._source.choice(sorted(record))
        value = record[key]
        if isinstance(value, dict) and value and self._source.random() < 0.8:
            return record | {key: self._broken(value)}
        if self._source.random() < 0.25:
            return {name: member for name, member in record.items() if name != key}
        if isinstance(value, list):
            return record | {key: [*value, {"junk": True}]}
        return record | {key: self._source.choice((None, "", {"junk": True}, "junk" * 1000))}

    def _wrapped(self, record: Any) -> str:
        """Return the record in the stream's envelope."""
        text = json.dumps(record)
        if self._envelope is plain:
            return text
        identity = str(UUID(int=self._source.getrandbits(128), version=4))
        now = datetime.now(UTC).isoformat()
        if self._envelope is sns:
            topic = "arn:aws:sns:us-east-1:000000000000:made-up"
            told = {"Type": "Notification", "MessageId": identity, "TopicArn": topic, "Timestamp": now}
            return json.dumps(told | {"Message": text})
        if self._envelope is eventbridge:
            told = {"id": identity, "source": "made-up", "detail-type": "made-up", "time": now}
            return json.dumps(told | {"detail": record})
        raise NotGenerated("the envelope is the stream's own; send a file")


def _takes(rule: Rule, value: Any) -> bool:
    try:
        rule.canonical(value)
    except OF_A_USERS_CODE:
        return False
    return value is not None


def _made_up(rule: Rule, source: random.Random) -> Any:
    """Return a random value of the rule's form; one of a user's own is like its example."""
    match rule:
        case OneOf():
            return source.choice(rule.choices)
        case Boolean():
            return source.random() < 0.5
        case Integer():
            low = min(max(0, rule.min), rule.max)
            return source.randint(low, min(low + 10**DIGITS - 1, rule.max))
        case Number():
            digits = min(rule.precision, rule.scale + DIGITS)
            return str(Decimal(source.randrange(10**digits)).scaleb(-rule.scale))
        case Uuid():
            return str(UUID(int=source.getrandbits(128), version=4))
        case Timestamp():
            return _moment(rule, source).isoformat()
        case IpAddress():
            return str(IPv4Address(source.choice(NETWORKS)) + source.randrange(1, 255))
        case Email():
            return f"user{source.randrange(10**DIGITS)}@{source.choice(DOMAINS)}"
        case Phone():
            return f"+442079460{source.randrange(1000):03}"  # of those that Ofcom reserves for fiction
        case Version():
            return ".".join(str(source.randrange(10)) for _ in range(source.randint(2, 3)))
        case Text() if not isinstance(rule, Custom) and type(rule).__module__ == Rule.__module__:
            length = source.randint(1, min(rule.max, TEXT_LENGTH))
            return "".join(source.choices(string.ascii_lowercase, k=length))
    return _like(rule.example, source)


def _moment(rule: Timestamp, source: random.Random) -> datetime:
    """Return a moment of the day before the latest one that may be, but for the future."""
    latest = min(datetime.now(UTC), rule.latest or datetime.max.replace(tzinfo=UTC))
    found = latest - timedelta(seconds=source.randrange(86_400))
    return max(found, rule.earliest or found)


def _like(example: Any, source: random.Random) -> Any:
    """Return a value with other letters and digits in the places of the example's."""
    if isinstance(example, bool) or not isinstance(example, str | int):
        return example
    alphabets = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
    made = "".join(
        next((source.choice(alphabet) for alphabet in alphabets if character in alphabet), character)
        for character in str(example)
    )
    return made if isinstance(example, str) else int(made)
