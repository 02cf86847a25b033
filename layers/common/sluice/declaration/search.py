"""Search: where in a text the values of some rules stand, in time that grows with the text and no faster.

Each rule has a finder, which tries the places where a value may stand. What the rule does not take there is none.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

from sluice.declaration import percent_encoding
from sluice.declaration.rules import IBAN_LENGTHS, Card, Email, Iban, IpAddress, Phone, Rule, Uuid
from sluice.failures import DeclarationError, Rejected

type Span = tuple[int, int]
type Take = Callable[[int, int], bool]  # takes what stands there, and tells whether the rule does

# A name in another script ends where the next script begins: these are written without blanks between words.
_DENSE = (
    r"\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fff\u3040-\ua4cf\ua960-\ua97f\uac00-\ud7ff"
    r"\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
)
_LETTERS = (
    r"A-Za-z0-9_\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u037d\u037f-\u0386\u0388-\u0559\u0560-\u0588"
    r"\u0591-\u05bd\u05d0-\u05f2\u0620-\u0669\u066e-\u06d3\u06d5-\u06ff\u0900-\u0963\u0966-\u0dff\u10a0-\u10fa"
    r"\u10fc-\u135f\u1e00-\u1fff"
)


def _chain(characters: str) -> str:
    return rf"[{characters}+'~-]+(?:\.[{characters}+'~-]+)*"


_LOCAL_PART = re.compile(  # read backwards, from the @
    rf"(?:(?=[0-9]*[{_DENSE}]){_chain(_DENSE + '0-9_')}"
    rf"|{_chain(_LETTERS)}(?:=(?=[{_LETTERS}.'~-]*\+){_chain(_LETTERS)})?)"  # bounce+ann=example.com@lists.example
)
_LABEL = r"[{0}0-9](?:[{0}0-9-]{{0,61}}[{0}0-9])?"
_DOMAIN = re.compile(
    rf"(?:{_LABEL.format(_LETTERS.replace('_', ''))}|{_LABEL.format(_DENSE)})"
    rf"(?:\.(?:{_LABEL.format(_LETTERS.replace('_', ''))}|{_LABEL.format(_DENSE)}))*"
)
_LONGEST_EMAIL = 254  # characters

_IP_V4 = re.compile(r"(?<![0-9])(?<![0-9]\.)[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])(?!\.[0-9])")
_IP_V6 = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{0,4}:){2,8}[0-9A-Fa-f:.]{0,45}(?![0-9A-Za-z])")

_UUID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
_UUID_DIGITS = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32}(?![0-9A-Za-z])")

_CARD_SEPARATORS = " \u00a0\u2010\u2011-"
_CARD = re.compile(rf"(?<![0-9])(?=(?P<digits>[0-9](?:[{_CARD_SEPARATORS}]?[0-9]){{11,18}})(?![0-9]))")
_IBAN_START = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{2}[0-9]{2}")

_PHONE_RUN = re.compile(
    r"(?:[+\uff0b]\(?)?[0-9]+(?:[\s().~/\u00ad\u200b-\u2015\u202a-\u202e\u2060-\u2069\u2212+-]{1,4}[0-9]+)*"
)
_PHONE_GROUP = re.compile(r"(?:[+\uff0b]\(?)?[0-9]+")
_PHONE_EXTENSION = re.compile(r"(?:;ext=|,?\s?(?:ext(?:ensio)?n?|x|#)[.:]?\s?)[0-9]{1,11}(?![0-9])", re.IGNORECASE)
_NO_PHONE = re.compile(  # a date or an IP address, at its start
    r"[0-9]{4}([-/.])[0-9]{1,2}\1[0-9]{1,2}(?![0-9])|[0-9]{1,2}([-/.])[0-9]{1,2}\2(?:[0-9]{4}|[0-9]{2})(?![0-9])"
    r"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])"
)
_DIGITS_OF_A_PHONE = range(7, 18)  # E.164 has 15, and a prefix of two may stand before them
_GROUPS_OF_A_PHONE = 8
_MOST_SEPARATORS = 6  # in the number of a card


class Finder(NamedTuple):
    """Tries the places in a text where a value may stand."""

    find: Callable[[str, Take], None]
    fewest_digits: int = 0  # that a text with such a value has


class Hit(NamedTuple):
    """A value in a text."""

    start: int
    end: int
    finder: int  # its number in the search
    value: Any  # canonical


class Search:
    """Finds the values of some rules. If two overlap, the left one counts, then the longer, then the first rule's."""

    def __init__(self, wanted: Iterable[tuple[Rule, str | None]]) -> None:
        self._finders = [(finder(rule, pattern), rule.canonical) for rule, pattern in wanted]

    def hits(self, text: str) -> list[Hit]:
        """Return what was found, from left to right; what is percent-encoded is read as it was before (RFC 3986)."""
        if "%" not in text:
            return list(self._within(text))
        decoded, offsets = percent_encoding.decoded(text)
        return [hit._replace(start=offsets[hit.start], end=offsets[hit.end]) for hit in self._within(decoded)]

    def _within(self, text: str, shift: int = 0) -> Iterator[Hit]:
        """Yield the hits of a piece of the text that begins at `shift`."""
        chosen: list[Hit] = []
        cut: set[int] = set()
        end = 0
        for hit in sorted(self._found(text), key=lambda hit: (hit.start, -hit.end, hit.finder)):
            if hit.start >= end:
                chosen.append(hit)
                end = hit.end
            elif hit.end > end:
                cut.add(end)  # it may have hidden another one, which begins in the part that is left of it
        for hit, stop in zip(chosen, [*(following.start for following in chosen[1:]), len(text)], strict=False):
            yield hit._replace(start=shift + hit.start, end=shift + hit.end)
            if hit.end in cut:
                yield from self._within(text[hit.end : stop], shift + hit.end)

    def _found(self, text: str) -> list[Hit]:
        found: list[Hit] = []
        digits = _count_digits(text)
        for number, (finder, canonical) in enumerate(self._finders):
            if digits >= finder.fewest_digits:
                finder.find(text, partial(_take, found, text, number, canonical))
        return found


