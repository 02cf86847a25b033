"""The ingest role can do what it must, and nothing else."""

from collections.abc import Iterator

import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from tests.integration.databases import INGEST_PASSWORD, INGEST_ROLE, TestDatabase, connect

INSERT = (
    "INSERT INTO user_logins (user_id, device_type, masked_ip, masked_device_id, app_version, app_version_text,"
    " sent_at, message_id) VALUES ('', '', '', '', 0, '', now(), gen_random_uuid())"
)
MUST = [
    INSERT,
    f"{INSERT} ON CONFLICT (message_id) DO NOTHING",
    "SELECT message_id FROM user_logins",
    "INSERT INTO rejection (message_id, stream, reason, pointer, shape)"
    " VALUES (gen_random_uuid(), '', '', '', '{}') ON CONFLICT DO NOTHING"
    " RETURNING message_id",
    "SELECT number, check_value FROM token_key",
    "SELECT token, domain FROM erased_value",
]
MUST_NOT = [
    *(
        f"SELECT {column} FROM user_logins"
        for column in (
            "*",
            "user_id",
            "device_type",
            "masked_ip",
            "masked_device_id",
            "locale",
            "app_version",
            "create_date",
            "app_version_text",
            "sent_at",
        )
    ),
    f"{INSERT} RETURNING masked_ip",
    f"{INSERT} ON CONFLICT (message_id) DO UPDATE SET locale = ''",
    "COPY user_logins TO STDOUT",
    "SELECT * FROM rejection",
    "SELECT reason FROM rejection",
    *(
        f"{verb} {table}"
        for table in ("user_logins", "rejection", "token_key", "migration", "erasure", "erased_value")
        for verb in ("DELETE FROM", "TRUNCATE", "DROP TABLE")
    ),
    "UPDATE user_logins SET locale = ''",
    "UPDATE rejection SET reason = ''",
    "UPDATE token_key SET check_value = ''",
    "INSERT INTO token_key (number, check_value) VALUES (2, '')",
    "INSERT INTO erased_value (token, domain) VALUES ('', '')",
    "SELECT created_at FROM token_key",
    "SELECT * FROM migration",
    "INSERT INTO migration (number, name) VALUES (9, '')",
    "ALTER TABLE user_logins ADD COLUMN x integer",
    "CREATE INDEX ON user_logins (locale)",
    "CREATE TABLE x ()",
    "CREATE FUNCTION x() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA x",
    "CREATE ROLE x",
    "CREATE DATABASE x",
    "ALTER ROLE owner_of_tests PASSWORD 'x'",
    "SET ROLE owner_of_tests",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_read_file('PG_VERSION')",
    "COPY user_logins (user_id) FROM PROGRAM 'true'",
]


@pytest.fixture
def role(database: TestDatabase) -> Iterator[Connection]:
    with connect(database.server, INGEST_ROLE, INGEST_PASSWORD) as role:
        yield role


def test_it_can_do_what_it_must(role: Connection) -> None:
    for statement in MUST:
        role.run(statement)


def test_it_can_do_nothing_else(role: Connection) -> None:
    allowed = []
    for statement in MUST_NOT:
        try:
            role.run(statement)
            allowed.append(statement)
        except DatabaseError as error:
            if error.args[0]["C"] != "42501":
                allowed.append(f"{statement}: {error.args[0]['C']}")
    assert allowed == []


def test_it_is_a_member_of_no_role_and_has_no_attribute_but_login(database: TestDatabase) -> None:
    assert database.sql(
        "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,"
        f" (SELECT count(*) FROM pg_auth_members WHERE member = r.oid) FROM pg_roles r WHERE rolname = '{INGEST_ROLE}'"
    ) == [[True, False, False, False, False, False, 0]]
