"""What becomes NULL though a rule does not take it."""

from dataclasses import dataclass

from sluice.failures import DeclarationError

BLANK, INVALID = "blank", "invalid"


@dataclass(frozen=True)
class NullIf:
    """Makes NULL of a value that is `"blank"`, a text of white space alone, or `"invalid"`, which the rule refuses.

    What is invalid is counted. On a list it holds for each element, and for the list itself where that can be null.
    """

    when: tuple[str, ...]

    def __init__(self, *when: str) -> None:
        object.__setattr__(self, "when", when)

    def check(self) -> None:
        """Raise DeclarationError when it can hold for nothing."""
        if not self.when or not {*self.when} <= {BLANK, INVALID} or len({*self.when}) < len(self.when):
            raise DeclarationError(f'NullIf takes "{BLANK}", "{INVALID}" or both')
