"""What the commands tell of a stream with values that become NULL, are rounded, floats, lists of lists or dates."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from sluice.declaration import registry, witness
from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.unit.cli import run
from tools.sluice_cli.authors import contract, json_schema, table_sql
from tools.sluice_cli.authors.generator import Generator

TEXT = '''"""Trips."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from sluice import (
    Boolean, Date, Each, Email, Float, NullIf, Number, Part, Pseudonym, Redact, Stream, Text, Timestamp, Truncate
)


class Stop(Part):
    mail: Annotated[str | None, Email(), NullIf("blank", "invalid"), Pseudonym(domain="mail")]


class Trip(Stream, table="trips"):
    """A trip, as the car sends it."""

    note: Annotated[str | None, Text(max=20), NullIf("blank")]
    price: Annotated[Decimal, Number(precision=6, scale=2, round=True)]
    speed: Annotated[float, Float(), Truncate(to=10)]
    speeds: Annotated[list[float | None], Each(Float()), NullIf("blank")] = []
    tags: Annotated[list[str | None], Each(Text(max=9)), NullIf("blank"), Pseudonym()]
    path: Annotated[list[list[Decimal]], Each(Each(Number(precision=8, scale=5)), json=True)]
    day: Annotated[date, Date()]
    paid: Annotated[bool, Boolean(text=True)]
    left: Annotated[datetime, Timestamp(zone="Europe/Berlin")]
    sent: Annotated[datetime, Timestamp(format="rfc2822")]
    ticks: Annotated[datetime | None, Timestamp(epoch="nanoseconds"), NullIf("invalid"), Redact()]
    stops: list[Stop]
