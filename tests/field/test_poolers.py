"""Through PgBouncer in its default settings, in transaction mode: everything works, whatever sessions it gives us."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from sluice.migrate import schema
from sluice.migrate.doctor import examination
from sluice.migrate.doctor.subject import Subject
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from tests.field.environments import Functions
from tests.field.test_database_settings import ALL, SETTINGS, skip_unless_known
from tests.integration.databases import LOGINS, OWNER, TestDatabase, in_seconds
from tests.integration.messages import KEYSET, event, failures, record
from tests.versions import NEWEST
from tools.testing import pgbouncer
from tools.testing.aws.account import FakeAws
from tools.testing.pgbouncer import PgBouncer

pytestmark = [
    pytest.mark.skipif(not pgbouncer.is_installed(), reason="there is no PgBouncer: make pgbouncer"),
    pytest.mark.own_server("it puts a pooler of its own before the server"),
]

LOGGED_IN = (*LOGINS.values(), OWNER)


@pytest.fixture
def pooler(any_database: TestDatabase) -> Iterator[PgBouncer]:
    folder = Path(tempfile.mkdtemp(prefix="sluice-"))
    pooler = PgBouncer(any_database.server, folder, LOGGED_IN)
    pooler.start()
    try:
        yield pooler
    finally:
        pooler.stop()
        rmtree(folder)


@pytest.fixture
def functions(
    database: TestDatabase, pooler: PgBouncer, fake_aws: FakeAws, settings: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Functions]:
    """All functions, whose way to the database leads through the pooler."""
    monkeypatch.setenv("DATABASE_PORT", str(pooler.port))
    functions = Functions(database, fake_aws, monkeypatch)
    yield functions
    functions.close()


def deploy(pooler: PgBouncer, database: TestDatabase) -> object:
    """Migrate through the pooler."""
    owner = Database(replace(database.settings("owner"), port=pooler.port), "sluice-migrate")
    owner._credentials = OWNER
    try:
        return schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60))
    finally:
        owner.close()


def as_others(pooler: PgBouncer, database: TestDatabase, *statements: str) -> None:
    """Run statements with each login, as another client of the pooler: what they set stays in the session."""
    for login in LOGGED_IN:
        with Connection(
            login.username,
            password=login.password,
            host="127.0.0.1",
            port=pooler.port,
            database=database.server.database,
            ssl_context=False,
            timeout=30,
        ) as session:
            for statement in statements:
                session.run(statement)


def test_an_empty_database_is_migrated_and_everything_works(
    empty_database: TestDatabase, pooler: PgBouncer, request: pytest.FixtureRequest
) -> None:
    assert deploy(pooler, empty_database) == NEWEST
    functions: Functions = request.getfixturevalue("functions")
    functions.do_everything()
    functions.do_everything()
    assert deploy(pooler, empty_database) == NEWEST


@pytest.mark.long
@pytest.mark.parametrize("setting", ALL, ids=SETTINGS.keys())
def test_what_another_client_has_set_in_a_session_changes_nothing(
    setting: tuple[str, str], functions: Functions, pooler: PgBouncer
) -> None:
    name, value = setting
    skip_unless_known(setting, functions.database)
    as_others(pooler, functions.database, f"SET {name} = {value}")
    functions.do_everything()
    deploy(pooler, functions.database)
    functions.do_everything()


def test_a_startup_parameter_is_refused_by_it(pooler: PgBouncer, database: TestDatabase) -> None:
    """So we send none: this holds that the pooler of these tests is as strict as one that nobody has configured."""
    login = LOGINS["ingest"]
    with pytest.raises(DatabaseError, match="08P01"):
        Connection(
            login.username,
            password=login.password,
            host="127.0.0.1",
            port=pooler.port,
            database=database.server.database,
            ssl_context=False,
            startup_params={"statement_timeout": "1000"},
        )


def test_a_pooler_that_is_restarted_between_two_batches_costs_no_batch(functions: Functions, pooler: PgBouncer) -> None:
    ingest = functions.ingest
    assert ingest.invoke(event(record())) == failures()
    pooler.stop()
    pooler.start()
    assert ingest.invoke(event(record())) == failures()
    assert len(functions.database.rows()) == 2


def test_the_doctor_tells_of_it(functions: Functions, pooler: PgBouncer) -> None:
    settings = replace(functions.database.settings("owner"), port=pooler.port)
    subject = Subject(settings, [], {role: login.username for role, login in LOGINS.items()}, 20)
    owner = Database(settings, "sluice-doctor")
    found = examination.examine(owner, subject, in_seconds(60))
    owner.close()
    assert found[0].sentence.endswith(", through a pooler")
    assert [finding for finding in found if finding.severity in ("fails", "warns")] == []


def test_two_clients_share_one_session(
    functions: Functions, pooler: PgBouncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = functions.database
    first, second = functions.ingest, Functions(database, functions.fake_aws, monkeypatch)
    for _ in range(3):
        for ingest in (first, second.ingest):
            assert ingest.invoke(event(record())) == failures()
    second.close()
    assert len(database.rows()) == 6
    assert database.value("SELECT count(*) FROM pg_stat_activity WHERE usename = :role", role="ingest_of_tests") == 1
