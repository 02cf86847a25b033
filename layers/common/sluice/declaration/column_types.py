"""Column types: what the cells of a declared column can be, and whether a type of PostgreSQL holds all of them.

A text type holds every single cell, if it is long enough. What cells a rule, a mask or a function of one's own makes is
known only if its annotation says so; otherwise any type will do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from sluice.declaration.inside import TokensInside
from sluice.declaration.layout import Derived, Field, Layout, Nested
from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
from sluice.declaration.rules import (
    LARGEST_BIGINT,
    LARGEST_INTEGER,
    Boolean,
    Card,
    Date,
    Each,
    Email,
    Float,
    Iban,
    Integer,
    IpAddress,
    Number,
    OneOf,
    Phone,
    Rule,
    Text,
    Timestamp,
    Uuid,
)
from sluice.declaration.rules.rule import is_ours
from sluice.declaration.scrub import Scrub
from sluice.declaration.tree import ByPath

TOKEN_CHARACTERS = len("t999999_") + 43
PHONE_CHARACTERS = len("+") + 15 + len(";ext=") + 11  # E.164, and an extension (RFC 3966)
CARD_CHARACTERS = 19  # ISO/IEC 7812
IBAN_CHARACTERS = 34  # ISO 13616
DAYS = ("year", "month", "day")  # what a moment can be truncated to, and a date hold

TEXTS = {"text", "varchar", "bpchar", "citext"}
INTEGERS = {"int2": 2**15 - 1, "int4": LARGEST_INTEGER, "int8": LARGEST_BIGINT, "float4": 2**24, "float8": 2**53}
SIZES = {"smallint": 2**15 - 1, "integer": LARGEST_INTEGER, "bigint": LARGEST_BIGINT}
JSONS = {"json", "jsonb"}


class ColumnType(NamedTuple):
    """The type of a column in the database; of a domain its base, of an array its elements."""

    spelled: str  # as PostgreSQL spells it, to be read
    name: str  # in pg_type
    modifier: int = -1
    is_array: bool = False
    is_foreign: bool = False  # made by an extension or by the owner: what it holds is not known

    @property
    def longest(self) -> int | None:
        """How many characters a text may have; None: there is no limit."""
        return self.modifier - 4 if self.name in ("varchar", "bpchar") and self.modifier >= 0 else None

    @property
    def digits(self) -> tuple[int, int] | None:
        """How many digits a numeric may have before the point and after it; None: there is no limit."""
        if self.modifier < 0:
            return None
        precision, scale = (self.modifier - 4) >> 16, (self.modifier - 4) & 0x7FF
        scale = scale - 0x800 if scale & 0x400 else scale
        return precision - scale, scale


@dataclass(frozen=True)
class Cells:
    """What the cells of a column can be: anything, unless a subclass says more. `wanted` is the type to take."""

    wanted: str = "any type"
    longest: int | None = None  # characters, as a text; None: no limit
    is_known: bool = field(default=True, kw_only=True)  # else a function makes some, and they may be longer

    def fit(self, column: ColumnType) -> bool:
        """Tell whether a type holds every cell."""
        if column.is_array:
            return False
        if column.is_foreign:
            return True
        if column.name in TEXTS:
            return column.longest is None or (self.longest is not None and column.longest >= self.longest)
        return self._fit(column)

    def _fit(self, column: ColumnType) -> bool:
        """Tell whether a type that is no text holds every cell."""
        return False


@dataclass(frozen=True)
class Anything(Cells):
    """Cells of a function of one's own."""

    def fit(self, column: ColumnType) -> bool:
        return True


@dataclass(frozen=True)
class Choices(Cells):
    """A few texts, all known: whether a type that is no text takes them all, the database can tell."""

    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Numbers(Cells):
    """Exact numbers between two bounds, with some digits after the point."""

    low: int = 0
    high: int = 0
    scale: int = 0

    def _fit(self, column: ColumnType) -> bool:
        before = len(str(max(abs(self.low), abs(self.high))))
        if column.name == "numeric":
            digits = column.digits
            return digits is None or (digits[0] >= before and digits[1] >= self.scale)
        largest = INTEGERS.get(column.name, -1)
        is_integer = self.scale == 0 and max(self.high, -self.low - 1) <= largest
        return column.name in JSONS or is_integer


@dataclass(frozen=True)
class Of(Cells):
    """Cells for which certain types are made."""

    types: tuple[str, ...] = ()

    def _fit(self, column: ColumnType) -> bool:
        return column.name in self.types


