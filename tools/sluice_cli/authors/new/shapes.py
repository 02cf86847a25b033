"""Tells apart the shapes that the values at one place of samples have."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from tools.sluice_cli.authors.new import rules
from tools.sluice_cli.authors.new.rules import CHOICE, Undeclarable
from tools.sluice_cli.authors.new.samples import Place, Scalar

LEAST_OBJECTS = 2  # with a tag, to tell what goes along with it


def by_type(place: Place) -> list[tuple[str, Place]]:
    """Return what there is of each JSON type; all scalars as one where a rule takes all of them."""
    found: list[tuple[str, Place]] = []
    if place.objects:
        made = Place(place.path, seen=place.objects, objects=place.objects, members=place.members)
        made.tagged = place.tagged
        found.append(("", made))
    if place.lengths:
        lists = Place(place.path, seen=len(place.lengths), lengths=place.lengths, elements=place.elements)
        found.append(("list", lists))
    scalars = Place(place.path, seen=len(place.scalars), scalars=place.scalars)
    kinds = {_kind(value) for value in place.scalars}
    if len(kinds) > 1:
        with suppress(Undeclarable):
            rules.guess(scalars)
            kinds = {_kind(place.scalars[0])}
    if len(kinds) == 1:
        return [*found, (kinds.pop(), scalars)]
    for kind in sorted(kinds, reverse=True):
        values = [value for value in place.scalars if _kind(value) == kind]
        found.append((kind, Place(place.path, seen=len(values), scalars=values)))
    return found


def by_tag(place: Place) -> tuple[str, Mapping[str, Place]] | None:
    """Return the key whose values go along with different keys of the objects, and what there is with each value."""
    for key, by_value in place.tagged.items():
        objects = [one for several in by_value.values() for one in several]
        if len(objects) == place.objects and len(by_value) > 1 and _decides(key, by_value):
            return key, {tag: _place_of(place.path, several) for tag, several in by_value.items()}
    return None


def _decides(key: str, by_value: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
    """Tell whether each value of the key has members of its own, which no other has."""
    if not all(CHOICE.fullmatch(tag) and len(several) >= LEAST_OBJECTS for tag, several in by_value.items()):
        return False
    always = {tag: set.intersection(*map(set, several)) - {key} for tag, several in by_value.items()}
    ever = {tag: set().union(*several) for tag, several in by_value.items()}
    return all(always[tag] - set().union(*(ever[other] for other in ever if other != tag)) for tag in always)


def _place_of(path: tuple[str, ...], objects: Sequence[Mapping[str, Any]]) -> Place:
    place = Place(path)
    for one in objects:
        with suppress(RecursionError):  # what is nested so deeply is not declared
            place.add(one)
    return place


def _kind(value: Scalar) -> str:
    return "text" if isinstance(value, str) else "boolean" if isinstance(value, bool) else "number"
