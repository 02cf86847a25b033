"""Each message is one row, however often, in whatever order and by however many environments it is delivered."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from sluice.deadline import Deadline
from sluice.failures import Outage
from tests.integration.databases import TestDatabase, plain_address
from tests.integration.environment import Environment, OpenStore, write
from tests.integration.messages import event, masked_rows, numbered, record, row
from tools.testing.faults.proxy import Proxy, proxy

COMMIT = b"COMMIT\0"


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor


@pytest.fixture
def way(database: TestDatabase) -> Iterator[Proxy]:
    """The way to the database, which can be cut."""
    with proxy(plain_address(database.server)) as way:
        yield way


def test_two_environments_at_once_write_each_message_once_and_never_deadlock(
    database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    rounds, size = 8, 1000
    start = Barrier(2)

    def deliver(step: int) -> list[int]:
        store = open_store()
        written = []
        for number in range(rounds):
            rows = masked_rows(range(number * size, (number + 1) * size))[::step]
            start.wait()
            count, duplicates, refused = write(store, rows, deadline)
            assert (count + duplicates, refused) == (size, [])
            written.append(count)
        return written

    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = database.value(deadlocks)
    with ThreadPoolExecutor(2) as executor:
        forwards, backwards = executor.map(deliver, (1, -1))
    assert [sum(counts) for counts in zip(forwards, backwards, strict=True)] == [size] * rounds
    assert database.value("SELECT array_agg(message_id::text ORDER BY message_id) FROM user_logins") == [
        numbered(number) for number in range(rounds * size)
    ]
    database.disconnect_all()  # a session reports its statistics at the latest when it ends
    assert database.value(deadlocks) == before


def test_a_commit_whose_answer_is_lost_is_one_row_when_the_batch_comes_again(
    database: TestDatabase, open_store: OpenStore, deadline: Deadline, way: Proxy
) -> None:
    store = open_store(settings=database.settings(port=way.port))
    way.cut_answers_to(COMMIT, times=1)
    with pytest.raises(Outage, match=r"^database: connection lost, \w+$"):
        write(store, masked_rows([1, 2]), deadline)
    stored = database.rows()
    assert [found["message_id"] for found in stored] == [numbered(1), numbered(2)]
    assert write(store, masked_rows([1, 2]), deadline) == (0, 2, [])
    assert database.rows() == stored


@pytest.mark.parametrize(("cuts", "outcome"), [(1, (0, 2, [])), (2, None)], ids=["once", "twice"])
def test_a_commit_whose_answer_is_lost_on_a_kept_connection_is_tried_again_once(
    cuts: int,
    outcome: tuple[int, int, list[str]] | None,
    database: TestDatabase,
    open_store: OpenStore,
    deadline: Deadline,
    way: Proxy,
) -> None:
    store = open_store(settings=database.settings(port=way.port))
    write(store, masked_rows([1]), deadline)
    way.cut_answers_to(COMMIT, cuts)
    if outcome is None:
        with pytest.raises(Outage, match=r"^database: connection lost, \w+$"):
            write(store, masked_rows([2, 3]), deadline)
    else:
        assert write(store, masked_rows([2, 3]), deadline) == outcome
    assert [found["message_id"] for found in database.rows()] == [numbered(number) for number in (1, 2, 3)]


def test_a_connection_that_ended_between_two_batches_is_replaced(database: TestDatabase, ingest: Environment) -> None:
    first, second = record(message_id=numbered(1)), record(message_id=numbered(2))
    ingest.invoke(event(first))
    database.disconnect_all()
    assert ingest.invoke(event(first, second)) == {"batchItemFailures": []}
    assert database.rows() == [row(first), row(second)]


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_a_connection_that_ends_within_the_transaction_costs_no_message(
    warm: bool, database: TestDatabase, open_store: OpenStore, deadline: Deadline, thread: ThreadPoolExecutor
) -> None:
    store = open_store()
    rows = masked_rows([1, 2])
    if warm:
        write(store, masked_rows([2]), deadline)
    with database.second_session() as other:
        other.run("BEGIN; LOCK TABLE user_logins")
        writing = thread.submit(write, store, rows, deadline)
        database.terminate(database.one_waits())
        if not warm:  # then it was opened for this batch, and is not opened a second time
            assert isinstance(writing.exception(), Outage)
        other.run("ROLLBACK")
    if warm:
        assert writing.result() == (1, 1, [])
    assert write(store, rows, deadline) == ((0, 2, []) if warm else (2, 0, []))
    assert [found["message_id"] for found in database.rows()] == [numbered(1), numbered(2)]
