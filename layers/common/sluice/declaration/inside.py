"""Tokens inside of a text or of JSON: the columns of arrays in which they stand too, and are looked up."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from sluice.declaration.masks import Mask, Pseudonym, Writer
from sluice.declaration.originals import Notes
from sluice.declaration.rules.rule import Rule
from sluice.postgres.cells import array_cell, json_cell
from sluice.pseudonyms.keyset import Keyset


@dataclass(frozen=True)
class TokensInside(Mask):
    """The tokens of a domain that the mask before it put inside of a text or of JSON: an array, with each once.

    By this array they are found without a look into every text.
    """

    domain: str = ""
    recoverable: bool = False
    json: bool = field(default=False, repr=False)  # nothing that anybody declares

    def domain_of(self, field: str) -> str:
        """Return the domain of the tokens."""
        return self.domain

    def column_of(self, name: str) -> str:
        return self.column or f"{name}_{self.domain}"

    @property
    def in_json(self) -> "TokensInside":
        return replace(self, json=True)

    def writer(self, field: str, rule: Rule, keyset: Keyset, notes: Notes | None = None) -> Writer:
        """Return that function; it looks for the tokens in the notes, and takes them out there."""
        cell = json_cell if self.json else array_cell
        inside = {} if notes is None else notes.inside
        return lambda value: cell([*inside.pop((self.column, self.domain), ())])


def tokens_inside(pseudonyms: Iterable[Pseudonym]) -> tuple[TokensInside, ...]:
    """Return the companions of a mask that puts tokens inside of a text or of JSON: one for each domain and column."""
    recoverable: dict[tuple[str | None, str], bool] = {}
    for mask in pseudonyms:
        place = (mask.column, str(mask.domain))
        recoverable[place] = mask.recoverable or recoverable.get(place, False)
    return tuple(TokensInside(*place, is_recoverable) for place, is_recoverable in recoverable.items())


def noting(mask: Pseudonym, field: str, rule: Rule, keyset: Keyset, notes: Notes | None) -> Callable[[Any], str]:
    """Return the function from a single canonical value to its token, which it notes for the array beside."""
    pseudonymize, place = mask.writer(field, rule.element, keyset, notes), (mask.column, mask.domain_of(field))

    def pseudonymize_and_note(value: Any) -> str:
        token = str(pseudonymize(value))
        if notes is not None:
            notes.inside.setdefault(place, {})[token] = None
        return token

    return pseudonymize_and_note
