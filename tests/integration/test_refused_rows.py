"""A row that PostgreSQL refuses is reported alone, with its reason; every other row of the batch is stored."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from sluice.deadline import Deadline
from sluice.failures import Outage
from tests.integration.databases import TestDatabase, plain_address
from tests.integration.environment import Environment, OpenStore, write
from tests.integration.messages import event, failures, login, masked_rows, numbered, record, row
from tools.testing.faults.proxy import proxy

BATCH_SIZE = 6

# Rows with such a trigger are not copied in groups: a duplicate on the first line is found before any later error is.
ROW_BY_ROW = (
    "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
    "CREATE TRIGGER row_by_row BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION pass()"
)


class Refusal(NamedTuple):
    """A rule of the table's owner, a login that breaks it, and what must be recorded of that."""

    sql: str
    bad: dict[str, Any]
    reason: str
    pointer: str = ""
    merge_pointer: str = ""  # without COPY's context PostgreSQL tells no column but that of a NOT NULL
    good: Mapping[str, Any] = MappingProxyType({})
    app_version: int = 2_003_000


REFUSALS = {
    "check": Refusal(
        "ALTER TABLE user_logins ADD CONSTRAINT known CHECK (device_type <> 'toaster')",
        bad={"device_type": "toaster"},
        reason="sqlstate_23514",
    ),
    "unique": Refusal(
        # With the rows that a test has before, or each other.
        "CREATE UNIQUE INDEX ON user_logins (device_type) WHERE device_type = 'toaster';"
        "INSERT INTO user_logins (user_id, device_type, masked_ip, masked_device_id, app_version, app_version_text,"
        " sent_at, message_id)"
        " VALUES ('', 'toaster', '', '', 0, '', '1970-01-01', 'ffffffff-ffff-4fff-8fff-ffffffffffff')",
        bad={"device_type": "toaster"},
        reason="sqlstate_23505",
    ),
    "too long": Refusal(
        "ALTER TABLE user_logins ALTER COLUMN device_type TYPE varchar(7)",
        bad={"device_type": "android 7"},
        reason="sqlstate_22001",
        pointer="/device_type",
    ),
    "null": Refusal(
        "ALTER TABLE user_logins ALTER COLUMN locale SET NOT NULL",
        bad={"locale": None},
        reason="sqlstate_23502",
        pointer="/locale",
        merge_pointer="/locale",
    ),
    "out of range": Refusal(
        "ALTER TABLE user_logins ALTER COLUMN app_version TYPE smallint",
        bad={"app_version": "1"},
        good={"app_version": "0.0.7"},
        app_version=7,
        reason="sqlstate_22003",
        pointer="/app_version",
    ),
    "foreign key": Refusal(
        "CREATE TABLE device (type varchar(32) PRIMARY KEY); INSERT INTO device VALUES ('android');"
        "ALTER TABLE user_logins ADD FOREIGN KEY (device_type) REFERENCES device",
        bad={"device_type": "toaster"},
        reason="sqlstate_23503",
    ),
    "trigger": Refusal(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION '%', NEW USING ERRCODE = 'check_violation', TABLE = 'user_logins', CONSTRAINT = 'mine';"
        " END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON user_logins FOR EACH ROW WHEN (NEW.device_type = 'toaster')"
        " EXECUTE FUNCTION refuse()",
        bad={"device_type": "toaster"},
        reason="sqlstate_23514",
    ),
    "oversized index entry": Refusal(
        "CREATE FUNCTION long(text) RETURNS text IMMUTABLE LANGUAGE sql AS"
        " $$ SELECT string_agg(md5($1 || i), '') FROM generate_series(1, 300) i WHERE $1 = 'toaster' $$;"
        "CREATE INDEX ON user_logins (long(device_type))",
        bad={"device_type": "toaster"},
        reason="sqlstate_54000",
    ),
}


@pytest.mark.parametrize("path", ["copy", "merge"])
@pytest.mark.parametrize(
    "places", [{0}, {BATCH_SIZE - 1}, {1, 2, 4}, set(range(BATCH_SIZE))], ids=["first", "last", "several", "all"]
)
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_refused_rows_are_reported_alone_and_the_others_are_stored(
    refusal: Refusal, places: set[int], path: str, database: TestDatabase, ingest: Environment
) -> None:
    old = [record(login(**refusal.good), numbered(0))] if path == "merge" else []
    database.sql(refusal.sql)
    if path == "merge":
        database.sql(ROW_BY_ROW)
    before = database.rows()
    ingest.invoke(event(*old))
    batch = [
        record(login(**(refusal.bad if place in places else refusal.good)), numbered(1 + place))
        for place in reversed(range(BATCH_SIZE))
    ]
    bad = [sent for place, sent in enumerate(batch) if BATCH_SIZE - 1 - place in places]
    good = [sent for sent in batch if sent not in bad]

    response = ingest.invoke(event(*batch, *old))

    assert sorted(response["batchItemFailures"], key=str) == sorted(failures(*bad)["batchItemFailures"], key=str)
    stored = [*before, *(row(sent, app_version=refusal.app_version) for sent in [*good, *old])]
    assert database.rows() == sorted(stored, key=lambda found: found["message_id"])
    pointer = refusal.merge_pointer if path == "merge" else refusal.pointer
    assert database.rejections() == {sent["messageId"]: (refusal.reason, pointer) for sent in bad}


def test_the_only_row_of_a_batch_can_be_refused(database: TestDatabase, ingest: Environment) -> None:
    database.sql(REFUSALS["check"].sql)
    sent = record(login(device_type="toaster"))
    assert ingest.invoke(event(sent)) == failures(sent)
    assert database.rows() == []
    assert database.rejections() == {sent["messageId"]: ("sqlstate_23514", "")}


