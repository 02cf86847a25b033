"""A route is declared in one class: which key of a record says to which stream it goes."""

import json
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice import FROM_ENVELOPE, Part, Route, Stream, Text, eventbridge, json_lines, listed, plain, sns
from sluice.declaration import registry
from sluice.declaration.route import head_of, reader_of, records_of, stream_of, streams_of
from sluice.failures import DeclarationError, Rejected
from tests.unit.routes import CALLS, TRACKS, declare_route


class Track(Stream, table="tracks"):
    id: Annotated[str, Text(max=64)]


class Many(Stream, table="many", records=listed("all")):
    id: Annotated[str, Text(max=64)]


class Around(Part):
    source: Annotated[str, Text(max=64)]


class Enveloped(Stream, table="enveloped", envelope=eventbridge):
    id: Annotated[str, Text(max=64)]
    around: Annotated[Around, FROM_ENVELOPE]


class Calls(Route, by="type"):
    to: ClassVar = {"track": Track, "many": Many, "screen": Track}


class Deep(Route, by="detail.type", envelope=sns):
    to: ClassVar = {"track": Track}


class Lines(Route, by="type", records=json_lines):
    to: ClassVar = {"track": Track}


@pytest.mark.parametrize(
    ("to", "options", "told"),
    [
        *[
            ({"a": Track}, {"by": by}, 'by names the key that decides, as in by="type" or by="detail.type"')
            for by in ("", ".", "a.", "a..b", 1)
        ],
        *[
            (to, {"by": "type"}, 'to names a stream\'s class for each value, as in to = {"track": Track}')
            for to in (None, {}, [Track], {"a": "tracks"}, {1: Track}, {"a": Stream}, {"a": Around}, {"a": Calls})
        ],
        ({"a": Track}, {"by": "type", "envelope": "sns"}, "the envelope must be a function, such as sluice.sns"),
        (
            {"a": Track, "b": Many},
            {"by": "type", "records": json_lines},
            "the route and Many have records=, one of them must not",
        ),
        (
            {"a": Enveloped},
            {"by": "type"},
            "Enveloped reads what is around its records, but the route names no envelope",
        ),
    ],
)
def test_a_wrong_route_is_a_declaration_error_that_says_what_to_change(
    to: object, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        type("Bad", (Route,), {"to": to}, **options)
    assert str(caught.value) == f"Bad: {told}"


@pytest.mark.parametrize("by", ["\ud800", "a\0", 'a."b"'])
def test_a_key_that_cannot_be_read_is_a_declaration_error(by: str) -> None:
    with pytest.raises(DeclarationError, match=r"^Bad: by cannot read a key: "):
        type("Bad", (Route,), {"to": {"a": Track}}, by=by)


@pytest.mark.parametrize("options", [{"records": 1}, {"ignore": 1}, {"ignore": ({},)}])
def test_records_and_ignore_are_checked_as_those_of_a_stream(options: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError) as of_route:
        type("Bad", (Route,), {"to": {"a": Track}}, by="type", **options)
    with pytest.raises(DeclarationError) as of_stream:
        type("Bad", (Stream,), {"__module__": __name__}, table="bad", **options)
    assert str(of_route.value) == str(of_stream.value)


def test_a_route_brings_its_streams_as_its_queue_has_their_records() -> None:
    assert Calls.streams() == (Calls.brought["track"], Calls.brought["many"])
    assert Calls.brought["track"] is Calls.brought["screen"]
    (deep,), (line,) = Deep.streams(), Lines.streams()
    assert issubclass(deep, Track) and (deep.stream_name, deep.table) == (Track.stream_name, "tracks")
    assert (deep.unwrap.__name__, line.unwrap.__name__, Track.unwrap.__name__) == ("sns", "plain", "plain")
    assert (deep.splitter, line.splitter) == (None, Lines.head.splitter)
    assert streams_of(Track) == (Track,) and head_of(Track) is Track and head_of(Deep) is Deep.head


@pytest.mark.parametrize(
    ("body", "reason", "pointer"),
    [
        ("{}", "missing", "/detail"),
        ('{"detail": null}', "null", "/detail"),
        ('{"detail": ["kn4ry"]}', "wrong_type", "/detail"),
        ('{"detail": {}}', "missing", "/detail/type"),
        ('{"detail": {"type": null}}', "null", "/detail/type"),
        ('{"detail": {"type": 1}}', "wrong_type", "/detail/type"),
        ('{"detail": {"type": true}}', "wrong_type", "/detail/type"),
        ('{"detail": {"type": {"kn4ry": 1}}}', "wrong_type", "/detail/type"),
        ('{"detail": {"type": ""}}', "not_a_choice", "/detail/type"),
        ('{"detail": {"type": "Track"}}', "not_a_choice", "/detail/type"),
        ('{"detail": {"type": " track"}}', "not_a_choice", "/detail/type"),
        ('{"detail": {"type": "kn4ry"}}', "not_a_choice", "/detail/type"),
        ('{"detail": {"type": "\\ud800"}}', "not_json", ""),
        ("[]", "not_an_object", ""),
        ("kn4ry", "not_json", ""),
        ("", "not_json", ""),
    ],
)
def test_a_record_that_does_not_say_where_it_goes_is_refused_at_the_key(body: str, reason: str, pointer: str) -> None:
    with pytest.raises(Rejected) as caught:
        stream_of(Deep, body, plain)
    assert (caught.value.reason, caught.value.pointer) == (reason, pointer)
    assert caught.value.__cause__ is None and "kn4ry" not in str(caught.value)
    assert reader_of(Deep, plain)(body) is Deep.head


@given(value=st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.sampled_from([*Calls.to])))
@settings(max_examples=60)
def test_a_record_goes_to_the_stream_of_its_value_and_to_no_other(value: object) -> None:
    body = json.dumps({"type": value, "more": 1})
    stream = reader_of(Calls)(body)
    assert stream is (Calls.brought[value] if value in ("track", "many", "screen") else Calls.head)


