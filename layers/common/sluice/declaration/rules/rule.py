"""A rule: what a field accepts, and the one canonical value of all its spellings."""

from collections.abc import Callable
from typing import Any, ClassVar

from sluice.failures import DeclarationError
from sluice.postgres.cells import Cell


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
        cell: Cell = value
        return cell

    def shorten(self, to: int | str | None) -> Callable[[Any], Any]:
        """Return the function from a canonical value to less of it. Raises DeclarationError when there is none such."""
        raise DeclarationError(f"{type(self).__name__} has no shorter form: Truncate does not go with it")

    @property
    def element(self) -> "Rule":
        """The rule of a single value: of a list's elements, or this one."""
        return self

    @property
    def is_json(self) -> bool:
        """Whether a column of this rule's values is JSON by declaration."""
        return False

    @property
    def in_json(self) -> "Rule":
        """The same rule for a value inside of a column of JSON."""
        return self

    def over(self, write: Callable[[Any], Cell]) -> Callable[[Any], Cell]:
        """Return the function that writes a whole value, given the one for a single value."""
        return write


def check_whole(rule: Rule, *names: str) -> None:
    """Raise DeclarationError unless these options of a rule are whole numbers."""
    for name in names:
        if type(getattr(rule, name)) is not int:  # True is one, to isinstance
            raise DeclarationError(f"{type(rule).__name__} takes a whole number for {name}")


def is_ours(rule_or_mask: object) -> bool:
    """Tell whether a rule or a mask comes with Sluice: what one of a user's own returns may be anything."""
    return type(rule_or_mask).__module__.startswith("sluice.")
