"""Every query that README.md and docs/ show finds what it is there to find, on the schema that the migrations make."""

from dataclasses import replace

import pytest

from sluice.ingest.rows import Rejection
from sluice.migrate import schema
from sluice.operators.audit import audit_log
from sluice.operators.audit.audit_log import Entry
from sluice.postgres.credentials import Credentials
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from tests.documentation import PAGES, ROOT, blocks
from tests.integration.databases import LOGINS, TestDatabase, in_seconds
from tests.integration.environment import OpenStore
from tests.integration.messages import KEYSET, masked_rows, numbered
from tests.versions import NEWEST
from tools.testing.aws.account import FakeAws

SQL = [sql for page in PAGES for sql in blocks(page, "sql")]
QUERIES = [sql for sql in SQL if sql.startswith("SELECT")]
FOR_CITUS = blocks(ROOT / "docs" / "citus.md", "sql")  # test_citus.py runs them
OWNER = next(sql for sql in SQL if sql.startswith("CREATE ROLE"))
RENAMING = next(sql for sql in SQL if sql.startswith("UPDATE rejection"))


def test_what_is_no_query_makes_a_table_that_another_test_makes() -> None:
    others = [sql for sql in SQL if sql not in (*QUERIES, OWNER, RENAMING, *FOR_CITUS)]
    assert [sql for sql in others if "CREATE TABLE" not in sql and not sql.startswith("ALTER TABLE orders ADD")] == []


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_a_query_finds_the_one_thing_that_happened(query: str, database: TestDatabase, open_store: OpenStore) -> None:
    database.sql(
        "INSERT INTO rejection (message_id, stream, reason, pointer, shape)"
        " VALUES (:id, 'user_logins', 'internal_error', '/ip', '{}')",
        id=numbered(1),
    )
    store = open_store()
    store.write(masked_rows([1]), [], lambda row, rejected: Rejection("", "", "", "", {}), in_seconds(60))
    reveal = Database(database.settings("reveal"), "sluice-test")
    entry = Entry(actor="ada", action="reveal", reason="support_request", ticket="PRIV-1", tokens=["t1_a"])
    reveal.transact(lambda session: audit_log.append(session, entry), in_seconds(60))
    reveal.close()
    assert len(database.sql(query)) == 1  # of sessions in a transaction: the one that asks


def test_an_owner_as_the_page_makes_it_can_deploy(empty_database: TestDatabase, fake_aws: FakeAws) -> None:
    make_role, make_database = OWNER.replace("DATABASE sluice", "DATABASE another").split(";")[:2]
    empty_database.sql(make_role)
    empty_database.sql(make_database)
    owner = Database(replace(empty_database.settings(), name="another"), "sluice-migrate")
    owner._credentials = Credentials("sluice_owner", "…")
    try:
        assert schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60)) == NEWEST
    finally:
        owner.close()
        empty_database.sql("DROP DATABASE another")
        for name in (*(login.username for login in LOGINS.values()), "sluice_owner"):
            empty_database.sql(f"DROP ROLE {name}")


def test_rejections_of_the_first_release_can_be_renamed_to_their_stream(database: TestDatabase) -> None:
    database.sql(
        "INSERT INTO rejection (message_id, stream, reason, pointer, shape)"
        " VALUES (:first, 'registrations', 'empty', '/name', '{}'), (:second, 'orders', 'empty', '/ip', '{}')",
        first=numbered(1),
        second=numbered(2),
    )
    database.sql(RENAMING)
    assert database.sql("SELECT stream FROM rejection ORDER BY message_id") == [["sign_ups"], ["orders"]]
