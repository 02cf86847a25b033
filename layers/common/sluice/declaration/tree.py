"""Trees: JSON with any keys, of which a declaration names what is kept, each value by its path."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from types import NoneType, UnionType
from typing import Any, ClassVar, NamedTuple, Union, get_args, get_origin

import msgspec

from sluice.declaration import canonical, paths, wire
from sluice.declaration.inside import tokens_inside
from sluice.declaration.masks import Keep, Mask, Pseudonym, Truncate, Writer
from sluice.declaration.paths import Place
from sluice.declaration.rules.rule import Rule
from sluice.declaration.scrub import Scrub
from sluice.failures import OF_A_USERS_CODE, DeclarationError, Rejected, rejection_of
from sluice.postgres.cells import Cell, Json, json_cell, json_member

type Use = Rule | Mask | tuple[Rule, Mask] | None  # what becomes of a value

OTHERS = "/**"
MOST_DIGITS = 1000
DEEPEST = 100  # levels; Python's own stack ends at 1,000

_decode = msgspec.json.Decoder(float_hook=wire.exact).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_SCALARS = {str, int, float, bool, Decimal, wire.Numeric, NoneType}


class Branch(NamedTuple):
    """What is said of the values at one path."""

    path: str
    name: str  # its last key; empty: it has none
    rule: Rule | None  # None: nothing is kept
    mask: Mask

    @property
    def keys(self) -> list[str]:
        """The steps of a path that has no wildcard; of another none."""
        steps = paths.parse(self.path)
        keys = [step for step in steps if isinstance(step, str)]
        return keys if len(keys) == len(steps) else []


class Leaf(NamedTuple):
    """A value that is kept: its branch, and the canonical value, which is None for null."""

    branch: int
    value: Any


type Shape = dict[str, Shape] | list[Shape] | Leaf | None  # None: an element of a list that is not kept


class Kept(dict[str, Any]):
    """The canonical value of a tree: all that is kept, in the clear; the shape says what each value goes by."""

    __slots__ = ("shape",)

    def __init__(self, values: dict[str, Any], shape: dict[str, Shape]) -> None:
        super().__init__(values)
        self.shape = shape


@dataclass(frozen=True)
class Scalar(Rule):
    """Any text, number or truth value, as it comes: what a mask without a rule is for."""

    accepts: ClassVar[Any] = str | int | Decimal | bool

    @property
    def example(self) -> str:
        return "probe"

    def canonical(self, value: Any, /) -> Any:
        if isinstance(value, str):
            return _storable(value)
        if isinstance(value, bool):
            return value
        number = canonical.number(value)
        if len(number.as_tuple().digits) > MOST_DIGITS:
            raise Rejected("too_precise")
        return number

    def text(self, value: Any, /) -> str:
        if isinstance(value, Decimal):  # 1.50 is 1.5
            whole, _, fraction = format(value, "f").partition(".")
            return f"{whole}.{fraction.rstrip('0')}".rstrip(".")
        return str(self.cell(value))

    def cell(self, value: Any, /) -> Cell:
        return Json("true" if value else "false") if isinstance(value, bool) else value


@dataclass(frozen=True, init=False)
class Tree(Rule):
    """A JSON object with any keys, of at most `max_bytes` as it comes; `paths` say what of it is kept, and how.

    A path leads to a rule, to a rule and a mask, to a mask alone for any single value, or to None for nothing. What no
    path leads to is dropped, or goes by `others`. `keys` is the rule of kept keys that no path names. What is kept has
    at most `max_keys` keys and elements, in at most `max_depth` levels.
    """

    paths: tuple[tuple[str, Use], ...] = field(repr=False)  # `sluice describe` has a line for each
    others: Use = field(repr=False)
    keys: Rule | None
    max_bytes: int
    max_depth: int
    max_keys: int
    accepts: ClassVar[Any] = msgspec.Raw

    def __init__(
        self,
        paths: Mapping[str, Use],
        *,
        others: Use = None,
        keys: Rule | None = None,
        max_bytes: int = 262_144,
        max_depth: int = 32,
        max_keys: int = 10_000,
    ) -> None:
        given = tuple(paths.items()) if isinstance(paths, Mapping) else paths
        options = {"others": others, "keys": keys, "max_bytes": max_bytes, "max_depth": max_depth, "max_keys": max_keys}
        for name, value in ({"paths": given} | options).items():
            object.__setattr__(self, name, value)

    @property
    def makes(self) -> Any:
        return dict[str, Any]

    @property
    def example(self) -> dict[str, Any]:
        """An object with an example at each path without wildcards, as far as the bounds allow that."""
        made: dict[str, Any] = {}
        for branch in self.branches:
            value = branch.rule.example if branch.rule and branch.keys else None
            if value is not None:
                _put(made, branch.keys, value)
        deepest = max(branch.path.count("/") for branch in self.branches)
        is_small = len(_encode(made)) <= self.max_bytes and _count(made) <= self.max_keys
        return made if is_small and deepest <= self.max_depth else {}

    @property
    def is_json(self) -> bool:
        return True

    def check(self) -> None:
        if not isinstance(self.paths, tuple) or not all(isinstance(path, str) for path, _ in self.paths):
            raise DeclarationError('Tree takes a dict of paths: {"/email": (Email(), Pseudonym())}')
        if not self.branches:
            raise DeclarationError("Tree keeps nothing: name a path, or what becomes of the others")
        if self.others is not None and OTHERS in dict(self.paths):
            raise DeclarationError(f"Tree says twice what becomes of all others: with others and at {OTHERS}")
        if self.keys is not None and not (isinstance(self.keys, Rule) and self.keys.accepts is self.keys.makes is str):
            raise DeclarationError("Tree needs a rule of texts for its keys")
        if not (1 <= self.max_depth <= DEEPEST and self.max_bytes >= 2 and self.max_keys >= 1):
            raise DeclarationError(f"Tree has 1 to {DEEPEST} levels, at least 2 bytes and at least 1 key")
        for branch in self.branches:
            _check(branch)
        self.root  # noqa: B018 (the paths are combined)

    @cached_property
    def branches(self) -> tuple[Branch, ...]:
        """What is said of each path. Raises DeclarationError."""
        others = [(OTHERS, self.others)] if self.others is not None else []
        return tuple(_branch(path, use) for path, use in [*self.paths, *others])

    @cached_property
    def root(self) -> Place:
        """The place where all paths begin."""
        return paths.way([paths.parse(branch.path) for branch in self.branches])

    @cached_property
    def _readers(self) -> list[Callable[[Any], Any] | None]:
        """The functions from a value at each path to its canonical value; None where nothing is kept."""
        return [_reader(branch.rule) if branch.rule else None for branch in self.branches]

    def canonical(self, value: msgspec.Raw | dict[str, Any], /) -> Kept:
        text = bytes(value) if isinstance(value, msgspec.Raw) else _encode(value)
        if len(text) > self.max_bytes:
            raise Rejected("too_long")
        try:
            tree = _decode(text)
        except RecursionError:
            raise Rejected("nested_too_deeply") from None
        except ValueError:
            raise Rejected("not_json") from None  # the cause may quote the value
        if not isinstance(tree, dict):
            raise Rejected("null" if tree is None else "wrong_type")
        return _Walk(self, self.root, self._readers).tree(tree)

    def mask(self, masks: Sequence[Mask]) -> "ByPath":
        """Return the mask of the tree itself, given those that a field has beside it. Raises DeclarationError."""
        if any(mask != Keep(mask.column) for mask in masks) or len(masks) > 1:
            raise DeclarationError('Tree has its masks inside, one for each path; beside it goes Keep("column") alone')
        return ByPath(masks[0].column if masks else None)

    def cell(self, value: Kept, /) -> Cell:
        raise TypeError("a tree is written by the masks of its paths")


@dataclass(frozen=True)
class ByPath(Mask):
    """A tree in a column of JSON, each value under the mask of its path."""

    def companions(self, field: str, rule: Rule) -> tuple[Mask, ...]:
        masks = [branch.mask for branch in rule.branches] if isinstance(rule, Tree) else []
        found = [find.mask for mask in masks if isinstance(mask, Scrub) for find in mask.finds]
        return tokens_inside(mask for mask in [*masks, *found] if isinstance(mask, Pseudonym))

    def over(self, writers: list[Writer]) -> Writer:
        """Return the function from a tree to its cell, given those of the branches."""

        def masked(shape: Shape) -> Any:
            if isinstance(shape, Leaf):
                return None if shape.value is None else json_member(writers[shape.branch](shape.value))
            if isinstance(shape, dict):
                return {key: masked(inner) for key, inner in shape.items()}
            return None if shape is None else [masked(inner) for inner in shape]

        return lambda kept: json_cell(masked(kept.shape))


class _Walk:
    """The way through one tree, which finds what is kept."""

    def __init__(self, rule: Tree, root: Place, readers: list[Callable[[Any], Any] | None]) -> None:
        self._rule, self._root, self._readers = rule, root, readers
        self._left = rule.max_keys

    def tree(self, members: dict[str, Any]) -> Kept:
        values, shape = self._object(members, self._root, self._rule.max_depth)
        return Kept(values, shape)

    def _value(self, value: Any, place: Place, levels: int) -> tuple[Any, Shape]:
        """Return what is kept of a value, and its shape, which is None where nothing is."""
        read = None if place.path is None else self._readers[place.path]
        if isinstance(value, (dict, list)) and not place.is_whole:  # `dict | list` is made anew each time
            return self._inner(value, place, levels, is_named=read is not None)
        if place.path is None or read is None:
            return None, None
        kept = None if value is None else read(value)
        return kept, Leaf(place.path, kept)

    def _inner(self, value: dict[str, Any] | list[Any], place: Place, levels: int, is_named: bool) -> tuple[Any, Shape]:
        """Return the same of an object or a list that is looked into."""
        if not levels:
            raise Rejected("nested_too_deeply")
        if isinstance(value, dict):
            members, shapes = self._object(value, place, levels)
            return (members, shapes) if shapes or is_named else (None, None)
        elements, of_elements = self._list(value, place, levels)
        is_left = is_named or any(shape is not None for shape in of_elements)
        return (elements, of_elements) if is_left else (None, None)

    def _object(self, members: dict[str, Any], place: Place, levels: int) -> tuple[dict[str, Any], dict[str, Shape]]:
        values: dict[str, Any] = {}
        shapes: dict[str, Shape] = {}
        named, other = place.named, place.other
        for key, member in members.items():
            following = named.get(key, other)
            if following is None:
                continue
            is_named = key in named
            try:
                value, shape = self._value(member, following, levels - 1)
                if shape is not None:
                    kept_key = key if is_named else self._key(key)
                    values[kept_key], shapes[kept_key] = value, shape
                    self._count()
            except OF_A_USERS_CODE as error:
                raise rejection_of(error).at(paths.pointer_of(key) if is_named else "/*") from None
        return values, shapes

    def _list(self, elements: list[Any], place: Place, levels: int) -> tuple[list[Any], list[Shape]]:
        values: list[Any] = []
        shapes: list[Shape] = []
        for index, element in enumerate(elements):
            following = place.named.get(str(index), place.other) if place.named else place.other
            value, shape = None, None
            if following is not None:
                try:
                    value, shape = self._value(element, following, levels - 1)
                    self._count()
                except OF_A_USERS_CODE as error:
                    raise rejection_of(error).at(f"/{index}") from None
            values.append(value)
            shapes.append(shape)
        return values, shapes

    def _key(self, key: str) -> str:
        return _storable(self._rule.keys.canonical(key) if self._rule.keys else key)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Rejected("too_many")


def leaves(shape: Shape) -> Iterator[Leaf]:
    """Yield all values of a tree that are not null."""
    if isinstance(shape, Leaf):
        if shape.value is not None:
            yield shape
    elif shape is not None:
        for inner in shape.values() if isinstance(shape, dict) else shape:
            yield from leaves(inner)


def _branch(path: str, use: Use) -> Branch:
    """Return what is said of a path. Raises DeclarationError."""
    steps = paths.parse(path)
    name = next((step for step in reversed(steps) if isinstance(step, str)), "")
    match use:
        case None:
            return Branch(path, name, None, Keep())
        case Mask():
            return _branch(path, (Scalar(), use))
        case Rule():
            return _branch(path, (use, Keep()))
        case (Rule() as rule, Mask() as mask):
            pass
        case _:
            raise DeclarationError(f"the path {path!r} needs a rule, a mask, or a rule and one mask")
    if isinstance(mask, Pseudonym) and mask.domain is None:
        if not name:
            raise DeclarationError(f'{path}: no key says what its tokens are of; name it: Pseudonym(domain="…")')
        mask = replace(mask, domain=name)
    return Branch(path, name, rule.in_json, mask)


def _check(branch: Branch) -> None:
    """Raise DeclarationError unless rule and mask can hold, and go together."""
    if branch.rule is None:
        return
    try:
        if isinstance(branch.rule, Tree):
            raise DeclarationError("a Tree goes in no Tree; name its paths in the outer one")
        if branch.path.endswith("/**") and not _is_scalar(branch.rule.accepts):
            raise DeclarationError(f"** leads to single values, which {type(branch.rule).__name__} does not take")
        if isinstance(branch.rule, Scalar) and isinstance(branch.mask, Truncate | Scrub):
            raise DeclarationError(f"{type(branch.mask).__name__} needs a rule beside it")
        branch.rule.check()
        branch.mask.check(branch.rule)
        if branch.mask.column and not isinstance(branch.mask, Pseudonym):
            raise DeclarationError(f"{type(branch.mask).__name__} names a column, but stays in that of the tree")
    except DeclarationError as error:
        raise DeclarationError(f"{branch.path}: {error}") from None


def _is_scalar(accepts: Any) -> bool:
    options = get_args(accepts) if get_origin(accepts) in (Union, UnionType) else (accepts,)
    return {*options} <= _SCALARS


def _reader(rule: Rule) -> Callable[[Any], Any]:
    """Return the function from a decoded value to the rule's canonical value. It raises Rejected."""
    accepts, make = rule.accepts, rule.canonical
    if accepts is wire.Numeric or isinstance(rule, Scalar):
        return make
    if accepts in (str, int, bool):

        def read_type(value: Any) -> Any:
            if type(value) is not accepts:
                raise Rejected("wrong_type")
            return make(value)

        return read_type
    decode = wire.decoder(accepts)

    def read_json(value: Any) -> Any:
        try:
            accepted = decode(_encode(value))
        except msgspec.ValidationError as error:
            raise _refusal(str(error)) from None
        return make(accepted)

    return read_json


def _refusal(message: str) -> Rejected:
    """Turn what the decoder says of a value into a rejection that names no key of it."""
    _, _, path = message.rpartition(" - at `$")
    indices = "".join(f"/{step}" for step in path.rstrip("`").strip("[]").split("][") if step.isdigit())
    return Rejected("null" if "got `null`" in message else "wrong_type", indices)


def _put(made: dict[str, Any], keys: list[str], value: Any) -> None:
    """Add a value to an object, unless something else is in its place or on the way."""
    *way, last = keys
    for key in way:
        made = made.setdefault(key, {})
        if not isinstance(made, dict):
            return
    made.setdefault(last, value)


def _count(value: Any) -> int:
    """Return how many keys and elements there are in a value."""
    if isinstance(value, dict):
        return len(value) + sum(map(_count, value.values()))
    return len(value) + sum(map(_count, value)) if isinstance(value, list) else 0


def _storable(text: str) -> str:
    if "\0" in text:
        raise Rejected("nul_character")
    return text
