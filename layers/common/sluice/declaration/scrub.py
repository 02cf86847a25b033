"""Scrub: the mask of a text with personal data inside. Each value found gives way to what a mask makes of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, get_args

from sluice.declaration.inside import TokensInside, noting, tokens_inside
from sluice.declaration.masks import Mask, Pseudonym, Redact, Truncate, Writer
from sluice.declaration.originals import Notes
from sluice.declaration.rules import CaseFolded, Custom, Rule, Text
from sluice.declaration.rules.rule import is_ours
from sluice.declaration.wire import Numeric
from sluice.failures import DeclarationError
from sluice.postgres.cells import cell_of
from sluice.pseudonyms.keyset import Keyset


@dataclass(frozen=True)
class Find:
    """What to find in a text: values that the rule takes, and the mask that makes what stands in their place.

    Where they may stand, Sluice knows for e-mail and IP addresses, phone numbers, cards, IBANs and UUIDs. For another
    rule `pattern` says it, a regular expression of RE2; of one with a group, the group is the value.
    """

    rule: Rule = field(metadata={"parameter": ""})  # the first
    mask: Mask = field(metadata={"parameter": ""})  # the second
    pattern: str | None = None

    def check(self) -> None:
        """Raise DeclarationError when it can find nothing, or its mask makes no text."""
        if not isinstance(self.rule, Rule) or not isinstance(self.mask, Mask):
            raise DeclarationError("Find needs a rule and a mask: Find(Email(), Redact())")
        name = type(self.rule).__name__
        self.rule.check()
        accepted = self.rule.accepts
        if not {str, Numeric} & {*(get_args(accepted) if isinstance(accepted, UnionType) else (accepted,))}:
            raise DeclarationError(f"{name} takes no text, so Find finds none in one")
        if type(self.mask) not in (Pseudonym, Redact, Truncate):
            raise DeclarationError("Find goes with Pseudonym, Redact or Truncate")
        if isinstance(self.mask, Pseudonym):
            if self.mask.domain is None:
                raise DeclarationError(f'Find({name}) needs a domain for its tokens: Pseudonym(domain="…")')
        elif self.mask.column is not None:
            of_constant = ' (Redact(constant="…") puts a text in its place)' * isinstance(self.mask, Redact)
            raise DeclarationError(f"Find({name}) has no column for its {type(self.mask).__name__}{of_constant}")
        self.mask.check(self.rule)
        from sluice.declaration import search  # as in `writer`

        search.finder(self.rule, self.pattern)

    def replacement(self, field: str, keyset: Keyset, notes: Notes | None) -> Callable[[Any], str]:
        """Return the function from a canonical value to what stands in its place. It notes the tokens."""
        mask = self.mask
        if not isinstance(mask, Pseudonym):
            write = mask.writer(field, self.rule, keyset)
            return lambda value: _text(write(value))
        return noting(mask, field, self.rule, keyset, notes)


@dataclass(frozen=True, init=False)
class Scrub(Mask):
    """A text in which each value that is found gives way to a token, a constant, nothing or less of it."""

    finds: tuple[Find, ...] = field(default=(), metadata={"parameter": ""})

    def __init__(self, *finds: Find, column: str | None = None) -> None:
        object.__setattr__(self, "finds", finds)
        object.__setattr__(self, "column", column)

    def check(self, rule: Rule) -> None:
        if not self.finds or not all(isinstance(find, Find) for find in self.finds):
            raise DeclarationError("Scrub needs what to find: Scrub(Find(Email(), Redact()), …)")
        element = rule.element
        if element.makes is not str or (is_ours(element) and type(element) not in (Text, CaseFolded, Custom)):
            raise DeclarationError(f"Scrub goes with a text, and {type(element).__name__} is none")
        for find in self.finds:
            find.check()

    def companions(self, field: str, rule: Rule) -> tuple[TokensInside, ...]:
        return tokens_inside(find.mask for find in self.finds if isinstance(find.mask, Pseudonym))

    def writer(self, field: str, rule: Rule, keyset: Keyset, notes: Notes | None = None) -> Writer:
        """Return that function; it notes the tokens in the text, and what those of recoverable values stand for."""
        from sluice.declaration import search  # 30 ms: only for streams that have a Scrub

        hits = search.Search([(find.rule, find.pattern) for find in self.finds]).hits
        replacements = [find.replacement(field, keyset, notes) for find in self.finds]

        def scrub(text: str) -> str:
            pieces, end = [], 0
            for hit in hits(text):
                pieces += [text[end : hit.start], replacements[hit.finder](hit.value)]
                end = hit.end
            return "".join([*pieces, text[end:]]) if pieces else text

        return rule.over(scrub if is_ours(rule.element) else lambda text: cell_of(scrub(text)))


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)
