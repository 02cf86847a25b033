"""Each operator's role can do what its function must, and nothing else."""

from collections.abc import Iterator

import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from tests.integration.databases import LOGINS, TestDatabase, connect

APPEND = "SELECT audit_append('', '', '', '', NULL, '{}', '{}')"
ONCE = "INSERT INTO operation (id) VALUES (gen_random_uuid()) ON CONFLICT DO NOTHING"
TABLES = (
    *("user_logins", "orders", "rejection", "migration", "token_key"),
    *("pii_vault", "pii_vault_key", "erasure", "erased_value", "removal", "rekeyed_token", "rekeying", "audit_log"),
)
WRITES = ("INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}")

# By role: the tables of which it may read anything.
READS = {
    "reveal": ("token_key", "pii_vault", "pii_vault_key", "rekeyed_token"),
    "forget": (
        *("user_logins", "orders", "token_key"),
        *("pii_vault", "pii_vault_key", "erasure", "erased_value", "removal", "rekeyed_token"),
    ),
    "rekey": (
        "user_logins",
        "orders",
        "token_key",
        "pii_vault",
        "pii_vault_key",
        "erasure",
        "erased_value",
        "removal",
        "rekeyed_token",
        "rekeying",
    ),
    "audit": ("audit_log",),
    "dead_letters": ("rejection", "token_key", "erasure"),
}
MUST = {
    "reveal": [
        "SELECT number, check_value FROM token_key",
        "SELECT token, domain, key_id, sealed FROM pii_vault",
        "SELECT id, wrapped, kms_key_arn FROM pii_vault_key",
        "SELECT old_token, token FROM rekeyed_token",
        APPEND,
        ONCE,
    ],
    "forget": [
        "SELECT pg_advisory_xact_lock(20941)",
        "SELECT number, check_value FROM token_key",
        "SELECT message_id, sent_at, user_id, masked_ip, masked_device_id FROM user_logins",
        "SELECT message_id, sent_at, customer, customer_email, recipient_emails FROM orders",
        "SELECT token, domain, key_id FROM pii_vault",
        "SELECT id FROM pii_vault_key",
        "SELECT old_token, token FROM rekeyed_token",
        "INSERT INTO erasure (subject_token, erased_at) VALUES ('', now())"
        " ON CONFLICT (subject_token) DO UPDATE SET erased_at = greatest(erasure.erased_at, excluded.erased_at)",
        "INSERT INTO erased_value (token, domain) VALUES ('', '') ON CONFLICT DO NOTHING",
        "SELECT token, domain FROM erased_value",
        "UPDATE removal SET number = number + 1",
        *(f"DELETE FROM {table}" for table in ("user_logins", "orders", "pii_vault", "pii_vault_key", "rekeyed_token")),
        APPEND,
        ONCE,
    ],
    "rekey": [
        "SELECT message_id, masked_ip, masked_device_id FROM user_logins FOR UPDATE",
        "UPDATE user_logins SET masked_ip = '', masked_device_id = ''",
        "UPDATE orders SET recipient_emails = '{}', masked_ip = '', customer_email = '', customer = ''",
        "SELECT number, check_value FROM token_key",
        "INSERT INTO token_key (number, check_value) VALUES (9, '') ON CONFLICT DO NOTHING",
        "SELECT token, domain FROM pii_vault",
        "SELECT rekey_vault('{a}', '{b}')",
        "SELECT id, wrapped, kms_key_arn FROM pii_vault_key FOR UPDATE",
        "UPDATE pii_vault_key SET wrapped = '', kms_key_arn = ''",
        "INSERT INTO erasure VALUES ('', now()) ON CONFLICT (subject_token) DO UPDATE SET erased_at = now()",
        "DELETE FROM erasure",
        "INSERT INTO erased_value SELECT '', domain FROM erased_value ON CONFLICT DO NOTHING",
        "DELETE FROM erased_value",
        "INSERT INTO rekeyed_token VALUES ('', '') ON CONFLICT (old_token) DO UPDATE SET token = excluded.token",
        "DELETE FROM rekeyed_token",
        "DELETE FROM rekeying",
        "SELECT number FROM removal",
        APPEND,
        ONCE,
    ],
    "audit": ["SELECT * FROM audit_log"],
    "dead_letters": [
        "SELECT message_id, stream, reason, pointer, at FROM rejection",
        "SELECT subject_token, erased_at FROM erasure",
        "SELECT number, check_value FROM token_key",
        APPEND,
        ONCE,
    ],
}
MUST_NOT = {
    "reveal": [
        *(write.format(table) for table in TABLES for write in WRITES),
        "UPDATE pii_vault SET sealed = ''",
        "UPDATE pii_vault_key SET wrapped = ''",
        "UPDATE rekeyed_token SET token = ''",
        "UPDATE token_key SET check_value = ''",
        "UPDATE audit_log SET actor = ''",
        "ALTER TABLE audit_log DISABLE TRIGGER is_final",
        "CREATE OR REPLACE FUNCTION audit_hash(VARIADIC fields text[]) RETURNS bytea LANGUAGE sql AS 'SELECT NULL'",
    ],
    "forget": [
        *(f"SELECT {column} FROM user_logins" for column in ("*", "locale", "device_type", "app_version_text")),
        *(f"SELECT {column} FROM orders" for column in ("*", "customer_domain", "total", "lines")),
        "SELECT sealed FROM pii_vault",
        "DELETE FROM pii_vault RETURNING sealed",
        "SELECT wrapped FROM pii_vault_key",
        *(f"TRUNCATE {table}" for table in TABLES),
        *(f"DROP TABLE {table}" for table in TABLES),
        *(f"INSERT INTO {table} DEFAULT VALUES" for table in TABLES if table not in ("erasure", "erased_value")),
        *(
            f"DELETE FROM {table}"
            for table in ("rejection", "token_key", "erasure", "erased_value", "removal", "rekeying", "audit_log")
        ),
        "UPDATE erased_value SET token = ''",
        "UPDATE user_logins SET user_id = ''",
        "UPDATE pii_vault SET token = ''",
        "UPDATE pii_vault_key SET wrapped = ''",
        "UPDATE erasure SET subject_token = ''",
        "UPDATE rekeyed_token SET token = ''",
        "UPDATE token_key SET check_value = ''",
        "UPDATE audit_log SET actor = ''",
        "ALTER TABLE audit_log DISABLE TRIGGER is_final",
    ],
    "rekey": [
        "SELECT sealed FROM pii_vault",
        "SELECT * FROM pii_vault",
        "SELECT key_id FROM pii_vault",
        "UPDATE pii_vault SET sealed = ''",
        "UPDATE pii_vault SET key_id = gen_random_uuid()",
        "INSERT INTO pii_vault SELECT 'a', domain, key_id, sealed FROM pii_vault",
        *(f"SELECT {column} FROM user_logins" for column in ("user_id", "device_type", "locale")),
        "SELECT * FROM user_logins",
        "SELECT customer_domain FROM orders",
        "SELECT order_id FROM orders",
        "UPDATE user_logins SET user_id = ''",
        "DELETE FROM user_logins",
        "INSERT INTO user_logins DEFAULT VALUES",
        "UPDATE pii_vault SET token = token",
        "DELETE FROM pii_vault",
        "INSERT INTO pii_vault_key DEFAULT VALUES",
        "DELETE FROM pii_vault_key",
        "DELETE FROM token_key",
        "UPDATE token_key SET check_value = ''",
        "UPDATE removal SET number = 0",
        "UPDATE audit_log SET actor = ''",
        "DELETE FROM audit_log",
        *(f"TRUNCATE {table}" for table in TABLES),
    ],
    "audit": [
        *(write.format(table) for table in TABLES for write in WRITES),
        APPEND,
        "UPDATE audit_log SET actor = ''",
        "ALTER TABLE audit_log DISABLE TRIGGER is_final",
    ],
    "dead_letters": [
        *(write.format(table) for table in TABLES for write in WRITES),
        "SELECT shape FROM rejection",
        "UPDATE rejection SET reason = ''",
        "UPDATE erasure SET erased_at = now()",
        "UPDATE token_key SET check_value = ''",
        "UPDATE audit_log SET actor = ''",
        "ALTER TABLE audit_log DISABLE TRIGGER is_final",
    ],
}
NO_ROLE_MUST = [
    "CREATE TABLE x ()",
    "CREATE SCHEMA x",
    "CREATE FUNCTION x() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE x",
    "ALTER ROLE owner_of_tests PASSWORD 'x'",
    "SET ROLE owner_of_tests",
    "SET session_replication_role = replica",  # with it no trigger runs
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_read_file('PG_VERSION')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    *(f"SET ROLE {login.username}" for login in LOGINS.values()),
]


