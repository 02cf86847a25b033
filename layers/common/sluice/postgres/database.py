"""PostgreSQL: transactions, each on a connection that is alive, verified and bounded in time."""

import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from threading import Event, Timer
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.postgres import credentials, sqlstate
from sluice.postgres.driver import Connection, DatabaseError, InterfaceError
from sluice.postgres.sqlstate import Meaning
from sluice.settings import DatabaseSettings

SCHEMA = "public"  # what Sluice's tables and functions are in

# What our statements and pg8000 depend on. Others can change the defaults of a role and of a database, and a pooler may
# give a transaction any session. So each transaction sets all of these, for itself alone.
SETTINGS = {
    "search_path": f"{SCHEMA}, pg_temp",  # pg_temp last: a temporary table is never taken for ours
    "client_encoding": "'UTF8'",  # the server converts from and to its own encoding
    "DateStyle": "'ISO, YMD'",
    "IntervalStyle": "postgres",
    "TimeZone": "'UTC'",
    "bytea_output": "hex",
    "array_nulls": "on",
    "standard_conforming_strings": "on",
    "synchronous_commit": "on",  # what was acknowledged outlives a crash
    "exit_on_error": "off",
    "lock_timeout": "5000",  # milliseconds
    "idle_in_transaction_session_timeout": "60000",  # a function that was killed must not hold its locks for ever
}
OPENING_SECONDS = 5  # in which a connection is opened, TLS and login included
PROOF_SECONDS = 5  # in which a connection that was kept proves that it is alive
# RDS and Aurora sign with authorities of their own, which no public store is sure to hold. AWS publishes this file, and
# `make rds-ca` renews it.
RDS_AUTHORITIES = Path(__file__).with_name("rds-global-bundle.pem")


# Hints for errors whose SQLSTATE alone says too little, by where they occur.
AT_CONNECT = {
    "28000": "no such role, it may not log in, the server wants TLS, or pg_hba.conf has no line for it",
    "3D000": "no such database",
    "42501": "the role may not connect to the database",
    "58P01": "a library that a setting of the role or the database names is missing",
}
AT_BEGIN = {"0A000": "the server takes no writes"}
UNANSWERED = "database: the answer to COMMIT is lost; see in the audit log whether it was done"


class CommitUnanswered(Outage):
    """The connection was lost after COMMIT was sent: the transaction may be committed, or not."""


