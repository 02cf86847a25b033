"""`sluice check --against REV` names what a producer or a reader of the table would notice."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.declaration import registry
from tests.unit.cli import STREAM, run
from tests.unit.fakes import FakePostgres
from tests.unit.test_cli_check import FakeServer, server
from tools.sluice_cli.authors import contract, migration_sql
from tools.sluice_cli.authors.migration_sql import Migration

__all__ = ["server"]

FACE = "    Boolean,\n    CaseFolded,\n    Custom,\n    Number,\n    Phone,\n    Rule,\n    Timestamp,\n    Uuid,\n"
WIDE = """

def plate(value: str) -> str:
    return value


def other_plate(value: str) -> str:
    return value


class Own(Rule):
    def canonical(self, value, /):
        return value


"""
FIELDS = """    kind: Annotated[str, OneOf("in", "out")]
    price: Annotated[Decimal, Number(precision=5, scale=2)]
    born: Annotated[datetime, Timestamp(earliest=datetime(1900, 1, 1, tzinfo=UTC))]
    phone: Annotated[str, Phone(region="GB"), Pseudonym()]
    mail: Annotated[str, Email(), Pseudonym(recoverable=True)]
    plate: Annotated[str, Custom(max=9, form=plate)]
    count: Annotated[int, Integer(min=0, max=9, text=True)]
    own: Annotated[str, Own()]
    plan: Annotated[str, Text(max=9)] = "free"
