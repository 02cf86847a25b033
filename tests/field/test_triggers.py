"""Triggers and constraints of a user's own: a row that one refuses, drops or changes is refused alone."""

from typing import Any, NamedTuple

import pytest

from sluice.deadline import Deadline
from sluice.failures import Outage
from tests.integration.databases import INGEST_ROLE, TestDatabase
from tests.integration.environment import Environment, OpenStore, write
from tests.integration.messages import event, failures, login, masked_rows, numbered, record, row

# Rows with such a trigger are not copied in groups: a duplicate on the first line is found before any later error is.
ROW_BY_ROW = (
    "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
    "CREATE TRIGGER a_row_by_row BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION pass();"
)
TOASTER = {"device_type": "toaster"}


def trigger(body: str, when: str = "BEFORE", declare: str = "") -> str:
    """Return the SQL for a trigger that does something with toasters."""
    return (
        f"CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ {declare} BEGIN"
        f" IF NEW.device_type = 'toaster' THEN {body} END IF; RETURN NEW; END $$;"
        f"CREATE TRIGGER mine {when} INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION mine();"
    )


def statement_trigger(body: str) -> str:
    """Return the SQL for a trigger that sees all rows of a statement at once, as `new_rows`."""
    return (
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        f" $$ BEGIN {body} RETURN NULL; END $$;"
        "CREATE TRIGGER mine AFTER INSERT ON user_logins REFERENCING NEW TABLE AS new_rows"
        " FOR EACH STATEMENT EXECUTE FUNCTION mine();"
    )


class Refusal(NamedTuple):
    """What refuses toasters, and the reason that is recorded."""

    sql: str
    reason: str
    pointer: str = ""


SEEN = (
    "CREATE TABLE seen (device text CONSTRAINT mine UNIQUE CHECK (device <> 'x')); INSERT INTO seen VALUES ('toaster');"
)
DEVICES = "CREATE TABLE device (type varchar(32) PRIMARY KEY); INSERT INTO device VALUES ('android');"

