"""A database, its roles and its owner as others have set them: what we depend on is set by us, or refused by name."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from pg8000.native import literal

from sluice.failures import Outage
from sluice.migrate import schema
from sluice.migrate.failures import MigrationFailed
from sluice.postgres.credentials import Credentials
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from tests.field.environments import Functions
from tests.integration.databases import INGEST_PASSWORD, INGEST_ROLE, LOGINS, OWNER, TestDatabase, connect, in_seconds
from tests.integration.messages import KEYSET, event, failures, login, record, row
from tools.local.template import expanded
from tools.project import PROJECT

DEPLOYED = expanded((PROJECT / "deploy" / "database.yaml").read_text())

# Settings that a role may change for itself, each with a value that breaks who depends on it.
SETTINGS = {
    "search_path": "'x'",
    "client_encoding": "'LATIN1'",
    "DateStyle": "'German, DMY'",
    "IntervalStyle": "'sql_standard'",
    "TimeZone": "'Asia/Kathmandu'",
    "bytea_output": "'escape'",
    "array_nulls": "off",
    "standard_conforming_strings": "off",
    "synchronous_commit": "off",
    "exit_on_error": "on",
    "default_transaction_isolation": "'repeatable read'",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "lock_timeout": "1",
    "statement_timeout": "1",
    "transaction_timeout": "50",  # milliseconds, as below; of BEGIN itself nobody can say how long it takes
    "idle_in_transaction_session_timeout": "1",
}
ALL = list(SETTINGS.items())

type Deploy = Callable[..., object]


@pytest.fixture
def deploy(database: TestDatabase) -> Deploy:
    """Deploy once more."""

    def run(roles: dict[str, Credentials] = LOGINS) -> object:
        owner = Database(database.settings("owner"), "sluice-migrate")
        try:
            return schema.migrate(owner, roles, Keyset.parse(KEYSET), in_seconds(60))
        finally:
            owner.close()

    return run


@pytest.fixture
def functions(functions: Functions, database: TestDatabase) -> Iterator[Functions]:
    """All functions, at a database whose own settings last for one test."""
    yield functions
    database.sql(f"ALTER DATABASE {database.server.database} RESET ALL")  # in a session of before it was set


def known(database: TestDatabase) -> list[tuple[str, str]]:
    """Return the settings that this server has: `transaction_timeout` came with PostgreSQL 17."""
    return [(name, value) for name, value in ALL if name != "transaction_timeout" or database.version >= 17]


def skip_unless_known(setting: tuple[str, str], database: TestDatabase) -> None:
    if setting not in known(database):
        pytest.skip(f"PostgreSQL {database.version} has no {setting[0]}")


def as_attacker(database: TestDatabase, role: str, *statements: str) -> None:
    """Run statements with the login of a role."""
    with connect(database.server, LOGINS[role].username, LOGINS[role].password) as session:
        for statement in statements:
            session.run(statement)


@pytest.mark.parametrize("setting", ALL, ids=SETTINGS.keys())
@pytest.mark.parametrize("scope", [pytest.param("database", marks=pytest.mark.long), "role"])
def test_a_setting_changes_nothing(scope: str, setting: tuple[str, str], functions: Functions, deploy: Deploy) -> None:
    name, value = setting
    database = functions.database
    skip_unless_known(setting, database)
    whose = (
        [f"DATABASE {database.server.database}"]
        if scope == "database"
        else [f"ROLE {login.username}" for login in (*LOGINS.values(), OWNER)]
    )
    database.sql("; ".join(f"ALTER {one} SET {name} = {value}" for one in whose))
    functions.do_everything()
    deploy()
    functions.do_everything()


def test_every_deployment_sets_what_a_role_changed_of_itself(functions: Functions, deploy: Deploy) -> None:
    database = functions.database
    settings = known(database)
    changes = [f"ALTER ROLE CURRENT_USER SET {name} = {value}" for name, value in settings]
    here = [
        f"ALTER ROLE CURRENT_USER IN DATABASE {database.server.database} SET {name} = {value}"
        for name, value in settings
    ]
    for role in ("ingest", "reveal"):
        as_attacker(database, role, *changes, *here, "ALTER ROLE CURRENT_USER PASSWORD 'mine'")
    deploy()
    functions.do_everything()
    assert (
        database.sql(
            "SELECT setconfig FROM pg_db_role_setting WHERE setrole::regrole::text = ANY(:roles)"
            " AND (setdatabase = 0 OR setconfig::text LIKE '%Kathmandu%')",
            roles=[login.username for login in LOGINS.values()],
        )
        == []
    )
    with connect(database.server, INGEST_ROLE, INGEST_PASSWORD) as session:
        assert session.run("SHOW synchronous_commit") == [["on"]]
        assert session.run("SHOW search_path") == [["public, pg_temp"]]


def test_a_library_that_a_role_asks_for_is_an_outage_that_names_it_until_the_next_deployment(
    functions: Functions, deploy: Deploy
) -> None:
    as_attacker(functions.database, "ingest", "ALTER ROLE CURRENT_USER SET local_preload_libraries = 'nonsense'")
    ingest = functions.ingest
    with pytest.raises(
        Outage,
        match=r"^database: SQLSTATE 58P01, a library that a setting of the role or the database names is missing$",
    ):
        ingest.invoke(event(record()))
    deploy()
    assert ingest.invoke(event(record())) == failures()


def test_a_read_only_owner_and_database_can_be_migrated(functions: Functions, deploy: Deploy) -> None:
    database = functions.database
    database.sql(
        f"ALTER DATABASE {database.server.database} SET default_transaction_read_only = on;"
        f"ALTER ROLE {OWNER.username} SET default_transaction_read_only = on"
    )
    deploy()


def test_a_hardened_database_lets_the_roles_in(empty_database: TestDatabase, request: pytest.FixtureRequest) -> None:
    name = empty_database.server.database
    empty_database.sql(f"REVOKE ALL ON SCHEMA public FROM PUBLIC; REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    try:
        functions: Functions = request.getfixturevalue("functions")
        functions.do_everything()
    finally:
        empty_database.sql(f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO PUBLIC")


@pytest.mark.parametrize("has_parameters", [False, True], ids=["as PostgreSQL comes", "as deploy/ has it"])
def test_with_the_parameters_of_the_deployed_database_its_log_quotes_no_row(
    has_parameters: bool, functions: Functions
) -> None:
    database, canary = functions.database, f"kn4ry-{has_parameters}"
    given = {"log_min_messages": "warning", "log_min_error_statement": "error", "log_error_verbosity": "default"}
    if has_parameters:
        given = dict(DEPLOYED["Resources"]["ClusterParameters"]["Properties"]["Parameters"])
        del given["rds.force_ssl"]
    for name, value in given.items():
        database.sql(f"ALTER DATABASE {database.server.database} SET {name} = {literal(value)}")
    database.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.locale LIKE 'kn4ry%' THEN RAISE EXCEPTION 'not %', NEW.locale USING ERRCODE = 'check_violation';"
        " END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    refused = record(login(locale=canary))
    assert functions.ingest.invoke(event(refused, record())) == failures(refused)
    assert (canary in database.server.log.read_text()) != has_parameters


# The owner


def skip_unless_admin_is_needed(database: TestDatabase) -> None:
    if database.version < 16:
        pytest.skip(f"in PostgreSQL {database.version} CREATEROLE has a say over every role")


@pytest.mark.own_server("only a superuser takes its say over a role from the owner")
def test_an_owner_without_a_say_over_a_role_is_told_what_to_run(functions: Functions, deploy: Deploy) -> None:
    database = functions.database
    skip_unless_admin_is_needed(database)
    database.sql(f"REVOKE {INGEST_ROLE} FROM {OWNER.username}")  # as an upgrade from PostgreSQL 15 leaves it
    with pytest.raises(MigrationFailed) as failed:
        deploy()
    text, _, statement = str(failed.value).partition(" run: ")
    assert text == (
        f"role {INGEST_ROLE}: the owner may not change it, as after a major upgrade of PostgreSQL; as a superuser"
    )
    database.sql(statement)
    deploy()


def test_an_owner_who_may_make_no_roles_is_told_so(empty_database: TestDatabase, fake_aws: object) -> None:
    empty_database.sql(f"ALTER ROLE {OWNER.username} NOCREATEROLE")
    owner = Database(empty_database.settings("owner"), "sluice-migrate")
    owner._credentials = OWNER
    with pytest.raises(MigrationFailed) as failed:
        schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60))
    owner.close()
    assert str(failed.value).endswith(f'as a superuser run: ALTER ROLE "{OWNER.username}" CREATEROLE')


def test_a_name_that_postgresql_would_cut_off_is_refused_before_anything_is_made(
    empty_database: TestDatabase, fake_aws: object
) -> None:
    long = "s" * 60
    roles = {role: Credentials(f"{long}-{role}", "secret") for role in LOGINS}
    owner = Database(empty_database.settings("owner"), "sluice-migrate")
    owner._credentials = OWNER
    with pytest.raises(MigrationFailed) as failed:
        schema.migrate(owner, roles, Keyset.parse(KEYSET), in_seconds(60))
    owner.close()
    assert str(failed.value) == (
        f"role ingest: its name {long}-ingest is longer than 63 bytes; give the stack a shorter name"
    )
    assert empty_database.sql("SELECT FROM pg_roles WHERE rolname LIKE 'sss%'") == []
    assert empty_database.sql("SELECT FROM pg_tables WHERE schemaname = 'public'") == []


def test_rights_that_a_declaration_no_longer_needs_are_taken_back(functions: Functions, deploy: Deploy) -> None:
    database = functions.database
    rights = (
        "SELECT string_agg(acl::text, ' ' ORDER BY acl::text) FROM ("
        "SELECT unnest(relacl) FROM pg_class WHERE oid = 'user_logins'::regclass UNION ALL"
        " SELECT unnest(attacl) FROM pg_attribute WHERE attrelid = 'user_logins'::regclass) AS a(acl)"
    )
    before = database.value(rights)
    database.sql(
        f"GRANT SELECT (locale), UPDATE (locale), DELETE ON user_logins TO {INGEST_ROLE};"
        f"GRANT UPDATE (app_version), INSERT ON user_logins TO {LOGINS['rekey'].username}"
    )
    assert database.value(rights) != before
    deploy()
    assert database.value(rights) == before


# Encodings

another_database = pytest.mark.own_server("it makes a database of another encoding")


@pytest.fixture
def in_encoding(functions: Functions) -> Iterator[Callable[[str], TestDatabase]]:
    """Deploy to a database of another encoding, and have the functions use it."""
    database = functions.database
    name = "of_another_encoding"

    def make(encoding: str) -> TestDatabase:
        database.sql(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING {literal(encoding)} LOCALE 'C' OWNER {OWNER.username}"
        )
        moved = functions.move_to(name)
        owner = Database(replace(database.settings("owner"), name=name), "sluice-migrate")
        schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60))
        owner.close()
        moved.sql("SET client_encoding = 'UTF8'; SET TimeZone = 'UTC'")
        return moved

    yield make
    functions.close()
    functions.database.owner.close()
    database.sql(f"DROP DATABASE {name} WITH (FORCE)")


@another_database
@pytest.mark.parametrize("encoding", ["LATIN2", "SQL_ASCII", "UTF8"])
def test_what_an_encoding_can_hold_is_stored_as_it_is(
    encoding: str, functions: Functions, in_encoding: Callable[[str], TestDatabase]
) -> None:
    database = in_encoding(encoding)
    sent = record(login(device_type="Łódź"))
    assert functions.ingest.invoke(event(sent)) == failures()
    assert database.rows() == [row(sent)]
    functions.do_everything()


@another_database
def test_what_an_encoding_cannot_hold_is_the_row_s_fault_alone(
    functions: Functions, in_encoding: Callable[[str], TestDatabase]
) -> None:
    database = in_encoding("LATIN1")
    good, bad, other = record(), record(login(device_type="Łódź")), record(login(device_type="Köln"))
    assert functions.ingest.invoke(event(good, bad, other, good)) == failures(bad)
    assert {found["device_type"] for found in database.rows()} == {"android", "Köln"}
    assert [reason for reason, _ in database.rejections().values()] == ["sqlstate_22P05"]


@another_database
def test_sql_ascii_counts_the_bytes_of_utf_8(functions: Functions, in_encoding: Callable[[str], TestDatabase]) -> None:
    in_encoding("SQL_ASCII")
    fits, long = record(login(locale="Ł" * 16)), record(login(locale="Ł" * 17))  # of at most 32 characters
    assert functions.ingest.invoke(event(fits, long)) == failures(long)
    assert functions.database.rejections()[long["messageId"]] == ("sqlstate_22001", "/locale")
