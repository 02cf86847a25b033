"""A table that does not fit its stream is refused, by a sentence that says what to change; one that fits works."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pg8000.exceptions import DatabaseError

import streams
from sluice.deadline import Deadline
from sluice.declaration.registry import load
from sluice.ingest.rows import MaskedRow
from sluice.migrate import schema
from sluice.migrate.failures import MigrationFailed
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import LOGINS, OWNER, TestDatabase, in_seconds
from tests.integration.environment import OpenStore, write
from tests.integration.messages import KEYSET, numbered
from tests.unit.column_types import TEXT, TYPES, declaration

SCHEMAS = ("crm", '"Crm-1"')
OWN = "sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY"

type Deploy = Callable[..., list[str]]


@pytest.fixture
def deploy(database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deploy:
    """Declare a stream of one field, make its table, deploy, and return what is told of it."""

    def run(field: str, sql: str, table: str = "visits") -> list[str]:
        (tmp_path / "visits.py").write_text(declaration(field, table))
        monkeypatch.setattr(streams, "__path__", [*streams.__path__, str(tmp_path)])
        database.sql(f"SET ROLE {OWNER.username}; {sql}; RESET ROLE")
        return deployed(database)

    return run


@pytest.fixture(autouse=True)
def nothing_stays(any_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without the module of the test before, and drop the schemas that a test made."""
    monkeypatch.delitem(sys.modules, "streams.visits", raising=False)
    yield
    any_database.sql(f"DROP SCHEMA IF EXISTS {', '.join(SCHEMAS)} CASCADE")


def deployed(database: TestDatabase) -> list[str]:
    owner = Database(database.settings("owner"), "sluice-migrate")
    try:
        schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60))
    except MigrationFailed as failed:
        return str(failed).splitlines()
    finally:
        owner.close()
    return []


NULLABLE = "note: Annotated[str | None, Text(max=300)]"
MADE = (
    "CREATE TYPE status AS ENUM ('new', 'paid'); CREATE DOMAIN long_text AS varchar(300) CHECK (VALUE <> 'x');"
    "CREATE DOMAIN short_text AS varchar(3); CREATE TYPE pair AS (a text, b text);"
)


@pytest.mark.long
@pytest.mark.parametrize(("field", "type_", "wanted"), TYPES.values(), ids=TYPES.keys())
def test_a_column_must_hold_every_value_of_its_field(
    field: str, type_: str, wanted: str | None, deploy: Deploy, database: TestDatabase
) -> None:
    found = deploy(field, f"{MADE} CREATE TABLE visits (note {type_}, {OWN})")
    spelled = database.value(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'visits'::regclass AND attname = 'note'"
    )
    place = "" if field.startswith("note =") else " of /note"
    refused = f"Visit: the column visits.note is {spelled}, which does not hold every value{place}; make it {wanted}"
    assert found == ([refused] if wanted else [])


NULLS = {
    "optional": (NULLABLE, "note", "/note can be"),
    "redacted": ("note: Annotated[str, Text(max=9), Redact()]", "note", "/note can be"),
    "of an optional object": ("name: Name | None = None", "name_first", "/name/first can be"),
    "optional list of objects": ("note: list[Name] | None = None", "note", "/note can be"),
    "derived": (
        "@derived\n    def note(self) -> bool | None:\n        return None",
        "note",
        "what is written to it can be",
    ),
}


@pytest.mark.parametrize(("field", "column", "why"), NULLS.values(), ids=NULLS.keys())
def test_what_can_be_null_needs_a_column_that_takes_null(field: str, column: str, why: str, deploy: Deploy) -> None:
    type_ = "jsonb" if "list" in field else "boolean" if "bool" in field else "text"
    assert deploy(field, f"CREATE TABLE visits ({column} {type_} NOT NULL, {OWN})") == [
        f"Visit: the column visits.{column} must not be null, but {why};"
        f" ALTER TABLE visits ALTER COLUMN {column} DROP NOT NULL"
    ]


@pytest.mark.parametrize("sql", ["ALTER TABLE visits ALTER COLUMN note DROP NOT NULL", "SELECT 1"])
def test_what_is_never_null_may_be_written_to_either_column(sql: str, deploy: Deploy) -> None:
    assert deploy(TEXT, f"CREATE TABLE visits (note text NOT NULL, {OWN}); {sql}") == []