"""
TEXT = (
    (
        '"""Wide."""\n\nfrom datetime import UTC, datetime\nfrom decimal import Decimal\n'
        + STREAM.partition('"""Visits."""\n')[2].replace("    sns,\n", f"{FACE}    ToS3,\n    sns,\n")
    )
    .replace("class Guest", f"{WIDE}class Guest")
    .replace('    kind: Annotated[str, OneOf("in", "out")]\n', FIELDS)
)


def changes(declare: Callable[[str, str], None], old: str, new: str) -> list[tuple[bool, str]]:
    """Return what is told when one declaration becomes another."""
    declare("before", old)
    declare("after", new)
    before, after = (contract.of_stream(registry.load(name)) for name in ("before", "after"))
    return [
        (is_breaking, sentence.removeprefix("visits: "))
        for is_breaking, sentence in contract.compare({"visits": before}, {"visits": after})
    ]


CASES = [
    # fields, as producers send them
    (
        "source = const",
        'note: Annotated[str, Text(max=9), Redact("kind_note")]\n    source = const',
        True,
        "/note is new",
    ),
    ("source = const", 'note: Annotated[str, Text(max=9)] = "x"\n    source = const', False, "/note is new"),
    (' = "free"', "", True, "/plan is required now"),
    ('"free"', '"paid"', True, '/plan has the default "paid" now, had "free"'),
    (
        "nickname: Annotated[str | None, Text(max=20), Truncate(to=8)] = None",
        "",
        True,
        "the column guest_nickname is gone",
    ),
    (
        "str | None, Text(max=20), Truncate(to=8)] = None",
        "str, Text(max=20), Truncate(to=8)]",
        True,
        "must not be null",
    ),
    ("stops: list[Stop] ", "stops: list[Stop] | None ", False, "/stops may be null now"),
    ("    stops: list[Stop] = []", "    stops: Stop", True, "/stops is an object now, was a list of objects"),
    ("source = const", "more: Seat | None = None\n    source = const", False, "/more is new"),
    ("source = const", "more: Seat\n    source = const", True, "/more is new and required"),
    ('table="visits"', 'table="visits", offloaded=ToS3()', False, "now, were not taken from S3"),
    # rules
    ("kind: Annotated[str, OneOf(", 'kind: Annotated[str, OneOf("up", ', False, "/kind takes OneOf"),
    ('OneOf("in", "out")', 'OneOf("in")', True, "out is gone"),
    ('OneOf("in", "out")', "Text(max=3)", False, "/kind takes Text(max=3) now"),
    ('OneOf("in", "out")', "Text(max=2)", True, "another rule"),
    ("room: Annotated[str, Text(max=20)]", "room: Annotated[str, Text(max=19)]", True, "/stops/*/room takes"),
    ("room: Annotated[str, Text(max=20)]", "room: Annotated[str, Text(max=21)]", False, "/stops/*/room takes"),
    ("Integer(min=1)", "Integer(min=2)", True, "min was 1"),
    ("Integer(min=1)", "Integer(min=0)", False, "takes Integer(min=0"),
    ("max=9, text=True", "max=9", True, "no text any more"),
    ("Each(Email(), max=3)", "Each(Email(), max=2)", True, "max was 3"),
    ("Each(Email(), max=3)", "Each(Email(max=99), max=3)", True, "max was 254"),
    ("precision=5, scale=2", "precision=6, scale=2", False, "/price takes"),
    ("precision=5, scale=2", "precision=6, scale=3", False, "/price takes"),
    ("precision=5, scale=2", "precision=5, scale=3", True, "whole was 3"),
    ("precision=5, scale=2", "precision=5, scale=1", True, "scale was 2"),
    ("earliest=datetime(1900, 1, 1, tzinfo=UTC)", "", False, "/born takes"),
    ("datetime(1900, 1", "datetime(1900, 2", True, "earliest was 1900-01-01"),
    (
        "datetime(1900, 1, 1, tzinfo=UTC)",
        "datetime(1900, 1, 1, tzinfo=UTC), latest=datetime(2000, 1, 1, tzinfo=UTC)",
        True,
        "latest was open",
    ),
    ("Timestamp(", 'Timestamp(epoch="milliseconds", ', True, "epoch has changed"),
    ('Phone(region="GB")', 'Phone(region="DE")', True, "region has changed"),
    ('Phone(region="GB")', "Phone()", True, "region has changed"),
    ("form=plate", "form=other_plate", True, "form has changed"),
    ("Own()", "Text(max=9)", True, "a rule of your own has changed"),
    # columns, as readers of the table see them
    ('Keep("release", ', 'Keep("app", ', True, "the column release is app now"),
    ('constant("door")', 'constant("gate")', True, 'the column source has the mask Constant("gate") now'),
    ("as_=version_number", "as_=len", True, "the column release has the mask"),
    ("def stop_count(self) -> int:", "def stop_count(self) -> str:", True, "the column stop_count is text now"),
    (
        "def stop_count(self) -> int:",
        "def stop_count(self) -> int | None:",
        True,
        "the column stop_count can be null now",
    ),
    ("    @derived", "    more = constant(1)\n\n    @derived", False, "the column more is new"),
    ("Truncate(to=8)", "Truncate(to=7)", True, "the column guest_nickname has the mask Truncate(to=7) now, had"),
    ("Truncate(to=8)", "Pseudonym()", True, "the column guest_nickname has the mask Pseudonym("),
    (
        "holder: Annotated[str, Text(max=20), Pseudonym()",
        'holder: Annotated[str, Text(max=20), Pseudonym(domain="x")',
        True,
        "the column stops[*].seats[*].holder has tokens of the domain x now, had holder: they do not join",
    ),
    (
        "    mail: Annotated[str, Email(",
        "    mail: Annotated[str, Email(fold=True",
        True,
        "the column mail has other tokens for the same values now",
    ),
    ("recoverable=True", "recoverable=False", True, "the column mail cannot be recovered any more"),
    (
        "badge: Annotated[str, Text(max=20), Pseudonym()]",
        "badge: Annotated[str, Text(max=20), Pseudonym(recoverable=True)]",
        False,
        "the column stops[*].badge can be recovered now",
    ),
    # the stream itself
    ('table="visits"', 'table="calls"', True, "the table is calls, was visits"),
    ('table="visits"', 'table="visits", envelope=sns', True, "the envelope is sns, was plain"),
    ('table="visits"', 'table="visits", subject="kind"', True, "the subject is kind, was None"),
    ('table="visits"', 'table="visits", identity="kind"', True, "the identity is kind, was None"),
    ('table="visits"', 'table="visits", time="born"', True, "the time is born, was None"),
]


@pytest.mark.parametrize(
    ("old", "new", "is_breaking", "told"), CASES, ids=[f"{case[0][:20]}→{case[1][:20]}" for case in CASES]
)
def test_a_change_is_told_as_what_it_is(
    old: str, new: str, is_breaking: bool, told: str, declare: Callable[[str, str], None]
) -> None:
    assert TEXT.count(old) == 1
    found = changes(declare, TEXT, TEXT.replace(old, new))
    assert [one for one in found if one[0] == is_breaking and told in one[1]], found
    assert is_breaking or not [one for one in found if one[0]]


def test_what_did_not_change_is_not_told(declare: Callable[[str, str], None]) -> None:
    assert changes(declare, TEXT, TEXT) == []


def test_a_field_that_is_gone_is_not_read_and_its_column_is_gone(declare: Callable[[str, str], None]) -> None:
    assert changes(declare, TEXT, TEXT.replace('    plan: Annotated[str, Text(max=9)] = "free"\n', "")) == [
        (True, "the column plan is gone"),
        (False, "/plan is not read any more"),
    ]


def test_a_region_for_numbers_without_one_changes_no_token(declare: Callable[[str, str], None]) -> None:
    text = TEXT.replace('Phone(region="GB")', "Phone()")
    told = '/phone takes Phone(max=64, region="GB") now, took Phone(max=64)'
    assert changes(declare, text, TEXT) == [(False, told)]


# Against a revision of git


@pytest.fixture
def repository(tmp_path: Path, declare: Callable[[str, str], None], server: type[FakeServer]) -> Callable[..., str]:
    """Return the function that runs git where the streams are."""

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false")
        ran = subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True, cwd=tmp_path)
        return ran.stdout.strip()

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "empty")
    git("tag", "empty")
    declare("visits", STREAM)
    declare("leaving", STREAM.replace("visits", "leaving"))
    git("add", "streams")
    git("commit", "--quiet", "--message", "streams")
    return git


def against(revision: str) -> tuple[int, list[str], list[str]]:
    """Return exit code, what is breaking and what is added."""
    code, output, errors = run("check", "--json", "--against", revision)
    assert errors == ""
    told = json.loads(output)
    assert told["errors"] == []
    return code, told["breaking"], told["additions"]


def test_streams_are_compared_with_those_of_a_revision(
    repository: Callable[..., str], declare: Callable[[str, str], None], tmp_path: Path, postgres: FakePostgres
) -> None:
    assert against("HEAD") == (0, [], [])
    (tmp_path / "streams" / "leaving.py").unlink()
    declare("visits", STREAM.replace("Annotated[str, Text(max=20)]", "Annotated[str, Text(max=30)]"))
    declare("coming", STREAM.replace("visits", "coming"))
    for name in [name for name in sys.modules if name.startswith("streams.")]:
        del sys.modules[name]
    assert against("HEAD") == (
        1,
        ["leaving: the stream is gone"],
        ["coming: the stream is new", "visits: /stops/*/room takes Text(max=30) now, took Text(max=20)"],
    )
    code, output, _ = run("check", "--against", "HEAD")
    assert (code, output.splitlines()[-3]) == (1, "✗ breaking: leaving: the stream is gone")


def test_what_older_rows_keep_is_told(
    repository: Callable[..., str], declare: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare("visits", STREAM.replace(', Keep("release", as_=version_number)', ', Redact("release")'))
    for name in [name for name in sys.modules if name.startswith("streams.")]:
        del sys.modules[name]
    sql = "UPDATE visits SET release = NULL WHERE release IS NOT NULL;"
    code, output, _ = run("check", "--against", "HEAD")
    told, statement = output.splitlines()[-2:]
    assert (code, statement) == (1, f"    {sql}")
    assert told.startswith("! older rows: visits: the column release keeps the clear values in the rows that are there")
    _, output, _ = run("check", "--json", "--against", "HEAD")
    (one,) = json.loads(output)["older_rows"]
    assert (one["stream"], one["column"], one["sql"]) == ("visits", "release", sql)

    given: list[list[str]] = []

    def migration(*arguments: Any) -> Migration:
        given.append([left.sql for left in arguments[-1]])
        return Migration([], [])

    monkeypatch.setattr(migration_sql, "of_stream", migration)
    assert run("migration", "visits", "--against", "HEAD")[0] == 0
    assert given == [[sql]]
    unread = "empty has no such stream that could be read, so nothing is told of older rows."
    assert run("migration", "visits", "--against", "empty")[1].splitlines()[0] == unread
    assert run("migration", "visits", "--against", "nope")[0] == 2


def test_a_revision_without_streams_is_told(repository: Callable[..., str]) -> None:
    assert against("empty") == (0, [], ["empty has no streams, so there is nothing to compare with"])


def test_what_cannot_be_read_of_a_revision_is_told(
    repository: Callable[..., str], declare: Callable[[str, str], None]
) -> None:
    declare("visits", STREAM.replace("Truncate(to=8)", "Truncate()"))
    repository("commit", "--quiet", "--all", "--message", "bad")
    declare("visits", STREAM)
    why = "Guest.nickname: Truncate of a text needs the number of characters to keep"
    assert against("HEAD") == (
        *(0, []),
        [f"visits: cannot be compared, since it was not valid: visits: {why}"],
    )


@pytest.mark.parametrize("revision", ["nope", "--all", "HEAD:streams"])
def test_a_revision_that_is_not_there_is_a_usage_error(revision: str, repository: Callable[..., str]) -> None:
    told = f"sluice: --against: git knows no revision {revision}\n"
    assert run("check", f"--against={revision}") == (2, "", told)


def test_streams_in_no_repository_are_a_usage_error(
    declare: Callable[[str, str], None], server: type[FakeServer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    declare("visits", STREAM)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert run("check", "--against", "HEAD") == (2, "", "sluice: --against: streams is in no git repository\n")


def test_declarations_that_are_wrong_are_not_compared(
    repository: Callable[..., str], declare: Callable[[str, str], None]
) -> None:
    declare("visits", STREAM.replace("Truncate(to=8)", "Truncate()"))
    why = "Guest.nickname: Truncate of a text needs the number of characters to keep"
    assert run("check", "--against", "HEAD") == (1, f"✗ visits: {why}\n", "")
