"""Makes up records that a stream accepts, and records that break one of its rules."""

import json
import random
import string
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

import msgspec

from sluice.declaration import paths
from sluice.declaration.envelopes import plain
from sluice.declaration.layout import Case, Field, Layout, Nested, Source
from sluice.declaration.outside import Outside
from sluice.declaration.rules import (
    BLANK,
    Boolean,
    Card,
    Custom,
    Date,
    Each,
    Email,
    Float,
    Iban,
    Id,
    Integer,
    IpAddress,
    NullIf,
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
from sluice.declaration.rules.scalar import Scalar
from sluice.declaration.scrub import Scrub
from sluice.declaration.stream import Masker, Stream
from sluice.declaration.tree import Tree
from sluice.declaration.unions import Tagged
from sluice.failures import OF_A_USERS_CODE, Rejected, rejection_of
from sluice.postgres.cells import json_cell
from tools.sluice_cli.authors import envelopes, throwaway

NULL_SHARE = 0.2  # of the values that may be null
MOST_ELEMENTS = 3
DIGITS = 4  # of a number before its point
DIGITS_OF_IDENTITY = 15
DOMAINS = ("example.com", "example.net", "example.org")  # RFC 2606
NETWORKS = ("192.0.2.0", "198.51.100.0", "203.0.113.0")  # RFC 5737
ANY_KEY = "any"  # where a Tree takes every key
TRIES = 50  # for a value or record that is as it should be


class NotGenerated(Exception):
    """No record can be made up for the stream: says which field or what else is in the way."""


class Generator:
    """Makes up bodies of messages for a stream, the same for the same source. No two have the same identity."""

    def __init__(
        self,
        stream: type[Stream],
        source: random.Random,
        now: datetime | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        """`now` is what times are not after; by default it is the time. `members` are in every record."""
        self._stream = stream
        self._source = source
        self._now = now or datetime.now(UTC)
        self._mask = stream.masker(throwaway.keyset(), envelope=plain)
        self._members = members or {}
        self._ignores = stream.ignores_record()
        self._null_share = NULL_SHARE
        self._postmark_of = stream.postmark.reader(plain)
        self._identities: set[str] = set()
        self._outside = Outside("{}")

    @property
    def attributes(self) -> dict[str, Any]:
        """What the message of the last record has, as far as the stream reads it; in one member the producer's own."""
        return dict(self._outside.message)

    def record(self, is_complete: bool = False) -> str:
        """Return a record that the stream takes, as JSON; a complete one has no null. Raises NotGenerated."""
        self._null_share = 0.0 if is_complete else NULL_SHARE
        rejected = None
        for _ in range(TRIES):
            record = str(json_cell(_with(self._record(self._stream.layout, ""), self._members)))
            self._outside = self._made_outside()
            if self._ignores is not None and self._ignores(record):
                continue
            rejected = self._rejected(self._mask, record, self._outside)
            if rejected is None and self._is_one(record):
                return record
        if rejected is None:
            raise NotGenerated("there are no more values for its identity that can be made up")
        raise NotGenerated(f"every record that was made up is rejected: {rejected}")

    def body(self, is_complete: bool = False) -> str:
        """Return a record in the stream's envelope. Raises NotGenerated."""
        if own := envelopes.of_ones_own(self._stream):
            raise NotGenerated(f"{own} is the stream's own")
        return self._wrapped(self.record(is_complete))

    def spoiled(self, body: str) -> str:
        """Return a body like this one that the stream rejects. Raises NotGenerated."""
        try:
            (text, *_) = self._stream.record_texts(body) or [""]
            record = msgspec.json.decode(text)
        except (ValueError, RecursionError, Rejected):
            return body  # it is no record already
        if envelopes.of_ones_own(self._stream):
            if self._rejected(self._stream.masker(throwaway.keyset()), body[:-1], self._outside):
                return body[:-1]
            raise NotGenerated("no record was found that the stream rejects")
        for _ in range(TRIES):
            broken = json.dumps(self._broken(record))
            if self._rejected(self._mask, broken, self._outside):
                return self._wrapped(broken)
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
    def _rejected(mask: Masker, body: str, around: Outside) -> Rejected | None:
        try:
            mask(body, around)
        except OF_A_USERS_CODE as error:
            return rejection_of(error)
        return None

    def _record(self, layout: Layout, place: str) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for member in layout.members:
            if isinstance(member, Nested) and member.source:
                continue
            made = self._member(member, place + member.pointer)
            if not (isinstance(member, Nested) and member.inline):
                record[member.key] = made
            elif made is not None:
                record |= made
        return record

    def _made_outside(self) -> Outside:
        """Make up what the stream reads outside of its records."""
        made: dict[Source, dict[str, Any]] = {source: {} for source in Source}
        for nested in self._stream.layout.nested:
            if nested.source:
                members = self._record(nested.layout, nested.pointer)
                made[nested.source] |= {name: one for name, one in members.items() if one is not None}
        return Outside(str(json_cell(made[Source.ENVELOPE])), made[Source.MESSAGE])

    def _member(self, member: Field | Nested, place: str) -> Any:
        if member.optional and self._source.random() < self._null_share:
            return None
        if isinstance(member, Field):
            value = self._value(member.rule, place, member.key, member.null_if)
            return next(
                (self._with_finds(value, member.rule, mask) for mask in member.masks if isinstance(mask, Scrub)), value
            )
        if not member.many:
            return self._of_case(member, place)
        return [self._of_case(member, f"{place}/*") for _ in range(self._source.randint(1, MOST_ELEMENTS))]

    def _of_case(self, nested: Nested, place: str) -> Any:
        """Return an object, of a union a value of one of its cases."""
        case = self._source.choice(nested.cases)
        made = self._record(case.layout, place)
        if not case.is_object:
            return next(iter(made.values()))
        return made | {nested.union.key: self._tag(nested.union, case)} if isinstance(nested.union, Tagged) else made

    def _tag(self, union: Tagged, case: Case) -> Any:
        """Return a tag of the case, or one of no case: another text, a larger number, the other truth value."""
        if case.tags:
            return self._source.choice(case.tags)
        tags = list(union.cases)
        if isinstance(tags[0], bool):
            return not tags[0]
        return max(tags) + 1 if isinstance(tags[0], int) else f"no {max(tags)}"

    def _value(self, rule: Rule, pointer: str, key: str, null_if: NullIf | None) -> Any:
        if isinstance(rule, Each):
            count = min(rule.max, self._source.randint(1, MOST_ELEMENTS))
            return [self._value(rule.rule, f"{pointer}/*", key, null_if) for _ in range(count)]
        if null_if and BLANK in null_if.when and self._source.random() < self._null_share:
            return self._source.choice(("", " "))
        if isinstance(rule, Tree):
            return self._tree(rule, pointer)
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

    def _tree(self, tree: Tree, pointer: str) -> dict[str, Any]:
        """Return an object with a value for each path that goes together with those before it."""
        made: dict[str, Any] = {}
        for branch in tree.branches:
            if branch.rule is None or self._source.random() < self._null_share:
                continue
            steps = [step if isinstance(step, str) else None for step in paths.parse(branch.path)]
            *way, last = [*steps[:-1], steps[-1] or ANY_KEY]
            value = self._value(branch.rule, pointer + branch.path, last, None)
            more = _planted(made, [*(step or ANY_KEY for step in way), last], value)
            made = more if _takes(tree, more) else made
        return made

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
        around = msgspec.json.decode(self._outside.envelope)
        return envelopes.wrap(self._stream, record, message_id, self._now, around)

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
                return rule.spelled(self._moment(rule))
            case Date():
                return (self._now - timedelta(days=source.randrange(20_000))).date().isoformat()
            case Float():
                return round(source.uniform(0, 10**digits), 6)
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
            case Scalar():
                return f"{key} {source.randrange(10**digits)}"
            case Id() if source.random() < 0.5:
                return source.randrange(10 ** min(digits, rule.max))
            case Text() if not isinstance(rule, Custom) and is_ours(rule):
                made = f"{key} {source.randrange(1000 if digits == DIGITS else 10**digits)}"
                return (made[: rule.max] if digits == DIGITS else made[-rule.max :]).strip()
        return _like(rule.example, source)

    def _moment(self, rule: Timestamp) -> datetime:
        """Return a moment of the day before the latest one that may be, and none of the future."""
        latest = min(self._now, rule.latest or datetime.max.replace(tzinfo=UTC))
        found = latest - timedelta(seconds=self._source.randrange(86_400))
        return max(found, rule.earliest or found)


def _planted(made: dict[str, Any], way: list[str], value: Any) -> dict[str, Any]:
    """Return an object with one more value in it, unless something else is in the way."""
    key, *further = way
    inner = made.get(key, {})
    if further and not isinstance(inner, dict):
        return made
    return made | {key: _planted(inner, further, value) if further else value}


def _with(record: Any, members: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with these members; those that are objects are in an object of the record's own."""
    made = dict(record) if isinstance(record, dict) else {}
    return made | {key: _with(made.get(key), one) if isinstance(one, Mapping) else one for key, one in members.items()}


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
