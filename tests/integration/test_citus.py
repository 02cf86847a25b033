"""A stream's table that Citus has distributed: each record is stored, a duplicate, or refused alone, as on one server.

Erasure, rekey and migrations of such a table are tested beside those of others.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest

from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.migrate import migrations, schema
from sluice.migrate.failures import MigrationFailed
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from tests.documentation import ROOT, blocks
from tests.integration.citus import distributed
from tests.integration.databases import INGEST_ROLE, LOGINS, OWNER, TestDatabase, in_seconds
from tests.integration.environment import Environment, OpenStore, write
from tests.integration.messages import KEYSET, event, failures, login, masked_rows, numbered, record, row
from tests.versions import PRODUCT, STREAMS

PARTITIONED = (
    "ALTER TABLE user_logins RENAME TO part;"
    "CREATE TABLE user_logins (LIKE part INCLUDING GENERATED, PRIMARY KEY (message_id, sent_at))"
    " PARTITION BY RANGE (sent_at);"
    "CREATE TABLE every PARTITION OF user_logins FOR VALUES FROM (MINVALUE) TO (MAXVALUE);"
    f"GRANT INSERT, SELECT (message_id, sent_at) ON user_logins TO {INGEST_ROLE};"
)
REFUSALS = {
    "check": ("ADD CHECK (device_type <> 'toaster')", {"device_type": "toaster"}, "sqlstate_23514"),
    "null": ("ALTER COLUMN locale SET NOT NULL", {"locale": None}, "sqlstate_23502"),
}


def migrate(database: TestDatabase) -> None:
    owner = Database(database.settings("owner"), "sluice-migrate")
    try:
        schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60))
    finally:
        owner.close()


@pytest.mark.parametrize("before", ["", PARTITIONED], ids=["table", "partitions"])
def test_a_duplicate_that_a_worker_finds_is_a_duplicate(
    before: str, database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    database.sql(before)
    store = open_store()
    with distributed("user_logins") as codes:
        assert write(store, masked_rows(range(4)), deadline) == (4, 0, [])
        assert write(store, masked_rows(range(2, 6)), deadline) == (2, 2, [])
    assert codes == ["XX000"]
    assert len(database.rows()) == 6


@pytest.mark.parametrize("before", ["", PARTITIONED], ids=["table", "partitions"])
@pytest.mark.parametrize(("sql", "bad", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_row_that_a_worker_refuses_is_refused_alone(
    sql: str, bad: dict[str, Any], reason: str, before: str, database: TestDatabase, ingest: Environment
) -> None:
    database.sql(f"{before} ALTER TABLE user_logins {sql}")
    batch = [record(login(**(bad if place in (2, 5) else {})), numbered(place)) for place in range(6)]
    with distributed("user_logins") as codes:
        assert ingest.invoke(event(*batch)) == failures(batch[2], batch[5])
    assert codes[:2] == ["XX000", reason.removeprefix("sqlstate_")]
    assert database.rows() == [row(sent) for place, sent in enumerate(batch) if place not in (2, 5)]
    assert database.rejections() == {numbered(place): (reason, "") for place in (2, 5)}


def test_a_partition_that_the_workers_lack_is_an_outage(database: TestDatabase, ingest: Environment) -> None:
    database.sql(PARTITIONED.replace("(MINVALUE) TO (MAXVALUE)", "('1999-01-01') TO ('1999-02-01')"))
    with distributed("user_logins") as codes, pytest.raises(Outage, match=r"^database: SQLSTATE 23514$"):
        ingest.invoke(event(record()))
    assert codes == ["XX000", "23514"]
    assert database.rows() == database.rows("rejection") == []


def test_an_internal_error_of_the_server_itself_is_an_outage(database: TestDatabase, ingest: Environment) -> None:
    no_type = "array_out(array_in('{1}', CASE device_type WHEN 'toaster' THEN 0 ELSE 23 END::oid, -1))"
    database.sql(f"ALTER TABLE user_logins ADD CHECK ({no_type} IS NOT NULL)")
    with pytest.raises(Outage, match=r"^database: SQLSTATE XX000$"):
        ingest.invoke(event(record(), record(login(device_type="toaster"))))
    assert database.rows() == database.rows("rejection") == []
    assert ingest.invoke(event(record())) == failures()


def test_the_documented_migrations_are_statements_that_the_owner_can_run(
    database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they do is Citus's own; here each only notes that it was called."""
    database.sql(
        "CREATE TABLE called (number serial, name text, arguments text);"
        "CREATE FUNCTION create_distributed_table(name regclass, by_column text) RETURNS void LANGUAGE sql"
        " BEGIN ATOMIC INSERT INTO called (name, arguments) VALUES ('distribute', name || ', ' || by_column); END;"
        "CREATE FUNCTION truncate_local_data_after_distributing_table(name regclass) RETURNS void LANGUAGE sql"
        " BEGIN ATOMIC INSERT INTO called (name, arguments) VALUES ('truncate', name); END;"
        "CREATE FUNCTION create_reference_table(name regclass) RETURNS void LANGUAGE sql"
        " BEGIN ATOMIC INSERT INTO called (name, arguments) VALUES ('reference', name); END;"
        f"GRANT ALL ON called, called_number_seq TO {OWNER.username}"
    )
    shutil.copytree(PRODUCT, tmp_path / "sluice" / "migrate" / "sql")
    folder = shutil.copytree(STREAMS, tmp_path / "streams" / "migrations")
    for sql in blocks(ROOT / "docs" / "citus.md", "sql"):
        (folder / sql.split()[1]).write_text(sql)
    monkeypatch.setattr(migrations, "files", lambda package: tmp_path / package)
    migrate(database)
    assert database.sql("SELECT name, arguments FROM called ORDER BY number") == [
        ["distribute", "user_logins, message_id"],
        ["truncate", "user_logins"],
        ["reference", "rekeyed_token"],
    ]


def test_a_table_of_sluice_that_cannot_be_distributed_is_refused(database: TestDatabase) -> None:
    database.sql(
        'CREATE TABLE pg_dist_partition (logicalrelid regclass, partmethod "char");'
        "GRANT SELECT ON pg_dist_partition TO PUBLIC;"
        "INSERT INTO pg_dist_partition VALUES ('pii_vault', 'h'), ('user_logins', 'h'), ('orders', 'h'),"
        " ('rejection', 'h'), ('rekeyed_token', 'n'), ('erasure', 'n')"
    )
    with pytest.raises(MigrationFailed) as raised:
        migrate(database)
    assert str(raised.value) == (
        "the table pii_vault is distributed, and Sluice needs it on the coordinator;"
        " SELECT undistribute_table('pii_vault')"
    )
    database.sql("DELETE FROM pg_dist_partition WHERE logicalrelid = 'pii_vault'::regclass")
    migrate(database)
