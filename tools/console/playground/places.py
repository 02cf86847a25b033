"""Places: where in the text that a person typed the value stands that a JSON pointer names."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import msgspec

from sluice.declaration.paths import keys_of

_TOKEN = re.compile(r'[ \t\n\r]*("[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^ \t\n\r{}\[\],:"]+)', re.DOTALL)
_IN_STRING = re.compile(r"[^\\]+|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.", re.DOTALL)

type Span = tuple[int, int]  # indices in the typed text, the second one behind the last character


class Node(NamedTuple):
    """A value of JSON: where it stands, and what is in it."""

    start: int
    end: int
    children: Mapping[str, Sequence["Node"]]  # by key, or by index as a text; several where a key comes again


class Found(NamedTuple):
    """Where a value stands. A key that comes again gives several places."""

    spans: Sequence[Span]
    is_around: bool = False  # the value is absent: the place is that of the object or list around it


@dataclass(frozen=True)
class Piece:
    """A text that stands in the typed text, as it is or as the content of a JSON string. It is clear personal data."""

    text: str = field(repr=False)
    at: Sequence[int] = field(repr=False)  # index in the typed text of each character, and of what is behind the last

    @classmethod
    def of(cls, typed: str) -> "Piece":
        """Return the typed text itself."""
        return cls(typed, range(len(typed) + 1))

    def cut(self, start: int, end: int) -> "Piece":
        """Return the part between two indices of this text."""
        return Piece(self.text[start:end], self.at[start : end + 1])

    def stripped(self, characters: str | None = None) -> "Piece":
        """Return the text without surrounding white space, or without these characters around it."""
        start = len(self.text) - len(self.text.lstrip(characters))
        return self.cut(start, max(start, len(self.text.rstrip(characters))))

    def lines(self) -> list["Piece"]:
        """Return the lines, the empty ones too."""
        found, start = [], 0
        for line in self.text.split("\n"):
            found.append(self.cut(start, start + len(line)))
            start += len(line) + 1
        return found

    def within(self, pointer: str) -> "Piece | None":
        """Return what the pointer names: the content of a string, or the JSON of another value; None: it is absent."""
        nodes, is_around = self._nodes(pointer)
        if not nodes or is_around:
            return None
        node = nodes[-1]
        return self._content(node) if self.text[node.start] == '"' else self.cut(node.start, node.end)

    def find(self, pointer: str) -> Found:
        """Return where the pointer's value stands. In a text that is no JSON, that is where it ceases to be any."""
        if (index := self._broken_at) is not None:
            index = min(index, len(self.text) - 1)  # what is cut off breaks at its last character
            return Found([self._span(index, index + 1)] if self.text else [])
        nodes, is_around = self._nodes(pointer)
        return Found([self._span(node.start, node.end) for node in nodes], is_around)

    @property
    def whole(self) -> Found:
        """Where the text itself stands."""
        return Found([self._span(0, len(self.text))] if self.text else [])

    @cached_property
    def _broken_at(self) -> int | None:
        """The index of the first character that JSON does not have there; None: the text is JSON."""
        encoded = self.text.encode(errors="surrogatepass")
        try:
            msgspec.json.decode(encoded)
        except msgspec.DecodeError as error:
            told = re.search(r"\(byte (\d+)\)$", str(error))
            return len(encoded[: int(told[1])].decode(errors="ignore")) if told else len(self.text)
        except UnicodeDecodeError as error:
            return len(encoded[: error.start].decode(errors="ignore"))
        except RecursionError:  # it is too deep for msgspec, not for this module
            return None
        return None

    @cached_property
    def _root(self) -> Node | None:
        return None if self._broken_at is not None else _parse(self.text)

    def _nodes(self, pointer: str) -> tuple[Sequence[Node], bool]:
        """Return the values that the pointer names; if there are none, the last value on the way, and True."""
        nodes: Sequence[Node] = [self._root] if self._root else []
        for key in keys_of(pointer):
            below = [child for node in nodes for child in node.children.get(key, ())]
            if not below:
                return nodes[-1:], True
            nodes = below
        return nodes, False

    def _content(self, node: Node) -> "Piece":
        """Return what a string says, with the place of each character."""
        characters: list[str] = []
        at: list[int] = []
        for match in _IN_STRING.finditer(self.text, node.start + 1, node.end - 1):
            if match[0][0] == "\\":
                characters.append(json.loads(f'"{match[0]}"'))
                at.append(self.at[match.start()])
            else:
                characters.append(match[0])
                at.extend(self.at[match.start() : match.end()])
        return Piece("".join(characters), [*at, self.at[node.end - 1]])

    def _span(self, start: int, end: int) -> Span:
        return self.at[start], self.at[end]


class _Open(NamedTuple):
    """An object or a list whose end has not come yet."""

    start: int
    children: dict[str, list[Node]]
    keys: list[str] | None  # the key whose value comes next, if it is an object


def _parse(text: str) -> Node | None:
    """Return the value of a text that is JSON, without recursion: however deep it is."""
    stack: list[_Open] = []
    for token in _TOKEN.finditer(text):
        start, end = token.span(1)
        match token[1]:
            case "," | ":":
                continue
            case "{" | "[":
                stack.append(_Open(start, {}, [] if token[1] == "{" else None))
                continue
            case "}" | "]":
                if not stack:
                    return None
                opened = stack.pop()
                node = Node(opened.start, end, opened.children)
            case string if stack and stack[-1].keys == [] and string.startswith('"'):
                stack[-1].keys.append(_key(string))
                continue
            case _:
                node = Node(start, end, {})
        if not stack:
            return node
        around = stack[-1]
        key = str(len(around.children)) if around.keys is None else "".join(around.keys)
        around.children.setdefault(key, []).append(node)
        if around.keys is not None:
            around.keys.clear()
    return None


def _key(string: str) -> str:
    try:
        return str(json.loads(string))
    except ValueError:  # behind what was too deep to be looked at
        return string