@dataclass(frozen=True)
class Moments(Cells):
    """Moments in UTC, to the microsecond or to the start of a unit."""

    unit: str = ""

    def _fit(self, column: ColumnType) -> bool:
        if column.name == "date":
            return self.unit in DAYS
        return column.name in ("timestamptz", "timestamp") and (self.unit != "" or column.modifier in (-1, 6))


@dataclass(frozen=True)
class Floats(Cells):
    """Floats of 64 bits."""

    def _fit(self, column: ColumnType) -> bool:
        return column.name in ("float8", *JSONS) or (column.name == "numeric" and column.digits is None)


@dataclass(frozen=True)
class Arrays(Cells):
    """Arrays of such cells."""

    of: Cells = Cells()

    def fit(self, column: ColumnType) -> bool:
        return column.is_array and self.of.fit(column._replace(is_array=False))


ANYTHING = Anything()
NOTHING = Anything("any type", 0)  # NULL alone
JSON = Of("jsonb", types=("jsonb", "json"))
ARRAYS_OF_TOKENS = Arrays("text[]", of=Cells("text", TOKEN_CHARACTERS))
DATES = Of("date", len("2026-01-31"), types=("date",))
FLOATS = Floats("double precision", len("-2.2250738585072014e-308"))
BOOLEANS = Of("boolean", 5, types=("bool", "json", "jsonb"))


class Column(NamedTuple):
    """A column as the declaration has it."""

    name: str
    pointer: str  # of the field; empty for what is made of more than one
    cells: Cells
    nullable: bool  # null is among the cells, as far as one knows


def columns(layout: Layout) -> Iterator[Column]:
    """Yield what is written to each column, in the order of `Layout.columns`: of a union what all its cases write."""
    found: dict[str, Column] = {}
    for column in _columns(layout):
        found[column.name] = _merged(found[column.name], column) if column.name in found else column
    yield from found.values()


def _columns(layout: Layout) -> Iterator[Column]:
    for place in layout.places():
        match place.declared:
            case Field(rule=rule):
                cells, can_be_null = _of_mask(place.mask, rule)
            case Nested():
                cells, can_be_null = JSON, False
            case Derived() as made:
                cells, can_be_null = _of_constant(made) if made.is_constant else _of_function(made.function)
        yield Column(place.name, place.pointer, cells, place.optional or can_be_null)


def _merged(one: Column, other: Column) -> Column:
    """Return a column that two cases of a union write."""
    pointer = one.pointer if one.pointer == other.pointer else ""
    return Column(one.name, pointer, _both(one.cells, other.cells), one.nullable or other.nullable)


def _both(one: Cells, other: Cells) -> Cells:
    """Return the cells that are either of the two."""
    if one == other or other is NOTHING:
        return one
    if one is NOTHING:
        return other
    match one, other:
        case (Anything(), _) | (_, Anything()):
            return ANYTHING
        case Arrays(of=first), Arrays(of=second):
            cells = _both(first, second)
            return Arrays(f"{cells.wanted}[]", of=cells)
        case Choices(), Choices():
            return _choices(*dict.fromkeys([*one.choices, *other.choices]))
        case Numbers(), Numbers():
            return _number_of_both(one, other)
        case Moments(), Moments():
            return one if one.unit not in DAYS else other
        case Of(), Of() if set(one.types) & set(other.types):
            of_both = one if set(one.types) <= set(other.types) else other
            return replace(of_both, longest=_longer(one, other))
    longest = _longer(one, other)
    is_known = one.is_known and other.is_known
    return Cells("text", longest, is_known=is_known) if longest is None or not is_known else _texts(longest)


def _longer(one: Cells, other: Cells) -> int | None:
    return None if one.longest is None or other.longest is None else max(one.longest, other.longest)


def _number_of_both(one: Numbers, other: Numbers) -> Cells:
    low, high, scale = min(one.low, other.low), max(one.high, other.high), max(one.scale, other.scale)
    if not (one.is_known and other.is_known):
        wanted = "bigint" if {one.wanted, other.wanted} <= SIZES.keys() else "numeric"
        return Numbers(wanted, _longer(one, other), low, high, scale, is_known=False)
    if scale == 0 and {one.wanted, other.wanted} <= SIZES.keys():
        return _integers(low, high)
    digits = len(str(max(high, -low))) + scale
    return Numbers(f"numeric({digits},{scale})", digits + 3, low, high, scale)


