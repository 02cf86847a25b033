"""Makes up records that a stream accepts, and records that break one of its rules."""

import json
import random
import string
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

import msgspec

from sluice.declaration.envelopes import plain
from sluice.declaration.layout import Field, Layout, Nested
from sluice.declaration.rules import (
    Boolean,
    Card,
    Custom,
    Each,
    Email,
    Iban,
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
from sluice.declaration.rules.rule import is_ours
from sluice.declaration.scrub import Scrub
from sluice.declaration.stream import Stream
from sluice.failures import OF_A_USERS_CODE, Rejected, rejection_of
from sluice.postgres.cells import json_cell
from tools.sluice_cli.authors import envelopes, throwaway

NULL_SHARE = 0.2  # of the values that may be null
MOST_ELEMENTS = 3
DIGITS = 4  # of a number before its point
DIGITS_OF_IDENTITY = 15
DOMAINS = ("example.com", "example.net", "example.org")  # RFC 2606
NETWORKS = ("192.0.2.0", "198.51.100.0", "203.0.113.0")  # RFC 5737
TRIES = 50  # for a value or record that is as it should be


class NotGenerated(Exception):
    """No record can be made up for the stream: says which field or what else is in the way."""


class Generator:
    """Makes up bodies of messages for a stream, the same for the same source. No two have the same identity."""

    def __init__(self, stream: type[Stream], source: random.Random, now: datetime | None = None) -> None:
        """`now` is what times are not after; by default it is the time."""
        self._stream = stream
        self._source = source
        self._now = now or datetime.now(UTC)
        self._mask = stream.masker(throwaway.keyset(), envelope=plain)
        self._null_share = NULL_SHARE
        self._postmark_of = stream.postmark.reader(plain)
        self._identities: set[str] = set()

    def record(self, is_complete: bool = False) -> str:
        """Return a record that the stream takes, as JSON; a complete one has no null. Raises NotGenerated."""
        self._null_share = 0.0 if is_complete else NULL_SHARE
        rejected = None
        for _ in range(TRIES):
            record = str(json_cell(self._record(self._stream.layout, "")))
            rejected = self._rejected(self._mask, record)
            if rejected is None and self._is_one(record):
                return record
        if rejected is None:
            raise NotGenerated("there are no more values for its identity that can be made up")
        raise NotGenerated(f"every record that was made up is rejected: {rejected}")

    def body(self, is_complete: bool = False) -> str:
        """Return a record in the stream's envelope. Raises NotGenerated."""
        if envelopes.is_of_ones_own(self._stream):
            raise NotGenerated("the envelope is the stream's own")
        return self._wrapped(self.record(is_complete))

    def spoiled(self, body: str) -> str:
        """Return a body like this one that the stream rejects. Raises NotGenerated."""
        try:
            record = msgspec.json.decode(self._stream.unwrap(body))
        except (ValueError, RecursionError, Rejected):
            return body  # it is no record already
        mask, is_ours = self._stream.masker(throwaway.keyset()), not envelopes.is_of_ones_own(self._stream)
        for _ in range(TRIES):
            spoiled = self._wrapped(json.dumps(self._broken(record))) if is_ours else body[:-1]
            if self._rejected(mask, spoiled):
                return spoiled
        raise NotGenerated("no record was found that the stream rejects")

    def _is_one(self, record: str) -> bool:
        """Tell whether a record is not the same message as one that was made up before."""
        postmark = self._postmark_of(record)
        if postmark is None or postmark.identity is None:
            return True
        is_new = postmark.identity not in self._identities
        self._identities.add(postmark.identity)
        return is_new

    @staticmethod
    def _rejected(mask: Callable[[str], object], body: str) -> Rejected | None:
        try:
            mask(body)
        except OF_A_USERS_CODE as error:
            return rejection_of(error)
        return None

    def _record(self, layout: Layout, place: str) -> dict[str, Any]:
        return {member.key: self._member(member, place + member.pointer) for member in layout.members}

    def _member(self, member: Field | Nested, place: str) -> Any:
        if member.optional and self._source.random() < self._null_share:
            return None
        if isinstance(member, Field):
            value = self._value(member.rule, place, member.key)
            return next(
                (self._with_finds(value, member.rule, mask) for mask in member.masks if isinstance(mask, Scrub)), value
            )
        if not member.many:
            return self._record(member.layout, place)
        return [self._record(member.layout, f"{place}/*") for _ in range(self._source.randint(1, MOST_ELEMENTS))]

    def _value(self, rule: Rule, pointer: str, key: str) -> Any:
        if isinstance(rule, Each):
            count = min(rule.max, self._source.randint(1, MOST_ELEMENTS))
            return [self._value(rule.element, f"{pointer}/*", key) for _ in range(count)]
        identity = self._stream.postmark.identity
        digits = DIGITS_OF_IDENTITY if identity and identity.pointer == pointer else DIGITS
        with suppress(*OF_A_USERS_CODE):  # such as the `example` of a user's own rule
            for _ in range(TRIES):
                value = self._made_up(rule, key, digits)
                if _takes(rule, value):
                    return value
            if _takes(rule, rule.example):
                return rule.example
        raise NotGenerated(f"{pointer}: {type(rule).__name__} has no example that it takes")

    def _with_finds(self, value: Any, rule: Rule, scrub: Scrub) -> Any:
        """Return a text, or a list of texts, with values in it that the mask finds, as far as the rule takes that."""
        if isinstance(value, list):
            return [self._with_finds(element, rule.element, scrub) for element in value]
        found = [self._made_up(find.rule, "", DIGITS) for find in scrub.finds if find.pattern is None]
        longer = " ".join([value, *map(str, found)])
        return longer if _takes(rule, longer) else value

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

    def _wrapped(self, record: str) -> str:
        message_id = UUID(int=self._source.getrandbits(128), version=4)
        return envelopes.wrap(self._stream, record, message_id, self._now)

    def _made_up(self, rule: Rule, key: str, digits: int) -> Any:
        """Return a random value of the rule's form, of so many digits; one of a user's own is like its example."""
        source = self._source
        match rule:
            case OneOf():
                return source.choice(rule.choices)
            case Boolean():
                return source.random() < 0.5
            case Integer():
                low = max(rule.min, 0) if rule.max >= 0 else rule.min
                return source.randint(low, min(low + 10**digits - 1, rule.max))
            case Number():
                most = min(rule.precision, rule.scale + digits)
                return Decimal(source.randrange(10**most)).scaleb(-rule.scale)
            case Uuid():
                return str(UUID(int=source.getrandbits(128), version=4))
            case Timestamp():
                return self._moment(rule).isoformat()
            case IpAddress():
                return str(IPv4Address(source.choice(NETWORKS)) + source.randrange(1, 255))
            case Email():
                return f"user{source.randrange(10**digits)}@{source.choice(DOMAINS)}"
            case Phone():
                return f"+442079460{source.randrange(1000):03}"  # of those that Ofcom reserves for fiction
            case Card():
                digits_of_card = f"4{source.randrange(10**14):014}"
                return next(made for digit in range(10) if _takes(rule, made := f"{digits_of_card}{digit}"))
            case Iban():
                account = f"BUKB{source.randrange(10**14):014}"
                return next(made for check in range(2, 99) if _takes(rule, made := f"GB{check:02}{account}"))
            case Version():
                return ".".join(str(source.randrange(10)) for _ in range(source.randint(2, 3)))
            case Text() if not isinstance(rule, Custom) and is_ours(rule):
                made = f"{key} {source.randrange(1000 if digits == DIGITS else 10**digits)}"
                return (made[: rule.max] if digits == DIGITS else made[-rule.max :]).strip()
        return _like(rule.example, source)

    def _moment(self, rule: Timestamp) -> datetime:
        """Return a moment of the day before the latest one that may be, but for the future."""
        latest = min(self._now, rule.latest or datetime.max.replace(tzinfo=UTC))
        found = latest - timedelta(seconds=self._source.randrange(86_400))
        return max(found, rule.earliest or found)


def _takes(rule: Rule, value: Any) -> bool:
    try:
        rule.canonical(value)
    except OF_A_USERS_CODE:
        return False
    return value is not None


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
