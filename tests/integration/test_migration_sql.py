"""The SQL of a changed declaration: after it the table fits, and nothing that was in it is lost."""

import json
from typing import Annotated, Any

import pytest

from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
from sluice.declaration.registry import load_all
from sluice.declaration.rules import Boolean, Each, Integer, IpAddress, Number, OneOf, Rule, Text, Timestamp, Uuid
from sluice.declaration.stream import Stream
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection, literal
from tests.integration.databases import LOGINS, TestDatabase, in_seconds
from tests.unit.kinds import KINDS, PLACES, declare, field
from tools.sluice_cli.authors import contract, json_sql, migration_sql, older_rows, shortening, table_sql
from tools.sluice_cli.authors.migration_sql import ANEW, BUILT, LOOKED_UP, Migration
from tools.sluice_cli.authors.older_rows import Left

OWN = "sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY"
LONG = "The rows that there are have NULL in it. Where they are given a value, or there are none:"


def of(stream: type[Stream], before: str, database: TestDatabase, row: str = "") -> tuple[Migration, list[Any]]:
    """Return the migration of a table, and a row of it before and after."""
    connection = Database(database.settings("owner"), "sluice-test")

    def work(session: Connection) -> tuple[Migration, list[Any]]:
        session.run(before)
        if row:
            session.run(f"INSERT INTO declared VALUES ({row}, now(), '00000000-0000-0000-0000-000000000000')")
        made = migration_sql.of_stream(session, stream, LOGINS)
        kept = [session.run("SELECT field FROM declared") if row else []]
        session.run(made.text)
        again = migration_sql.of_stream(session, stream, LOGINS)
        assert (again.is_needed, again.left) == (False, made.left)
        return made, [*kept, session.run("SELECT field FROM declared") if row else []]

    try:
        return connection.transact(work, in_seconds(30), undo=True)
    finally:
        connection.close()


def alone(rule: Rule, *masks: Mask) -> type[Stream]:
    made: type[Stream] = declare(Stream, {"field": field(rule, *masks)}, table="declared")
    return made


def optional(rule: Rule) -> Any:
    return Annotated[rule.makes | None, rule]


@pytest.mark.parametrize("stream", load_all(), ids=lambda stream: stream.stream_name)
def test_a_table_that_fits_needs_nothing(stream: type[Stream], database: TestDatabase) -> None:
    made, _ = of(stream, "SELECT 1", database)
    assert (made.is_needed, made.left) == (False, [])


@pytest.mark.parametrize("place", ["alone", "array"])
def test_the_table_that_is_made_needs_nothing(place: str, database: TestDatabase) -> None:
    for kind in KINDS.values():
        for masks in ((), (Pseudonym(),), (Redact(),)):
            stream = PLACES[place].declare(kind.rule, *masks)
            made, _ = of(stream, table_sql.create_table(stream), database)
            assert (made.steps, made.left) == ([], [])


def test_a_stream_without_a_table_gets_one(database: TestDatabase) -> None:
    stream = alone(Text(max=9))
    made, _ = of(stream, "SELECT 1", database)
    assert made.text == table_sql.create_table(stream)


TABLE = "ALTER TABLE declared"
WIDER = [
    (Text(max=9), "varchar(3) NOT NULL", "'abc'", "varchar(9)", False),
    (OneOf("a", "long choice"), "varchar(3) NOT NULL", "'abc'", "text", False),
    (Integer(min=0, max=70_000), "smallint NOT NULL", "32767", "integer", True),
    (Integer(), "integer NOT NULL", "2147483647", "bigint", True),
    (Integer(max=10**30), "bigint NOT NULL", "9223372036854775807", "numeric", True),
    (Number(precision=12, scale=2), "numeric(5, 2) NOT NULL", "999.99", "numeric(12, 2)", False),
    (Number(precision=5, scale=3), "numeric(5, 2) NOT NULL", "999.99", "numeric(6, 3)", True),
    (Number(precision=6, scale=1), "numeric(4, 3) NOT NULL", "9.999", "numeric(8, 3)", False),
    (Number(precision=4, scale=2), "bigint NOT NULL", "9223372036854775807", "numeric(21, 2)", True),
    (Each(Text(max=9)), "varchar(3)[] NOT NULL", "'{abc}'", "varchar(9)[]", False),
    (Each(Integer()), "integer[] NOT NULL", "'{2147483647}'", "bigint[]", True),
]


