"""Finds the narrowest rule that accepts the values at a place of samples, and others like them."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from sluice.declaration.rules import (
    EPOCHS,
    LARGEST_BIGINT,
    LARGEST_INTEGER,
    Boolean,
    Date,
    Each,
    Email,
    Float,
    Id,
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
from sluice.declaration.rules.numbers import MOST_DIGITS
from sluice.failures import Rejected
from tools.sluice_cli.authors import detection
from tools.sluice_cli.authors.new.samples import Place, Scalar

LENGTHS = (32, 64, 128, 256, 512, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 256_000, 1_000_000)
SCALES = (2, 4, 6, 9, 12, 18, 30)
PRECISIONS = (6, 9, 12, 18, 30)  # digits before the point
MOST_ELEMENTS = (1000, 10_000, 100_000, 1_000_000)

CHOICES_SEEN_IN = 50  # values at least, to tell that there are no more than those
MOST_CHOICES = 8
FLOAT_DIGITS = 15
FLOAT_EXPONENT = 30  # beyond which exact numbers are seldom meant
RAREST_CHOICE = 5  # times
CHOICE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
OF_CHOICES = frozenset(  # the last word of keys that name a kind of things, not a thing
    "action category channel direction environment event kind level method mode object outcome phase plan platform"
    " priority result severity stage status tier type".split()
)
COUNTED = frozenset("age attempt byte count duration index length number port quantity size total".split())
MONEY = frozenset("amount balance charge cost discount fee paid price subtotal tax total".split())
OF_IDS = frozenset("code id key ref reference uid".split())
OF_TIMES = frozenset(
    "at created date datetime epoch expire expiry modified occurred received sent time timestamp ts updated"
    " until since start started end ended".split()
)


class Undeclarable(Exception):
    """No rule takes what the samples have at a place: says why, without a value; nothing where that is told already."""


class Guess(NamedTuple):
    """A rule, and how it is written down."""

    rule: Rule
    source: str
    has_blanks: bool = False  # some of the values, or of the list's

    @property
    def type(self) -> str:
        """The type of the canonical value, with null inside of a list that has blanks."""
        made, rule = str(self.rule.element.makes.__name__), self.rule
        made += " | None" if self.has_blanks and isinstance(rule, Each) else ""
        while isinstance(rule, Each):
            made, rule = f"list[{made}]", rule.rule
        return made


def guess(place: Place) -> Guess:
    """Return the rule for the values at a place. Raises Undeclarable."""
    values = place.present
    if not values:
        raise Undeclarable("its text is blank in every sample")
    return _guess(place, values)._replace(has_blanks=len(values) < len(place.scalars))


def _guess(place: Place, values: Sequence[Scalar]) -> Guess:
    last = (detection.words(place.keys[-1]) or [""])[-1]
    types = {type(value) for value in values}
    if types == {bool}:
        return Guess(Boolean(), "Boolean()")
    if types <= {bool, str} and takes(Boolean(text=True), values):
        return Guess(Boolean(text=True), "Boolean(text=True)")
    if bool not in types:
        moment = _moment(values, last)
        if moment:
            return moment
        if types == {str}:
            is_phone = detection.kind_of_name(".".join(place.keys)) == "phone" and takes(Phone(), values)
            return Guess(Phone(), "Phone()") if is_phone else _text([str(value) for value in values], last)
        number = _number(values, last)
        if number:
            return number
        longest = _longest(map(str, values))
        if types == {str, int} and last in OF_IDS and takes(Id(max=longest), values):
            return Guess(Id(max=longest), f"Id(max={_digits(longest)})")
    raise Undeclarable(f"it is a {' or a '.join(sorted(_spoken(one) for one in types))}, which no rule takes")


def each(element: Guess, lengths: Sequence[int]) -> Guess:
    """Return the rule of a list of such values, with room for longer ones."""
    most = _above(MOST_ELEMENTS, 4 * max(lengths))
    bound = f", max={most:_}" if most != MOST_ELEMENTS[0] else ""
    is_json = isinstance(element.rule, Each)  # a list of lists: the outermost says so
    inner = element.source.replace(", json=True", "")
    source = f"Each({inner}{bound}{', json=True' if is_json else ''})"
    return Guess(Each(element.rule, max=most, json=is_json), source, element.has_blanks)


def text(values: Sequence[str]) -> Guess:
    """Return the rule of any text, with room for ones four times as long."""
    longest = _longest(values)
    return Guess(Text(max=longest), f"Text(max={_digits(longest)})")


def _longest(values: Iterable[str]) -> int:
    return _above(LENGTHS, 4 * max(map(len, values)))


def takes(rule: Rule, values: Sequence[Scalar]) -> bool:
    """Tell whether a rule takes all of the values."""
    of_times = isinstance(rule, Timestamp)
    try:
        for value in values:
            rule.canonical(float(value) if of_times and isinstance(value, Decimal) else value)
    except (Rejected, ArithmeticError):
        return False
    return True


def lacks_zone(values: Sequence[Scalar]) -> bool:
    """Tell whether values are moments that name no zone, at least some of them."""
    return _are_of_days(values) and takes(Timestamp(zone="UTC"), values) and not takes(Timestamp(), values)


def _are_of_days(values: Sequence[Scalar]) -> bool:
    """Tell whether values are texts of a date and more, with a blank between if not a T: maybe moments."""
    form = re.compile(r"\d{4}-?\d\d-?\d\d[T ]", re.IGNORECASE)
    return all(isinstance(value, str) and form.match(value) for value in values)


def _moment(values: Sequence[Scalar], last: str) -> Guess | None:
    """Return the rule of times. Numbers are times only if the key says so: others are in the range of epochs too."""
    is_text = all(isinstance(value, str) for value in values)
    if _are_of_days(values):
        seconds = Timestamp()
        return Guess(seconds, "Timestamp()") if takes(seconds, values) else None
    if is_text and all(re.match(r"\d{4}-", str(value)) for value in values) and takes(Date(), values):
        return Guess(Date(), "Date()")
    for format in ("http", "rfc2822"):
        if is_text and takes(Timestamp(format=format), values):
            return Guess(Timestamp(format=format), f'Timestamp(format="{format}")')
    for epoch in EPOCHS if last in OF_TIMES else ():
        if takes(Timestamp(epoch), values):
            return Guess(Timestamp(epoch), "Timestamp()" if epoch == "seconds" else f'Timestamp(epoch="{epoch}")')
    return None


def _text(values: Sequence[str], last: str) -> Guess:
    kinds = {detection.detect(value) for value in values}
    rules: dict[str, Rule] = {"uuid": Uuid(), "email": Email(), "phone": Phone(), "ip": IpAddress()}
    for kind, rule in rules.items():
        if kinds == {kind} and takes(rule, values) and not (kind == "ip" and last in ("version", "release", "build")):
            return Guess(rule, f"{type(rule).__name__}()")
    if last in MONEY and all(map(_is_amount, values)):
        return _decimal([Decimal(value) for value in values], is_money=True) or text(values)
    return _choices(values, last) or text(values)


def _choices(values: Sequence[str], last: str) -> Guess | None:
    """Return a choice of the values where that is safe: their key names a kind, and each came many times."""
    counts = Counter(values)
    if (
        last in OF_CHOICES
        and len(values) >= CHOICES_SEEN_IN
        and 2 <= len(counts) <= MOST_CHOICES
        and min(counts.values()) >= RAREST_CHOICE
        and all(CHOICE.fullmatch(value) for value in counts)
    ):
        choices = sorted(counts)
        return Guess(OneOf(*choices), f"OneOf({', '.join(f'"{choice}"' for choice in choices)})")
    return None


def _number(values: Sequence[Scalar], last: str) -> Guess | None:
    """Return the rule of numbers, some of which may be texts."""
    if not all(_is_amount(value) if isinstance(value, str) else True for value in values):
        return None
    exact = [Decimal(value) for value in values]
    if all(isinstance(value, int) for value in values):
        return _integer([int(value) for value in exact], last)
    if last not in MONEY and any(map(_is_float, values)) and not any(isinstance(value, str) for value in values):
        return Guess(Float(), "Float()")
    return _decimal(exact, last in MONEY)


def _integer(values: Sequence[int], last: str) -> Guess | None:
    low, high = min(values), max(values)
    if low < -LARGEST_BIGINT - 1 or high > LARGEST_BIGINT:
        digits = _above(PRECISIONS, len(str(max(abs(low), abs(high)))) + 2)
        return _exact(digits, 0)
    if low < 0 or not (last in COUNTED or last == "id" or len(values) >= 100):
        return Guess(Integer(), "Integer()")
    if last == "id" or high * 100 > LARGEST_INTEGER:
        return Guess(Integer(min=0), "Integer(min=0)")
    return Guess(Integer(min=0, max=LARGEST_INTEGER), f"Integer(min=0, max={LARGEST_INTEGER:_})")


def _decimal(values: Sequence[Decimal], is_money: bool) -> Guess | None:
    exponents = [value.as_tuple().exponent for value in values if value]
    scale = max([0, *(-one for one in exponents if isinstance(one, int))])
    before = max([1, *(value.adjusted() + 1 for value in values if value)])
    room = _above(SCALES, scale if is_money else scale + 1)
    return _exact(_above(PRECISIONS, before + 2) + room, room)


def _exact(precision: int, scale: int) -> Guess | None:
    """Return the rule of numbers with so many digits, if PostgreSQL's numeric has as many."""
    if precision > MOST_DIGITS:
        return None
    return Guess(Number(precision, scale), f"Number(precision={precision}, scale={scale})")


def _is_float(value: Scalar) -> bool:
    """Tell whether a number has as many digits, or as large an exponent, as only the text of a float has."""
    if not isinstance(value, Decimal):
        return False
    is_long = len(value.as_tuple().digits) >= FLOAT_DIGITS or abs(value.adjusted()) > FLOAT_EXPONENT
    return is_long and value == Decimal(repr(float(value)))


def _is_amount(value: object) -> bool:
    """Tell whether a text is a number that means the same without its zeros: no code, and no version."""
    return isinstance(value, str) and re.fullmatch(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", value) is not None


def _above(steps: Sequence[int], least: int) -> int:
    return next((step for step in steps if step >= least), least)


def _digits(number: int) -> str:
    return f"{number:_}" if number > 9999 else str(number)


def _spoken(kind: type) -> str:
    spoken: dict[type, str] = {str: "text", bool: "boolean"}
    return spoken.get(kind, "number")
