"""The probe fails of what a batch would fail of, and of nothing else; and leaves no trace in the database."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

import pytest

from sluice.breaker import probe
from sluice.breaker.record import parameter
from sluice.deadline import Deadline
from sluice.declaration.envelopes import sns
from sluice.declaration.masks import Pseudonym
from sluice.declaration.registry import load, names
from sluice.declaration.rules import Custom, Rule, Text
from sluice.declaration.stream import Stream, derived
from sluice.failures import Outage, Rejected
from sluice.postgres import database as database_module
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import BreakerSettings
from tests.integration.databases import INGEST_PASSWORD, INGEST_ROLE, TestDatabase, in_seconds, until
from tests.integration.environment import FUNCTIONS, Environment
from tests.integration.erasing import Visit
from tests.integration.messages import KEYSET, QUEUE_ARN, event, numbered, record
from tools.local.server import free_port
from tools.testing.aws.account import FakeAws
from tools.testing.lambda_context import LambdaContext

WHY = "database: SQLSTATE 57P03"


@dataclass
class Prober:
    """The breaker's probe of a stream, in a database whose tables must not change by it."""

    database: TestDatabase
    fake_aws: FakeAws
    settings: BreakerSettings
    keyset_id: str

    def run(self, stream: str = "user_logins", why: str = WHY, deadline: Deadline | None = None) -> str | None:
        """Return the outage that a probe meets, or nothing."""
        before = self.tables()
        try:
            probe.run(stream, why, deadline or in_seconds(30), self.settings)
            return None
        except Outage as outage:
            return str(outage)
        finally:
            until(lambda: not self.database.backends("application_name = 'sluice-breaker'"))
            assert self.tables() == before

    def tables(self) -> dict[str, list[Any]]:
        """Return all rows of all tables."""
        found = self.database.sql(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return {
            table: [row for (row,) in self.database.sql(f"SELECT to_jsonb(t) FROM {table} t ORDER BY t::text")]
            for (table,) in found
        }


@pytest.fixture
def prober(
    database: TestDatabase, fake_aws: FakeAws, settings: str, ingest: Environment, monkeypatch: pytest.MonkeyPatch
) -> Prober:
    """A probe where there are rows, sealed values and a rejection already."""
    monkeypatch.setitem(database_module.SETTINGS, "lock_timeout", "50")
    ingest.invoke(event(record(), record("junk")))
    ingest.store._database.close()
    return Prober(database, fake_aws, BreakerSettings.read(), settings)


type Fault = Callable[[Prober], AbstractContextManager[str]]  # yields the outage that it means


def by_sql(broken: str, mended: str, outage: str) -> Fault:
    @contextmanager
    def fault(prober: Prober) -> Iterator[str]:
        prober.database.sql(broken.replace("{database}", prober.database.server.database))
        yield outage
        prober.database.sql(mended.replace("{database}", prober.database.server.database))

    return fault


@contextmanager
def unreachable(prober: Prober) -> Iterator[str]:
    settings = prober.settings
    prober.settings = replace(settings, database=replace(settings.database, port=free_port()))
    yield "database: no connection, ConnectionRefusedError"
    prober.settings = settings


@contextmanager
def locked(prober: Prober) -> Iterator[str]:
    with prober.database.second_session() as other:
        other.run("BEGIN; LOCK TABLE user_logins IN SHARE MODE")
        yield "database: SQLSTATE 55P03"
        other.run("ROLLBACK")


def by_secret(name: str, secret: str | None, outage: str) -> Fault:
    @contextmanager
    def fault(prober: Prober) -> Iterator[str]:
        secrets, secret_id = prober.fake_aws.secretsmanager.secrets, name or prober.keyset_id
        kept = secrets.pop(secret_id)
        if secret is not None:
            secrets[secret_id] = secret
        yield outage
        secrets[secret_id] = kept

    return fault


@contextmanager
def without_kms(prober: Prober) -> Iterator[str]:
    prober.fake_aws.kms.fails_with = "DisabledException"
    yield "kms: DisabledException"
    prober.fake_aws.kms.fails_with = ""


def revoked(table: str, privilege: str = "INSERT") -> Fault:
    to, back = f"REVOKE {privilege} ON {table} FROM {INGEST_ROLE}", f"GRANT {privilege} ON {table} TO {INGEST_ROLE}"
    return by_sql(to, back, "database: SQLSTATE 42501")


FAULTS: dict[str, Fault] = {
    "unreachable": unreachable,
    "wrong password": by_sql(
        f"ALTER ROLE {INGEST_ROLE} PASSWORD 'another'",
        f"ALTER ROLE {INGEST_ROLE} PASSWORD '{INGEST_PASSWORD.replace("'", "''")}'",
        "database: SQLSTATE 28P01",
    ),
    "no grant on the table": revoked("user_logins"),
    "no grant on the rejections": revoked("rejection"),
    "no grant on the vault": revoked("pii_vault"),
    "no grant on the data keys": revoked("pii_vault_key"),
    "no grant on the erasures": revoked("erasure", "SELECT"),
    "no more connections": by_sql(
        f"ALTER ROLE {INGEST_ROLE} CONNECTION LIMIT 0",
        f"ALTER ROLE {INGEST_ROLE} CONNECTION LIMIT -1",
        "database: SQLSTATE 53300",
    ),
    "locked": locked,
    "no table": by_sql(
        "ALTER TABLE user_logins RENAME TO gone", "ALTER TABLE gone RENAME TO user_logins", "database: SQLSTATE 42P01"
    ),
    "no column": by_sql(
        "ALTER TABLE user_logins RENAME locale TO gone",
        "ALTER TABLE user_logins RENAME gone TO locale",
        "database: SQLSTATE 42703",
    ),
    "no login": by_secret("ingest", None, "secrets manager: ResourceNotFoundException"),
    "no keyset": by_secret("", None, "secrets manager: ResourceNotFoundException"),
    "another keyset": by_secret("", KEYSET.replace("K", "L"), "keyset: key 1 is not the key that this database knows"),
    "no kms": without_kms,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_probe_fails_of_what_a_batch_fails_of_until_it_is_mended(fault: Fault, prober: Prober) -> None:
    assert prober.run() is None
    with fault(prober) as outage:
        found = prober.run(deadline=in_seconds(1))
        assert found is not None
        # Whether a wait for a lock or the statement ends first depends on the time that is left.
        found = found.replace("SQLSTATE 57014", "SQLSTATE 55P03")
        assert found.partition(", table")[0].partition(", column")[0] == outage
    assert prober.run() is None


@pytest.mark.parametrize("stream", names())
def test_the_probe_of_every_declared_stream_writes_a_row_that_its_table_takes(stream: str, prober: Prober) -> None:
    database = prober.database
    table = load(stream).table
    database.sql(
        "CREATE SEQUENCE written; GRANT USAGE ON written TO PUBLIC;"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM nextval('written'); RETURN NULL; END $$;"
        f"CREATE TRIGGER note AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION note();"
        "CREATE TRIGGER note AFTER INSERT ON pii_vault FOR EACH ROW EXECUTE FUNCTION note();"
        "CREATE TRIGGER note AFTER INSERT ON rejection FOR EACH ROW EXECUTE FUNCTION note()"
    )
    assert prober.run(stream) is None
    recoverable = {place.domain for place in load(stream).token_places if place.recoverable}
    assert database.value("SELECT last_value FROM written") == 2 + len(recoverable)  # a row, a rejection


def test_a_value_of_each_domain_is_probed_although_the_made_up_lists_and_texts_have_none() -> None:
    row = probe._row(Visit, Keyset.parse(KEYSET), "")
    assert [one.domain for one in row.originals.values] == ["device_id", "email"]


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE user_logins ADD CONSTRAINT mine CHECK (user_id <> 'probe')",
        "ALTER TABLE user_logins ADD CONSTRAINT mine UNIQUE (device_type); INSERT INTO user_logins (user_id,"
        " device_type, masked_ip, masked_device_id, app_version, app_version_text, sent_at, message_id) VALUES"
        " ('', 'probe', '', '', 0, '', '1970-01-01', 'ffffffff-ffff-4fff-8fff-ffffffffffff')",
        "CREATE TABLE device (type varchar(32) PRIMARY KEY); INSERT INTO device VALUES ('android');"
        "ALTER TABLE user_logins ADD FOREIGN KEY (device_type) REFERENCES device",
        "ALTER TABLE user_logins ADD mine int NOT NULL DEFAULT 1; ALTER TABLE user_logins ALTER mine DROP DEFAULT",
        "ALTER TABLE user_logins ADD CONSTRAINT mine CHECK (create_date < '2000-01-01') NOT VALID",
    ],
    ids=["check", "unique", "foreign key", "not null", "time"],
)
def test_a_row_that_the_table_refuses_proves_the_database_and_the_vault_is_probed_all_the_same(
    sql: str, prober: Prober
) -> None:
    prober.database.sql(sql)
    assert prober.run() is None
    with FAULTS["no grant on the vault"](prober):
        assert prober.run() == "database: SQLSTATE 42501"
    with FAULTS["no kms"](prober):
        assert prober.run() == "kms: DisabledException"


