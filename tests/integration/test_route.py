"""A route: the records of one queue become rows of several tables, each as its own stream declares it."""

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import invalidate_caches
from pathlib import Path
from typing import Any
from uuid import uuid5

import pytest

import streams
from sluice.breaker import probe
from sluice.declaration.postmark import NAMESPACE
from sluice.failures import Outage
from sluice.migrate import schema
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import BreakerSettings
from tests.integration import own_stream
from tests.integration.databases import LOGINS, OWNER, TestDatabase, in_seconds
from tests.integration.environment import Environment
from tests.integration.messages import KEYSET, event, failures, record, token
from tests.unit.cli import run
from tools.testing.aws.account import FakeAws
from tools.testing.aws.sqs import DEAD, QUEUE, FakeSqs

WHY = {"reason": "operations", "ticket": "OPS-1"}
MODULES = {
    "tracks": """
from typing import Annotated, Any
from sluice import Integer, Pseudonym, Stream, Text, derived

class Track(Stream, table="tracks", subject="userId", identity="messageId"):
    messageId: Annotated[str, Text(max=64)]
    userId: Annotated[str, Text(max=32), Pseudonym("subject", domain="subject")]
    size: Annotated[int, Integer(max=9)] = 0

    @derived
    def reciprocal(self) -> int:
        return 9 // self.size if self.size < 8 else 0 // 0
""",
    "users": """
from typing import Annotated
from sluice import Email, Pseudonym, Stream, Text

class User(Stream, table="users", subject="email", identity="messageId"):
    messageId: Annotated[str, Text(max=64)]
    email: Annotated[str, Email(), Pseudonym(domain="subject", recoverable=True)]
""",
    "calls": """
from sluice import Route, listed
from streams.tracks import Track
from streams.users import User

class Calls(Route, by="type"):
    to = {"identify": User, "alias": User, "track": Track}
""",
}
SQL = """
CREATE TABLE tracks (
    "messageId" varchar(64) NOT NULL, subject varchar(256) NOT NULL, size bigint NOT NULL CHECK (size <> 7),
    reciprocal bigint NOT NULL, sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY
);
CREATE TABLE users (
    "messageId" varchar(64) NOT NULL, email varchar(256) NOT NULL, sent_at timestamptz NOT NULL,
    message_id uuid PRIMARY KEY
)
"""
SENT_AT = "2026-01-31T23:59:59.999+00:00"
SHARED = "424cdd21-063a-43a7-b91b-7ca1a833afae"


def track(message_id: str = "1", **changes: object) -> dict[str, Any]:
    return {"type": "track", "messageId": message_id, "userId": "ada", "size": 3} | changes


def identify(message_id: str = "1", **changes: object) -> dict[str, Any]:
    return {"type": "identify", "messageId": message_id, "email": "ada@example.com"} | changes


def identity(stream: str, text: str) -> str:
    return str(uuid5(uuid5(NAMESPACE, stream), text))


def row_of(sent: dict[str, Any]) -> dict[str, Any]:
    """Return the row that a call becomes."""
    own = {"messageId": sent["messageId"], "sent_at": SENT_AT}
    if sent["type"] == "track":
        made = {"subject": token("subject", sent["userId"]), "size": sent["size"], "reciprocal": 9 // sent["size"]}
        return own | made | {"message_id": identity("tracks", sent["messageId"])}
    return own | {"email": token("subject", sent["email"]), "message_id": identity("users", sent["messageId"])}


type Declare = Callable[[str, str, str], None]


@pytest.fixture
def declared(
    database: TestDatabase, settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Declare]:
    """The streams and their route, declared and deployed. Returns the function that changes a module."""
    monkeypatch.setattr(streams, "__path__", [*streams.__path__, str(tmp_path)])

    def forget() -> None:
        invalidate_caches()
        for name in MODULES:
            sys.modules.pop(f"streams.{name}", None)

    def change(name: str, old: str, new: str) -> None:
        file = tmp_path / f"{name}.py"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        forget()

    for name, source in MODULES.items():
        (tmp_path / f"{name}.py").write_text(source)
    forget()
    database.sql(f"{SQL}; ALTER TABLE tracks OWNER TO {OWNER.username}; ALTER TABLE users OWNER TO {OWNER.username}")
    owner = Database(database.settings("owner"), "sluice-migrate")
    schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), in_seconds(60))
    owner.close()
    monkeypatch.setenv("STREAM", "calls")
    yield change
    forget()


