"""What the command tells of a Tree: each of its paths, no value of it and no key that no path names."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sluice.declaration import registry
from sluice.declaration.envelopes import plain
from sluice.declaration.rules import Text
from sluice.declaration.tree import Tree
from sluice.pseudonyms.keyset import Keyset
from tests.unit.cli import run
from tools.sluice_cli.authors import contract, examples, json_schema, table_sql
from tools.sluice_cli.authors.generator import Generator

EVENTS = '''"""Events."""

from typing import Annotated, Any

from sluice import Each, Email, IpAddress, Keep, Number, Part, Pseudonym, Redact, Stream, Text, Tree, Truncate

PROPS = Tree(
    {
        "/plan": Text(max=20),
        "/email": (Email(), Pseudonym(recoverable=True)),
        "/items/*/price": Number(precision=9, scale=2),
        "/items/*/note": (Text(max=99), Redact(constant="[note]")),
        "/**/ip": (IpAddress(), Truncate()),
        "/cc": (Each(Email()), Pseudonym(domain="email")),
        "/utm/**": Text(max=100),
        "/utm/secret": None,
        "/any/*": Keep(),
    },
    keys=Text(max=40),
)


class Item(Part):
    props: Annotated[dict[str, Any], PROPS]


class Event(Stream, table="events"):
    props: Annotated[dict[str, Any] | None, PROPS]
    parts: list[Item] = []
'''
KEPT = {"kept": True}
DIRTY: dict[str, Any] = {
    "plan": "kn4ry",
    "email": "kn4ry@example.com",
    "cc": ["kn4ry@example.org"],
    "items": [{"price": 1.5, "note": "kn4ry", "kn4ry": 1}, "kn4ry"],
    "kn4ry": {"kn4ry": {"ip": "203.0.113.77", "kn4ry": 1}},
    "utm": {"kn4ry": ["kn4ry"], "secret": "kn4ry"},
    "any": {"kn4ry": 1.5, "b": True, "c": None},
}


@pytest.fixture
def events(declare: Callable[[str, str], None]) -> Any:
    """Return the stream."""
    declare("events", EVENTS)
    return registry.load("events")


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    """Write records into a file, and return its name."""

    def write(*records: Any) -> str:
        path = tmp_path / "records.jsonl"
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        return str(path)

    return write


def test_describe_has_a_line_for_each_path(events: Any) -> None:
    described = json.loads(run("describe", "events", "--json")[1])["columns"]
    text = {"name": "Text", "max": 20}
    assert [(one["field"], one["column"], one["mask"]["name"], one["domain"]) for one in described][:12] == [
        ("/props", "props", "ByPath", None),
        ("/props/plan", "props/plan", "Keep", None),
        ("/props/email", "props/email", "Pseudonym", "email"),
        ("/props/items/*/price", "props/items/*/price", "Keep", None),
        ("/props/items/*/note", "props/items/*/note", "Redact", None),
        ("/props/**/ip", "props/**/ip", "Truncate", None),
        ("/props/cc", "props/cc", "Pseudonym", "email"),
        ("/props/utm/**", "props/utm/**", "Keep", None),
        ("/props/utm/secret", "props/utm/secret", "Dropped", None),
        ("/props/any/*", "props/any/*", "Keep", None),
        ("/props", "props_email", "TokensInside", "email"),
        ("/parts/*/props", "parts[*].props", "ByPath", None),
    ]
    assert (described[1]["rule"], described[1]["nullable"]) == (text, True)
    bounds = {"max_bytes": 262144, "max_depth": 32, "max_keys": 10000}
    assert described[0]["rule"] == {"name": "Tree", "keys": {"name": "Text", "max": 40}} | bounds
    assert "| `/props/items/*/price` | `Decimal` |" in run("describe", "events", "--markdown")[1]


def test_the_table_has_an_array_of_tokens_with_an_index(events: Any) -> None:
    assert table_sql.create_table(events) == (
        "CREATE TABLE events (\n"
        "    props       jsonb,\n"
        "    props_email text[],\n"
        "    parts       jsonb       NOT NULL,\n"
        "    sent_at     timestamptz NOT NULL,\n"
        "    message_id  uuid        PRIMARY KEY\n"
        ");\n\n"
        "CREATE INDEX ON events USING gin (props_email);\n"
    )


def test_a_preview_shows_what_is_masked_and_where_the_rest_is(events: Any, file: Callable[..., str]) -> None:
    code, output, errors = run("preview", "events", file({"props": DIRTY, "parts": [{"props": DIRTY}]}), "--json")
    assert (code, errors, "kn4ry" in output, "203.0.113.77" in output) == (0, "", False, False)
    row = json.loads(output)["rows"][0]["row"]
    email, (cc,) = row["props"].pop("email"), row["props"].pop("cc")
    assert row["props"] == {
        "plan": KEPT,
        "items": [{"price": KEPT, "note": "[note]"}, None],
        "*5": {"*1": {"ip": "203.0.113.0/24"}},
        "utm": {"*1": [KEPT]},
        "any": {"*1": KEPT, "*2": KEPT, "*3": None},
    }
    assert row["props_email"] == f'{{"{email}","{cc}"}}'
    assert row["parts"] == [{"props": row["props"] | {"email": email, "cc": [cc]}, "props_email": [email, cc]}]


def test_a_preview_tells_what_is_kept_and_looks_like_personal_data(events: Any, file: Callable[..., str]) -> None:
    props = {"plan": "free", "utm": {"to": "ada@example.com"}, "bob@example.com": {"ip": "192.0.2.1"}, "c@x.org": 1}
    told = json.loads(run("preview", "events", file({"props": props}), "--json")[1])["kept_in_the_clear"]
    assert told == [
        {"column": "props", "looks_like": "an e-mail address", "rows": 1},  # a key
        {"column": "props/utm/**", "looks_like": "an e-mail address", "rows": 1},
    ]


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_refused_record_leaves_nothing_of_it(arguments: list[str], events: Any, file: Callable[..., str]) -> None:
    bad = [{"props": DIRTY | {"kn4ry": {"ip": "kn4ry"}}}, {"props": ["kn4ry"]}, {"props": DIRTY | {"cc": "kn4ry"}}]
    code, output, errors = run("preview", "events", file(*bad), *arguments)
    assert (code, errors, "kn4ry" in output) == (1, "", False)
    for pointer in ("/props/*/ip", "/props", "/props/cc"):
        assert pointer in output


def test_in_an_example_a_label_stands_for_a_token_inside_of_a_tree(events: Any, tmp_path: Path, keyset: Keyset) -> None:
    props = {"plan": "free", "email": "a@x.org", "cc": ["b@x.org", "a@x.org"], "kn4ry": 1}
    row = {"plan": "free", "email": "ada", "cc": ["bob", "ada"]}
    whole = {"props": row, "props_email": ["ada", "bob"], "parts": []}
    lines = [
        {"record": {"props": props}, "row": whole},
        {"record": {"props": props}, "row": whole | {"props": row | {"plan": "pro", "cc": ["bob", "bob"]}}},
    ]
    folder = tmp_path / "streams/examples"
    folder.mkdir()
    (folder / "events.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert examples.differences("events", events, keyset) == [
        'layers/streams/examples/events.jsonl, line 2: props.plan: is "free", must be "pro"',
        'layers/streams/examples/events.jsonl, line 2: props.cc[1]: is another token than "bob" in line 1',
    ]


def test_samples_are_taken_and_validate_and_spoiled_ones_are_refused(events: Any, keyset: Keyset) -> None:
    source, mask = Generator(events, random.Random(1)), events.masker(keyset, envelope=plain)
    check = Draft202012Validator(json_schema.of_stream(events))
    seen: set[str] = set()
    for number in range(30):
        body = source.body(is_complete=number == 0)
        check.validate(json.loads(body))
        seen |= (json.loads(body)["props"] or {}).keys()
        mask(body)
        with pytest.raises(Exception, match=":"):
            mask(source.spoiled(body))
    assert seen == {"plan", "email", "items", "any", "cc", "utm"}


@pytest.mark.parametrize(("path", "bad"), [("plan", "x" * 21), ("email", 1), ("cc", ["x@y", 1]), ("email", {})])
def test_the_schema_tells_of_paths_without_wildcards(path: str, bad: Any, events: Any) -> None:
    check = Draft202012Validator(json_schema.of_stream(events))
    good: dict[str, Any] = {"plan": None, "email": "x@y", "cc": ["x@y"], "kn4ry": [{}], "items": 3}
    assert check.is_valid({"props": good})
    assert not check.is_valid({"props": good | {path: bad}})


def test_the_schema_takes_an_object_where_another_path_leads_on() -> None:
    tree = Tree({"/from": Text(max=9), "/from/name": Text(max=9), "/to": Text(max=9)})
    check = Draft202012Validator(json_schema.of_rule(tree))
    assert check.is_valid({"from": "x", "to": "x"})
    assert check.is_valid({"from": {"name": "x", "age": 1}})
    assert not check.is_valid({"from": {"name": 1}})
    assert not check.is_valid({"to": {"name": "x"}})


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"/plan": Text(max=20)', '"/plan": Text(max=30)',
         [(False, "/props/plan takes Text(max=30) now, took Text(max=20)")]),
        ('"/plan": Text(max=20)', '"/plan": Text(max=10)',
         [(True, "/props/plan takes Text(max=10) now, took Text(max=20): max was 20")]),
        ('"/plan": Text(max=20),\n', "",
         [(True, "the column props/plan is gone"), (False, "/props/plan is not read any more")]),
        ('"/utm/secret": None,', "", [(True, "the column props/utm/secret is gone")]),
        ('    keys=Text(max=40),\n', "    keys=Text(max=40),\n    max_keys=9,\n",
         [(True, "/props takes Tree(keys=Text(max=40), max_bytes=262144, max_depth=32, max_keys=9) now,"
           " took Tree(keys=Text(max=40), max_bytes=262144, max_depth=32, max_keys=10000): max_keys was 10000")]),
        ("(IpAddress(), Truncate())", "(IpAddress(), Redact())",
         [(True, 'the column props/**/ip has the mask Redact now, had Truncate')]),
        ('"/any/*": Keep(),', '"/any/*": Keep(),\n        "/new": Text(max=9),',
         [(False, "/props/new is new"), (False, "the column props/new is new")]),
    ],
)  # fmt: skip
def test_a_change_of_a_path_is_told(
    old: str, new: str, told: list[tuple[bool, str]], declare: Callable[[str, str], None]
) -> None:
    head = EVENTS.partition("\n\nclass Item")[0] + "\n\nclass Event(Stream, table='events'):\n"
    text = f"{head}    props: Annotated[dict[str, Any], PROPS]\n"
    declare("before", text)
    declare("after", text.replace(old, new))
    before, after = (contract.of_stream(registry.load(name)) for name in ("before", "after"))
    found = contract.compare({"events": before}, {"events": after})
    assert [(change.is_breaking, change.sentence.removeprefix("events: ")) for change in found] == told
