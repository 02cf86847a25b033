"""Plans a declaration: decides which fields and objects of samples are declared, and which are left out."""

import keyword
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import sluice
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.personal import LONGEST_DOMAIN
from sluice.declaration.rules import Email, Phone, Text
from sluice.declaration.stream import Stream
from tools.sluice_cli.authors import detection
from tools.sluice_cli.authors.new import masks, rules
from tools.sluice_cli.authors.new.masks import Concern
from tools.sluice_cli.authors.new.rules import Guess, Undeclarable
from tools.sluice_cli.authors.new.samples import Place, Scalar, is_data

DEEPEST = 20  # keys from the record inwards
LONGEST_IDENTIFIER = 63  # bytes, of PostgreSQL
CLASSES = frozenset({*sluice.__all__, "Decimal", "Annotated"})
NAMES = frozenset(
    {*dir(Stream), *Stream.__annotations__, *"bool datetime eventbridge int list msgspec sns str".split()}
)
OF_ONE_DOMAIN = ("email", "ip", "mac", "phone")
OF_NOTHING_ALONE = ("id", "key", "no", "number", "uid", "uuid")  # words that do not say whose id it is


@dataclass(frozen=True)
class LeftOut:
    """What samples have and the declaration has not."""

    pointer: str
    why: str


@dataclass(frozen=True)
class FieldPlan:
    """A value to declare."""

    place: Place
    name: str
    guess: Guess
    masks: list[str]
    concern: Concern | None
    optional: bool  # null was there, or nothing was
    absent: bool

    @property
    def key(self) -> str:
        return self.place.path[-1]


@dataclass(frozen=True)
class ObjectPlan:
    """An object to declare, or a list of such objects: `many`."""

    place: Place
    name: str
    class_name: str
    members: "list[FieldPlan | ObjectPlan]"
    many: bool = False
    optional: bool = False
    absent: bool = False

    @property
    def key(self) -> str:
        return self.place.path[-1]

    def fields(self) -> Iterator[FieldPlan]:
        """Yield all values in it, those in its objects too."""
        for member in self.members:
            if isinstance(member, FieldPlan):
                yield member
            else:
                yield from member.fields()


