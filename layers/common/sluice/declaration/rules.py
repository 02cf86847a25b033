"""Rules: what a field accepts, and the one canonical value of all its spellings."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from enum import Enum
from functools import lru_cache
from math import floor
from typing import Any, ClassVar, cast
from uuid import UUID

from sluice.declaration import canonical
from sluice.failures import OF_A_USERS_CODE, DeclarationError, Rejected, rejection_of
from sluice.postgres.cells import Cell, Json, array_cell, json_cell, json_member

LARGEST_INTEGER = 2**31 - 1  # PostgreSQL's integer
LARGEST_BIGINT = 2**63 - 1

_EXACT = Context(prec=1100)  # digits: more than `quantize` may need here
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_TEXT = re.compile(r"-?[0-9]{1,17}(\.[0-9]{1,20})?(e-[0-9]{2})?")  # as Python writes a float, too


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
        return super().canonical(canonical.text(value).casefold())


@dataclass(frozen=True)
class Email(Text):
    """An e-mail address: the domain is case-folded, the local part is the receiving host's own (RFC 5321, 2.4)."""

    max: int = 254  # characters, RFC 5321 with erratum 1690

    @property
    def example(self) -> str:
        return "probe@example.com"  # RFC 2606

    def canonical(self, value: str, /) -> str:
        return super().canonical(canonical.email(canonical.text(value)))

    def shorten(self, to: int | str | None) -> Callable[[str], str]:
        """Return the function to the domain."""
        if to is not None:
            raise DeclarationError("Truncate of an e-mail address goes to its domain, and takes no other size")
        return lambda value: value.rpartition("@")[2]


@dataclass(frozen=True)
class Phone(Text):
    """A phone number in E.164; one without a country code is one of `region` (ISO 3166, two letters)."""

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
        return super().canonical(self.form(super().canonical(value)))


@dataclass(frozen=True)
class Integer(Rule):
    """A whole number between two bounds, both included; PostgreSQL's bigint by default."""

    min: int = -LARGEST_BIGINT - 1
    max: int = LARGEST_BIGINT
    accepts: ClassVar[Any] = int

    @property
    def example(self) -> int:
        return min(max(0, self.min), self.max)

    def canonical(self, value: int, /) -> int:
        if not self.min <= value <= self.max:
            raise Rejected("out_of_range")
        return value

    def shorten(self, to: int | str | None) -> Callable[[int], int]:
        """Return the function to the next lower multiple."""
        step = _step(to)
        return lambda value: value // step * step


@dataclass(frozen=True)
class Number(Rule):
    """An exact decimal number of `precision` digits, `scale` of them after the point; it is never a float."""

    precision: int
    scale: int
    accepts: ClassVar[Any] = Decimal

    @property
    def example(self) -> int:
        return 0

    def canonical(self, value: Decimal, /) -> Decimal:
        if not value.is_finite() or abs(value.adjusted()) > 1000:
            raise Rejected("out_of_range")
        exact = value.quantize(Decimal((0, (1,), -self.scale)), context=_EXACT)
        if exact != value:
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

    def canonical(self, value: str, /) -> str:
        if value not in self.choices:
            raise Rejected("not_a_choice")
        return value


@dataclass(frozen=True)
class Uuid(Rule):
    """A UUID (RFC 9562) in any of the spellings that Python's `uuid` takes."""

    @property
    def example(self) -> str:
        return str(UUID(int=0))

    def canonical(self, value: str, /) -> str:
        try:
            return str(UUID(value))
        except ValueError:
            raise Rejected("not_a_uuid") from None  # the cause may quote the value


@dataclass(frozen=True)
class Timestamp(Rule):
    """A moment, to the microsecond: ISO 8601 with a zone, or a number of `epoch` units since 1970, also as a string."""

    epoch: str = "seconds"  # or "milliseconds"
    accepts: ClassVar[Any] = str | int | float

    @property
    def makes(self) -> Any:
        return datetime

    @property
    def example(self) -> str:
        return datetime.now(UTC).isoformat()  # for which a partition should be there

    def check(self) -> None:
        if self.epoch not in ("seconds", "milliseconds"):
            raise DeclarationError("Timestamp counts an epoch in seconds or milliseconds")

    def canonical(self, value: str | int | float, /) -> datetime:
        text = value if isinstance(value, str) else repr(value)  # the shortest text of a float, not its binary value
        try:
            if _EPOCH_TEXT.fullmatch(text):
                microseconds = Decimal(text) * (1_000_000 if self.epoch == "seconds" else 1_000)
                return _EPOCH + timedelta(microseconds=int(microseconds))
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise Rejected("no_time_zone")
            return moment.astimezone(UTC)
        except ValueError:
            raise Rejected("not_a_timestamp") from None  # the cause quotes the value
        except OverflowError:
            raise Rejected("out_of_range") from None

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
    major, minor, patch = [*map(int, parts), 0, 0][:3]
    number = major * 1_000_000 + minor * 1_000 + patch
    if minor > 999 or patch > 999 or number > LARGEST_INTEGER:
        raise Rejected("out_of_range")
    return number
