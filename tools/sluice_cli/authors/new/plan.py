"""Plans a declaration: decides which fields and objects of samples are declared, and which are left out."""

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sluice
from sluice.declaration import tree
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.paths import pointer_of
from sluice.declaration.personal import LONGEST_DOMAIN
from sluice.declaration.rules import Email, OneOf, Phone, Text
from sluice.declaration.stream import Part, Stream
from tools.sluice_cli.authors import detection
from tools.sluice_cli.authors.new import masks, rules, shapes
from tools.sluice_cli.authors.new.masks import Concern
from tools.sluice_cli.authors.new.rules import Guess, Undeclarable
from tools.sluice_cli.authors.new.samples import Place, Scalar, is_data

DEEPEST = 20  # keys from the record inwards
FEW_OBJECTS = 3  # of more, a map's keys are named if they came twice
RAREST_OF_A_MAP = 20  # keys that fewer than one of so many objects have are not named
LONGEST_IDENTIFIER = 63  # bytes, of PostgreSQL
CLASSES = frozenset({*sluice.__all__, "Decimal", "Annotated"})
NAMES = frozenset(
    {*dir(Stream), *Part.__annotations__, *Stream.__annotations__}
    | {*"bool datetime eventbridge float int list msgspec sns str".split()}
)
ANY_VALUE = Guess(tree.Scalar(), "")  # in a map, that a mask alone takes
OF_ONE_DOMAIN = ("arn", "email", "ip", "mac", "phone")
OF_NOTHING_ALONE = ("id", "key", "no", "number", "uid", "uuid")  # words that do not say whose id it is


@dataclass(frozen=True)
class LeftOut:
    """What samples have and the declaration has not."""

    pointer: str
    why: str


type Member = FieldPlan | TreePlan | ObjectPlan | UnionPlan


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
class TreePlan:
    """A map with any keys to declare as a Tree: the values that are named, by their paths."""

    place: Place
    name: str
    paths: dict[str, FieldPlan]
    optional: bool
    absent: bool

    @property
    def key(self) -> str:
        return self.place.path[-1]


@dataclass(frozen=True)
class UnionPlan:
    """A value of several shapes to declare, or a list of such values: `many`."""

    place: Place
    name: str
    cases: "list[tuple[str, FieldPlan | ObjectPlan]]"  # each with its tag, if there is one
    told: str  # behind `confirm:`
    tag: str = ""  # the key that decides; else the JSON type does
    many: bool = False
    optional: bool = False
    absent: bool = False
    inline: bool = False  # its members are those of the record

    @property
    def key(self) -> str:
        return self.place.path[-1]

    def fields(self) -> Iterator[FieldPlan]:
        """Yield all values in it."""
        for _, case in self.cases:
            if isinstance(case, FieldPlan):
                yield case
            else:
                yield from case.fields()

    def trees(self) -> Iterator[TreePlan]:
        """Yield all maps in it."""
        for _, case in self.cases:
            if isinstance(case, ObjectPlan):
                yield from case.trees()


