"""`sluice new` writes a stream of samples, all of its files or none, and no value of the samples."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest

import streams
from sluice.declaration import registry
from tests.unit.cli import run
from tests.unit.fakes import ROOT, sqs_record
from tests.unit.new_stream import TEMPLATE, contents, make_project
from tests.unit.samples import CANARIES, batches, bus_events, lines, notifications, payments, pushes, staff, uplinks
from tools.sluice_cli.authors import marks
from tools.sluice_cli.authors.new import command, files
from tools.template import NoSuchPlace, with_stream

pytestmark = pytest.mark.usefixtures("hashing_clock")

SHAPES: dict[str, tuple[list[dict[str, Any]], tuple[str, ...]]] = {
    "pushes": (pushes(), ("--subject", "pusher.email")),
    "payments": (payments(), ("--subject", "data.object.customer.id", "--queue", "payment-events")),
    "staff": (staff(), ("--subject", "Employee ID")),
    "meter_uplinks": (uplinks(), ("--subject", "end_device_ids.device_id")),
}
SIGN_UP = {"email": "ada@example.com", "plan": "free"}
WRITTEN = (
    "layers/streams/sign_ups.py",
    "layers/streams/migrations/1000_sign_ups.sql",
    "layers/streams/examples/sign_ups.jsonl",
    "events/sign_ups.json",
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project in which the command writes, and whose streams the other commands find."""
    folder = make_project(tmp_path / "project")
    monkeypatch.setattr(command, "PROJECT", folder)
    monkeypatch.setattr(marks, "PROJECT", folder)
    monkeypatch.setattr(streams, "__path__", [str(folder / "layers" / "streams")])
    for name in [name for name in sys.modules if name.startswith("streams.")]:
        monkeypatch.delitem(sys.modules, name)
    yield folder
    for name in [name for name in sys.modules if name.startswith("streams.")]:
        del sys.modules[name]


