"""What Lambda gives a function: a PostgreSQL with the real schema, streams, secrets, settings."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pg8000.native

import streams
from sluice.settings import ROLES
from tools.local.postgres import Postgres
from tools.project import PROJECT
from tools.testing.aws import http
from tools.testing.aws.account import FakeAws
from tools.testing.lambda_context import LambdaContext

INGEST_ROLE = "sluice-ingest"
STREAMS = Path(__file__).with_name("streams")  # beside those of the product
STREAMS_BY = Path(__file__).with_name("streams_by")  # a folder for each unit of partitions, for the same table
WITHOUT_VAULT = "without_vault"
KEYSET, NEXT_KEYSET = "keyset", "next_keyset"  # secrets: the second one has one token key more, and that is current


@dataclass(frozen=True)
class Place:
    """A database with Sluice's tables on a running PostgreSQL, and the folder that goes away with the server."""

    postgres: Postgres
    folder: Path
    database: str = Postgres.database

    @property
    def ingest_url(self) -> str:
        """The database's URL for the role that writes."""
        return self._url(INGEST_ROLE)

    @property
    def owner_url(self) -> str:
        """The database's URL for its owner."""
        return self._url(self.postgres.user)

    def with_database(self, name: str) -> "Place":
        """Make another database on the same server, migrate it for the next keyset, and return the place with it."""
        with self.postgres.connect() as connection:
            connection.run(f"CREATE DATABASE {name}")
        other = replace(self, database=name)
        other.migrate(NEXT_KEYSET)
        return other

    def migrate(self, keyset: str = KEYSET) -> None:
        """Deploy the database, which remembers the keyset's token keys."""
        self.enter("owner", keyset)
        function("migrate").lambda_handler({}, LambdaContext(function_name="migrate"))
        self.enter("ingest")

    def enter(self, role: str, keyset: str = KEYSET) -> None:
        """Have whoever reads the settings from now on work in this database, in that role and with that keyset."""
        os.environ |= {
            "DATABASE_NAME": self.database,
            "DATABASE_SECRET_ID": role,
            "TOKEN_KEY_SECRET_ID": keyset,
        }

    def connect_as_ingest(self) -> pg8000.native.Connection:
        """Connect as the role that writes, with pg8000's own defaults."""
        return pg8000.native.Connection(
            INGEST_ROLE,
            password=self.postgres.password,
            host=self.postgres.host,
            port=self.postgres.port,
            database=self.database,
        )

    def _url(self, role: str) -> str:
        return f"postgresql://{role}:{self.postgres.password}@{self.postgres.host}:{self.postgres.port}/{self.database}"


@contextmanager
def place() -> Iterator[Place]:
    """Start PostgreSQL, migrate it and set the environment variables that template.yaml sets."""
    with TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL runs as another user where we are root
        postgres = Postgres(folder / "postgres")
        logins = {"owner": postgres.user} | {role: f"sluice-{role}" for role in ROLES}
        account = FakeAws()
        keys = {"1": "benchmark" * 7, "2": "second benchmark" * 4}
        account.secretsmanager.secrets[KEYSET] = json.dumps({"current": 1, "1": keys["1"]})
        account.secretsmanager.secrets[NEXT_KEYSET] = json.dumps({"current": 2, **keys})
        for secret_id, username in logins.items():
            account.secretsmanager.put_credentials(secret_id, username, postgres.password)
        with http.serving(account) as endpoint_url:
            postgres.start()
            try:
                os.environ |= _settings(postgres, endpoint_url)
                here = Place(postgres, folder)
                here.migrate()
                yield here
            finally:
                postgres.stop()


@contextmanager
def partitioned(unit: str | None) -> Iterator[None]:
    """Have the functions that are made meanwhile find the streams whose table has partitions of this unit, too."""
    folders = [str(STREAMS_BY / unit)] if unit else []
    before = list(streams.__path__)
    streams.__path__[:] = [*before, *folders]
    yield
    streams.__path__[:] = before


def function(name: str) -> ModuleType:
    """Import functions/<name>/app.py as Lambda does at a cold start; it finds the benchmark's streams too."""
    if str(STREAMS) not in streams.__path__:
        streams.__path__.append(str(STREAMS))
    spec = spec_from_file_location(f"functions_{name}_app", PROJECT / "functions" / name / "app.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def quiet() -> Iterator[None]:
    """Send what functions log and print to /dev/null, from the first import on: a logger keeps the stdout it finds."""
    with Path(os.devnull).open("w") as null, redirect_stdout(null):
        yield


def _settings(postgres: Postgres, endpoint_url: str) -> dict[str, str]:
    return {
        "STREAM": WITHOUT_VAULT,
        "DATABASE_HOST": postgres.host,
        "DATABASE_PORT": str(postgres.port),
        "DATABASE_TLS": "disable",
        **{f"{role.upper()}_SECRET_ID": role for role in ROLES},
        "VAULT_KEY_ID": "arn:aws:kms:eu-central-1:123456789012:key/vault",
        "STACK_NAME": "bench",
        "POWERTOOLS_SERVICE_NAME": "ingest",
        "POWERTOOLS_METRICS_NAMESPACE": "Sluice",
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
