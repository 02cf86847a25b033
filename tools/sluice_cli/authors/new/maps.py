"""Plans the Tree of a map, whose keys are data: which of its values are named, and so kept."""

import re
from collections.abc import Iterator

from sluice.declaration.rules import Text
from sluice.declaration.rules.scalar import Scalar
from tools.sluice_cli.authors.new import fields, masks, rules
from tools.sluice_cli.authors.new.masks import Known
from tools.sluice_cli.authors.new.names import LONGEST_IDENTIFIER, Scope, snake
from tools.sluice_cli.authors.new.plan import FieldPlan, LeftOut, TreePlan
from tools.sluice_cli.authors.new.rules import Guess, Undeclarable
from tools.sluice_cli.authors.new.samples import DEEPEST, Place

FEW_OBJECTS = 3  # of more, a map's keys are named if they came twice
RAREST_OF_A_MAP = 20  # keys that fewer than one of so many objects have are not named
ANY_VALUE = Guess(Scalar(), "")  # that a mask alone takes


def plan(place: Place, name: str, scope: Scope, left_out: list[LeftOut], known: Known) -> TreePlan:
    """Return the plan of a map; what it leaves out is added. Raises Undeclarable."""
    scope.refuse_taken(name)
    column, columns = scope.prefix + name, scope.columns
    least = max(1 + (place.objects > FEW_OBJECTS), place.objects // RAREST_OF_A_MAP)
    paths: dict[str, FieldPlan] = {}
    for one in _values(place, least):
        try:
            planned = _value(one, known)
        except Undeclarable as error:
            left_out.append(LeftOut(one.pointer, str(error)))
            continue
        arrays = {f"{column}_{domain}" for domain in _domains(planned)}
        if not arrays & columns and max(map(len, arrays), default=0) <= LONGEST_IDENTIFIER:
            paths[one.pointer.removeprefix(place.pointer)] = planned
    if not paths:
        raise Undeclarable("it is a map whose keys look like values: write a Tree by hand")
    columns |= {column, *(f"{column}_{domain}" for value in paths.values() for domain in _domains(value))}
    left_out.append(LeftOut(f"{place.pointer}/**", "it is a map, of which only the keys that its Tree names are kept"))
    return TreePlan(place, name, paths)


def _values(place: Place, least: int) -> Iterator[Place]:
    """Yield the values in a map, with those in its objects and lists, whose keys are names and came so many times."""
    for key, member in place.members.items():
        if member.seen < least or place.is_data(key) or len(member.path) > DEEPEST or key in ("*", "**"):
            continue
        if member.objects:
            yield from _values(member, least)
        elif member.kinds == 1 and member.elements and member.elements.objects:
            yield from _values(member.elements, least)
        elif member.kinds == 1 and (member.scalars or (member.elements and member.elements.seen)):
            yield member


def _value(place: Place, known: Known) -> FieldPlan:
    """Return how a value in a map is declared: by a rule, or by a mask alone where none takes all samples."""
    key = place.keys[-1]
    try:
        guess, values = fields.rule(place)
        if guess.has_blanks or not rules.takes(guess.rule.element, values):
            raise Undeclarable("there are empty texts in its list")
    except Undeclarable:
        if place.lengths:
            raise
        guess, values = ANY_VALUE, place.scalars
    concern = masks.concern(place.keys, guess if guess.source else Guess(Text(max=1000), ""), values, known)
    domain = fields.domain(place, key, concern) or (snake(key) if snake(key) != key else "")
    made = masks.masks(concern, guess, None, "", domain)[:1]
    return FieldPlan(place, key, guess, made, concern)


def _domains(field: FieldPlan) -> list[str]:
    """Return the domains of a value's tokens in a map, each of which has an array."""
    (mask,) = field.masks or [""]
    return re.findall(r'domain="([^"]+)"', mask) or [field.name] * mask.startswith("Pseudonym(")