def test_every_delivery_of_a_refused_message_in_a_batch_is_reported(
    database: TestDatabase, ingest: Environment
) -> None:
    database.sql(REFUSALS["check"].sql)
    identity = {"sluice_message_id": numbered(1)}
    twice = [record(login(device_type="toaster"), **identity) for _ in range(2)]
    assert ingest.invoke(event(*twice)) == failures(*twice)
    assert database.rejections() == {numbered(1): ("sqlstate_23514", "")}


def test_rejections_of_both_kinds_are_recorded_together(database: TestDatabase, ingest: Environment) -> None:
    database.sql(REFUSALS["too long"].sql)
    junk, refused, good = record("junk"), record(login(device_type="much too long")), record()
    assert ingest.invoke(event(junk, refused, good)) == failures(junk, refused)
    assert database.rows() == [row(good)]
    assert database.rejections() == {
        junk["messageId"]: ("not_json", ""),
        refused["messageId"]: ("sqlstate_22001", "/device_type"),
    }


@pytest.mark.parametrize(("bad", "copies"), [({0}, 2), ({50}, 3), ({99}, 2), ({10, 50, 70}, 7), ({20, 21}, 4)])
def test_k_refused_rows_take_at_most_2k_plus_1_copies(
    bad: set[int], copies: int, database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    database.sql(
        "CREATE SEQUENCE copies; CREATE FUNCTION count_copy() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM nextval('copies'); RETURN NULL; END $$;"
        "CREATE TRIGGER count_copy BEFORE INSERT ON user_logins EXECUTE FUNCTION count_copy();"
        f"ALTER TABLE user_logins ADD CHECK (message_id NOT IN ({', '.join(f"'{numbered(n)}'" for n in bad)}))"
    )
    refused = sorted(map(numbered, bad))
    assert write(open_store(), masked_rows(range(100)), deadline) == (100 - len(bad), 0, refused)
    assert database.value("SELECT last_value FROM copies") == copies


def test_a_batch_full_of_refused_rows_is_not_sent_over_and_over(
    database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    rows = masked_rows(range(300))
    with proxy(plain_address(database.server)) as way:
        store = open_store(settings=database.settings(port=way.port))
        assert write(store, rows, deadline) == (300, 0, [])
        clean_bytes = len(way.sent)
        database.sql("TRUNCATE user_logins; ALTER TABLE user_logins ADD CHECK (device_type <> 'android')")
        assert write(store, rows, deadline) == (0, 0, [sent.message_id for sent in rows])
        assert len(way.sent) < 50 * clean_bytes


PARTITIONED = (
    "ALTER TABLE user_logins RENAME TO part;"
    "CREATE TABLE user_logins (LIKE part INCLUDING GENERATED, PRIMARY KEY (message_id)) PARTITION BY HASH (message_id);"
    "CREATE TABLE half PARTITION OF user_logins FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
    "GRANT INSERT, SELECT (message_id) ON user_logins TO PUBLIC;"
)


@pytest.mark.parametrize("path", ["copy", "merge"])
@pytest.mark.parametrize(
    ("sql", "bad", "why"),
    [
        ("ADD CONSTRAINT known CHECK (device_type <> 'toaster')", {"device_type": "toaster"}, ("sqlstate_23514", "")),
        ("ALTER COLUMN locale SET NOT NULL", {"locale": None}, ("sqlstate_23502", "/locale")),
    ],
    ids=["check", "null"],
)
def test_a_row_refused_by_a_partition_is_reported_alone(
    sql: str, bad: dict[str, Any], why: tuple[str, str], path: str, database: TestDatabase, ingest: Environment
) -> None:
    database.sql(f"{PARTITIONED} ALTER TABLE user_logins {sql}; {ROW_BY_ROW}")
    old = [record(message_id=numbered(0))] if path == "merge" else []
    ingest.invoke(event(*old))
    good, refused = record(), record(login(**bad))
    assert ingest.invoke(event(good, refused, *old)) == failures(refused)
    assert database.rows() == sorted(map(row, [good, *old]), key=lambda found: found["message_id"])
    assert database.rejections() == {refused["messageId"]: why}


# What is not the row's fault

OUTAGES = {
    "no partition": (
        "ALTER TABLE user_logins RENAME TO part;"
        "CREATE TABLE user_logins (LIKE part INCLUDING GENERATED, PRIMARY KEY (message_id))"
        " PARTITION BY LIST (message_id);"
        "GRANT INSERT, SELECT (message_id) ON user_logins TO PUBLIC",
        "database: SQLSTATE 23514, table user_logins",
    ),
    "no table": ("ALTER TABLE user_logins RENAME TO elsewhere", "database: SQLSTATE 42P01"),
    "no column": ("ALTER TABLE user_logins DROP COLUMN locale", "database: SQLSTATE 42703"),
    "no permission": ("REVOKE INSERT ON user_logins FROM ingest_of_tests", "database: SQLSTATE 42501"),
    "the table of rejections": (
        "ALTER TABLE rejection ADD CONSTRAINT mine CHECK (reason = '')",
        "database: SQLSTATE 23514, table rejection, constraint mine",
    ),
}


@pytest.mark.parametrize(("sql", "reason"), OUTAGES.values(), ids=OUTAGES.keys())
def test_what_is_not_the_row_s_fault_is_an_outage_that_stores_nothing(
    sql: str, reason: str, database: TestDatabase, ingest: Environment
) -> None:
    database.sql(sql)
    with pytest.raises(Outage) as raised:
        ingest.invoke(event(record("junk"), record()))
    assert str(raised.value) == reason
    database.sql("ALTER TABLE IF EXISTS elsewhere RENAME TO user_logins")
    assert database.rows() == database.rows("rejection") == []
