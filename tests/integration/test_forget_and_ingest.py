"""Forget or a batch comes first: what was sent before the erasure is not stored, and nothing else is lost."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from sluice.postgres import database as database_module
from sluice.vault import erasures
from tests.integration.databases import TestDatabase, until
from tests.integration.environment import Environment
from tests.integration.erasing import Forgetting, forget_function, sealed_tokens
from tests.integration.messages import event, login, record, row, token

ANN, BOB = "ann@example.com", "bob@example.com"
NOTHING_FAILED: dict[str, Any] = {"batchItemFailures": []}


@pytest.fixture
def forgetting(settings: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetting]:
    yield from forget_function(monkeypatch)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=2) as executor:
        yield executor


def ids(database: TestDatabase, table: str = "user_logins") -> set[str]:
    return {found["message_id"] for found in database.rows(table)}


def waits(database: TestDatabase, application: str) -> Callable[[], object]:
    """Return the condition that this function waits for a lock."""
    return lambda: database.backends(f"application_name = 'sluice-{application}' AND wait_event_type = 'Lock'")


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


# Both interleavings


def test_what_a_batch_wrote_that_came_first_is_erased(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting, threads: ThreadPoolExecutor
) -> None:
    mine, theirs = record(login(user_id=ANN)), record(login(user_id=BOB, ip="10.0.0.9", device_id="d9"))
    with database.second_session() as other:
        other.run("BEGIN; LOCK TABLE pii_vault")  # the batch has the shared lock and its rows, and waits here
        writing = threads.submit(ingest.invoke, event(mine, theirs))
        until(waits(database, "ingest"))
        erasing = threads.submit(forgetting.forget, ANN)
        until(waits(database, "forget"))
        other.run("ROLLBACK")
    assert writing.result() == NOTHING_FAILED
    answer = erasing.result()
    assert (answer["rows"]["user_logins"], answer["values"]) == (1, 2)
    assert database.rows() == [row(theirs)]
    assert sealed_tokens(database) == {token("ip", "10.0.0.9"), token("device_id", "d9")}


def test_a_batch_that_waits_behind_the_erasure_stores_nothing_sent_before_it_and_seals_anew(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting, threads: ThreadPoolExecutor
) -> None:
    ingest.invoke(event(record(login(user_id=ANN))))  # its environment remembers what it sealed
    mine, theirs = record(login(user_id=ANN)), record(login(user_id=BOB))
    with database.second_session() as other:
        other.run("BEGIN; LOCK TABLE audit_log")  # forget is done but for its last statement
        erasing = threads.submit(forgetting.forget, ANN)
        until(waits(database, "forget"))
        writing = threads.submit(ingest.invoke, event(mine, theirs))
        until(waits(database, "ingest"))
        other.run("ROLLBACK")
    assert erasing.result()["values"] == 2
    assert writing.result() == NOTHING_FAILED
    assert database.rows() == [row(theirs)]
    assert sealed_tokens(database) == {token("ip", login()["ip"]), token("device_id", login()["device_id"])}
    assert database.value("SELECT count(*) FROM pii_vault v JOIN pii_vault_key k ON k.id = v.key_id") == 2


def test_the_moment_of_the_erasure_is_after_all_that_it_waited_for(
    database: TestDatabase, forgetting: Forgetting, threads: ThreadPoolExecutor
) -> None:
    with database.second_session() as other:
        other.run("BEGIN")
        erasures.share(other)
        erasing = threads.submit(forgetting.forget, ANN)
        until(waits(database, "forget"))
        ((before,),) = other.run("SELECT clock_timestamp()") or []
        other.run("COMMIT")
    assert datetime.fromisoformat(erasing.result()["erased_at"]) > before


def test_forget_waits_for_batches_in_several_tries_and_is_an_outage_when_they_do_not_end(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database_module.SETTINGS, "lock_timeout", "50")
    ingest.invoke(event(record(login(user_id=ANN))))
    request = {"action": "forget", "subject": ANN, "reason": "legal_obligation", "ticket": "PRIV-1"}
    with database.second_session() as other:
        other.run("BEGIN")
        erasures.share(other)
        assert forgetting.call(request, remaining_seconds=3)[0] == 503
        other.run("ROLLBACK")
    assert len(database.rows()) == 1
    assert forgetting.call(request)[0] == 200


def test_batches_and_erasures_at_once_leave_no_row_of_the_person_and_every_value_of_a_row_sealed(
    database: TestDatabase, environments: Callable[[], Environment], forgetting: Forgetting
) -> None:
    def deliver(ingest: Environment) -> None:
        for number in range(15):
            people = [record(login(user_id=user, ip=f"10.0.0.{number % 3}")) for user in (ANN, BOB)]
            assert ingest.invoke(event(*people)) == NOTHING_FAILED

    with ThreadPoolExecutor(max_workers=3) as executor:
        delivering = [executor.submit(deliver, environments()) for _ in range(2)]
        erasing = executor.submit(lambda: [forgetting.forget(ANN) for _ in range(8)])
        for delivered in delivering:
            delivered.result()
        erasing.result()
    assert {found["user_id"] for found in database.rows()} == {BOB}
    assert len(database.rows()) == 30
    assert sealed_tokens(database) == {
        *(token("ip", f"10.0.0.{number}") for number in range(3)),
        token("device_id", login()["device_id"]),
    }
    assert database.value("SELECT count(*) FROM pii_vault WHERE key_id NOT IN (SELECT id FROM pii_vault_key)") == 0


# Late messages


def test_a_late_message_is_acknowledged_and_not_stored_and_one_sent_after_the_erasure_is_stored(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting
) -> None:
    erased_at = datetime.fromisoformat(forgetting.forget(ANN)["erased_at"])
    late, sent_after, theirs = record(login(user_id=ANN)), record(login(user_id=ANN)), record(login(user_id=BOB))
    sent_after["attributes"]["SentTimestamp"] = str(milliseconds(erased_at + timedelta(seconds=1)))
    assert ingest.invoke(event(late, sent_after, theirs)) == NOTHING_FAILED
    assert ids(database) == {sent_after["messageId"], theirs["messageId"]}
    assert database.rows("rejection") == []


def test_a_redriven_message_counts_by_the_time_at_which_it_was_first_sent(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting
) -> None:
    erased_at = datetime.fromisoformat(forgetting.forget(ANN)["erased_at"])
    redriven = []
    for sent_at in (erased_at - timedelta(seconds=1), erased_at + timedelta(seconds=1)):
        message_id = str(uuid4())
        first_sent = {"sluice_message_id": message_id, "sluice_sent_at": str(milliseconds(sent_at))}
        redriven.append(record(login(user_id=ANN), **first_sent))
        redriven[-1]["attributes"]["SentTimestamp"] = str(milliseconds(erased_at + timedelta(days=1)))
    assert ingest.invoke(event(*redriven)) == NOTHING_FAILED
    assert ids(database) == {redriven[1]["messageAttributes"]["sluice_message_id"]["stringValue"]}


def test_a_late_message_of_a_person_known_by_token_alone_is_not_stored(
    database: TestDatabase,
    environments: Callable[[], Environment],
    forgetting: Forgetting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STREAM", "orders")
    forgetting.forget(ANN)
    order = {
        "order_id": str(uuid4()),
        "placed_at": "2026-01-31T12:00:00Z",
        "status": "new",
        "total": 12,
        "customer": {"email": "ann@EXAMPLE.com", "name": "A. Name"},
        "lines": [],
    }
    theirs = record(json.dumps(order | {"customer": {"email": BOB, "name": "B."}}))
    assert environments().invoke(event(record(json.dumps(order)), theirs)) == NOTHING_FAILED
    assert ids(database, "orders") == {theirs["messageId"]}
    assert sealed_tokens(database) == {token("email", BOB)}


# Environments that remember


@pytest.mark.parametrize("removal", ["forget", "sweep"])
def test_a_warm_environment_seals_anew_what_was_removed(
    removal: str, database: TestDatabase, ingest: Environment, forgetting: Forgetting
) -> None:
    ingest.invoke(event(record(login(user_id=ANN))))
    before = sealed_tokens(database)
    if removal == "forget":
        forgetting.forget(ANN)
    else:
        database.sql("DELETE FROM user_logins")
    assert forgetting.sweep()["data_keys"] == 1
    assert sealed_tokens(database) == set()
    ingest.invoke(event(record(login(user_id=BOB))))
    assert sealed_tokens(database) == before
    assert database.value("SELECT count(*) FROM pii_vault_key") == 1


def test_after_a_dry_run_a_warm_environment_seals_nothing_again(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting
) -> None:
    ingest.invoke(event(record(login(user_id=ANN))))
    forgetting.forget(ANN, dry_run=True)
    database.sql("DELETE FROM pii_vault")  # behind everyone's back
    ingest.invoke(event(record(login(user_id=BOB))))
    assert sealed_tokens(database) == set()
