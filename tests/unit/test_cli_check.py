"""`sluice check` finds what does not fit together, and leaves no server behind."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar

import pytest

import streams
from sluice import Stream, Text, ToS3
from sluice.declaration.registry import load, names
from sluice.migrate import schema
from sluice.migrate.failures import MigrationFailed
from tests.unit.cli import STREAM, run
from tests.unit.fakes import FakePostgres
from tests.unit.new_stream import TEMPLATE, template_of_declared
from tests.versions import ANSWER
from tools.local.server import NotStarted
from tools.local.template import declared
from tools.project import DECLARED, PROJECT
from tools.sluice_cli.authors import check, examples, migration_sql, template
from tools.sluice_cli.authors.migration_sql import Migration, Step


class FakeServer:
    """Stands in for the embedded PostgreSQL: every connection leads to the fake database."""

    host, user, database, password = "127.0.0.1", "postgres", "sluice", "secret-password"
    starts = True
    running: ClassVar[set[Path]] = set()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0

    def start(self) -> None:
        if not self.starts:
            raise NotStarted("PostgreSQL did not start: no room")
        self.port = int(os.environ["DATABASE_PORT"])
        self.running.add(self.folder)

    def stop(self) -> bool:
        self.running.discard(self.folder)
        return True


@pytest.fixture
def server(postgres: FakePostgres, monkeypatch: pytest.MonkeyPatch) -> type[FakeServer]:
    """Return the server that the command starts, before the first migration."""
    monkeypatch.setattr("tools.local.postgres.Postgres", FakeServer)
    monkeypatch.setattr(template, "text", template_of_declared)
    postgres.check_values.clear()
    return FakeServer


@pytest.fixture(autouse=True)
def nothing_stays(server: type[FakeServer]) -> None:
    assert server.running == set()


def test_streams_that_fit_their_tables_are_told(server: type[FakeServer], postgres: FakePostgres) -> None:
    code, output, errors = run("check", "--json")
    assert (code, errors) == (0, "")
    assert json.loads(output) == {
        "streams": [
            {"stream": "orders", "table": "orders", "columns": 19},
            {"stream": "user_logins", "table": "user_logins", "columns": 9},
        ],
        "versions": ANSWER,
        "warnings": [],
        "errors": [],
    }
    assert server.running == set()


def test_every_table_that_lacks_a_column_fails_the_check(
    server: type[FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = FakePostgres.run

    def run_(self: FakePostgres, sql: str, **parameters: str) -> object:
        rows = answer(self, sql, **parameters)
        return rows[:-1] if "FROM pg_attribute" in sql and rows else rows

    monkeypatch.setattr(FakePostgres, "run", run_)
    code, output, errors = run("check")
    assert (code, output.splitlines(), errors) == (
        1,
        [
            "✗ Order: the table orders lacks the column large",
            "✗ UserLogin: the table user_logins lacks the column locale",
            "`sluice migration orders --write` writes the SQL that the table orders lacks.",
            "`sluice migration user_logins --write` writes the SQL that the table user_logins lacks.",
        ],
        "",
    )
    assert server.running == set()


def test_every_bad_declaration_is_told_and_no_server_is_started(
    declare: Callable[[str, str], None], server: type[FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "starts", False)
    declare("a", STREAM.replace('Redact(constant="a note")', 'Redact("room")'))
    declare("b", STREAM.replace("Truncate(to=8)", "Truncate()"))
    declare("c", "from sluice import Stream\n\nnothing = Nothing()\n")
    declare("d", "class D(:\n")
    declare("e", STREAM.replace('class Visit(Stream, table="visits")', "class Visit(Part)"))
    code, output, errors = run("check", "--json")
    assert (code, errors) == (1, "")
    assert json.loads(output) == {
        "streams": [],
        "versions": None,
        "warnings": [],
        "errors": [
            "a: Stop: room and note are both written to the column room; name another column in a mask of one of them",
            "b: Guest.nickname: Truncate of a text needs the number of characters to keep",
            "c.py, line 3: NameError: name 'Nothing' is not defined",
            "d.py, line 1: SyntaxError: invalid syntax (d.py, line 1)",
            "e: must declare one stream or one route, declares 0",
        ],
    }


def test_a_server_that_does_not_start_fails_the_check(
    server: type[FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "starts", False)
    assert run("check") == (1, "✗ PostgreSQL did not start: no room\n", "")


def test_an_example_that_is_not_so_fails_the_check(
    server: type[FakeServer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "examples"
    folder.mkdir()
    (folder / "orders.jsonl").write_text('{"body": "", "refused": {"reason": "missing"}}')
    monkeypatch.setattr(examples, "file", lambda name: folder / f"{name}.jsonl")
    code, output, _ = run("check")
    assert (code, output) == (
        1,
        "✗ layers/streams/examples/orders.jsonl, line 1: is refused: not_json, must be refused: missing\n"
        "If the declaration is right, `sluice test orders --renew` renews the examples.\n",
    )


def test_a_migration_is_not_made_where_those_there_are_fail(
    server: type[FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MigrationFailed("migration 1000_bad.sql: SQLSTATE 42P07")

    monkeypatch.setattr(schema, "apply", fail)
    assert run("migration", "orders", "--write") == (
        1,
        "",
        "sluice: migration 1000_bad.sql: SQLSTATE 42P07 (duplicate_table)\n",
    )
    assert server.running == set()


def test_a_migration_is_not_written_where_nothing_is_to_change(
    server: type[FakeServer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(streams, "__path__", [str(tmp_path), *streams.__path__])
    told = "The table orders has room for every row: there is nothing to change.\n"
    monkeypatch.setattr(migration_sql, "of_stream", lambda *_: Migration([], []))
    advice = "If a mask has changed, `--against REV` says what older rows keep; REV is the revision that is deployed.\n"
    assert run("migration", "orders", "--write") == (0, told, "")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "1000_orders.sql").write_text("CREATE TABLE orders (\n")
    assert run("migration", "orders") == (0, told, advice)


def test_a_table_that_was_never_made_is_better_made_anew(
    server: type[FakeServer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(streams, "__path__", [str(tmp_path), *streams.__path__])
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "1000_orders.sql").write_text("-- Orders.\n\nCREATE TABLE orders (\n")
    step = Step("ALTER TABLE orders ADD COLUMN more text;")
    monkeypatch.setattr(migration_sql, "of_stream", lambda *_: Migration([step], []))
    where = "If layers/streams/migrations/1000_orders.sql was never deployed, delete"
    code, output, errors = run("migration", "orders")
    assert (code, output.splitlines()[-1]) == (0, step.sql)
    assert errors.splitlines()[0] == f"{where} it: `sluice migration orders --write` then writes it anew."
    code, output, errors = run("migration", "orders", "--write")
    assert output.splitlines()[-1] == (
        "Written to layers/streams/migrations/1001_orders.sql. Read it before you deploy."
    )
    assert errors.splitlines()[0] == f"{where} both files: `sluice migration orders --write` then writes one anew."


def test_what_the_examples_show_to_be_kept_in_the_clear_is_a_warning(
    server: type[FakeServer], declare: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(check, "_migrate", lambda: None)  # the fake database knows this stream's table not
    monkeypatch.setattr(examples, "differences", lambda *_: [])
    declare("visits", STREAM)
    visit = {"kind": "in", "version": "1", "guest": {"email": "kn4ry@example.com"}}
    rooms = ("kitchen", "4111 1111 1111 1111")
    lines = [json.dumps(visit | {"stops": [{"room": room, "badge": "kn4ry@example.com"}]}) for room in rooms]
    file = tmp_path / "streams" / "examples" / "visits.jsonl"
    file.parent.mkdir()
    file.write_text("\n".join(lines))
    warning = "visits: the column stops[*].room keeps in the clear what looks like a payment card, in 1 of 2 examples"
    code, output, errors = run("check", "--json")
    assert (code, errors, json.loads(output)["warnings"]) == (0, "", [warning])
    code, output, errors = run("check")
    assert (code, errors, output.splitlines()[0]) == (0, "", f"! {warning}")


def test_a_stream_without_a_word_in_the_template_fails_the_check(
    server: type[FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "text", lambda: TEMPLATE.replace("[Logins, Orders]", "[Logins, pushes]"))
    assert run("check") == (
        1,
        "✗ orders: template.yaml has no word for it in Fn::ForEach::Streams, so it would have no queue\n"
        "✗ template.yaml: Fn::ForEach::Streams has pushes, but there is no layers/streams/pushes.py\n",
        "",
    )


LOOP = "Fn::ForEach::Streams"
NO_LIST = f"template.yaml: has no list of the streams: {LOOP}, a variable, and [words]"
NO_TEXT = f"template.yaml: {LOOP}: each word must be a text; put in quotes what YAML takes for something else: on, 12"
OPTIONS = "Name, Queue, BatchSize, WindowSeconds, Concurrency, MinimumPollers, MaximumPollers"
OF_ORDERS = "template.yaml: Mappings, Streams, Orders:"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("Orders]", "Orders, Orders]", f"template.yaml: {LOOP} has Orders twice"),
        ("Orders]", "Orders, orders]", f"orders: template.yaml has two words for it in {LOOP}: Orders, orders"),
        ("Orders]", "Orders, on]", NO_TEXT),
        ("Orders]", "Orders, !Ref More]", NO_TEXT),
        ("[Logins, Orders]", "!Ref Names", NO_LIST),
        ("ForEach::Streams", "ForEach::Queues", NO_LIST),
        ("Orders]", "Orders", "template.yaml: is no YAML"),
        (
            "Orders: {",
            "Orders: { Batchsize: 10,",
            f"{OF_ORDERS} there is no option Batchsize; there are {OPTIONS}",
        ),
        (
            "Orders: {",
            "Orders: { WindowSeconds: 301,",  # the queue's visibility timeout would be too short
            f"{OF_ORDERS} WindowSeconds must be a whole number from 0 to 300",
        ),
        ("Orders: {", "Orders: { Concurrency: 1,", f"{OF_ORDERS} Concurrency must be a whole number from 2 to 1000"),
        ("Orders: {", "Orders: { BatchSize: many,", f"{OF_ORDERS} BatchSize must be a whole number from 1 to 10000"),
        (
            "Orders: {",
            "Orders: { WindowSeconds: 0,",
            f"{OF_ORDERS} a BatchSize above 10 needs a WindowSeconds of 1 or more",
        ),
        ("Orders: {", "Orders: { MinimumPollers: 3,", f"{OF_ORDERS} MinimumPollers must not be above MaximumPollers"),
        (
            "Orders: {",
            "Orders: { Queue: orders.fifo,",
            "template.yaml: Mappings, Streams, Orders: the queue orders.fifo would be no FIFO queue:"
            " the template makes standard queues; leave out .fifo",
        ),
        (
            "Orders: {",
            "Orders: { Queue: order.queue,",
            "template.yaml: Mappings, Streams, Orders: the queue order.queue must have letters, digits, _ and - only",
        ),
        (
            "Logins",
            "user_logins",
            f"template.yaml: {LOOP}: user_logins must have letters and digits only; the mapping gives its Name",
        ),
    ],
)
def test_what_is_wrong_with_the_templates_words_is_told(
    before: str, after: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert before in TEMPLATE
    monkeypatch.setattr(template, "text", lambda: TEMPLATE.replace(before, after))
    assert list(template.misfits(["orders", "user_logins"])) == [told]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "1000 bodies of 4,194,304 bytes from S3 are more than a batch may hold; set BatchSize: 8"),
        ("BatchSize: 9, ", "9 bodies of 4,194,304 bytes from S3 are more than a batch may hold; set BatchSize: 8"),
        ("BatchSize: 8, ", None),
    ],
)
def test_a_batch_of_bodies_from_s3_fits_into_memory(
    line: str, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Upload(Stream, table="uploads", offloaded=ToS3()):
        person: Annotated[str, Text(max=8)]

    monkeypatch.setattr(template, "text", lambda: TEMPLATE.replace("Orders: {", f"Orders: {{ {line}"))
    found = list(template.large_batches({"orders": Upload, "user_logins": load("user_logins")}))
    assert found == ([f"template.yaml: Mappings, Streams, Orders: {told}"] if told else [])
    monkeypatch.setattr(template, "text", lambda: "a: [")
    assert list(template.large_batches({"orders": Upload})) == []
    defaults = re.findall(r"BatchSize, DefaultValue: (\d+)", (PROJECT / "template.yaml").read_text())
    assert defaults == [str(template.DEFAULTS["BatchSize"])]


def test_a_word_without_a_line_is_the_name_of_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "text", lambda: TEMPLATE.replace("Mappings:", "Others:"))
    assert list(template.misfits(["Logins", "Orders"])) == []


def test_a_template_that_is_not_there_fails_the_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(streams, "__path__", [str(tmp_path)])
    assert list(template.misfits([])) == ["template.yaml: No such file or directory"]


def test_the_shipped_template_has_the_shipped_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "__path__", [str(DECLARED / "streams")])
    monkeypatch.setattr(template, "text", lambda: declared((PROJECT / "template.yaml").read_text()))
    assert list(template.misfits(names())) == []
