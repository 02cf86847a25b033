"""The rule of single values of any type."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from sluice.declaration import canonical
from sluice.declaration.rules.rule import Rule
from sluice.failures import Rejected
from sluice.postgres.cells import Cell, Json

MOST_DIGITS = 1000


@dataclass(frozen=True)
class Scalar(Rule):
    """Any text, number or truth value, as it comes: what a mask without a rule is for."""

    accepts: ClassVar[Any] = str | int | Decimal | bool

    @property
    def example(self) -> str:
        return "probe"

    def canonical(self, value: Any, /) -> Any:
        if isinstance(value, str):
            return canonical.storable(value)
        if isinstance(value, bool):
            return value
        number = canonical.number(value)
        if len(number.as_tuple().digits) > MOST_DIGITS:
            raise Rejected("too_precise")
        return number

    def text(self, value: Any, /) -> str:
        if isinstance(value, Decimal):  # 1.50 is 1.5
            whole, _, fraction = format(value, "f").partition(".")
            return f"{whole}.{fraction.rstrip('0')}".rstrip(".")
        return str(self.cell(value))

    def cell(self, value: Any, /) -> Cell:
        return Json("true" if value else "false") if isinstance(value, bool) else value
