"""Fixtures of the unit tests: no network but this machine's own, no database."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from importlib.util import module_from_spec, spec_from_file_location
from io import StringIO
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest

# Before sluice is imported: Powertools reads them when logger and metrics are made.
os.environ |= {"POWERTOOLS_SERVICE_NAME": "ingest", "POWERTOOLS_METRICS_NAMESPACE": "Sluice"}
os.environ |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

import streams
from sluice import telemetry
from sluice.aws.clients import client
from sluice.ingest import visibility
from sluice.pseudonyms import keyset_secret
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import ROLES
from tests.unit.fakes import KEYSET, ROOT, FakePostgres, http_server
from tests.unit.operators import FakeDeployment
from tools.sluice_cli.authors import space
from tools.testing.aws import http
from tools.testing.aws.account import FakeAws
from tools.testing.http_server import serving


@pytest.fixture
def keyset() -> Keyset:
    return Keyset.parse(KEYSET)


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Return the function that returns what was logged and printed since the last call."""
    log = StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", log)  # it keeps the stdout of its import

    def read() -> str:
        logged, captured = log.getvalue(), capsys.readouterr()
        log.seek(0)
        log.truncate()
        return logged + captured.out + captured.err

    return read


@pytest.fixture(scope="module")
def aws_accounts() -> Iterator[list[FakeAws]]:
    """Serve the last of a list of fakes: boto3's clients are slow to make, so they are made once for many tests."""
    accounts: list[FakeAws] = []
    client.cache_clear()
    with serving(lambda request: http.answer(accounts[-1], request)) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("AWS_PROFILE", raising=False)
            patch.setenv("AWS_ENDPOINT_URL", url)
            patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            for service in ("secretsmanager", "kms", "sqs"):
                client(service)
        yield accounts
    client.cache_clear()


@pytest.fixture
def aws(aws_accounts: list[FakeAws]) -> FakeAws:
    """Return an account with keyset and logins, of which nobody has asked anything yet."""
    keyset_secret._recent.cache_clear()
    visibility.queue_url.cache_clear()
    account = FakeAws()
    account.secretsmanager.secrets["keyset"] = KEYSET
    for login in ("login", "owner"):
        account.secretsmanager.put_credentials(login, "sluice-ingest", "secret-password")
    aws_accounts.append(account)
    return account


@pytest.fixture
def postgres(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePostgres]:
    """Return the database to which every connection leads."""
    fake = FakePostgres()
    monkeypatch.setattr("sluice.postgres.database.Connection", fake.connect)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("DATABASE_HOST", "127.0.0.1")
        monkeypatch.setenv("DATABASE_PORT", str(listening.getsockname()[1]))
        yield fake
        if fake.connections:
            fake.close()


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeDeployment]:
    """Return the deployment that the operators' commands call; the demo has kept none."""
    fake = FakeDeployment()
    monkeypatch.setattr("tools.sluice_cli.kept.KEPT", tmp_path / "stack.json")
    with http_server(fake.respond) as url:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "SLUICE_STACK"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "ours",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }.items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture
def hashing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock by which 1,000 hashes take 0.05 s: to measure the rate takes no time."""
    monkeypatch.setattr(space, "process_time", count(0, 0.05).__next__)


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Return the function that declares a stream by its module's name and text; there are no others."""
    folder = tmp_path / "streams"
    folder.mkdir()
    monkeypatch.setattr(streams, "__path__", [str(folder)])
    for name in [name for name in sys.modules if name.startswith("streams.")]:
        monkeypatch.delitem(sys.modules, name)

    def declare(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(text)
        invalidate_caches()

    yield declare
    for name in [name for name in sys.modules if name.startswith("streams.")]:
        del sys.modules[name]


@pytest.fixture
def ingest(aws: FakeAws, postgres: FakePostgres, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return functions/ingest/app.py as a new execution environment imports it."""
    return _load("ingest", monkeypatch, STREAM="user_logins", DATABASE_SECRET_ID="login")


@pytest.fixture
def migrate(aws: FakeAws, postgres: FakePostgres, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return functions/migrate/app.py as a new execution environment imports it."""
    logins = {f"{role.upper()}_SECRET_ID": "login" for role in ROLES}
    return _load("migrate", monkeypatch, DATABASE_SECRET_ID="owner", **logins)


def _load(function: str, monkeypatch: pytest.MonkeyPatch, **environment: str) -> ModuleType:
    shared = {"DATABASE_NAME": "sluice", "DATABASE_TLS": "disable", "TOKEN_KEY_SECRET_ID": "keyset"}
    shared |= {"VAULT_KEY_ID": "arn:aws:kms:eu-central-1:123456789012:key/vault", "STACK_NAME": "tests"}
    shared |= {"POWERTOOLS_LOGGER_LOG_EVENT": "true"}  # to no avail: events hold personal data
    for name, value in (shared | environment).items():
        monkeypatch.setenv(name, value)
    spec = spec_from_file_location(f"functions_{function}_app", ROOT / "functions" / function / "app.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
