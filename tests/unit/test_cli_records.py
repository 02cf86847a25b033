"""What the commands of an author make of several records in a message, of ignored ones and of what is around them."""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.declaration import registry
from sluice.failures import Rejected
from sluice.ingest.batch import record_handler
from tests.unit.cli import run
from tests.unit.fakes import sqs_record
from tests.unit.test_cli_new import new, project
from tools.sluice_cli.authors import contract, json_schema, throwaway
from tools.sluice_cli.authors.generator import Generator
from tools.sluice_cli.operators import send

__all__ = ["new", "project"]

STREAM = '''"""Tracks."""

from typing import Annotated

import msgspec

from sluice import FROM_ENVELOPE, FROM_MESSAGE, Integer, Part, Pseudonym, Stream, Text, eventbridge, json_lines, listed


class Beside(Part):
    app: Annotated[str, Text(max=16)]


class Own(Part):
    trace: Annotated[str, Text(max=16), Pseudonym("trace")]


class Message(Part):
    sender: Annotated[str, Text(max=32), Pseudonym("sender")] = msgspec.field(name="SenderId")
    attributes: Own


class Track(Stream, table="tracks", records=listed("data", "batch"), ignore=({"type": "ping"},)):
    """A track."""

    user: Annotated[str, Text(max=16), Pseudonym()]
    size: Annotated[int, Integer(max=9)] = 0
    beside: Annotated[Beside, FROM_ENVELOPE]
    message: Annotated[Message, FROM_MESSAGE]
'''
OUTSIDE: dict[str, Any] = {
    "envelope": {"app": "web"},
    "message": {"SenderId": "AIDA", "attributes": {"trace": "t"}},
}
ROW = {"user": "ada", "size": 0, "beside_app": "web", "sender": "sender", "trace": "trace"}
RECORD = {"record": {"user": "ada"}, **OUTSIDE, "row": ROW}
BODY = json.dumps({"app": "web", "data": {"batch": [{"user": "ada"}, {"type": "ping"}, {"user": "bob"}]}})
BAD = json.dumps({"app": "web", "data": {"batch": [{"user": "ada"}, {"user": ""}]}})
OF_BODY = {"message": OUTSIDE["message"]}
PING = {"record": {"type": "ping"}, "ignored": True}


@pytest.fixture
def stream(declare: Callable[[str, str], None], tmp_path: Path) -> Callable[..., str]:
    """Return the function that declares the stream and writes its examples; it returns their file."""

    def make(*examples: object, text: str = STREAM) -> str:
        sys.modules.pop("streams.tracks", None)
        declare("tracks", text)
        file = tmp_path / "streams" / "examples" / "tracks.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(json.dumps(one) + "\n" for one in examples))
        return str(file)

    return make


GOOD = [
    RECORD,
    {"record": {"user": "ada", "size": 10}, **OUTSIDE, "refused": {"reason": "out_of_range", "pointer": "/size"}},
    {
        "record": {"user": "ada"},
        **OUTSIDE,
        "envelope": {"app": 1},
        "refused": {"reason": "wrong_type", "pointer": "envelope/app"},
    },
    {
        "record": {"user": "a"},
        "envelope": {"app": "web"},
        "refused": {"reason": "missing", "pointer": "message/SenderId"},
    },
    {"body": BODY, **OF_BODY, "rows": [ROW, ROW | {"user": "bob"}]},
    {"body": BAD, **OF_BODY, "refused": {"reason": "empty", "pointer": "/data/batch/1/user"}},
    {"body": '{"data": {"batch": []}}', "rows": []},
    {"body": '{"data": {}}', "refused": {"reason": "missing", "pointer": "/data/batch"}},
    {"body": '{"type": "ping"}', "ignored": True},
    PING,
]


def test_examples_say_what_becomes_of_several_records_and_of_what_is_outside(stream: Callable[..., str]) -> None:
    stream(*GOOD)
    code, output, errors = run("test", "tracks")
    assert (code, errors) == (0, ""), output


@pytest.mark.parametrize(
    ("example", "sentence"),
    [
        (PING | {"record": {"user": "a"}, **OUTSIDE}, "becomes a row, must be ignored"),
        ({"record": {"type": "ping"}, "row": ROW}, "is ignored, must be a row"),
        ({"body": BODY, **OF_BODY, "row": ROW}, "becomes 2 rows, must be a row"),
        ({"body": BODY, **OF_BODY, "rows": [ROW]}, "becomes 2 rows, must be 1 rows"),
        ({"body": BODY, **OF_BODY, "ignored": True}, "becomes 2 rows, must be ignored"),
        ({"body": BODY, **OF_BODY, "rows": [ROW, ROW]}, "user: is another token than"),
        ({"body": BAD, **OF_BODY, "rows": [ROW]}, "is refused: empty at /data/batch/1/user, must be 1 rows"),
    ],
)
def test_an_example_that_is_wrong_is_told(example: object, sentence: str, stream: Callable[..., str]) -> None:
    stream(example)
    code, output, _ = run("test", "tracks")
    assert code != 0
    assert sentence in " ".join(output.split())


