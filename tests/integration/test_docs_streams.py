"""docs/streams.md says nothing that is not so: every example of it is run, every table compared with the code."""

import inspect
import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import count
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.declaration import masks, rules
from sluice.declaration.masks import Mask
from sluice.declaration.route import Route
from sluice.declaration.rules import Each, Rule
from sluice.declaration.scrub import Find
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError
from sluice.ingest.batch import record_handler
from sluice.ingest.rows import MaskedRow
from sluice.migrate import rights
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import LOGINS, TestDatabase, in_seconds
from tests.integration.environment import OpenStore, write
from tests.integration.messages import KEYSET, numbered
from tests.integration.messages import record as message
from tests.unit.kinds import KINDS, read
from tools.project import DECLARED, PROJECT

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


def run(python: str, namespace: dict[str, Any]) -> Any:
    """Run a block as a module's next lines, or as those of the module that it names; return what it declares."""
    before, named = dict(namespace), re.match(r"# layers/streams/(\w+)\.py\n", python)
    globals_ = namespace | {"__name__": f"streams.{named[1]}"} if named else namespace
    exec(compile(python, "docs/streams.md", "exec", dont_inherit=True), globals_)
    made = {name: one for name, one in globals_.items() if isinstance(one, type) and before.get(name) is not one}
    if named:
        sys.modules[f"streams.{named[1]}"] = module = ModuleType(named[1])
        vars(module).update(made)
        namespace |= made
    own = [one for one in made.values() if one.__module__ == globals_["__name__"]]
    declared = [one for one in own if issubclass(one, (Stream, Route))]
    return declared[0] if declared else None


@pytest.fixture(autouse=True)
def no_module_stays() -> Iterator[None]:
    yield
    for name in re.findall(r"^# layers/streams/(\w+)\.py$", DOC, re.MULTILINE):
        sys.modules.pop(f"streams.{name}", None)


def cut(row: object) -> object:
    """Return a row with its tokens cut short, and its numbers with all their digits."""
    text = re.sub(r"t1_[\w-]{43}", "t1_…", json.dumps(row, default=str))
    return json.loads(text, parse_int=str, parse_float=str)


def handled(declared: type[Stream], given: str) -> object:
    """Return the rows of a message that holds several records, or the row of one that is given with its attributes."""
    said = json.loads(given)
    record = message(said["body"]) | said | {"body": json.dumps(said["body"])} if "body" in said else message(given)
    rows = record_handler(declared, Keyset.parse(KEYSET))(SQSRecord(record)).rows
    names = [column for column, _ in declared.columns()]
    found = [dict(zip(names, read(row.cells), strict=True)) for row in rows]
    return found if declared.splitter else found[0]


def routed(route: type[Route], given: str) -> object:
    """Return the rows of a route's records, and the stream of each."""
    handle = record_handler(route, Keyset.parse(KEYSET))
    names = {stream.stream_name: [column for column, _ in stream.columns()] for stream in route.streams()}
    rows = [row for one in json.loads(given) for row in handle(SQSRecord(message(one))).rows]
    return [{"stream": row.stream, "row": dict(zip(names[row.stream], read(row.cells), strict=True))} for row in rows]


def test_every_example_does_what_it_says(
    database: TestDatabase, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.sql("DROP TABLE orders")
    namespace: dict[str, Any] = {"__name__": "docs.pushes"}  # the stream's name, of which an id is made
    numbers = count(1)
    seen = {"tables": 0, "rows": 0, "errors": 0}
    for example in EXAMPLES:
        if shared := re.match(r"# layers/(streams)/(_\w+)\.py\n", example.python):
            module = ModuleType(".".join(shared.groups()))
            monkeypatch.setitem(sys.modules, module.__name__, module)
            run(example.python, vars(module))
            continue
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
            rights.grant(database.owner, declared, LOGINS)
            seen["tables"] += "CREATE TABLE" in sql
        if not example.json:
            continue
        assert declared
        given, row = example.json
        if issubclass(declared, Route):
            assert cut(routed(declared, given)) == cut(json.loads(row))
            seen["rows"] += 1
            continue
        if declared.splitter or "messageAttributes" in given:
            assert (declared, cut(handled(declared, given))) == (declared, cut(json.loads(row, parse_float=str)))
            seen["rows"] += 1
            continue
        cells = declared.masker(Keyset.parse(KEYSET))(given).cells
        wanted = json.loads(row, parse_float=str)
        if example.sql:
            message_id = numbered(next(numbers))
            written = write(open_store(declared), [MaskedRow(message_id, SENT_AT, cells)], in_seconds(60))
            assert written == (1, 0, [])
            ((text,),) = database.sql(f"SELECT to_jsonb(t)::text FROM {declared.table} t")
            found = json.loads(text, parse_float=str)
            assert found | {"sent_at": SENT_AT, "message_id": message_id} == found
            found = {name: found[name] for name in found.keys() - {"sent_at", "message_id", declared.column_of_batch}}
        else:
            names = [column for column, _ in declared.columns()]
            found = dict(zip(names, read(cells), strict=True))
            if declared.postmark.identity:
                sent = record_handler(declared, Keyset.parse(KEYSET))(SQSRecord(message(given))).rows[0]
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
    migrations = DECLARED / "streams/migrations"
    made, altered = order.sql
    assert made == (migrations / "0003_orders.sql").read_text()
    assert altered in (migrations / "0004_batches.sql").read_text()


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
    sources = (PROJECT / "layers/common/sluice/declaration").rglob("*.py")
    raised = {reason for source in sources for reason in re.findall(r"""Rejected\("(\w+)""", source.read_text())}
    raised |= {"null", "wrong_type", "missing", "payload_missing", "payload_too_large", "no_time", "too_old"}
    documented = set(re.findall(r"`(\w+)`", DOC.split("The reasons in `rejection`: ")[1].split("\n\n")[0]))
    assert documented == raised
