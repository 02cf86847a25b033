"""The examination of a database: each finding is provoked on a real PostgreSQL, and a whole database has none."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sluice.deadline import Deadline
from sluice.migrate.doctor import examination
from sluice.migrate.doctor.examination import BadRequest
from sluice.settings import ROLES, MigrateSettings
from tests.integration.databases import INGEST_ROLE, OWNER, TestDatabase
from tests.integration.messages import KEYSET
from tools.testing.aws.account import FakeAws
from tools.testing.aws.service import CANARY

CONNECTIONS = 20  # 2 streams × 10

type Told = list[tuple[str, str, str, str]]  # area, severity, thing, sentence
type Look = Callable[[], Told]


def told(findings: Any) -> Told:
    """Return what is not good."""
    return [
        (found["area"], found["severity"], found["thing"], found["sentence"])
        for found in findings
        if found["severity"] != "good"
    ]


@pytest.fixture
def migrate_settings(database: TestDatabase, fake_aws: FakeAws) -> MigrateSettings:
    fake_aws.secretsmanager.secrets["keyset"] = KEYSET
    return MigrateSettings(
        role_secret_ids={role: role for role in ROLES},
        login_by_iam=False,
        token_key_secret_id="keyset",
        database=database.settings("owner"),
    )


@pytest.fixture
def look(migrate_settings: MigrateSettings, deadline: Deadline) -> Look:
    return lambda: told(examination.answer({"connections": CONNECTIONS}, migrate_settings, deadline)["findings"])


def test_of_a_whole_database_there_is_nothing_to_do(migrate_settings: MigrateSettings, deadline: Deadline) -> None:
    answer = examination.answer({}, migrate_settings, deadline)
    assert told(answer["findings"]) == []
    assert {found["area"] for found in answer["findings"]} == {*examination.AREAS, "logins"}


def test_a_request_that_is_none_is_refused(migrate_settings: MigrateSettings, deadline: Deadline) -> None:
    for bad in (None, [], {"connections": -1}, {"connections": CANARY}):
        with pytest.raises(BadRequest, match="event: doctor must be an object, and its connections a number"):
            examination.answer(bad, migrate_settings, deadline)


PROVOKED = {
    "a column that is called otherwise": (
        "ALTER TABLE user_logins RENAME COLUMN locale TO language",
        [("schema", "fails", "user_logins", "UserLogin: the table user_logins lacks the column locale.")],
    ),
    "a migration that is not applied": (
        "DELETE FROM migration WHERE number = 8",
        [
            ("schema", "fails", "migrations", "Not applied: 0008_erased_values.sql."),
        ],
    ),
    "a migration that was changed": (
        "UPDATE migration SET checksum = 'x' WHERE number = 3",
        [
            (
                "schema",
                "fails",
                "",
                "migration 0003_orders.sql: the text was changed after it was applied; put the old text back, and"
                " write a new migration for the change",
            )
        ],
    ),
    "a right that was taken away": (
        f"REVOKE INSERT ON orders FROM {INGEST_ROLE}; REVOKE SELECT (check_value) ON token_key FROM {INGEST_ROLE}",
        [("rights", "fails", INGEST_ROLE, "It may not INSERT orders, SELECT token_key (check_value).")],
    ),
    "a right too many": (
        f"GRANT SELECT (locale), DELETE ON user_logins TO {INGEST_ROLE}; GRANT SELECT ON orders TO PUBLIC",
        [
            ("rights", "warns", "PUBLIC", "It may SELECT orders, which nothing needs."),
            (
                "rights",
                "warns",
                INGEST_ROLE,
                "It may DELETE user_logins, SELECT user_logins (locale), which nothing needs.",
            ),
        ],
    ),
    "a function that may not be called": (
        "REVOKE EXECUTE ON FUNCTION audit_append FROM reveal_of_tests",
        [("rights", "fails", "reveal_of_tests", "It may not EXECUTE audit_append.")],
    ),
    "a function that everybody may call": (
        "GRANT EXECUTE ON FUNCTION audit_append TO PUBLIC",
        [("rights", "warns", "PUBLIC", "Everybody may EXECUTE audit_append, which nothing needs.")],
    ),
    "a table of another owner": (
        "ALTER TABLE erasure OWNER TO postgres",
        [
            (
                "rights",
                "fails",
                "erasure",
                "The table belongs to postgres, so owner_of_tests cannot grant rights on it.",
            )
        ],
    ),
    "a role that may not log in": (
        "ALTER ROLE audit_of_tests NOLOGIN",
        [
            ("roles", "fails", "audit_of_tests", "It may not log in."),
            (
                "logins",
                "fails",
                "audit_of_tests",
                "database: SQLSTATE 28000, no such role, it may not log in, the server wants TLS, or pg_hba.conf has"
                " no line for it",
            ),
        ],
    ),
    "a role of more power": (
        f"ALTER ROLE {INGEST_ROLE} CREATEDB CONNECTION LIMIT 5; GRANT pg_read_all_data TO {INGEST_ROLE}",
        [
            ("roles", "warns", INGEST_ROLE, "It can do more than its work takes: CREATEDB, pg_read_all_data."),
            ("roles", "warns", INGEST_ROLE, "It may have 5 connections, and the streams want 20."),
        ],
    ),
    "a setting that a role gave itself": (
        f"ALTER ROLE {INGEST_ROLE} SET work_mem = '64kB';"
        f" ALTER ROLE {INGEST_ROLE} IN DATABASE {{database}} SET jit = off",
        [("roles", "warns", INGEST_ROLE, "It has settings that no deployment gave it: jit, work_mem.")],
    ),
    "a password that is not the secret's": (
        "ALTER ROLE rekey_of_tests PASSWORD 'other'",
        [("logins", "fails", "rekey_of_tests", "database: SQLSTATE 28P01")],
    ),
    "a role in rds_iam": (
        "CREATE ROLE rds_iam; GRANT rds_iam TO audit_of_tests",
        [("roles", "fails", "audit_of_tests", "It is in rds_iam, so its password is not taken.")],
    ),
    "the trigger of the audit log, disabled": (
        "ALTER TABLE audit_log DISABLE TRIGGER is_final",
        [("schema", "fails", "audit_log", "The trigger is_final is disabled.")],
    ),
    "the trigger of the audit log, gone": (
        "DROP TRIGGER is_final ON audit_log",
        [
            (
                "schema",
                "fails",
                "audit_log",
                "The trigger is_final is missing, so rows of the audit log can be changed.",
            )
        ],
    ),
    "a trigger of a stream's table": (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        " CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f();"
        " ALTER TABLE orders DISABLE TRIGGER t",
        [("schema", "warns", "orders", "The trigger t is disabled.")],
    ),
    "an index that is invalid": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_customer_idx'::regclass",
        [("schema", "warns", "orders_customer_idx", "The index is invalid, so no search uses it.")],
    ),
    "another keyset": (
        "UPDATE token_key SET check_value = 'x'",
        [("keyset", "fails", "", "keyset: key 1 is not the key that this database knows")],
    ),
    "an owner that may make no roles": (
        f"ALTER ROLE {OWNER.username} NOCREATEROLE",
        [("owner", "fails", OWNER.username, "The owner may make no roles.")],
    ),
    "a database with room for few": (
        "ALTER DATABASE {database} CONNECTION LIMIT 30",
        [
            (
                "server",
                "warns",
                "",
                "The database takes 30 connections, and the streams may want 48 while a deployment replaces"
                " environments (2 × 20, and 8 others).",
            )
        ],
    ),
}


@pytest.fixture
def as_before(database: TestDatabase) -> Iterator[None]:
    """Take back what the tests below change of the server as a whole."""
    yield
    database.sql(f"ALTER DATABASE {database.server.database} CONNECTION LIMIT -1; DROP ROLE IF EXISTS rds_iam")


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize(("statement", "expected"), PROVOKED.values(), ids=PROVOKED.keys())
def test_what_is_wrong_is_found(statement: str, expected: Told, look: Look, database: TestDatabase) -> None:
    database.sql(statement.replace("{database}", database.server.database))
    assert look() == expected