def _of_mask(mask: Mask | None, rule: Rule) -> tuple[Cells, bool]:
    """Return the cells that a mask makes of values that are not null, and whether one of them can be null."""
    if isinstance(mask, Redact):
        if mask.constant is None:
            return NOTHING, True
        return ANYTHING if isinstance(rule, Each) else _choices(mask.constant), False
    if isinstance(mask, TokensInside):
        return ARRAYS_OF_TOKENS, False
    can_be_null = False
    if isinstance(mask, Pseudonym):
        cells: Cells = _texts(TOKEN_CHARACTERS)
    elif type(mask) is Truncate:
        cells = _truncated(rule.element, mask.to)
    elif isinstance(mask, Scrub):
        cells = Cells("text")  # a token can be longer than what it stands for
    elif type(mask) is Keep:
        cells, can_be_null = _of_function(mask.as_) if mask.as_ else (_kept(rule.element), False)
    elif isinstance(mask, ByPath):
        cells = JSON
    else:  # a mask of one's own
        return ANYTHING, False
    if not isinstance(rule, Each):
        return cells, can_be_null
    if rule.json:
        return JSON, False
    return Arrays(f"{cells.wanted}[]", of=cells), False


def _kept(rule: Rule) -> Cells:
    """Return the cells of a rule's canonical values. A rule of one's own may make anything."""
    match rule:
        case _ if not is_ours(rule):
            return ANYTHING
        case Phone():
            return _texts(PHONE_CHARACTERS)
        case Card():
            return _texts(CARD_CHARACTERS)
        case Iban():
            return _texts(IBAN_CHARACTERS)
        case Text():
            return _texts(rule.max)
        case Integer():
            return _integers(rule.min, rule.max)
        case Number():
            high = 10 ** (rule.precision - rule.scale) - 1
            wanted = f"numeric({rule.precision},{rule.scale})"
            return Numbers(wanted, rule.precision + 3, -high, high, rule.scale)
        case OneOf():
            return _choices(*rule.choices)
        case Boolean():
            return BOOLEANS
        case Date():
            return DATES
        case Float():
            return FLOATS
        case IpAddress():
            return Of("inet", 39, types=("inet", "cidr"))
        case Uuid():
            return Of("uuid", 36, types=("uuid",))
        case Timestamp():
            return Moments("timestamptz", 32)
    return ANYTHING


def _truncated(rule: Rule, to: int | str | None) -> Cells:
    """Return the cells of what `Truncate` leaves."""
    kept = _kept(rule)
    match rule:
        case _ if kept is ANYTHING:
            return ANYTHING
        case IpAddress():
            return Of("cidr", 43, types=("cidr", "inet"))
        case Timestamp():
            return Moments("timestamptz", 32, str(to))
        case Date() | Float():
            return kept
        case Email():
            return _texts((kept.longest or 0) - len("a@"))
    if isinstance(kept, Numbers) and isinstance(to, int):
        high = kept.high // to * to
        if isinstance(rule, Integer):  # of a bigint's own bounds nothing lower is asked
            low = kept.low // to * to
            return _integers(low if low >= -LARGEST_BIGINT - 1 else kept.low, high)
        return Numbers(f"numeric({len(str(high))},0)", len(str(high)) + 1, -high, high)
    return _texts(min(to, kept.longest)) if kept.longest is not None and isinstance(to, int) else ANYTHING


def _of_constant(made: Derived) -> tuple[Cells, bool]:
    value = made.function(None)
    if isinstance(value, bool):
        return BOOLEANS, False
    if isinstance(value, int):
        return _integers(value, value), False
    return (_choices(value), False) if isinstance(value, str) else (ANYTHING, value is None)


def _of_function(function: Callable[[Any], Any]) -> tuple[Cells, bool]:
    """Return the cells that a function's annotation promises, and whether it may return None."""
    try:
        returned = get_type_hints(function).get("return")
    except (NameError, TypeError, AttributeError):  # an annotation that cannot be read promises nothing
        return ANYTHING, False
    options = get_args(returned) if get_origin(returned) in (Union, UnionType) else (returned,)
    promised = [option for option in options if option is not NoneType]
    made: dict[Any, Cells] = {
        bool: BOOLEANS,
        int: Numbers("bigint", 0, is_known=False),
        Decimal: Numbers("numeric", 0, is_known=False),
        datetime: Moments("timestamptz", 0, "day", is_known=False),
        dict: JSON,
        list: JSON,
    }
    can_be_null = NoneType in options
    if len(promised) != 1:
        return ANYTHING, can_be_null
    return made.get(get_origin(promised[0]) or promised[0], ANYTHING), can_be_null


def _texts(longest: int) -> Cells:
    return Cells(f"varchar({longest})", longest)


def _choices(*choices: str) -> Cells:
    longest = max(map(len, choices))
    return Choices(f"varchar({longest})", longest, choices)


def _integers(low: int, high: int) -> Cells:
    wanted = next((name for name, largest in SIZES.items() if -largest - 1 <= low and high <= largest), "numeric")
    return Numbers(wanted, max(len(str(low)), len(str(high))), low, high)