MISSING_PARTITION = "database: SQLSTATE 23514, table user_logins"


def test_a_missing_partition_is_one_for_real_messages_only_if_they_failed_of_it(prober: Prober) -> None:
    prober.database.sql(
        "ALTER TABLE user_logins RENAME TO old;"
        "CREATE TABLE user_logins (LIKE old INCLUDING DEFAULTS INCLUDING GENERATED) PARTITION BY RANGE (sent_at);"
        f"GRANT INSERT, SELECT (message_id) ON user_logins TO {INGEST_ROLE}"
    )
    assert prober.run() is None
    assert prober.run(why=MISSING_PARTITION) == MISSING_PARTITION
    prober.database.sql("CREATE TABLE today PARTITION OF user_logins DEFAULT")
    assert prober.run(why=MISSING_PARTITION) is None


def test_what_a_trigger_raises_is_the_messages_fault(prober: Prober) -> None:
    prober.database.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', NEW; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    assert prober.run() is None
    assert prober.run(why="database: SQLSTATE P0001") is None


# Streams of one's own


def refuse(value: str) -> str:
    raise Rejected("not_a_plate")


class Even(Rule):
    """A rule without an example."""

    accepts = int

    def canonical(self, value: int, /) -> int:
        if value % 2:
            raise Rejected("odd")
        return value