REFUSALS = {
    "raises": Refusal(trigger("RAISE EXCEPTION '%', NEW;"), "sqlstate_P0001"),
    "raises in an AFTER trigger": Refusal(trigger("RAISE EXCEPTION '%', NEW;", "AFTER"), "sqlstate_P0001"),
    "raises a check without a name": Refusal(
        trigger("RAISE EXCEPTION '%', NEW USING ERRCODE = 'check_violation';"), "sqlstate_23514"
    ),
    "raises a check of another table": Refusal(
        trigger("RAISE EXCEPTION '%', NEW USING ERRCODE = '23502', TABLE = 'other', COLUMN = 'locale';"),
        "sqlstate_23502",
    ),
    "raises with a column": Refusal(
        trigger("RAISE EXCEPTION '%', NEW USING ERRCODE = '22000', COLUMN = 'device_type', TABLE = 'user_logins';"),
        "sqlstate_22000",
        "/device_type",
    ),
    "raises a duplicate": Refusal(trigger("RAISE unique_violation;"), "sqlstate_23505"),
    **{
        f"raises {code}": Refusal(trigger(f"RAISE SQLSTATE '{code}';"), f"sqlstate_{code}")
        for code in ("28000", "28P01", "40001", "42501", "53100", "55P03", "57014", "57P01", "08006", "XX000")
    },
    "asserts": Refusal(trigger("ASSERT false, NEW.user_id;"), "sqlstate_P0004"),
    "divides by zero": Refusal(trigger("NEW.app_version := 1 / 0;"), "sqlstate_22012"),
    "finds no row": Refusal(
        trigger("SELECT 1 INTO STRICT x WHERE false;", declare="DECLARE x integer;"), "sqlstate_P0002"
    ),
    "finds two rows": Refusal(
        trigger("NEW.app_version := (SELECT n FROM generate_series(1, 2) n);"), "sqlstate_21000"
    ),
    "ends without RETURN": Refusal(
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.device_type <> 'toaster' THEN RETURN NEW; END IF; END $$;"
        "CREATE TRIGGER mine BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION mine();",
        "sqlstate_2F005",
    ),
    "writes what another table has": Refusal(
        SEEN + trigger("INSERT INTO seen VALUES (NEW.device_type);"), "sqlstate_23505"
    ),
    "writes what another table has, afterwards": Refusal(
        SEEN + trigger("INSERT INTO seen VALUES (NEW.device_type);", "AFTER"), "sqlstate_23505"
    ),
    "writes what another table refuses": Refusal(SEEN + trigger("INSERT INTO seen VALUES ('x');"), "sqlstate_23514"),
    "a statement trigger raises": Refusal(
        statement_trigger("IF EXISTS (SELECT FROM new_rows WHERE device_type = 'toaster') THEN RAISE 'no'; END IF;"),
        "sqlstate_P0001",
    ),
    "a deferred foreign key": Refusal(
        DEVICES + "ALTER TABLE user_logins ADD FOREIGN KEY (device_type) REFERENCES device"
        " DEFERRABLE INITIALLY DEFERRED;",
        "sqlstate_23503",
    ),
    "a deferred unique constraint": Refusal(
        "INSERT INTO user_logins (user_id, device_type, masked_ip, masked_device_id, app_version, app_version_text,"
        " sent_at, message_id)"
        " VALUES ('', 'toaster', '', '', 0, '', '1970-01-01', 'ffffffff-ffff-4fff-8fff-ffffffffffff');"
        "ALTER TABLE user_logins ADD COLUMN once text GENERATED ALWAYS AS (nullif(device_type, 'android')) STORED"
        " UNIQUE DEFERRABLE INITIALLY DEFERRED;",
        "sqlstate_23505",
    ),
    "a deferred constraint trigger": Refusal(
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.device_type = 'toaster' THEN RAISE 'no'; END IF; RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER mine AFTER INSERT ON user_logins DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION mine();",
        "sqlstate_P0001",
    ),
    "suppressed": Refusal(trigger("RETURN NULL;"), "not_stored"),
    "deleted": Refusal(
        trigger("DELETE FROM user_logins WHERE message_id = NEW.message_id;", "AFTER"), "not_stored"
    ),
    "deleted by a statement trigger": Refusal(
        statement_trigger("DELETE FROM user_logins WHERE device_type = 'toaster';"), "not_stored"
    ),
    "given another id": Refusal(trigger("NEW.message_id := gen_random_uuid();"), "not_stored"),
    "moved to another table": Refusal(
        "CREATE TABLE toaster (user_id text);"
        + trigger("INSERT INTO toaster VALUES (NEW.user_id); RETURN NULL;"),
        "not_stored",
    ),
}  # fmt: skip


def others(database: TestDatabase) -> list[dict[str, Any]]:
    """Return the rows but for the one that a refusal needs."""
    return [
        {name: value for name, value in found.items() if name != "once"}
        for found in database.rows()
        if not found["message_id"].startswith("ffffffff")
    ]


