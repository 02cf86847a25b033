"""The schema's migrations, from an empty database and from every other state in which a deployment may find it."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from pg8000.exceptions import DatabaseError

import streams
from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.migrate import migrations, schema
from sluice.migrate.failures import MigrationFailed
from sluice.migrate.migrations import Versions
from sluice.postgres.credentials import Credentials
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from sluice.vault import erasures
from tests.integration.citus import distributed
from tests.integration.databases import INGEST_PASSWORD, INGEST_ROLE, LOGINS, OWNER, TestDatabase, connect, in_seconds
from tests.integration.environment import VAULT_KEY, Environment
from tests.integration.messages import KEY, KEYSET, event, record
from tests.versions import ANSWER, NEWEST, PRODUCT, STREAMS
from tools.testing.aws.account import FakeAws

ROLES = LOGINS
OURS = [file.name for folder in (PRODUCT, STREAMS) for file in sorted(folder.glob("*.sql"))]
NEXT = f"{NEWEST.streams + 1:04}_next.sql"

type Migrate = Callable[..., Versions]


@pytest.fixture
def migrate(empty_database: TestDatabase, fake_aws: FakeAws) -> Migrate:
    """Migrate on a connection of its own, as a deployment does."""
    fake_aws.secretsmanager.put_credentials("owner", OWNER.username, OWNER.password)

    def run(roles: dict[str, Credentials] = ROLES, keyset: str = KEYSET) -> Versions:
        database = Database(empty_database.settings("owner"), "sluice-migrate")
        try:
            return schema.migrate(database, roles, Keyset.parse(keyset), in_seconds(60))
        finally:
            database.close()

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the streams' migrations, to which a user adds."""
    shutil.copytree(PRODUCT, tmp_path / "sluice" / "migrate" / "sql")
    shutil.copytree(STREAMS, tmp_path / "streams" / "migrations")
    monkeypatch.setattr(migrations, "files", lambda package: tmp_path / package)
    return tmp_path / "streams" / "migrations"


def applied(database: TestDatabase) -> list[str]:
    return [name for (name,) in database.sql("SELECT name FROM migration ORDER BY applied_at, package, number")]


def tables(database: TestDatabase) -> set[str]:
    return {name for (name,) in database.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def test_an_empty_database_gets_every_migration_in_order(empty_database: TestDatabase, migrate: Migrate) -> None:
    assert migrate() == NEWEST
    assert applied(empty_database) == OURS
    assert tables(empty_database) >= {"migration", "rejection", "token_key", "user_logins"}
    assert empty_database.sql("SELECT number, check_value FROM token_key") == [
        [1, Keyset.parse(KEYSET).check_values[1]]
    ]


def test_migrating_twice_changes_nothing(empty_database: TestDatabase, migrate: Migrate) -> None:
    migrate()
    before = empty_database.sql("SELECT number, name, applied_at::text FROM migration ORDER BY number")
    assert migrate() == NEWEST
    assert empty_database.sql("SELECT number, name, applied_at::text FROM migration ORDER BY number") == before


def test_two_deployments_at_once_take_turns(empty_database: TestDatabase, migrate: Migrate) -> None:
    start = Barrier(2)

    def deploy(_: int) -> Versions:
        start.wait()
        return migrate()

    with ThreadPoolExecutor(2) as executor:
        assert list(executor.map(deploy, range(2))) == [NEWEST, NEWEST]
    # In whatever order by time: a transaction has that of its beginning, before it waited for its turn.
    assert sorted(applied(empty_database)) == sorted(OURS)


def test_only_what_is_new_is_applied(empty_database: TestDatabase, migrate: Migrate, folder: Path) -> None:
    migrate()
    (folder / NEXT).write_text('CREATE TABLE next (); GRANT INSERT ON next TO :"ingest";')
    assert migrate() == NEWEST._replace(streams=NEWEST.streams + 1)
    assert applied(empty_database) == [*OURS, NEXT]
    assert empty_database.value("SELECT has_table_privilege(:role, 'next', 'INSERT')", role=INGEST_ROLE) is True


def test_a_schema_newer_than_the_code_is_left_as_it_is(empty_database: TestDatabase, migrate: Migrate) -> None:
    migrate()
    empty_database.sql("INSERT INTO migration (package, number, name) VALUES ('sluice', 9999, '9999_newer.sql')")
    before = tables(empty_database)
    assert migrate() == NEWEST._replace(product=9999)
    assert tables(empty_database) == before


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("CREATE TABLE next ();\n\nCREATE TABEL other ();", ", line 3: SQLSTATE 42601"),
        ("CREATE TABLE next ();\nSELECT 'ä',\n  CAST('kn4ry' AS integer);", ", line 3: SQLSTATE 22P02"),
        ('GRANT INSERT ON rejection TO :"ingest";\nSELECT kn4ry FROM rejection;', ", line 2: SQLSTATE 42703"),
        (
            "CREATE TABLE next (t text CONSTRAINT one UNIQUE); INSERT INTO next VALUES ('kn4ry'), ('kn4ry');",
            ": SQLSTATE 23505, table next, constraint one",
        ),
        ("CREATE TABLE next ();\nDO $$ BEGIN RAISE EXCEPTION 'kn4ry'; END $$;", ": SQLSTATE P0001"),
    ],
    ids=["syntax", "value", "column", "constraint", "raised"],
)
def test_a_migration_that_fails_is_rolled_back_and_named_without_any_value(
    sql: str, reason: str, empty_database: TestDatabase, migrate: Migrate, folder: Path
) -> None:
    (folder / NEXT).write_text(sql)
    with pytest.raises(MigrationFailed) as raised:
        migrate()
    assert str(raised.value) == f"migration {NEXT}{reason}"
    assert applied(empty_database) == OURS
    assert "next" not in tables(empty_database)
    (folder / NEXT).write_text("CREATE TABLE next ();")
    assert migrate() == NEWEST._replace(streams=NEWEST.streams + 1)


