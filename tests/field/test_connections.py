"""Connections that are half open, lead to a server without writes, or never end: no invocation is lost or late."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import pytest

from sluice.failures import Outage
from sluice.postgres import database as database_module
from sluice.postgres import driver
from sluice.postgres.credentials import Credentials
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.settings import DatabaseSettings
from tests.integration.databases import INGEST_ROLE, TestDatabase, in_seconds, plain_address
from tests.integration.environment import Environment
from tests.integration.messages import event, failures, record
from tests.integration.test_outages import certificate_file
from tools.local.postgres import Postgres
from tools.testing.faults.proxy import Proxy, proxy

pytestmark = pytest.mark.directly("it is about connections, which a pooler makes and ends by itself")

__all__ = ["certificate_file"]

needs_a_standby = pytest.mark.own_server("it starts a standby that takes the same login")

type Open = Callable[[int], Database]


@pytest.fixture
def way(any_database: TestDatabase) -> Iterator[Proxy]:
    """A proxy before the server."""
    with proxy(plain_address(any_database.server)) as way:
        yield way


@pytest.fixture
def open_database(server: Postgres) -> Iterator[Open]:
    """Use the server behind a port, as the superuser."""
    opened: list[Database] = []

    def make(port: int) -> Database:
        where = DatabaseSettings(
            host="127.0.0.1",
            port=port,
            name=server.database,
            secret_id="unread",
            username="",
            tls="disable",
            certificate_authority=None,
        )
        opened.append(Database(where, "sluice-test"))
        opened[-1]._credentials = Credentials(server.user, server.password)
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def standby(server: Postgres) -> Iterator[Postgres]:
    """A server in recovery that takes the same login: it answers, and takes no writes."""
    folder = Path(mkdtemp(prefix="sluice-"))
    folder.chmod(0o711)
    standby = Postgres(folder / "postgres", password=server.password)
    try:
        standby.start()
        standby.stop()
        (standby._data / "standby.signal").touch()
        standby._start_on_a_free_port()
        yield standby
    finally:
        standby.stop()
        rmtree(folder)


def one(connection: Connection) -> Any:
    return connection.run("SELECT 1")


@needs_a_standby
def test_a_kept_connection_to_a_demoted_server_is_replaced_within_the_invocation(
    standby: Postgres, way: Proxy, server: Postgres, open_database: Open
) -> None:
    database = open_database(way.port)
    way.target = standby.host, standby.port
    demoted = database._connect(in_seconds(10))
    way.target = server.host, server.port
    assert database.transact(one, in_seconds(10)) == [[1]]
    assert database._connection is not demoted


@needs_a_standby
def test_a_server_that_takes_no_writes_is_an_outage(standby: Postgres, open_database: Open) -> None:
    with pytest.raises(Outage, match=r"^database: SQLSTATE 0A000, the server takes no writes$"):
        open_database(standby.port).transact(one, in_seconds(10))


def test_a_connection_that_is_half_open_costs_no_invocation(
    database: TestDatabase, way: Proxy, ingest: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "PROOF_SECONDS", 0.3)
    monkeypatch.setenv("DATABASE_PORT", str(way.port))
    assert ingest.invoke(event(record())) == failures()
    halt = way.halt_at(b"BEGIN")
    began = time.monotonic()
    assert ingest.invoke(event(record())) == failures()
    assert 0.3 <= time.monotonic() - began < 5
    halt.cut()
    assert len(database.rows()) == 2


def test_the_proof_takes_at_most_five_seconds() -> None:
    assert database_module.PROOF_SECONDS == 5


@pytest.fixture
def talker() -> Iterator[int]:
    """The port of a server that takes no login and says something all the time (NoticeResponse)."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as thread:

        def talk() -> None:
            with suppress(OSError), listening.accept()[0] as client:
                while True:
                    client.sendall(b"N\0\0\0\5\0")
                    time.sleep(0.02)

        thread.submit(talk)
        yield listening.getsockname()[1]


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(("opening_seconds", "seconds_left"), [(0.5, 60), (60, 0.5)], ids=["limit", "deadline"])
def test_the_opening_of_a_connection_is_bounded_as_a_whole(
    opening_seconds: float,
    seconds_left: float,
    is_tls: bool,
    talker: int,
    certificate_file: Path,
    open_database: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database_module, "OPENING_SECONDS", opening_seconds)
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.load_cert_chain(certificate_file)
    with proxy(("127.0.0.1", talker), certificate if is_tls else None) as way:
        database = open_database(way.port)
        if is_tls:
            database._settings = replace(
                database._settings, host="localhost", tls="verify-full", certificate_authority=certificate_file
            )
        with pytest.raises(Outage, match=r"^database: no connection, TimeoutError$"):
            database.transact(one, in_seconds(seconds_left))


def test_a_connection_is_opened_within_five_seconds() -> None:
    assert database_module.OPENING_SECONDS == 5


