"""Plans a declaration: decides which fields and objects of samples are declared, and which are left out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeIs

from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.paths import pointer_of
from sluice.declaration.rules import OneOf
from tools.sluice_cli.authors import detection
from tools.sluice_cli.authors.new import fields, maps, masks, missing, names, samples, shapes
from tools.sluice_cli.authors.new.names import Scope, pascal, snake
from tools.sluice_cli.authors.new.plan import Case, FieldPlan, LeftOut, Member, ObjectPlan, UnionPlan
from tools.sluice_cli.authors.new.rules import Guess, Undeclarable
from tools.sluice_cli.authors.new.samples import DEEPEST, Place, Scalar, looks_like_data
from tools.sluice_cli.authors.table_sql import RESERVED


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
    _masked: set[Scalar] = field(default_factory=set, repr=False)  # those of them that are masked there
    _known: masks.Known = field(default=masks.Known(), repr=False)

    def plan(self, root: Place, around: Sequence[Mapping[str, Any]] = ()) -> ObjectPlan:
        """Return the plan of a record; `around` is what there is around records."""
        self._classes = {*names.CLASSES, self.stream_class}
        self._people = {value for path in self.subject for value in _values_of(root, path)}
        self._known = masks.known(root)
        self._masked = {value for path in self.subject for value in self._masked_values(root, path)}
        columns = {*OWN_COLUMNS}
        members = self._record(root, Scope(columns, path=""))
        outside = self._around(around, {*root.members, *(member.name for member in members)}, columns)
        self.batch = names.free("batch_id", columns)
        return ObjectPlan(root, "", self.stream_class, [*members, *outside] if members else [])

    def _record(self, root: Place, scope: Scope) -> list[Member]:
        """Return what to declare of records; what only one kind of them has is in a case of a union."""
        tag, found = shapes.by_tag(root) or ("", {})
        having = Counter(key for kind in found.values() for key in kind.members)
        alone = {key for key, count in having.items() if count == 1}
        kinds = {value: kind.only(alone) for value, kind in found.items()}
        is_needed = any(self._is_named(root.members[key]) for key in alone)
        if not kinds or is_needed or not all(map(self._has_required, kinds.values())):
            return self._members(root, scope)
        members = self._members(root.only(root.members.keys() - alone), scope)
        cases: list[tuple[str, Case]] = []
        for value, kind in kinds.items():
            class_name = names.free(pascal(snake(value)), self._classes)
            self._classes.add(class_name)
            cases.append((value, ObjectPlan(kind, value, class_name, self._members(kind, scope.without_path()))))
        name = names.free("details", {*names.NAMES, *root.members, *(member.name for member in members)})
        told = f"does its {tag} decide which fields a record has?"
        return [*members, UnionPlan(Place((name,)), name, cases, told, tag, inline=True)]

    @property
    def _named(self) -> tuple[str, ...]:
        """The fields that every record needs: subject, identity and time, where they are given."""
        return (*self.subject, self.identity, self.time)

    def _is_named(self, place: Place) -> bool:
        """Tell whether a place, or one inside of it, is a field that every record needs, so that its key is a name."""
        path = ".".join(place.keys)
        is_name = not samples.is_unnameable(place.keys[-1])
        return is_name and any(f"{named}.".startswith(f"{path}.") for named in self._named)

    def _has_required(self, kind: Place) -> bool:
        """Tell whether something can be declared that all records of a kind have."""
        made = Planner(self.stream_class)._members(kind, Scope(set()))
        return any(not member.absent for member in made)

    def _masked_values(self, root: Place, path: str) -> list[Scalar]:
        """Return the values of a subject's field that are masked there."""
        place = missing.place_at(root, path)
        with suppress(Undeclarable):
            if place and masks.concern(place.keys, *fields.rule(place), self._known):
                return _values_of(root, path)
        return []

    def leave_out(self, keys: Iterable[str], why: str) -> None:
        """Tell why keys beside the records are not declared, except those that are values themselves."""
        self.left_out += [LeftOut(pointer_of(key), why) for key in keys if not looks_like_data(key)]

    def _around(self, around: Sequence[Mapping[str, Any]], taken: set[str], columns: set[str]) -> list[ObjectPlan]:
        """Return the plan of the single values around a record, if there are any."""
        name = names.free("around", taken)
        several = {key: None for one in around for key, value in one.items() if isinstance(value, dict | list)}
        self.leave_out(several, "it is beside the records, and no single value: FROM_ENVELOPE can read it")
        place = Place((name,))
        for one in around:
            place.add({key: value for key, value in one.items() if key not in several})
        self._people.clear()  # only fields of the record mention people
        members = self._members(place, Scope(columns, path="").inside(name))
        return [ObjectPlan(place, name, self._class(place), members, is_around=True)] if members else []

    def _members(self, place: Place, scope: Scope) -> list[Member]:
        """Return what to declare of an object."""
        found: list[Member] = []
        taken: set[str] = {*names.NAMES}
        keys_of_data = [key for key in place.members if place.is_data(key) and not self._is_named(place.members[key])]
        self.left_out += missing.of_keys(place, keys_of_data)
        for key, member in place.members.items():
            if key in keys_of_data:
                continue
            of_sql = RESERVED if scope.is_outermost and _is_whole_column(member) else frozenset()
            try:
                made = self._member(member, names.free(snake(key), taken | of_sql), scope)
            except Undeclarable as error:
                if str(error):
                    self.left_out.append(LeftOut(member.pointer, str(error)))
            else:
                absent = member.seen < place.objects
                optional = made.optional or member.nulls > 0 or (absent and not made.many)
                taken.add(made.name)
                why = names.why(key, made.name, of_sql)
                found.append(replace(made, optional=optional, absent=absent, why_name=why))
        return found

    def _member(self, place: Place, name: str, scope: Scope) -> Member:
        """Return what to declare of what is under a key. Raises Undeclarable."""
        if place.kinds == 0:
            raise Undeclarable("it is null in every sample")
        if len(place.path) > DEEPEST:
            raise Undeclarable("it is nested too deeply")
        if len(shapes.by_type(place)) > 1:
            return self._by_type(place, place, name, scope)
        if place.elements and place.elements.objects and len(shapes.by_type(place.elements)) > 1:
            return self._by_type(place, place.elements, name, scope)
        if (found := shapes.by_tag(place)) and not self._names_inside(place):
            return self._tagged(place, *found, name, scope.inside(name))
        if place.objects and place.is_map():
            return maps.plan(place, name, scope, self.left_out, self._known)
        return self._of_one_type(place, name, scope)

    def _of_one_type(self, place: Place, name: str, scope: Scope, column: str = "") -> Case | UnionPlan:
        """Return the plan of an object, of a list of objects, or of a value, for which a column can be wanted."""
        if place.objects:
            return self._object(place, name, scope.inside(name))
        if place.elements and place.elements.objects and place.elements.kinds == 1:
            return self._objects(place, place.elements, name, scope)
        return self._field(place, name, scope, column or name)

    def _object(self, place: Place, name: str, inside: Scope) -> ObjectPlan:
        """Return the plan of an object or of a list of objects, given the scope of their members."""
        objects = place.elements or place
        class_name, told = self._class(place), len(self.left_out)
        members = self._members(objects, inside)
        if not members:
            what = "its objects" if objects.path[-1] == "*" else "it"
            raise Undeclarable("" if len(self.left_out) > told else f"there is nothing in {what} to declare")
        return ObjectPlan(place, name, class_name, members, many=objects is not place)

    def _objects(self, place: Place, elements: Place, name: str, scope: Scope) -> ObjectPlan | UnionPlan:
        found = shapes.by_tag(elements)
        if not found:
            _refuse_map(elements)
        if elements.nulls:
            raise Undeclarable("there is null among its objects, which cannot be declared yet")
        scope.refuse_taken(name)
        inside = Scope(set(), in_json=True)
        made = self._tagged(place, *found, name, inside) if found else self._object(place, name, inside)
        scope.take(name)
        return made

    def _by_type(self, place: Place, values: Place, name: str, scope: Scope) -> UnionPlan:
        """Return the plan of what is an object in one sample and a text in another, or of a list of such values."""
        many = values is not place
        if many:
            if values.nulls:
                raise Undeclarable("there is null in its list, which cannot be declared yet")
            scope.refuse_taken(name)
            scope.take(name)
        inside = Scope(set(), in_json=True) if many else scope.without_path()
        kinds = shapes.by_type(values)
        cases: list[tuple[str, Case]] = []
        for kind, shape in kinds:
            if many and shape.objects:
                _refuse_map(shape)
                made: Case | UnionPlan = self._object(shape, name, inside)
            else:
                column = f"{name}_{kind}" if inside.prefix + name in inside.columns else name
                made = self._of_one_type(shape, name, inside, column)
            if isinstance(made, UnionPlan):
                raise Undeclarable("its objects are of several kinds, and it is not always an object")
            if isinstance(made, FieldPlan) and made.guess.has_blanks:
                raise Undeclarable("its text is empty in some samples, and it is of several types")
            cases.append(("", made))
        told = "is " + ", ".join(f"sometimes {_article(kind or 'object')}" for kind, _ in kinds)
        concerns = [case.concern.told for _, case in cases if isinstance(case, FieldPlan) and case.concern]
        return UnionPlan(place, name, cases, "; ".join([told, *concerns]), many=many)

    def _names_inside(self, place: Place) -> bool:
        """Tell whether a field inside is a subject, the identity or the time: every record needs it."""
        return any(path.startswith(".".join(place.path) + ".") for path in self._named)

    def _tagged(self, place: Place, tag: str, found: Mapping[str, Place], name: str, inside: Scope) -> UnionPlan:
        """Return the plan of objects, or of those of a list, of which a key tells what they are."""
        cases: list[tuple[str, Case]] = []
        taken, of_tag = {*inside.columns}, inside.prefix + snake(tag)
        for value, objects in found.items():
            written = {*taken}  # a column of its own each, except that of the tag
            members = self._members(objects, replace(inside, columns=written, path=None))
            members = [_of_tag(member, value) if member.key == tag else _shared(member, cases) for member in members]
            taken |= written - {of_tag}
            cases.append((value, ObjectPlan(place, name, self._class(place, snake(value)), members)))
        inside.columns.update(taken, {of_tag})
        return UnionPlan(
            place, name, cases, f"does its {tag} decide which fields it has?", tag, many=bool(place.lengths)
        )

    def _field(self, place: Place, name: str, scope: Scope, wanted: str) -> FieldPlan:
        """Return the plan of a value, or of a list of values, in the wanted column if that is free."""
        guess, values = fields.rule(place)
        concern = masks.concern(place.keys, guess, values, self._known) or masks.of_people(guess, values, self._masked)
        self.questions += fields.questions(place, guess, values, concern)
        columns, by_default = scope.columns, scope.prefix + name
        column = names.column(scope.prefix + wanted, scope)
        columns.add(column)
        named = None if column == by_default else column
        network = names.column(f"{column}_network", scope)
        emails = names.column(f"{by_default}_email", scope)
        other = None if emails == f"{by_default}_email" else emails
        made = masks.masks(concern, guess, named, network, fields.domain(place, name, concern), other)
        is_mention = False
        if scope.path is not None:
            keys, path = ".".join(place.keys), scope.path + name
            is_mention = self._mentions(keys, made, values)
            if is_mention or keys in self.subject:
                token = names.column(f"{column}_subject", scope)
                columns.add(token)
                made = masks.subject(made, named, token)
            if is_mention and concern:
                concern = concern._replace(told=f"{concern.told}, with values that the subject has, too")
                self.mention_paths.append(path)
            elif keys in self.subject:
                self.subject_paths[keys] = path
            if not place.lengths:
                self.identity_path = path if self.identity == keys else self.identity_path
                self.time_path = path if self.time == keys else self.time_path
        if any(network in mask for mask in made):
            columns.add(network)
        if any('domain="email"' in mask and mask.startswith("Scrub(") for mask in made):
            columns.add(emails)
        many = bool(place.lengths)
        can_be_null = not many and (guess.has_blanks or is_mention)
        why = names.why_column(by_default, column)
        return FieldPlan(place, name, guess, made, concern, why, many=many, optional=can_be_null)

    def _mentions(self, keys: str, made: Sequence[str], values: Iterable[Scalar]) -> bool:
        """Tell whether a field is not the subject, but is masked and has a value that the subject has somewhere."""
        is_token = bool(made) and made[0].startswith("Pseudonym(")
        return is_token and keys not in self.subject and not self._people.isdisjoint(values)

    def _class(self, place: Place, case: str = "") -> str:
        """Return a name for the class of an object, or of one case of it, of its own."""
        *outer, last = map(snake, place.keys)
        name = pascal(case) + pascal(detection.singular(last) if place.lengths else last)
        while name in self._classes and outer:
            name = pascal(outer.pop()) + name
        name = names.free(name, self._classes)
        self._classes.add(name)
        return name


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _of_tag(member: Member, tag: str) -> Member:
    """Return the field of a case that always has its tag: it is kept, whatever its name sounds like."""
    if not isinstance(member, FieldPlan):
        return member
    return replace(member, guess=Guess(OneOf(tag), f'OneOf("{tag}")'), masks=[], concern=None, why_column="")


def _shared(member: Member, cases: Iterable[tuple[str, Case]]) -> Member:
    """Return a field of a case in the column that another case has for it, where both are kept in the clear."""
    found = [one for _, case in cases if isinstance(case, ObjectPlan) for one in case.members if one.key == member.key]
    others = [one for one in found if _is_kept(one)]
    if not _is_kept(member) or not others or len(others) < len(found):
        return member
    return replace(member, masks=others[0].masks, why_column=others[0].why_column)


def _is_kept(member: Member) -> TypeIs[FieldPlan]:
    """Tell whether a single value is kept in the clear."""
    if not isinstance(member, FieldPlan) or member.many:
        return False
    return all(mask.startswith("Keep(") for mask in member.masks)


def _is_whole_column(place: Place) -> bool:
    """Tell whether objects are in one column of JSON, which is always called as their field is."""
    return place.is_map() if place.objects else bool(place.elements and place.elements.objects)


def _values_of(place: Place, path: str) -> list[Scalar]:
    """Return the values that a field has in the samples, those of a list too."""
    found = missing.place_at(place, path)
    return (found.elements or found).scalars if found else []


def _refuse_map(place: Place) -> None:
    if place.is_map():
        raise Undeclarable("its objects are maps with any keys, which a list cannot hold")
