"""What operators do works over partitions: erasure, reveal, a new key, dead letters, and the breaker's probe."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from sluice.breaker import probe
from sluice.declaration import registry
from sluice.operators.rekey import token_tables
from sluice.operators.rekey.rekeyer import Rekeyer
from sluice.postgres.database import Database
from sluice.settings import BreakerSettings
from tests.integration import own_stream
from tests.integration.databases import TestDatabase, in_seconds
from tests.integration.environment import Environment
from tests.integration.erasing import Forgetting, forget_function
from tests.integration.messages import event, failures, numbered, token
from tests.integration.partitioned import BY_TIME, DECLARATION, NAME, call, days_ago, milliseconds
from tests.integration.rekeying import ENTRY, NEW, secret_text
from tools.testing.aws.account import FakeAws

MONTHS = 5
IP = token("ip", "192.0.2.1")


@pytest.fixture
def calls(
    database: TestDatabase, settings: str, ingest: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Five months, in each of which ada called bob, and bob called ada."""
    with own_stream.deployed(NAME, DECLARATION, BY_TIME, database, tmp_path, monkeypatch):
        records = [
            call(numbered(2 * month + number), days_ago(40 * month), person=one, callee=other, ip=f"192.0.2.{number}")
            for month in range(MONTHS)
            for number, (one, other) in enumerate((("ada", "bob"), ("bob", "ada")))
        ]
        assert ingest.invoke(event(*records)) == failures()
        assert database.value("SELECT count(DISTINCT tableoid) FROM calls") == MONTHS
        assert database.value("SELECT count(*) FROM pii_vault") == 2 * MONTHS
        yield


@pytest.fixture
def forgetting(calls: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetting]:
    yield from forget_function(monkeypatch)


def test_a_person_is_erased_in_all_months(forgetting: Forgetting, database: TestDatabase) -> None:
    answer = forgetting.forget("bob")
    assert (answer["rows"][NAME], answer["mentions"][NAME], answer["values"]) == (MONTHS, MONTHS, MONTHS)
    rows = database.sql("SELECT DISTINCT person, callee, masked_ip FROM calls")
    assert rows == [[token("subject", "ada"), None, token("ip", "192.0.2.0")]]
    assert database.value("SELECT count(*) FROM pii_vault") == MONTHS


def test_a_logged_erasure_is_repeated_in_all_months(
    forgetting: Forgetting, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.operators.forget.persons.WALK_ROWS", 3)
    erased = {"subject_token": token("subject", "bob"), "erased_at": datetime.now().astimezone().isoformat()}
    answer = forgetting.repeat([erased])
    assert (answer["rows"][NAME], answer["mentions"][NAME]) == (MONTHS, MONTHS)


def test_mentions_are_erased_some_at_a_time(
    forgetting: Forgetting, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.operators.forget.rows.MENTIONS", 2)
    assert forgetting.forget("bob", dry_run=True)["mentions"][NAME] == MONTHS


def test_a_value_that_is_sealed_in_several_months_is_revealed_once(
    calls: None, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_SECRET_ID", "reveal")
    monkeypatch.setenv("DAILY_LIMIT", "10")
    environment = Environment("reveal")
    body = {"tokens": [IP], "reason": "operations", "ticket": "OPS-1"}
    authorizer = {"iam": {"userArn": "arn:aws:sts::000000000000:assumed-role/privacy/ann"}}
    answer = environment.invoke({"requestContext": {"authorizer": authorizer}, "body": json.dumps(body)})
    environment._app._database().close()
    assert json.loads(answer["body"])["values"] == [{"token": IP, "domain": "ip", "value": "192.0.2.1"}]


def test_all_months_get_the_tokens_of_a_new_key(
    calls: None, database: TestDatabase, settings: str, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_tables, "BATCH_ROWS", 3)
    fake_aws.secretsmanager.secrets[settings] = secret_text(NEW)
    database.sql("INSERT INTO token_key (number, check_value) VALUES (2, :value)", value=NEW.check_values[2])
    # One month has a value under both keys already, as of an environment that was quicker.
    new = NEW.pseudonymizer("ip")("192.0.2.1")
    database.sql(
        "INSERT INTO pii_vault SELECT :new, domain, key_id, sealed, created_at, stream, day - 1 FROM pii_vault"
        " WHERE token = :old ORDER BY day DESC LIMIT 1",
        new=new,
        old=IP,
    )
    connection = Database(database.settings("rekey"), "sluice-rekey")
    answer = Rekeyer(connection, [registry.load(NAME)], settings).run(ENTRY, in_seconds(60))
    connection.close()
    assert answer["done"]
    for table, column in (("calls", "person"), ("calls", "callee"), ("calls", "masked_ip"), ("pii_vault", "token")):
        assert database.sql(f"SELECT count(*) FROM {table} WHERE {column} NOT LIKE 't2\\_%'") == [[0]]
    assert database.value("SELECT count(*) FROM pii_vault") == 2 * MONTHS
    assert database.value("SELECT count(*) FROM calls WHERE masked_ip = :new", new=new) == MONTHS


def test_a_dead_letter_keeps_its_time_and_becomes_one_row(
    calls: None, database: TestDatabase, fake_aws: FakeAws, ingest: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs = own_stream.queues_of(NAME, fake_aws, monkeypatch)
    sent_at = days_ago(20)
    sqs.put(json.dumps({"person": "eve", "ip": "192.0.2.7"}), sent=milliseconds(sent_at))
    assert own_stream.call(stream=NAME, action="redrive", reason="operations", ticket="OPS-1")["redriven"] == 1
    sqs.deliver(ingest.invoke)
    rows = database.sql("SELECT sent_at FROM calls WHERE person = :eve", eve=token("subject", "eve"))
    assert [milliseconds(found) for (found,) in rows] == [milliseconds(sent_at)]


def test_the_breaker_probes_a_table_with_partitions(
    calls: None, database: TestDatabase, settings: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = "SELECT (SELECT count(*) FROM calls) + (SELECT count(*) FROM pii_vault)"
    before = database.value(both)
    probe.run(NAME, "", in_seconds(30), BreakerSettings.read())
    assert database.value(both) == before
