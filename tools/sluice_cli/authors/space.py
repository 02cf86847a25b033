"""The size of a value space: how many values look like those given, and how long all their hashes take."""

import math
from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import sha256
from time import process_time

from sluice.declaration.rules import Boolean, Integer, IpAddress, OneOf, Rule

LONGEST_PATTERN = 40  # characters
SEPARATORS = "-.:/_@+ ,"  # told as they are; every other sign is a `?`
HEX_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Space:
    """How many values there are that look like those seen."""

    size: int
    pattern: str  # d digit, h hexadecimal digit, a or A letter, x letter or digit, ? anything else

    @property
    def text(self) -> str:
        if not self.size:
            return "–"
        return f"{power(self.size)} ({self.pattern})"

    @property
    def bits(self) -> float:
        return math.log2(self.size) if self.size else 0.0


def seen(rule: Rule, values: AbstractSet[str]) -> Space:
    """Return the space of the canonical values: what the rule says of it, else the characters at each position."""
    rule = rule.element
    if not values:
        return Space(0, "")
    if isinstance(rule, IpAddress):
        versions = {6 if ":" in value else 4 for value in values}
        bits = {4: 32, 6: 128}
        return Space(sum(2 ** bits[version] for version in versions), " and ".join(f"IPv{v}" for v in sorted(versions)))
    if isinstance(rule, OneOf):
        return Space(len(rule.choices), "choices")
    if isinstance(rule, Boolean):
        return Space(2, "true or false")
    space = _by_position(values)
    if isinstance(rule, Integer):
        return min(space, Space(rule.max - rule.min + 1, "the rule's bounds"), key=lambda either: either.size)
    return space


def hashes_per_second(seconds: float = 0.1) -> float:
    """Measure how many short texts one CPU hashes with SHA-256, in so many seconds of its time."""
    count, started = 0, process_time()
    while (taken := process_time() - started) < seconds:
        for number in range(count, count + 1000):
            sha256(b"%011d" % number).digest()
        count += 1000
    return count / taken


def duration(seconds_log10: float) -> str:
    """Return a time, given as its logarithm because it may be beyond any float, in the unit that suits it."""
    units = ("years", 365.25 * 86400), ("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0)
    for unit, unit_seconds in units:
        count_log10 = seconds_log10 - math.log10(unit_seconds)
        if count_log10 >= 4:
            return f"10^{count_log10:.0f} {unit}"
        if count_log10 >= math.log10(2):
            return f"{10**count_log10:,.0f} {unit}"
    return "1 second" if seconds_log10 >= 0 else "less than a second"


def power(count: int) -> str:
    """Return a number, as a power where it is a large one."""
    if count < 10_000:
        return f"{count:,}"
    if count & (count - 1) == 0:
        return f"2^{count.bit_length() - 1}"
    exponent = math.log10(count)
    return f"10^{exponent:.0f}" if count == 10 ** round(exponent) else f"about 10^{exponent:.1f}"


def _by_position(values: AbstractSet[str]) -> Space:
    """Return the product of the character classes at each position, summed over the lengths."""
    by_length: dict[int, list[str]] = defaultdict(list)
    for value in values:
        by_length[len(value)].append(value)
    hexadecimal = _are_hexadecimal(values)
    size, patterns = 0, []
    for _, alike in sorted(by_length.items()):
        classes = [_character_class(set(position), hexadecimal) for position in zip(*alike, strict=True)]
        size += math.prod(count for _, count in classes)
        patterns.append("".join(sign for sign, _ in classes))
    if len(patterns) > 1:
        return Space(size, f"{len(patterns)} lengths")
    (pattern,) = patterns
    return Space(size, pattern if len(pattern) <= LONGEST_PATTERN else f"{len(pattern)} characters")


def _are_hexadecimal(values: AbstractSet[str]) -> bool:
    characters = {character for value in values for character in value if character.isalnum()}
    return characters <= HEX_DIGITS and any(map(str.isdigit, characters)) and any(map(str.isalpha, characters))


def _character_class(characters: set[str], hexadecimal: bool) -> tuple[str, int]:
    """Return the sign of the class that holds all characters of a position, and the size of the class."""
    ascii_letters = {character for character in characters if character.isascii() and character.isalpha()}
    digits = {character for character in characters if character.isascii() and character.isdigit()}
    others = len(characters - ascii_letters - digits)
    if hexadecimal and not others:
        return "h", 16
    lower = any(map(str.islower, ascii_letters))
    upper = any(map(str.isupper, ascii_letters))
    size = 10 * bool(digits) + 26 * lower + 26 * upper + others  # of other characters, those seen
    if others:
        (sign, *rest) = characters
        return (sign if not rest and sign in SEPARATORS else "?"), size
    if not digits and lower != upper:
        return ("a" if lower else "A"), size
    return ("x" if ascii_letters else "d"), size
