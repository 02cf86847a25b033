"""A stream of a test's own, which is declared and deployed while the test runs, and its dead letters."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import invalidate_caches, reload
from pathlib import Path
from typing import Any

import pytest

import streams
from sluice.declaration import registry
from sluice.migrate import schema
from sluice.operators.dead_letters import listing, redrive, worker
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import LOGINS, OWNER, TestDatabase, in_seconds
from tests.integration.environment import Environment
from tests.integration.messages import KEYSET
from tools.testing.aws.account import FakeAws
from tools.testing.aws.sqs import DEAD, QUEUE, FakeSqs

CALLER = "arn:aws:sts::000000000000:assumed-role/operations/ann"


@contextmanager
def deployed(
    name: str, declaration: str, sql: str, database: TestDatabase, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """Deploy a stream as that of the ingest function; its table has its name. Give the function that changes it."""
    path = folder / f"{name}.py"
    path.write_text(declaration)
    monkeypatch.setattr(streams, "__path__", [*streams.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, f"streams.{name}", raising=False)  # of another test
    invalidate_caches()
    database.sql(f"{sql}; ALTER TABLE {name} OWNER TO {OWNER.username}")
    owner = Database(database.settings("owner"), "sluice-migrate")
    try:
        schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60))
    finally:
        owner.close()
    monkeypatch.setenv("STREAM", name)

    def change(old: str, new: str) -> None:
        path.write_text(declaration.replace(old, f"{new}"))
        reload(sys.modules[registry.load(name).__module__])

    yield change
    sys.modules.pop(f"streams.{name}", None)


def queues_of(name: str, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> FakeSqs:
    """Return an SQS that has the stream's queues, and a clock of its own."""
    sqs = FakeSqs()
    monkeypatch.setattr(fake_aws, "sqs", sqs)
    for module in (listing, redrive, worker):
        monkeypatch.setattr(module, "time", sqs.clock)
    fake_aws.ssm.name_queues("tests", name, QUEUE, DEAD)
    return sqs


def call(**request: object) -> dict[str, Any]:
    """Call the function of the dead letters, in a new environment."""
    environment = Environment("dead_letters")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_SECRET_ID", "dead_letters")
        authorizer = {"iam": {"userArn": CALLER}}
        response = environment.invoke({"requestContext": {"authorizer": authorizer}, "body": json.dumps(request)}, 60)
    environment._app._database().close()
    assert response["statusCode"] == 200, response
    answer: dict[str, Any] = json.loads(response["body"])
    return answer
