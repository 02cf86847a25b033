"""`sluice preview` shows what would become of records, and nothing clear unless it is asked to."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.declaration import description
from tests.unit.cli import PUSHES, STREAM, in_envelope, numbered_tokens, run, without
from tests.unit.fakes import LOGIN, ROOT, login, sqs_record
from tools.project import DECLARED
from tools.sluice_cli import main
from tools.sluice_cli.authors import preview

pytestmark = pytest.mark.usefixtures("hashing_clock")

KEPT = {"kept": True}
SENT = "2026-01-01T09:00:01"
STRINGS = dict.fromkeys(("user_id", "device_type", "ip", "device_id", "app_version", "locale"), "string")

LEAKS = ["203.0.113.77", "203011377", "kn4ry"]
DIRTY = login(
    ip="203.0.113.77", device_id="kn4ry-device", user_id="kn4ry-user", locale="kn4ry-locale", kn4ry_key="kn4ry-value"
)
DIRTY_VISIT = json.dumps(
    {
        "kind": "in",
        "version": "203.0.113",
        "mails": ["kn4ry@example.com", "kn4ry2@example.com"],
        "guest": {"email": "kn4ry@example.com", "nickname": "kn4ry"},  # shorter than what Truncate leaves
        "stops": [
            {"room": "kn4ry-room", "badge": "kn4ry-badge", "note": "kn4ry-note"},
            {"room": "kn4ry", "badge": "1", "seats": [{"row": 203011377, "holder": "kn4ry"}]},
        ],
    }
)


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    """Return the function that writes lines into a file and returns its name."""

    def write(*lines: str) -> str:
        path = tmp_path / "records.jsonl"
        path.write_text("\n".join(lines), errors="surrogatepass")
        return str(path)

    return write


@pytest.fixture
def event(tmp_path: Path) -> Callable[..., str]:
    """Return the function that writes an SQS event of bodies into a file and returns its name."""

    def write(*bodies: str, **attributes: str) -> str:
        records = [sqs_record(body, number, attributes) for number, body in enumerate(bodies, 1)]
        path = tmp_path / "event.json"
        path.write_text(json.dumps({"Records": records}))
        return str(path)

    return write


def test_json_tells_all_that_becomes_of_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    name = "events/sqs_mixed_batch.json"
    code, output, errors = run("preview", "user_logins", name, "--json")
    assert (code, errors) == (1, "")
    seen = json.loads(numbered_tokens(output))
    assert seen.pop("sha256_per_second") > 1_000
    columns = seen.pop("masked_columns")
    kept = dict.fromkeys(("user_id", "device_type", "app_version_text", "app_version", "locale"), KEPT)
    first = kept | {
        "masked_ip": "token 1",
        "masked_device_id": "token 2",
        "message_id": "8c9a1334-ea66-4578-9d02-6d58f2de7224",
        "sent_at": f"{SENT}.500Z",
    }
    third = first | {
        "masked_ip": "token 3",
        "masked_device_id": "token 4",
        "locale": None,
        "message_id": "d7aa63c5-d65d-4030-aa1c-0b1584db7040",
        "sent_at": f"{SENT}.700Z",
    }
    fifth = first | {
        "masked_ip": "token 5",
        "message_id": json.loads(Path(name).read_text())["Records"][4]["messageId"],
        "sent_at": seen["rows"][3]["row"]["sent_at"],
    }
    shape = {"bytes": 170, "fields": STRINGS, "other_fields": 0}
    third_shape = {"bytes": 165, "fields": STRINGS | {"locale": "null"}, "other_fields": 0}
    assert seen == {
        "stream": "user_logins",
        "records": 5,
        "ignored": 0,
        "duplicates": 1,
        "rows": [
            {"record": f"{name}#1", "shape": shape, "row": first},
            {"record": f"{name}#3", "shape": third_shape, "row": third},
            {"record": f"{name}#4", "shape": shape, "row": first},
            {"record": f"{name}#5", "shape": seen["rows"][3]["shape"], "row": fifth},
        ],
        "rejected": [
            {
                "record": f"{name}#2",
                "reason": "missing",
                "pointer": "/user_id",
                "faults": [
                    {"reason": "missing", "pointer": f"/{name}"}
                    for name in ("user_id", "device_type", "ip", "device_id", "app_version")
                ],
                "shape": {"bytes": 44, "fields": {}, "other_fields": 2},
            }
        ],
        "nulled": {},
        "kept_in_the_clear": [],
        "same_message_id": [
            {"message_id": "8c9a1334-ea66-4578-9d02-6d58f2de7224", "records": [f"{name}#1", f"{name}#4"]}
        ],
        "same_token": [{"column": "masked_device_id", "token": "token 2", "records": [f"{name}#1", f"{name}#5"]}],
    }
    assert without(columns, "plain_hash_reversed_in_seconds") == [
        {
            "column": "masked_ip",
            "mask": "Pseudonym(recoverable=true)",
            "values": 3,
            "stored": 3,
            "value_space_bits": 32.0,
            "pattern": "IPv4",
        },
        {
            "column": "masked_device_id",
            "mask": "Pseudonym(recoverable=true)",
            "values": 2,
            "stored": 2,
            "value_space_bits": 29.9,
            "pattern": "ddd-dd-dddd",
        },
    ]


def test_nested_and_list_fields_are_shown_masked(
    declare: Callable[[str, str], None], event: Callable[..., str]
) -> None:
    declare("visits", STREAM)
    code, output, errors = run("preview", "visits", event(DIRTY_VISIT), "--json")
    assert (code, errors) == (0, "")
    seen = json.loads(numbered_tokens(output))
    ((row,), columns) = [one["row"] for one in seen["rows"]], seen["masked_columns"]
    assert row == {
        "kind": KEPT,
        "release": KEPT,
        "mail_tokens": '{"token 1","token 2"}',
        "guest_email": "token 1",
        "guest_host": "example.com",
        "guest_nickname": KEPT,  # all of it was left
        "stops": [
            {"room": KEPT, "badge": "token 3", "note": "a note", "seats": []},
            {"room": KEPT, "badge": "token 4", "note": None, "seats": [{"row": KEPT, "holder": "token 5"}]},
        ],
        "source": "door",
        "stop_count": KEPT,
        "message_id": "00000000-0000-0000-0000-000000000001",
        "sent_at": "2026-01-01T09:00:00.123Z",
    }
    assert [(column["column"], column["mask"], column["values"], column["stored"]) for column in columns] == [
        ("mail_tokens", "Pseudonym", 2, 2),
        ("guest_email", "Pseudonym", 1, 1),
        ("guest_host", "Truncate", 1, 1),
        ("guest_nickname", "Truncate(to=8)", 1, 1),
        ("stops[*].badge", "Pseudonym", 2, 2),
        ("stops[*].note", 'Redact(constant="a note")', 1, 1),
        ("stops[*].seats[*].holder", "Pseudonym", 1, 1),
    ]
    assert columns[1] == columns[1] | {"pattern": "aadaa@aaaaaaa.aaa"}


def test_show_clear_shows_the_input_and_the_whole_row(
    declare: Callable[[str, str], None], event: Callable[..., str]
) -> None:
    declare("visits", STREAM)
    (row,) = json.loads(run("preview", "visits", event(DIRTY_VISIT), "--json", "--show-clear")[1])["rows"]
    assert row["input"] == DIRTY_VISIT
    assert row["row"] | {"release": 203_000_113, "stop_count": 2, "guest_nickname": "kn4ry"} == row["row"]
    assert [stop["room"] for stop in row["row"]["stops"]] == ["kn4ry-room", "kn4ry"]
    output = run("preview", "visits", event(DIRTY_VISIT), "--show-clear")[1]
    assert [word for word in ("kn4ry@example.com", "kn4ry-note", "203000113") if word not in output] == []


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_a_good_record_leaves_nothing_clear(
    form: list[str], file: Callable[..., str], event: Callable[..., str]
) -> None:
    code, output, errors = run("preview", "user_logins", file(*[DIRTY] * 5), event(DIRTY), *form)
    assert (code, errors) == (0, "")
    assert "t1_" in output
    assert [leak for leak in LEAKS if leak in output] == []


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_nested_and_list_fields_leave_nothing_clear(
    form: list[str], declare: Callable[[str, str], None], file: Callable[..., str], event: Callable[..., str]
) -> None:
    declare("visits", STREAM)
    code, output, errors = run("preview", "visits", file(*[DIRTY_VISIT] * 5), event(DIRTY_VISIT), *form)
    assert (code, errors) == (0, "")
    assert "t1_" in output
    assert [leak for leak in LEAKS if leak in output] == []


BAD = {
    "not JSON": DIRTY[:-1],
    "no object": f"[{DIRTY}]",
    "text": '"kn4ry"',
    "missing": json.dumps({"kn4ry_key": 1, "203.0.113.77": "kn4ry"}),
    "wrong type": DIRTY.replace('"kn4ry-locale"', '["kn4ry"]'),
    "ip": DIRTY.replace("203.0.113.77", "203.0.113.77/24"),
    "version": DIRTY.replace("2.3.0", "kn4ry"),
    "too long": DIRTY.replace("kn4ry-user", "kn4ry" * 100),
    "too deep": DIRTY[:-1] + ', "deep": ' + '{"kn4ry_key":' * 100_000,
    "surrogate": DIRTY.replace("kn4ry-user", "\\ud800 kn4ry"),
}


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_a_bad_record_is_rejected_and_leaves_nothing_clear(
    body: str, form: list[str], file: Callable[..., str], event: Callable[..., str]
) -> None:
    for name in (file(login(), body), event(login(), body)):
        code, output, errors = run("preview", "user_logins", name, *form)
        assert (code, errors) == (1, "")
        assert "Rejected: 1." in output or len(json.loads(output)["rejected"]) == 1
        assert [leak for leak in LEAKS if leak in output] == []


def test_a_bad_record_is_shown_when_asked(event: Callable[..., str]) -> None:
    assert "kn4ry" in run("preview", "user_logins", event(BAD["text"]), "--show-clear")[1]
    (rejected,) = json.loads(run("preview", "user_logins", event(BAD["text"]), "--show-clear", "--json")[1])["rejected"]
    assert rejected["input"] == '"kn4ry"'


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_no_control_character_of_a_record_or_name_reaches_the_terminal(
    form: list[str], file: Callable[..., str], tmp_path: Path
) -> None:
    controls = "\x1b[2J\x07\x7f\x9b1m\u202e\u2066\u200b"
    good = login(user_id=f"{controls}good", locale="\\u001b[31m[red]").encode().decode("unicode_escape")
    bad = json.dumps({"user_id": controls}, ensure_ascii=False) + controls
    named = tmp_path / f"{controls}.jsonl"
    named.write_text(Path(file(good, login(user_id=f"{controls}"), bad)).read_text())
    code, output, errors = run("preview", "user_logins", str(named), "--show-clear", *form)
    assert (code, errors) == (1, "")
    assert "[2J" in output
    assert {character for character in output if not character.isprintable()} == {"\n"}
    missing = tmp_path / f"{controls}.json"
    assert {
        character for character in run("preview", "user_logins", str(missing))[2] if not character.isprintable()
    } == {"\n"}


def test_markup_in_a_record_is_text(file: Callable[..., str]) -> None:
    assert "[red]kn4ry" in run("preview", "user_logins", file(login(user_id="[red]kn4ry")), "--show-clear")[1]


def test_standard_input_is_read() -> None:
    code, output, _ = run("preview", "user_logins", "-", "--json", input=f"{login()}\n\n{login()}\n")
    assert code == 0
    assert [row["record"] for row in json.loads(output)["rows"]] == ["-:1", "-:3"]


def test_a_line_that_is_no_utf_8_is_rejected_alone() -> None:
    lines = f"{login()}\n".encode() + b'{"user_id": "\xff"}\n'
    code, output, _ = run("preview", "user_logins", "-", "--json", input=lines)
    seen = json.loads(output)
    assert (code, len(seen["rows"])) == (1, 1)
    assert [(one["record"], one["reason"]) for one in seen["rejected"]] == [("-:2", "not_json")]


def test_one_record_may_take_many_lines() -> None:
    pretty = json.dumps(LOGIN, indent=2)
    code, output, _ = run("preview", "user_logins", "-", "--json", "--show-clear", input=f"\n{pretty}\n")
    assert (code, json.loads(output)["rows"][0]["input"]) == (0, pretty)


def test_the_records_may_be_an_array() -> None:
    code, output, _ = run("preview", "user_logins", "-", "--json", input=json.dumps([LOGIN, LOGIN], indent=2))
    assert (code, [row["record"] for row in json.loads(output)["rows"]]) == (0, ["-[1]", "-[2]"])


def test_only_a_line_feed_ends_a_line() -> None:
    lines = f"{login(user_id='a\u2028b\x85c')}\r\n{login()}\r\n".encode().decode("unicode_escape")
    rows = json.loads(run("preview", "user_logins", "-", "--json", "--show-clear", input=lines)[1])["rows"]
    assert [row["row"]["user_id"] for row in rows] == ["a\u2028b\x85c", LOGIN["user_id"]]


def test_limit_bounds_the_records_of_all_files(file: Callable[..., str], event: Callable[..., str]) -> None:
    names = file(login(), login()), event(login(), login())
    rows = json.loads(run("preview", "user_logins", *names, "--json", "--limit", "3")[1])["rows"]
    assert [Path(row["record"]).name for row in rows] == ["records.jsonl:1", "records.jsonl:2", "event.json#1"]


def test_ids_and_times_of_ones_own_are_those_of_the_row(event: Callable[..., str]) -> None:
    own = {"sluice_message_id": "8C9A1334-ea66-4578-9d02-6d58f2de7224", "sluice_sent_at": "1767258000000"}
    code, output, _ = run("preview", "user_logins", event(login(), login(), **own), "--json")
    seen = json.loads(output)
    identity = {"message_id": own["sluice_message_id"].lower(), "sent_at": "2026-01-01T09:00:00.000Z"}
    assert code == 0
    assert [row["row"] | identity == row["row"] for row in seen["rows"]] == [True, True]
    assert [one["message_id"] for one in seen["same_message_id"]] == [identity["message_id"]]
    assert seen["same_token"] == []  # it is one row


def test_the_most_frequent_token_comes_first(event: Callable[..., str]) -> None:
    bodies = [login(device_id=str(number // 2), ip=f"192.0.2.{number % 2}") for number in range(6)]
    output = run("preview", "user_logins", event(*bodies), "--json")[1]
    counts = [(one["column"], len(one["records"])) for one in json.loads(output)["same_token"]]
    assert counts == [("masked_ip", 3)] * 2 + [("masked_device_id", 2)] * 3


def test_of_each_column_the_most_frequent_token_is_shown_and_one_row(event: Callable[..., str]) -> None:
    bodies = [login(device_id=str(number // 2), ip=f"192.0.2.{number % 2}") for number in range(6)]
    output = run("preview", "user_logins", event(*bodies))[1]
    assert re.findall(r"│ (\w+) +│ t1_\S+ │ (\d): ", output) == [("masked_ip", "3"), ("masked_device_id", "2")]
    assert re.findall(r"… and (\d) more", output) == ["5", "3"]  # rows, then tokens


def test_an_event_without_records_is_good(event: Callable[..., str]) -> None:
    code, output, errors = run("preview", "user_logins", event())
    assert (code, errors) == (0, "")
    assert "Records: 0. Rows: 0. Rejected: 0." in output


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"Records": 1}', "event: must have a list of `Records`"),
        ('{"Records": [{"eventSource": "kn4ry"}]}', "event: every record must have the eventSource `aws:sqs`"),
        ('{\n  "Records": [\n    "kn4ry"\n', "neither a Lambda event nor JSON lines"),
        ("kn4ry\n203.0.113.77\n", "neither a Lambda event nor JSON lines"),
    ],
)
def test_a_broken_file_is_one_line_that_quotes_nothing_of_it(content: str, why: str, file: Callable[..., str]) -> None:
    name = file(content)
    assert run("preview", "user_logins", name) == (2, "", f"sluice: {name}: {why}\n")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    name = str(tmp_path / "nothing.json")
    assert run("preview", "user_logins", name) == (2, "", f"sluice: {name}: No such file or directory\n")
    assert run("preview", "user_logins", str(tmp_path)) == (2, "", f"sluice: {tmp_path}: Is a directory\n")


@pytest.mark.parametrize("arguments", [[], ["x.json", "--queue", "https://example.com/q"]], ids=["neither", "both"])
def test_either_files_or_a_queue_are_needed(arguments: list[str]) -> None:
    assert run("preview", "user_logins", *arguments) == (2, "", "sluice: preview: either files or --queue\n")


def test_an_exception_that_quotes_the_record_rejects_it_and_leaves_nothing(
    declare: Callable[[str, str], None], event: Callable[..., str]
) -> None:
    declare("visits", STREAM.replace("return len(self.stops)", "raise ValueError(str(self))"))
    code, output, errors = run("preview", "visits", event(DIRTY_VISIT))
    assert (code, errors) == (1, "")
    assert "internal_error" in output
    assert [leak for leak in LEAKS if leak in output] == []
    assert "internal_error:" in run("preview", "visits", event(DIRTY_VISIT), "--show-clear")[1]
    told = run("preview", "visits", event(DIRTY_VISIT), "--show-clear", "--json")[1]
    assert "kn4ry" in json.loads(told)["rejected"][0]["faults"][0]["exception"]
    quiet = json.loads(run("preview", "visits", event(DIRTY_VISIT), "--json")[1])["rejected"][0]["faults"]
    assert quiet == [{"reason": "internal_error", "pointer": ""}]


def test_the_summary_comes_first_and_all_that_is_wrong_with_a_record_at_once(file: Callable[..., str]) -> None:
    body = login(ip="x", device_id=None, app_version="2.x")
    code, output, _ = run("preview", "user_logins", file(login(), body))
    assert (code, output.splitlines()[0]) == (
        1,
        "Records: 2. Rows: 1. Rejected: 1. Duplicates: 0. No row was written.",
    )
    faults = re.findall(r"│ (\w+) +│ (/\w+) ", output.partition("Rejected\n")[2] or output.partition("Because")[2])
    assert faults[:3] == [("not_an_ip_address", "/ip"), ("null", "/device_id"), ("not_a_version", "/app_version")]


def rejected_lines(output: str) -> list[list[str]]:
    """Return the cells of the table of rejected records, of which only a rule may have been folded."""
    table = output.partition("Because")[2].partition("└")[0]
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if line.startswith("│")]
    return [line for line in lines if any(line[:4])]


def test_each_fault_is_a_line_with_the_type_that_came_and_the_rule_that_is_declared(
    declare: Callable[[str, str], None], event: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    declare("visits", STREAM)
    visit = json.loads(DIRTY_VISIT)
    visit["guest"]["email"] = 7
    visit["stops"][1]["seats"][0]["row"] = 0
    visit["version"] = "x"
    name = event(json.dumps(visit), "[]", json.dumps({"kinds": "in", "version": "1", "guest": {}}))
    monkeypatch.chdir(tmp_path)
    assert rejected_lines(run("preview", "visits", Path(name).name)[1]) == [
        ["event.json#1", "not_a_version", "/version", "string", "Version(max=32)", ""],
        ["", "wrong_type", "/guest/email", "number", "Email(max=254)", ""],
        ["", "out_of_range", "/stops/1/seats/0/row", "", "Integer(min=1,", ""],
        ["event.json#2", "not_an_object", "(the record)", "array", "", ""],
        ["event.json#3", "missing", "/kind", "missing", 'OneOf(choices=["in", "out"])', "1"],
        ["", "missing", "/guest/email", "missing", "Email(max=254)", ""],
    ]


LOOKING = {
    "kind": "in",
    "version": "1",
    "mails": ["kn4ry@example.com"],
    "guest": {"email": "kn4ry@example.com", "nickname": "+44 20 7946 0018"},
    "stops": [
        {"room": "to kn4ry@example.com", "badge": "203.0.113.77"},
        {"room": "203.0.113.77", "badge": "b", "note": "+442079460018"},
        {"room": "203.0.113.78", "badge": "b"},
    ],
}
FOUND = [
    {"column": "hops", "looks_like": "an IP address", "rows": 1},
    {"column": "shown", "looks_like": "an e-mail address", "rows": 2},
    {"column": "stops[*].room", "looks_like": "an e-mail address", "rows": 1},
    {"column": "stops[*].room", "looks_like": "an IP address", "rows": 1},
]


def test_what_is_kept_in_the_clear_and_looks_like_personal_data_is_told_without_it(
    declare: Callable[[str, str], None], file: Callable[..., str]
) -> None:
    text = STREAM.replace(
        "    guest: Guest\n", "    guest: Guest\n    hops: Annotated[list[str], Each(Text(max=40))] = []\n"
    )
    declare("visits", f"{text}\n    @derived\n    def shown(self) -> str:\n        return self.guest.email\n")
    records = (json.dumps(LOOKING | {"hops": ["a", "203.0.113.9"]}), json.dumps(LOOKING | {"stops": []}))
    name = file(*records)
    seen = json.loads(run("preview", "visits", name, "--json")[1])
    assert (seen["rejected"], seen["kept_in_the_clear"]) == ([], FOUND)
    output = run("preview", "visits", name)[1]
    assert re.findall(r"│ ([\w*\[\].]+) +│ (an? [\w -]+\w) +│ (\d) +│", output) == [
        (one["column"], one["looks_like"], str(one["rows"])) for one in FOUND
    ]
    assert [leak for leak in ["kn4ry", "203.0.113", "7946"] if leak in output] == []


def test_what_is_rejected_is_kept_nowhere(file: Callable[..., str]) -> None:
    body = login(user_id="kn4ry@example.com", ip="x")
    assert json.loads(run("preview", "user_logins", file(body), "--json")[1])["kept_in_the_clear"] == []


def test_a_message_that_comes_twice_is_one_row(event: Callable[..., str]) -> None:
    own = {"sluice_message_id": "8c9a1334-ea66-4578-9d02-6d58f2de7224"}
    output = run("preview", "user_logins", event(login(), login(), **own))[1]
    assert output.startswith("Records: 2. Rows: 1. Rejected: 0. Duplicates: 1. No row was written.\n")


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ([], 2, "Missing command; try --help"),
        (["preview"], 2, "Missing argument 'STREAM'; try --help"),
        (["preview", "user_logins", "--limit", "0"], 2, None),
        (["preview", "user_logins", "--nope"], 2, None),
        (["describe", "nope"], 2, "there is no stream nope; there are orders, user_logins"),
    ],
)
def test_a_usage_error_is_one_line(
    arguments: list[str],
    code: int,
    error: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["sluice", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out, captured.err.count("\n")) == (code, "", 1)
    assert captured.err.startswith(f"sluice: {error or ''}")


def test_an_unforeseen_error_is_one_line_without_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Callable[..., str]
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("kn4ry")

    monkeypatch.setattr(description, "entries", fail)
    monkeypatch.setattr(sys, "argv", ["sluice", "preview", "user_logins", file(DIRTY)])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (1, "")
    assert re.fullmatch(r"sluice: unforeseen KeyError in test_cli_preview\.py, line \d+\n", captured.err)


@pytest.mark.parametrize("command", ["describe", "preview", "check", "new"])
def test_help_shows_an_example(command: str) -> None:
    code, output, _ = run(command, "--help")
    assert code == 0
    assert f"Example:  sluice {command}" in output


def test_the_help_says_what_a_peek_costs() -> None:
    assert "raises the receive count" in " ".join((preview.preview.__doc__ or "").split())


def test_a_preview_opens_no_connection(file: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket, "socket", refuse)
    for name in [name for name in os.environ if name.startswith(("AWS_", "DATABASE_"))]:
        monkeypatch.delenv(name)
    assert run("preview", "user_logins", file(login()))[0] == 0


WATCHED = """
import sys

