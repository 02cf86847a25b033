"""Proposes masks for what samples seem to hold of a person."""

import re
from collections.abc import Sequence, Set
from typing import NamedTuple

from sluice.declaration.rules import (
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
from sluice.declaration.search import Search
from tools.sluice_cli.authors import detection
from tools.sluice_cli.authors.new import rules
from tools.sluice_cli.authors.new.rules import OF_CHOICES, Guess
from tools.sluice_cli.authors.new.samples import Place, Scalar

RECOVERABLE = (("email", Email), ("phone", Phone))
FINDS = {  # what can be found inside of a text, and what is proposed to stand in its place
    "email": 'Find(Email(), Pseudonym({column}domain="email", recoverable=True))',
    "ip": 'Find(IpAddress(), Redact(constant="[ip]"))',
    "phone": 'Find(Phone(), Redact(constant="[phone]"))',
    "card": 'Find(Card(), Redact(constant="[card]"))',
    "iban": 'Find(Iban(), Redact(constant="[iban]"))',
}
FOUND_BY: dict[str, Rule] = {"email": Email(), "ip": IpAddress(), "phone": Phone(), "card": Card(), "iban": Iban()}
PHRASES = ("detail-type",)  # keys of AWS with several words that name a kind of things
FREE_TEXTS = ("Subject",)  # of AWS
TOKENS = ("user_id", "visit_id", "device_id", "user_agent", "contract", "mac", "arn")
OF_ANY_RULE = ("special", "gender")  # a choice of few, a number and a boolean tell it as well as a text
BY_FORM_ALONE = ("name", "free_text", "email", "ip")  # a number is none of these, whatever its key says


class Concern(NamedTuple):
    """Why a place may hold personal data: a kind of `detection`, or `person`, `url`, `words`."""

    kind: str
    told: str  # behind `confirm:`
    held: tuple[str, ...] = ()  # kinds of what is inside of a text, if all of it can be found there


class Known(NamedTuple):
    """What all samples tell of a single place. It holds clear values."""

    names: frozenset[str] = frozenset()  # words of persons' names: no form tells such a name inside of a text
    addresses: frozenset[tuple[str, ...]] = frozenset()  # keys to objects that hold a street, a postcode or the like


def concern(keys: Sequence[str], guess: Guess, values: Sequence[Scalar], known: Known) -> Concern | None:
    """Return what a place seems to hold of a person, or None where nothing speaks for it."""
    rule = guess.rule.element
    by_name = _kind_of_name(keys, guess, values, known)
    if isinstance(rule, Timestamp | Date) or rules.lacks_zone(values):
        return _named(by_name) if by_name == "birth_date" else None
    if by_name in OF_ANY_RULE:
        return _named(by_name)
    if isinstance(rule, OneOf):
        return None
    texts = [str(value) for value in values if isinstance(value, str) or (type(value) is int and value >= 10**12)]
    by_form = _form(texts, len(values))
    if by_form and by_name not in ("credential", "tax_id", "card", "iban"):
        is_version = by_form == "ip" and not isinstance(rule, IpAddress)
        return None if is_version else Concern(by_form, f"looks like {detection.WORDS[by_form]}")
    if isinstance(rule, Integer | Number | Float):
        return _named(by_name) if by_name not in (None, *BY_FORM_ALONE) else None
    if not isinstance(rule, Text | Uuid | IpAddress):
        return None
    if by_name:
        return (_held(texts, known.names) if by_name == "free_text" else None) or _named(by_name)
    if isinstance(rule, Uuid):
        return None
    return _of_text(keys, texts, known.names)


def of_people(guess: Guess, values: Sequence[Scalar], people: Set[Scalar]) -> Concern | None:
    """Return the concern that texts are ids of people: half of them or more are the subject's in some sample."""
    found = {value for value in values if isinstance(value, str)}
    is_theirs = bool(found) and 2 * len(found & people) >= len(found)
    is_id = isinstance(guess.rule.element, Text | Uuid)
    return Concern("user_id", "by its values a person's id") if is_theirs and is_id else None


def _kind_of_name(keys: Sequence[str], guess: Guess, values: Sequence[Scalar], known: Known) -> str | None:
    """Return the kind that a place's keys tell, with the form of its values and what stands around it."""
    if kind := detection.kind_of_name(".".join(keys)):
        return kind
    if keys[-1] in FREE_TEXTS:
        return "free_text"
    if detection.is_part_of_address(keys[-1]) and tuple(keys[:-1]) in known.addresses:
        return "address"
    is_pair = isinstance(guess.rule, Each) and isinstance(guess.rule.element, Number | Float)
    is_position = is_pair or all(isinstance(value, str) and detection.is_position(value) for value in values)
    return "location" if detection.may_be_place(keys[-1]) and is_position else None


def masks(
    concern: Concern | None, guess: Guess, column: str | None, network: str, domain: str, emails: str | None = None
) -> list[str]:
    """Return the masks to propose, as they are written down; none where the value is kept under the field's name.

    `column` names the column where it is not the field's name, `network` that of an IP address's network, `emails`
    that of the tokens inside of a text where it is not `<field>_email`. `domain` is that of the tokens, empty where it
    is the field's name.
    """
    rule = guess.rule.element
    named, of_domain = f'"{column}"' if column else "", f'domain="{domain}"' if domain else ""
    if concern is None:
        return [f"Keep({named})"] if column else []
    if concern.held and type(rule) is Text:
        finds = [FINDS[kind].format(column=f'"{emails}", ' if emails else "") for kind in concern.held]
        return [_call("Scrub", *finds, f"column={named}" if named else "")]
    if (concern.kind, type(rule)) in RECOVERABLE:
        return [_call("Pseudonym", named, of_domain, "recoverable=True")]
    if concern.kind == "ip" and isinstance(rule, IpAddress):
        return [_call("Pseudonym", named, of_domain), f'Truncate("{network}")']
    return [_call("Pseudonym", named, of_domain) if concern.kind in TOKENS else f"Redact({named})"]


def subject(masks: Sequence[str], column: str | None, second: str) -> list[str]:
    """Return the masks of the field that says whose record it is: it must be kept, or be a token of the subject.

    `column` is as in `masks`. What is recoverable stays so, and the subject's token goes to the column `second`.
    """
    if not masks or masks[0].startswith("Keep("):
        return [*masks]
    if "recoverable=True" in masks[0]:
        return [*masks, f'Pseudonym("{second}", domain="subject")']
    return [_call("Pseudonym", f'"{column}"' if column else "", 'domain="subject"'), *masks[1:]]


def _call(name: str, *options: str) -> str:
    return f"{name}({', '.join(option for option in options if option)})"


def known(place: Place) -> Known:
    """Return what samples tell of their single places: words in small letters."""
    inner = [*place.members.values(), *([place.elements] if place.elements else [])]
    found = [known(one) for one in inner]
    names = frozenset[str]().union(*(one.names for one in found))
    if detection.kind_of_name(".".join(place.keys)) == "name":
        names |= {word for value in place.scalars for word in _words(str(value))}
    addresses = frozenset[tuple[str, ...]]().union(*(one.addresses for one in found))
    if any(detection.kind_of_name(key) == "address" for key, member in place.members.items() if member.scalars):
        addresses |= {tuple(place.keys)}
    return Known(names, addresses)


def _words(text: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[^\W\d_]{3,}", text)}


def _of_text(keys: Sequence[str], texts: Sequence[str], names: frozenset[str]) -> Concern | None:
    """Return what a text holds that has neither a form nor a name that tells."""
    if held := _held(texts, names):
        return held
    if any("://" in value for value in texts):
        return Concern("url", "a URL, which may name a person")
    if detection.is_person(keys[-1]):
        return Concern("user_id", "by its name a person")
    is_kind = {*detection.words(keys[-1])[-1:]} <= OF_CHOICES
    if len(keys) > 1 and detection.is_person(keys[-2]) and not is_kind:
        return Concern("person", "is about a person")
    if keys[-1] not in PHRASES and any(len(value.split()) > (2 if is_kind else 1) for value in texts):
        return Concern("words", "free text")
    return None


def _held(texts: Sequence[str], names: frozenset[str]) -> Concern | None:
    """Return what stands inside of texts, by its form."""
    held = sorted(set().union(*map(detection.find, texts)) & detection.PERSONAL)
    if not held:
        return None
    *others, last = [detection.WORDS[kind] for kind in held]
    if any(names & _words(text) for text in texts):
        return Concern("words", f"holds {', '.join([*others, last])} and a name")
    told = f"holds {', '.join(others)} and {last}" if others else f"holds {last}"
    if {*held} <= FINDS.keys() and not any(map(detection.detect, texts)) and _are_found(held, texts):
        return Concern("words", f"{told}; names and addresses in it stay readable", tuple(held))
    return Concern("words", told)


def _are_found(kinds: Sequence[str], texts: Sequence[str]) -> bool:
    """Tell whether nothing is left of such kinds once all that can be found is out of the texts."""
    search = Search([(FOUND_BY[kind], None) for kind in kinds])
    for text in texts:
        end, rest = 0, []
        for hit in search.hits(text):
            rest.append(text[end : hit.start])
            end = hit.end
        if detection.find(" ".join([*rest, text[end:]])) & detection.PERSONAL:
            return False
    return True


def _named(kind: str | None) -> Concern | None:
    return Concern(kind, f"by its name {detection.WORDS[kind]}") if kind in detection.PERSONAL else None


def _form(texts: Sequence[str], count: int) -> str | None:
    """Return the form that all values of a place have, so many, if it is one of personal data."""
    kinds = {detection.detect(value) for value in texts} if texts and len(texts) == count else set()
    (kind,) = kinds if len(kinds) == 1 else (None,)
    return kind if kind in detection.PERSONAL else None