@dataclass(frozen=True)
class ObjectPlan:
    """An object to declare, or a list of such objects: `many`."""

    place: Place
    name: str
    class_name: str
    members: list[Member]
    many: bool = False
    optional: bool = False
    absent: bool = False
    is_around: bool = False  # the record, so that it is read FROM_ENVELOPE

    @property
    def key(self) -> str:
        return self.place.path[-1]

    @property
    def own(self) -> list[Member]:
        """What is in the object under a key: not what is around it, and not what only one kind of records has."""
        return [member for member in self.members if member not in (self.around, self.kinds)]

    @property
    def kinds(self) -> UnionPlan | None:
        """What only one kind of records has, if a key of the record decides."""
        return next((one for one in self.members if isinstance(one, UnionPlan) and one.inline), None)

    @property
    def around(self) -> "ObjectPlan | None":
        """What is around the record, if anything of it is declared."""
        return next((one for one in self.members if isinstance(one, ObjectPlan) and one.is_around), None)

    def fields(self) -> Iterator[FieldPlan]:
        """Yield all values in it that are declared as fields, those in its objects too."""
        for member in self.members:
            match member:
                case FieldPlan():
                    yield member
                case ObjectPlan() | UnionPlan():
                    yield from member.fields()

    def trees(self) -> Iterator[TreePlan]:
        """Yield all maps in it, those in its objects too."""
        for member in self.members:
            match member:
                case TreePlan():
                    yield member
                case ObjectPlan() | UnionPlan():
                    yield from member.trees()


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
    batch: str = ""  # the column of a row's batch
    _classes: set[str] = field(default_factory=set)
    _people: set[Scalar] = field(default_factory=set, repr=False)  # clear values of the subject

    def plan(self, root: Place, around: Sequence[Mapping[str, Any]] = ()) -> ObjectPlan:
        """Return the plan of a record; `around` is what there is around records."""
        self._classes = {*CLASSES, self.stream_class}
        self._people = {value for keys in self.subject for value in _values_of(root, keys.split("."))}
        columns = {*OWN_COLUMNS}
        members = self._record(root, columns)
        outside = self._around(around, {*root.members, *(member.name for member in members)}, columns)
        self.batch = _free("batch_id", columns)
        return ObjectPlan(root, "", self.stream_class, [*members, *outside] if members else [])

    def _record(self, root: Place, columns: set[str]) -> list[Member]:
        """Return what to declare of records; what only one kind of them has is in a case of a union."""
        tag, found = shapes.by_tag(root) or ("", {})
        having = Counter(key for kind in found.values() for key in kind.members)
        alone = {key for key, count in having.items() if count == 1}
        kinds = {value: kind.only(alone) for value, kind in found.items()}
        named = {path.partition(".")[0] for path in (*self.subject, self.identity, self.time)}
        if not kinds or named & alone or not all(map(self._has_required, kinds.values())):
            return self._members(root, root.objects, "", "", columns)
        members = self._members(root.only(root.members.keys() - alone), root.objects, "", "", columns)
        cases: list[tuple[str, FieldPlan | ObjectPlan]] = []
        for value, kind in kinds.items():
            class_name = _free(pascal(snake(value)), self._classes)
            self._classes.add(class_name)
            made = self._members(kind, kind.objects, "", None, columns)
            cases.append((value, ObjectPlan(kind, value, class_name, made)))
        name = _free("details", {*NAMES, *root.members, *(member.name for member in members)})
        told = f"does its {tag} decide what a record is?"
        return [*members, UnionPlan(Place((name,)), name, cases, told, tag, inline=True)]

    def _has_required(self, kind: Place) -> bool:
        """Tell whether something can be declared that all records of a kind have."""
        made = Planner(self.stream_class)._members(kind, kind.objects, "", None, set())
        return any(not member.absent for member in made)

    def leave_out(self, keys: Iterable[str], why: str) -> None:
        """Tell why keys beside the records are not declared, except those that are values themselves."""
        self.left_out += [LeftOut(pointer_of(key), why) for key in keys if not is_data(key)]

    def _around(self, around: Sequence[Mapping[str, Any]], names: set[str], columns: set[str]) -> list[ObjectPlan]:
        """Return the plan of the single values around a record, if there are any."""
        name = _free("around", names)
        several = {key: None for one in around for key, value in one.items() if isinstance(value, dict | list)}
        self.leave_out(several, "it is beside the records, and no single value: FROM_ENVELOPE can read it")
        place = Place((name,))
        for one in around:
            place.add({key: value for key, value in one.items() if key not in several})
        self._people.clear()  # only fields of the record mention people
        members = self._members(place, place.objects, f"{name}_", f"{name}.", columns)
        return [ObjectPlan(place, name, self._class(place), members, is_around=True)] if members else []

    def _members(self, place: Place, objects: int, prefix: str, path: str | None, columns: set[str]) -> list[Member]:
        """Return what to declare of an object. `columns` are those taken; `path` is None inside of lists."""
        found: list[Member] = []
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
    ) -> Member:
        absent, is_null = place.seen < objects, place.nulls > 0
        if place.kinds == 0:
            raise Undeclarable("it is null in every sample")
        if len(place.path) > DEEPEST:
            raise Undeclarable("it is nested too deeply")
        if len(shapes.by_type(place)) > 1:
            return self._by_type(place, place, name, prefix, columns, is_null or absent, absent)
        if place.elements and place.elements.objects and len(shapes.by_type(place.elements)) > 1:
            return self._by_type(place, place.elements, name, prefix, columns, is_null, absent)
        if (found := shapes.by_tag(place)) and not self._names_inside(place):
            return self._tagged(place, *found, name, prefix, columns, is_null or absent, absent)
        if place.objects and place.is_map():
            return self._tree(place, name, prefix, columns, is_null, absent)
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
        inner = None if path is None else f"{path}{name}."
        class_name, told = self._class(place), len(self.left_out)
        members = self._members(place, place.objects, f"{prefix}{name}_", inner, columns)
        if not members:
            raise Undeclarable("" if len(self.left_out) > told else "there is nothing in it to declare")
        return ObjectPlan(place, name, class_name, members, False, optional, absent)

    def _objects(
        self, place: Place, elements: Place, name: str, prefix: str, columns: set[str], is_null: bool, absent: bool
    ) -> ObjectPlan | UnionPlan:
        if not shapes.by_tag(elements):
            _refuse_map(elements)
        if elements.nulls:
            raise Undeclarable("there is null among its objects, which cannot be declared yet")
        _refuse_taken(prefix + name, columns)
        if found := shapes.by_tag(elements):
            columns.add(prefix + name)
            return self._tagged(place, *found, name, "", set(), is_null, absent)
        class_name, told = self._class(place), len(self.left_out)
        members = self._members(elements, elements.objects, "", None, set())
        if not members:
            raise Undeclarable("" if len(self.left_out) > told else "there is nothing in its objects to declare")
        columns.add(prefix + name)
        return ObjectPlan(place, name, class_name, members, True, is_null, absent)

    def _tree(self, place: Place, name: str, prefix: str, columns: set[str], is_null: bool, absent: bool) -> TreePlan:
        column = prefix + name
        if column in columns or len(column) > LONGEST_IDENTIFIER:
            raise Undeclarable("the name of its column is taken or too long")
        least = max(1 + (place.objects > FEW_OBJECTS), place.objects // RAREST_OF_A_MAP)
        paths: dict[str, FieldPlan] = {}
        for one in _values(place, least):
            try:
                planned = self._value(one)
            except Undeclarable as error:
                self.left_out.append(LeftOut(one.pointer, str(error)))
                continue
            arrays = {f"{column}_{domain}" for domain in _domains(planned)}
            if not arrays & columns and max(map(len, arrays), default=0) <= LONGEST_IDENTIFIER:
                paths[one.pointer.removeprefix(place.pointer)] = planned
        if not paths:
            raise Undeclarable("it is a map whose keys look like values: write a Tree by hand")
        columns |= {column, *(f"{column}_{domain}" for value in paths.values() for domain in _domains(value))}
        told = "it is a map: of its keys only those that its Tree names are kept"
        self.left_out.append(LeftOut(f"{place.pointer}/**", told))
        return TreePlan(place, name, paths, is_null or absent, absent)

    def _value(self, place: Place) -> FieldPlan:
        """Return how a value in a map is declared: by a rule, or by a mask alone where none takes all samples."""
        key = next(key for key in reversed(place.path) if key != "*")
        try:
            guess, values = self._rule(place)
            if guess.has_blanks or not rules.takes(guess.rule.element, values):
                raise Undeclarable("there are empty texts in its list")
        except Undeclarable:
            if place.lengths:
                raise
            guess, values = ANY_VALUE, place.scalars
        concern = masks.concern(place.path, guess if guess.source else Guess(Text(max=1000), ""), values)
        domain = _domain(place, key, concern) or (snake(key) if snake(key) != key else "")
        made = masks.masks(concern, guess, None, "", domain)[:1]
        return FieldPlan(place, key, guess, made, concern, optional=False, absent=True)

    def _by_type(
        self, place: Place, values: Place, name: str, prefix: str, columns: set[str], optional: bool, absent: bool
    ) -> UnionPlan:
        """Return the plan of what is an object in one sample and a text in another, or of a list of such values."""
        cases: list[tuple[str, FieldPlan | ObjectPlan]] = []
        many = values is not place
        if many:
            if values.nulls:
                raise Undeclarable("there is null in its list, which cannot be declared yet")
            _refuse_taken(prefix + name, columns)
            columns.add(prefix + name)
            prefix, columns = "", set()
        for kind, shape in shapes.by_type(values):
            is_element = many and shape.objects > 0
            made = self._element(shape, name, columns) if is_element else self._case(shape, name, prefix, columns, kind)
            if isinstance(made, UnionPlan | TreePlan):
                raise Undeclarable("its objects are of several kinds, and it is not always an object")
            if isinstance(made, FieldPlan) and made.guess.has_blanks:
                raise Undeclarable("its text is empty in some samples, and it is of several types")
            cases.append(("", made))
        told = " or ".join(kind or "object" for kind, _ in shapes.by_type(values))
        concerns = [case.concern.told for _, case in cases if isinstance(case, FieldPlan) and case.concern]
        return UnionPlan(place, name, cases, "; ".join([f"{told}?", *concerns]), "", many, optional, absent)

    def _element(self, shape: Place, name: str, columns: set[str]) -> ObjectPlan:
        """Return the plan of the objects in a list that has other things in it, too."""
        _refuse_map(shape)
        class_name, told = self._class(shape), len(self.left_out)
        members = self._members(shape, shape.objects, "", None, columns)
        if not members:
            raise Undeclarable("" if len(self.left_out) > told else "there is nothing in its objects to declare")
        return ObjectPlan(shape, name, class_name, members)

    def _case(self, shape: Place, name: str, prefix: str, columns: set[str], kind: str) -> Member:
        if shape.objects:
            return self._object(shape, name, prefix, None, columns, False, False)
        if shape.lengths and not (shape.elements and shape.elements.seen):
            raise Undeclarable("its list is empty in every sample")
        if shape.lengths and shape.elements and shape.elements.objects and shape.elements.kinds == 1:
            return self._objects(shape, shape.elements, name, prefix, columns, False, False)
        column = f"{name}_{kind}" if prefix + name in columns else name
        return self._field(shape, name, prefix, None, columns, False, False, column)

    def _names_inside(self, place: Place) -> bool:
        """Tell whether a field inside is a subject, the identity or the time: every record needs it."""
        return any(path.startswith(".".join(place.path) + ".") for path in (*self.subject, self.identity, self.time))

    def _tagged(
        self,
        place: Place,
        tag: str,
        found: Mapping[str, Place],
        name: str,
        prefix: str,
        columns: set[str],
        optional: bool,
        absent: bool,
    ) -> UnionPlan:
        """Return the plan of objects, or of those of a list, of which a key tells what they are."""
        inner_prefix = "" if place.lengths else f"{prefix}{name}_"
        cases: list[tuple[str, FieldPlan | ObjectPlan]] = []
        taken = {*columns}
        for value, objects in found.items():
            written = {*taken}  # a column of its own each, except that of the tag
            members = self._members(objects, objects.objects, inner_prefix, None, written)
            members = [_of_tag(member, value) if member.key == tag else _shared(member, cases) for member in members]
            taken |= written - {inner_prefix + snake(tag)}
            class_name = self._class(place, snake(value))
            cases.append((value, ObjectPlan(place, name, class_name, members)))
        columns |= taken if not place.lengths else set()
        columns |= {inner_prefix + snake(tag)} if not place.lengths else set()
        told = f"does its {tag} decide what it is?"
        return UnionPlan(place, name, cases, told, tag, bool(place.lengths), optional, absent)

    def _field(
        self,
        place: Place,
        name: str,
        prefix: str,
        path: str | None,
        columns: set[str],
        absent: bool,
        is_null: bool,
        wanted: str = "",
    ) -> FieldPlan:
        guess, values = self._rule(place)
        concern = masks.concern(place.path, guess, values)
        self.questions += _questions(place, guess, values, concern)
        column = _column(prefix + (wanted or name), columns)
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
        is_blank = guess.has_blanks and not place.lengths
        optional = is_null or is_blank or ((absent or is_mention) and not place.lengths)
        return FieldPlan(place, name, guess, made, concern, optional, absent)

    def _mentions(self, keys: str, made: Sequence[str], values: Iterable[Scalar]) -> bool:
        """Tell whether a field is not the subject, but is masked and has a value that the subject has somewhere."""
        is_token = bool(made) and made[0].startswith("Pseudonym(")
        return is_token and keys not in self.subject and not self._people.isdisjoint(values)

    def _rule(self, place: Place) -> tuple[Guess, list[Scalar]]:
        """Return the rule of a value or of a list of values, and the values. Raises Undeclarable."""
        if not place.lengths:
            return rules.guess(place), place.present
        elements = place.elements
        if elements is None or not elements.seen:
            raise Undeclarable("its list is empty in every sample")
        if len(shapes.by_type(elements)) > 1 or elements.objects:
            raise Undeclarable(
                "its list holds things of several kinds, or lists of objects: that cannot be declared yet"
            )
        if elements.nulls:
            raise Undeclarable("there is null in its list, which cannot be declared yet")
        element, values = self._rule(elements)
        return rules.each(element, place.lengths), values

    def _class(self, place: Place, case: str = "") -> str:
        """Return a name for the class of an object, or of one case of it, of its own."""
        *outer, last = [snake(key) for key in place.path if key != "*"]
        name = pascal(case) + pascal(detection.singular(last) if place.lengths else last)
        while name in self._classes and outer:
            name = pascal(outer.pop()) + name
        name = _free(name, self._classes)
        self._classes.add(name)
        return name


def _of_tag(member: Member, tag: str) -> Member:
    """Return the field of a case that always has its tag: it is kept, whatever its name sounds like."""
    if not isinstance(member, FieldPlan):
        return member
    return replace(member, guess=Guess(OneOf(tag), f'OneOf("{tag}")'), masks=[], concern=None)


def _shared(member: Member, cases: list[tuple[str, FieldPlan | ObjectPlan]]) -> Member:
    """Return a field of a case in the column that another case has for it, where both are kept in the clear."""
    others = [one for _, case in cases if isinstance(case, ObjectPlan) for one in case.members if one.key == member.key]
    if not isinstance(member, FieldPlan) or not others or not all(map(_is_kept, [member, *others])):
        return member
    return replace(member, masks=[])


def _is_kept(member: Member) -> bool:
    """Tell whether a single value is kept in the clear."""
    if not isinstance(member, FieldPlan) or member.place.lengths:
        return False
    return all(mask.startswith("Keep(") for mask in member.masks)


def _questions(place: Place, guess: Guess, values: list[Scalar], concern: Concern | None) -> Iterator[str]:
    """Yield what only the author knows of a field that is declared as a text for want of it."""
    if not isinstance(guess.rule.element, Text) or isinstance(guess.rule.element, Email | Phone):
        return
    if concern and concern.kind == "phone":
        yield f"{place.pointer}: of which region are its phone numbers? Phone(region=…) and Pseudonym make tokens of it"
    if not concern and all(re.match(r"\d{4}-\d\d-\d\d[T ]\d\d", str(value)) for value in values):
        yield f"{place.pointer}: its times have no zone, so they are kept as texts; are they of one, Timestamp(zone=…)?"


def _values_of(place: Place, keys: Sequence[str]) -> list[Scalar]:
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


def _values(place: Place, least: int) -> Iterator[Place]:
    """Yield the values in a map, with those in its objects and lists, whose keys are names and came so many times."""
    for key, member in place.members.items():
        if member.seen < least or is_data(key) or len(member.path) > DEEPEST or key in ("*", "**"):
            continue
        if member.objects:
            yield from _values(member, least)
        elif member.kinds == 1 and member.elements and member.elements.objects:
            yield from _values(member.elements, least)
        elif member.kinds == 1 and (member.scalars or (member.elements and member.elements.seen)):
            yield member


def _domains(field: FieldPlan) -> list[str]:
    """Return the domains of a value's tokens in a map, each of which has an array."""
    (mask,) = field.masks or [""]
    return re.findall(r'domain="([^"]+)"', mask) or [field.name] * mask.startswith("Pseudonym(")


def _refuse_taken(column: str, columns: set[str]) -> None:
    if column in columns or len(column) > LONGEST_IDENTIFIER:
        raise Undeclarable("the name of its column is taken or too long")


def _refuse_map(place: Place) -> None:
    if place.is_map():
        raise Undeclarable("its objects are maps with any keys, which a list cannot hold")


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
