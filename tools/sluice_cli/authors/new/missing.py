"""Says why something of the samples is not declared. It names no key that may be a value itself."""

from collections.abc import Iterable, Sequence

from tools.sluice_cli.authors.new import samples
from tools.sluice_cli.authors.new.names import snake
from tools.sluice_cli.authors.new.plan import LeftOut, ObjectPlan
from tools.sluice_cli.authors.new.samples import Place


def of_keys(place: Place, keys: Sequence[str]) -> list[LeftOut]:
    """Return why keys of an object are not declared; those that may be values themselves are counted, not named."""
    personal = [key for key in keys if samples.may_be_personal(key)]
    unnameable = [key for key in keys if key not in personal and place.is_common(key)]
    few = len(keys) - len(personal) - len(unnameable)
    why = "its key has a quote, a backslash or a control character, which no field's name can have"
    found = [LeftOut(place.members[key].pointer, why) for key in unnameable]
    if len(personal) == 1:
        found.append(LeftOut(place.pointer, "1 key in it looks like an address or a number of a person"))
    elif personal:
        found.append(LeftOut(place.pointer, f"{len(personal)} keys in it look like addresses or numbers of persons"))
    if few == 1:
        found.append(LeftOut(place.pointer, "1 key in it looks like a value, and few samples have it"))
    elif few:
        found.append(LeftOut(place.pointer, f"{few} keys in it look like values, and few samples have them"))
    return found


def why_no_field(path: str, plan: ObjectPlan, left_out: Iterable[LeftOut]) -> str:
    """Return why a plan has no single value at a path: keys with dots between."""
    place = place_at(plan.place, path)
    if place is None:
        alike = (".".join(one.place.keys) for one in plan.fields())
        meant = next((keys for keys in alike if snake(keys) == snake(path)), "")
        return f"no record has it; is {meant} meant?" if meant else "no record has it"
    for one in left_out:
        if one.pointer and f"{place.pointer}/".startswith(f"{one.pointer}/"):
            return one.why
    if "*" in place.path:
        return "it is in a list of objects"
    if place.objects:
        return "it is an object, so name a field in it"
    return "it is a list" if place.lengths else "it is in a map, or in an object of several kinds"


def place_at(place: Place, path: str) -> Place | None:
    """Return the place with such keys, dots between them; a key may have a dot itself."""
    for key, member in (place.elements or place).members.items():
        if key == path:
            return member
        if path.startswith(f"{key}.") and (found := place_at(member, path.removeprefix(f"{key}."))):
            return found
    return None
