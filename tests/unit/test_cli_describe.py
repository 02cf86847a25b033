"""`sluice describe` tells of every column of a row what it is made of."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import combinations

import pytest

from sluice.declaration import description
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.registry import load_all
from sluice.declaration.rules import Email, Integer, Timestamp
from sluice.declaration.stream import Stream
from tests.unit.cli import PUSHES, STREAM, run

EMAIL = {"name": "Email", "max": 254, "fold": False}
TEXT = {"name": "Text", "max": 20}
TOKEN_MASK = {"name": "Pseudonym", "recoverable": False}
LARGE = {"name": "Integer", "min": 1, "max": 2**63 - 1, "text": False}


@pytest.mark.parametrize("stream", load_all(), ids=lambda stream: stream.table)
def test_the_columns_are_those_of_a_row_in_their_order(stream: type[Stream]) -> None:
    described = list(dict.fromkeys(entry.path[0] for entry in description.entries(stream)))
    assert described == [*(column for column, _ in stream.columns()), *OWN_COLUMNS, stream.column_of_batch]


def test_the_head_names_the_fields_of_identity_and_time(declare: Callable[[str, str], None]) -> None:
    declare("pushes", PUSHES)
    described = json.loads(run("describe", "pushes", "--json")[1])
    assert (described["identity"], described["time"]) == ("commit.id", "at")
    assert "identity commit.id, time at, envelope plain." in run("describe", "pushes")[1]
    assert "identity `commit.id`, time `at`, envelope `plain`." in run("describe", "pushes", "--markdown")[1]


def test_json_holds_everything_that_is_declared(declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM)
    code, output, errors = run("describe", "visits", "--json")
    assert (code, errors) == (0, "")
    described = json.loads(output)
    rows = [tuple(column.values()) for column in described.pop("columns")]
    assert described == {
        "stream": "visits",
        "about": "A visit, as the door sends it.",
        "table": "visits",
        "subject": None,
        "mentions": [],
        "identity": None,
        "time": None,
        "envelope": "plain",
        "records": None,
        "ignore": [],
        "batch": None,
    }
    kept = {"name": "Keep", "as_": None}
    assert rows == [
        ("/kind", "str", {"name": "OneOf", "choices": ["in", "out"]}, kept, "kind", False, None),
        ("/version", "str", {"name": "Version", "max": 32}, kept | {"as_": "version_number"}, "release", False, None),
        (
            *("/mails", "list[str]", {"name": "Each", "rule": EMAIL, "max": 3, "json": False}),
            *(TOKEN_MASK, "mail_tokens", False, "email"),
        ),
        ("/guest/email", "str", EMAIL, TOKEN_MASK, "guest_email", False, "email"),
        ("/guest/email", "str", EMAIL, {"name": "Truncate", "to": None}, "guest_host", False, None),
        ("/guest/nickname", "str | None", TEXT, {"name": "Truncate", "to": 8}, "guest_nickname", True, None),
        ("/stops/*/room", "str", TEXT, kept, "stops[*].room", False, None),
        ("/stops/*/badge", "str", TEXT, TOKEN_MASK, "stops[*].badge", False, "badge"),
        ("/stops/*/note", "str | None", TEXT, {"name": "Redact", "constant": "a note"}, "stops[*].note", True, None),
        ("/stops/*/seats/*/row", "int", LARGE, kept, "stops[*].seats[*].row", False, None),
        (
            "/stops/*/seats/*/holder",
            "str",
            TEXT,
            TOKEN_MASK,
            "stops[*].seats[*].holder",
            False,
            "holder",
        ),
        (None, "str", None, {"name": 'Constant("door")'}, "source", False, None),
        (None, "int", None, {"name": "Derived"}, "stop_count", False, None),
        (None, "UUID", None, {"name": "Message"}, "message_id", False, None),
        (None, "datetime", None, {"name": "Message"}, "sent_at", False, None),
    ]


def test_markdown_is_a_table_in_which_no_bar_ends_a_cell(declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM.replace('table="visits"', 'table="visits", envelope=sns'))
    code, output, errors = run("describe", "visits", "--markdown")
    assert (code, errors) == (0, "")
    heading, _, about, _, *table = output.splitlines()
    assert (heading, about) == ("## visits", "A visit, as the door sends it. Table `visits`, envelope `sns`.")
    assert table[0] == "| Field | Type | Rule | Mask | Column | Null | Domain |"
    nickname = "| `/guest/nickname` | `str \\| None` | `Text(max=20)` | `Truncate(to=8)` | `guest_nickname`"
    assert f"{nickname} | `yes` |  |" in table
    assert {line.replace("\\|", "").count("|") for line in table} == {8}


def test_the_table_holds_every_pointer_and_column(declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM)
    code, output, errors = run("describe", "visits")
    assert (code, errors) == (0, "")
    described = json.loads(run("describe", "visits", "--json")[1])["columns"]
    lines = [[cell.strip() for cell in line.split("│")] for line in output.splitlines() if line.startswith("│")]
    fields, columns = ("".join(cells[number] for cells in lines) for number in (1, 5))  # a long one takes two lines
    assert fields == "".join(column["field"] or "–" for column in described)
    assert columns == "".join(column["column"] for column in described)


def test_an_unknown_stream_is_a_usage_error_that_names_those_there_are() -> None:
    assert run("describe", "nope") == (2, "", "sluice: there is no stream nope; there are orders, user_logins\n")


def test_two_formats_at_once_are_a_usage_error() -> None:
    error = "sluice: describe: one of --json, --markdown and --json-schema\n"
    for two in combinations(("--json", "--markdown", "--json-schema"), 2):
        assert run("describe", "orders", *two) == (2, "", error)


def test_whose_records_they_are_is_told() -> None:
    assert json.loads(run("describe", "orders", "--json")[1])["subject"] == "customer.email"
    assert "Table orders, subject customer.email, envelope plain, batch" in run("describe", "orders")[1]
    markdown = run("describe", "orders", "--markdown")[1]
    assert "Table `orders`, subject `customer.email`, envelope `plain`, batch `batch_id`." in markdown


def test_a_bad_declaration_is_one_line_that_names_stream_and_field(declare: Callable[[str, str], None]) -> None:
    declare("visits", STREAM.replace("Truncate(to=8)", "Truncate()"))
    error = "sluice: visits: Guest.nickname: Truncate of a text needs the number of characters to keep\n"
    assert run("describe", "visits") == (1, "", error)


def test_the_options_of_a_rule_have_the_names_that_a_declaration_gives_them() -> None:
    since = Timestamp(earliest=datetime(1900, 1, 1, tzinfo=UTC))
    assert description.options(since)["earliest"] == "1900-01-01T00:00:00+00:00"
    assert description.rule_text(since) == 'Timestamp(epoch="seconds", earliest="1900-01-01T00:00:00+00:00")'
    assert description.rule_text(Integer(min=1, max=9, text=True)) == "Integer(min=1, max=9, text=true)"
    assert description.rule_text(Email(fold=True)) == "Email(max=254, fold=true)"


def test_where_bodies_may_be_is_told_of_a_stream_that_takes_them_from_s3(declare: Callable[[str, str], None]) -> None:
    text = STREAM.replace("    Version,\n", "    ToS3,\n    Version,\n")
    declare("visits", text.replace('table="visits"', 'table="visits", offloaded=ToS3(prefix="up/")'))
    described = json.loads(run("describe", "visits", "--json")[1])
    assert described["offloaded"] == {"prefix": "up/", "max_bytes": 4_194_304, "after": "keep"}
    told = " ".join(run("describe", "visits")[1].split())
    assert "offloaded ToS3(prefix='up/', max_bytes=4194304, after='keep')." in told
