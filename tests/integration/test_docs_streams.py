"""docs/streams.md says nothing that is not so: every example of it is run, every table compared with the code."""

import inspect
import json
import re
from importlib import import_module
from itertools import count
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.declaration import canonical, diagnosis, envelopes, masks, rules
from sluice.declaration.masks import Mask
from sluice.declaration.rules import Each, Rule
from sluice.declaration.scrub import Find
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError
from sluice.ingest.batch import record_handler
from sluice.ingest.rows import MaskedRow
from sluice.migrate import tables
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import LOGINS, TestDatabase, in_seconds
from tests.integration.environment import OpenStore, write
from tests.integration.messages import KEYSET, numbered
from tests.integration.messages import record as message
from tests.unit.kinds import KINDS, read
from tools.project import DECLARED

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/common/sluice"
DOC = (ROOT / "docs/streams.md").read_text("utf-8")
SENT_AT = "2026-01-31T23:59:59.999+00:00"


class Example(NamedTuple):
    """A block of Python, and what stands after it until the next: SQL, a record and its row, or an error."""

    python: str
    sql: list[str]
    json: list[str]
    error: list[str]


def examples() -> list[Example]:
    found: list[Example] = []
    before: list[str] = []  # the order stands before its declaration
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", DOC, re.DOTALL | re.MULTILINE):
        if language == "console":
            continue  # test_documented_commands.py knows what runs it
        if language == "python":
            found.append(Example(text, [], before, []))
            before = []
        elif not found:
            before.append(text)
        else:
            {"sql": found[-1].sql, "json": found[-1].json, "text": found[-1].error}[language].append(text)
    return found


EXAMPLES = examples()


def run(python: str, namespace: dict[str, Any]) -> type[Stream] | None:
    """Run a block as a module's next lines, and return the stream that it declares."""
    before = set(namespace)
    exec(compile(python, "docs/streams.md", "exec", dont_inherit=True), namespace)
    made = [namespace[name] for name in namespace.keys() - before]
    streams = [one for one in made if isinstance(one, type) and issubclass(one, Stream) and one is not Stream]
    return streams[0] if streams else None


def cut(row: object) -> object:
    """Return a row with its tokens cut short, and its numbers with all their digits."""
    text = re.sub(r"t1_[\w-]{43}", "t1_…", json.dumps(row, default=str))
    return json.loads(text, parse_int=str, parse_float=str)


def test_every_example_does_what_it_says(database: TestDatabase, open_store: OpenStore) -> None:
    database.sql("DROP TABLE orders")
    namespace: dict[str, Any] = {"__name__": "docs.pushes"}  # the stream's name, of which an id is made
    numbers = count(1)
    seen = {"tables": 0, "rows": 0, "errors": 0}
    for example in EXAMPLES:
        if example.error:
            with pytest.raises(DeclarationError) as caught:
                run(example.python, namespace)
            assert [f"DeclarationError: {caught.value}\n"] == example.error
            seen["errors"] += 1
            continue
        declared = run(example.python, namespace)
        for sql in example.sql:
            assert declared
            database.sql(sql)
            tables.grant(database.owner, declared, LOGINS)
            seen["tables"] += 1
        if not example.json:
            continue
        assert declared
        given, row = example.json
        cells = declared.masker(Keyset.parse(KEYSET))(given)[0]
        wanted = json.loads(row, parse_float=str)
        if example.sql:
            message_id = numbered(next(numbers))
            written = write(open_store(declared), [MaskedRow(message_id, SENT_AT, cells)], in_seconds(60))
            assert written == (1, 0, [])
            ((text,),) = database.sql(f"SELECT to_jsonb(t)::text FROM {declared.table} t")
            found = json.loads(text, parse_float=str)
            assert found | {"sent_at": SENT_AT, "message_id": message_id} == found
            found = {name: found[name] for name in found.keys() - {"sent_at", "message_id"}}
        else:
            names = [column for column, _ in declared.columns()]
            found = dict(zip(names, read(cells), strict=True))
            if declared.postmark.identity:
                sent = record_handler(declared, Keyset.parse(KEYSET))(SQSRecord(message(given)))
                found |= {"sent_at": sent.sent_at, "message_id": sent.message_id}
        assert (declared, cut(found)) == (declared, cut(wanted))
        seen["rows"] += 1
    assert seen == {
        "tables": DOC.count("CREATE TABLE"),
        "rows": DOC.count("```json") // 2,
        "errors": DOC.count("DeclarationError:"),
    }


def test_the_orders_are_those_that_the_tests_declare() -> None:
    order = EXAMPLES[0]
    assert order.python == (DECLARED / "streams/orders.py").read_text()
    assert order.sql == [(DECLARED / "streams/migrations/0003_orders.sql").read_text()]


# The tables


def rows_of(section: str) -> list[list[str]]:
    """Return the cells of a section's table."""
    table = re.findall(r"^\|.*\|$", DOC.split(f"\n## {section}\n")[1].split("\n## ")[0], re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def names_of(module: Any, base: type) -> set[str]:
    members = vars(module).values()
    return {made.__name__ for made in members if isinstance(made, type) and issubclass(made, base) and made is not base}


def modules_of(package: ModuleType) -> list[ModuleType]:
    return [import_module(f"{package.__name__}.{module.name}") for module in iter_modules(package.__path__)]


def test_the_table_of_rules_has_every_rule_and_its_parameters() -> None:
    documented = {re.match(r"`(\w+)", row[0])[1]: row for row in rows_of("Rules")}  # type: ignore[index]
    assert set(documented) == names_of(rules, Rule)
    for name, row in documented.items():
        parameters = set(re.findall(r"(\w+)=", row[0]))
        assert parameters <= set(inspect.signature(getattr(rules, name)).parameters)


def test_the_table_of_rules_tells_type_and_truncation_of_each() -> None:
    documented = {re.match(r"`(\w+)", row[0])[1]: row for row in rows_of("Rules")}  # type: ignore[index]
    for kind in KINDS.values():
        _, _, _, type_, _, truncated = documented[type(kind.rule).__name__]
        assert type_ == f"`{kind.rule.makes.__name__}`"
        assert (truncated == "–") == (kind.short is None)
    assert {type(kind.rule) for kind in KINDS.values()} | {Each} == {getattr(rules, name) for name in documented}


def test_the_table_of_masks_has_every_mask_and_its_parameters() -> None:
    documented = {re.match(r"`(\w+)", row[0])[1]: row for row in rows_of("Masks")}  # type: ignore[index]
    parameters = {name: re.findall(r"(\w+)[,=)]", row[0]) for name, row in documented.items()}
    assert parameters.pop("Scrub") == [*inspect.signature(Find).parameters, "column"]
    assert parameters == {
        name: list(inspect.signature(getattr(masks, name)).parameters) for name in names_of(masks, Mask)
    }


def test_every_reason_is_documented() -> None:
    raised = {
        reason
        for module in (canonical, diagnosis, envelopes, *modules_of(rules))
        for reason in re.findall(r"""Rejected\("(\w+)""", inspect.getsource(module))
    } | {"null", "wrong_type"}
    documented = set(re.findall(r"`(\w+)`", DOC.split("The reasons in `rejection`: ")[1].split("\n\n")[0]))
    assert documented == raised
