"""Rules: what a field accepts, and the one canonical value of all its spellings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Context, Decimal
from enum import Enum
from functools import lru_cache
from math import floor
from typing import Any, ClassVar, cast

from sluice.declaration import canonical
from sluice.declaration.wire import Numeric
from sluice.failures import OF_A_USERS_CODE, DeclarationError, Rejected, rejection_of
from sluice.postgres.cells import Cell, Json, array_cell, json_cell, json_member

LARGEST_INTEGER = 2**31 - 1  # PostgreSQL's integer
LARGEST_BIGINT = 2**63 - 1

MOST_DIGITS = 1000  # of PostgreSQL's numeric

_EXACT = Context(prec=2 * MOST_DIGITS)  # more than `quantize` needs here
EPOCHS_FROM = datetime(1990, 1, 1, tzinfo=UTC)  # what is outside is in another unit, or no epoch at all
EPOCHS_TO = datetime(2100, 1, 1, tzinfo=UTC)


class Rule:
    """What a field accepts; one's own is a subclass. A value of another JSON type than `accepts` never reaches it."""

    accepts: ClassVar[Any] = str

    @property
    def makes(self) -> Any:
        """The type of the canonical value."""
        return self.accepts

    @property
    def example(self) -> Any:
        """A value that the rule takes, as JSON has it and of nobody: what the breaker probes with; None: not known."""
        return None

    def check(self) -> None:
        """Raise DeclarationError when the rule can hold for nothing."""

    def canonical(self, value: Any, /) -> Any:
        """Return the canonical value, or raise Rejected with the reason; who calls knows the field."""
        raise NotImplementedError

    def text(self, value: Any, /) -> str:
        """Return a canonical value as the text that tokens are made of."""
        return str(value)

    def cell(self, value: Any, /) -> Cell:
        """Return a canonical value as PostgreSQL takes it."""
        return cast("Cell", value)

    def shorten(self, to: int | str | None) -> Callable[[Any], Any]:
        """Return the function from a canonical value to less of it. Raises DeclarationError when there is none such."""
        raise DeclarationError(f"{type(self).__name__} has no shorter form: Truncate does not go with it")

    @property
    def element(self) -> "Rule":
        """The rule of a single value: of a list's elements, or this one."""
        return self

    @property
    def in_json(self) -> "Rule":
        """The same rule for a value inside of a column of JSON."""
        return self

    def over(self, write: Callable[[Any], Cell]) -> Callable[[Any], Cell]:
        """Return the function that writes a whole value, given the one for a single value."""
        return write


@dataclass(frozen=True)
class Text(Rule):
    """A text of 1 to `max` characters, in NFC and without surrounding white space."""

    max: int

    @property
    def example(self) -> str:
        return "probe"[: self.max]

    def canonical(self, value: str, /) -> str:
        text = canonical.text(value)
        if len(text) > self.max:
            raise Rejected("too_long")
        return text

    def shorten(self, to: int | str | None) -> Callable[[str], str]:
        if not isinstance(to, int) or to < 1:
            raise DeclarationError("Truncate of a text needs the number of characters to keep")
        return lambda value: value[:to]


@dataclass(frozen=True)
class CaseFolded(Text):
    """A text that is the same in upper and lower case (Unicode's full case folding)."""

    def canonical(self, value: str, /) -> str:
        return super().canonical(canonical.case_folded(canonical.text(value)))


@dataclass(frozen=True)
class Email(Text):
    """An e-mail address, its domain in ASCII and lower case.

    The local part is the receiving host's own (RFC 5321, 2.4). Nearly all hosts take it in any case: `fold` says so.
    """

    max: int = 254  # characters, RFC 5321 with erratum 1690
    fold: bool = False

    @property
    def example(self) -> str:
        return "probe@example.com"  # RFC 2606

    def canonical(self, value: str, /) -> str:
        return super().canonical(canonical.email(canonical.text(value), self.fold))

    def shorten(self, to: int | str | None) -> Callable[[str], str]:
        """Return the function to the domain."""
        if to is not None:
            raise DeclarationError("Truncate of an e-mail address goes to its domain, and takes no other size")
        return lambda value: value.rpartition("@")[2]


