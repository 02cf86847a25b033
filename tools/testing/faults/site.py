"""All that the ingest function depends on, for one test: a database of its own, the way to it, AWS."""

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID

import pg8000.native

from sluice.postgres.credentials import Credentials
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import ROLES
from sluice.vault.sealing import DataKey, WrappedDataKey
from streams.user_logins import UserLogin
from tools.local import generator
from tools.testing.aws import http
from tools.testing.aws.account import FakeAws
from tools.testing.faults.aws import FaultyAws, serving
from tools.testing.faults.environment import INVOCATION_SECONDS, Environment
from tools.testing.faults.postgres import FaultyPostgres
from tools.testing.faults.proxy import Proxy, proxy
from tools.testing.faults.queue import QUEUE_ARN, Queue
from tools.testing.invariants import Checker, Finding, Sent
from tools.testing.lambda_context import LambdaContext
from tools.testing.pgbouncer import PgBouncer

KEYSET = json.dumps({"current": 1, "1": "K" * 64})
INGEST_ROLE = "sluice-ingest"
PASSWORD = "not a secret"
STACK = "faults"
BREAKER_PARAMETER = f"/sluice/{STACK}/breaker/user_logins"
MIGRATED = "migrated"  # the database that the others are copies of
SENT_AT = 1_769_903_999_999  # milliseconds: 2026-01-31T23:59:59.999Z


@dataclass
class Site:
    """What a test or the soak can break, and what it uses to look at the outcome."""

    postgres: FaultyPostgres
    database: str
    account: FakeAws
    aws: FaultyAws
    way: Proxy
    folder: Path
    pooler: PgBouncer
    keysets: list[Keyset] = field(default_factory=lambda: [Keyset.parse(KEYSET)])
    _environments: list[Environment] = field(default_factory=list)
    _warm: Environment | None = None
    _lock: Lock = field(default_factory=Lock)

    @property
    def log(self) -> Path:
        """What the functions wrote."""
        return self.folder / "functions.log"

    def environment(self, function: str = "ingest") -> Environment:
        """Start an execution environment of a function, cold."""
        environment = Environment(self._settings(function), self.log)
        with self._lock:
            self._environments.append(environment)
        return environment

    def invoke(self, event: dict[str, Any], seconds: float = INVOCATION_SECONDS) -> dict[str, Any]:
        """Invoke the one environment that is kept warm; a new one where that has ended, as Lambda does."""
        if self._warm is None or not self._warm.runs:
            self._warm = self.environment()
        return self._warm.invoke(event, seconds)

    @property
    def warm(self) -> Environment:
        """The environment that `invoke` uses."""
        assert self._warm
        return self._warm

    def connect(self, user: str = "", password: str = "") -> pg8000.native.Connection:
        """Connect to the database, not through the proxy: as its owner by default."""
        server = self.postgres
        return pg8000.native.Connection(
            user or server.user,
            password=password or server.password,
            host=server.host,
            port=server.port,
            database=self.database,
            timeout=30,  # seconds, for each socket operation
        )

    def sql(self, statement: str, **parameters: object) -> list[list[Any]]:
        with self.connect() as owner:
            return owner.run(statement, **parameters) or []

    def disconnect_all(self) -> None:
        """Have the server end the functions' sessions."""
        self.sql(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'sluice%'"
        )

    def lead_through_pooler(self) -> None:
        """Start the pooler, if need be, and have the functions reach the database through it."""
        if not self.pooler.runs:
            self.pooler.start()
        self.way.target = "127.0.0.1", self.pooler.port
        self.way.cut_all()

    def check(self, *queues: Queue) -> list[Finding]:
        """Return what is not as it must be, of all that was sent to these queues."""
        sent = [message for queue in queues for message in queue.sent]
        dead_letters = [dead for queue in queues for dead in queue.dead_letters()]
        said = [text for queue in queues for text in (*queue.answers, *queue.failures)]
        texts = {"log": self.log.read_text() if self.log.exists() else "", "answers": "\n".join(said)}
        texts["server's log"] = self.postgres.log.read_text()
        with self.connect() as owner:
            return Checker(owner, self.keysets, self._open_data_key).check({UserLogin: sent}, dead_letters, texts)

    def _open_data_key(self, wrapped: WrappedDataKey) -> DataKey:
        context = {"app": "sluice", "purpose": "vault", "stack": STACK}
        kms = self.account.kms
        opened = kms.decrypt(CiphertextBlob=wrapped.wrapped, KeyId=wrapped.kms_key_arn, EncryptionContext=context)
        return DataKey(wrapped, opened["Plaintext"])

    def close(self) -> None:
        for environment in self._environments:
            environment.close()
        self.pooler.stop()

    def _settings(self, function: str) -> Mapping[str, str]:
        port = self.postgres.port if function == "migrate" else self.way.port
        return {
            "FUNCTION": function,
            "STREAM": "user_logins",
            "DATABASE_HOST": self.postgres.host,
            "DATABASE_PORT": str(port),
            "DATABASE_NAME": self.database,
            "DATABASE_SECRET_ID": "owner" if function == "migrate" else "ingest",
            "DATABASE_TLS": "disable",
            "TOKEN_KEY_SECRET_ID": "keyset",
            **{f"{role.upper()}_SECRET_ID": role for role in ROLES},
            "VAULT_KEY_ID": "arn:aws:kms:eu-central-1:000000000000:key/vault",
            "STACK_NAME": STACK,
            "BREAKER_PARAMETER": BREAKER_PARAMETER,
            "POWERTOOLS_SERVICE_NAME": function,
            "POWERTOOLS_METRICS_NAMESPACE": "Sluice",
            "POWERTOOLS_LOG_LEVEL": "DEBUG",  # whatever must not be logged must not be logged at DEBUG
            "AWS_ENDPOINT_URL": self.aws.endpoint_url,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }

    def migrate(self) -> None:
        """Bring the database up to date, as a deployment does."""
        migrate = self.environment("migrate")
        try:
            migrate.invoke({}, 60)
        finally:
            migrate.close()


