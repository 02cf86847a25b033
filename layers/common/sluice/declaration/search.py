"""Search: where in a text the values of some rules stand. It takes a time that grows with the text, and no faster.

Each rule has a finder of its own, from a text to where a value may stand. Whatever a finder yields counts only when the
rule takes it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from sluice.declaration.rules import Email, IpAddress, Rule
from sluice.failures import Rejected

type Span = tuple[int, int]


class Hit(NamedTuple):
    """A value in a text."""

    start: int
    end: int
    finder: int  # its number in the search
    value: Any  # canonical


def is_known(rule: Rule) -> bool:
    """Tell whether the places where a value of this rule may stand are known without a pattern."""
    return any(kind in _FINDERS for kind in type(rule).__mro__)


class Search:
    def __init__(self, wanted: Sequence[tuple[Rule, str | None]]) -> None:
        self._finders = [(_finder(rule, pattern), rule.canonical) for rule, pattern in wanted]

    @staticmethod
    def check(rule: Rule, pattern: str | None) -> None:
        pass

    def hits(self, text: str) -> list[Hit]:
        found = []
        for number, (spans, canonical) in enumerate(self._finders):
            for start, end in spans(text):
                try:
                    found.append(Hit(start, end, number, canonical(text[start:end])))
                except Rejected:
                    continue
        found.sort(key=lambda hit: (hit.start, -hit.end, hit.finder))
        chosen, at = [], 0
        for hit in found:
            if hit.start >= at:
                chosen.append(hit)
                at = hit.end
        return chosen


def _finder(rule: Rule, pattern: str | None) -> Callable[[str], Iterator[Span]]:
    return next(_FINDERS[kind] for kind in type(rule).__mro__ if kind in _FINDERS)


def _emails(text: str) -> Iterator[Span]:
    if "@" in text:
        yield from (match.span() for match in re.finditer(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*", text))


def _ips(text: str) -> Iterator[Span]:
    yield from (match.span() for match in re.finditer(r"\d+\.\d+\.\d+\.\d+", text))


_FINDERS: dict[type, Callable[[str], Iterator[Span]]] = {Email: _emails, IpAddress: _ips}