NO_KEY = "so a message that comes twice would be two rows; it must be"
RELATIONS = {
    "no key": (
        "CREATE TABLE visits (note text, sent_at timestamptz, message_id uuid)",
        f"the table visits has no primary key, {NO_KEY} (message_id)",
    ),
    "partial index": (
        "CREATE TABLE visits (note text, sent_at timestamptz, message_id uuid);"
        "CREATE UNIQUE INDEX ON visits (message_id) WHERE note <> ''",
        f"the table visits has no primary key, {NO_KEY} (message_id)",
    ),
    "index of an expression": (
        "CREATE TABLE visits (note text, sent_at timestamptz, message_id uuid);"
        "CREATE UNIQUE INDEX ON visits ((message_id::text))",
        f"the table visits has no primary key, {NO_KEY} (message_id)",
    ),
    "longer key": (
        "CREATE TABLE visits (note text, sent_at timestamptz, message_id uuid, PRIMARY KEY (message_id, sent_at))",
        f"the table visits has the primary key (message_id, sent_at), {NO_KEY} (message_id)",
    ),
    "another key": (
        "CREATE TABLE visits (note text PRIMARY KEY, sent_at timestamptz, message_id uuid)",
        f"the table visits has the primary key (note), {NO_KEY} (message_id)",
    ),
    "deferrable key": (
        "CREATE TABLE visits (note text, sent_at timestamptz, message_id uuid PRIMARY KEY DEFERRABLE)",
        "the key (message_id) of the table visits is deferrable or invalid; it must be checked at once",
    ),
    "text as key": (
        "CREATE TABLE visits (note text, sent_at timestamptz, message_id text PRIMARY KEY)",
        "the column visits.message_id is text, and must be uuid",
    ),
    "time without zone": (
        "CREATE TABLE visits (note text, sent_at timestamp, message_id uuid PRIMARY KEY)",
        "the column visits.sent_at is timestamp without time zone, and must be timestamptz",
    ),
    "view": (
        "CREATE VIEW visits AS SELECT ''::text AS note, now() AS sent_at, gen_random_uuid() AS message_id",
        "visits is a view; a stream needs a table",
    ),
    "materialized view": (
        "CREATE MATERIALIZED VIEW visits AS SELECT ''::text AS note",
        "visits is a materialized view; a stream needs a table",
    ),
    "sequence": ("CREATE SEQUENCE visits", "visits is a sequence; a stream needs a table"),
    "row-level security": (
        f"CREATE TABLE visits (note text, {OWN}); ALTER TABLE visits ENABLE ROW LEVEL SECURITY",
        "the table visits has row-level security, under which ingest cannot COPY and forget finds no row;"
        " ALTER TABLE visits DISABLE ROW LEVEL SECURITY,"
        " or give BYPASSRLS to ingest_of_tests, forget_of_tests, rekey_of_tests",
    ),
    "unlogged": (
        f"CREATE UNLOGGED TABLE visits (note text, {OWN})",
        "the table visits is unlogged, so a crash would empty it; ALTER TABLE visits SET LOGGED",
    ),
    "unlogged partition": (
        "CREATE TABLE visits (note text, sent_at timestamptz, message_id uuid PRIMARY KEY)"
        " PARTITION BY HASH (message_id);"
        "CREATE UNLOGGED TABLE half PARTITION OF visits FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        "the partition half is unlogged, so a crash would empty it; ALTER TABLE half SET LOGGED",
    ),
    "rule of a partitioned table": (
        "CREATE TABLE visits (note text, sent_at timestamptz, message_id uuid PRIMARY KEY)"
        " PARTITION BY HASH (message_id); CREATE RULE mine AS ON INSERT TO visits DO INSTEAD NOTHING",
        "the table visits has the rule mine, which COPY does not follow; make it a trigger",
    ),
    "inherited": (
        f"CREATE TABLE visits (note text, {OWN}); CREATE TABLE child () INHERITS (visits)",
        "tables inherit from visits, and its primary key does not hold for their rows;"
        " partition it instead (PARTITION BY)",
    ),
    "rule": (
        f"CREATE TABLE visits (note text, {OWN}); CREATE RULE mine AS ON INSERT TO visits DO INSTEAD NOTHING",
        "the table visits has the rule mine, which COPY does not follow; make it a trigger",
    ),
    "generated": (
        f"CREATE TABLE visits (note text GENERATED ALWAYS AS ('x') STORED, {OWN})",
        "the column visits.note is generated, so nothing can be written to it; make it a plain column",
    ),
    "lacking and left over": (
        f"CREATE TABLE visits (notes text NOT NULL, {OWN})",
        "the table visits lacks the column note",
    ),
    "left over": (
        f"CREATE TABLE visits (note text, more text NOT NULL, {OWN})",
        "nothing is written to the column more, which must not be null",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "sentence"), RELATIONS.values(), ids=RELATIONS.keys())
def test_a_table_that_cannot_take_the_rows_is_refused(sql: str, sentence: str, deploy: Deploy) -> None:
    assert deploy(TEXT, sql) == [f"Visit: {sentence}"]


def test_an_identity_that_is_always_generated_is_refused(deploy: Deploy) -> None:
    field = "note: Annotated[int, Integer()]"
    assert deploy(field, f"CREATE TABLE visits (note bigint GENERATED ALWAYS AS IDENTITY, {OWN})") == [
        "Visit: the column visits.note is GENERATED ALWAYS AS IDENTITY, so nothing can be written to it;"
        " make it a plain column"
    ]


