"""What is kept of a tree: the way through one, which reads each value that a path leads to."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from sluice.declaration import canonical, paths, wire
from sluice.declaration.paths import Place
from sluice.declaration.rules.rule import Rule
from sluice.declaration.rules.scalar import Scalar
from sluice.failures import OF_A_USERS_CODE, Rejected, rejection_of

type Reader = Callable[[Any], Any]  # from a decoded value to its canonical value; it raises Rejected

encode = msgspec.json.Encoder(decimal_format="number").encode


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


def leaves(shape: Shape) -> Iterator[Leaf]:
    """Yield all values of a tree that are not null."""
    if isinstance(shape, Leaf):
        if shape.value is not None:
            yield shape
    elif shape is not None:
        for inner in shape.values() if isinstance(shape, dict) else shape:
            yield from leaves(inner)


class Walk:
    """The way through one tree, which finds what is kept."""

    def __init__(self, readers: Sequence[Reader | None], keys: Rule | None, most: int) -> None:
        """`readers` are by path, None where nothing is kept; `keys` is the rule of kept keys that no path names."""
        self._readers, self._keys = readers, keys
        self._left = most  # keys and elements

    def tree(self, members: dict[str, Any], root: Place, levels: int) -> Kept:
        """Return what is kept of an object. Raises Rejected."""
        return Kept(*self._object(members, root, levels))

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
        return canonical.storable(self._keys.canonical(key) if self._keys else key)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Rejected("too_many")


def reader(rule: Rule) -> Reader:
    """Return the function from a decoded value to the rule's canonical value."""
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
            accepted = decode(encode(value))
        except msgspec.ValidationError as error:
            raise _refusal(str(error)) from None
        return make(accepted)

    return read_json


def _refusal(message: str) -> Rejected:
    """Turn what the decoder says of a value into a rejection that names no key of it."""
    _, _, path = message.rpartition(" - at `$")
    indices = "".join(f"/{step}" for step in path.rstrip("`").strip("[]").split("][") if step.isdigit())
    return Rejected("null" if "got `null`" in message else "wrong_type", indices)