@pytest.mark.parametrize(
    ("rule", "column", "value", "type_", "is_anew"), WIDER, ids=[f"{one[1]}→{one[3]}" for one in WIDER]
)
def test_a_type_is_widened_and_every_value_kept(
    rule: Rule, column: str, value: str, type_: str, is_anew: bool, database: TestDatabase
) -> None:
    made, (before, after) = of(alone(rule), f"CREATE TABLE declared (field {column}, {OWN})", database, value)
    note = f"-- {ANEW}\n" if is_anew else ""
    assert (made.text, made.left) == (f"{note}{TABLE} ALTER COLUMN field TYPE {type_};\n", [])
    assert before == after


@pytest.mark.parametrize(
    ("rule", "column"),
    [
        (Uuid(), "varchar(3)"),
        (Number(precision=4, scale=2), "varchar(3)"),
        (IpAddress(), "varchar(3)"),
        (Timestamp(), "date"),
        (Timestamp(), "bigint"),
        (Boolean(), "integer"),
        (Text(max=9), "integer"),
        (Text(max=9), "char(3)"),
        (Integer(), "real"),
        (Each(Text(max=9)), "varchar(9)"),
        (Text(max=9), "varchar(9)[]"),
    ],
)
def test_a_change_of_type_that_may_lose_something_is_a_question(
    rule: Rule, column: str, database: TestDatabase
) -> None:
    made, _ = of(alone(rule), f"CREATE TABLE declared (field {column} NOT NULL, {OWN})", database)
    type_ = table_sql.columns_of(alone(rule))["field"].type
    assert not made.is_needed
    assert made.text.splitlines()[1] == f"-- {TABLE} ALTER COLUMN field TYPE {type_} USING CAST(field AS {type_});"
    assert all(line.startswith("--") or not line for line in made.text.splitlines())
    (left,) = made.left
    assert left.startswith("Declared: the column declared.field is ")


def test_null_is_let_in_and_a_new_column_is_filled_before_it_must_not_be_null(database: TestDatabase) -> None:
    members = {
        "field": optional(Text(max=9)),
        "token": field(Text(max=9), Pseudonym()),
        "note": optional(Text(max=9)),
        "gone": field(Text(max=9), Redact()),
    }
    stream = declare(Stream, members, {"note": None, "field": None}, table="declared")
    made, _ = of(stream, f"CREATE TABLE declared (field varchar(9) NOT NULL, {OWN})", database)
    assert made.text.splitlines() == [
        f"-- {LONG}",
        f"-- {TABLE} ALTER COLUMN token SET NOT NULL;",
        f"{TABLE} ADD COLUMN token varchar(256);",
        "",
        f"{TABLE} ADD COLUMN note varchar(9);",
        "",
        "-- Redacted: always NULL",
        f"{TABLE} ADD COLUMN gone text;",
        "",
        "CREATE INDEX ON declared (token);",
        "",
        f"{TABLE} ALTER COLUMN field DROP NOT NULL;",
    ]
    assert made.left == []


def test_a_column_that_is_declared_no_longer_is_a_question_and_may_have_been_renamed(database: TestDatabase) -> None:
    columns = 'field varchar(9) NOT NULL, "Old" text NOT NULL, filled integer DEFAULT 1 NOT NULL'
    generated = "day date GENERATED ALWAYS AS (CAST(sent_at AT TIME ZONE 'UTC' AS date)) STORED"
    stream = declare(
        Stream, {"field": field(Text(max=9)), "new": optional(Text(max=9))}, {"new": None}, table="declared"
    )
    made, _ = of(stream, f"CREATE TABLE declared ({columns}, {generated}, {OWN})", database)
    assert made.text.splitlines() == [
        "-- If new is another name for a column that there is, in the place of this:",
        f'-- {TABLE} RENAME COLUMN "Old" TO new;',
        f"{TABLE} ADD COLUMN new varchar(9);",
        "",
        f'{TABLE} ALTER COLUMN "Old" DROP NOT NULL;',
        "",
        '-- Nothing is written to "Old". Is what is in it not wanted any more?',
        f'-- {TABLE} DROP COLUMN "Old";',
    ]


@pytest.mark.parametrize(
    ("rule", "column", "type_"),
    [
        (Text(max=9), "varchar(10)", "varchar(9)"),
        (Number(precision=5, scale=2), "numeric(6, 2)", "numeric(5, 2)"),
        (Number(precision=5, scale=2), "numeric(6, 3)", "numeric(5, 2)"),
        (Text(max=9), "text", None),
        (OneOf("a"), "varchar(9)", None),
        (Integer(max=1), "bigint", None),
        (Number(precision=5, scale=2), "numeric", None),
    ],
)
def test_a_type_that_could_be_narrower_is_a_question(
    rule: Rule, column: str, type_: str | None, database: TestDatabase
) -> None:
    made, _ = of(alone(rule, Keep()), f"CREATE TABLE declared (field {column} NOT NULL, {OWN})", database)
    wanted = [f"-- {TABLE} ALTER COLUMN field TYPE {type_};"] if type_ else []
    assert (made.is_needed, made.left, made.text.splitlines()[1:]) == (False, [], wanted)


