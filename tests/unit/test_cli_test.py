"""`sluice test` holds a stream to its examples: rows, refusals, and which tokens are equal."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli import STREAM, in_envelope, run
from tools.project import DECLARED, PROJECT

RECORD: dict[str, Any] = {
    "kind": "in",
    "version": "2.3",
    "mails": ["ada@example.com", "Bob@example.com"],
    "guest": {"email": "ada@EXAMPLE.com", "nickname": "ada-the-first"},
    "stops": [{"room": "1", "badge": "7", "note": "ring", "seats": [{"row": 3, "holder": "ada"}]}],
}
ROW: dict[str, Any] = {
    "kind": "in",
    "release": 2003000,
    "mail_tokens": ["ada", "bob"],
    "guest_email": "ada",
    "guest_host": "example.com",
    "guest_nickname": "ada-the-",
    "stops": [{"room": "1", "badge": "badge", "note": "a note", "seats": [{"row": 3, "holder": "holder"}]}],
    "source": "door",
    "stop_count": 1,
}
LEFT = {"kind": "out"}
GOOD = {"record": RECORD, "row": ROW}


@pytest.fixture
def told(declare: Callable[[str, str], None], tmp_path: Path) -> Callable[..., list[str]]:
    """Return the function from a stream and its examples to what the command tells."""

    def test(*examples: object, stream: str = STREAM) -> list[str]:
        declare("visits", stream)
        folder = tmp_path / "streams" / "examples"
        folder.mkdir(exist_ok=True)
        lines = [one if isinstance(one, str) else json.dumps(one) for one in examples]
        (folder / "visits.jsonl").write_text("\n".join(lines) + "\n")
        code, output, errors = run("test", "visits")
        assert (code, errors) == (int("✗" in output), "")
        lines = output.splitlines()
        if code:
            assert lines.pop() == "If the declaration is right, `sluice test visits --renew` renews the examples."
        return [line.removeprefix("✗ layers/streams/examples/visits.jsonl, line ") for line in lines]

    return test


def differing(**columns: object) -> dict[str, Any]:
    return {"record": RECORD, "row": ROW | columns}


@pytest.mark.parametrize("streams", [PROJECT / "layers", DECLARED], ids=["yours", "declared"])
def test_every_stream_does_what_its_examples_say(streams: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "from tools.sluice_cli import main; main()", "test"],
        check=False,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={
            "PYTHONPATH": os.pathsep.join(map(str, (streams, PROJECT / "layers" / "common", PROJECT))),
            "PATH": os.environ["PATH"],
        },
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout


def test_examples_that_are_so_are_counted(told: Callable[..., list[str]]) -> None:
    refused = {"reason": "not_a_choice", "pointer": "/kind"}
    no_json = {"body": "{", "refused": {"reason": "not_json"}}
    assert told(GOOD, "", GOOD, {"record": RECORD | {"kind": "up"}, "refused": refused}, no_json) == [
        "✓ visits              4 examples become what they say"
    ]


def test_a_stream_without_examples_is_told(declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM)
    assert run("test") == (0, "… visits              no examples in layers/streams/examples/visits.jsonl\n", "")


@pytest.mark.parametrize("envelope", ["plain", "sns", "eventbridge"])
def test_a_record_comes_in_the_envelope_of_its_stream(envelope: str, told: Callable[..., list[str]]) -> None:
    assert told(GOOD, stream=in_envelope(envelope)) == ["✓ visits              1 examples become what they say"]


def test_an_envelope_of_ones_own_needs_a_body(told: Callable[..., list[str]]) -> None:
    stream = STREAM.replace(
        "class Guest", "def unseal(body: str) -> str:\n    return body.strip('!')\n\n\nclass Guest"
    ).replace('table="visits"', 'table="visits", envelope=unseal')
    assert told(GOOD, {"body": f"!{json.dumps(RECORD)}!", "row": ROW}, stream=stream) == [
        "1: needs a body: the envelope unseal is of your own"
    ]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"kind": "out"}, 'kind: is "in", must be "out"'),
        ({"kind": None}, 'kind: is "in", must be null'),
        ({"release": "2003000"}, 'release: is 2003000, must be "2003000"'),
        ({"stop_count": True}, "stop_count: is 1, must be true"),
        ({"stop_count": 1.5}, "stop_count: is 1, must be 1.5"),
        ({"guest_email": None}, "guest_email: is a token, must be null"),
        ({"guest_email": 7}, "guest_email: is a token, must be 7"),
        ({"mail_tokens": ["ada", None]}, "mail_tokens[1]: is a token, must be null"),
        ({"guest_email": "bob"}, 'guest_email: is another token than "bob" in line 1'),
        ({"guest_email": "ann"}, 'guest_email: is the token "ada" of line 1, must be another'),
        ({"nope": 1}, "the declaration has no column nope"),
        ({"message_id": "x"}, "the declaration has no column message_id, it is of the message"),
        (
            {"stops": [ROW["stops"][0] | {"note": "ring"}]},
            'stops[0].note: is "a note", must be "ring"',
        ),
        (
            {"stops": [ROW["stops"][0] | {"seats": [{"row": 3, "holder": "badge"}]}]},
            'stops[0].seats[0].holder: is another token than "badge" in line 1',
        ),
    ],
)
def test_what_differs_is_told_by_its_column(
    columns: dict[str, object], sentence: str, told: Callable[..., list[str]]
) -> None:
    assert told(differing(**columns)) == [f"1: {sentence}"]


def test_a_column_that_is_not_there_is_told(told: Callable[..., list[str]]) -> None:
    row = {name: value for name, value in ROW.items() if name != "source"}
    assert told({"record": RECORD, "row": row}) == ["1: the row lacks the column source"]


def test_a_list_of_another_length_is_told_whole(told: Callable[..., list[str]]) -> None:
    assert told(GOOD, {**GOOD, "row": ROW | {"mail_tokens": ["ada"]}}) == [
        '2: mail_tokens: is ["ada","bob"], must be ["ada"]'
    ]
    assert told(differing(mail_tokens=["ada"])) == ['1: mail_tokens: is ["…","…"], must be ["ada"]']


def test_labels_hold_for_the_whole_file(told: Callable[..., list[str]]) -> None:
    other = RECORD | {"guest": {"email": "eve@example.com"}, "mails": []}
    row = ROW | {"guest_email": "ada", "guest_nickname": None, "mail_tokens": []}
    assert told(GOOD, {"record": other, "row": row}) == ['2: guest_email: is another token than "ada" in line 1']


@pytest.mark.parametrize(
    ("example", "sentence"),
    [
        ({"record": RECORD, "refused": {"reason": "missing"}}, "becomes a row, must be refused: missing"),
        (
            {"record": {}, "refused": {"reason": "missing", "pointer": "/version"}},
            "is refused: missing at /kind, must be refused: missing at /version",
        ),
        ({"record": {}, "row": ROW}, "is refused: missing at /kind, must be a row"),
        ({"record": RECORD}, "needs one of row, rows, refused and ignored"),
        (
            {"record": RECORD, "row": ROW, "refused": {"reason": "missing"}},
            "needs one of row, rows, refused and ignored",
        ),
        ({"row": ROW}, "needs either a record or a body"),
        ({"record": RECORD, "body": "{}", "row": ROW}, "needs either a record or a body"),
        ({"record": RECORD, "lines": ROW}, "is no example: Object contains unknown field `lines`"),
        ('{"record": ', "is no JSON"),
        ("[]", "is no example: Expected `object`, got `array`"),
    ],
)
def test_a_line_that_is_no_example_or_becomes_something_else_is_told(
    example: object, sentence: str, told: Callable[..., list[str]]
) -> None:
    assert told(example) == [f"1: {sentence}"]


def test_the_class_of_an_unforeseen_error_is_told(told: Callable[..., list[str]]) -> None:
    stream = STREAM.replace("return len(self.stops)", "return 1 // 0")
    assert told(GOOD, stream=stream) == ["1: is refused: internal_error (ZeroDivisionError), must be a row"]


TYPES = '''"""One of each type of column that is not compared as text."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from sluice import Boolean, Each, Integer, Number, Stream, Text, Timestamp