@pytest.mark.parametrize("path", ["copy", pytest.param("merge", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "places", [pytest.param({0, 2, 3}, id="several"), pytest.param({5}, id="last", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_row_is_refused_alone(
    refusal: Refusal, places: set[int], path: str, database: TestDatabase, ingest: Environment
) -> None:
    old = [record(login(), numbered(0))] if path == "merge" else []
    ingest.invoke(event(*old))
    database.sql((ROW_BY_ROW if path == "merge" else "") + refusal.sql)
    batch = [record(login(**(TOASTER if place in places else {})), numbered(1 + place)) for place in range(6)]
    bad = [sent for place, sent in enumerate(batch) if place in places]
    good = [sent for sent in batch if sent not in bad]

    response = ingest.invoke(event(*batch, *old))

    assert sorted(response["batchItemFailures"], key=str) == failures(*bad)["batchItemFailures"]
    assert others(database) == sorted(map(row, [*old, *good]), key=lambda found: found["message_id"])
    assert database.rejections() == {sent["messageId"]: (refusal.reason, refusal.pointer) for sent in bad}


def test_what_a_trigger_did_for_a_refused_row_is_undone(database: TestDatabase, ingest: Environment) -> None:
    database.sql(REFUSALS["moved to another table"].sql)
    ingest.invoke(event(record(), record(login(**TOASTER))))
    assert database.sql("SELECT * FROM toaster") == []


def test_a_statement_trigger_that_raises_before_the_first_row_refuses_each(
    database: TestDatabase, ingest: Environment
) -> None:
    database.sql(
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '40001'; END $$;"
        "CREATE TRIGGER mine BEFORE INSERT ON user_logins FOR EACH STATEMENT EXECUTE FUNCTION mine();"
    )
    batch = [record(message_id=numbered(number)) for number in range(3)]
    assert ingest.invoke(event(*batch)) == failures(*batch)
    assert database.rejections() == {sent["messageId"]: ("sqlstate_40001", "") for sent in batch}


# Which row an error means

FALSE_ENTRIES = {
    # What a trigger runs stands in the context before the entry of the COPY, or instead of it.
    "before the entry": trigger("EXECUTE E'SELECT 1 / 0 /*\\nCOPY user_logins, line 1, column locale: \"x\"\\n*/';"),
    "instead of the entry": trigger(
        "EXECUTE E'SELECT 1 / 0 /*\\nCOPY user_logins, line 1, column locale: \"x\"\\n*/';", "AFTER"
    ),
    "beyond the last line": trigger("EXECUTE E'SELECT 1 / 0 /*\\nCOPY user_logins, line 99\\n*/';", "AFTER"),
}


@pytest.mark.parametrize("sql", FALSE_ENTRIES.values(), ids=FALSE_ENTRIES.keys())
def test_a_line_that_only_looks_like_one_of_the_copy_accuses_nobody(
    sql: str, database: TestDatabase, ingest: Environment
) -> None:
    database.sql(sql)
    batch = [record(login(**(TOASTER if place == 2 else {})), numbered(1 + place)) for place in range(4)]
    assert ingest.invoke(event(*batch)) == failures(batch[2])
    assert [found["message_id"] for found in database.rows()] == [numbered(1), numbered(2), numbered(4)]
    assert database.rejections() == {numbered(3): ("sqlstate_22012", "")}


def test_a_value_that_looks_like_a_line_of_the_copy_accuses_nobody(database: TestDatabase, ingest: Environment) -> None:
    database.sql("ALTER TABLE user_logins ALTER COLUMN device_type TYPE varchar(7)")
    value = "x\nCOPY user_logins, line 1"
    batch = [record(login(device_type=value if place == 2 else "ios"), numbered(1 + place)) for place in range(4)]
    assert ingest.invoke(event(*batch)) == failures(batch[2])
    assert [found["message_id"] for found in database.rows()] == [numbered(1), numbered(2), numbered(4)]


def test_a_refused_value_of_two_lines_is_told_by_its_column(database: TestDatabase, ingest: Environment) -> None:
    database.sql("ALTER TABLE user_logins ALTER COLUMN device_type TYPE varchar(7)")
    bad = record(login(device_type="one line\nand another"))
    assert ingest.invoke(event(record(), bad)) == failures(bad)
    assert database.rejections() == {bad["messageId"]: ("sqlstate_22001", "/device_type")}


# Duplicates


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE seen (id uuid PRIMARY KEY);"
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$ BEGIN INSERT INTO seen VALUES (NEW.message_id); RETURN NEW; END $$;"
        "CREATE TRIGGER mine BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION mine();",
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$ BEGIN IF EXISTS (SELECT FROM user_logins WHERE message_id = NEW.message_id) THEN RETURN NULL; END IF;"
        " RETURN NEW; END $$;"
        "CREATE TRIGGER mine BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION mine();",
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$ BEGIN IF EXISTS (SELECT FROM user_logins WHERE message_id = NEW.message_id) THEN RAISE 'twice'; END IF;"
        " RETURN NEW; END $$;"
        "CREATE TRIGGER mine BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION mine();",
    ],
    ids=["a unique violation elsewhere", "suppressed", "raised"],
)
def test_a_row_that_is_there_is_a_duplicate_whatever_a_trigger_says_of_it(
    sql: str, database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    database.sql(sql)
    store = open_store()
    assert write(store, masked_rows(range(4)), deadline) == (4, 0, [])
    assert write(store, masked_rows(range(6)), deadline) == (2, 4, [])
    assert len(database.rows()) == 6


def test_a_message_that_is_a_row_already_stays_a_duplicate_when_a_new_constraint_would_refuse_it(
    database: TestDatabase, ingest: Environment
) -> None:
    old = record(login(**TOASTER))
    ingest.invoke(event(old))
    database.sql("ALTER TABLE user_logins ADD CHECK (device_type <> 'toaster') NOT VALID")
    assert ingest.invoke(event(old, record())) == {"batchItemFailures": []}
    assert len(database.rows()) == 2
    assert database.rejections() == {}


# Partitions


def partitioned(below: str = "") -> str:
    """Return the SQL that makes the logins a partitioned table, whose one partition may itself be partitioned."""
    return (
        "ALTER TABLE user_logins RENAME TO part;"
        "CREATE TABLE user_logins (LIKE part INCLUDING GENERATED, PRIMARY KEY (message_id))"
        " PARTITION BY HASH (message_id);"
        f"CREATE TABLE half PARTITION OF user_logins FOR VALUES WITH (MODULUS 1, REMAINDER 0) {below};"
        f"GRANT INSERT, SELECT (message_id) ON user_logins TO {INGEST_ROLE};"
    )


TREES = {
    "partition": partitioned().replace("half", "leaf"),
    "partition of a partition": partitioned("PARTITION BY HASH (message_id)")
    + "CREATE TABLE leaf PARTITION OF half FOR VALUES WITH (MODULUS 1, REMAINDER 0);",
}
TRIGGERS = {
    "suppresses": (trigger("RETURN NULL;"), "not_stored"),
    "raises": (trigger("RAISE 'no';"), "sqlstate_P0001"),
    "deletes": (trigger("DELETE FROM user_logins WHERE message_id = NEW.message_id;", "AFTER"), "not_stored"),
    "gives another id": (trigger("NEW.message_id := gen_random_uuid();"), "not_stored"),
}


@pytest.mark.parametrize(("sql", "reason"), TRIGGERS.values(), ids=TRIGGERS.keys())
@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
@pytest.mark.parametrize("path", ["copy", "merge"])
def test_a_trigger_of_a_partition_alone_refuses_a_row_alone(
    path: str, tree: str, sql: str, reason: str, database: TestDatabase, ingest: Environment
) -> None:
    database.sql(tree + sql.replace("INSERT ON user_logins", "INSERT ON leaf"))
    old = [record(message_id=numbered(0))] if path == "merge" else []
    ingest.invoke(event(*old))
    good, bad = record(message_id=numbered(1)), record(login(**TOASTER), numbered(2))
    assert ingest.invoke(event(*old, good, bad)) == failures(bad)
    assert database.rows() == [row(sent) for sent in [*old, good]]
    assert database.rejections() == {bad["messageId"]: (reason, "")}


def test_a_row_that_a_trigger_moves_out_of_its_partition_is_refused_alone(
    database: TestDatabase, ingest: Environment
) -> None:
    """PostgreSQL says that it does not support that (0A000)."""
    database.sql(
        "ALTER TABLE user_logins RENAME TO part;"
        "CREATE TABLE user_logins (LIKE part INCLUDING GENERATED, PRIMARY KEY (message_id, sent_at))"
        " PARTITION BY RANGE (sent_at);"
        "CREATE TABLE late PARTITION OF user_logins FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);"
        "CREATE TABLE early PARTITION OF user_logins DEFAULT;"
        f"GRANT INSERT, SELECT (message_id, sent_at) ON user_logins TO {INGEST_ROLE};"
        + trigger("NEW.sent_at := '1999-12-31';")
    )
    bad = record(login(**TOASTER))
    assert ingest.invoke(event(record(), bad)) == failures(bad)
    assert len(database.rows()) == 1
    assert database.rejections() == {bad["messageId"]: ("sqlstate_0A000", "")}


def test_a_missing_partition_is_an_outage_also_where_a_trigger_writes_to_it(
    database: TestDatabase, ingest: Environment
) -> None:
    database.sql(
        "CREATE TABLE seen (id uuid) PARTITION BY LIST (id);" + trigger("INSERT INTO seen VALUES (NEW.message_id);")
    )
    with pytest.raises(Outage, match=r"^database: SQLSTATE 23514, table seen$"):
        ingest.invoke(event(record(), record(login(**TOASTER))))
    assert database.rows() == []


# What is not the row's fault


def test_a_trigger_on_a_table_of_sluice_is_an_outage(database: TestDatabase, ingest: Environment) -> None:
    database.sql(
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
        "CREATE TRIGGER mine BEFORE INSERT ON rejection FOR EACH ROW EXECUTE FUNCTION mine();"
    )
    with pytest.raises(Outage, match=r"^database: SQLSTATE P0001$"):
        ingest.invoke(event(record(), record("junk")))
    assert database.rows() == []