@dataclass(frozen=True)
class Phone(Text):
    """A phone number in E.164; one without a country code is one of `region` (ISO 3166, two letters).

    An extension is a part of it: two people behind one switchboard are two people.
    """

    region: str | None = None
    max: int = 64  # characters, as it comes

    @property
    def example(self) -> str:
        return "+442079460000"  # of those that Ofcom reserves for fiction

    def check(self) -> None:
        if self.region is not None and not canonical.is_phone_region(self.region):
            raise DeclarationError(f"Phone knows no region {self.region}")

    def canonical(self, value: str, /) -> str:
        return canonical.phone(super().canonical(value), self.region)


@dataclass(frozen=True)
class IpAddress(Rule):
    """An IPv4 or IPv6 address; reserved, multicast and loopback addresses are data like any other."""

    @property
    def example(self) -> str:
        return "192.0.2.1"  # RFC 5737

    def canonical(self, value: str, /) -> str:
        return canonical.ip_address(value)

    def shorten(self, to: int | str | None) -> Callable[[str], str]:
        """Return the function to the address's network, /24 or for IPv6 /48."""
        if to is not None:
            raise DeclarationError("Truncate of an IP address goes to its /24 or /48, and takes no other size")
        return canonical.ip_network


@dataclass(frozen=True)
class Version(Text):
    """One to three numbers with dots between, kept as they came; `version_number` makes them comparable."""

    max: int = 32  # characters

    @property
    def example(self) -> str:
        return "0"

    def canonical(self, value: str, /) -> str:
        if len(value) > self.max:
            raise Rejected("too_long")
        version_number(value)
        return value


@dataclass(frozen=True)
class Custom(Text):
    """A text whose canonical form a function of one's own makes; it raises Rejected for what it does not accept."""

    max: int
    form: Callable[[str], str]

    def canonical(self, value: str, /) -> str:
        return super().canonical(self.form(canonical.text(value)))


@dataclass(frozen=True, init=False)
class Integer(Rule):
    """A whole number between two bounds, both included; PostgreSQL's bigint by default.

    With `text` it may come as a text, or with a point: `"1"`, `1.0`.
    """

    min: int
    max: int
    takes_text: bool = field(metadata={"parameter": "text"})  # `text` is what a rule makes of a value

    def __init__(self, min: int = -LARGEST_BIGINT - 1, max: int = LARGEST_BIGINT, text: bool = False) -> None:
        for name, value in (("min", min), ("max", max), ("takes_text", text)):
            object.__setattr__(self, name, value)

    @property
    def accepts(self) -> Any:
        return Numeric if self.takes_text else int

    @property
    def makes(self) -> Any:
        return int

    @property
    def example(self) -> int:
        return min(max(0, self.min), self.max)

    def check(self) -> None:
        if self.min > self.max:
            raise DeclarationError("Integer has a min above its max")

    def canonical(self, value: Any, /) -> int:
        number: int = _whole(canonical.number(value)) if self.takes_text else value
        if not self.min <= number <= self.max:
            raise Rejected("out_of_range")
        return number

    def shorten(self, to: int | str | None) -> Callable[[int], int]:
        """Return the function to the next lower multiple."""
        step = _step(to)
        return lambda value: value // step * step