OF_SEVERAL = """-- Two; of one table.
ALTER TABLE user_logins ADD COLUMN a text DEFAULT ';'; /* A; B */
ALTER TABLE user_logins ADD COLUMN b text DEFAULT $$;$$;
"""


def test_a_migration_of_several_statements_runs_one_by_one_where_citus_wants_that(
    empty_database: TestDatabase, migrate: Migrate, folder: Path
) -> None:
    migrate()
    (folder / NEXT).write_text(OF_SEVERAL)
    with distributed("user_logins") as codes:
        assert migrate() == NEWEST._replace(streams=NEWEST.streams + 1)
    assert codes == ["42601"]
    assert applied(empty_database) == [*OURS, NEXT]
    added = "SELECT attname::text FROM pg_attribute WHERE attrelid = 'user_logins'::regclass AND attname IN ('a', 'b')"
    assert empty_database.sql(f"{added} ORDER BY attnum") == [["a"], ["b"]]


def test_what_is_wrong_in_one_of_several_statements_has_its_line_and_undoes_all_of_them(
    empty_database: TestDatabase, migrate: Migrate, folder: Path
) -> None:
    migrate()
    (folder / NEXT).write_text(f"{OF_SEVERAL}SELECT kn4ry;")
    with distributed("user_logins"), pytest.raises(MigrationFailed) as raised:
        migrate()
    assert str(raised.value) == f"migration {NEXT}, line 4: SQLSTATE 42703"
    assert applied(empty_database) == OURS
    assert empty_database.sql("SELECT FROM pg_attribute WHERE attname = 'b' AND attnum > 0") == []


def test_two_files_with_one_number_are_refused(empty_database: TestDatabase, migrate: Migrate, folder: Path) -> None:
    (folder / f"{NEWEST.streams:04}_other.sql").write_text("CREATE TABLE other ();")
    with pytest.raises(MigrationFailed, match=rf"^migrations: two files of streams have the number {NEWEST.streams}$"):
        migrate()
    assert applied(empty_database) == []