@pytest.mark.usefixtures("hashing_clock")
def test_a_preview_tells_of_each_record(stream: Callable[..., str]) -> None:
    file = stream(RECORD, {"body": BODY, **OF_BODY, "rows": []}, {"body": BAD, **OF_BODY, "rows": []}, PING)
    code, output, errors = run("preview", "tracks", file, "--json")
    seen = json.loads(output)
    assert (code != 0, errors) == (True, "")
    assert (seen["records"], seen["ignored"], len(seen["rows"]), seen["duplicates"]) == (7, 2, 4, 0)
    assert [one["record"].partition("tracks.jsonl")[2] for one in seen["rows"]] == [
        ":1/data/batch/0",
        ":2/data/batch/0",
        ":2/data/batch/2",
        ":3/data/batch/0",
    ]
    (rejected,) = seen["rejected"]
    assert (rejected["reason"], rejected["pointer"]) == ("empty", "/data/batch/1/user")
    assert rejected["faults"] == [{"reason": "empty", "pointer": "/data/batch/1/user"}]
    assert rejected["shape"] == {"bytes": 12, "fields": {"user": "string"}, "other_fields": 0}
    code, output, errors = run("preview", "tracks", file, "--show-clear")
    assert (code != 0, errors, "Ignored: 2." in output) == (True, "", True)
    told = {cells[1].strip(): cells[3].strip() for line in output.splitlines() if len(cells := line.split("│")) > 5}
    assert {"/user": "ada", "envelope/app": "web", "message/SenderId": "AIDA"}.items() <= told.items()
    assert "bob" not in run("preview", "tracks", file)[1]


@pytest.mark.usefixtures("hashing_clock")
def test_a_document_of_s3_is_a_message_of_a_stream_that_lists_its_records(
    stream: Callable[..., str], tmp_path: Path
) -> None:
    stream(
        text=STREAM.replace('"data", "batch"', '"Records"').replace(
            "    message: Annotated[Message, FROM_MESSAGE]\n", ""
        )
    )
    document = tmp_path / "put.json"
    document.write_text(json.dumps({"app": "web", "Records": [{"eventSource": "aws:s3", "user": "ada"}]}, indent=1))
    code, output, errors = run("preview", "tracks", str(document), "--json")
    assert (code, errors, len(json.loads(output)["rows"])) == (0, "", 1)


@pytest.mark.parametrize(
    "text",
    [
        STREAM,
        STREAM.replace('records=listed("data", "batch")', "records=json_lines, envelope=eventbridge"),
        STREAM.replace('records=listed("data", "batch")', "envelope=eventbridge").replace("app:", "source:"),
    ],
)
def test_what_is_made_up_is_taken_and_what_is_spoiled_is_not(text: str, stream: Callable[..., str]) -> None:
    stream(text=text)
    declared = registry.load("tracks")
    generator, handle = Generator(declared, random.Random(5)), record_handler(declared, throwaway.keyset())
    for _ in range(20):
        body = generator.body()
        sent = as_received(body, send.as_sent(generator.attributes))
        assert len(handle(sent).rows) == 1
        assert is_refused(declared, generator.spoiled(body), sent)


def test_what_is_made_up_is_nothing_that_is_ignored(stream: Callable[..., str]) -> None:
    text = STREAM.replace("    size:", '    type: Annotated[str, OneOf("ping", "page")]\n    size:').replace(
        "Integer, Part", "Integer, OneOf, Part"
    )
    stream(text=text)
    generator = Generator(registry.load("tracks"), random.Random(5))
    assert {json.loads(generator.record())["type"] for _ in range(20)} == {"page"}


def as_received(body: str, attributes: Any) -> Any:
    record = sqs_record(body)
    record["messageAttributes"] = {
        name: {"stringValue": one["StringValue"], "dataType": "String"} for name, one in attributes.items()
    }
    return SQSRecord(record)


def is_refused(declared: Any, body: str, sent: Any) -> bool:
    try:
        handled = record_handler(declared, throwaway.keyset())(SQSRecord({**sent.raw_event, "body": body}))
    except Rejected:
        return True
    return bool(handled.refusals)


