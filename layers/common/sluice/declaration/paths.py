"""Paths into JSON: which of several paths a place goes by. The way is made once, and followed key by key.

A path is a JSON pointer (RFC 6901). `*` is any key or index, `**` any number of steps, none too. A key that is itself
`*` is written `~*`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

from sluice.failures import DeclarationError

MOST_PLACES = 1000  # that paths with `**` can be combined to


class Wild(Enum):
    """A step that is no key."""

    STEP = "*"
    STEPS = "**"


type Step = str | Wild
type State = frozenset[tuple[int, int]]  # how far each path has come


@dataclass(eq=False, slots=True)
class Place:
    """A place in JSON, as far as the paths tell it from others."""

    path: int | None  # which of the paths is the place's own, the most specific one; None: none
    is_whole: bool = False  # its path is more specific than all that lead on, so what is below it is not looked at
    named: Mapping[str, "Place"] = field(default_factory=dict)  # by key, or index as a text
    other: "Place | None" = None  # of all other keys


def pointer_of(key: str) -> str:
    """Return the JSON pointer to a member of an object (RFC 6901)."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def keys_of(pointer: str) -> list[str]:
    """Return the keys and indices that a JSON pointer consists of."""
    return [_key(step) for step in pointer.split("/")[1:]]


def with_any_index(pointer: str) -> str:
    """Return a pointer as declarations have it: with `*` in the place of each index."""
    return re.sub(r"/\d+(?=/|$)", "/*", pointer)


def parse(path: str) -> tuple[Step, ...]:
    """Return the steps of a path. Raises DeclarationError."""
    if not path.startswith("/"):
        raise DeclarationError(f"the path {path!r} must begin with /")
    steps = tuple(map(_step, path[1:].split("/")))
    if (Wild.STEPS, Wild.STEPS) in pairwise(steps):
        raise DeclarationError(f"the path {path!r} has ** twice in a row; once says the same")
    if "\0" in path:
        raise DeclarationError("a path has U+0000, which PostgreSQL does not store")
    return steps


def way(paths: Sequence[tuple[Step, ...]]) -> Place:
    """Return the place where all paths begin. Raises DeclarationError where there are too many ways on from there.

    The last step in which two paths differ says which one is more specific: a key is more so than `*`, and that more
    than `**`. If two are alike, the earlier one wins.
    """
    order = sorted(range(len(paths)), key=lambda path: _specificity(paths[path]), reverse=True)
    rank = {path: number for number, path in enumerate(order)}
    places: dict[State, Place] = {}

    def place(state: State) -> Place | None:
        if not state:
            return None
        if state not in places:
            if len(places) == MOST_PLACES:
                raise DeclarationError("the paths can be combined in too many ways; use fewer with **")
            ends = [path for path, step in state if step == len(paths[path])]
            own = min(ends, key=rank.__getitem__, default=None)
            places[state] = Place(own, own is not None and _specificity(paths[own]) > _leading(paths, state))
            waiting.append(state)
        return places[state]

    waiting: list[State] = []
    root = place(_with_no_steps(paths, {(path, 0) for path in range(len(paths))}))
    while waiting:
        state = waiting.pop()
        steps = {paths[path][step] for path, step in state if step < len(paths[path])}
        keys = {step for step in steps if isinstance(step, str)}
        following = {key: place(_after(paths, state, key)) for key in keys}
        places[state].named = {key: found for key, found in following.items() if found}
        places[state].other = place(_after(paths, state, None))
    return root or Place(None)  # there is no path


def _step(text: str) -> Step:
    if text in ("*", "**"):
        return Wild(text)
    if re.search("~(?![01*])", text):
        raise DeclarationError(f"the step {text!r} of a path must write ~ as ~0")
    return _key(text.replace("~*", "*"))


def _key(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def _specificity(steps: tuple[Step, ...]) -> tuple[int, ...]:
    return tuple(2 if isinstance(step, str) else 1 if step is Wild.STEP else 0 for step in reversed(steps))


def _leading(paths: Sequence[tuple[Step, ...]], state: State) -> tuple[int, ...]:
    """Return how specific the way is up to here of those paths that lead on: the greatest of all."""
    ways = [(paths[path], step) for path, step in state if step < len(paths[path])]
    come = [steps[:step] for steps, step in ways] + [
        steps[: step + 1] for steps, step in ways if steps[step] is Wild.STEPS
    ]
    return max(map(_specificity, come), default=())


def _after(paths: Sequence[tuple[Step, ...]], state: State, key: str | None) -> State:
    """Return how far the paths have come after a key; None is one that none of them names."""
    come = set()
    for path, step in state:
        if step < len(paths[path]):
            expected = paths[path][step]
            if expected is Wild.STEPS:
                come.add((path, step))
            elif expected is Wild.STEP or expected == key:
                come.add((path, step + 1))
    return _with_no_steps(paths, come)


def _with_no_steps(paths: Sequence[tuple[Step, ...]], come: set[tuple[int, int]]) -> State:
    """Return the same with each `**` passed over too."""
    passed = {(path, step + 1) for path, step in come if step < len(paths[path]) and paths[path][step] is Wild.STEPS}
    return frozenset(come | passed)
