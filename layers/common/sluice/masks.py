"""Masks: what becomes of a field's canonical value in a column. A field may have several, a column each."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from sluice.rules import IpAddress, Rule
from sluice.tokens import Keyset

type Cell = str | int | None
type Writer = Callable[[str], Cell]


@runtime_checkable
class Mask(Protocol):
    """Knows its column (the field's name by default), and makes the function from canonical value to cell."""

    @property
    def column(self) -> str | None: ...

    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Writer: ...


@dataclass(frozen=True)
class Keep:
    """The canonical value in the clear, or what `as_` makes of it. `as_` may raise Rejected."""

    column: str | None = None
    as_: Writer | None = None

    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Writer:
        return self.as_ or (lambda value: value)


@dataclass(frozen=True)
class Pseudonym:
    """A keyed token: the same for the same value of the same domain (by default the field's name), in every table."""

    column: str | None = None
    domain: str | None = None

    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Writer:
        return keyset.pseudonymizer(self.domain or field)


@dataclass(frozen=True)
class Redact:
    """Nothing of the value: NULL, or a constant."""

    column: str | None = None
    constant: str | None = None

    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Writer:
        return lambda value: self.constant


@dataclass(frozen=True)
class Truncate:
    """Less of the value: of a text its first `characters`, of an IP address its network (/24, for IPv6 /48)."""

    column: str | None = None
    characters: int = 0

    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Writer:
        return _network if isinstance(rule, IpAddress) else lambda value: value[: self.characters]


def _network(address: str) -> str:
    return str(ipaddress.ip_network((address, 48 if ":" in address else 24), strict=False))
