"""What the commands of authors tell of a text that is scrubbed."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from sluice.declaration import description, registry
from tests.unit.cli import numbered_tokens, run
from tools.sluice_cli.authors import contract, table_sql, throwaway
from tools.sluice_cli.authors.generator import Generator
from tools.testing import clear_values

BOUNCES = '''"""Bounces."""

from typing import Annotated

from sluice import Email, Find, IpAddress, Part, Pseudonym, Redact, Scrub, Stream, Text


class Hop(Part):
    said: Annotated[str, Text(max=99), Scrub(Find(Email(), Pseudonym(domain="email")))]


class Bounce(Stream, table="bounces"):
    reply: Annotated[
        str | None,
        Text(max=200),
        Scrub(
            Find(Email(), Pseudonym(domain="email", recoverable=True)),
            Find(IpAddress(), Redact(constant="[ip]")),
            Find(Text(max=9), Pseudonym("orders", domain="order"), pattern=r"order (\\w+)"),
        ),
    ]
    hops: list[Hop] = []
'''
RECORD = {"reply": "to ada@example.com, 203.0.113.7, order a1", "hops": [{"said": "<ada@example.com> no"}]}
ROW = {
    "reply": "to ada, [ip], order the first",
    "reply_email": ["ada"],
    "orders": ["the first"],
    "hops": [{"said": "<ada> no", "said_email": ["ada"]}],
}


@pytest.fixture(autouse=True)
def bounces(declare: Callable[[str, str], None]) -> None:
    declare("bounces", BOUNCES)


def test_describe_tells_what_is_found_and_what_is_put_in_its_place() -> None:
    entries = description.entries(registry.load("bounces"))[:5]
    assert [(entry.column, description.mask_text(entry), entry.domain, entry.nullable) for entry in entries] == [
        (
            "reply",
            'Scrub(Find(Email(max=254), Pseudonym(domain="email", recoverable=true)),'
            ' Find(IpAddress, Redact(constant="[ip]")),'
            ' Find(Text(max=9), Pseudonym(column="orders", domain="order"), pattern="order (\\\\w+)"))',
            None,
            True,
        ),
        ("reply_email", "TokensInside(recoverable=true)", "email", True),
        ("orders", "TokensInside", "order", True),
        ("hops[*].said", 'Scrub(Find(Email(max=254), Pseudonym(domain="email")))', None, False),
        ("hops[*].said_email", "TokensInside", "email", False),
    ]
    described = json.loads(run("describe", "bounces", "--json")[1])["columns"]
    assert described[1]["mask"] == {"name": "TokensInside", "recoverable": True}
    assert [found["rule"]["name"] for found in described[0]["mask"]["finds"]] == ["Email", "IpAddress", "Text"]
    assert run("describe", "bounces", "--markdown")[0] == run("describe", "bounces", "--json-schema")[0] == 0


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (ROW, "✓ bounces             1 examples become what they say"),
        (ROW | {"orders": ["ada"]}, "orders[0]: is another token than"),
        (ROW | {"reply": "to eve, [ip], order the first"}, 'is the token "eve" of line 1, must be another'),
        (ROW | {"reply": "of ada, [ip], order the first"}, 'must be "of ada, [ip], order the first"'),
        (ROW | {"reply": None}, "reply: is"),
    ],
)
def test_examples_have_labels_in_the_place_of_tokens_in_texts_too(
    row: dict[str, object], told: str, tmp_path: Path
) -> None:
    folder = tmp_path / "streams" / "examples"
    folder.mkdir()
    (folder / "bounces.jsonl").write_text(json.dumps({"record": RECORD, "row": row}) + "\n")
    output = run("test", "bounces")[1]
    assert told in output
    assert "t1_" not in output


def test_preview_hides_the_text_and_shows_the_tokens_in_it(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text(json.dumps(RECORD) + "\n")
    output = run("preview", "bounces", str(tmp_path / "records.jsonl"), "--json")[1]
    ((shown,), exposed) = (json.loads(numbered_tokens(output))[name] for name in ("rows", "kept_in_the_clear"))
    kept = {"kept": True}
    assert shown["row"] == {
        "reply": kept,
        "reply_email": '{"token 1"}',
        "orders": '{"token 2"}',
        "hops": [{"said": kept, "said_email": ["token 1"]}],
    }
    assert exposed == []


def test_preview_names_what_the_text_still_holds(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text(json.dumps({"reply": "call +44 20 7946 0018"}) + "\n")
    output = run("preview", "bounces", str(tmp_path / "records.jsonl"), "--json")[1]
    assert json.loads(output)["kept_in_the_clear"] == [{"column": "reply", "looks_like": "a phone number", "rows": 1}]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("Find(IpAddress(), Redact", "Find(Email(), Redact", "the column reply has the mask Scrub("),
        ('constant="[ip]"', 'constant="-"', "the column reply has the mask Scrub("),
        ('domain="order"', 'domain="id"', "the column orders has tokens of the domain id now, had order"),
        ('"orders", ', "", "the column orders is reply_order now"),
        (", recoverable=True", "", "the column reply_email cannot be recovered any more"),
    ],
)
def test_a_change_of_what_is_found_or_becomes_of_it_is_breaking(
    old: str, new: str, told: str, declare: Callable[[str, str], None]
) -> None:
    assert BOUNCES.count(old) == 1
    declare("changed", BOUNCES.replace(old, new))
    before, after = (contract.of_stream(registry.load(name)) for name in ("bounces", "changed"))
    changes = contract.compare({"bounces": before}, {"bounces": after})
    assert [change for change in changes if change.is_breaking and told in change.sentence], changes


def test_made_up_texts_hold_what_is_found() -> None:
    stream = registry.load("bounces")
    generator = Generator(stream, Random(1))
    for _ in range(3):
        body = generator.record(is_complete=True)
        hidden, kept = clear_values.values(stream, body)
        assert [value for value in hidden if "@example." in value]
        assert [value for value in hidden for text in kept if value in text] == []
        masked = stream.masker(throwaway.keyset())(body)
        assert [value for value in hidden if value in repr(masked.cells)] == []


def test_the_table_has_an_index_on_each_array() -> None:
    assert "CREATE INDEX ON bounces USING gin (reply_email);" in table_sql.create_table(registry.load("bounces"))
