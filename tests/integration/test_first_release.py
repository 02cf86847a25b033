"""A database of the first release is brought up to date, and goes on: nothing of then is lost, changed or forgotten.

`first_release/` holds the database as that release left it, and the messages that it was given.
"""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sluice.deadline import Deadline
from sluice.declaration.partitioning import Partitioning
from sluice.migrate import schema
from sluice.migrate.migrations import Versions
from sluice.operators.dead_letters import listing
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from streams.user_logins import UserLogin
from tests.integration.databases import LOGINS, OWNER, TestDatabase, connect
from tests.integration.environment import Environment
from tests.integration.erasing import audited, sealed_tokens
from tests.integration.messages import KEYSET, event, failures, login, numbered, record, row, token
from tests.integration.partitioned import Maintaining
from tests.versions import NEWEST
from tools.testing.aws.account import FakeAws
from tools.testing.aws.sqs import DEAD, QUEUE, FakeSqs

FIRST_RELEASE = Path(__file__).parent / "first_release"
MESSAGES = json.loads((FIRST_RELEASE / "messages.json").read_text())  # by stream and name
CALLER = "arn:aws:sts::000000000000:assumed-role/operations/olga"
WHY = {"reason": "operations", "ticket": "OPS-1"}
ANN, BOB = "ann@example.com", "bob@example.com"  # ann was erased

# What a migrated database remembers. That release numbered the product's and the streams' together.
APPLIED = "SELECT package, number, name FROM migration ORDER BY package, number"
APPLIED_TODAY = [
    ["sluice", 1, "0001_sluice.sql"],
    ["sluice", 4, "0004_vault.sql"],
    ["sluice", 5, "0005_dead_letters.sql"],
    ["sluice", 6, "0006_operations.sql"],
    ["sluice", 7, "0007_rejections.sql"],
    ["sluice", 8, "0008_erased_values.sql"],
    ["sluice", 9, "0009_ledger.sql"],
    ["sluice", 10, "0010_vault_by_time.sql"],
    ["sluice", 11, "0011_vault_checked.sql"],
    ["sluice", 12, "0012_vault_partitioned.sql"],
    ["sluice", 13, "0013_partitions.sql"],
    ["streams", 2, "0002_user_logins.sql"],
    ["streams", 3, "0003_orders.sql"],
    ["streams", 4, "0004_batches.sql"],
]


def migrate(database: TestDatabase, deadline: Deadline) -> Versions:
    """Bring the database up to date, as every deployment does, and return the versions that the migration tells."""
    connection = Database(database.settings("owner"), "sluice-migrate")
    try:
        return schema.migrate(connection, LOGINS, Keyset.parse(KEYSET), deadline)
    finally:
        connection.close()


@pytest.fixture
def old_database(empty_database: TestDatabase, fake_aws: FakeAws) -> TestDatabase:
    """The database as the first release left it."""
    fake_aws.secretsmanager.put_credentials("owner", OWNER.username, OWNER.password)
    with connect(
        empty_database.server, OWNER.username, OWNER.password
    ) as session:  # of its own, for the settings that the dump makes
        session.run((FIRST_RELEASE / "database.sql").read_text())
    return empty_database


@pytest.fixture
def database(old_database: TestDatabase, deadline: Deadline) -> TestDatabase:
    """The database of the first release, migrated: what the functions of this module's tests meet."""
    migrate(old_database, deadline)
    return old_database


@pytest.fixture
def ingest_orders(
    settings: str, environments: Callable[[], Environment], monkeypatch: pytest.MonkeyPatch
) -> Environment:
    monkeypatch.setenv("STREAM", "orders")
    environment = environments()
    assert environment.store  # it remembers its stream
    monkeypatch.setenv("STREAM", "user_logins")
    return environment


type Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(settings: str, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Call the URL of an operator's function, with its own login, and return what it answers."""
    opened: list[Environment] = []

    def call(function: str, **request: object) -> dict[str, Any]:
        opened.append(Environment(function))
        authorizer = {"authorizer": {"iam": {"userArn": CALLER}}}
        with monkeypatch.context() as patched:
            patched.setenv("DATABASE_SECRET_ID", function)
            response = opened[-1].invoke({"requestContext": authorizer, "body": json.dumps(request)}, 60)
        assert response["statusCode"] == 200, response
        answer: dict[str, Any] = json.loads(response["body"])
        return answer

    monkeypatch.setenv("DAILY_LIMIT", "1000")
    for stream in MESSAGES:
        fake_aws.ssm.name_queues("tests", stream, QUEUE, DEAD)
    yield call
    for environment in opened:
        environment._app._database().close()


def sent(name: str, stream: str = "user_logins") -> dict[str, Any]:
    """Return a message of then as SQS delivers it again."""
    message = MESSAGES[stream][name]
    again = record(message["body"], message["message_id"])
    again["attributes"]["SentTimestamp"] = str(message["sent_at_milliseconds"])
    return again


LOGIN_ROWS = [
    row(sent("bob"), sent_at="2026-01-31T09:00:00.002+00:00"),
    row(sent("cy"), sent_at="2026-01-31T10:00:00.003+00:00"),
    row(sent("dora"), sent_at="2026-01-31T23:59:59.999+00:00"),
]
ORDER_ROWS = [
    {
        "order_id": "0badf00d-0000-4000-8000-000000000001",
        "placed_at": "2026-01-31T12:00:00+00:00",
        "status": "paid",
        "total": 1204.50,
        "gift": False,
        "tags": [],
        "recipient_emails": [token("email", ANN), token("email", "cy@example.com")],
        "masked_ip": token("ip", "192.0.2.2"),
        "network": "192.0.2.0/24",
        "customer_email": token("email", BOB),
        "customer": token("subject", BOB),
        "customer_domain": "example.com",
        "customer_phone": token("phone", "+442079460018"),
        "customer_name": None,
        "lines": [{"sku": "S-1", "quantity": 2, "price": 602.25, "engraving": "engraved"}],
        "source": "shop",
        "large": True,
        "sent_at": "2026-01-31T12:00:01+00:00",
        "message_id": sent("bob", "orders")["messageId"],
    },
    {
        "order_id": "0badf00d-0000-4000-8000-000000000002",
        "placed_at": "2026-01-31T12:00:00+00:00",
        "status": "paid",
        "total": 9.99,
        "gift": False,
        "tags": [],
        "recipient_emails": [],
        "masked_ip": None,
        "network": None,
        "customer_email": token("email", "cy@example.com"),
        "customer": token("subject", "cy@example.com"),
        "customer_domain": "example.com",
        "customer_phone": token("phone", "+442079460018"),
        "customer_name": None,
        "lines": [],
        "source": "shop",
        "large": False,
        "sent_at": "2026-01-31T12:00:02+00:00",
        "message_id": sent("cy", "orders")["messageId"],
    },
]
REJECTIONS = {
    sent("not_json")["messageId"]: ("not_json", ""),
    sent("bad_address")["messageId"]: ("not_an_ip_address", "/ip"),
    sent("too_precise", "orders")["messageId"]: ("too_precise", "/total"),
}
SEALED = {  # what is in the vault, by token
    token(domain, value): {"token": token(domain, value), "domain": domain, "value": value}
    for domain, value in [
        ("ip", "192.0.2.2"),
        ("ip", "2001:db8::4"),
        ("device_id", "bob's"),
        ("device_id", "shared"),
        ("email", BOB),
        ("email", "cy@example.com"),
    ]
}
AUDIT_HEADS = [  # as the functions of then logged them
    {"id": 1, "hash": "ce961570a8fa8b57cefb8b96b7873b2b5fc9908506a1128b66403ba7157016a3"},
    {"id": 2, "hash": "c83266191e005ba9b50fc8d2aee0a3556aa5b61240223521b66327300376d598"},
]


def kept(database: TestDatabase) -> dict[str, list[Any]]:
    """Return all rows of all tables but `migration` and the ledger, which has none of then.

    What rows have since then is left out: their batch, and the place of a sealed value in the vault.
    """
    tables = database.sql(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace"
    )
    since = {"pii_vault": "'{stream,day}'::text[]"}
    return {
        table: [
            found
            for (found,) in database.sql(
                f"SELECT to_jsonb(t) - {since.get(table, "'batch_id'")} FROM {table} t ORDER BY 1"
            )
        ]
        for (table,) in tables
        if table not in ("migration", "batch")
    }


def counted(output: str) -> dict[str, float]:
    """Return the counts of the one batch in what was printed, without those that are zero."""
    names = ("Received", "Written", "Duplicate", "Rejected", "RejectedAgain", "Erased", "Sealed")
    (line,) = (one for one in map(json.loads, output.splitlines()) if "_aws" in one and "Received" in one)
    return {name: line[name][0] for name in names if line[name][0]}


# The update


def test_it_migrates_twice_to_todays_version_and_every_row_stays_as_it_was(
    old_database: TestDatabase, deadline: Deadline
) -> None:
    before = kept(old_database)
    assert {name: len(rows) for name, rows in before.items() if rows} == {
        "audit_log": 2,
        "erasure": 1,
        "orders": 2,
        "pii_vault": 6,
        "pii_vault_key": 2,
        "rejection": 3,
        "removal": 1,
        "token_key": 1,
        "user_logins": 3,
    }
    for _ in range(2):
        assert migrate(old_database, deadline) == NEWEST
        assert old_database.sql(APPLIED) == APPLIED_TODAY
        after = kept(old_database)
        assert {name: after[name] for name in before} == before


def test_its_filled_tables_get_partitions_once_the_functions_are_new(
    old_database: TestDatabase,
    deadline: Deadline,
    settings: str,
    environments: Callable[[], Environment],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(UserLogin, "partitioning", Partitioning("month", None))
    migrate(old_database, deadline)
    assert old_database.value("SELECT relkind::text FROM pg_class WHERE oid = 'user_logins'::regclass") == "r"
    done = Maintaining(monkeypatch).run({"ResourceProperties": {"Stream": "user_logins"}})
    assert (done["converted"], done["postponed"]) == (1, {})
    assert old_database.rows() == LOGIN_ROWS
    ingest = environments()
    assert ingest.invoke(event(*map(sent, ("bob", "cy", "dora")), record(message_id=numbered(9)))) == failures()
    assert [row for row in old_database.rows() if row["message_id"] != numbered(9)] == LOGIN_ROWS
    assert len(old_database.rows()) == len(LOGIN_ROWS) + 1


def test_its_rows_and_rejections_are_what_today_makes_of_its_messages(database: TestDatabase) -> None:
    assert database.rows() == LOGIN_ROWS
    assert database.rows("orders") == ORDER_ROWS
    assert database.rejections() == REJECTIONS
    assert database.sql("SELECT subject_token FROM erasure") == [[token("subject", ANN)]]


def test_its_audit_log_is_intact_up_to_the_heads_that_were_logged(database: TestDatabase, call: Call) -> None:
    assert call("audit", action="verify", heads=AUDIT_HEADS) == {
        "rows": 2,
        "head": AUDIT_HEADS[-1],
        "intact": True,
        "first_broken": None,
        "rule": "",
    }
    assert audited(database) == [
        [
            "arn:aws:sts::000000000000:assumed-role/fraud/eve",
            "reveal",
            "fraud_investigation",
            "FRAUD-1",
            None,
            [token("ip", "192.0.2.2"), token("device_id", "nobody's")],
            {"asked": 2, "found": 1},
        ],
        [
            "arn:aws:sts::000000000000:assumed-role/privacy/paul",
            "forget",
            "data_subject_request",
            "PRIV-1",
            token("subject", ANN),
            [token("subject", ANN)],
            {"rows": 1, "values": 2, "data_keys": 0},
        ],
    ]


# Going on


def test_a_message_of_then_that_is_delivered_again_is_a_duplicate(
    database: TestDatabase, ingest: Environment, ingest_orders: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    before = kept(database)
    assert ingest.invoke(event(sent("bob"), sent("cy"), sent("dora"))) == failures()
    assert counted(capsys.readouterr().out) == {"Received": 3, "Duplicate": 3}
    assert ingest_orders.invoke(event(sent("bob", "orders"), sent("cy", "orders"))) == failures()
    assert counted(capsys.readouterr().out) == {"Received": 2, "Duplicate": 2}
    assert kept(database) == before


def test_a_message_that_was_rejected_then_is_rejected_again_for_the_same_reason(
    database: TestDatabase, ingest: Environment
) -> None:
    before = kept(database)
    junk = [sent("not_json"), sent("bad_address")]
    assert ingest.invoke(event(*junk)) == failures(*junk)
    assert kept(database) == before


def test_a_value_of_then_gets_the_same_token_and_is_sealed_once(database: TestDatabase, ingest: Environment) -> None:
    new = record(login(user_id="eve", ip="192.0.2.2", device_id="shared"), numbered(99))
    before = database.sql("SELECT * FROM pii_vault ORDER BY token")
    assert ingest.invoke(event(new)) == failures()
    (stored,) = (found for found in database.rows() if found["user_id"] == "eve")
    assert stored == row(new)
    assert (stored["masked_ip"], stored["masked_device_id"]) == (
        LOGIN_ROWS[1]["masked_ip"],
        LOGIN_ROWS[1]["masked_device_id"],
    )
    assert database.sql("SELECT * FROM pii_vault ORDER BY token") == before


def test_every_token_of_then_is_revealed_and_the_audit_chain_goes_on(database: TestDatabase, call: Call) -> None:
    assert sealed_tokens(database) == set(SEALED)
    answer = call("reveal", tokens=list(SEALED), **WHY | {"reason": "fraud_investigation"})
    assert answer == {"values": list(SEALED.values()), "unknown": [], "altered": []}
    verified = call("audit", action="verify", heads=AUDIT_HEADS)
    assert (verified["rows"], verified["intact"]) == (3, True)


# The erased


def test_what_was_sent_before_the_erasure_of_then_is_not_stored(
    database: TestDatabase, ingest: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    before = kept(database)
    late = record(login(user_id=ANN, ip="192.0.2.9"), numbered(99))
    assert ingest.invoke(event(sent("ann"), late)) == failures()
    assert counted(capsys.readouterr().out) == {"Received": 2, "Erased": 2}
    assert kept(database) == before


def test_what_is_sent_after_the_erasure_of_then_is_stored(database: TestDatabase, ingest: Environment) -> None:
    erased_at = database.value("SELECT erased_at FROM erasure")
    sent_at = (erased_at + timedelta(seconds=1)).replace(microsecond=0)
    new = record(login(user_id=ANN), numbered(99))
    new["attributes"]["SentTimestamp"] = str(int(sent_at.timestamp() * 1000))
    assert ingest.invoke(event(new)) == failures()
    stored = row(new, sent_at=sent_at.isoformat(), create_date=sent_at.date().isoformat())
    assert database.rows() == sorted([*LOGIN_ROWS, stored], key=lambda one: one["message_id"])


def test_a_person_of_then_is_erased_from_every_stream(database: TestDatabase, call: Call) -> None:
    answer = call("forget", action="forget", subject=BOB, **WHY | {"reason": "data_subject_request"})
    assert answer == {
        "erased_at": answer["erased_at"],
        "subject_tokens": [token("subject", BOB)],
        "rows": {"orders": 1, "user_logins": 1},
        "mentions": {},
        "values": 2,
        "stays": {"values_used_by_others": 2, "rows_that_mention": 0},
        "dry_run": False,
    }
    assert database.rows() == LOGIN_ROWS[1:]
    assert database.rows("orders") == ORDER_ROWS[1:]
    assert sealed_tokens(database) == set(SEALED) - {token("device_id", "bob's"), token("email", BOB)}
    assert {token for (token,) in database.sql("SELECT subject_token FROM erasure")} == {
        token("subject", ANN),
        token("subject", BOB),
    }


# Its dead letters


def test_a_dead_letter_of_then_tells_why_it_was_rejected(
    database: TestDatabase, call: Call, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs = FakeSqs()
    monkeypatch.setattr(fake_aws, "sqs", sqs)
    monkeypatch.setattr(listing, "time", sqs.clock)
    message = MESSAGES["user_logins"]["bad_address"]
    sqs.put(message["body"], message_id=message["message_id"], sent=message["sent_at_milliseconds"])
    rejected_at = database.value("SELECT at FROM rejection WHERE message_id = :id", id=message["message_id"])
    assert call("dead_letters", action="list", stream="user_logins")["letters"] == [
        {
            "id": message["message_id"],
            "sqs_message_id": message["message_id"],
            "reason": "not_an_ip_address",
            "pointer": "/ip",
            "rejected_at": rejected_at.isoformat(),
            "receive_count": 11,
            "age_seconds": int(sqs.now - message["sent_at_milliseconds"] / 1000),
            "bytes": len(message["body"]),
        }
    ]