@pytest.fixture
def new(project: Path, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Return the function that runs `sluice new` on samples."""

    def make(name: str, samples: str | list[dict[str, Any]], *options: str) -> tuple[int, str, str]:
        path = tmp_path / "samples.jsonl"
        path.write_text(samples if isinstance(samples, str) else lines(samples))
        made = run("new", name, "--samples", str(path), *options)
        invalidate_caches()
        return made

    return make


@pytest.mark.parametrize("name", SHAPES)
def test_a_stream_is_written_that_takes_all_samples(
    name: str, new: Callable[..., tuple[int, str, str]], project: Path, tmp_path: Path
) -> None:
    records, options = SHAPES[name]
    before = contents(project)
    code, output, errors = new(name, records, *options)
    assert (code, errors) == (0, "")
    assert f"Records: {len(records)}. Rows: {len(records)}. Rejected: 0." in output
    after = contents(project)
    assert after.keys() - before.keys() == {
        f"layers/streams/{name}.py",
        f"layers/streams/migrations/1000_{name}.sql",
        f"layers/streams/examples/{name}.jsonl",
        f"events/{name}.json",
    }
    assert {file for file in before if before[file] != after[file]} == {"template.yaml"}
    assert (project / "template.yaml").stat().st_mode & 0o777 == 0o644
    assert run("preview", name, str(tmp_path / "samples.jsonl"), "--json")[0] == 0
    assert registry.load(name).subject is not None


def test_identity_and_time_are_named_as_the_declaration_calls_them(
    new: Callable[..., tuple[int, str, str]], project: Path, tmp_path: Path
) -> None:
    samples = [{"meta": {"eventID": f"evt_{n}", "sentAt": f"2026-01-{n:02}T12:00:00Z"}, "n": n} for n in range(1, 13)]
    code, output, errors = new("events", [*samples, samples[0]], "--identity", "meta.eventID", "--time", "meta.sentAt")
    assert (code, errors) == (0, "")
    assert "Records: 13. Rows: 12. Rejected: 0. Duplicates: 1." in output
    assert 'identity="meta.event_id", time="meta.sent_at"' in contents(project)["layers/streams/events.py"]
    examples = str(project / "layers/streams/examples/events.jsonl")
    assert json.loads(run("preview", "events", examples, "--json")[1])["duplicates"] == 0


def test_a_table_gets_partitions_where_they_are_asked_for(
    new: Callable[..., tuple[int, str, str]], project: Path
) -> None:
    code, _, errors = new("clicks", [{"page": "a"}, {"page": "b"}], "--partition", "month", "--keep-for", "90 days")
    assert (code, errors) == (0, "")
    written = contents(project)
    assert 'partition="month", keep_for="90 days"' in written["layers/streams/clicks.py"]
    assert (
        "    message_id uuid,\n    PRIMARY KEY (message_id, sent_at)\n) PARTITION BY RANGE (sent_at);\n"
        in written["layers/streams/migrations/1000_clicks.sql"]
    )
    code, _, errors = new("visits", [{"page": "a"}], "--keep-for", "90 days")
    assert code == 2
    assert 'keep_for needs partitions, which go as a whole; add partition="month"; nothing was written' in errors


@pytest.mark.parametrize("name", SHAPES)
def test_no_value_of_a_sample_is_shown_or_written(
    name: str, new: Callable[..., tuple[int, str, str]], project: Path
) -> None:
    records, options = SHAPES[name]
    _, output, _ = new(name, records, *options)
    everything = "\n".join([output, *contents(project).values()]).lower()
    assert [canary for canary in CANARIES if canary.lower() in everything] == []


@pytest.mark.parametrize("name", SHAPES)
def test_the_examples_are_what_becomes_of_their_records(
    name: str, new: Callable[..., tuple[int, str, str]], project: Path
) -> None:
    new(name, *SHAPES[name][:1])
    text = (project / f"layers/streams/examples/{name}.jsonl").read_text()
    examples = [json.loads(line) for line in text.splitlines()]
    assert [{*example} - {"record"} for example in examples][-1] == {"refused"}
    rows = [example for example in examples if "row" in example]
    assert len(rows) >= 2
    columns = [column for column, _ in registry.load(name).columns()]
    assert [[*example["row"]] for example in rows] == [columns] * len(rows)
    records = "".join(f"{json.dumps(example['record'])}\n" for example in examples)
    code, output, _ = run("preview", name, "-", "--json", "--show-clear", input=records)
    seen = json.loads(output)
    assert (code, len(seen["rows"])) == (1, len(rows))
    refused = examples[-1]["refused"]
    assert [(one["reason"], one["pointer"]) for one in seen["rejected"]] == [(refused["reason"], refused["pointer"])]
    for example, row in zip(rows, seen["rows"], strict=True):
        tokens = [column for column, value in row["row"].items() if re.match("t1_", str(value))]
        assert [column for column, value in example["row"].items() if re.match("token ", str(value))] == tokens
        scalars = [column for column, value in row["row"].items() if isinstance(value, bool | int | None)]
        assert [example["row"][column] for column in scalars] == [row["row"][column] for column in scalars]


@pytest.mark.parametrize("envelope", ["plain", "sns", "eventbridge"])
def test_the_event_is_in_the_streams_envelope(
    envelope: str, new: Callable[..., tuple[int, str, str]], project: Path
) -> None:
    body = json.dumps(SIGN_UP)
    samples = {
        "plain": body,
        "sns": json.dumps({"Type": "Notification", "MessageId": "1", "Message": body}),
        "eventbridge": json.dumps({"id": "1", "detail-type": "x", "detail": SIGN_UP}),
    }[envelope]
    code, output, errors = new("sign_ups", samples, "--envelope", envelope)
    assert (code, errors) == (0, "")
    code, output, _ = run("preview", "sign_ups", str(project / "events/sign_ups.json"), "--json")
    assert (code, len(json.loads(output)["rows"])) == (0, 1)
    (record,) = json.loads((project / "events/sign_ups.json").read_text())["Records"]
    assert record["eventSourceARN"].endswith(":sign-ups-queue")


def test_samples_in_an_envelope_need_it_named(new: Callable[..., tuple[int, str, str]], project: Path) -> None:
    body = {"Type": "Notification", "MessageId": "1", "TopicArn": "t", "Timestamp": "2026-01-01T00:00:00Z"}
    before = contents(project)
    code, output, errors = new("sign_ups", [body | {"Message": json.dumps(SIGN_UP)}])
    assert (code, output) == (2, "")
    assert errors.endswith("is in an envelope of AWS; try --envelope sns\n")
    assert contents(project) == before


@pytest.mark.parametrize(
    ("samples", "envelope", "around", "columns"),
    [
        (
            batches(),
            "plain",
            [
                "sent_at: Annotated[datetime, Timestamp()]",
                "source: Annotated[str, Text(max=32)]",
                "email: Annotated[str, Email(), Pseudonym(recoverable=True)]  # confirm: looks like an e-mail address",
            ],
            ["around_2_sent_at", "around_2_source", "around_2_email"],
        ),
        (
            bus_events(),
            "eventbridge",
            [
                "detail_type: Annotated[str, Text(max=128)]",
                "# Its column has another name, since the usual one is taken.",
                'source: Annotated[str, Text(max=64), Keep("around_source_2")]',
            ],
            ["around_detail_type", "around_source_2"],
        ),
        (
            notifications(),
            "sns",
            [
                "# Called so, since `subject` has a meaning in declarations.",
                "subject_2: Annotated[ str | None, Text(max=64), Redact(), ]"
                ' = msgspec.field(name="Subject", default=None)  # confirm: by its name free text',
            ],
            ["around_subject_2"],
        ),
    ],
    ids=["batches", "EventBridge", "SNS"],
)
def test_what_is_around_a_record_is_declared(
    samples: list[dict[str, Any]],
    envelope: str,
    around: list[str],
    columns: list[str],
    new: Callable[..., tuple[int, str, str]],
    project: Path,
) -> None:
    code, output, errors = new("things", samples, "--envelope", envelope)
    assert (code, errors) == (0, "")
    assert "Rejected: 0." in output
    text = contents(project)["layers/streams/things.py"]
    part = text.partition('"""What is around a record."""\n\n')[2].partition("\n\n\n")[0]
    assert re.sub(r"\s*\n\s*", " ", part).strip() == " ".join(around)
    assert [column for column, _ in registry.load("things").columns()][-len(columns) :] == columns
    assert run("test", "things")[0] == 0
    assert [canary for canary in CANARIES if canary in "\n".join([output, *contents(project).values()]).lower()] == []


def test_what_is_around_records_is_left_out_where_it_is_no_single_value_or_out_of_reach(
    new: Callable[..., tuple[int, str, str]],
) -> None:
    _, output, _ = new("batches", batches())
    assert "\n  it is beside the records, and no single value: FROM_ENVELOPE can read it: /library\n" in output
    events = [{"id": "1", "detail-type": "x", "detail": batch | {"kn4ry@example.com": 1}} for batch in batches()]
    _, output, _ = new("events", events, "--envelope", "eventbridge")
    why = "it is beside the records, inside of the envelope: nothing reads it there"
    assert f"  {why}: /sentAt, /source, /email, /library" in output.replace("\n    ", " ").splitlines()
    assert "kn4ry" not in output


def test_the_subject_may_be_around_the_record(new: Callable[..., tuple[int, str, str]], project: Path) -> None:
    samples = [{"batch": [{"n": 1, "by": "u1"}], "userId": "u1", "inviter_id": "u1"} for _ in range(2)]
    code, _, errors = new("things", samples, "--subject", "around.userId")
    assert (code, errors) == (0, "")
    text = contents(project)["layers/streams/things.py"]
    assert 'subject="around.user_id"' in text
    assert "mentions" not in text
    code, _, errors = new("others", samples, "--identity", "around.userId")
    assert (code, "is outside of the record" in errors) == (2, True)


def test_greetings_of_sns_are_ignored_in_its_envelope(new: Callable[..., tuple[int, str, str]], project: Path) -> None:
    greeting = {"Type": "SubscriptionConfirmation", "MessageId": "1", "TopicArn": "t", "Message": "You have chosen to"}
    code, output, errors = new("things", [greeting, *notifications()], "--envelope", "sns")
    assert (code, errors) == (0, "")
    assert "Rows: 3. Rejected: 0." in output
    assert "ignore=({'Type': 'SubscriptionConfirmation'},)" in contents(project)["layers/streams/things.py"].replace(
        '"', "'"
    )


@pytest.mark.parametrize(
    "samples",
    [
        lines([SIGN_UP] * 2),
        json.dumps([SIGN_UP] * 2, indent=1),
        json.dumps({"Records": [sqs_record(json.dumps(SIGN_UP), number) for number in (1, 2)]}),
        json.dumps(SIGN_UP, indent=1),
    ],
    ids=["JSON lines", "a JSON array", "an event", "one record"],
)
def test_samples_come_in_any_form(samples: str, new: Callable[..., tuple[int, str, str]], project: Path) -> None:
    assert new("sign_ups", samples)[::2] == (0, "")
    assert "class SignUp(Stream" in (project / "layers/streams/sign_ups.py").read_text()


def test_the_page_shows_what_the_command_prints_and_writes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    section = (ROOT / "docs/cli.md").read_text().split("## `sluice new")[1].split("\n## ")[0]
    samples, shown, module = re.findall(r"```(?:json|console|python)\n(.*?)```", section, re.DOTALL)
    Path("visits.jsonl").write_text(samples)
    code, output, errors = run("new", "visits", "--samples", "visits.jsonl", "--subject", "visitor.email")
    assert (code, errors) == (0, "")
    assert shown == f"$ sluice new visits --samples visits.jsonl --subject visitor.email\n{output}"
    assert Path("layers/streams/visits.py").read_text() == module


def test_what_is_no_object_is_shown_as_rejected(new: Callable[..., tuple[int, str, str]]) -> None:
    code, output, errors = new("sign_ups", lines([SIGN_UP]) + "[1]\nkn4ry\n")
    assert (code, errors) == (1, "")
    assert "Rejected: 2." in output
    assert "kn4ry" not in output


def told(output: str, title: str) -> list[str]:
    """Return what is told below a title, each in one line again."""
    paragraph = output.partition(f"\n{title}\n")[2].partition("\n\n")[0]
    return [line.strip() for line in paragraph.replace("\n    ", " ").splitlines()]


def test_the_author_is_told_what_was_written_and_what_to_decide(new: Callable[..., tuple[int, str, str]]) -> None:
    more: dict[str, Any] = {"mail": "b@example.com", "a": None, "b": None, "phone": "555-1234"}
    of_keys: list[dict[str, Any]] = [{"meta": {key: 1}, "metadata": {key: 1}} for key in ("kn4ry", "x")]
    _, output, _ = new("sign_ups", [{**SIGN_UP, **more, **one} for one in of_keys])
    assert told(output, "Written:") == [*WRITTEN, "template.yaml"]
    assert told(output, "Left out of the declaration, so never read. Do you need it?") == [
        "it is null in every sample: /a, /b",
        "it is a map, of which only the keys that its Tree names are kept: /metadata/**",
    ]
    assert told(output, "Kept in the clear. Is any of it personal?") == [
        "(the record): plan",
        "/metadata: kn4ry, x",
        "/meta: kn4ry, x",
    ]
    assert told(output, "Masked, or guessed. To confirm, delete the marks in layers/streams/sign_ups.py:") == [
        "looks like an e-mail address: email (line 18), mail (line 20)",
        "by its name a phone number: phone (line 21)",
    ]
    assert told(output, "To be decided by you:") == [
        "/phone: some of its phone numbers have no country code, so they are redacted; if all are of one country,"
        ' Phone(region="GB") and Pseudonym() make tokens of them',
        "--subject: without a field that says whose record it is, such as email, no row can be erased by person",
    ]


@pytest.mark.parametrize(
    ("record", "suggested"),
    [
        ({"sessionId": "s", "deviceId": "d", "author": {"login": "l"}, "memberNo": "m"}, ", such as memberNo,"),
        ({"sessionId": "s", "author": {"login": "l"}}, ", such as author.login,"),
        ({"userId": None, "mail": "ada@example.com"}, ", such as mail,"),
        ({"sessionId": "s"}, ", such as userId,"),
        ({"userId": True, "sessionId": "s"}, ","),
    ],
)
def test_a_subject_is_suggested_that_every_record_has_and_that_is_a_person(
    record: dict[str, Any], suggested: str, new: Callable[..., tuple[int, str, str]]
) -> None:
    _, output, _ = new("sign_ups", [record, record | {"userId": record.get("userId") or "u"}])
    assert told(output, "To be decided by you:") == [
        f"--subject: without a field that says whose record it is{suggested} no row can be erased by person"
    ]


def test_a_mark_is_told_with_what_it_is_behind(new: Callable[..., tuple[int, str, str]]) -> None:
    records = [{"sex": "f", "metadata": {"userId": "u", "b": 1}}, {"sex": "f", "metadata": {"userId": "u"}}]
    batches = [{"rows": [one, one]} for one in records]
    _, output, _ = new("sign_ups", batches)
    assert told(output, "Masked, or guessed. To confirm, delete the marks in layers/streams/sign_ups.py:") == [
        "each element of rows is a record, and becomes a row: SignUp (line 13)",
        "by its name a person's sex or gender: sex (line 16)",
        "by its name a person's id: /userId (line 21)",
    ]


def test_what_is_printed_is_what_comes_next_and_the_rest_is_in_the_preview(
    new: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    wide = [{f"reading_{number}": number for number in range(300)} | SIGN_UP] * 20
    _, output, _ = new("readings", wide, "--subject", "email")
    assert all(f"reading_{number}" in output for number in range(300))
    assert len(output.splitlines()) < 100
    preview, check = output.partition("\nNext:\n")[2].splitlines()
    assert check.split("  #")[0].strip() == "sluice check"
    code, shown, _ = run(*preview.partition("  # ")[0].split()[1:])
    assert (code, "Masked columns" in shown, "Masked columns" in output) == (0, True, False)


def test_samples_of_standard_input_cannot_be_shown_again_but_the_event_can(project: Path) -> None:
    _, output, _ = run("new", "sign_ups", "--samples", "-", input=lines([SIGN_UP]))
    assert "\n  sluice preview sign_ups events/sign_ups.json  # " in output


def test_what_is_kept_and_looks_personal_is_told_with_what_it_looks_like(
    new: Callable[..., tuple[int, str, str]],
) -> None:
    _, output, _ = new("sign_ups", [SIGN_UP | {"version": "203.0.113.7"}])
    assert "│ version │ an IP address │ 1    │" in output
    assert "(the record): plan, version" in told(output, "Kept in the clear. Is any of it personal?")


def test_marks_are_found_until_they_are_deleted(new: Callable[..., tuple[int, str, str]], project: Path) -> None:
    assert marks.unconfirmed() == []
    new("sign_ups", [SIGN_UP])
    mark = "layers/streams/sign_ups.py:11: confirm, then delete the mark: looks like an e-mail address"
    assert marks.unconfirmed() == [mark]
    path = project / "layers/streams/sign_ups.py"
    path.write_text(path.read_text().replace("  # confirm: looks like an e-mail address", ""))
    assert marks.unconfirmed() == []


@pytest.mark.parametrize("file", WRITTEN)
def test_nothing_that_is_there_is_written_over(
    file: str, new: Callable[..., tuple[int, str, str]], project: Path
) -> None:
    if "migrations" in file:  # its number is always a free one
        (project / file).write_text("-- mine")
        new("sign_ups", [SIGN_UP])
        assert (project / file).read_text() == "-- mine"
        assert (project / "layers/streams/migrations/1001_sign_ups.sql").exists()
        return
    (project / file).write_text("# mine")
    before = contents(project)
    code, _, errors = new("sign_ups", [SIGN_UP])
    assert (code, errors) == (2, f"sluice: {file} is there already; nothing was written\n")
    assert contents(project) == before


def test_a_write_that_fails_leaves_nothing_behind(new: Callable[..., tuple[int, str, str]], project: Path) -> None:
    (project / "events").rmdir()
    (project / "events").write_text("no folder")
    before = contents(project)
    code, _, errors = new("sign_ups", [SIGN_UP])
    assert (code, errors.endswith("; nothing was written\n")) == (2, True)
    assert contents(project) == before


def test_a_template_without_the_list_is_left_alone(new: Callable[..., tuple[int, str, str]], project: Path) -> None:
    (project / "template.yaml").write_text("Resources: {}\n")
    before = contents(project)
    code, output, errors = new("sign_ups", [SIGN_UP])
    assert (code, output) == (2, "")
    assert errors == (
        "sluice: template.yaml: has no list of the streams: Fn::ForEach::Streams, a variable, and [words];"
        " nothing was written\n"
    )
    assert contents(project) == before


@pytest.mark.parametrize(
    ("name", "samples", "options", "error"),
    [
        ("Sign-Ups", lines([SIGN_UP]), (), "NAME: must be at most 40 small letters and digits, with _ between words"),
        ("class", lines([SIGN_UP]), (), "NAME: must be"),
        ("_shared", lines([SIGN_UP]), (), "NAME: must be"),
        ("x" * 41, lines([SIGN_UP]), (), "NAME: must be"),
        ("orders", lines([SIGN_UP]), (), "layers/streams/orders.py is there already; nothing was written"),
        ("x", lines([SIGN_UP]), ("--queue", "a b"), "--queue: must be 1 to 76 letters, digits, - and _"),
        ("x", lines([SIGN_UP]), ("--subject", "age"), "--subject: age is no field of the record that can be declared"),
        ("x", lines([SIGN_UP]), ("--subject", "age"), "declared: no record has it\n"),
        ("x", lines([SIGN_UP]), ("--subject", "E-Mail"), "declared: no record has it\n"),
        ("x", lines([SIGN_UP]), ("--subject", "Email"), "declared: no record has it; is email meant?\n"),
        ("x", lines([SIGN_UP | {"to": {"id": 1}}]), ("--subject", "to"), ": it is an object, so name a field in it\n"),
        ("x", lines([SIGN_UP | {"to": [{"id": 1}]}]), ("--subject", "to.id"), ": it is in a list of objects\n"),
        ("x", lines([SIGN_UP | {"to": None}]), ("--subject", "to"), "declared: it is null in every sample\n"),
        ("x", lines([SIGN_UP | {"to": ["a"]}]), ("--identity", "to"), "can be declared: it is a list\n"),
        ("x", lines([{"metadata": dict.fromkeys("ab"[:n], n)} for n in (1, 2)]), ("--time", "metadata.a"), "in a map"),
        ("x", lines([SIGN_UP]), ("--identity", "age"), "--identity: age is no field with a single value"),
        ("x", lines([SIGN_UP]), ("--identity", "email"), "the identity email must be kept in the clear"),
        ("x", lines([SIGN_UP, {"email": "b@example.com"}]), ("--identity", "plan"), "plan must be in every record"),
        ("x", lines([SIGN_UP | {"tags": ["a"]}]), ("--identity", "tags"), "--identity: tags is no field"),
        ("x", lines([SIGN_UP]), ("--time", "plan"), "the time plan must be a Timestamp; nothing was written"),
        ("x", "kn4ry\nkn4ry\n", (), "samples.jsonl: neither a Lambda event nor JSON lines"),
        ("x", "kn4ry", (), "samples.jsonl: none of the samples is a JSON object"),
        ("x", "", (), "samples.jsonl: none of the samples is a JSON object"),
        ("x", "{}", (), "samples.jsonl: there is nothing in the samples that can be declared"),
        (
            "x",
            '{"203.0.113.77": 1}',
            (),
            "samples.jsonl: the keys of the samples look like values, not like names of fields",
        ),
        ("x", '{"Employee ID": 1}', (), "; give 3 or more: what nearly all of them have is a name\n"),
    ],
)
def test_a_usage_error_is_one_line_and_writes_nothing(
    name: str,
    samples: str,
    options: tuple[str, ...],
    error: str,
    new: Callable[..., tuple[int, str, str]],
    project: Path,
) -> None:
    before = contents(project)
    code, output, errors = new(name, samples, *options)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert error in errors
    assert "kn4ry" not in errors
    assert contents(project) == before


def test_migrations_are_numbered_on(tmp_path: Path) -> None:
    assert files.next_migration(tmp_path) == 1000
    (tmp_path / "0003_orders.sql").touch()
    assert files.next_migration(tmp_path) == 1000
    (tmp_path / "1041_more.sql").touch()
    assert files.next_migration(tmp_path) == 1042


LIST = "    - [Logins, Orders] # yours go here\n"


@pytest.mark.parametrize(
    ("name", "queue", "listed", "mapped"),
    [
        ("pushes", None, "pushes", ""),
        ("sign_ups", None, "SignUps", "    SignUps: { Name: sign_ups }\n"),
        ("pushes", "git-pushes", "pushes", "    pushes: { Queue: git-pushes }\n"),
        ("on", "12", '"on"', '    "on": { Queue: "12" }\n'),
        ("sign_ups", "joined", "SignUps", "    SignUps: { Name: sign_ups, Queue: joined }\n"),
    ],
)
def test_the_template_gets_a_word_and_a_line_where_it_needs_one(
    name: str, queue: str | None, listed: str, mapped: str
) -> None:
    after = with_stream(TEMPLATE, name, queue)
    last = "    Orders: { Name: orders }\n"
    expected = TEMPLATE.replace(LIST, LIST.replace("Orders]", f"Orders, {listed}]")).replace(last, last + mapped)
    assert after == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    - []\n", "    - [pushes]\n"),
        ("    - [Logins,\n       Orders,\n      ]\n", "    - [Logins,\n       Orders, pushes\n      ]\n"),
        ("    # a comment\n\n    -   [ Logins ]\n", "    # a comment\n\n    -   [ Logins, pushes ]\n"),
    ],
)
def test_the_list_may_be_written_in_any_way(before: str, after: str) -> None:
    assert with_stream(TEMPLATE.replace(LIST, before), "pushes") == TEMPLATE.replace(LIST, after)


def test_an_empty_or_last_mapping_gets_its_line() -> None:
    for mapping in ("Mappings:\n  Streams:\n", "Mappings:\n  Functions:\n    A: { B: c }\n  Streams:\n"):
        resources = TEMPLATE.partition("Resources:")[2]
        after = with_stream(f"{mapping}\nResources:{resources}", "sign_ups")
        assert after.startswith(f"{mapping}    SignUps: {{ Name: sign_ups }}\n\nResources:")


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        (TEMPLATE.replace("Fn::ForEach::Streams", "Fn::ForEach::Queues"), "pushes", "has no list of the streams"),
        (TEMPLATE.replace("[Logins, Orders]", "!Ref Names"), "pushes", "has no list of the streams"),
        (TEMPLATE.replace("  Streams:", "  Queues:"), "sign_ups", "has no mapping of the streams"),
        (TEMPLATE, "orders", "has the stream orders already"),
        (TEMPLATE.replace("Orders]", "SignUps]"), "sign_ups", "has the stream SignUps already"),
    ],
)
def test_a_template_that_has_no_place_is_refused(text: str, name: str, why: str) -> None:
    with pytest.raises(NoSuchPlace, match=why):
        with_stream(text, name)