@dataclass(frozen=True)
class Number(Rule):
    """An exact decimal number of `precision` digits, `scale` of them after the point; it is never a float."""

    precision: int
    scale: int
    accepts: ClassVar[Any] = Numeric

    @property
    def makes(self) -> Any:
        return Decimal

    @property
    def example(self) -> int:
        return 0

    def check(self) -> None:
        if not 0 <= self.scale <= self.precision <= MOST_DIGITS or self.precision < 1:
            raise DeclarationError(f"Number has 1 to {MOST_DIGITS} digits of precision, and at most as many of scale")

    def canonical(self, value: Any, /) -> Decimal:
        number = canonical.number(value)
        if number and number.adjusted() >= self.precision:
            raise Rejected("out_of_range")
        exact = number.quantize(Decimal((0, (1,), -self.scale)), context=_EXACT)
        if exact != number:
            raise Rejected("too_precise")
        if len(exact.as_tuple().digits) > self.precision:
            raise Rejected("out_of_range")
        return exact if exact else abs(exact)  # no negative zero

    def text(self, value: Decimal, /) -> str:
        return format(value, "f")

    def shorten(self, to: int | str | None) -> Callable[[Decimal], Decimal]:
        """Return the function to the next lower multiple."""
        step = _step(to)
        return lambda value: Decimal(floor(value) // step * step)  # a Decimal's // has 28 digits, and is no floor


@dataclass(frozen=True)
class Boolean(Rule):
    """true or false, and nothing that only looks like it."""

    accepts: ClassVar[Any] = bool

    @property
    def example(self) -> bool:
        return False

    def canonical(self, value: bool, /) -> bool:
        return value

    def text(self, value: bool, /) -> str:
        return "true" if value else "false"

    def cell(self, value: bool, /) -> Json:
        return Json(self.text(value))  # which PostgreSQL spells the same, in a row and in JSON


@dataclass(frozen=True)
class OneOf(Rule):
    """One of a few texts, spelled exactly so."""

    choices: tuple[str, ...]

    def __init__(self, *choices: str) -> None:
        object.__setattr__(self, "choices", choices)

    @property
    def example(self) -> str:
        return self.choices[0]

    @classmethod
    def of(cls, enum: type[Enum]) -> "OneOf":
        """Return the rule for the values of an enum."""
        return cls(*(str(member.value) for member in enum))

    def check(self) -> None:
        if not self.choices:
            raise DeclarationError("OneOf needs a choice")
        if not all(isinstance(choice, str) for choice in self.choices):
            raise DeclarationError("OneOf takes texts")

    def canonical(self, value: str, /) -> str:
        if value not in self.choices:
            raise Rejected("not_a_choice")
        return value


@dataclass(frozen=True)
class Uuid(Rule):
    """A UUID (RFC 9562) in capital or small letters, with all its hyphens or with none."""

    @property
    def example(self) -> str:
        return "00000000-0000-0000-0000-000000000000"  # RFC 9562, 5.9

    def canonical(self, value: str, /) -> str:
        return canonical.uuid(value)


@dataclass(frozen=True)
class Timestamp(Rule):
    """A moment, to the microsecond: ISO 8601 with a zone, or a number of `epoch` units since 1970, also as a string.

    It lies between `earliest` and `latest`, both included. Without them a text may name any moment, and a number one
    from 1990 to 2100.
    """

    epoch: str = "seconds"  # or "milliseconds"
    earliest: datetime | None = None
    latest: datetime | None = None
    accepts: ClassVar[Any] = str | int | float

    @property
    def makes(self) -> Any:
        return datetime

    @property
    def example(self) -> str:
        now = datetime.now(UTC)  # for which a partition should be there
        return min(max(now, self.earliest or now), self.latest or now).isoformat()

    def check(self) -> None:
        if self.epoch not in ("seconds", "milliseconds"):
            raise DeclarationError("Timestamp counts an epoch in seconds or milliseconds")
        bounds = [bound for bound in (self.earliest, self.latest) if bound is not None]
        if not all(isinstance(bound, datetime) and bound.tzinfo for bound in bounds):
            raise DeclarationError("Timestamp needs bounds with a time zone: datetime(2026, 1, 31, tzinfo=UTC)")
        if bounds != sorted(bounds):
            raise DeclarationError("Timestamp has its earliest after its latest")

    def canonical(self, value: str | int | float, /) -> datetime:
        found = canonical.epoch(value, 1 if self.epoch == "seconds" else 1_000)
        earliest, latest = self.earliest, self.latest
        if found is None:
            found = canonical.moment(cast("str", value))
        else:
            earliest, latest = earliest or EPOCHS_FROM, latest or EPOCHS_TO
        if (earliest and found < earliest) or (latest and found > latest):
            raise Rejected("out_of_range")
        return found

    def text(self, value: datetime, /) -> str:
        return value.isoformat()

    def cell(self, value: datetime, /) -> str:
        return value.isoformat()

    def shorten(self, to: int | str | None) -> Callable[[datetime], datetime]:
        """Return the function to the start of the `to`, in UTC."""
        units = ("year", "month", "day", "hour", "minute")
        if to not in units:
            raise DeclarationError(f"Truncate of a timestamp goes to the {', '.join(units)}")
        start: dict[str, Any] = {"month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0}
        dropped = {name: first for name, first in start.items() if name not in units[: units.index(str(to)) + 1]}
        return lambda value: value.replace(**dropped)


@dataclass(frozen=True)
class Each(Rule):
    """A list of at most `max` elements, each of one rule, as a PostgreSQL array, or with `json` as a JSON array."""

    rule: Rule
    max: int = 1000
    json: bool = False

    @property
    def accepts(self) -> Any:
        return list[self.rule.accepts]  # type: ignore[name-defined]

    @property
    def makes(self) -> Any:
        return list[self.rule.makes]  # type: ignore[name-defined]

    @property
    def example(self) -> list[Any]:
        return []

    def check(self) -> None:
        if not isinstance(self.rule, Rule) or isinstance(self.rule, Each):
            raise DeclarationError("Each needs the rule of a single element")
        self.rule.check()

    @property
    def element(self) -> Rule:
        return self.rule

    @property
    def in_json(self) -> Rule:
        return replace(self, json=True)

    def canonical(self, values: Sequence[Any], /) -> list[Any]:
        if len(values) > self.max:
            raise Rejected("too_many")
        elements = []
        for index, value in enumerate(values):
            try:
                elements.append(self.rule.canonical(value))
            except OF_A_USERS_CODE as error:
                raise rejection_of(error).at(f"/{index}") from None
        return elements

    def over(self, write: Callable[[Any], Cell]) -> Callable[[Any], Cell]:
        if self.json:
            return lambda values: json_cell([json_member(write(value)) for value in values])
        return lambda values: array_cell([write(value) for value in values])


def _whole(number: Decimal) -> int:
    if number.adjusted() > 20:  # more than a bigint has
        raise Rejected("out_of_range")
    if number != number.to_integral_value():
        raise Rejected("too_precise")
    return int(number)


def _step(to: int | str | None) -> int:
    if not isinstance(to, int) or to < 1:
        raise DeclarationError("Truncate of a number needs the step to go down to")
    return to


@lru_cache(maxsize=4096)  # an app has few versions, and both the rule and the column ask: 0.1 instead of 2.7 µs
def version_number(version: str) -> int:
    """Return major * 1,000,000 + minor * 1,000 + patch, missing parts being 0: it sorts as versions sort.

    Raises Rejected when it is no version, minor or patch is over 999, or the number is over PostgreSQL's integer.
    """
    parts = version.split(".")
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise Rejected("not_a_version")
    if any(len(part.lstrip("0")) > 10 for part in parts):
        raise Rejected("out_of_range")  # Python makes no int of 5,000 digits
    major, minor, patch = [*(int(part.lstrip("0") or 0) for part in parts), 0, 0][:3]
    number = major * 1_000_000 + minor * 1_000 + patch
    if minor > 999 or patch > 999 or number > LARGEST_INTEGER:
        raise Rejected("out_of_range")
    return number