def test_the_products_migrations_need_no_stream_and_touch_no_streams_table(
    empty_database: TestDatabase, folder: Path, monkeypatch: pytest.MonkeyPatch, migrate: Migrate
) -> None:
    of_streams = re.findall(r"CREATE TABLE (\w+)", "".join(file.read_text() for file in STREAMS.glob("*.sql")))
    product = "".join(file.read_text() for file in PRODUCT.glob("*.sql"))
    assert of_streams == ["user_logins", "orders"]
    assert [table for table in of_streams if re.search(rf"\b{table}\b", product)] == []
    shutil.rmtree(folder)
    monkeypatch.setattr(streams, "__path__", [])
    assert migrate() == NEWEST._replace(streams=0)


def test_tables_in_another_schema_are_not_left_behind(empty_database: TestDatabase, migrate: Migrate) -> None:
    migrate()
    empty_database.sql("ALTER SCHEMA public RENAME TO mine; CREATE SCHEMA public AUTHORIZATION pg_database_owner")
    with pytest.raises(MigrationFailed, match=r"^database: Sluice's tables are in the schema mine; move them"):
        migrate()
    empty_database.sql("DROP SCHEMA mine CASCADE")


# Roles


def test_the_password_of_the_secret_works_and_the_server_has_seen_its_verifier_alone(
    empty_database: TestDatabase, migrate: Migrate
) -> None:
    database = empty_database.server.database
    empty_database.sql(f"ALTER DATABASE {database} SET log_statement TO 'all'")
    password = "päss'wörd\\ €"
    migrate(LOGINS | {"ingest": Credentials(INGEST_ROLE, password)})
    with connect(empty_database.server, INGEST_ROLE, password) as role:
        assert role.run("SELECT current_user") == [[INGEST_ROLE]]
    with pytest.raises(DatabaseError, match="28P01"):
        connect(empty_database.server, INGEST_ROLE, "another")
    log = empty_database.server.log.read_text("utf-8")
    assert f'ALTER ROLE "{INGEST_ROLE}" PASSWORD \'SCRAM-SHA-256$4096:' in log
    assert "päss" not in log


@pytest.mark.directly("a pooler tells otherwise of a login that is refused")
def test_a_new_password_in_the_secret_is_set_with_the_next_deployment(
    empty_database: TestDatabase, migrate: Migrate
) -> None:
    migrate()
    migrate(LOGINS | {"ingest": Credentials(INGEST_ROLE, "another")})
    connect(empty_database.server, INGEST_ROLE, "another").close()
    with pytest.raises(DatabaseError, match="28P01"):
        connect(empty_database.server, INGEST_ROLE, INGEST_PASSWORD)


# The keyset


OTHER = json.dumps({"current": 1, "1": "R" * 64})
MADE_WITH_A_KEYSET = {
    "user_logins": "INSERT INTO user_logins (user_id, device_type, masked_ip, masked_device_id, app_version,"
    " app_version_text, sent_at, message_id) VALUES ('', '', '', '', 1, '', now(), gen_random_uuid())",
    "pii_vault": "INSERT INTO pii_vault VALUES ('t1_', 'ip', gen_random_uuid(), '')",
    "pii_vault_key": "INSERT INTO pii_vault_key VALUES (gen_random_uuid(), '', '')",
    "erasure": "INSERT INTO erasure VALUES ('t1_', now())",
    "erased_value": "INSERT INTO erased_value VALUES ('t1_', 'ip')",
    "rekeyed_token": "INSERT INTO rekeyed_token VALUES ('t1_', 't2_')",
    "rekeying": "INSERT INTO rekeying VALUES (1, 'map', 'pii_vault', NULL, now(), 0, 0)",
    "audit_log": "SELECT audit_append('me', 'reveal', 'test', 'T-1', NULL, '{t1_}', '{}')",
    '"Retired"': 'CREATE TABLE "Retired" (token text); ALTER TABLE "Retired" OWNER TO owner_of_tests;'
    ' GRANT INSERT (token) ON "Retired" TO ingest_of_tests; INSERT INTO "Retired"'
    " VALUES ('t1_')",  # of a stream that is no longer declared
}


def remembered(database: TestDatabase) -> dict[int, bytes]:
    return dict(database.sql("SELECT number, check_value FROM token_key"))