def _take(found: list[Hit], text: str, number: int, canonical: Callable[[str], Any], start: int, end: int) -> bool:
    try:
        value = canonical(text[start:end])
    except Rejected:
        return False
    found.append(Hit(start, end, number, value))
    return True


def finder(rule: Rule, pattern: str | None = None) -> Finder:
    """Return the finder of a rule, or of a pattern for it. Raises DeclarationError when there is none."""
    if pattern is not None:
        return _of_pattern(pattern)
    for kind in type(rule).__mro__:
        if kind is Phone:
            needs_plus = getattr(rule, "region", None) is None
            return Finder(partial(_phones, needs_plus=needs_plus), _DIGITS_OF_A_PHONE.start)
        if kind in _FINDERS:
            return _FINDERS[kind]
    raise DeclarationError(f'Find does not know where a value of {type(rule).__name__} may stand; say it: pattern=r"…"')


def _of_pattern(pattern: str) -> Finder:
    """Return the finder of a regular expression of RE2, which no text makes slow; of one with a group, the group is it.

    Raises DeclarationError when it is none, or matches an empty text.
    """
    import re2  # 40 ms: only for streams with such a pattern

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except (re2.error, TypeError):
        raise DeclarationError(
            "Find has a pattern that RE2 does not take; see https://github.com/google/re2/wiki/Syntax"
        ) from None
    if compiled.groups > 1:
        raise DeclarationError("Find has a pattern with several groups; one is the value, make (?:…) of the others")
    if compiled.fullmatch(""):
        raise DeclarationError("Find has a pattern that an empty text matches")

    def find(text: str, take: Take) -> None:
        for match in compiled.finditer(text):
            start, end = match.span(compiled.groups)
            if start < end:
                take(start, end)

    return Finder(find)