def watch(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.mkdir", "os.rename", "os.remove")):
        raise SystemExit(f"it asks for {event}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise SystemExit(f"it writes {arguments[0]}")

sys.addaudithook(watch)
from tools.project import DECLARED
from tools.sluice_cli import main
main()
"""


def test_nothing_is_written_by_the_whole_process(event: Callable[..., str], tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED, "preview", "user_logins", event(login(), "{}")],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "layers" / "common", DECLARED))),
            "HOME": str(tmp_path),
        },
    )
    assert (process.returncode, process.stderr) == (1, "")
    assert "Records: 2. Rows: 1. Rejected: 1. Duplicates: 0. No row was written." in process.stdout


EXAMPLES = sorted((DECLARED / "streams" / "examples").glob("*.jsonl"))


@pytest.mark.parametrize("examples", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_a_stream_are_previewed_as_their_records(examples: Path) -> None:
    _, output, _ = run("preview", examples.stem, str(examples), "--json")
    lines = [json.loads(line) for line in examples.read_text().splitlines()]
    rejected = [{"reason": one["reason"], "pointer": one["pointer"]} for one in json.loads(output)["rejected"]]
    assert rejected == [{"pointer": "", **line["refused"]} for line in lines if "refused" in line]
    assert len(json.loads(output)["rows"]) == sum("row" in line for line in lines)


@pytest.mark.parametrize("envelope", ["plain", "sns", "eventbridge"])
def test_an_example_is_previewed_in_the_envelope_of_its_stream(
    envelope: str, declare: Callable[[str, str], None], file: Callable[..., str]
) -> None:
    declare("visits", in_envelope(envelope))
    example = {"record": json.loads(DIRTY_VISIT), "row": {}}
    code, output, _ = run("preview", "visits", file(json.dumps(example)))
    assert (code, "Records: 1. Rows: 1. Rejected: 0." in output) == (0, True)


def test_records_of_one_identity_are_one_row_before_they_were_ever_sent(
    declare: Callable[[str, str], None], file: Callable[..., str]
) -> None:
    declare("pushes", PUSHES)
    sent = (("a", "2026-01-01T00:00:00Z"), ("b", "2026-01-01T00:00:00.0019Z"), ("a", "2026-01-02T00:00:00Z"))
    lines = [json.dumps({"commit": {"id": name}, "at": at}) for name, at in sent]
    path = file(*lines, json.dumps({"commit": {"id": "c"}, "at": "2000-01-01T00:00:00Z"}))
    told = json.loads(run("preview", "pushes", path, "--json")[1])
    assert (told["records"], told["duplicates"]) == (4, 1)
    assert told["rows"][1]["row"]["sent_at"] == "2026-01-01T00:00:00.001Z"
    (same,) = told["same_message_id"]
    assert (same["message_id"], same["records"]) == (told["rows"][0]["row"]["message_id"], [f"{path}:1", f"{path}:3"])
    assert [(one["reason"], one["pointer"]) for one in told["rejected"]] == [("out_of_range", "/at")]
