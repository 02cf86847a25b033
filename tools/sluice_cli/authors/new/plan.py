"""The plan of a declaration: which fields and objects of samples are declared, and which are left out."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.sluice_cli.authors.new.masks import Concern
from tools.sluice_cli.authors.new.rules import Guess
from tools.sluice_cli.authors.new.samples import Place


@dataclass(frozen=True)
class LeftOut:
    """What samples have and the declaration has not."""

    pointer: str
    why: str


type Member = FieldPlan | TreePlan | ObjectPlan | UnionPlan
type Case = FieldPlan | ObjectPlan


@dataclass(frozen=True)
class Planned:
    """What is declared of a place."""

    place: Place
    name: str
    many: bool = field(default=False, kw_only=True)  # a list of such
    optional: bool = field(default=False, kw_only=True)  # null was there, or nothing was
    absent: bool = field(default=False, kw_only=True)
    why_name: str = field(default="", kw_only=True)  # why the field is not called as its key is

    @property
    def key(self) -> str:
        return self.place.path[-1]

    def values(self) -> "Iterator[FieldPlan | TreePlan]":
        """Yield all single values, lists of them and maps in it."""
        raise NotImplementedError

    def fields(self) -> "Iterator[FieldPlan]":
        """Yield all values in it that are declared as fields, those in its objects too."""
        return (one for one in self.values() if isinstance(one, FieldPlan))

    def trees(self) -> "Iterator[TreePlan]":
        """Yield all maps in it, those in its objects too."""
        return (one for one in self.values() if isinstance(one, TreePlan))


@dataclass(frozen=True)
class FieldPlan(Planned):
    """A value to declare."""

    guess: Guess
    masks: list[str]
    concern: Concern | None
    why_column: str = ""  # why its column is not called as the field is

    def values(self) -> "Iterator[FieldPlan]":
        yield self


@dataclass(frozen=True)
class TreePlan(Planned):
    """A map with any keys to declare as a Tree: the values that are named, by their paths."""

    paths: dict[str, FieldPlan]

    def values(self) -> "Iterator[TreePlan]":
        yield self


@dataclass(frozen=True)
class UnionPlan(Planned):
    """A value of several shapes to declare."""

    cases: list[tuple[str, Case]]  # each with its tag, if there is one
    told: str  # behind `confirm:`
    tag: str = ""  # the key that decides; else the JSON type does
    inline: bool = False  # its members are those of the record

    def values(self) -> Iterator[FieldPlan | TreePlan]:
        for _, case in self.cases:
            yield from case.values()


@dataclass(frozen=True)
class ObjectPlan(Planned):
    """An object to declare."""

    class_name: str
    members: list[Member]
    is_around: bool = False  # the record, so that it is read FROM_ENVELOPE

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

    def values(self) -> Iterator[FieldPlan | TreePlan]:
        for member in self.members:
            yield from member.values()