@pytest.fixture(params=MUST)
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def session(database: TestDatabase, role: str) -> Iterator[Connection]:
    login = LOGINS[role]
    with connect(database.server, login.username, login.password) as session:
        yield session


def test_it_can_do_what_it_must(role: str, session: Connection) -> None:
    for statement in MUST[role]:
        session.run(statement)


def test_it_can_do_nothing_else(role: str, session: Connection) -> None:
    reads = [f"SELECT count(*) FROM {table}" for table in TABLES if table not in READS[role]]
    others = [statement for statement in NO_ROLE_MUST if statement != f"SET ROLE {LOGINS[role].username}"]
    assert allowed(session, [*reads, *MUST_NOT[role], *others]) == []


def test_no_role_has_a_right_on_the_log_but_to_read_it(database: TestDatabase) -> None:
    granted = database.sql(
        "SELECT r.rolname FROM pg_roles r WHERE r.rolname LIKE '%_of_tests' AND r.rolname <> 'owner_of_tests'"
        " AND has_table_privilege(r.rolname, 'audit_log', 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')"
    )
    assert granted == []


def test_it_is_a_member_of_no_role_and_has_no_attribute_but_login(database: TestDatabase, role: str) -> None:
    assert database.sql(
        "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,"
        " (SELECT count(*) FROM pg_auth_members WHERE member = r.oid) FROM pg_roles r WHERE rolname = :name",
        name=LOGINS[role].username,
    ) == [[True, False, False, False, False, False, 0]]


def allowed(session: Connection, statements: list[str]) -> list[str]:
    """Return the statements that were not refused for want of a right."""
    found = []
    for statement in statements:
        try:
            session.run(statement)
            found.append(statement)
        except DatabaseError as error:
            if error.args[0]["C"] != "42501":
                found.append(f"{statement}: {error.args[0]['C']}")
    return found
