"""What the commands of an author tell of a route, and make of its records."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from jsonschema import Draft202012Validator

from sluice.declaration import registry
from sluice.declaration.route import records_of
from sluice.failures import Rejected
from sluice.ingest.batch import record_handler
from sluice.pseudonyms.keyset import Keyset
from tests.unit.cli import run
from tests.unit.fakes import sqs_record
from tests.unit.routes import IDENTIFY, TRACK, declare_route
from tools.sluice_cli.authors import contract, template
from tools.sluice_cli.authors.route_generator import maker

type Declare = Callable[[str, str], None]

TOLD: dict[str, Any] = {
    "route": "calls",
    "about": "Segment's calls: one queue, a table for each kind of call.",
    "by": "/type",
    "envelope": "plain",
    "records": None,
    "ignore": [],
    "to": {"identify": "users", "alias": "users", "track": "tracks"},
}
USER_ROW = {"id": "1", "email": "ada@", "plan": "free"}
TRACK_ROW = {"id": "1", "subject": "ada", "size": 3}


# sluice describe


def test_describe_tells_which_records_go_to_which_stream(declare: Declare) -> None:
    declare_route(declare)
    assert json.loads(run("describe", "calls", "--json")[1]) == TOLD
    code, output, errors = run("describe", "calls")
    assert (code, errors) == (0, "")
    assert output.startswith(f"{TOLD['about']} Route by /type, envelope plain.\n")
    assert [line.split() for line in run("describe", "calls", "--markdown")[1].splitlines()[-3:]] == [
        ["|", f"`{value}`", "|", f"`{stream}`", "|", f"`{stream}`", "|"] for value, stream in TOLD["to"].items()
    ]


def test_describe_tells_records_and_what_is_ignored(declare: Declare) -> None:
    declare_route(declare, 'by="type"', 'by="type", envelope=sns, records=listed("batch"), ignore=({"type": "page"},)')
    described = json.loads(run("describe", "calls", "--json")[1])
    changed = {"envelope": "sns", "records": 'listed("batch")', "ignore": [{"type": "page"}]}
    assert described == TOLD | changed


def test_the_schema_of_a_route_is_that_of_a_stream_with_its_value(declare: Declare) -> None:
    declare_route(declare, 'by="type"', 'by="kind.type"')
    schema = Draft202012Validator(json.loads(run("describe", "calls", "--json-schema")[1]))
    Draft202012Validator.check_schema(schema.schema)
    for number in range(2):
        for line in run("sample", "calls", "--count", "6", "--seed", str(number))[1].splitlines():
            schema.validate(json.loads(line))
    track = {"kind": {"type": "track"}, "id": "1", "user": "ada"}
    assert schema.is_valid(track)
    assert not schema.is_valid(track | {"kind": {"type": "identify"}})
    assert not schema.is_valid(track | {"kind": {}})
    assert not schema.is_valid(track | {"user": 1})


def test_a_command_for_streams_alone_names_those_of_the_route(declare: Declare) -> None:
    declare_route(declare)
    assert run("migration", "calls") == (2, "", "sluice: calls is a route: name one of its streams, users, tracks\n")


# sluice check


def test_a_stream_behind_a_route_needs_no_word_and_the_route_needs_one(
    declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_route(declare)
    text = "Resources:\n  Fn::ForEach::Streams:\n    - Stream\n    - [{}]\n    - x: y\n"
    names, routed = registry.names(), ["tracks", "users"]
    monkeypatch.setattr(template, "text", lambda: text.replace("{}", "calls"))
    assert list(template.misfits(names, routed)) == []
    monkeypatch.setattr(template, "text", lambda: text.replace("{}", "calls, users"))
    assert list(template.misfits(names, routed)) == []
    monkeypatch.setattr(template, "text", lambda: text.replace("{}", "others"))
    assert list(template.misfits(names, routed)) == [
        "calls: template.yaml has no word for it in Fn::ForEach::Streams, so it would have no queue",
        "template.yaml: Fn::ForEach::Streams has others, but there is no layers/streams/others.py",
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"alias": User, ', "", [(True, "alias is not taken any more")]),
        ('"track": Track', '"track": Track, "page": Track', [(False, "page is new, and goes to tracks")]),
        ('"alias": User', '"alias": Track', [(True, "alias goes to tracks now, went to users")]),
        ('by="type"', 'by="kind"', [(True, "the by is /kind, was /type")]),
        ('by="type"', 'by="type", envelope=sns', [(True, "the envelope is sns, was plain")]),
        ('by="type"', 'by="type", records=json_lines', [(True, "the records is json_lines, was null")]),
        ('by="type"', 'by="type", ignore=({"a": 1},)', [(True, 'the ignore is [{"a": 1}], was []')]),
        ("one queue", "a queue", []),
    ],
)
def test_against_a_revision_it_tells_what_goes_elsewhere(
    old: str, new: str, told: list[tuple[bool, str]], declare: Declare
) -> None:
    declare_route(declare)
    declare_route(lambda name, text: declare(name.replace("calls", "later"), text), old, new)
    before, after = (contract.of_queued(registry.load_queued(name)) for name in ("calls", "later"))
    changes = contract.compare({"calls": before}, {"calls": after})
    assert [(change.is_breaking, change.sentence.removeprefix("calls: ")) for change in changes] == told


def test_a_stream_that_becomes_a_route_is_told(declare: Declare) -> None:
    declare_route(declare)
    route, stream = (contract.of_queued(registry.load_queued(name)) for name in ("calls", "users"))
    assert contract.compare({"x": stream}, {"x": route}) == [(True, "x: is a route now, was a stream")]
    assert contract.compare({"x": route}, {"x": stream}) == [(True, "x: is a stream now, was a route")]


# sluice test


@pytest.fixture
def told(declare: Declare, tmp_path: Path) -> Callable[..., list[str]]:
    """Return the function from examples of the route to what the command tells."""

    def test(*examples: object, old: str = "", new: str = "") -> list[str]:
        declare_route(declare, old, new)
        folder = tmp_path / "streams" / "examples"
        folder.mkdir(exist_ok=True)
        (folder / "calls.jsonl").write_text("\n".join(map(json.dumps, examples)) + "\n")
        code, output, errors = run("test", "calls")
        assert (code, errors) == (int("✗" in output), "")
        lines = output.splitlines()
        if code:
            assert lines.pop() == "If the declaration is right, `sluice test calls --renew` renews the examples."
        return [line.removeprefix("✗ layers/streams/examples/calls.jsonl, line ") for line in lines]

    return test


def example(record: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"record": record, **more}


GOOD = [
    example(TRACK, stream="tracks", row=TRACK_ROW),
    example(IDENTIFY, stream="users", row=USER_ROW),
    example(TRACK | {"user": "Ada@example.com"}, stream="tracks", row=TRACK_ROW | {"subject": "ada@"}),
    example({"type": "page"}, refused={"reason": "not_a_choice", "pointer": "/type"}),
    example(IDENTIFY | {"email": "ada"}, refused={"reason": "not_an_email_address", "pointer": "/email"}),
]


@pytest.mark.parametrize("envelope", ["plain", "sns", "eventbridge"])
def test_examples_of_a_route_say_to_which_stream_each_record_goes(
    envelope: str, told: Callable[..., list[str]]
) -> None:
    new = 'by="type"' if envelope == "plain" else f'by="type", envelope={envelope}'
    assert told(*GOOD, old='by="type"', new=new) == ["✓ calls               5 examples become what they say"]


def test_examples_that_do_not_hold_are_told(told: Callable[..., list[str]]) -> None:
    assert told(
        example(TRACK, row=TRACK_ROW),
        example(TRACK, stream="users", row=TRACK_ROW),
        example(TRACK, stream="tracks", row=TRACK_ROW | {"size": 4}),
        example({"type": "page"}, stream="tracks", row=TRACK_ROW),
        example(TRACK, stream="tracks", refused={"reason": "empty"}),
    ) == [
        "1: goes to the stream tracks, which the example does not say",
        "2: goes to the stream tracks, must go to users",
        "3: size: is 3, must be 4",
        "4: is refused: not_a_choice at /type, must be a row",
        "5: has no row, so no stream either",
    ]


def test_examples_may_be_of_several_records_in_a_message(told: Callable[..., list[str]]) -> None:
    batch = {"batch": [IDENTIFY, {"type": "page"}, TRACK]}
    bad = {"batch": [IDENTIFY, {"type": "kn4ry"}]}
    assert told(
        *GOOD[:3],
        example({"type": "page"}, ignored=True),
        {"body": json.dumps(batch), "stream": ["users", "tracks"], "rows": [USER_ROW, TRACK_ROW]},
        {"body": json.dumps(bad), "refused": {"reason": "not_a_choice", "pointer": "/batch/1/type"}},
        old='by="type"',
        new='by="type", records=listed("batch"), ignore=({"type": "page"},)',
    ) == ["✓ calls               6 examples become what they say"]


def test_examples_of_a_route_are_renewed_with_their_streams(told: Callable[..., list[str]], tmp_path: Path) -> None:
    row = TRACK_ROW | {"subject": "person 1"}
    batch = {"body": json.dumps({"batch": [IDENTIFY, TRACK]})}
    told(
        example(TRACK, row=row | {"size": 4}),
        example(TRACK, stream="users", row=row),
        example({"type": "page"}, stream="tracks", row=row),
        {**batch, "stream": "users", "rows": [USER_ROW, row]},
        {**batch, "stream": "users", "rows": [USER_ROW]},
        old='by="type"',
        new='by="type", records=listed("batch")',
    )
    assert run("test", "calls", "--renew")[1].splitlines() == [
        "5 examples renewed in layers/streams/examples/calls.jsonl. Is this what you meant?",
        "  size, in 1 row",
        "  line 1 goes to the stream tracks",
        "  line 2 goes to the stream tracks",
        "  line 3 is refused: not_a_choice at /type, was a row",
        "  line 4 goes to the stream users, tracks",
        "  line 5 becomes 2 rows, was 1 rows",
        "✓ calls               5 examples become what they say",
    ]
    lines = (tmp_path / "streams" / "examples" / "calls.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines[:4]] == [
        example(TRACK, row=row, stream="tracks"),
        example(TRACK, row=row, stream="tracks"),
        example({"type": "page"}, refused={"reason": "not_a_choice", "pointer": "/type"}),
        {**batch, "stream": ["users", "tracks"], "rows": [USER_ROW, row]},
    ]


# sluice preview, sample and send


def test_preview_tells_what_becomes_of_the_records_stream_by_stream(declare: Declare, tmp_path: Path) -> None:
    declare_route(declare)
    records = [TRACK, IDENTIFY, TRACK | {"size": 10}, {"type": "kn4ry"}, TRACK]
    (tmp_path / "records.jsonl").write_text("\n".join(map(json.dumps, records)))
    code, output, errors = run("preview", "calls", str(tmp_path / "records.jsonl"), "--json")
    previewed = json.loads(output)
    assert (code, errors, previewed["route"]) == (1, "", "calls")
    found = {
        one["stream"]: (one["records"], len(one["rows"]), one["duplicates"], [r["pointer"] for r in one["rejected"]])
        for one in previewed["streams"]
    }
    assert found == {"calls": (1, 0, 0, ["/type"]), "users": (1, 1, 0, []), "tracks": (3, 2, 1, ["/size"])}
    code, output, errors = run("preview", "calls", str(tmp_path / "records.jsonl"))
    assert (code, errors) == (1, "")
    assert [line for line in output.splitlines() if line in ("calls:", "users:", "tracks:")] == [
        "calls:",
        "users:",
        "tracks:",
    ]
    assert "kn4ry" not in output and "ada" not in output


ENVELOPES = ["plain", "sns", "eventbridge"]
OPTIONS = ["", ", envelope=sns", ", envelope=eventbridge", ', records=listed("batch")', ", records=json_lines"]


@pytest.mark.parametrize("options", OPTIONS)
def test_samples_are_records_of_each_stream_in_turn(options: str, declare: Declare, tmp_path: Path) -> None:
    declare_route(declare, 'by="type"', f'by="type"{options}')
    samples = run("sample", "calls", "--count", "9", "--seed", "1")[1]
    route = registry.load_queued("calls")
    found = [records_of(route, line) for line in samples.splitlines()]
    assert [stream.stream_name for ((stream, _),) in found] == ["users", "users", "tracks"] * 3
    (tmp_path / "samples.jsonl").write_text(samples)
    previewed = json.loads(run("preview", "calls", str(tmp_path / "samples.jsonl"), "--json")[1])
    assert {one["stream"]: len(one["rows"]) for one in previewed["streams"]} == {"users": 6, "tracks": 3}


@pytest.mark.parametrize("options", OPTIONS)
def test_what_is_spoiled_is_rejected_and_what_goes_nowhere_is_so_already(
    options: str, declare: Declare, keyset: Keyset
) -> None:
    declare_route(declare, 'by="type"', f'by="type"{options}')
    route = registry.load_queued("calls")
    source, handle = maker(route, random.Random(1)), record_handler(route, keyset)
    bodies = [source.body() for _ in range(9)]
    for body in [*bodies, '{"type": "page"}', "no JSON"]:
        message = SQSRecord(sqs_record(source.spoiled(body)))
        try:
            assert handle(message).refusals
        except Rejected:
            continue


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_a_record_becomes_the_row_that_it_would_be_of_its_stream_alone(
    envelope: str, declare: Declare, keyset: Keyset
) -> None:
    declare_route(declare, 'by="type"', f'by="type", envelope={envelope}')
    route = registry.load_queued("calls")
    source = maker(route, random.Random(1))
    for _ in range(30):
        body = source.body()
        ((stream, record),) = records_of(route, body)
        alone = registry.load(stream.stream_name)
        text = record if isinstance(record, str) else record.decode()
        (row,) = record_handler(route, keyset)(SQSRecord(sqs_record(body))).rows
        (other,) = record_handler(alone, keyset)(SQSRecord(sqs_record(text))).rows
        assert (row.key, row.cells, row.originals) == (other.key, other.cells, other.originals)
