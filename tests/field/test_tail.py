"""`sluice tail` shows the rows and refusals of a stream as they are committed, each once, and nothing clear."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.conftest import eventually
from tests.integration.databases import TestDatabase
from tests.integration.environment import Environment
from tests.integration.messages import event, login, numbered, record
from tests.unit.cli import TOKEN, run
from tests.unit.orders import LEAKS, order
from tools.sluice_cli.operators import tail
from tools.testing.clock import Clock

STARTED = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass
class Story(Clock):
    """A clock at whose every pause the next thing happens; after the last of them somebody presses Ctrl-C."""

    things: list[Callable[[], object]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if not self.things:
            raise KeyboardInterrupt
        self.things.pop(0)()


@dataclass
class Stage:
    """The command beside a function that ingests."""

    database: TestDatabase
    ingest: Environment
    story: Story

    def send(self, number: int, body: object = None, sent: datetime | None = None) -> None:
        """Have a message ingested that was sent at a time, by default now."""
        at = sent or datetime.now(UTC)
        message = record(body, numbered(number), sluice_sent_at=str(int(at.timestamp() * 1000)))
        message["attributes"]["SentTimestamp"] = str(int(datetime.now(UTC).timestamp() * 1000))
        self.ingest.invoke(event(message))

    def tail(self, *arguments: str, stream: str = "user_logins") -> list[str]:
        """Return the lines that the command prints while the story happens."""
        code, output, errors = run("tail", stream, "--database", self.database.server.url, *arguments)
        assert (code, errors) == (0, "")
        return [line for line in output.splitlines() if not line.startswith("{")]  # these are the function's metrics

    def seen(self, *arguments: str) -> list[tuple[str, int]]:
        """Return of each line what it is, and the number of its message."""
        lines = [line.split() for line in self.tail(*arguments)]
        return [(kind, int(message_id.replace("-", ""), 16)) for _, kind, message_id, *_ in lines]


@pytest.fixture
def stage(database: TestDatabase, ingest: Environment, monkeypatch: pytest.MonkeyPatch) -> Stage:
    story = Story(now=time.monotonic())
    monkeypatch.setattr(tail, "time", story)
    return Stage(database, ingest, story)


def test_what_is_written_meanwhile_is_shown_once(stage: Stage) -> None:
    stage.send(1)
    stage.story.things = [
        lambda: stage.send(2),
        lambda: None,
        lambda: stage.send(3, login(ip="999.1.1.1")),
        lambda: stage.send(3, login(ip="999.1.1.1")),
        lambda: stage.send(4),
    ]
    assert stage.seen() == [("row", 2), ("rejected", 3), ("row", 4)]


def test_a_row_that_is_committed_late_is_shown_and_so_is_one_in_a_transaction_that_is_open(stage: Stage) -> None:
    columns = "user_id, device_type, masked_ip, masked_device_id, app_version, app_version_text, sent_at, message_id"
    written = f"'u', 'd', 't1_a', 't1_b', 1, '0.0.1', now() - interval '9 minutes', '{numbered(1)}'"
    with stage.database.second_session() as session:
        session.run(f"BEGIN; INSERT INTO user_logins ({columns}) VALUES ({written})")
        stage.story.things = [lambda: stage.send(2), lambda: stage.send(3), lambda: session.run("COMMIT")]
        assert stage.seen() == [("row", 2), ("row", 3), ("row", 1)]


def test_a_time_of_a_producer_that_is_ahead_hides_nothing(stage: Stage) -> None:
    stage.story.things = [lambda: stage.send(1, sent=datetime.now(UTC) + timedelta(hours=20)), lambda: stage.send(2)]
    assert stage.seen() == [("row", 1), ("row", 2)]


def test_what_was_sent_long_before_is_shown_when_asked_for(stage: Stage) -> None:
    now = datetime.now(UTC)
    for number, ago in enumerate((timedelta(hours=3), timedelta(minutes=50), timedelta(minutes=40)), 1):
        stage.send(number, sent=now - ago)
    assert stage.seen("--since", "1h") == [("row", 2), ("row", 3)]
    assert stage.seen("--since", (now - timedelta(days=1)).isoformat()) == [("row", 1), ("row", 2), ("row", 3)]


def test_only_the_refusals_of_the_stream_are_shown(stage: Stage) -> None:
    stage.database.sql(
        "INSERT INTO rejection (message_id, stream, reason, pointer, shape)"
        " VALUES (:id, 'orders', 'missing', '', '{}')",
        id=numbered(1),
    )
    assert stage.tail("--since", "1h") == []
    (line,) = stage.tail("--since", "1h", stream="orders")
    assert line.split(maxsplit=1)[1] == f"rejected {numbered(1)} missing (the record)"


def test_a_row_shows_tokens_and_nothing_that_is_kept_in_the_clear(stage: Stage) -> None:
    stage.send(1, login(user_id="kn4ry-user", device_id="kn4ry-device", locale=None), STARTED)
    (line,) = stage.tail("--since", STARTED.isoformat())
    assert TOKEN.sub("token", line) == (
        f"2026-01-31T12:00:00Z row      {numbered(1)} user_id=(kept) device_type=(kept) masked_ip=token"
        " masked_device_id=token app_version_text=(kept) app_version=(kept) locale=NULL"
    )
    (line,) = stage.tail("--since", STARTED.isoformat(), "--show-clear")
    assert "user_id=kn4ry-user device_type=android" in line


def test_members_of_objects_are_hidden_too(
    stage: Stage, environments: Callable[[], Environment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM", "orders")
    stage.ingest = environments()
    stage.send(1, order(), STARTED)
    (line,) = stage.tail("--since", STARTED.isoformat(), stream="orders")
    assert 'lines=[{"sku": "(kept)"' in line
    assert "customer_domain=example.com" in line
    assert "network=203.0.113.0/24" in line
    assert [leak for leak in [*LEAKS, "S-1", "1204", "fragile"] if leak in line.replace("203.0.113.0/24", "")] == []


def test_it_ends_by_itself_when_asked_to(stage: Stage) -> None:
    began = stage.story.now
    stage.story.things = [lambda: None] * 10
    assert stage.seen("--seconds", "3") == []
    assert stage.story.now - began == 3


def test_it_changes_nothing_and_leaves_no_connection(stage: Stage) -> None:
    stage.send(1)
    stage.database.sql(f"ALTER DATABASE {stage.database.server.database} SET default_transaction_read_only TO on")
    assert stage.seen("--since", "1h") == [("row", 1)]
    eventually(lambda: len(stage.database.backends("application_name = 'sluice-tail'")), 0)  # it ends a moment later


def test_a_table_that_is_not_there_is_one_line(stage: Stage) -> None:
    stage.database.sql("DROP TABLE user_logins")
    code, output, errors = run("tail", "user_logins", "--database", stage.database.server.url)
    assert (code, output, errors.count("\n"), errors.startswith("sluice: database: ")) == (1, "", 1, True)
    assert "42P01" in errors


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--since", "yesterday"], "--since: is a time such as 10m, 2h, 1d or 2026-01-31T09:00Z"),
        (["--since", "2026-01-31T09:00"], "--since: is a time such as 10m, 2h, 1d or 2026-01-31T09:00Z"),
        (["--since", "999999d"], "--since: is a time such as 10m, 2h, 1d or 2026-01-31T09:00Z"),
        (["--database", "mysql://x"], "--database: must be postgresql://user:password@host:port/name"),
        ([], "tail: --database says where the rows are; the demo has kept none"),
    ],
)
def test_a_usage_error_is_one_line(
    arguments: list[str], why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tools.sluice_cli.kept.KEPT", tmp_path / "stack.json")
    assert run("tail", "user_logins", *arguments) == (2, "", f"sluice: {why}\n")


def test_the_stack_that_the_demo_kept_is_read_unless_another_one_is_named(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage.send(1)
    kept = tmp_path / "stack.json"
    kept.write_text(json.dumps({"database_url": stage.database.server.url}))
    monkeypatch.setattr("tools.sluice_cli.kept.KEPT", kept)
    for name in ("SLUICE_STACK", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    assert numbered(1) in run("tail", "user_logins", "--since", "1h")[1]
    monkeypatch.setenv("SLUICE_STACK", "another")
    assert run("tail", "user_logins", "--since", "1h")[0] == 2
