"""The diagrams of the pages are Mermaid's, as far as can be told without a browser; the site draws them."""

import re

import pytest

from tests.documentation import ROOT, blocks

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
DIAGRAMS = [(page.name, text) for page in PAGES for text in blocks(page, "mermaid")]
CLOSING = {"(": ")", "[": "]", "{": "}"}
MESSAGE = re.compile(r"\s*(\w+)--?>>(\w+): \S")


@pytest.mark.parametrize(("page", "text"), DIAGRAMS, ids=range(len(DIAGRAMS)))
def test_a_diagram_can_be_drawn(page: str, text: str) -> None:
    kind, *lines = text.splitlines()
    if kind == "sequenceDiagram":
        assert unread_in_sequence(lines) == []
    else:
        assert kind in ("flowchart LR", "flowchart TD")
        assert [line for line in lines if not is_balanced(line)] == []


def unread_in_sequence(lines: list[str]) -> list[str]:
    """Return the lines that are no part of a sequence diagram, or speak of a participant that is none."""
    known: set[str] = set()
    unread, depth = [], 0
    for line in lines:
        word, *rest = line.split()
        if word in ("participant", "actor"):
            known.add(rest[0])
        elif word in ("loop", "alt", "opt"):
            depth += 1
        elif word == "end":
            depth -= 1
        elif word == "Note":
            names = re.search(r"over ([\w,]+):", line)
            if names is None or not set(names[1].split(",")) <= known:
                unread.append(line)
        elif (message := MESSAGE.match(line)) is None or not set(message.groups()) <= known:
            unread.append(line)
    return [*unread, *["end"] * depth]


def is_balanced(line: str) -> bool:
    """Tell whether every bracket of a line is closed, outside of quotes, and every quote."""
    open_brackets = []
    for character in re.sub(r'"[^"]*"', "", re.sub(r"-\.?-?>|--", " ", line)):
        if character in CLOSING:
            open_brackets.append(CLOSING[character])
        elif character in CLOSING.values() and (not open_brackets or open_brackets.pop() != character):
            return False
    return not open_brackets and line.count('"') % 2 == 0


@pytest.mark.parametrize(
    ("lines", "unread"),
    [
        (["participant A", "participant B", "A->>B: go"], []),
        (["participant A", "A->>B: go"], ["A->>B: go"]),
        (["participant A", "A->A: go"], ["A->A: go"]),
        (["participant A", "loop each", "A->>A: go"], ["end"]),
        (["participant A", "Note over A,B: so"], ["Note over A,B: so"]),
    ],
)
def test_a_sequence_that_cannot_be_drawn_is_found(lines: list[str], unread: list[str]) -> None:
    assert unread_in_sequence(lines) == unread


@pytest.mark.parametrize("line", ["a[(b]", 'a["b]', "a --> b)"])
def test_a_flow_that_cannot_be_drawn_is_found(line: str) -> None:
    assert not is_balanced(line)
