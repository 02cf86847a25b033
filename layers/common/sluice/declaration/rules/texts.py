"""Rules for texts of all kinds."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, ClassVar

from sluice.declaration import canonical
from sluice.declaration.rules.numbers import LARGEST_INTEGER, whole
from sluice.declaration.rules.rule import Rule, check_whole
from sluice.declaration.wire import Numeric
from sluice.failures import DeclarationError, Rejected


@dataclass(frozen=True)
class Text(Rule):
    """A text of 1 to `max` characters, in NFC and without surrounding white space."""

    max: int

    @property
    def example(self) -> str:
        return "probe"[: self.max]

    def check(self) -> None:
        check_whole(self, "max")
        if self.max < 1:
            raise DeclarationError(f"{type(self).__name__} has room for at least one character")

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
class Id(Text):
    """An id that comes as a text or as a whole number, which has the text of its digits: `42` and `"42"` are one."""

    accepts: ClassVar[Any] = Numeric

    @property
    def makes(self) -> Any:
        return str

    def canonical(self, value: Any, /) -> str:
        return super().canonical(value if isinstance(value, str) else str(whole(canonical.number(value))))


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
        super().check()
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