class Enveloped(Stream, table="own", envelope=sns):
    name: Annotated[str, Text(max=3), Pseudonym(recoverable=True)]


class Plate(Stream, table="own"):
    name: Annotated[str, Custom(max=9, form=refuse), Pseudonym(recoverable=True)]


class WithoutExample(Stream, table="own"):
    number: Annotated[int, Even()]
    name: Annotated[str, Text(max=9), Pseudonym(recoverable=True)]


class Unforeseen(Stream, table="own"):
    name: Annotated[str, Text(max=9), Pseudonym(recoverable=True)]

    @derived
    def number(self) -> int:
        return {"real": 1}[self.name]


@pytest.fixture(params=["NOT NULL", ""], ids=["no null", "any null"])
def own(request: pytest.FixtureRequest, prober: Prober, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str | None]:
    """Return the function that probes a stream that has a table of its own."""
    null = request.param
    prober.database.sql(
        f"CREATE TABLE own (name varchar(256) {null}, number int, sent_at timestamptz NOT NULL,"
        f" message_id uuid PRIMARY KEY); GRANT INSERT, SELECT (message_id) ON own TO {INGEST_ROLE}"
    )

    def run(stream: type[Stream], why: str = WHY) -> str | None:
        monkeypatch.setattr(probe, "load", lambda name: stream)
        return prober.run(why=why)

    return run


@pytest.mark.parametrize("stream", [Enveloped, Plate, WithoutExample, Unforeseen])
def test_a_stream_of_which_no_example_is_known_is_probed_all_the_same(
    stream: type[Stream], own: Callable[..., str | None], prober: Prober
) -> None:
    assert own(stream) is None
    for name, outage in {
        "no grant on the vault": "database: SQLSTATE 42501",
        "no kms": "kms: DisabledException",
        "another keyset": "keyset: key 1 is not the key that this database knows",
    }.items():
        with FAULTS[name](prober):
            assert own(stream) == outage
    prober.database.sql(f"REVOKE INSERT ON own FROM {INGEST_ROLE}")
    assert own(stream) == "database: SQLSTATE 42501"


def test_code_that_fails_of_everything_is_not_mended_as_long_as_it_fails_of_the_example(
    own: Callable[..., str | None],
) -> None:
    assert own(Unforeseen, why="every record failed: KeyError") == "every record failed: KeyError"


# The whole function


def test_an_outage_stops_the_queue_until_it_is_mended_and_no_longer(
    prober: Prober, environments: Callable[[], Environment], monkeypatch: pytest.MonkeyPatch
) -> None:
    mappings = prober.fake_aws.mappings
    mapping = mappings.mappings[mappings.add("logins", function=LambdaContext.invoked_function_arn, queue=QUEUE_ARN)]
    monkeypatch.setenv("BREAKER_PARAMETER", parameter("tests", "breaker", "user_logins"))
    ingest, ticking = environments(), Environment("breaker")
    minute = json.loads((FUNCTIONS.parent / "events" / "breaker_schedule.json").read_text())
    sent = event(record(message_id=numbered(1)))

    assert ticking.invoke(minute) == {}
    with FAULTS["no grant on the table"](prober):
        with pytest.raises(Outage, match=r"^database: SQLSTATE 42501$"):
            ingest.invoke(sent)
        assert mapping["State"] == "Disabling"
        mappings.settle()
        assert ticking.invoke(minute) == {"user_logins": "open"}
    assert ticking.invoke(minute) == {"user_logins": "half_open"}
    assert mapping["State"] == "Enabling"
    assert ingest.invoke(sent) == {"batchItemFailures": []}
    assert numbered(1) in {row["message_id"] for row in prober.database.rows()}
