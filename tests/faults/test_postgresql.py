"""PostgreSQL fails, stops, refuses or is in the way: nothing is lost, and most of it costs no batch."""

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from pg8000.exceptions import DatabaseError

from tests.faults.conftest import Sending
from tests.faults.test_function_killed import middle
from tools.testing.faults.postgres import MAX_CONNECTIONS
from tools.testing.faults.site import INGEST_ROLE, PASSWORD, Site

FEW_SECONDS = 4.0  # of which the function keeps two to answer


@pytest.fixture
def warm(here: Site, sending: Sending) -> Site:
    """The site with an environment that has written before."""
    sending(10).drain(here.invoke)
    return here


def in_few_seconds(here: Site) -> Callable[..., dict[str, object]]:
    return lambda event: here.invoke(event, FEW_SECONDS)


# Sessions and the server end


def test_a_session_terminated_during_copy_costs_no_batch(
    warm: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    queue = sending()
    halt = warm.way.halt_at(middle(queue))
    delivery = thread.submit(queue.deliver, warm.invoke, 1000)
    halt.wait()
    warm.disconnect_all()
    halt.go_on()
    delivery.result()
    assert queue.failures == []


def test_a_server_killed_during_copy_loses_nothing(warm: Site, sending: Sending, thread: ThreadPoolExecutor) -> None:
    queue = sending()
    halt = warm.way.halt_at(middle(queue))
    delivery = thread.submit(queue.deliver, warm.invoke, 1000)
    halt.wait()
    warm.postgres.kill()
    halt.go_on()
    delivery.result()
    assert len(queue.failures) == 1 and queue.failures[0].startswith("Failed: Outage: ")
    warm.postgres.start_again()


def test_a_server_killed_after_commit_keeps_what_it_said_it_has(warm: Site, sending: Sending) -> None:
    sending().drain(warm.invoke)
    warm.postgres.kill()
    warm.postgres.start_again()


def test_a_server_restarted_between_two_batches_costs_no_batch(warm: Site, sending: Sending) -> None:
    warm.postgres.restart()
    queue = sending()
    queue.drain(warm.invoke)
    assert queue.failures == []


def test_a_server_that_is_frozen_is_an_outage_in_time(warm: Site, sending: Sending) -> None:
    queue = sending()
    warm.postgres.freeze()
    try:
        queue.deliver(in_few_seconds(warm))
    finally:
        warm.postgres.thaw()
    assert len(queue.failures) == 1 and queue.failures[0].startswith("Failed: Outage: ")


def test_a_server_that_is_frozen_is_an_outage_in_time_for_a_cold_function_too(here: Site, sending: Sending) -> None:
    queue = sending()
    here.postgres.freeze()
    try:
        queue.deliver(in_few_seconds(here))
    finally:
        here.postgres.thaw()
    assert len(queue.failures) == 1 and queue.failures[0].startswith("Failed: Outage: ")


# The server refuses


BREAKS = {
    "schema missing": ("ALTER SCHEMA public RENAME TO away", "ALTER SCHEMA away RENAME TO public", "42P01"),
    "disk full": (  # not a full disk: the error of one, raised where a batch seals its values
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'could not extend file %', NEW USING ERRCODE = '53100'; END $$;"
        "CREATE TRIGGER fill BEFORE INSERT ON pii_vault FOR EACH ROW EXECUTE FUNCTION fill()",
        "DROP FUNCTION fill CASCADE",
        "53100",
    ),
    "grant revoked": (
        f'REVOKE INSERT ON user_logins FROM "{INGEST_ROLE}"',
        f'GRANT INSERT ON user_logins TO "{INGEST_ROLE}"',
        "42501",
    ),
    "missing partition": (
        "ALTER TABLE user_logins RENAME TO whole;"
        "CREATE TABLE user_logins (LIKE whole INCLUDING GENERATED, PRIMARY KEY (message_id))"
        " PARTITION BY HASH (message_id);"
        "CREATE TABLE user_logins_0 PARTITION OF user_logins FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        f'GRANT INSERT, SELECT (message_id) ON user_logins TO "{INGEST_ROLE}"',
        "CREATE TABLE user_logins_1 PARTITION OF user_logins FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "23514",
    ),
}


@pytest.mark.parametrize(("breaks", "heals", "code"), BREAKS.values(), ids=BREAKS.keys())
def test_what_the_server_refuses_of_every_row_costs_no_row(
    breaks: str, heals: str, code: str, here: Site, sending: Sending
) -> None:
    here.invoke({"Records": []})  # the keyset is compared
    queue = sending(junk=True)
    here.sql(breaks)
    queue.deliver(here.invoke, 1000)
    assert len(queue.failures) == 1 and f"SQLSTATE {code}" in queue.failures[0]
    here.sql(heals)


def test_a_database_that_is_read_only_by_default_costs_no_batch(here: Site, sending: Sending) -> None:
    queue = sending(junk=True)
    here.sql(f"ALTER DATABASE {here.database} SET default_transaction_read_only TO on")
    queue.deliver(here.invoke, 1000)
    assert queue.failures == []
    here.sql(f"BEGIN READ WRITE; ALTER DATABASE {here.database} RESET default_transaction_read_only; COMMIT")
    here.disconnect_all()


def test_a_file_that_cannot_grow_costs_no_row(here: Site, sending: Sending) -> None:
    """A quota of the operating system on what the server writes: the nearest to a full disk that needs no mount."""
    rows = 32_000  # 18 MB: more than a file of the write-ahead log, whose failure would end the server
    here.sql(
        "ALTER TABLE user_logins SET (autovacuum_enabled = off);"
        "INSERT INTO user_logins (user_id, device_type, masked_ip, masked_device_id, app_version, app_version_text,"
        " sent_at, message_id) SELECT '', '', repeat('x', 250), repeat('x', 250), 0, '', now(), gen_random_uuid()"
        f" FROM generate_series(1, {rows}); DELETE FROM user_logins"
    )
    ((size,),) = here.sql("SELECT pg_relation_size('user_logins')")
    assert size > 17 * 2**20
    here.postgres.restart(file_bytes=size)
    queue = sending(5000)  # more than the free pages that PostgreSQL has put at a table's end
    queue.deliver(here.invoke, 5000)
    here.postgres.restart()
    assert len(queue.failures) == 1 and queue.failures[0].startswith("Failed: Outage: database: SQLSTATE ")


@pytest.fixture
def small_disk(here: Site) -> Iterator[Path]:
    """A file system of 256 kB with the logins in it, and nothing else of the database."""
    disk = here.postgres.folder / "disk"
    disk.mkdir()
    owner = f"uid={here.postgres.folder.stat().st_uid},mode=700"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=256k,{owner}", "tmpfs", disk], check=False)
    if mounted.returncode != 0:
        disk.rmdir()
        pytest.skip("to mount a file system takes root; the test before has a quota instead")
    try:
        here.sql(f"CREATE TABLESPACE small LOCATION '{disk}'")
        here.sql("ALTER TABLE user_logins SET TABLESPACE small")
        yield disk
        here.sql("ALTER TABLE user_logins SET TABLESPACE pg_default")
        here.sql("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
        disk.rmdir()


def test_a_full_disk_costs_no_row(small_disk: Path, here: Site, sending: Sending) -> None:
    queue = sending(5000)
    queue.deliver(here.invoke, 5000)
    assert queue.failures == ["Failed: Outage: database: SQLSTATE 53100"]
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)


def test_max_connections_used_up_costs_no_row(here: Site, sending: Sending) -> None:
    queue = sending(junk=True)
    with ExitStack() as sessions:
        with suppress(DatabaseError):  # one more than there may be
            for _ in range(MAX_CONNECTIONS + 1):
                sessions.enter_context(here.connect(INGEST_ROLE, PASSWORD))
        queue.deliver(here.invoke, 1000)
    assert queue.failures == ["Failed: Outage: database: SQLSTATE 53300"]


# Others are in the way


@pytest.fixture
def other(here: Site) -> Iterator[Callable[[str], object]]:
    """Run SQL in a second session."""
    with here.connect() as session:
        yield session.run


def test_a_table_locked_for_longer_than_the_retries_costs_no_row(
    warm: Site, sending: Sending, other: Callable[[str], object]
) -> None:
    queue = sending()
    other("BEGIN; LOCK TABLE user_logins")
    queue.deliver(in_few_seconds(warm))
    assert len(queue.failures) == 1 and queue.failures[0].startswith("Failed: Outage: ")
    other("ROLLBACK")


def test_a_table_locked_for_a_while_costs_no_batch(
    warm: Site, sending: Sending, other: Callable[[str], object], thread: ThreadPoolExecutor
) -> None:
    queue = sending()
    other("BEGIN; LOCK TABLE user_logins")
    delivery = thread.submit(queue.deliver, warm.invoke, 1000)
    waits(warm)
    other("ROLLBACK")
    delivery.result()
    assert queue.failures == []


INSERT = (
    "INSERT INTO user_logins (user_id, device_type, masked_ip, masked_device_id, app_version, app_version_text,"
    " sent_at, message_id) VALUES ('', '', '', '', 0, '', '1970-01-01', '{}')"
)


def test_a_deadlock_with_another_session_costs_no_batch(
    warm: Site, sending: Sending, other: Callable[[str], object], thread: ThreadPoolExecutor
) -> None:
    queue = sending()
    first, *_, last = sorted(message.identity for message in queue.sent)
    other("BEGIN; SET LOCAL deadlock_timeout TO '1min'")  # so that ingest looks for it first, and loses
    other(INSERT.format(last))
    delivery = thread.submit(queue.deliver, warm.invoke, 1000)
    waits(warm)
    other(INSERT.format(first))
    other("ROLLBACK")
    delivery.result()
    assert queue.failures == []
    assert warm.way.sent.count(b"ROLLBACK\0") == 1


def test_a_twin_in_a_database_of_another_isolation_level_costs_no_batch(
    here: Site, sending: Sending, thread: ThreadPoolExecutor
) -> None:
    """At REPEATABLE READ an ON CONFLICT DO NOTHING would fail on a row that its snapshot does not have."""
    here.sql(f"ALTER DATABASE {here.database} SET default_transaction_isolation TO 'repeatable read'")
    sending(10).drain(here.invoke)
    queue = sending()
    twin = here.environment()
    twin.invoke({"Records": []})  # the keyset is compared
    halt = here.way.halt_at(b"COMMIT\0")
    one = thread.submit(twin.invoke, {"Records": [message.record() for message in queue.sent]})
    halt.wait()  # the twin has written and not committed
    delivery = thread.submit(queue.deliver, here.invoke, 1000)
    waits(here)
    halt.go_on()
    assert one.result() == {"batchItemFailures": []}
    delivery.result()
    assert queue.failures == []


def waits(here: Site) -> None:
    """Return as soon as a session of the function waits for a lock."""
    until(
        here,
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND application_name = 'sluice-ingest'",
    )


def until(here: Site, query: str) -> None:
    """Poll until a query returns something."""
    deadline = time.monotonic() + 20
    while not here.sql(query):
        assert time.monotonic() < deadline, "did not happen in time"
