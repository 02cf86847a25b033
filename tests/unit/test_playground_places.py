"""A pointer is found in a text wherever the value stands, and a text in parts is the text."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration.paths import pointer_of
from tools.console.playground import marks
from tools.console.playground.marks import Mark
from tools.console.playground.places import Found, Piece, Span

SPACES = st.text(" \t\n\r", max_size=3)
KEYS = st.text(max_size=4) | st.sampled_from(["a", "b", "~1/"])  # so that some come twice
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
DOCUMENTS: Any = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(KEYS, inner), max_size=4).map(tuple)
)  # an object is a tuple of its members

type Places = dict[str, list[Span]]


def spelled(document: Any, start: int, pointer: str, places: Places, draw: Callable[[Any], Any]) -> str:
    """Return a document as JSON with white space anywhere, and note where each value stands."""
    if isinstance(document, list | tuple):
        text: str = "[{"[isinstance(document, tuple)] + draw(SPACES)
        for number, one in enumerate(document):
            key, value = one if isinstance(document, tuple) else (str(number), one)
            text += ("," if number else "") + draw(SPACES)
            if isinstance(document, tuple):
                text += json.dumps(key, ensure_ascii=draw(st.booleans())) + draw(SPACES) + ":" + draw(SPACES)
            text += spelled(value, start + len(text), pointer + pointer_of(key), places, draw) + draw(SPACES)
        text += "]}"[isinstance(document, tuple)]
    else:
        text = json.dumps(document, ensure_ascii=draw(st.booleans()))
    places.setdefault(pointer, []).append((start, start + len(text)))
    return text


@st.composite
def texts(draw: Callable[[Any], Any]) -> tuple[str, Places]:
    places: Places = {}
    before = draw(SPACES)
    return before + spelled(draw(DOCUMENTS), len(before), "", places, draw) + draw(SPACES), places


@given(texts())
def test_every_pointer_leads_to_all_places_of_its_value(document: tuple[str, Places]) -> None:
    text, places = document
    piece = Piece.of(text)
    for pointer, spans in places.items():
        assert piece.find(pointer) == Found(sorted(spans))


@given(texts(), st.booleans(), st.booleans())
def test_a_place_inside_of_a_string_is_where_that_is_spelled(
    document: tuple[str, Places], is_ascii: bool, is_twice: bool
) -> None:
    inner, places = document
    text = json.dumps({"Message": inner}, ensure_ascii=is_ascii)
    if is_twice:
        text = json.dumps({"Records": [{"body": text}]}, indent=2)
        body = Piece.of(text).within("/Records/0/body")
        assert body is not None
    else:
        body = Piece.of(text)
    piece = body.within("/Message")
    assert piece is not None and piece.text == inner
    for pointer, spans in places.items():
        found = [text[start:end] for start, end in piece.find(pointer).spans]
        for _ in range(1 + is_twice):
            found = [json.loads(f'"{one}"') for one in found]
        assert found == [inner[start:end] for start, end in sorted(spans)]


@pytest.mark.parametrize(
    ("text", "pointer", "around"),
    [
        ('{"a": {"b": 1}}', "/a/c", '{"b": 1}'),
        ('{"a": {"b": 1}}', "/c", '{"a": {"b": 1}}'),
        ('{"a": [1, 2]}', "/a/2", "[1, 2]"),
        ('{"a": "x"}', "/a/b", '"x"'),
        ('{"a": {"b": 1}, "a": {}}', "/a/c", "{}"),
        ("[]", "/0", "[]"),
        ("1", "/a", "1"),
    ],
)
def test_of_an_absent_value_it_is_the_place_of_what_is_around(text: str, pointer: str, around: str) -> None:
    found = Piece.of(text).find(pointer)
    assert found.is_around
    assert [text[start:end] for start, end in found.spans] == [around]
    assert Piece.of(text).within(pointer) is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1,}', 8),
        ('{"ä": 1,,}', 8),
        ('{"a" 1}', 5),
        ('{"a": "x', 7),
        ('{"a": 1}}', 8),
        ("kn4ry", 0),
        ('{"a": "\n"}', 7),
        ('{"😀": tru}', 9),
    ],
)
def test_a_text_that_is_no_json_is_marked_where_it_ceases_to_be_any(text: str, place: int) -> None:
    assert Piece.of(text).find("/a") == Found([(place, place + 1)])


def test_nothing_can_be_marked_in_no_text() -> None:
    assert Piece.of("").find("") == Found([])
    assert marks.lines("", []) == [marks.Line(1, (), False)]


def test_a_text_that_is_nested_too_deeply_to_be_decoded_has_its_places_too() -> None:
    text = "[" * 50_000 + "1" + "]" * 50_000
    assert Piece.of(text).find("/0" * 50_000) == Found([(50_000, 50_001)])


@given(st.text() | st.text('{}[]":,\\u0 1'), st.text("/ab01~"))
def test_any_text_and_any_pointer_lead_to_places_inside_of_the_text(text: str, pointer: str) -> None:
    for start, end in Piece.of(text).find(pointer).spans:
        assert 0 <= start < end <= len(text)


@given(st.text("ab\n", max_size=80), st.lists(st.tuples(st.integers(0, 79), st.integers(1, 9), st.booleans())))
def test_the_parts_of_all_lines_are_the_text_and_each_mark_begins_once(
    text: str, places: list[tuple[int, int, bool]]
) -> None:
    noted = [
        Mark(number, Found([(start, min(start + length, len(text)))], is_around))
        for number, (start, length, is_around) in enumerate(places, 1)
        if start < len(text)
    ]
    lines = marks.lines(text, noted)
    if text.count("\n") >= marks.WHOLE:
        return
    told = ["".join(part.text for part in line.segments if part.text != "↵") for line in lines]
    assert "\n".join(told) == text
    begins = [number for line in lines for part in line.segments for number in part.begins]
    assert sorted(begins) == [mark.number for mark in noted]
    exact = {index for mark in noted if not mark.found.is_around for index in range(*mark.found.spans[0])}
    marked = sum(len(part.text) for line in lines for part in line.segments if part.kind == "place")
    assert marked >= len([index for index in exact if text[index] != "\n"])


def test_a_long_text_is_shown_near_its_marks_alone() -> None:
    text = "".join(f"line {number}\n" for number in range(1, 1001))
    start = text.index("line 500")
    lines = marks.lines(text, [Mark(1, Found([(start, start + 4)]))])
    assert [line.number for line in lines] == [498, 499, 500, 501, 502]
    assert [line.is_after_gap for line in lines] == [True, False, False, False, False]
    assert lines[2].segments == (marks.Segment("line", "place", (1,)), marks.Segment(" 500", "", ()))


def test_a_position_is_told_in_lines_and_columns() -> None:
    text = 'ä{\n"b": 1}'
    assert marks.position(text, (1, 2)) == "line 1, column 2"
    assert marks.position(text, (3, 6)) == "line 2, column 1–3"
    assert marks.position(text, (1, len(text))) == "lines 1–2"
