"""The examination of a database: each finding is provoked on a real PostgreSQL, and a whole database has none."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sluice.deadline import Deadline
from sluice.migrate.doctor import examination, server
from sluice.migrate.doctor.examination import BadRequest
from sluice.settings import ROLES, MigrateSettings
from tests.integration.databases import INGEST_PASSWORD, INGEST_ROLE, LOGINS, OWNER, Migrated, TestDatabase
from tests.integration.messages import KEYSET
from tests.integration.test_outages import certificate_file, tls_proxy
from tests.unit.cli import run
from tools.testing.aws.account import FakeAws
from tools.testing.aws.service import CANARY

__all__ = ["certificate_file"]

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
    several: tuple[Any, ...] = (None, [], {"connections": -1}, {"connections": CANARY})
    for bad in several:
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
    "a vault that Citus has distributed": (
        'CREATE TABLE pg_dist_partition (logicalrelid regclass, partmethod "char");'
        f"ALTER TABLE pg_dist_partition OWNER TO {OWNER.username};"
        "INSERT INTO pg_dist_partition VALUES ('pii_vault', 'h')",
        [
            (
                "schema",
                "fails",
                "",
                "the table pii_vault is distributed, and Sluice needs it on the coordinator;"
                " SELECT undistribute_table('pii_vault')",
            )
        ],
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


@pytest.mark.long
@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize(("statement", "expected"), PROVOKED.values(), ids=PROVOKED.keys())
def test_what_is_wrong_is_found(statement: str, expected: Told, look: Look, database: TestDatabase) -> None:
    database.sql(statement.replace("{database}", database.server.database))
    assert look() == expected


@pytest.mark.own_server("only a superuser takes its say over a role from the owner")
def test_a_role_that_the_owner_may_not_change_is_told_with_what_to_run(
    look: Look, database: TestDatabase, migrate_settings: MigrateSettings, deadline: Deadline
) -> None:
    if database.version < 16:
        pytest.skip("CREATEROLE suffices before PostgreSQL 16")
    database.sql(f"REVOKE {INGEST_ROLE} FROM {OWNER.username}")
    sentence = "The owner may not change it, so the next deployment fails."
    assert look() == [("roles", "fails", INGEST_ROLE, sentence)]
    findings: Any = examination.answer({"connections": CONNECTIONS}, migrate_settings, deadline)["findings"]
    (advice,) = [found["advice"] for found in findings if found["sentence"] == sentence]
    database.sql(advice.removeprefix("As a superuser run: "))
    assert look() == []


def test_a_secret_that_is_none_and_a_keyset_that_cannot_be_read_are_told_and_the_rest_is_looked_at(
    look: Look, fake_aws: FakeAws
) -> None:
    fake_aws.secretsmanager.secrets["audit"] = CANARY
    del fake_aws.secretsmanager.secrets["keyset"]
    assert look() == [
        ("logins", "fails", "audit", "database secret: must be a JSON object with `username` and `password`"),
        ("keyset", "fails", "", "secrets manager: ResourceNotFoundException"),
        (
            "keyset",
            "unknown",
            "",
            "The database knows the token keys 1, and the keyset was not at hand to compare.",
        ),
    ]


def test_a_server_that_cannot_be_reached_is_told_once(migrate_settings: MigrateSettings, deadline: Deadline) -> None:
    settings = replace(migrate_settings, database=replace(migrate_settings.database, port=1))
    found = examination.answer({}, settings, deadline)["findings"]
    assert told(found) == [("server", "fails", "", "database: no connection, ConnectionRefusedError")]


def test_a_login_by_iam_is_not_tried_and_the_membership_is_looked_at(
    migrate_settings: MigrateSettings, deadline: Deadline
) -> None:
    found = told(examination.answer({}, replace(migrate_settings, login_by_iam=True), deadline)["findings"])
    assert found == [
        ("owner", "fails", OWNER.username, "There is no role rds_iam, so there is no login by IAM."),
        *(("roles", "fails", login.username, "It is not in rds_iam.") for login in LOGINS.values()),
        ("logins", "unknown", "", "Not tried: with the login by IAM each function alone may log in as its role."),
    ]


def test_a_server_of_another_version_and_a_connection_that_is_not_encrypted_are_told(
    look: Look, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LOCAL", ())
    monkeypatch.setattr(server, "NEWEST", database.version - 1)
    plain = ("server", "warns", "", "The connection is not encrypted.")
    newer = f"PostgreSQL {database.version} is newer than what this release was tested on."
    assert look() == [("server", "warns", "", newer), plain]
    monkeypatch.setattr(server, "OLDEST", database.version + 1)
    older = f"PostgreSQL {database.version} is older than what Sluice runs on."
    assert look() == [("server", "fails", "", older), plain]


def test_an_encrypted_connection_and_the_end_of_its_certificate_are_told(
    certificate_file: Path, migrate_settings: MigrateSettings, database: TestDatabase, deadline: Deadline
) -> None:
    with tls_proxy(database, certificate_file) as way:
        through = database.settings("owner", "localhost", way.port, "verify-full", certificate_file)
        found = examination.answer({}, replace(migrate_settings, database=through), deadline)["findings"]
        database.disconnect_all()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert told(found) == [
        (
            "server",
            "warns",
            "",
            f"The server's certificate ends on {tomorrow:%Y-%m-%d}: from then on nothing can connect.",
        )
    ]
    assert found[0]["sentence"] == f"PostgreSQL {database.value('SHOW server_version').split()[0]}, UTF8, TLSv1.3"


def test_nothing_that_is_told_or_logged_holds_a_password(
    migrate_settings: MigrateSettings,
    database: TestDatabase,
    deadline: Deadline,
    capfd: pytest.CaptureFixture[str],
) -> None:
    database.sql(f"ALTER ROLE {INGEST_ROLE} PASSWORD 'other'")
    answer = examination.answer({}, migrate_settings, deadline)
    written = f"{answer}{capfd.readouterr()}"
    assert "28P01" in written
    assert [secret for secret in (INGEST_PASSWORD, OWNER.password) if secret in written] == []


# Before a deployment


def before(database: TestDatabase) -> Told:
    """Return what the command finds in a database that is to be deployed to, and hold that nothing was changed."""
    server, catalogs = database.server, Migrated._look(database)
    login = f"{OWNER.username}:{quote(OWNER.password)}"
    url = f"postgresql://{login}@{server.host}:{server.port}/{server.database}"
    _, output, errors = run("doctor", "--json", "--database", url)
    assert (errors, Migrated._look(database)) == ("", catalogs)
    return told(json.loads(output))


def test_in_an_empty_database_there_is_nothing_to_do_before_the_first_deployment(empty_database: TestDatabase) -> None:
    assert before(empty_database) == []


def test_of_a_database_that_was_deployed_to_the_keys_are_told(database: TestDatabase) -> None:
    assert before(database) == [
        (
            "keyset",
            "unknown",
            "",
            "The database knows the token keys 1, and the keyset was not at hand to compare.",
        )
    ]


REFUSED = {
    "roles": (f"ALTER ROLE {OWNER.username} NOCREATEROLE", "The owner may make no roles."),
    "no schema": ("DROP SCHEMA public", "There is no schema public."),
    "a schema that is closed": (
        "ALTER SCHEMA public OWNER TO postgres; GRANT USAGE ON SCHEMA public TO PUBLIC",
        "The owner may create nothing in public.",
    ),
    "plpgsql": ("DROP EXTENSION plpgsql", "The language plpgsql is missing."),
}


@pytest.fixture
def as_it_was(any_database: TestDatabase) -> Iterator[None]:
    """Make again what the tests below take away."""
    yield
    any_database.sql("CREATE EXTENSION IF NOT EXISTS plpgsql; CREATE SCHEMA IF NOT EXISTS public")


@pytest.mark.usefixtures("as_it_was")
@pytest.mark.parametrize(("statement", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_what_a_deployment_would_refuse_the_owner_is_told(
    statement: str, sentence: str, empty_database: TestDatabase
) -> None:
    empty_database.sql(statement)
    assert ("owner", "fails", OWNER.username, sentence) in before(empty_database)


def test_a_database_of_another_owner_is_told(empty_database: TestDatabase) -> None:
    empty_database.sql(f"ALTER DATABASE {empty_database.server.database} OWNER TO CURRENT_USER")
    empty_database.sql(f"REVOKE CONNECT ON DATABASE {empty_database.server.database} FROM PUBLIC")
    empty_database.sql(f"GRANT CONNECT ON DATABASE {empty_database.server.database} TO {OWNER.username}")
    try:
        assert ("owner", "fails", OWNER.username, "The owner cannot let the roles connect to the database.") in before(
            empty_database
        )
    finally:
        empty_database.sql(f"GRANT CONNECT ON DATABASE {empty_database.server.database} TO PUBLIC")


def test_a_table_that_the_migrations_to_come_may_still_change_is_no_failure(database: TestDatabase) -> None:
    database.sql("DELETE FROM migration WHERE number = 3; ALTER TABLE orders DROP COLUMN gift")
    found = before(database)
    assert ("schema", "warns", "orders", "Order: the table orders lacks the column gift.") in found