'''
GOOD: dict[str, object] = {
    "note": " ",
    "price": 1.005,
    "speed": 52.48299920791517,
    "tags": ["a", ""],
    "path": [[13.3777, 52.5163], []],
    "day": "2026-03-31",
    "paid": "True",
    "left": "2026-03-31T10:00:00",
    "sent": "Tue, 31 Mar 2026 10:00:00 +0200 (CEST)",
    "ticks": 1774944000000000000,
    "stops": [{"mail": "kn4ry"}, {"mail": "ada@example.com"}],
}


@pytest.fixture(autouse=True)
def trips(declare: Callable[[str, str], None]) -> None:
    declare("trips", TEXT)


def test_describe_names_null_if_beside_the_rule() -> None:
    described = json.loads(run("describe", "trips", "--json")[1])["columns"]
    found = {column["column"]: (column["null_if"], column["type"]) for column in described if "null_if" in column}
    assert found == {
        "note": (["blank"], "str | None"),
        "speeds": (["blank"], "list[float | None]"),
        "tags": (["blank"], "list[str | None]"),
        "ticks": (["invalid"], "datetime | None"),
        "stops[*].mail": (["blank", "invalid"], "str | None"),
    }
    assert '| `Email(max=254), NullIf(when=["blank", "invalid"])` |' in run("describe", "trips", "--markdown")[1]


def test_the_schema_takes_what_the_stream_takes(keyset: Keyset) -> None:
    stream = registry.load("trips")
    schema = json_schema.of_stream(stream)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    mask = stream.masker(keyset)
    changes: list[dict[str, object]] = [
        {},
        {"note": None, "tags": [None, " "], "ticks": {"a": 1}, "stops": [{"mail": 7}]},
        {"left": "2026-03-31T10:00:00Z", "day": "20260331", "paid": False},
    ]
    for change in changes:
        mask(json.dumps(GOOD | change))
        assert [*validator.iter_errors(GOOD | change)] == []
    wrong: list[dict[str, object]] = [
        {"note": 7},
        {"tags": [7]},
        {"day": "31.3.2026"},
        {"paid": "yes"},
        {"path": [7]},
        {"sent": "now"},
    ]
    for change in wrong:
        with pytest.raises(Rejected):
            mask(json.dumps(GOOD | change))
        assert len([*validator.iter_errors(GOOD | change)]) == 1


def test_what_is_made_up_is_taken_and_has_blanks(keyset: Keyset) -> None:
    stream = registry.load("trips")
    generator, mask = Generator(stream, random.Random(3)), stream.masker(keyset)
    bodies = [generator.body() for _ in range(100)]
    assert {mask(body).nulled for body in bodies} == {()}
    notes = {json.loads(body)["note"] for body in bodies}
    assert {None, "", " "} < notes
    with pytest.raises(Rejected):
        mask(generator.spoiled(bodies[0]))


def test_preview_counts_what_became_null_and_shows_no_value(tmp_path: Path) -> None:
    file = tmp_path / "trips.jsonl"
    file.write_text(f"{json.dumps(GOOD)}\n{json.dumps(GOOD | {'ticks': 'kn4ry'})}\n")
    code, output, errors = run("preview", "trips", str(file), "--json")
    seen = json.loads(output)
    assert (code, errors, seen["nulled"]) == (0, "", {"/stops/*/mail": 2, "/ticks": 1})
    assert seen["rows"][0]["row"]["stops"][0] == {"mail": None}
    output = run("preview", "trips", str(file))[1]
    assert "Invalid, and so NULL" in output
    assert "kn4ry" not in output


ROW = {
    "note": None,
    "price": 1.01,
    "speed": 50,
    "speeds": [0.1, None],
    "tags": ["tag", None],
    "path": [[13.3777, 52.5163], []],
    "day": "2026-03-31",
    "paid": True,
    "left": "2026-03-31T08:00:00Z",
    "sent": "2026-03-31T08:00:00Z",
    "ticks": None,
    "stops": [{"mail": None}, {"mail": "somebody"}],
}


def test_the_examples_of_the_stream_say_what_becomes_null(tmp_path: Path) -> None:
    folder = tmp_path / "streams/examples"
    folder.mkdir()
    example = {"record": GOOD | {"speeds": [0.1, ""]}, "row": ROW}
    (folder / "trips.jsonl").write_text(json.dumps(example))
    assert run("test", "trips")[0] == 0
    (folder / "trips.jsonl").write_text(json.dumps(example | {"row": ROW | {"speeds": [0.1, 0], "day": "2026-04-01"}}))
    code, output, _ = run("test", "trips")
    assert code == 1
    assert "speeds[1]: is null, must be 0" in output
    assert 'day: is "2026-03-31", must be "2026-04-01"' in output


def test_the_breaker_can_try_the_stream(keyset: Keyset) -> None:
    masked = witness.mask(registry.load("trips"), keyset)
    assert (masked.nulled, masked.cells[0]) == ((), "probe")


def test_the_table_has_the_types_that_hold_the_values() -> None:
    types = {name: column.type for name, column in table_sql.columns_of(registry.load("trips")).items()}
    assert {name: types[name] for name in ("note", "speed", "tags", "path", "day", "price")} == {
        "note": "varchar(20)",
        "speed": "double precision",
        "tags": "varchar(256)[]",
        "path": "jsonb",
        "day": "date",
        "price": "numeric(6, 2)",
    }


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("", "", []),
        (
            'NullIf("blank")]\n',
            'NullIf("blank", "invalid")]\n',
            [(False, "/note becomes null now where it is invalid")],
        ),
        (
            'NullIf("blank", "invalid"), Pseudonym(d',
            'NullIf("invalid"), Pseudonym(d',
            [(True, "/stops/*/mail must not be blank any more")],
        ),
        (
            ", round=True",
            "",
            [
                (
                    True,
                    "/price takes Number(precision=6, scale=2) now, took Number(precision=6, scale=2, round=true):"
                    " it is not rounded any more",
                )
            ],
        ),
        (
            "Boolean(text=True)",
            "Boolean()",
            [(True, "/paid takes Boolean now, took Boolean(text=true): no text any more")],
        ),
        (
            'zone="Europe/Berlin"',
            'zone="Europe/Paris"',
            [
                (
                    True,
                    '/left takes Timestamp(epoch="seconds", zone="Europe/Paris") now,'
                    ' took Timestamp(epoch="seconds", zone="Europe/Berlin"): zone has changed',
                )
            ],
        ),
        (
            "Each(Each(Number(precision=8, scale=5)), json=True)",
            "Each(Each(Number(precision=8, scale=5), max=9), json=True)",
            [
                (
                    True,
                    "/path takes Each(rule=Each(rule=Number(precision=8, scale=5), max=9), max=1000, json=true) now,"
                    " took Each(rule=Each(rule=Number(precision=8, scale=5), max=1000),"
                    " max=1000, json=true): max was 1000",
                )
            ],
        ),
    ],
)
def test_a_change_that_producers_notice_is_told(
    old: str, new: str, told: list[tuple[bool, str]], declare: Callable[[str, str], None]
) -> None:
    declare("before", TEXT)
    declare("after", TEXT.replace(old, new, 1))
    before, after = (contract.of_stream(registry.load(name)) for name in ("before", "after"))
    found = contract.compare({"trips": before}, {"trips": after})
    assert [(change.is_breaking, change.sentence.removeprefix("trips: ")) for change in found] == told
