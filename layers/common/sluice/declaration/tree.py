"""Trees: JSON with any keys, of which a declaration names what is kept, each value by its path."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from types import NoneType, UnionType
from typing import Any, ClassVar, NamedTuple, Union, get_args, get_origin

import msgspec

from sluice.declaration import kept, paths, wire
from sluice.declaration.inside import tokens_inside
from sluice.declaration.kept import Kept, Leaf, Shape
from sluice.declaration.masks import Keep, Mask, Pseudonym, Truncate, Writer
from sluice.declaration.paths import Place
from sluice.declaration.rules.rule import Rule, check_whole
from sluice.declaration.rules.scalar import Scalar
from sluice.declaration.scrub import Scrub
from sluice.failures import DeclarationError, Rejected
from sluice.postgres.cells import Cell, json_cell, json_member

type Use = Rule | Mask | tuple[Rule, Mask] | None  # what becomes of a value

OTHERS = "/**"
DEEPEST = 100  # levels; Python's own stack ends at 1,000

_decode = msgspec.json.Decoder(float_hook=wire.exact).decode
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
        is_small = len(kept.encode(made)) <= self.max_bytes and _count(made) <= self.max_keys
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
        check_whole(self, "max_depth", "max_bytes", "max_keys")
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
    def _readers(self) -> list[kept.Reader | None]:
        """The functions from a value at each path to its canonical value; None where nothing is kept."""
        return [kept.reader(branch.rule) if branch.rule else None for branch in self.branches]

    def canonical(self, value: msgspec.Raw | dict[str, Any], /) -> Kept:
        text = bytes(value) if isinstance(value, msgspec.Raw) else kept.encode(value)
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
        return kept.Walk(self._readers, self.keys, self.max_keys).tree(tree, self.root, self.max_depth)

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

        return lambda value: json_cell(masked(value.shape))


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
