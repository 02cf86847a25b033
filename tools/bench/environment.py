"""What Lambda gives a function: a PostgreSQL with the real schema, streams, secrets, settings."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
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
WITHOUT_VAULT = "without_vault"


@dataclass(frozen=True)
class Place:
    """A running PostgreSQL with Sluice's tables, and the folder that goes away with it."""

    postgres: Postgres
    folder: Path

    @property
    def ingest_url(self) -> str:
        """The database's URL for the role that writes."""
        address = f"{self.postgres.host}:{self.postgres.port}/{self.postgres.database}"
        return f"postgresql://{INGEST_ROLE}:{self.postgres.password}@{address}"

    def connect_as_ingest(self) -> pg8000.native.Connection:
        """Connect as the role that writes, with pg8000's own defaults."""
        return pg8000.native.Connection(
            INGEST_ROLE,
            password=self.postgres.password,
            host=self.postgres.host,
            port=self.postgres.port,
            database=self.postgres.database,
        )


@contextmanager
def place() -> Iterator[Place]:
    """Start PostgreSQL, migrate it and set the environment variables that template.yaml sets."""
    with TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL runs as another user where we are root
        postgres = Postgres(folder / "postgres")
        logins = {"owner": postgres.user} | {role: f"sluice-{role}" for role in ROLES}
        account = FakeAws()
        account.secretsmanager.secrets["keyset"] = json.dumps({"current": 1, "1": "benchmark" * 7})
        for secret_id, username in logins.items():
            account.secretsmanager.put_credentials(secret_id, username, postgres.password)
        with http.serving(account) as endpoint_url:
            postgres.start()
            try:
                os.environ |= _settings(postgres, endpoint_url)
                os.environ["DATABASE_SECRET_ID"] = "owner"
                function("migrate").lambda_handler({}, LambdaContext(function_name="migrate"))
                os.environ["DATABASE_SECRET_ID"] = "ingest"
                yield Place(postgres, folder)
            finally:
                postgres.stop()


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
        "DATABASE_NAME": postgres.database,
        "DATABASE_TLS": "disable",
        "TOKEN_KEY_SECRET_ID": "keyset",
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
