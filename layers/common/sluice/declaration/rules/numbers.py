"""Rules for numbers and truth values."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Context, Decimal
from math import floor, isinf
from typing import Any, ClassVar

from sluice.declaration import canonical
from sluice.declaration.rules.rule import Rule, check_whole
from sluice.declaration.wire import Numeric
from sluice.failures import DeclarationError, Rejected
from sluice.postgres.cells import Json

LARGEST_INTEGER = 2**31 - 1  # PostgreSQL's integer
LARGEST_BIGINT = 2**63 - 1

MOST_DIGITS = 1000  # of PostgreSQL's numeric

_EXACT = Context(prec=2 * MOST_DIGITS)  # more than `quantize` needs here


@dataclass(frozen=True, init=False)
class Integer(Rule):
    """A whole number between two bounds, both included; PostgreSQL's bigint by default.

    With `text` it may come as a text, or with a point: `"1"`, `1.0`.
    """

    min: int
    max: int
    takes_text: bool = field(metadata={"parameter": "text"})  # `text` is what a rule makes of a value

    def __init__(self, min: int = -LARGEST_BIGINT - 1, max: int = LARGEST_BIGINT, text: bool = False) -> None:
        for name, value in (("min", min), ("max", max), ("takes_text", text)):
            object.__setattr__(self, name, value)

    @property
    def accepts(self) -> Any:
        return Numeric if self.takes_text else int

    @property
    def makes(self) -> Any:
        return int

    @property
    def example(self) -> int:
        return min(max(0, self.min), self.max)

    def check(self) -> None:
        check_whole(self, "min", "max")
        if self.min > self.max:
            raise DeclarationError("Integer has a min above its max")

    def canonical(self, value: Any, /) -> int:
        number: int = whole(canonical.number(value)) if self.takes_text else value
        if not self.min <= number <= self.max:
            raise Rejected("out_of_range")
        return number

    def shorten(self, to: int | str | None) -> Callable[[int], int]:
        """Return the function to the next lower multiple."""
        step = _step(to)
        return lambda value: value // step * step


@dataclass(frozen=True)
class Number(Rule):
    """An exact decimal number of `precision` digits, `scale` of them after the point; it is never a float.

    One with more digits after the point is refused, or with `round` rounded, half away from zero as PostgreSQL does.
    """

    precision: int
    scale: int
    round: bool = False
    accepts: ClassVar[Any] = Numeric

    @property
    def makes(self) -> Any:
        return Decimal

    @property
    def example(self) -> int:
        return 0

    def check(self) -> None:
        check_whole(self, "precision", "scale")
        if not 0 <= self.scale <= self.precision <= MOST_DIGITS or self.precision < 1:
            raise DeclarationError(f"Number has 1 to {MOST_DIGITS} digits of precision, and at most as many of scale")

    def canonical(self, value: Any, /) -> Decimal:
        number = canonical.number(value)
        if number and number.adjusted() >= self.precision:
            raise Rejected("out_of_range")
        exact = number.quantize(Decimal((0, (1,), -self.scale)), ROUND_HALF_UP, context=_EXACT)
        if exact != number and not self.round:
            raise Rejected("too_precise")
        if len(exact.as_tuple().digits) > self.precision:
            raise Rejected("out_of_range")
        return exact if exact else abs(exact)  # no negative zero

    def text(self, value: Decimal, /) -> str:
        return format(value, "f")

    def shorten(self, to: int | str | None) -> Callable[[Decimal], Decimal]:
        """Return the function to the next lower multiple."""
        step = _step(to)
        return lambda value: Decimal(floor(value) // step * step)  # a Decimal's // has 28 digits, and is no floor


@dataclass(frozen=True)
class Float(Rule):
    """A number as a float of 64 bits (IEEE 754), PostgreSQL's double precision: the one that is nearest to it."""

    accepts: ClassVar[Any] = Numeric

    @property
    def makes(self) -> Any:
        return float

    @property
    def example(self) -> int:
        return 0

    def canonical(self, value: Any, /) -> float:
        number = canonical.number(value)
        found = float(number)
        if isinf(found) or (number and not found):  # PostgreSQL refuses what becomes zero, too
            raise Rejected("out_of_range")
        return found or 0.0  # no negative zero

    def text(self, value: float, /) -> str:
        return repr(value)  # the shortest that is this float

    def cell(self, value: float, /) -> Json:
        return Json(repr(value))

    def shorten(self, to: int | str | None) -> Callable[[float], float]:
        """Return the function to the next lower multiple."""
        step = _step(to)
        return lambda value: float(floor(value) // step * step)


@dataclass(frozen=True, init=False)
class Boolean(Rule):
    """true or false, and nothing that only looks like it; with `text` also as a text, in any case: `"True"`."""

    takes_text: bool = field(metadata={"parameter": "text"})  # `text` is what a rule makes of a value

    def __init__(self, text: bool = False) -> None:
        object.__setattr__(self, "takes_text", text)

    @property
    def accepts(self) -> Any:
        return bool | str if self.takes_text else bool

    @property
    def makes(self) -> Any:
        return bool

    @property
    def example(self) -> bool:
        return False

    def canonical(self, value: bool | str, /) -> bool:
        if isinstance(value, str):
            if value.lower() not in ("true", "false"):
                raise Rejected("wrong_type")
            return value.lower() == "true"
        return value

    def text(self, value: bool, /) -> str:
        return "true" if value else "false"

    def cell(self, value: bool, /) -> Json:
        return Json(self.text(value))  # which PostgreSQL spells the same, in a row and in JSON


def whole(number: Decimal) -> int:
    """Return a whole number. Raises Rejected when it has digits after the point, or more than a column may have."""
    if number.adjusted() > 20:  # more than a bigint has
        raise Rejected("out_of_range")
    if number != number.to_integral_value():
        raise Rejected("too_precise")
    return int(number)


def _step(to: int | str | None) -> int:
    if not isinstance(to, int) or to < 1:
        raise DeclarationError("Truncate of a number needs the step to go down to")
    return to
