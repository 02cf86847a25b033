"""A rejection is kept once for each stream and reason, told once, and the newest one says why a letter is dead."""

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.declaration.stream import Stream
from sluice.ingest.rows import Rejection
from sluice.operators.dead_letters import causes
from sluice.operators.dead_letters.letters import Letter
from streams.orders import Order
from streams.user_logins import UserLogin
from tests.integration.databases import TestDatabase, in_seconds
from tests.integration.environment import Environment, OpenStore
from tests.integration.messages import event, failures, numbered, record
from tests.unit.fakes import sqs_record

ID = numbered(7)


def reject(open_store: OpenStore, stream: type[Stream], reason: str) -> frozenset[str]:
    """Reject a message as ingest does, and return what is new of it."""
    rejection = Rejection(ID, stream.stream_name, reason, "/x", {})
    return (
        open_store(stream).write([], [rejection, rejection], lambda row, why: rejection, in_seconds(60)).newly_rejected
    )


def test_one_id_in_two_streams_is_two_rejections_and_the_same_again_is_none(
    database: TestDatabase, open_store: OpenStore
) -> None:
    assert [reject(open_store, stream, "empty") for stream in (UserLogin, Order)] == [frozenset({ID})] * 2
    assert [reject(open_store, stream, "empty") for stream in (UserLogin, Order)] == [frozenset()] * 2
    assert sorted(row["stream"] for row in database.rows("rejection")) == ["orders", "user_logins"]


def test_a_letter_is_dead_for_its_newest_reason(database: TestDatabase, open_store: OpenStore) -> None:
    for reason in ("empty", "too_long"):
        reject(open_store, UserLogin, reason)
    letter = Letter(SQSRecord(sqs_record("{}", 7)), {})
    assert causes.read(database.owner, UserLogin, [letter])[letter].reason == "too_long"
    assert causes.read(database.owner, Order, [letter])[letter].reason == "unknown"


def test_a_message_that_is_received_ten_times_is_logged_and_counted_once(
    ingest: Environment, capsys: pytest.CaptureFixture[str], database: TestDatabase
) -> None:
    bad = record("junk")
    for _ in range(10):
        assert ingest.invoke(event(bad)) == failures(bad)
    counted = [line for line in capsys.readouterr().out.splitlines() if '"RejectedByReason"' in line and "_aws" in line]
    assert len(counted) == 1
    assert len(database.rows("rejection")) == 1