@dataclass
class Planner:
    """Makes the plan of a stream.

    `subject` are the fields that say whose record it is, `identity` the one that makes it one, `time` the one that
    tells its time: keys with dots between.
    """

    stream_class: str
    subject: tuple[str, ...] = ()
    identity: str = ""
    time: str = ""
    left_out: list[LeftOut] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    subject_paths: dict[str, str] = field(default_factory=dict)  # of names in the classes, once they are found
    mention_paths: list[str] = field(default_factory=list)  # of fields that name people whose records there are
    identity_path: str = ""
    time_path: str = ""
    _classes: set[str] = field(default_factory=set)
    _people: set[Scalar] = field(default_factory=set, repr=False)  # clear values of the subject

    def plan(self, root: Place) -> ObjectPlan:
        self._classes = {*CLASSES, self.stream_class}
        self._people = {value for keys in self.subject for value in _values(root, keys.split("."))}
        members = self._members(root, root.objects, "", "", {*OWN_COLUMNS})
        return ObjectPlan(root, "", self.stream_class, members)

    def _members(
        self, place: Place, objects: int, prefix: str, path: str | None, columns: set[str]
    ) -> list[FieldPlan | ObjectPlan]:
        """Return what to declare of an object. `columns` are those taken; `path` is None inside of lists."""
        found: list[FieldPlan | ObjectPlan] = []
        names: set[str] = {*NAMES}
        keys_of_data = [key for key in place.members if is_data(key)]
        if keys_of_data:
            self.left_out.append(LeftOut(place.pointer, f"{len(keys_of_data)} keys in it look like values, not names"))
        for key, member in place.members.items():
            if key in keys_of_data:
                continue
            try:
                made = self._member(member, objects, _free(snake(key), names), prefix, path, columns)
            except Undeclarable as error:
                if str(error):
                    self.left_out.append(LeftOut(member.pointer, str(error)))
            else:
                names.add(made.name)
                found.append(made)
        return found

    def _member(
        self, place: Place, objects: int, name: str, prefix: str, path: str | None, columns: set[str]
    ) -> FieldPlan | ObjectPlan:
        absent, is_null = place.seen < objects, place.nulls > 0
        if place.kinds == 0:
            raise Undeclarable("it is null in every sample")
        if len(place.path) > DEEPEST:
            raise Undeclarable("it is nested too deeply")
        if place.kinds > 1:
            raise Undeclarable("it is of several kinds (object, list, value): unions cannot be declared yet")
        if place.objects:
            return self._object(place, name, prefix, path, columns, absent or is_null, absent)
        if place.lengths and not (place.elements and place.elements.seen):
            raise Undeclarable("its list is empty in every sample")
        if place.lengths and place.elements and place.elements.objects and place.elements.kinds == 1:
            return self._objects(place, place.elements, name, prefix, columns, is_null, absent)
        return self._field(place, name, prefix, path, columns, absent, is_null)

    def _object(
        self, place: Place, name: str, prefix: str, path: str | None, columns: set[str], optional: bool, absent: bool
    ) -> ObjectPlan:
        _refuse_map(place)
        inner = None if path is None else f"{path}{name}."
        class_name, told = self._class(place), len(self.left_out)
        members = self._members(place, place.objects, f"{prefix}{name}_", inner, columns)
        if not members:
            raise Undeclarable("" if len(self.left_out) > told else "there is nothing in it to declare")
        return ObjectPlan(place, name, class_name, members, False, optional, absent)

    def _objects(
        self, place: Place, elements: Place, name: str, prefix: str, columns: set[str], is_null: bool, absent: bool
    ) -> ObjectPlan:
        _refuse_map(elements)
        if elements.nulls:
            raise Undeclarable("there is null among its objects, which cannot be declared yet")
        if prefix + name in columns or len(prefix + name) > LONGEST_IDENTIFIER:
            raise Undeclarable("the name of its column is taken or too long")
        class_name, told = self._class(place), len(self.left_out)
        members = self._members(elements, elements.objects, "", None, set())
        if not members:
            raise Undeclarable("" if len(self.left_out) > told else "there is nothing in its objects to declare")
        columns.add(prefix + name)
        return ObjectPlan(place, name, class_name, members, True, is_null, absent)

    def _field(
        self, place: Place, name: str, prefix: str, path: str | None, columns: set[str], absent: bool, is_null: bool
    ) -> FieldPlan:
        guess, values = self._rule(place)
        concern = masks.concern(place.path, guess, values)
        self.questions += _questions(place, guess, values, concern)
        column = _column(prefix + name, columns)
        columns.add(column)
        named = None if column == prefix + name else column
        network = _column(f"{column}_network", columns)
        emails = _column(f"{prefix}{name}_email", columns)
        other = None if emails == f"{prefix}{name}_email" else emails
        made = masks.masks(concern, guess, named, network, _domain(place, name, concern), other)
        keys = ".".join(key for key in place.path if key != "*")
        is_mention = path is not None and self._mentions(keys, made, values)
        if path is not None and (keys in self.subject or is_mention):
            token = _column(f"{column}_subject", columns)
            made = masks.subject(made, named, token)
            columns |= {token}
            if is_mention and concern:
                concern = concern._replace(told=f"{concern.told}, with values that the subject has, too")
                self.mention_paths.append(path + name)
            else:
                self.subject_paths[keys] = path + name
        if path is not None and not place.lengths:
            self.identity_path = path + name if self.identity == keys else self.identity_path
            self.time_path = path + name if self.time == keys else self.time_path
        columns |= {network} if any(network in mask for mask in made) else set()
        columns |= {emails} if any('domain="email"' in mask and mask.startswith("Scrub(") for mask in made) else set()
        optional = is_null or ((absent or is_mention) and not place.lengths)
        return FieldPlan(place, name, guess, made, concern, optional, absent)

    def _mentions(self, keys: str, made: Sequence[str], values: Iterable[Scalar]) -> bool:
        """Tell whether a field is not the subject, but is masked and has a value that the subject has somewhere."""
        is_token = bool(made) and made[0].startswith("Pseudonym(")
        return is_token and keys not in self.subject and not self._people.isdisjoint(values)

    def _rule(self, place: Place) -> tuple[Guess, list[Scalar]]:
        """Return the rule of a value or of a list of values, and the values. Raises Undeclarable."""
        if not place.lengths:
            return rules.guess(place), place.scalars
        elements = place.elements
        if elements is None or elements.lengths or elements.kinds > 1:
            raise Undeclarable("its list holds lists, or things of several kinds, which cannot be declared yet")
        if elements.nulls:
            raise Undeclarable("there is null in its list, which cannot be declared yet")
        return rules.each(rules.guess(elements), place.lengths), elements.scalars

    def _class(self, place: Place) -> str:
        """Return a name for the class of an object, of its own."""
        *outer, last = [snake(key) for key in place.path if key != "*"]
        name = pascal(detection.singular(last) if place.lengths else last)
        while name in self._classes and outer:
            name = pascal(outer.pop()) + name
        name = _free(name, self._classes)
        self._classes.add(name)
        return name