def test_what_postgresql_refuses_is_a_question(database: TestDatabase) -> None:
    before = f"CREATE TABLE declared (field varchar(3) NOT NULL, {OWN}); CREATE VIEW seen AS SELECT field FROM declared"
    made, _ = of(alone(Text(max=9)), before, database)
    assert made.text.splitlines()[:2] == [
        "-- PostgreSQL refuses this: SQLSTATE 0A000 (feature_not_supported). What depends on it?",
        f"-- {TABLE} ALTER COLUMN field TYPE varchar(9);",
    ]
    assert not made.is_needed
    assert len(made.left) == 1


def test_what_only_its_author_can_mend_is_left(database: TestDatabase) -> None:
    made, _ = of(alone(Text(max=9)), "CREATE TABLE declared (field varchar(3) NOT NULL)", database)
    assert made.left == [
        "Declared: the table declared lacks the column message_id",
        "Declared: the table declared lacks the column sent_at",
    ]
    assert made.text.splitlines()[-1] == "-- This is left to you: Declared: the table declared lacks the column sent_at"


def test_a_column_that_has_tokens_now_gets_an_index(database: TestDatabase) -> None:
    stream = alone(Text(max=9), Pseudonym())
    made, _ = of(stream, f"CREATE TABLE declared (field varchar(9) NOT NULL, {OWN})", database)
    index = ["", f"-- {BUILT}", "CREATE INDEX ON declared (field);"]
    assert made.text.splitlines() == [f"{TABLE} ALTER COLUMN field TYPE varchar(256);", *index]


@pytest.mark.parametrize("column", ["field", "field, sent_at"])
def test_tokens_that_may_have_been_there_are_asked_for_their_index(column: str, database: TestDatabase) -> None:
    stream, table = alone(Text(max=9), Pseudonym()), f"CREATE TABLE declared (field text NOT NULL, {OWN})"
    made, _ = of(stream, table, database)
    assert made.text.splitlines() == [f"-- {LOOKED_UP.format('field')}", "-- CREATE INDEX ON declared (field);"]
    assert not made.is_needed
    made, _ = of(stream, f"{table}; CREATE INDEX ON declared ({column})", database)
    assert made.steps == []


def left(before: type[Stream], now: type[Stream]) -> Left:
    (one,) = older_rows.of_stream(contract.of_stream(before), contract.of_stream(now))
    return one


def after(before: type[Stream], now: type[Stream], values: list[str], database: TestDatabase) -> list[Any]:
    """Return what a table has when what its rows keep was ended, twice, by the statement that is told of it."""
    connection = Database(database.settings("owner"), "sluice-test")

    def work(session: Connection) -> list[Any]:
        session.run(table_sql.create_table(before))
        for number, value in enumerate(values):
            session.run(f"INSERT INTO declared VALUES ({value}, now(), CAST(lpad('{number}', 32, '0') AS uuid))")
        session.run(migration_sql.of_stream(session, now, LOGINS).text)
        for _ in range(2):
            session.run(left(before, now).sql)
        return [value for (value,) in session.run("SELECT field FROM declared ORDER BY message_id") or []]

    try:
        return connection.transact(work, in_seconds(30), undo=True)
    finally:
        connection.close()


SHORTENED = [name for name, kind in KINDS.items() if shortening.of(kind.rule, Truncate(to=kind.to))]


def test_sql_shortens_what_truncate_shortens() -> None:
    own = [name for name, kind in KINDS.items() if kind.short is not None and name not in SHORTENED]
    assert own == ["float"]


@pytest.mark.parametrize("name", SHORTENED)
@pytest.mark.parametrize("place", ["alone", "array"])
def test_older_rows_become_what_truncate_makes(name: str, place: str, database: TestDatabase) -> None:
    rule, to = KINDS[name].rule, KINDS[name].to
    rule = rule if place == "alone" else Each(rule)
    spelled = [literal(str(cell)) for cell in (KINDS[name].cell, KINDS[name].short)]
    type_ = table_sql.columns_of(alone(rule))["field"].type
    values = [f"CAST({one if place == 'alone' else f'ARRAY[{one}]'} AS {type_})" for one in spelled]
    made, wanted = after(alone(rule), alone(rule, Truncate(to=to)), values, database)
    assert made == wanted


