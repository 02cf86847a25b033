"""pg8000, as far as other rooms use it: a connection, its errors, and names and texts quoted for SQL."""

import io
import socket
import ssl
import time
from collections.abc import Buffer, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pg8000 import native
from pg8000.converters import make_params
from pg8000.core import NULL_BYTE, SYNC_MSG, Context, _flush, _write
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import identifier, literal

__all__ = ["Connection", "DatabaseError", "InterfaceError", "identifier", "literal", "quoted_table"]

# https://www.postgresql.org/docs/current/protocol-message-formats.html (ReadyForQuery)
IN_TRANSACTION = b"T"
ANSWER_SECONDS = 0.5  # a statement ends so long before the deadline: the server can still say why
FAREWELL_SECONDS = 1.0  # to roll back or say goodbye when the time is over
TIMER_SECONDS = 0.05  # by which a wait may exceed the deadline
RENEWAL_SECONDS = 1.0  # a time limit that was set so long ago is set again


class Connection(native.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A connection on which neither we nor the server work beyond the deadline.

    Every statement takes one round trip. With pg8000 alone, one with parameters takes three.
    """

    def __init__(self, user: str, **options: Any) -> None:
        self._wire: _Wire | None = None
        self._unread = 0  # answers that come before that to the last statement
        self._limited_at = 0.0  # when the server was last told how long a statement may take; 0: it must be told
        self._last: list[str] = []  # statements that are run with the one that ends the transaction
        super().__init__(user, **options)
        self._wire = _Wire(self._usock)
        self._sock = io.BufferedRWPair(self._wire, self._wire)

    def begin(self, settings: Mapping[str, str], seconds: float, answer_seconds: float) -> None:
        """Begin a transaction of so many seconds that can write, with settings of its own, in one round trip.

        Raises TimeoutError when the server has not answered after `answer_seconds`.
        """
        began = time.monotonic()
        self._last = []
        statements = ["BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"]
        if self._knows_transaction_timeout:
            latest = _milliseconds(seconds + FAREWELL_SECONDS)
            # A transaction_timeout that runs already, as by a role's setting, keeps its time: only 0 stops it.
            statements += ["SET LOCAL transaction_timeout = 0", f"SET LOCAL transaction_timeout = {latest}"]
        statements += [f"SET LOCAL {name} = {value}" for name, value in settings.items()]
        self._wait_until(began + answer_seconds)
        self.run("; ".join([*statements, _limit(seconds)]))
        self._wait_until(began + seconds)
        self._limited_at = began

    def run_alone(self, sql: str, seconds: float) -> None:
        """Run a statement outside of a transaction, without a time limit of its own. Raises TimeoutError."""
        self._wait_until(time.monotonic() + seconds)
        for setting in ("statement_timeout", "lock_timeout"):
            self.run(f"SET {setting} = 0")
        self.run(sql)

    def run_last(self, sql: str) -> None:
        """Have a statement run at the end of the transaction, where it takes no round trip of its own."""
        self._last.append(sql)

    def end(self, statement: str) -> None:
        """Run what is left, and end the transaction with COMMIT or ROLLBACK. Without an error all of it was done."""
        self.run("; ".join([*self._last, statement]))

    def roll_back(self) -> None:
        """End the transaction without a trace. There is a moment for it also after the deadline."""
        self._wait_until(time.monotonic() + FAREWELL_SECONDS)
        self.run("ROLLBACK")

    def close(self) -> None:
        """Close the connection, whatever state it is in. There is a moment for it also after the deadline."""
        self._wait_until(time.monotonic() + FAREWELL_SECONDS)
        file = self._sock
        try:
            super().close()
        finally:
            if file:  # else the socket stays open for as long as anybody holds the error
                with suppress(OSError):  # of what could not be sent
                    file.close()

    def send_QUERY(self, sql: str) -> None:
        """Send a simple query, and before it how long it may take."""
        self._renew_limit()
        super().send_QUERY(sql)
        if sql.startswith("ROLLBACK TO"):  # to a savepoint: it also brings back the time limit of then
            self._limited_at = 0.0

    def execute_unnamed(self, statement: str, vals: Any = (), oids: Any = (), stream: Any = None) -> Context:
        """Parse, describe, bind and execute a statement with parameters.

        The prepared statement has no name and is used at once, within a transaction: a pooler keeps the session.
        https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
        """
        context = Context(statement, stream=stream)
        params = make_params(self.py_types, vals)
        self._renew_limit()
        self.send_PARSE(NULL_BYTE, statement, oids)
        self.send_DESCRIBE_STATEMENT(NULL_BYTE)
        self.send_BIND(NULL_BYTE, params)
        self.send_EXECUTE()
        _write(self._sock, SYNC_MSG)
        _flush(self._sock)
        self.handle_messages(context)
        return context

    def handle_COMMAND_COMPLETE(self, data: bytes, context: Context) -> None:
        """Note that a statement is done, and how many rows it took. There are a dozen SETs in a transaction."""
        if data != b"SET\0":
            super().handle_COMMAND_COMPLETE(data, context)

    def handle_messages(self, context: Context) -> None:
        """Read the answer to the last statement, and those that come before it."""
        while self._unread:
            self._unread -= 1
            try:
                super().handle_messages(Context("SET"))
            except DatabaseError:
                with suppress(DatabaseError):  # it only says that the transaction has failed
                    super().handle_messages(context)
                raise
        super().handle_messages(context)

    def handle_PARAMETER_STATUS(self, data: bytes, context: Context) -> None:
        """Note what the server says of itself, but not its client_encoding.

        That is UTF8 in each of our transactions. A pooler need not tell that of the session which it gives us.
        """
        if not data.startswith(b"client_encoding\0"):
            super().handle_PARAMETER_STATUS(data, context)

    @property
    def tls(self) -> str | None:
        """The version of TLS that the connection has, or None without it."""
        return self._usock.version() if isinstance(self._usock, ssl.SSLSocket) else None

    @property
    def certificate_ends_at(self) -> datetime | None:
        """When the server's certificate ends, or None without TLS."""
        if not isinstance(self._usock, ssl.SSLSocket):
            return None
        ends_at = str((self._usock.getpeercert() or {})["notAfter"])
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends_at), UTC)

    @property
    def announced_pid(self) -> int:
        """The process id that the server gave when we connected; a pooler gives one of its own, or 0."""
        return int.from_bytes((self._backend_key_data or b"")[:4], signed=True)

    @property
    def _knows_transaction_timeout(self) -> bool:
        major, _, _ = str(self.parameter_statuses.get("server_version", "")).partition(".")
        return major.isdigit() and int(major) >= 17

    def _wait_until(self, moment: float) -> None:
        if self._wire:
            self._wire.until = moment

    def _renew_limit(self) -> None:
        """Have the server told how long the next statement may take, unless it was a moment ago."""
        now = time.monotonic()
        if self._transaction_status == IN_TRANSACTION and now - self._limited_at > RENEWAL_SECONDS and self._wire:
            super().send_QUERY(_limit(self._wire.until - now))
            self._unread += 1
            self._limited_at = now


class _Wire(io.RawIOBase):
    """A socket as a file. Reads and writes raise TimeoutError from `until` on, however much has come by then."""

    def __init__(self, sock: socket.socket) -> None:
        self.until = 0.0  # by `time.monotonic`
        self._socket = sock
        self._set_for = self._set_at = -1.0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._set_timeout()
        return self._socket.recv_into(buffer)

    def write(self, data: Buffer) -> int:
        self._set_timeout()
        return self._socket.send(data)

    def _set_timeout(self) -> None:
        now = time.monotonic()
        if now >= self.until:
            raise TimeoutError
        if self._set_for != self.until or now - self._set_at > TIMER_SECONDS:  # a system call
            self._socket.settimeout(self.until - now)
            self._set_for, self._set_at = self.until, now


def _limit(seconds: float) -> str:
    """Return the statement that gives each of the following ones so much time, less what the answer takes."""
    return f"SET LOCAL statement_timeout = {_milliseconds(max(seconds - ANSWER_SECONDS, seconds / 2))}"


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))  # 0 would be for ever


def quoted_table(name: str) -> str:
    """Return a table's name for SQL; it may have its schema's before it, as in `crm.sign_ups`."""
    return ".".join(str(identifier(part)) for part in name.split("."))
