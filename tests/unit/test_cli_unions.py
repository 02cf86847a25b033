"""What the command tells of values of several shapes, and what it makes up."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.integration.messages import KEYSET
from tests.unit import payments
from tests.unit.cli import run
from tests.unit.payments import Payment
from tests.unit.test_cli_against import changes
from tests.unit.test_unions import payment
from tools.sluice_cli.authors import faults, json_schema
from tools.sluice_cli.authors.generator import Generator

TEXT = Path(payments.__file__).read_text("utf-8")


def test_describe_tells_of_each_field_in_which_case_it_is(declare: Callable[[str, str], None]) -> None:
    declare("payments", TEXT)
    told = json.loads(run("describe", "payments", "--json")[1])["columns"]
    found = [(one["field"], one.get("cases", []), one["column"], one["nullable"]) for one in told]
    assert found == [
        ("/user_id", [], "user_id", False),
        ("/type", [], "type", False),
        ("/method/number", ['type is "card" or "debit"'], "card_token", True),
        ("/method/number", ['type is "card" or "debit"'], "card_start", True),
        ("/method/country", ['type is "card" or "debit"'], "method_country", True),
        (None, ['type is "card" or "debit"'], "method_kind", False),
        ("/method/iban", ['type is "bank"'], "method_iban", True),
        ("/method/country", ['type is "bank"'], "method_country", True),
        (None, ['type is "bank"'], "method_kind", False),
        ("/source/till", ["kind is 1 or 2"], "source_till", True),
        ("/author/vat", ["it is an object of Company"], "author_vat", True),
        ("/author/email", ["it is an object of Company"], "author_email", True),
        ("/author/email", ["it is an object of Author"], "author_email", True),
        ("/author", ["it is a text"], "author_name", True),
        ("/author", ["it is a number"], "author_number", True),
        ("/author/*/till", ["it is a list"], "author[*].till", False),
        ("/to", ["it is a list"], "to_tokens", True),
        ("/to", ["it is a text"], "to_token", True),
        ("/headers/*/name", ['name is "To" or "cc"'], "headers[*].name", False),
        ("/headers/*/value", ['name is "To" or "cc"'], "headers[*].address", False),
        ("/headers/*/name", ['name is "Subject"'], "headers[*].name", False),
        ("/headers/*/value", ['name is "Subject"'], "headers[*].text", False),
        ("/headers/*/name", ["name is any other"], "headers[*].name", False),
        ("/event", ['type is "track"'], "event", True),
        ("/by/email", ['type is "track"', "it is an object"], "by_email", True),
        ("/by", ['type is "track"', "it is a text"], "by_name", True),
        ("/traits/email", ['type is "identify"'], "traits_email", True),
        (None, [], "is_card", False),
        (None, [], "message_id", False),
        (None, [], "sent_at", False),
    ]
    assert '`/method/iban where type is "bank"`' in run("describe", "payments", "--markdown")[1]


def test_made_up_records_have_every_case_are_accepted_and_validate() -> None:
    schema = json_schema.of_stream(Payment)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    generator = Generator(Payment, random.Random(1))
    mask = Payment.masker(Keyset.parse(KEYSET))
    seen: set[str] = set()
    for _ in range(150):
        record = generator.record()
        assert list(validator.iter_errors(json.loads(record))) == []
        cells = mask(record).cells
        seen |= {column for (column, _), cell in zip(Payment.columns(), cells, strict=True) if cell is not None}
        with pytest.raises(Rejected):
            mask(generator.spoiled(record))
    assert seen == {column for column, _ in Payment.columns()}


@pytest.mark.parametrize(
    "changes",
    [
        {"method": {"type": "Card", "number": "1", "country": "DE"}},
        {"method": {"number": "1", "country": "DE"}},
        {"method": {"type": "bank", "number": "1"}},
        {"source": {"kind": 1}},
        {"source": {"till": 1}},
        {"author": True},
        {"author": {}},
        {"to": 1},
        {"headers": [{"name": "CC"}]},
        {"headers": [{}]},
        {"type": "identify"},
        {"by": 1},
    ],
)
def test_the_schema_refuses_what_no_case_takes(changes: dict[str, object]) -> None:
    validator = Draft202012Validator(json_schema.of_stream(Payment))
    assert list(validator.iter_errors(json.loads(payment()))) == []
    assert list(validator.iter_errors(json.loads(payment(**changes)))) != []


@pytest.mark.parametrize("tag", ["To", "straße", "of fish", "a.b|c^", "ΣΑΣ", "K", "ŉ", "ǰ", "ΐ", "İ", "x-ﬁ", "DŽ"])
def test_a_folded_tag_is_matched_in_any_case_and_nothing_else_is(tag: str) -> None:
    pattern = re.compile(f"^(?:{json_schema.in_any_case(tag)})$")
    near = {tag + "s", tag[1:], tag.replace("a", "b"), tag[:-1] + "X", re.sub("[.|]", "x", tag), tag.replace("^", "")}
    for one in {tag, tag.upper(), tag.lower(), tag.title(), tag.casefold(), tag.swapcase(), *near}:
        assert bool(pattern.search(one)) == (one.casefold() == tag.casefold()), one


def test_all_faults_are_told_each_in_its_case(keyset: Keyset) -> None:
    body = payment(
        type="identify",
        method={"type": "bank", "iban": "", "country": "kn4ry", "number": 1},
        source={"kind": 1, "till": 10},
        author=[{"till": 0}, {"till": 1}, 7],
        to=["x"],
        headers=[{"name": "to", "value": "x"}, {"name": 1}, {"name": "z"}, None],
        traits={"email": 1},
    )
    with pytest.raises(Rejected) as raised:
        Payment.masker(keyset)(body)
    found = faults.of(Payment, body, keyset, raised.value)
    assert sorted((fault.pointer, fault.reason) for fault in found) == [
        ("/author/0/till", "out_of_range"),
        ("/author/2", "wrong_type"),
        ("/headers/0/value", "not_an_email_address"),
        ("/headers/1/name", "wrong_type"),
        ("/headers/3", "null"),
        ("/method/country", "too_long"),
        ("/method/iban", "empty"),
        ("/source/till", "out_of_range"),
        ("/to/0", "not_an_email_address"),
        ("/traits/email", "wrong_type"),
    ]


def test_a_preview_tells_the_type_of_an_object_where_another_case_has_a_column(
    declare: Callable[[str, str], None], tmp_path: Path
) -> None:
    declare("payments", TEXT)
    file = tmp_path / "records.jsonl"
    file.write_text(payment(author={"email": "ann@example.com"}))
    code, out, err = run("preview", "payments", str(file))
    assert (code, err) == (0, "")
    columns = ("author_name", "author_number", "author")
    assert re.findall(r"│ /author +│ (.+?) +│ (\w+)", out) == [("object", column) for column in columns]


@pytest.mark.parametrize("changes", [{"type": 1}, {"type": None}, {"type": "x"}, {"method": None}, {"author": False}])
def test_a_fault_that_is_alone_is_told_once(changes: dict[str, object], keyset: Keyset) -> None:
    body = payment(**changes)
    with pytest.raises(Rejected) as raised:
        Payment.masker(keyset)(body)
    found = faults.of(Payment, body, keyset, raised.value)
    assert [(fault.reason, fault.pointer) for fault in found] == [(raised.value.reason, raised.value.pointer)]


def test_a_preview_shows_no_clear_value_of_any_case(declare: Callable[[str, str], None], tmp_path: Path) -> None:
    declare("payments", TEXT)
    records = [
        payment(headers=[{"name": "to", "value": "kn4ry@example.com"}, {"name": "Subject", "value": "kn4ry"}]),
        payment(headers=[{"name": "kn4ry-other", "value": "kn4ry"}], author={"email": "kn4ry@example.com"}),
        payment(method={"type": "bank", "iban": "kn4ry-iban", "country": "kn4"}, author="kn4ry"),
        payment(method={"type": "kn4ry"}),
    ]
    file = tmp_path / "records.jsonl"
    file.write_text("\n".join(records))
    code, out, err = run("preview", "payments", str(file))
    assert code == 1, err
    assert "not_a_choice" in out
    assert "kn4ry" not in out
    code, out, _ = run("preview", "payments", str(file), "--json")
    told = json.loads(out)
    assert "kn4ry" not in out
    assert told["rows"][1]["row"]["headers"] == [{"name": {"kept": True}}]
    columns = {one["column"]: one["values"] for one in told["masked_columns"]}
    assert {name: columns[name] for name in ("headers[*].address", "headers[*].text", "author_name")} == {
        "headers[*].address": 1,
        "headers[*].text": 1,
        "author_name": 1,
    }


CHANGES = [
    ('"bank": Bank}', '"bank": Bank, "iban": Bank}', [(False, '/method where type is "bank" has the tag "iban", too')]),
    ('"debit": Card, ', "", [(True, '/method where type is "card" has no tag "debit" any more')]),
    (
        'Annotated[Card | Bank, Tagged("type", {"card": Card, "debit": Card, "bank": Bank})]',
        'Annotated[Card, Tagged("type", {"card": Card, "debit": Card})]',
        [
            (True, '/method where type is "bank" is no case any more'),
            (True, 'the column method_iban where type is "bank" is gone'),
            (True, 'the column method_country where type is "bank" is gone'),
            (True, 'the column method_kind where type is "bank" is gone'),
            (False, 'the column method_country where type is "card" is varchar(2) now, was varchar(3)'),
        ],
    ),
    ('Tagged("kind"', 'Tagged("of"', [(True, "/source is a union by the key of now, was a union by the key kind")]),
    (
        "Integer(min=1, max=9)",
        "Integer(min=1, max=8)",
        [(True, "/source/till where kind is 1 takes"), (True, "/author/*/till where it is a list")],
    ),
    (
        "(Text(max=100), Pseudonym",
        "(Text(max=200), Pseudonym",
        [(False, "/author where it is a text takes Text(max=200) now")],
    ),
    (
        "traits: Author\n",
        "traits: Author\n    note: Annotated[str, Text(max=9)]\n",
        [(True, '/note where type is "identify" is new and required')],
    ),
]


@pytest.mark.parametrize(("old", "new", "wanted"), CHANGES, ids=[new[:30] for _, new, _ in CHANGES])
def test_a_change_of_a_case_is_told_in_that_case(
    old: str, new: str, wanted: list[tuple[bool, str]], declare: Callable[[str, str], None]
) -> None:
    assert old in TEXT
    told = changes(declare, TEXT, TEXT.replace(old, new))
    for is_breaking, sentence in wanted:
        assert any(one == is_breaking and text.startswith(sentence) for one, text in told), told


def test_a_new_case_breaks_nothing(declare: Callable[[str, str], None]) -> None:
    new = TEXT.replace("[Card | Bank, Tagged", "[Card | Bank | Shop, Tagged").replace(
        '"bank": Bank}', '"bank": Bank, "till": Shop}'
    )
    told = changes(declare, TEXT, new)
    assert (False, '/method where type is "till" is new') in told
    assert (False, 'the column method_till where type is "till" is new') in told
    assert not any("/method/till" in sentence for _, sentence in told)