def test_a_database_without_tokens_takes_another_keyset(empty_database: TestDatabase, migrate: Migrate) -> None:
    migrate(keyset=json.dumps({"current": 2, "1": KEY, "2": "L" * 64}))
    empty_database.sql(
        "INSERT INTO rejection VALUES (gen_random_uuid(), 'user_logins', 'missing', '/ip', '{}');"
        " INSERT INTO operation VALUES (gen_random_uuid());"
        " INSERT INTO batch (id, stream, request_id) VALUES (1, 'user_logins', '');"
        " CREATE TABLE somebody_elses AS SELECT 1 AS a"
    )
    migrate(keyset=OTHER)
    assert remembered(empty_database) == Keyset.parse(OTHER).check_values


@pytest.mark.parametrize("table", MADE_WITH_A_KEYSET)
def test_a_database_in_which_anything_can_be_a_token_takes_no_other_keyset(
    table: str, empty_database: TestDatabase, migrate: Migrate
) -> None:
    migrate()
    empty_database.sql(MADE_WITH_A_KEYSET[table])
    with pytest.raises(MigrationFailed) as raised:
        migrate(keyset=OTHER)
    assert str(raised.value) == (
        f"keyset: key 1 is not the one that made the tokens of this database: {table} has rows; restore the keyset,"
        " or deploy to an empty database"
    )
    assert remembered(empty_database) == Keyset.parse(KEYSET).check_values


def test_no_table_of_the_product_is_left_out(empty_database: TestDatabase, migrate: Migrate) -> None:
    migrate()
    without_tokens = {"batch", "declaration", "migration", "operation", "rejection", "removal", "token_key"}
    without_tokens |= {"partitioning", "pii_vault_shared"}  # the latter is a partition of the vault
    assert tables(empty_database) - {"orders"} <= {*MADE_WITH_A_KEYSET} | without_tokens


@pytest.mark.parametrize("lock", [f"SELECT pg_advisory_xact_lock_shared({erasures.LOCK})", "SELECT FROM token_key"])
def test_another_keyset_waits_for_those_who_have_compared_theirs_and_are_still_to_write(
    lock: str, empty_database: TestDatabase, migrate: Migrate
) -> None:
    migrate()
    with ThreadPoolExecutor(1) as executor, empty_database.second_session() as writer:
        writer.run(f"BEGIN; {lock}")
        migrated = executor.submit(migrate, keyset=OTHER)
        empty_database.one_waits()
        writer.run(f"{MADE_WITH_A_KEYSET['user_logins']}; COMMIT")
        with pytest.raises(MigrationFailed, match="user_logins has rows"):
            migrated.result()


def test_an_environment_with_the_keyset_of_before_writes_nothing_more(
    empty_database: TestDatabase, settings_of_migrate: None, migrate: Migrate, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate()
    monkeypatch.setenv("DATABASE_SECRET_ID", "ingest")
    ingest = Environment("ingest")
    ingest.invoke(event(record("junk")))  # now it has compared its keyset, and does not for five minutes
    migrate(keyset=OTHER)
    with pytest.raises(Outage, match=r"^keyset: key 1 is not the key that this database knows$"):
        ingest.invoke(event(record()))
    ingest.close()
    assert empty_database.rows() == []


def test_a_key_that_is_added_is_remembered_beside_the_others(empty_database: TestDatabase, migrate: Migrate) -> None:
    migrate()
    longer = Keyset.parse(json.dumps({"current": 2, "1": KEY, "2": "L" * 64}))
    migrate(keyset=json.dumps({"current": 2, "1": KEY, "2": "L" * 64}))
    assert dict(empty_database.sql("SELECT number, check_value FROM token_key")) == longer.check_values


def test_a_keyset_from_before_a_key_was_added_is_refused(empty_database: TestDatabase, migrate: Migrate) -> None:
    migrate(keyset=json.dumps({"current": 2, "1": KEY, "2": "L" * 64}))
    empty_database.sql(MADE_WITH_A_KEYSET["erasure"])
    with pytest.raises(MigrationFailed, match=r"^keyset: key 2 is missing: erasure has rows; restore the keyset, or"):
        migrate(keyset=json.dumps({"current": 1, "1": KEY}))


# The function


@pytest.fixture
def migrate_function(empty_database: TestDatabase, settings_of_migrate: None) -> Iterator[Environment]:
    environment = Environment("migrate")
    yield environment
    environment.close()


def test_roles_that_log_in_by_iam_are_members_of_rds_iam_until_they_have_passwords_again(
    empty_database: TestDatabase, fake_aws: FakeAws, deadline: Deadline
) -> None:
    options = "ADMIN OPTION, INHERIT FALSE" if empty_database.version >= 16 else "ADMIN OPTION"
    empty_database.sql(f"CREATE ROLE rds_iam; GRANT rds_iam TO {OWNER.username} WITH {options}")
    fake_aws.secretsmanager.put_credentials("owner", OWNER.username, OWNER.password)
    owner = Database(empty_database.settings("owner"), "sluice-migrate")
    members = (
        "SELECT count(*) FROM pg_auth_members WHERE roleid = 'rds_iam'::regrole AND member <> 'owner_of_tests'::regrole"
    )
    try:
        for login_by_iam in (True, True, False):
            schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), deadline, login_by_iam)
            assert empty_database.value(members) == (len(LOGINS) if login_by_iam else 0)
    finally:
        owner.close()
        empty_database.sql("DROP ROLE rds_iam")