def _emails(text: str, take: Take) -> None:
    at = text.find("@")
    while at >= 0:
        before = _LOCAL_PART.match(text[max(0, at - _LONGEST_EMAIL - 1) : at][::-1])
        domain = _DOMAIN.match(text, at + 1, at + 1 + _LONGEST_EMAIL) if before else None
        if before and domain:
            start = at - len(before[0].rstrip("-'~"))
            end = domain.end()
            while start < at and not take(start, end) and "." in text[at + 1 : end]:
                end = text.rindex(".", at, end)  # `ann@example.com.1` has too much at its end
        at = text.find("@", at + 1)


def _ip_addresses(text: str, take: Take) -> None:
    if text.count(".") >= 3:
        for match in _IP_V4.finditer(text):
            take(*match.span())
    if text.count(":") >= 2:
        for match in _IP_V6.finditer(text):
            start, end = match.span()
            found = match[0]
            if found.startswith(":") and not found.startswith("::"):
                start += 1
            stops = (end, start + len(text[start:end].rstrip(".")), start + len(text[start:end].rstrip(".:")))
            any(take(start, stop) for stop in dict.fromkeys(stops) if stop - start > len("::"))


def _uuids(text: str, take: Take) -> None:
    if text.count("-") >= 4:
        for match in _UUID.finditer(text):
            take(*match.span())
    for match in _UUID_DIGITS.finditer(text):
        take(*match.span())


def _cards(text: str, take: Take) -> None:
    end = 0
    for match in _CARD.finditer(text):
        start, stop = match.span("digits")
        if start < end or len(match["digits"]) - _count_digits(match["digits"]) > _MOST_SEPARATORS:
            continue
        while not take(start, stop):
            stop = max(text.rfind(separator, start, stop) for separator in _CARD_SEPARATORS)
            if stop - start < 12:
                break
        else:
            end = stop


def _ibans(text: str, take: Take) -> None:
    for match in _IBAN_START.finditer(text):
        length = IBAN_LENGTHS.get(match[0][:2].upper(), 0) - len(match[0])
        rest = _iban_rest(length).match(text, match.end()) if length > 0 else None
        if rest:
            take(match.start(), rest.end())


@cache
def _iban_rest(length: int) -> re.Pattern[str]:
    return re.compile(rf"(?:[{_CARD_SEPARATORS}]?[0-9A-Za-z]){{{length}}}(?![0-9A-Za-z])")


def _phones(text: str, take: Take, needs_plus: bool) -> None:
    if needs_plus and "+" not in text and "\uff0b" not in text:
        return
    for run in _PHONE_RUN.finditer(text):
        groups = [group.span() for group in _PHONE_GROUP.finditer(text, *run.span())]
        first = 0
        while first < len(groups):
            first += _phone(text, groups[first : first + _GROUPS_OF_A_PHONE], take, needs_plus)


def _phone(text: str, groups: Sequence[Span], take: Take, needs_plus: bool) -> int:
    """Take the longest phone number that begins with the first group; return how many groups are done with."""
    start = groups[0][0]
    if text[start] not in "+\uff0b":
        no_phone = _NO_PHONE.match(text, start)
        if no_phone:
            return max(1, sum(end <= no_phone.end() for _, end in groups))
        if needs_plus or (start and text[start - 1].isalnum()):
            return 1
    for count in range(len(groups), 0, -1):
        end = groups[count - 1][1]
        extension = _PHONE_EXTENSION.match(text, end)
        digits = _count_digits(text[start:end])
        if digits in _DIGITS_OF_A_PHONE and 2 * count <= digits + 2:
            is_closed = text.count(")", start, end) > text.count("(", start, end)
            opened = start - 1 if is_closed and text[start - 1 : start] == "(" else start
            if extension and take(opened, extension.end()):
                return count
            if not text[end : end + 1].isalpha() and take(opened, end):
                return count
    return 1


_FINDERS: dict[type[Rule], Finder] = {
    Card: Finder(_cards, 12),
    Email: Finder(_emails),
    Iban: Finder(_ibans, 2),
    IpAddress: Finder(_ip_addresses),
    Uuid: Finder(_uuids, 1),  # that of its version (RFC 9562)
}


def _count_digits(text: str) -> int:
    return sum(map(text.count, "0123456789"))  # 1 µs for 200 characters