def _questions(place: Place, guess: Guess, values: list[Scalar], concern: Concern | None) -> Iterator[str]:
    """Yield what only the author knows of a field that is declared as a text for want of it."""
    if not isinstance(guess.rule.element, Text) or isinstance(guess.rule.element, Email | Phone):
        return
    if concern and concern.kind == "phone":
        yield f"{place.pointer}: of which region are its phone numbers? Phone(region=…) and Pseudonym make tokens of it"
    if not concern and all(re.match(r"\d{4}-\d\d-\d\d[T ]\d\d", str(value)) for value in values):
        yield f"{place.pointer}: its times have no zone, so they are kept as texts; can its producer add one?"


def _values(place: Place, keys: Sequence[str]) -> list[Scalar]:
    """Return the values that a field has in the samples, those of a list too."""
    for key in keys:
        if key not in place.members:
            return []
        place = place.members[key]
    return place.elements.scalars if place.elements else place.scalars


def snake(key: str) -> str:
    """Return a key as the name of a field and a column: small ASCII letters, digits and underscores."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", key).lower()
    name = re.sub(r"[^a-z0-9]+", "_", parted).strip("_")
    if not name:
        return "field"
    return f"n_{name}" if name[0].isdigit() else name


def pascal(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _refuse_map(place: Place) -> None:
    if place.is_map():
        raise Undeclarable("it is a map with any keys, which cannot be declared yet")


def _domain(place: Place, name: str, concern: Concern | None) -> str:
    """Return the domain of a field's tokens: equal addresses are found in each other, wherever they are.

    `id` alone says of nothing whose it is. Empty: the field's own name.
    """
    if concern and concern.kind in OF_ONE_DOMAIN:
        return concern.kind if concern.kind != name else ""
    keys = [snake(key) for key in place.path if key != "*"]
    is_alone = keys[-1] in OF_NOTHING_ALONE and len(keys) > 1
    return f"{keys[-2]}_{name}"[:LONGEST_DOMAIN] if is_alone else ""


def _free(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken and no word of Python."""
    taken = {*taken, *keyword.kwlist}
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def _column(name: str, taken: set[str]) -> str:
    """Return a column's name that is not taken, and short enough for PostgreSQL."""
    name = f"record_{name}" if name in taken and name in OWN_COLUMNS else name
    longest = LONGEST_IDENTIFIER - len("_99")
    while len(name) > longest and "_" in name:
        name = name.partition("_")[2]
    return _free(name[:longest], taken)
