"""A stream goes by its module's name everywhere but in SQL: here its table has another name, and another schema."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest

import streams
from sluice import telemetry
from sluice.aws import clients
from sluice.breaker.record import parameter
from sluice.failures import Outage
from sluice.migrate import schema
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import INGEST_ROLE, LOGINS, OWNER, TestDatabase, in_seconds
from tests.integration.environment import Environment
from tests.integration.messages import KEYSET, QUEUE_ARN, event, failures, record, token
from tools.testing.aws.account import FakeAws
from tools.testing.aws.mappings import FakeMappings
from tools.testing.aws.sqs import DEAD, QUEUE, FakeSqs
from tools.testing.aws.ssm import FakeParameters
from tools.testing.lambda_context import LambdaContext

NAME, TABLE = "sign_ins", "crm.sessions"
CALLER = "arn:aws:sts::000000000000:assumed-role/operations/ann"
WHY = {"reason": "operations", "ticket": "OPS-1"}
DECLARATION = f"""
from typing import Annotated
from sluice import Email, Pseudonym, Stream, Text

class SignIn(Stream, table="{TABLE}", subject="person"):
    person: Annotated[str, Text(max=32)]
    email: Annotated[str, Email(), Pseudonym(recoverable=True)]
"""
SQL = f"""
CREATE SCHEMA crm;
CREATE TABLE {TABLE} (
    person varchar(32) NOT NULL, email varchar(256) NOT NULL, sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY
)
"""
ADA = {"person": "ada", "email": "ada@example.com"}
EMAIL = token("email", ADA["email"])


@pytest.fixture
def named(database: TestDatabase, settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stream, declared and deployed, as the one of the ingest function."""
    (tmp_path / f"{NAME}.py").write_text(DECLARATION)
    monkeypatch.setattr(streams, "__path__", [*streams.__path__, str(tmp_path)])
    invalidate_caches()
    database.sql(f"{SQL}; ALTER SCHEMA crm OWNER TO {OWNER.username}; ALTER TABLE {TABLE} OWNER TO {OWNER.username}")
    owner = Database(database.settings("owner"), "sluice-migrate")
    schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60))
    owner.close()
    monkeypatch.setenv("STREAM", NAME)
    yield
    database.sql("DROP SCHEMA crm CASCADE")
    del sys.modules[f"streams.{NAME}"]


@pytest.fixture
def ingest(named: None, environments: Callable[[], Environment]) -> Environment:
    return environments()


@pytest.fixture
def call(
    settings: str, named: None, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Call the function of an operator by its URL, and return what it answers."""
    opened: list[Environment] = []
    monkeypatch.setenv("DAILY_LIMIT", "1000")
    fake_aws.ssm.name_queues("tests", NAME, QUEUE, DEAD)

    def call(function: str, **request: object) -> Any:
        opened.append(Environment(function))
        with monkeypatch.context() as patch:
            patch.setenv("DATABASE_SECRET_ID", function)
            authorizer = {"iam": {"userArn": CALLER}}
            response = opened[-1].invoke({"requestContext": {"authorizer": authorizer}, "body": json.dumps(request)})
        assert response["statusCode"] == 200, response
        return json.loads(response["body"])

    yield call
    for environment in opened:
        environment._app._database().close()


def test_metrics_logs_and_rejections_have_the_name_and_rows_the_table(
    ingest: Environment,
    database: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", log)
    good, bad = record(ADA), record({"person": "bob", "email": "bob"})
    assert ingest.invoke(event(good, bad)) == failures(bad)
    assert [row["person"] for row in database.rows(TABLE)] == ["ada"]
    assert [(row["stream"], row["message_id"]) for row in database.rows("rejection")] == [(NAME, bad["messageId"])]
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert {metric.get("stream") for metric in metrics} == {NAME}
    rejected = [json.loads(line) for line in log.getvalue().splitlines() if "record rejected" in line]
    assert [line["stream"] for line in rejected] == [NAME]
    assert TABLE not in log.getvalue()


def test_the_breaker_opens_and_closes_by_the_name(
    ingest: Environment, database: TestDatabase, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    mappings, parameters = FakeMappings(), FakeParameters()
    mapping = mappings.mappings[mappings.add(NAME, function=LambdaContext.invoked_function_arn, queue=QUEUE_ARN)]
    switches = {"lambda": mappings, "ssm": parameters}
    monkeypatch.setattr(clients, "client", lambda service: switches.get(service) or fake_aws.client(service))
    monkeypatch.setenv("BREAKER_PARAMETER", parameter("tests", "breaker", NAME))
    ticking = Environment("breaker")
    database.sql(f"REVOKE INSERT ON {TABLE} FROM {INGEST_ROLE}")
    with pytest.raises(Outage, match=r"^database: SQLSTATE 42501"):
        ingest.invoke(event(record(ADA)))
    (text,) = parameters.texts.values()
    assert json.loads(text)["stream"] == NAME
    mappings.settle()
    assert ticking.invoke({}) == {NAME: "open"}
    database.sql(f"GRANT INSERT ON {TABLE} TO {INGEST_ROLE}")
    assert ticking.invoke({}) == {NAME: "half_open"}
    assert mapping["State"] == "Enabling"
    assert database.rows(TABLE) == []  # what the probe wrote is rolled back


def test_a_dead_letter_tells_why_it_is_one_and_is_redriven_by_the_name(
    ingest: Environment, call: Callable[..., Any], fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs = FakeSqs()
    monkeypatch.setattr(fake_aws, "sqs", sqs)
    bad = record({"person": "bob", "email": "bob"}, message_id=sqs.put('{"person": "bob", "email": "bob"}'))
    assert ingest.invoke(event(bad)) == failures(bad)
    (letter,) = call("dead_letters", action="list", stream=NAME)["letters"]
    assert (letter["reason"], letter["pointer"]) == ("not_an_email_address", "/email")
    answer = call("dead_letters", action="redrive", stream=NAME, **WHY)
    assert answer["failing"] == {"not_an_email_address": 1}


def test_a_value_is_revealed_and_a_person_forgotten_by_the_name(
    ingest: Environment, call: Callable[..., Any], database: TestDatabase
) -> None:
    assert ingest.invoke(event(record(ADA))) == failures()
    assert call("reveal", tokens=[EMAIL], **WHY)["values"] == [
        {"token": EMAIL, "domain": "email", "value": "ada@example.com"}
    ]
    answer = call("forget", action="forget", subject="ada", **WHY)
    assert answer["rows"] == {NAME: 1, "orders": 0, "user_logins": 0}
    assert database.rows(TABLE) == []


def test_tokens_are_brought_to_a_new_key(
    ingest: Environment, call: Callable[..., Any], database: TestDatabase, settings: str, fake_aws: FakeAws
) -> None:
    assert ingest.invoke(event(record(ADA))) == failures()
    assert call("rekey", action="add_key", **WHY) == {"current": 2, "keys": 2}
    answer = call("rekey", action="rekey", **WHY)
    assert answer["step"] == "wait"
    (row,) = database.rows(TABLE)
    newest = Keyset.parse(fake_aws.secretsmanager.secrets[settings])
    assert row["email"] == newest.pseudonymizer("email")(ADA["email"])
