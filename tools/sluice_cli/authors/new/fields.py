"""Infers what is declared of a value: its rule, the domain of its tokens, and what its author is asked."""

from collections.abc import Iterator

from sluice.declaration.personal import LONGEST_DOMAIN
from sluice.declaration.rules import Email, Phone, Text
from tools.sluice_cli.authors.new import rules, shapes
from tools.sluice_cli.authors.new.masks import Concern
from tools.sluice_cli.authors.new.names import snake
from tools.sluice_cli.authors.new.rules import Guess, Undeclarable
from tools.sluice_cli.authors.new.samples import Place, Scalar

OF_ONE_DOMAIN = ("arn", "email", "ip", "mac", "phone")
OF_NOTHING_ALONE = ("id", "key", "no", "number", "uid", "uuid")  # words that do not say whose id it is


def rule(place: Place) -> tuple[Guess, list[Scalar]]:
    """Return the rule of a value or of a list of values, and the values. Raises Undeclarable."""
    if not place.lengths:
        return rules.guess(place), place.present
    elements = place.elements
    if elements is None or not elements.seen:
        raise Undeclarable("its list is empty in every sample")
    if len(shapes.by_type(elements)) > 1 or elements.objects:
        raise Undeclarable("its list holds things of several kinds, or lists of objects: that cannot be declared yet")
    if elements.nulls:
        raise Undeclarable("there is null in its list, which cannot be declared yet")
    element, values = rule(elements)
    return rules.each(element, place.lengths), values


def domain(place: Place, name: str, concern: Concern | None) -> str:
    """Return the domain of a field's tokens: equal addresses are found in each other, wherever they are.

    `id` alone says of nothing whose it is. Empty: the field's own name.
    """
    if concern and concern.kind in OF_ONE_DOMAIN:
        return concern.kind if concern.kind != name else ""
    keys = [snake(key) for key in place.keys]
    is_alone = keys[-1] in OF_NOTHING_ALONE and len(keys) > 1
    return f"{keys[-2]}_{name}"[:LONGEST_DOMAIN] if is_alone else ""


def questions(place: Place, guess: Guess, values: list[Scalar], concern: Concern | None) -> Iterator[str]:
    """Yield what only the author knows of a field that is declared as a text for want of it."""
    if not isinstance(guess.rule.element, Text) or isinstance(guess.rule.element, Email | Phone):
        return
    if concern and concern.kind == "phone":
        yield (
            f"{place.pointer}: some of its phone numbers have no country code, so they are redacted;"
            ' if all are of one country, Phone(region="GB") and Pseudonym() make tokens of them'
        )
    if not concern and rules.lacks_zone(values):
        yield (
            f"{place.pointer}: its times name no zone, so they are kept as texts;"
            ' if all are of one, Timestamp(zone="Europe/Berlin") makes moments of them'
        )