def test_of_several_records_in_a_message_each_has_its_stream() -> None:
    line, other = '{"type": "track", "id": "1"}', '{"type": "kn4ry"}'
    assert records_of(Lines, f"{line}\n{other}") == [(Lines.streams()[0], line), (Lines.head, other)]
    body = '{"type": "many", "all": [{"id": "1"}, {"id": "2"}]}'
    many = Calls.brought["many"]
    assert records_of(Calls, body) == [(many, '{"id": "1"}'), (many, '{"id": "2"}')]
    assert records_of(Track, line) == [(Track, line)]


# By the names of modules


def test_a_route_is_loaded_by_the_name_of_its_module_and_is_no_stream(declare: Callable[[str, str], None]) -> None:
    declare_route(declare)
    route = registry.load_queued("calls")
    assert issubclass(route, Route) and route.stream_name == "calls"
    assert [stream.stream_name for stream in route.streams()] == ["users", "tracks"]
    assert [stream.stream_name for stream in registry.load_all()] == ["tracks", "users"]
    assert registry.names() == ["calls", "tracks", "users"]
    with pytest.raises(DeclarationError, match=r"^calls: declares a route, no stream$"):
        registry.load("calls")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("calls", CALLS.replace("streams.users", "streams.nobody"), r"calls\.py, line \d: ModuleNotFoundError: .*"),
        ("calls", CALLS + TRACKS, "calls: must declare one stream or one route, declares 2"),
        (
            "calls",
            CALLS.replace("streams.tracks", "streams._tracks"),
            "calls: Calls leads to Track, which must be declared in a module of its own",
        ),
    ],
)
def test_a_route_that_cannot_be_followed_is_a_declaration_error(
    name: str, text: str, told: str, declare: Callable[[str, str], None]
) -> None:
    declare_route(declare)
    declare("_tracks", TRACKS)
    declare(name, text)
    with pytest.raises(DeclarationError, match=f"^{told}$"):
        registry.load_queued(name)