def test_samples_are_in_the_list(stream: Callable[..., str]) -> None:
    stream()
    code, output, errors = run("sample", "tracks", "--count", "2", "--seed", "3")
    assert (code, errors) == (0, "")
    for line in output.splitlines():
        made = json.loads(line)
        assert [*made] == ["app", "data"]
        assert len(made["data"]["batch"]) == 1


def test_the_records_of_a_function_of_ones_own_cannot_be_wrapped(stream: Callable[..., str]) -> None:
    stream({"record": {"user": "a"}, "row": {}}, text=STREAM.replace('listed("data", "batch")', "str.split"))
    assert "needs a body: the function split is of your own" in " ".join(run("test", "tracks")[1].split())
    code, output, errors = run("sample", "tracks", "--seed", "1")
    assert (code, "the function split is of your own: these are the records without it" in errors) == (0, True)
    assert "user" in json.loads(output)


def test_describe_tells_of_all_of_it(stream: Callable[..., str]) -> None:
    stream()
    described = json.loads(run("describe", "tracks", "--json")[1])
    assert described["records"] == 'listed("data", "batch")'
    assert described["ignore"] == [{"type": "ping"}]
    assert [one["field"] for one in described["columns"]][2:5] == [
        "envelope/app",
        "message/SenderId",
        "message/attributes/trace",
    ]
    text = run("describe", "tracks", "--markdown")[1]
    assert 'records `listed("data", "batch")`, ignores `{"type": "ping"}`' in text
    schema = json_schema.of_stream(registry.load("tracks"))
    assert [*schema["properties"]] == ["user", "size"]
    assert schema["$comment"] == (
        'A message holds several of them: listed("data", "batch"). The stream also reads what is outside of the record.'
    )


def test_what_others_notice_is_told(stream: Callable[..., str]) -> None:
    stream()
    new_ = {"tracks": contract.of_stream(registry.load("tracks"))}
    stream(text=STREAM.replace('records=listed("data", "batch"), ignore=({"type": "ping"},)', "envelope=eventbridge"))
    old = {"tracks": contract.of_stream(registry.load("tracks"))}
    assert [one.sentence for one in contract.compare(old, new_) if one.is_breaking] == [
        "tracks: the envelope is plain, was eventbridge",
        'tracks: the records are listed("data", "batch"), were one in each message',
        'tracks: what has {"type": "ping"} is ignored now',
    ]
    for one in ("records", "ignore"):  # a version that knew nothing of it
        del old["tracks"][one]
    assert len(contract.compare(old, new_)) == 3
    fields = new_["tracks"]["fields"]
    assert (fields["envelope"]["required"], fields["message/SenderId"]["required"]) == (True, True)


# `sluice new`

PUTS = [
    {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"},
    *(
        {"Records": [{"eventSource": "aws:s3", "eventName": "put", "s3": {"object": {"key": f"a{n}", "size": n}}}] * 2}
        for n in range(8)
    ),
]
BATCHES = [{"batch": [{"event": "page", "count": n}, {"event": "view", "count": n}], "sent": n} for n in range(8)]


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (PUTS, ['records=listed("Records")', 'ignore=({"Event": "s3:TestEvent"},)', "listed"]),
        (PUTS[1:], ['records=listed("Records")', 'ignore=({"Event": "s3:TestEvent"},)']),
        (BATCHES, ['records=listed("batch")']),
        ([{"things": one["batch"]} for one in BATCHES], ['records=listed("things")']),
    ],
)
@pytest.mark.usefixtures("hashing_clock")
def test_a_stream_is_written_of_samples_that_hold_several_records(
    samples: list[dict[str, Any]],
    says: list[str],
    new: Callable[..., tuple[int, str, str]],
    project: Path,
    tmp_path: Path,
) -> None:
    code, output, errors = new("things", samples)
    assert (code, errors) == (0, "")
    assert "Records: " in output
    text = (project / "layers" / "streams" / "things.py").read_text()
    assert [one for one in says if one not in text] == []
    told = " ".join(output.split())
    is_told = "becomes a row: Thing (line" in told, "envelope: sent" in told
    assert is_told == ("Records" not in samples[-1], "sent" in samples[-1])
    assert run("test", "things")[0] == 0
    assert run("preview", "things", str(tmp_path / "samples.jsonl"), "--json")[0] == 0
    assert len(json.loads((project / "events" / "things.json").read_text())["Records"]) == 1


@pytest.mark.usefixtures("hashing_clock")
def test_a_list_in_an_order_is_no_list_of_records(new: Callable[..., tuple[int, str, str]], project: Path) -> None:
    orders = [{"id": n, "lines": [{"sku": f"s{n}"}, {"sku": "t"}], "note": "x"} for n in range(8)]
    assert new("things", orders)[0] == 0
    assert "listed" not in (project / "layers" / "streams" / "things.py").read_text()