@pytest.fixture
def settings_of_migrate(
    empty_database: TestDatabase, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manager = fake_aws.secretsmanager
    manager.put_credentials("owner", OWNER.username, OWNER.password)
    manager.secrets[str(tmp_path)] = KEYSET
    for name, value in {
        "DATABASE_HOST": empty_database.server.host,
        "DATABASE_PORT": str(empty_database.server.port),
        "DATABASE_NAME": empty_database.server.database,
        "DATABASE_SECRET_ID": "owner",
        "DATABASE_TLS": "disable",
        **{f"{role.upper()}_SECRET_ID": role for role in LOGINS},
        "VAULT_KEY_ID": VAULT_KEY,
        "STACK_NAME": "tests",
        "TOKEN_KEY_SECRET_ID": str(tmp_path),
        "STREAM": "user_logins",
    }.items():
        monkeypatch.setenv(name, value)


def test_what_the_migrate_function_made_the_ingest_function_can_use(
    empty_database: TestDatabase, migrate_function: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert migrate_function.invoke({}) == ANSWER
    monkeypatch.setenv("DATABASE_SECRET_ID", "ingest")
    ingest = Environment("ingest")
    assert ingest.invoke(event(record())) == {"batchItemFailures": []}
    ingest.close()
    assert len(empty_database.rows()) == 1


def test_without_migrations_ingesting_is_an_outage(empty_database: TestDatabase, settings_of_migrate: None) -> None:
    ingest = Environment("ingest")
    with pytest.raises(Outage, match=r"^database: SQLSTATE 42P01$"):
        ingest.invoke(event(record()))
    ingest.close()


@pytest.mark.parametrize("is_broken", [False, True], ids=["sound", "broken"])
def test_cloudformation_hears_how_the_migration_ended(
    is_broken: bool,
    empty_database: TestDatabase,
    migrate_function: Environment,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[bytes] = []
    monkeypatch.setattr("sluice.migrate.custom_resource.urlopen", lambda request, timeout: _Sent(answers, request.data))
    if is_broken:
        (folder / NEXT).write_text("\nSELECT CAST('kn4ry' AS integer);")
    migrate_function.invoke({"RequestType": "Update", "ResponseURL": "http://cloudformation/answer", "RequestId": "r"})
    assert [json.loads(answer) for answer in answers] == [
        {
            "Status": "FAILED" if is_broken else "SUCCESS",
            "Reason": f"migration {NEXT}, line 2: SQLSTATE 22P02" if is_broken else "",
            "PhysicalResourceId": "sluice-schema",
            "StackId": "",
            "RequestId": "r",
            "LogicalResourceId": "",
            "Data": {} if is_broken else ANSWER,
        }
    ]


class _Sent:
    """What `urlopen` returns."""

    def __init__(self, answers: list[bytes], answer: bytes) -> None:
        answers.append(answer)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...