def test_older_rows_are_emptied_and_tokens_stay(database: TestDatabase) -> None:
    token = "t1_" + "A" * 43
    text, values = Text(max=99), ["'Ada'", f"'{token}'"]
    assert after(alone(text), alone(text, Redact()), values, database) == [None, None]
    assert after(alone(text), alone(text, Redact(constant="-")), values, database) == ["-", "-"]
    assert after(alone(text), alone(text, Pseudonym()), values, database) == ["masked", token]
    lists = ["ARRAY['Ada']", f"ARRAY['{token}']", f"ARRAY['{token}', 'Ada']"]
    assert after(alone(Each(text)), alone(Each(text), Pseudonym()), lists, database) == [[], [token], []]
    assert after(alone(Each(text)), alone(Each(text), Redact()), lists, database) == [None, None, None]


STOPS = {
    "[]": "[]",
    '[{"note": "a", "seats": [{"row": 2, "who": "Ada"}, {"who": null}]}, {"note": null, "seats": []}]': (
        '[{"note": "a", "seats": [{"row": 2, "who": "-"}, {"who": null}]}, {"note": null, "seats": []}]'
    ),
    '[{"seats": null}, {"note": "b"}, {"seats": "who"}]': '[{"seats": null}, {"note": "b"}, {"seats": "who"}]',
}
PROPS = {
    '{"a": {"b/c": "Ada", "d": [1]}, "e": 1}': ('{"a": {"b/c": null, "d": [1]}, "e": 1}', '{"a": {"d": [1]}, "e": 1}'),
    '{"a": "b/c"}': ('{"a": "b/c"}', '{"a": "b/c"}'),
    '{"a": ["b/c"]}': ('{"a": ["b/c"]}', '{"a": ["b/c"]}'),
    "{}": ("{}", "{}"),
}


@pytest.mark.parametrize(
    ("path", "inside", "put", "values"),
    [
        (("field", "seats", "who"), "", """'"-"'""", STOPS),
        (("field",), "/a/b~1c", "'null'", {value: redacted for value, (redacted, _) in PROPS.items()}),
        (("field",), "/a/b~1c", None, {value: dropped for value, (_, dropped) in PROPS.items()}),
    ],
)
def test_a_member_of_json_is_redacted_or_dropped_at_any_depth(
    path: tuple[str, ...], inside: str, put: str | None, values: dict[str, str], database: TestDatabase
) -> None:
    way = json_sql.steps(path, inside)
    assert way is not None
    connection = Database(database.settings("owner"), "sluice-test")
    rows = ", ".join(f"({number}, CAST({literal(value)} AS jsonb))" for number, value in enumerate(values))
    query = f"SELECT {json_sql.without('field', way, put)} FROM (VALUES {rows}) AS declared (id, field) ORDER BY id"
    try:
        found: Any = connection.transact(lambda session: session.run(query), in_seconds(30), undo=True)
    finally:
        connection.close()
    assert [json.loads(value) if isinstance(value, str) else value for (value,) in found] == [
        json.loads(wanted) for wanted in values.values()
    ]


def test_a_path_with_wildcards_has_no_statement() -> None:
    assert json_sql.steps(("field",), "/*/name") is None


def test_what_older_rows_keep_is_a_comment_and_asked_once(database: TestDatabase) -> None:
    before, now = alone(Text(max=9)), alone(Text(max=9), Redact())
    connection = Database(database.settings("owner"), "sluice-test")

    def work(session: Connection) -> list[str]:
        session.run(table_sql.create_table(before))
        gone = Left("field", "asked already", f"{TABLE} DROP COLUMN gone;")
        session.run(f"{TABLE} ADD COLUMN gone text")
        made = migration_sql.of_stream(session, now, LOGINS, [left(before, now), gone])
        return made.text.splitlines()

    lines = connection.transact(work, in_seconds(30), undo=True)
    connection.close()
    assert lines == [
        f"{TABLE} ALTER COLUMN field DROP NOT NULL;",
        "",
        "-- Nothing is written to gone. Is what is in it not wanted any more?",
        f"-- {TABLE} DROP COLUMN gone;",
        "",
        "-- The column field keeps the clear values in the rows that are there: Redact is for new rows alone.",
        "-- This ends it; run it once the deployment is done, since the old code writes rows until then:",
        "-- UPDATE declared SET field = NULL WHERE field IS NOT NULL;",
    ]