class Typed(Stream, table="typed"):
    at: Annotated[datetime, Timestamp()]
    times: Annotated[list[datetime], Each(Timestamp())]
    price: Annotated[Decimal, Number(precision=5, scale=2)]
    prices: Annotated[list[Decimal], Each(Number(precision=5, scale=2))]
    counts: Annotated[list[int], Each(Integer())]
    flag: Annotated[bool, Boolean()]
    flags: Annotated[list[bool], Each(Boolean())]
    texts: Annotated[list[str], Each(Text(max=9))]
'''


def test_values_are_compared_as_the_column_holds_them(told: Callable[..., list[str]]) -> None:
    record = {"at": 0.5 + 1_700_000_000, "times": ["2026-01-01T01:00+01:00"], "price": "1.50", "prices": [1.5, 2]}
    record |= {"counts": [1, -2], "flag": True, "flags": [True, False], "texts": ['a"b', "c\\d", "{,}", "NULL"]}
    row = record | {"at": "2023-11-14T22:13:20.5Z", "times": ["2026-01-01T00:00:00Z"], "price": 1.5}
    assert told({"record": record, "row": row}, stream=TYPES)[0].startswith("✓")
    wrong = row | {"at": "2023-11-14T22:13:20Z", "flags": [True, 0], "texts": ["a"], "counts": ["1", -2]}
    assert told({"record": record, "row": wrong}, stream=TYPES) == [
        '1: at: is "2023-11-14T22:13:20.500000Z", must be "2023-11-14T22:13:20Z"',
        '1: counts[0]: is 1, must be "1"',
        "1: flags[1]: is false, must be 0",
        '1: texts: is ["a\\"b","c\\\\d","{,}","NULL"], must be ["a"]',
    ]


def test_the_page_shows_examples_that_are_so(told: Callable[..., list[str]]) -> None:
    page = (PROJECT / "docs" / "streams.md").read_text()
    (click,) = re.findall(r"^class Click\(.*?(?=^```)", page, re.DOTALL | re.MULTILINE)
    imports = "from typing import Annotated\n\nimport msgspec\n\nfrom sluice import Pseudonym, Stream, Text\n\n\n"
    (lines,) = re.findall(r"```\n(.*?)```", page.split("\n## Examples\n")[1].split("\n## ")[0], re.DOTALL)
    assert told(*lines.splitlines(), stream=imports + click)[0].startswith("✓ visits              4 examples ")


RENEWED = "renewed in layers/streams/examples/visits.jsonl. Is this what you meant?"


@pytest.fixture
def renewed(told: Callable[..., list[str]], tmp_path: Path) -> Callable[..., tuple[list[str], list[str]]]:
    """Return the function from a stream and its examples to what the command tells of renewing them, and the lines."""

    def renew(*examples: object, stream: str = STREAM, code: int = 0) -> tuple[list[str], list[str]]:
        told(*examples, stream=stream)
        found, output, errors = run("test", "visits", "--renew")
        assert (found, errors) == (code, "")
        file = tmp_path / "streams" / "examples" / "visits.jsonl"
        if not code:
            assert run("test", "visits")[0] == 0
            made = file.read_text()
            assert run("test", "visits", "--renew") == (0, output.splitlines()[-1] + "\n", "")
            assert file.read_text() == made
        return output.splitlines(), file.read_text().splitlines()

    return renew


def corrected() -> str:
    """Return the stream with a mask corrected, another added, and a field that takes more."""
    return (
        STREAM.replace(', Keep("release", as_=version_number)', ', Redact("release")')
        .replace("Truncate(to=8)", "Pseudonym()")
        .replace('OneOf("in", "out")', 'OneOf("in", "out", "up")')
    )


def test_examples_are_renewed_and_it_is_told_what_changed(
    renewed: Callable[..., tuple[list[str], list[str]]],
) -> None:
    refused = {"reason": "not_a_choice", "pointer": "/kind"}
    same = json.dumps({"body": "{", "refused": {"reason": "not_json"}}, indent=None, separators=(",", ":"))
    other = RECORD | {"guest": {"email": "Bob@example.com"}}
    row = ROW | {"guest_email": "bob", "guest_nickname": None}
    output, lines = renewed(
        GOOD,
        same,
        "",
        {"record": RECORD | {"kind": "up"}, "refused": refused},
        {"record": other, "row": row},
        {"record": RECORD | {"kind": "down"}, "refused": refused},
        stream=corrected(),
    )
    assert output == [
        f"3 examples {RENEWED}",
        "  release, in 2 rows",
        "  line 4 becomes a row, was refused: not_a_choice at /kind",
        "✓ visits              5 examples become what they say",
    ]
    wanted = ROW | {"release": None}  # its label may stay, as those in the other rows
    assert [json.loads(line) if line else None for line in lines] == [
        {"record": RECORD, "row": wanted},
        json.loads(same),
        None,
        {"record": RECORD | {"kind": "up"}, "row": wanted | {"kind": "up"}},
        {"record": other, "row": row | {"release": None}},
        {"record": RECORD | {"kind": "down"}, "refused": refused},
    ]
    assert lines[1] == same


@pytest.mark.parametrize(
    ("example", "sentence", "now"),
    [
        (
            {"record": RECORD | {"kind": "up"}, "row": ROW},
            "line 1 is refused: not_a_choice at /kind, was a row",
            {"refused": {"reason": "not_a_choice", "pointer": "/kind"}},
        ),
        (
            {"body": "{", "refused": {"reason": "missing", "pointer": "/kind"}},
            "line 1 is refused: not_json, was refused: missing at /kind",
            {"refused": {"reason": "not_json"}},
        ),
        ({"record": RECORD, "ignored": True}, "line 1 becomes a row, was ignored", {"row": ...}),
        ({"record": RECORD, "row": ROW | {"nope": 1}}, "nope is gone, in 1 row", {"row": ROW}),
        (
            {"record": RECORD, "row": {name: value for name, value in ROW.items() if name != "kind"}},
            "kind is new, in 1 row",
            {"row": ROW},
        ),
    ],
)
def test_what_becomes_something_else_is_told(
    example: dict[str, Any], sentence: str, now: dict[str, Any], renewed: Callable[..., tuple[list[str], list[str]]]
) -> None:
    output, (line,) = renewed(example)
    assert output[:2] == [f"1 example {RENEWED}", f"  {sentence}"]
    assert list(json.loads(line)) == [next(iter(example)), *now]
    assert ... in now.values() or json.loads(line).items() >= now.items()


def test_a_label_that_is_a_clear_value_is_not_kept(renewed: Callable[..., tuple[list[str], list[str]]]) -> None:
    stream = STREAM.replace("Truncate(to=8)", "Pseudonym()")
    record = RECORD | {"guest": {"email": "ada@example.com", "nickname": "Countess"}}
    row = ROW | {"guest_nickname": "Countess", "source": "gate"}
    _, (line,) = renewed({"record": record, "row": row}, stream=stream)
    assert json.loads(line)["row"] == ROW | {"guest_nickname": "guest_nickname 1"}


def test_what_is_no_example_is_left(renewed: Callable[..., tuple[list[str], list[str]]]) -> None:
    output, lines = renewed("nope", differing(kind="out"), code=1)
    assert output == [
        f"1 example {RENEWED}",
        "  kind, in 1 row",
        "✗ layers/streams/examples/visits.jsonl, line 1 is no JSON",
    ]
    assert (lines[0], json.loads(lines[1])) == ("nope", GOOD)


def test_all_streams_are_not_renewed_at_once() -> None:
    assert run("test", "--renew") == (2, "", "sluice: --renew needs the STREAM whose examples it shall renew\n")