def test_the_deadline_ends_an_answer_that_comes_piece_by_piece(way: Proxy, open_database: Open) -> None:
    def work(connection: Connection) -> None:
        connection.run("SET LOCAL statement_timeout = 0; SET LOCAL transaction_timeout = 0")
        connection.run("SELECT repeat('x', 9000), pg_sleep(0.1) FROM generate_series(1, 100)")

    began = time.monotonic()
    with pytest.raises(Outage):
        open_database(way.port).transact(work, in_seconds(1))
    assert time.monotonic() - began < 3


def test_the_server_ends_a_statement_in_time_to_say_so(way: Proxy, open_database: Open) -> None:
    database = open_database(way.port)
    with pytest.raises(Outage, match=r"^database: SQLSTATE 57014$"):
        database.transact(lambda connection: connection.run("SELECT pg_sleep(10)"), in_seconds(2))


@pytest.mark.parametrize("parameters", [{}, {"n": 1}], ids=["simple", "extended"])
def test_each_further_statement_gets_what_is_left(
    parameters: dict[str, int], way: Proxy, open_database: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "RENEWAL_SECONDS", 0.1)
    query = "SELECT setting::integer FROM pg_settings WHERE name = 'statement_timeout'"
    query += " AND :n = 1" if parameters else ""

    def work(connection: Connection) -> list[int]:
        limits = []
        for _ in range(3):
            limits.append(connection.run(query, **parameters)[0][0])
            connection.run("SELECT pg_sleep(0.2)")
        return limits

    first, second, third = open_database(way.port).transact(work, in_seconds(60))
    assert 50_000 < third < second - 150 < first - 300 < 60_000


def test_a_savepoint_brings_no_older_limit_back(
    way: Proxy, open_database: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "RENEWAL_SECONDS", 0.1)

    def work(connection: Connection) -> tuple[str, str]:
        connection.run("SAVEPOINT here; SELECT pg_sleep(0.2)")
        ((before,),) = connection.run("SHOW statement_timeout")
        with suppress(driver.DatabaseError):
            connection.run("SELECT 1 / 0")
        connection.run("ROLLBACK TO SAVEPOINT here")
        ((after,),) = connection.run("SHOW statement_timeout")
        return before, after

    before, after = open_database(way.port).transact(work, in_seconds(10))
    assert int(after.removesuffix("ms")) <= int(before.removesuffix("ms"))


def test_a_batch_of_known_values_takes_five_round_trips(
    database: TestDatabase, ingest: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[str] = []

    def noted(name: str) -> None:
        original = getattr(driver._Wire, name)

        def method(self: object, data: object) -> object:
            if turns[-1:] != [name]:
                turns.append(name)
            return original(self, data)

        monkeypatch.setattr(driver._Wire, name, method)

    ingest.invoke(event(record()))
    noted("readinto")
    noted("write")
    assert ingest.invoke(event(record(), record())) == failures()
    assert turns.count("write") == 5  # BEGIN, lock and erasures, COPY, its rows, COMMIT
    turns.clear()
    bad = record("junk")
    assert ingest.invoke(event(record(), bad)) == failures(bad)
    assert turns.count("write") == 6  # and the rejection


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            "ALTER ROLE {role} NOLOGIN",
            "28000, no such role, it may not log in, the server wants TLS, or pg_hba.conf has",
        ),
        ("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC, {role}", "42501, the role may not connect"),
    ],
    ids=["no login", "no right to connect"],
)
def test_a_login_that_is_refused_tells_what_it_can_be(
    change: str, why: str, database: TestDatabase, ingest: Environment
) -> None:
    names = {"role": INGEST_ROLE, "database": database.server.database}
    database.sql(change.format(**names))
    try:
        with pytest.raises(Outage) as raised:
            ingest.invoke(event(record()))
        assert str(raised.value).startswith(f"database: SQLSTATE {why}")
    finally:
        database.sql("GRANT CONNECT ON DATABASE {database} TO PUBLIC".format(**names))


def _until_refused(ingest: Environment) -> None:
    """Invoke until the server has read its rules anew."""
    for _ in range(100):
        ingest.invoke(event(record()))
        ingest.store._database.close()


def test_a_server_that_wants_tls_is_told_so(database: TestDatabase, ingest: Environment) -> None:
    """It has no line in pg_hba.conf for a login without TLS."""
    rules = database.server._data / "pg_hba.conf"
    kept = rules.read_text()
    rules.write_text(f"hostnossl all {INGEST_ROLE} all reject\n{kept}")
    database.sql("SELECT pg_reload_conf()")
    try:
        with pytest.raises(Outage, match=r"^database: SQLSTATE 28000, .*the server wants TLS"):
            _until_refused(ingest)
    finally:
        rules.write_text(kept)
        database.sql("SELECT pg_reload_conf()")
