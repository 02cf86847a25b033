"""`sluice sample`: a stream in, records as its producers would send them out; they are nobody's."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import typer

from sluice.declaration.envelopes import plain
from sluice.declaration.layout import Field, Layout
from sluice.declaration.rules import (
    Boolean,
    CaseFolded,
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
from sluice.postgres.cells import json_cell
from tools.sluice_cli import terminal
from tools.sluice_cli.authors import declarations, envelopes, throwaway

TRIES = 20  # for a record that the stream's own code takes
NULL_SHARE = 0.2  # of what may be null, but not in the first record
SEEDED = datetime(2026, 1, 1, 12, tzinfo=UTC)  # the same seed makes the same records, whenever that is


def sample(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="A module of layers/streams.")],
    count: Annotated[int, typer.Option(min=1, help="How many records.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same records.")] = None,
) -> None:
    """Print example records, one in each line, in the stream's envelope. The stream takes every one of them.

    Rules of your own give their `example`. E-mail addresses, phone numbers and IP addresses are of those that are
    reserved for examples.
    """
    declared = declarations.stream(stream)
    source = Source(declared, seed)
    if envelopes.is_of_ones_own(declared):
        name = declared.unwrap.__name__
        terminal.complain(f"sample: the envelope {name} is of your own: these are the records without it")
    for number in range(count):
        try:
            print(source.body(is_first=number == 0))
        except Rejected as rejected:
            terminal.fail(f"sample: {stream} takes no record that was made of its rules' examples: {rejected}")


class Source:
    """Records that a stream takes."""

    def __init__(self, stream: type[Stream], seed: int | None) -> None:
        self._stream = stream
        self._random = random.Random(seed)  # nosec B311  # of no secret
        self._now = datetime.now(UTC).replace(microsecond=0) if seed is None else SEEDED
        self._mask = stream.masker(throwaway.keyset(), envelope=plain)

    def body(self, is_first: bool) -> str:
        """Return the body of a message. Raises Rejected when the stream takes none of those that were made."""
        for tried in range(TRIES):
            try:
                record = str(json_cell(self._object(self._stream.layout, NULL_SHARE * (not is_first))))
                self._mask(record)
            except OF_A_USERS_CODE as error:
                if tried == TRIES - 1:
                    raise rejection_of(error) from None
            else:
                break
        message_id = UUID(int=self._random.getrandbits(128), version=4)
        return envelopes.wrap(self._stream, str(record), message_id, self._now)

    def _object(self, layout: Layout, null_share: float) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for member in layout.members:
            if member.optional and self._random.random() < null_share:
                made[member.key] = None
            elif isinstance(member, Field):
                made[member.key] = self._value(member.rule, member.key)
            else:
                objects = [self._object(member.layout, null_share) for _ in range(self._random.randint(1, 2))]
                made[member.key] = objects if member.many else objects[0]
        return made

    def _value(self, rule: Rule, key: str) -> Any:
        """Return a value that a rule takes; of a rule of one's own it is the example."""
        kind, number = type(rule), self._random.randrange(1000)
        if isinstance(rule, OneOf) and kind is OneOf:
            return self._random.choice(rule.choices)
        if isinstance(rule, Integer) and kind is Integer:
            low = max(rule.min, 0) if rule.max >= 0 else rule.min
            return self._random.randint(low, min(rule.max, low + 999))
        if isinstance(rule, Number) and kind is Number:
            digits = min(rule.precision, rule.scale + 3)
            return Decimal(self._random.randrange(10**digits)).scaleb(-rule.scale)
        if isinstance(rule, Timestamp) and kind is Timestamp:
            moment = self._now - timedelta(seconds=self._random.randrange(3600))
            return min(max(moment, rule.earliest or moment), rule.latest or moment).isoformat()
        if isinstance(rule, Each) and kind is Each:
            return [self._value(rule.rule, key) for _ in range(min(rule.max, self._random.randint(1, 3)))]
        if isinstance(rule, Text) and kind in (Text, CaseFolded):
            return f"{key} {number}"[: rule.max].strip() or rule.example
        if isinstance(rule, Email) and kind is Email:
            address = f"person{number}@example.com"  # RFC 2606
            return address if len(address) <= rule.max else rule.example
        plain_values: dict[type[Rule], Any] = {
            Boolean: number % 2 == 0,
            IpAddress: f"192.0.2.{number % 256}",  # RFC 5737
            Phone: f"+442079460{number:03}",  # of those that Ofcom reserves for fiction
            Uuid: str(UUID(int=self._random.getrandbits(128), version=4)),
            Version: f"{number // 100}.{number // 10 % 10}.{number % 10}",
        }
        return plain_values.get(kind, rule.example)