@pytest.fixture
def sqs(fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> FakeSqs:
    return own_stream.queues_of("calls", fake_aws, monkeypatch)


def call(**request: object) -> dict[str, Any]:
    return own_stream.call(**{"stream": "calls", **request})


def rejections(database: TestDatabase) -> list[tuple[str, str, str]]:
    return sorted((one["stream"], one["reason"], one["pointer"]) for one in database.rows("rejection"))


@pytest.mark.usefixtures("declared")
def test_each_record_becomes_a_row_of_its_own_stream(ingest: Environment, database: TestDatabase) -> None:
    sent = [track(), identify(), track("2"), identify("2") | {"type": "alias"}]
    assert ingest.invoke(event(*map(record, sent))) == failures()
    assert ingest.invoke(event(*map(record, sent))) == failures()
    rows = sorted(map(row_of, sent), key=lambda row: row["message_id"])
    assert database.rows("tracks") == [row for row in rows if "subject" in row]
    assert database.rows("users") == [row for row in rows if "email" in row]


BAD = [
    ({"kn4ry": 1}, ("calls", "missing", "/type")),
    (identify(type="kn4ry"), ("calls", "not_a_choice", "/type")),
    (identify(type=None), ("calls", "null", "/type")),
    (identify(type=["kn4ry"]), ("calls", "wrong_type", "/type")),
    ("no JSON", ("calls", "not_json", "")),
    ("[]", ("calls", "not_an_object", "")),
    ({"id": "1", "source": "a", "detail-type": "b", "detail": {}}, ("calls", "eventbridge_event", "")),
    (identify("3", email="kn4ry"), ("users", "not_an_email_address", "/email")),
    (identify(messageId=""), ("users", "empty", "/messageId")),
    (track("4", size=0), ("tracks", "internal_error", "")),
    (track("5", size=7), ("tracks", "sqlstate_23514", "")),
]


@pytest.mark.usefixtures("declared")
def test_a_record_is_refused_alone_under_the_name_of_its_stream_or_else_of_the_route(
    ingest: Environment, database: TestDatabase
) -> None:
    refused = [record(body) for body, _ in BAD]
    sent = event(record(track("2")), *refused, record(identify("2")))
    for _ in range(2):
        answer = ingest.invoke(sent)["batchItemFailures"]
        assert sorted(one["itemIdentifier"] for one in answer) == sorted(one["messageId"] for one in refused)
    assert (database.rows("tracks"), database.rows("users")) == ([row_of(track("2"))], [row_of(identify("2"))])
    assert rejections(database) == sorted(told for _, told in BAD)
    assert "kn4ry" not in json.dumps(database.rows("rejection"))


@pytest.mark.usefixtures("declared")
def test_one_uuid_may_be_the_identity_of_a_row_in_each_table(ingest: Environment, database: TestDatabase) -> None:
    database.sql("ALTER TABLE tracks ADD CHECK (size <> 4)")
    refused = record(track(SHARED, size=4))
    assert ingest.invoke(event(record(identify(SHARED)), refused)) == failures(refused)
    assert [row["message_id"] for row in database.rows("users")] == [SHARED]
    assert ingest.invoke(event(record(track(SHARED)), record(identify(SHARED)))) == failures()
    assert [row["message_id"] for row in database.rows("tracks")] == [SHARED]
    assert len(database.rows("users")) == 1


def test_a_record_that_also_comes_by_the_queue_of_its_stream_is_one_row(
    declared: Declare, environments: Callable[[], Environment], database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared("tracks", 'table="tracks"', 'table="tracks", envelope=sns')
    declared("tracks", "import Integer", "import sns, Integer")
    assert environments().invoke(event(record(track()))) == failures()
    monkeypatch.setenv("STREAM", "tracks")
    notification = {"TopicArn": "arn", "MessageId": "kn4ry", "Message": json.dumps(track())}
    assert environments().invoke(event(record(notification))) == failures()
    assert database.rows("tracks") == [row_of(track())]


@pytest.mark.usefixtures("declared")
def test_who_was_erased_is_so_in_every_table(ingest: Environment, database: TestDatabase) -> None:
    for person in ("ada", "ada@example.com"):
        database.sql(
            "INSERT INTO erasure (subject_token, erased_at) VALUES (:token, '2027-01-01T00:00:00Z')",
            token=token("subject", person),
        )
    others = [track("2", userId="bob"), identify("2", email="bob@example.com")]
    assert ingest.invoke(event(*map(record, [track(), identify(), *others]))) == failures()
    assert (database.rows("tracks"), database.rows("users")) == ([row_of(others[0])], [row_of(others[1])])
    assert database.value("SELECT count(*) FROM pii_vault") == 1


def test_each_of_several_records_in_a_message_goes_to_its_stream(
    declared: Declare, ingest: Environment, database: TestDatabase
) -> None:
    declared("calls", 'by="type"', 'by="type", records=listed("batch"), ignore=({"type": "page"},)')
    batch = [track(), identify(), {"type": "page"}, {"type": "kn4ry"}, track("2", size=7), identify("2", email="")]
    message = record({"batch": batch})
    for _ in range(2):
        assert ingest.invoke(event(message, record({"batch": [identify("3")]}))) == failures(message)
    assert database.rows("tracks") == [row_of(track())]
    assert {row["messageId"] for row in database.rows("users")} == {"1", "3"}
    assert rejections(database) == [
        ("calls", "not_a_choice", "/batch/3/type"),
        ("tracks", "sqlstate_23514", "/batch/4"),
        ("users", "empty", "/batch/5/email"),
    ]


def test_a_stream_reads_what_the_envelope_of_the_route_has(
    declared: Declare, ingest: Environment, database: TestDatabase
) -> None:
    declared("users", "import Email", "import FROM_ENVELOPE, Part, eventbridge, Email")
    declared("users", "class User", "class Around(Part):\n    source: Annotated[str, Text(max=9)]\n\nclass User")
    declared("users", 'table="users"', 'table="users", envelope=eventbridge')
    declared("users", "    messageId", "    around: Annotated[Around, FROM_ENVELOPE]\n    messageId")
    declared("calls", 'by="type"', 'by="type", envelope=eventbridge, records=listed("batch")')
    declared("calls", "import Route", "import eventbridge, Route")
    database.sql("ALTER TABLE users ADD around_source varchar(9)")
    happened = {"id": SHARED, "detail-type": "calls", "time": "2026-01-31T12:00:00Z"}
    batch = {"detail": {"batch": [track(), identify(), identify("2")]}}
    good, refused = (record(happened | batch | {"source": source}) for source in ("shop", "kn4ry" * 9))
    assert ingest.invoke(event(refused)) == failures(refused)
    assert rejections(database) == [("users", "too_long", "envelope/source")] * 2
    assert ingest.invoke(event(good)) == failures()
    assert [row["around_source"] for row in database.rows("users")] == ["shop"] * 2
    assert [row["sent_at"] for row in database.rows("tracks")] == ["2026-01-31T12:00:00+00:00"]


def test_the_streams_are_written_in_the_order_of_the_route_so_that_one_may_refer_to_the_other(
    declared: Declare, environments: Callable[[], Environment], database: TestDatabase
) -> None:
    database.sql(
        'ALTER TABLE users ADD UNIQUE ("messageId");'
        ' ALTER TABLE tracks ADD FOREIGN KEY ("messageId") REFERENCES users ("messageId")'
    )
    orphan = record(track("2"))
    assert environments().invoke(event(record(track()), orphan, record(identify()))) == failures(orphan)
    assert rejections(database) == [("tracks", "sqlstate_23503", "")]
    assert (len(database.rows("tracks")), len(database.rows("users"))) == (1, 1)


@pytest.mark.usefixtures("declared")
def test_two_environments_with_the_same_records_in_opposite_orders_do_not_lock_each_other_out(
    environments: Callable[[], Environment], database: TestDatabase
) -> None:
    sent = [record(one(str(number))) for number in range(40) for one in (track, identify)]
    pair = [environments(), environments()]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one, batch: one.invoke(event(*batch)), pair, [sent, sent[::-1]]))
    assert answers == [failures()] * 2
    assert (len(database.rows("tracks")), len(database.rows("users"))) == (40, 40)


