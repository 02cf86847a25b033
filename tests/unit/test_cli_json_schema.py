"""`sluice describe --json-schema`: what validates is accepted, and what is accepted validates."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sluice.declaration import canonical
from sluice.declaration.registry import load_all
from sluice.declaration.rules import Integer, Number, Rule, Text, Timestamp
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.unit.cli import STREAM, in_envelope, run
from tests.unit.fakes import KEYSET
from tests.unit.kinds import KINDS, PLACES, Place
from tools.sluice_cli.authors import json_schema
from tools.sluice_cli.authors.generator import Generator

RULES: dict[str, Rule] = {name: kind.rule for name, kind in KINDS.items()} | {
    "integer as text": Integer(min=-9, max=9, text=True),
    "bigint": Integer(),
    "whole number": Number(precision=3, scale=0),
    "long text": Text(max=200),
    "bounded": Timestamp(earliest=datetime(1900, 1, 1, tzinfo=UTC), latest=datetime(2000, 1, 1, tzinfo=UTC)),
}
EXACT = ("text", "long text", "ip address", "integer", "bigint", "boolean", "choice", "uuid")  # the schema says it all
SPELLINGS = [json.loads(kind.given) for kind in KINDS.values()]
PATTERNS = (json_schema.UUID, json_schema.VERSION, json_schema.NUMBER, json_schema.EMAIL)

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from([one for one in SPELLINGS if isinstance(one, str)]),
    *(st.from_regex(pattern, fullmatch=True) for pattern in PATTERNS),
    st.ip_addresses().map(str),
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    st.integers(-(10**12), 10**12).map(str),
)
values = st.one_of(
    texts,
    st.integers(),
    st.integers(-12, 12),
    st.integers(-(10**13), 10**13),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.lists(texts, max_size=2),
    st.just({}),
)


def validator(stream: type[Stream]) -> Draft202012Validator:
    schema = json_schema.of_stream(stream)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def is_accepted(mask: Callable[[str], Any], record: object) -> bool:
    try:
        mask(json.dumps(record))
    except Rejected:
        return False
    return True


def in_canonical_form(value: object) -> object:
    """Return a value in NFC and without white space around it, wherever it is a text."""
    if isinstance(value, list):
        return [in_canonical_form(one) for one in value]
    if isinstance(value, dict):
        return {name: in_canonical_form(one) for name, one in value.items()}
    try:
        return canonical.text(value) if isinstance(value, str) else value
    except Rejected:
        return value


OF_RECORD = {name: place for name, place in PLACES.items() if name != "envelope"}  # which is no part of the record


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(place, id=name, marks=[pytest.mark.long] * (number > 0))
        for number, (name, place) in enumerate(OF_RECORD.items())
    ],
)
@pytest.mark.parametrize("name", RULES)
def test_what_validates_is_accepted_and_what_is_accepted_validates(name: str, place: Place) -> None:
    stream = place.declare(RULES[name])
    check, mask = validator(stream), stream.masker(Keyset.parse(KEYSET))

    @settings(max_examples=40)
    @given(values)
    def holds(value: object) -> None:
        record = json.loads(place.record(json.dumps(value), json.dumps(value)))
        accepted = is_accepted(mask, record)
        assert not accepted or check.is_valid(in_canonical_form(record))
        is_whole_float = isinstance(value, float) and value.is_integer()  # an integer for JSON Schema, none on the wire
        if name in EXACT and not is_whole_float:
            normal = in_canonical_form(record)  # NFC makes some few texts longer
            assert accepted or not check.is_valid(record) or not check.is_valid(normal)

    holds()


@pytest.mark.parametrize("stream", load_all(), ids=lambda stream: stream.stream_name)
def test_the_samples_of_a_stream_validate(stream: type[Stream]) -> None:
    source, check = Generator(stream, random.Random(1)), validator(stream)
    for number in range(50):
        check.validate(json.loads(source.body(is_complete=number == 0)))


def test_the_schema_tells_what_must_be_there_what_may_be_null_and_the_defaults(
    declare: Callable[[str, str], None],
) -> None:
    declare("visits", in_envelope("sns"))
    code, output, errors = run("describe", "visits", "--json-schema")
    schema = json.loads(output)
    assert (code, errors) == (0, "")
    guest, stops = schema["properties"]["guest"], schema["properties"]["stops"]
    assert {key: value for key, value in schema.items() if key != "properties"} == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "visits",
        "description": "A visit, as the door sends it.",
        "$comment": "This is the record inside of the envelope sns.",
        "type": "object",
        "required": ["kind", "version", "guest"],
        "additionalProperties": True,
    }
    assert schema["properties"]["kind"] == {
        "type": "string",
        "enum": ["in", "out"],
        "description": 'OneOf(choices=["in", "out"])',
    }
    assert (guest["required"], guest["additionalProperties"]) == (["email"], True)
    nickname = guest["properties"]["nickname"]
    assert (nickname["anyOf"][0]["maxLength"], nickname["anyOf"][1]) == (20, {"type": "null"})
    assert nickname["default"] is None
    assert (stops["type"], stops["default"], stops["items"]["required"]) == ("array", [], ["room", "badge"])
    assert schema["properties"]["mails"]["maxItems"] == 3


@pytest.mark.parametrize(
    ("accepts", "schema"),
    [
        ("int", {"type": "integer"}),
        ("dict[str, int]", {"type": "object", "additionalProperties": {"type": "integer"}}),
        ("list[Guest]", {}),
    ],
)
def test_a_rule_of_ones_own_tells_the_type_that_it_gets(
    accepts: str, schema: dict[str, object], declare: Callable[[str, str], None]
) -> None:
    rule = f"class Own(Rule):\n    accepts = {accepts}\n\n\n"
    text = STREAM.replace("    Redact,\n", "    Redact,\n    Rule,\n").replace("class Seat", f"{rule}class Seat")
    declare("visits", text.replace("badge: Annotated[str, Text(max=20)", f"badge: Annotated[{accepts}, Own()"))
    code, output, errors = run("describe", "visits", "--json-schema")
    assert (code, errors) == (0, "")
    found = json.loads(output)["properties"]["stops"]["items"]
    assert found["properties"]["badge"] == schema | {"description": "Own"}