class Database:
    """The one connection of an execution environment: opened on first use, kept, replaced when it proves dead."""

    def __init__(self, settings: DatabaseSettings, application_name: str) -> None:
        self._settings = settings
        self._application_name = application_name
        self._credentials: credentials.Credentials | None = None
        self._connection: Connection | None = None

    def transact[T](self, work: Callable[[Connection], T], deadline: Deadline, undo: bool = False) -> T:
        """Run `work` in a transaction and return its result once that is committed, or with `undo` rolled back.

        While time is left, `work` is tried again after a serialization failure, a deadlock, a lock or a statement that
        took too long. It is tried once more on a new connection, if one kept from before proves dead or its server
        takes no writes. Raises Outage for everything else.
        """
        kept = self._connection is not None
        attempt = 0
        while True:
            connection = self._connect(deadline)
            seconds_left = deadline.seconds_left()
            begun = is_committing = False
            try:
                connection.begin(SETTINGS, seconds_left, min(seconds_left, PROOF_SECONDS) if kept else seconds_left)
                begun = True
                result = work(connection)
                is_committing = True
                connection.end("ROLLBACK" if undo else "COMMIT")
                return result
            except (DatabaseError, InterfaceError, OSError) as error:
                meaning = sqlstate.meaning(error) if begun else sqlstate.meaning_of_begin(error)
                if meaning is Meaning.RECONNECT:
                    self.close()
                    if is_committing and isinstance(work, _Once):
                        raise CommitUnanswered(UNANSWERED) from None
                    if not kept:
                        raise outage(error, {} if begun else AT_BEGIN) from None
                    kept = False
                    continue
                self._roll_back()
                attempt += 1
                # Seconds. The jitter keeps two transactions that collided from colliding again.
                pause = random.uniform(0, min(0.05 * 2**attempt, 1))  # nosec B311  # no secret
                if meaning is not Meaning.TRY_AGAIN or not deadline.allows(pause):
                    raise outage(error) from None
                time.sleep(pause)
            except BaseException:
                self.close()  # whatever this is, no later batch may find its transaction open
                raise

    def transact_once[T](self, work: Callable[[Connection], T], deadline: Deadline) -> T:
        """Run `work` as `transact` does. If the answer to COMMIT is lost, find out whether it was done.

        It is for work whose result tells what it has done. The role needs INSERT on the table `operation`. Raises
        CommitUnanswered when nobody can say whether it was done.
        """
        once = _Once(work)
        with suppress(CommitUnanswered):
            return self.transact(once, deadline)
        try:
            return self.transact(once, deadline)
        except Outage:
            raise CommitUnanswered(UNANSWERED) from None

    def run_alone(self, statement: str, deadline: Deadline) -> None:
        """Run a statement that must be in no transaction. Raises Outage, also when it is not done by the deadline.

        Then the server may go on with it, whether or not anybody still waits.
        """
        connection = self._connect(deadline)
        try:
            connection.run_alone(statement, deadline.seconds_left())
        except (DatabaseError, InterfaceError, OSError) as error:
            self.close()
            raise outage(error) from None

    def close(self) -> None:
        """Close the connection, if there is one, whatever state it is in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(InterfaceError, OSError):
                connection.close()

    def _connect(self, deadline: Deadline) -> Connection:
        if self._connection is None:
            reread = self._credentials is None
            while self._connection is None:
                self._credentials = self._credentials or credentials.login(self._settings)
                try:
                    self._connection = self._open(self._credentials, deadline)
                except DatabaseError as error:
                    if reread or sqlstate.meaning(error) is not Meaning.CREDENTIALS:
                        raise outage(error, AT_CONNECT) from None
                    reread, self._credentials = True, None  # the password may have been rotated
                except ssl.SSLCertVerificationError as error:
                    why = error.verify_message.rstrip(".")
                    raise Outage(f"database: no connection, SSLCertVerificationError, {why}") from None
                except (InterfaceError, OSError) as error:
                    raise Outage(f"database: no connection, {type(error).__name__}") from None
        return self._connection

    def _open(self, credentials: credentials.Credentials, deadline: Deadline) -> Connection:
        settings = self._settings
        seconds = min(OPENING_SECONDS, deadline.seconds_left())
        until = time.monotonic() + seconds
        sock = socket.create_connection((settings.host, settings.port), seconds)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else Nagle and delayed ACK cost 40 ms per COPY
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            with _cut_at(until, sock):
                return Connection(
                    credentials.username,
                    password=credentials.password,
                    host=settings.host,
                    database=settings.name,
                    sock=sock,
                    ssl_context=_tls(settings),
                    application_name=self._application_name,
                )
        except BaseException:
            sock.close()
            raise

    def _roll_back(self) -> None:
        try:
            if self._connection is not None:
                self._connection.roll_back()
        except (DatabaseError, InterfaceError, OSError):
            self.close()


class _Once[T]:
    """Work that is done once, in however many transactions it is tried."""

    def __init__(self, work: Callable[[Connection], T]) -> None:
        self._work = work
        self._id = uuid4()
        self._results: list[T] = []  # of each try; only the last one can have been committed

    def __call__(self, connection: Connection) -> T:
        """Do the work and return its result, or that of the try that was committed after all.

        The key of `operation` has the INSERT wait for an earlier try that is still to commit. No look-up would see it.
        """
        connection.run("INSERT INTO operation (id) VALUES (:id) ON CONFLICT DO NOTHING", id=self._id)
        if connection.row_count or not self._results:
            self._results.append(self._work(connection))
        return self._results[-1]


def now(connection: Connection) -> datetime:
    """Return the time by the server's clock. SQL's `now()` is from before the transaction got its locks."""
    rows: Any = connection.run("SELECT clock_timestamp()")
    moment: datetime = rows[0][0]
    return moment


def outage(error: Exception, hints: Mapping[str, str] = MappingProxyType({})) -> Outage:
    """Return the outage: what PostgreSQL refused, by code, names and hint alone, or that the connection is lost."""
    if isinstance(error, DatabaseError):
        hint = hints.get(sqlstate.of(error), "")
        return Outage(f"database: {sqlstate.describe(error)}" + (f", {hint}" if hint else ""))
    return Outage(f"database: connection lost, {type(error).__name__}")


@contextmanager
def _cut_at(until: float, sock: socket.socket) -> Iterator[None]:
    """Cut a connection off if work on it takes until that moment, by `time.monotonic`. Raises TimeoutError then.

    The socket's own time limit is for each call alone, so an answer that comes piece by piece outlasts it.
    """
    is_over = Event()
    same = sock.dup()  # TLS detaches the socket itself

    def cut() -> None:
        is_over.set()
        with suppress(OSError):  # it is gone already
            same.shutdown(socket.SHUT_RDWR)

    timer = Timer(until - time.monotonic(), cut)
    timer.start()
    try:
        yield
    except (InterfaceError, OSError):
        if is_over.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        timer.join()
        same.close()


def _tls(settings: DatabaseSettings) -> ssl.SSLContext | bool:
    return settings.tls != "disable" and _verifying(settings.certificate_authority)


@cache
def _verifying(authority: Path | None) -> ssl.SSLContext:
    """Return what verifies chain and host name: by that file alone, or by the system's authorities and those of RDS."""
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError:
        raise Outage("setting: DATABASE_CA, or sslrootcert: must name a file of certificates (PEM)") from None
    if authority is None:
        context.load_verify_locations(RDS_AUTHORITIES)
    return context
