"""A stream's table that Citus has distributed: each record is stored, a duplicate, or refused alone, as on one server.

Erasure, rekey and migrations of such a table are tested beside those of others.
"""

from typing import Any

import pytest

from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.migrate import schema
from sluice.migrate.failures import MigrationFailed
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from tests.integration.citus import distributed
from tests.integration.databases import INGEST_ROLE, LOGINS, TestDatabase, in_seconds
from tests.integration.environment import Environment, OpenStore, write
from tests.integration.messages import KEYSET, event, failures, login, masked_rows, numbered, record, row

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


def test_an_internal_error_of_the_server_itself_is_an_outage(database: TestDatabase, ingest: Environment) -> None:
    no_type = "array_out(array_in('{1}', CASE device_type WHEN 'toaster' THEN 0 ELSE 23 END::oid, -1))"
    database.sql(f"ALTER TABLE user_logins ADD CHECK ({no_type} IS NOT NULL)")
    with pytest.raises(Outage, match=r"^database: SQLSTATE XX000$"):
        ingest.invoke(event(record(), record(login(device_type="toaster"))))
    assert database.rows() == database.rows("rejection") == []
    assert ingest.invoke(event(record())) == failures()


def test_a_table_of_sluice_that_cannot_be_distributed_is_refused(database: TestDatabase) -> None:
    database.sql(
        'CREATE TABLE pg_dist_partition (logicalrelid regclass, partmethod "char");'
        "GRANT SELECT ON pg_dist_partition TO PUBLIC;"
        "INSERT INTO pg_dist_partition VALUES ('pii_vault', 'h'), ('user_logins', 'h'), ('orders', 'h'),"
        " ('rejection', 'h'), ('rekeyed_token', 'n'), ('erasure', 'n')"
    )
    owner = Database(database.settings("owner"), "sluice-migrate")
    refusal = (
        "^the table pii_vault is distributed, and Sluice needs it on the coordinator;"
        r" SELECT undistribute_table\('pii_vault'\)$"
    )
    with pytest.raises(MigrationFailed, match=refusal):
        schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60))
    database.sql("DELETE FROM pg_dist_partition WHERE logicalrelid = 'pii_vault'::regclass")
    schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60))
    owner.close()
