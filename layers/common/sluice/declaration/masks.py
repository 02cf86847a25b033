"""Masks: what becomes of a field's canonical value in a column. A field may have several, a column each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from sluice.declaration.originals import Notes, Original
from sluice.declaration.rules.rule import Rule, is_ours
from sluice.postgres.cells import Cell, cell_of
from sluice.pseudonyms.keyset import Keyset

type Writer = Callable[[Any], Cell]


@dataclass(frozen=True)
class Mask:
    """Makes the function from a field's canonical value to the cell of its column, the field's name by default."""

    column: str | None = None

    def check(self, rule: Rule) -> None:
        """Raise DeclarationError when this mask does not go with the rule."""

    def column_of(self, name: str) -> str:
        """Return the column, for a field of that name; in a nested object the object's name is before it."""
        return self.column or name

    def companions(self, field: str, rule: Rule) -> tuple["Mask", ...]:
        """Return the masks that write what this one has to tell to columns of their own, right after it."""
        return ()

    @property
    def in_json(self) -> Self:
        """The same mask for a value inside of a column of JSON."""
        return self

    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Writer:
        """Return that function."""
        raise NotImplementedError


def _cells(rule: Rule, write: Writer) -> Writer:
    """Return the function itself, or the one that makes cells of all that a user's own rule or function returns."""
    is_of_sluice = is_ours(rule.element) and str(getattr(write, "__module__", "")).startswith("sluice.")
    return write if is_of_sluice else lambda value: cell_of(write(value))


@dataclass(frozen=True)
class Keep(Mask):
    """The canonical value in the clear, or what `as_` makes of it. `as_` may raise Rejected."""

    as_: Writer | None = None

    def writer(self, field: str, rule: Rule, keyset: Keyset) -> Writer:
        return rule.over(_cells(rule, self.as_ or rule.element.cell))


@dataclass(frozen=True)
class Pseudonym(Mask):
    """A keyed token: the same for the same value of the same domain (by default the field's name), in every table.

    A recoverable one can be turned back, by those who may: its value is sealed in the vault.
    """

    domain: str | None = None
    recoverable: bool = False

    def domain_of(self, field: str) -> str:
        """Return the domain of a field's tokens."""
        return self.domain or field

    def writer(self, field: str, rule: Rule, keyset: Keyset, notes: Notes | None = None) -> Writer:
        """Return that function; of a recoverable value it notes what its token stands for."""
        domain = self.domain_of(field)
        pseudonymize = keyset.pseudonymizer(domain)
        if self.recoverable and notes:
            pseudonymize = _remembering(notes.originals.append, domain, pseudonymize)
        if rule.element.makes is str:  # its canonical value is a text already, and this is the hot path
            return rule.over(pseudonymize)
        text = rule.element.text
        return rule.over(lambda value: pseudonymize(text(value)))


def _remembering(
    remember: Callable[[Original], None], domain: str, pseudonymize: Callable[[str], str]
) -> Callable[[str], str]:
    def pseudonymize_and_remember(value: str) -> str:
        token = pseudonymize(value)
        remember(Original(domain, token, value))
        return token

    return pseudonymize_and_remember


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
        shorten, cell = rule.element.shorten(self.to), _cells(rule, rule.element.cell)
        return rule.over(lambda value: cell(shorten(value)))
