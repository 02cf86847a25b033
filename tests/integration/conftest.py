"""Every test begins with a database as the migrations leave it, an AWS without memory, and no execution environment."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from sluice.aws import clients
from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.ingest.store import Store
from sluice.migrate import schema
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import DatabaseSettings, VaultSettings
from sluice.vault.sealing import Vault
from streams.user_logins import UserLogin
from tests.foreign import ForeignServer
from tests.integration.databases import (
    LOGINS,
    OWNER,
    ForeignDatabase,
    Migrated,
    TestDatabase,
    connect,
    in_seconds,
    tls_of,
    until,
)
from tests.integration.environment import VAULT_KEY, Environment, OpenStore
from tests.integration.messages import KEYSET
from tools.local.postgres import Postgres
from tools.testing.aws.account import FakeAws


@pytest.fixture
def deadline() -> Deadline:
    return in_seconds(60)


@pytest.fixture
def any_database(server: Postgres) -> Iterator[TestDatabase]:
    """The database as the last test left it, without a connection of a function."""
    with connect(server, server.user, server.password) as owner:
        database = (ForeignDatabase if isinstance(server, ForeignServer) else TestDatabase)(server, owner)
        database.disconnect_all()
        owner.run("SET TimeZone TO 'UTC'; SET default_transaction_read_only TO off")
        yield database


@pytest.fixture
def empty_database(any_database: TestDatabase) -> TestDatabase:
    """The database without any table, function or setting, and without the ingest role."""
    any_database.empty()
    return any_database


@pytest.fixture(scope="session")
def migrated() -> Migrated:
    return Migrated()


@pytest.fixture
def fake_aws(monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    fake = FakeAws()
    monkeypatch.setattr(clients, "client", fake.client)
    for role, login in LOGINS.items():
        fake.secretsmanager.put_credentials(role, login.username, login.password)
    return fake


@pytest.fixture
def database(
    any_database: TestDatabase,
    migrated: Migrated,
    fake_aws: FakeAws,
    deadline: Deadline,
    request: pytest.FixtureRequest,
) -> TestDatabase:
    """The database as the migrations leave it."""
    fake_aws.secretsmanager.put_credentials("owner", OWNER.username, OWNER.password)
    if "empty_database" in request.fixturenames or not migrated.restore(any_database):
        request.getfixturevalue("empty_database")
        connection = Database(any_database.settings("owner"), "sluice-migrate")
        schema.migrate(connection, LOGINS, Keyset.parse(KEYSET), deadline)
        connection.close()
        fake_aws.secretsmanager.reads.clear()
        if isinstance(any_database, ForeignDatabase):
            any_database.take_roles()  # made by the owner just now
        migrated.remember(any_database)
    return any_database


@pytest.fixture
def settings(database: TestDatabase, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set what the template sets for the functions, and return the id of the keyset's secret."""
    keyset_id = f"keyset-{uuid4()}"  # a new one for each test, since a keyset is remembered for five minutes
    fake_aws.secretsmanager.secrets[keyset_id] = KEYSET
    for name, value in {
        "STREAM": "user_logins",
        "DATABASE_HOST": database.server.host,
        "DATABASE_PORT": str(database.server.port),
        "DATABASE_NAME": database.server.database,
        "DATABASE_SECRET_ID": "ingest",
        "DATABASE_TLS": tls_of(database.server),
        "TOKEN_KEY_SECRET_ID": keyset_id,
        "VAULT_KEY_ID": VAULT_KEY,
        "STACK_NAME": "tests",
    }.items():
        monkeypatch.setenv(name, value)
    return keyset_id


@pytest.fixture
def environments(database: TestDatabase, settings: str) -> Iterator[Callable[[], Environment]]:
    """Make execution environments of the ingest function. However they end, none leaves a transaction open."""
    opened: list[Environment] = []

    def make() -> Environment:
        opened.append(Environment("ingest"))
        return opened[-1]

    yield make
    _no_transaction_is_open(database)
    for environment in opened:
        environment.close()


@pytest.fixture
def ingest(environments: Callable[[], Environment]) -> Environment:
    """One execution environment of the ingest function, cold."""
    return environments()


@pytest.fixture
def open_store(database: TestDatabase) -> Iterator[OpenStore]:
    """Open stores of the ingest role, each on a connection of its own. None leaves a transaction open."""
    opened: list[Database] = []

    def make(stream: type[Stream] = UserLogin, settings: DatabaseSettings | None = None) -> Store:
        opened.append(Database(settings or database.settings(), application_name="sluice-test"))
        store = Store(opened[-1], [stream], Vault(VaultSettings(key_id=VAULT_KEY, stack="tests")))
        store._verified = Keyset.parse(KEYSET)  # the database may be one that cannot be asked
        return store

    yield make
    _no_transaction_is_open(database)
    for connection in opened:
        connection.close()


def _no_transaction_is_open(database: TestDatabase) -> None:
    """A session whose client is gone ends by itself, as soon as what it does is done: so this polls."""
    until(lambda: not database.backends("(state <> 'idle' OR backend_xid IS NOT NULL)"))
