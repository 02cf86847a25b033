"""Rules for lists."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sluice.declaration.rules.rule import Rule, check_whole
from sluice.failures import OF_A_USERS_CODE, DeclarationError, Rejected, rejection_of
from sluice.postgres.cells import Cell, array_cell, json_cell, json_member


@dataclass(frozen=True)
class Each(Rule):
    """A list of at most `max` elements, each of one rule, as a PostgreSQL array, or with `json` as a JSON array.

    A list of lists is JSON, since those in a PostgreSQL array have one length.
    """

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
        if not isinstance(self.rule, Rule):
            raise DeclarationError("Each needs the rule of an element")
        check_whole(self, "max")
        if self.max < 0:
            raise DeclarationError("Each takes no list, not even an empty one: its max is below 0")
        if isinstance(self.rule, Each) and not self.json:
            raise DeclarationError("a list of lists is kept as JSON: Each(Each(…), json=True)")
        (self.rule.in_json if self.json else self.rule).check()

    @property
    def element(self) -> Rule:
        return self.rule.element

    @property
    def is_json(self) -> bool:
        return self.json

    @property
    def in_json(self) -> Rule:
        return replace(self, rule=self.rule.in_json, json=True)

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
            write = self.rule.in_json.over(write)
            return lambda values: json_cell([None if value is None else json_member(write(value)) for value in values])
        return lambda values: array_cell([None if value is None else write(value) for value in values])