@pytest.mark.usefixtures("declared")
def test_code_that_fails_of_every_record_of_its_stream_stops_the_queue(
    declared: Declare, ingest: Environment, database: TestDatabase
) -> None:
    declared("tracks", "9 // self.size if self.size < 8 else 0 // 0", "9 // 0")
    with pytest.raises(Outage, match="every record failed: ZeroDivisionError"):
        ingest.invoke(event(record(track()), record(identify())))
    assert database.rows("users") == []


@pytest.mark.usefixtures("declared")
def test_the_probe_writes_a_row_for_each_stream_of_the_route(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe.run("calls", "database: SQLSTATE 08006", in_seconds(60), BreakerSettings.read())
    assert (database.rows("tracks"), database.rows("users"), database.rows("rejection")) == ([], [], [])
    database.sql(f"REVOKE INSERT ON users FROM {LOGINS['ingest'].username}")
    with pytest.raises(Outage, match="SQLSTATE 42501"):
        probe.run("calls", "database: SQLSTATE 08006", in_seconds(60), BreakerSettings.read())


def test_the_dead_letters_of_a_route_are_those_of_all_its_streams(
    declared: Declare, sqs: FakeSqs, environments: Callable[[], Environment], database: TestDatabase
) -> None:
    bad = [
        track("1" * 65),
        identify("2", email="ada"),
        {"type": "kn4ry"},
        track("4", userId="Ada@Example.com" * 3),
    ]
    for one in bad:
        sqs.put(json.dumps(one), QUEUE, receives=0)
    sqs.deliver(environments().invoke)
    told = [(letter["reason"], letter["pointer"]) for letter in call(action="list")["letters"]]
    assert sorted(told) == [
        ("not_a_choice", "/type"),
        ("not_an_email_address", "/email"),
        ("too_long", "/messageId"),
        ("too_long", "/userId"),
    ]
    assert call(action="purge", subject="ada", **WHY)["purged"] == 1
    declared("tracks", "Text(max=32)", "Text(max=99)")
    assert call(action="redrive", **WHY)["redriven"] == 1
    sqs.deliver(environments().invoke)
    assert [row["message_id"] for row in database.rows("tracks")] == [identity("tracks", "4")]


def test_a_letter_with_records_of_several_streams_is_found_by_each_of_their_reasons(
    declared: Declare, sqs: FakeSqs, environments: Callable[[], Environment], database: TestDatabase
) -> None:
    declared("calls", 'by="type"', 'by="type", records=listed("batch")')
    batch = [track(), {"type": "kn4ry"}, identify("2", email="ada"), track("3", userId="a" * 33)]
    sqs.put(json.dumps({"batch": batch}), QUEUE, receives=0)
    sqs.deliver(environments().invoke)
    assert database.rows("tracks") == [row_of(track())]
    reasons = ("not_a_choice", "not_an_email_address", "too_long")
    for reason in reasons:
        answer = call(action="redrive", dry_run=True, rejected_as=reason, **WHY)
        assert (answer["looked_at"], answer["redriven"], sum(answer["failing"].values())) == (1, 0, 1)
    declared("users", "email: Annotated[str, Email()", "email: Annotated[str, Text(max=99)")
    declared("tracks", "Text(max=32)", "Text(max=33)")
    declared("calls", 'listed("batch")', 'listed("batch"), ignore=({"type": "kn4ry"},)')
    assert call(action="redrive", **WHY)["redriven"] == 1
    sqs.deliver(environments().invoke)
    assert {row["messageId"] for row in database.rows("tracks")} == {"1", "3"}
    assert {row["messageId"] for row in database.rows("users")} == {"2"}


def test_the_letters_of_a_person_are_purged_whichever_stream_they_are_of(
    sqs: FakeSqs, declared: Declare, database: TestDatabase
) -> None:
    for one in (track(userId="bob@example.com"), identify(email="bob@Example.com"), identify("2"), {"type": "kn4ry"}):
        sqs.put(json.dumps(one))
    answer = call(action="purge", subject="bob@example.com", **WHY)
    assert (answer["purged"], answer["subject_unknown"]) == (2, 1)
    assert [json.loads(message.body).get("email") for message in sqs.queues[DEAD]] == ["ada@example.com", None]


@pytest.mark.usefixtures("declared")
def test_tail_shows_the_rows_and_refusals_of_all_streams_of_a_route(
    ingest: Environment, database: TestDatabase
) -> None:
    ingest.invoke(event(*map(record, (track(), identify(), track("2", size=7), {"type": "page"}))))
    address = ("--database", database.server.url, "--since", "2026-01-31T00:00Z", "--seconds", "1")
    code, output, errors = run("tail", "calls", *address)
    assert (code, errors) == (0, "")
    lines = [line.split(maxsplit=4) for line in output.splitlines() if not line.startswith("{")]
    assert sorted((kind, stream, told.split("=")[0]) for _, kind, stream, _, told in lines) == [
        ("rejected", "calls", "not_a_choice /type"),
        ("rejected", "tracks", "sqlstate_23514 (check_violation) (the record)"),
        ("row", "tracks", "messageId"),
        ("row", "users", "messageId"),
    ]