def test_everything_that_does_not_fit_is_told_at_once(deploy: Deploy, database: TestDatabase) -> None:
    database.sql("ALTER TABLE orders DROP COLUMN gift")
    assert deploy(NULLABLE, "CREATE TABLE visits (note varchar(3) NOT NULL, sent_at date, message_id uuid)") == [
        "Order: the table orders lacks the column gift",
        "Visit: the column visits.sent_at is date, and must be timestamptz",
        f"Visit: the table visits has no primary key, {NO_KEY} (message_id)",
        "Visit: the column visits.note is character varying(3), which does not hold every value of /note;"
        " make it varchar(300)",
        "Visit: the column visits.note must not be null, but /note can be;"
        " ALTER TABLE visits ALTER COLUMN note DROP NOT NULL",
    ]


def test_row_level_security_that_the_roles_bypass_may_be(deploy: Deploy, database: TestDatabase) -> None:
    for role in ("ingest", "forget", "rekey"):
        database.sql(f"ALTER ROLE {LOGINS[role].username} BYPASSRLS")
    sql = f"CREATE TABLE visits (note text, {OWN}); ALTER TABLE visits ENABLE ROW LEVEL SECURITY"
    assert deploy(TEXT, sql) == []


def test_a_schema_that_the_owner_may_not_use_is_told(deploy: Deploy) -> None:
    sql = f"RESET ROLE; CREATE SCHEMA crm; CREATE TABLE crm.visits (note text, {OWN})"
    name = OWNER.username
    assert deploy(TEXT, f"{sql}; ALTER TABLE crm.visits OWNER TO {name}", "crm.visits") == [
        f"Visit: {name} cannot grant USAGE on the schema crm; GRANT USAGE ON SCHEMA crm TO {name} WITH GRANT OPTION"
    ]


# What fits works

WRITES = {
    "another schema": ("crm.visits", f"CREATE SCHEMA crm; CREATE TABLE crm.visits (note text, {OWN})"),
    "quoted": ("Crm-1.Visits 2", f'CREATE SCHEMA "Crm-1"; CREATE TABLE "Crm-1"."Visits 2" (note text, {OWN})'),
    "partitions by time": (
        "visits",
        "CREATE TABLE visits (note text, sent_at timestamptz, message_id uuid, PRIMARY KEY (message_id, sent_at))"
        " PARTITION BY RANGE (sent_at);"
        "CREATE TABLE all_of_it PARTITION OF visits DEFAULT",
    ),
    "a partition with a rule and row-level security, which nobody meets who uses the table": (
        "visits",
        "CREATE TABLE visits (note text, sent_at timestamptz, message_id uuid PRIMARY KEY)"
        " PARTITION BY HASH (message_id);"
        "CREATE TABLE half PARTITION OF visits FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        "CREATE RULE mine AS ON INSERT TO half DO INSTEAD NOTHING;"
        "ALTER TABLE half ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    ),
    "a unique constraint beside another key": (
        "visits",
        "CREATE TABLE visits (id bigserial PRIMARY KEY, note text, sent_at timestamptz, message_id uuid UNIQUE);"
        "GRANT USAGE ON SEQUENCE visits_id_seq TO PUBLIC",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("table", "sql"), WRITES.values(), ids=WRITES.keys())
def test_a_table_that_fits_takes_rows_duplicates_and_refused_ones(
    table: str, sql: str, deploy: Deploy, database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    assert deploy(TEXT, sql, table) == []
    name = ".".join(f'"{part}"' for part in table.split("."))
    database.sql(f"ALTER TABLE {name} ADD CHECK (note <> 'bad')")
    rows = [MaskedRow(numbered(n), "2026-01-31T00:00:00Z", ("bad" if n == 3 else "x",)) for n in range(5)]
    store = open_store(load("visits"))
    assert write(store, rows[:2], deadline) == (2, 0, [])
    assert write(store, rows, deadline) == (2, 2, [numbered(3)])
    assert [found["message_id"] for found in database.rows(name)] == [numbered(n) for n in (0, 1, 2, 4)]
    assert database.value(f"SELECT count(*) FROM {name}") == 4


def test_a_foreign_table_cannot_be_a_partition_of_a_table_with_a_key(database: TestDatabase) -> None:
    """So nothing looks for one."""
    database.sql(
        "CREATE TABLE visits (message_id uuid PRIMARY KEY) PARTITION BY HASH (message_id);"
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing"
    )
    try:
        with pytest.raises(DatabaseError, match="contains indexes that are unique"):
            database.sql(
                "CREATE FOREIGN TABLE half PARTITION OF visits FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
                " SERVER elsewhere"
            )
    finally:
        database.sql("DROP FOREIGN DATA WRAPPER nothing CASCADE")