@contextmanager
def site(postgres: FaultyPostgres, name: str, folder: Path) -> Iterator[Site]:
    """Yield a site with a fresh database of that name, which goes away with it."""
    logins = {role: Credentials(f"sluice-{role}", PASSWORD) for role in ROLES}
    address = postgres.host, postgres.port
    account = FakeAws()
    account.secretsmanager.secrets["keyset"] = KEYSET
    account.secretsmanager.put_credentials("owner", postgres.user, postgres.password)
    for role, login in logins.items():
        account.secretsmanager.put_credentials(role, login.username, login.password)
    pooler = PgBouncer(postgres, postgres.folder / f"pooler-{name}", logins.values())  # a folder of the server's user
    account.mappings.settles_at_once = True
    account.mappings.add("user_logins", function=LambdaContext.invoked_function_arn, queue=QUEUE_ARN)
    with serving(lambda request: http.answer(account, request)) as aws, proxy(address) as way:
        here = Site(postgres, name, account, aws, way, folder, pooler)
        with postgres.connect("postgres") as owner:
            if not owner.run("SELECT FROM pg_database WHERE datname = :name", name=MIGRATED):
                owner.run(f"CREATE DATABASE {MIGRATED}")
                Site(postgres, MIGRATED, account, aws, way, folder, pooler).migrate()
            owner.run(f"CREATE DATABASE {name} TEMPLATE {MIGRATED}")
        try:
            yield here
        finally:
            here.close()
            with postgres.connect("postgres") as owner:
                owner.run(f"DROP DATABASE {name} WITH (FORCE)")


def logins(count: int, seed: int, junk: bool = False) -> list[Sent]:
    """Return generated logins, the same for the same seed; some of them junk where that is wanted."""
    ids = random.Random(seed)
    made = [message for message in generator.messages(count + count // 10, seed) if junk or message.valid][:count]
    return [Sent(new_id(ids), message.body, message.valid, SENT_AT) for message in made]


def new_id(source: random.Random) -> str:
    """Return a message id."""
    return str(UUID(int=source.getrandbits(128), version=4))
