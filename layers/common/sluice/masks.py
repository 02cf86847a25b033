"""Masks: what becomes of a field's canonical value in a column. A field may have several, a column each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sluice.cells import Cell
from sluice.rules import Rule
from sluice.tokens import Keyset

type Writer = Callable[[Any], Cell]


@dataclass(frozen=True)
class Mask:
    """Makes the function from a field's canonical value to the cell of its column, the field's name by default."""

    column: str | None = None

    def check(self, rule: Rule) -> None:
        """Raise DeclarationError when this mask does not go with the rule."""

    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Writer:
        """Return that function."""
        raise NotImplementedError


@dataclass(frozen=True)
class Keep(Mask):
    """The canonical value in the clear, or what `as_` makes of it. `as_` may raise Rejected."""

    as_: Writer | None = None

    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Writer:
        return rule.over(self.as_ or rule.element.cell)


@dataclass(frozen=True)
class Pseudonym(Mask):
    """A keyed token: the same for the same value of the same domain (by default the field's name), in every table."""

    domain: str | None = None

    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Writer:
        pseudonymize = keyset.pseudonymizer(self.domain or field)
        if rule.element.makes is str:  # its canonical value is a text already, and this is the hot path
            return rule.over(pseudonymize)
        text = rule.element.text
        return rule.over(lambda value: pseudonymize(text(value)))


@dataclass(frozen=True)
class Redact(Mask):
    """Nothing of the value: NULL, or a constant."""

    constant: str | None = None

    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Writer:
        return lambda value: self.constant


@dataclass(frozen=True)
class Truncate(Mask):
    """Less of the value: of a text its first `to` characters, of an IP address its network, of a moment its `to`."""

    to: int | str | None = None

    def check(self, rule: Rule) -> None:
        rule.element.shorten(self.to)

    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Writer:
        shorten, cell = rule.element.shorten(self.to), rule.element.cell
        return rule.over(lambda value: cell(shorten(value)))
