"""Somebody else's PostgreSQL server, which $SLUICE_TEST_DATABASE_URL names: the tests' own database and roles on it.

Their names all end in `_of_tests`. What a killed run has left is dropped by the next one, and nothing else is touched.
"""

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection, identifier, literal
from typer import Exit

from sluice.postgres.database import _tls
from tools.local.postgres import Postgres
from tools.sluice_cli.databases import GivenDatabase, given

DATABASE = "sluice_of_tests"
ROLES = "SELECT rolname FROM pg_roles WHERE rolname LIKE '%!_of!_tests' ESCAPE '!' ORDER BY rolname = 'owner_of_tests'"
OLDEST = 15
QUIET_SECONDS = 60  # after which a run that has left its database is taken for dead
DROPPING_SECONDS = 20  # for a worker of the server's own, such as autovacuum, to leave the database


class Refused(Exception):
    """The tests cannot run on this server: says what is missing."""


class ForeignServer(Postgres):
    """A server of which the tests have a login that may make databases and roles, and neither files nor settings."""

    database = DATABASE

    def __init__(self, url: str) -> None:
        where = _given(url)
        self._given_url, self.settings = url, where.settings
        self.host, self.port = where.settings.host, where.settings.port
        login = where._credentials
        assert login is not None
        self.user, self.password = login.username, login.password
        self.version, self.is_pooled = "", False

    def __repr__(self) -> str:
        return f"ForeignServer({self.host}:{self.port})"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        pytest.skip("it needs the server's files")

    @property
    def url(self) -> str:
        options = urlsplit(self._given_url).query
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{login}@{self.host}:{self.port}/{DATABASE}" + (f"?{options}" if options else "")

    def connect(self, database: str = DATABASE) -> Connection:
        return self.session(self.user, self.password, database)

    def session(self, user: str, password: str, database: str = DATABASE) -> Connection:
        """Connect with some login. TLS is as the URL says."""
        own = socket.create_connection((self.host, self.port), 30)  # pg8000 leaves its own one open where it fails
        try:
            return Connection(
                user, password=password, host=self.host, database=database, sock=own, ssl_context=_tls(self.settings)
            )
        except BaseException:
            own.close()
            raise

    def prepare(self) -> None:
        """Make the database, on a server that is seen to allow the tests. Raises Refused."""
        with self._beside() as session:
            self.version = _checked(session)
            self._drop(session)
            session.run(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        try:
            self._see_that_new_roles_log_in()
        except Refused:
            self.drop()
            raise

    def drop(self) -> None:
        """Drop all that the tests have made."""
        with self._beside() as session:
            self._drop(session, is_ours=True)

    @contextmanager
    def _beside(self) -> Iterator[Connection]:
        """Connect to the database of the URL, in which nothing is done but to look and to make and drop others."""
        try:
            session = self.connect(self.settings.name)
        except (DatabaseError, InterfaceError, OSError) as error:
            code = error.args[0].get("C") if isinstance(error, DatabaseError) else type(error).__name__
            raise Refused(f"no connection to the database of the URL: {code}") from None
        with session:
            yield session

    @staticmethod
    def _drop(session: Connection, is_ours: bool = False) -> None:
        if not is_ours and session.run(
            "SELECT 1 FROM pg_stat_activity WHERE datname = :name AND usename = current_user"
            " AND state_change > now() - make_interval(secs => :seconds)",
            name=DATABASE,
            seconds=QUIET_SECONDS,
        ):
            raise Refused(
                f"the database {DATABASE} was in use within the last {QUIET_SECONDS} seconds: by another run,"
                " which must end first, or by one that was killed"
            )
        roles = [name for (name,) in session.run(ROLES) or []]
        take(session, roles)
        deadline = time.monotonic() + DROPPING_SECONDS
        while True:
            try:
                session.run(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
                break
            except DatabaseError:  # a session that the login may not end
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        for role in roles:
            session.run(f"DROP ROLE {identifier(role)}")

    def _see_that_new_roles_log_in(self) -> None:
        """A pooler may know only those that somebody has told it of."""
        password = "a password of no worth"
        with self.connect() as session:
            ((pid,),) = session.run("SELECT pg_backend_pid()") or []
            self.is_pooled = int.from_bytes(session._backend_key_data[:4]) != pid
            session.run(f"CREATE ROLE login_of_tests LOGIN PASSWORD {literal(password)}")
            try:
                self.session("login_of_tests", password).close()
            except (DatabaseError, InterfaceError, OSError):
                raise Refused(
                    "a role that was just made cannot log in at this address: a pooler needs to look up its logins"
                    " (auth_query of PgBouncer), or the URL must name the server itself"
                ) from None
            finally:
                session.run("DROP ROLE login_of_tests")


def take(session: Connection, roles: Iterable[str]) -> None:
    """Make the login a member of the tests' roles, so that it sees, ends and drops what is theirs."""
    inherits = " WITH INHERIT TRUE, SET TRUE" if _version(session) >= 16 else ""
    for role in roles:
        session.run(f"GRANT {identifier(role)} TO CURRENT_USER{inherits}")


@contextmanager
def foreign_server(url: str) -> Iterator[ForeignServer]:
    """Yield the server with an empty database. Nothing is left of it, unless this process is killed."""
    server = ForeignServer(url)
    try:
        server.prepare()
    except Refused as error:
        pytest.exit(f"The tests cannot run on this server: {error}.", returncode=2)
    except BaseException:
        with suppress(Exception):
            server.drop()
        raise
    try:
        yield server
    finally:
        server.drop()


def _given(url: str) -> GivenDatabase:
    try:
        return given(url, "sluice-test")
    except Exit:
        pytest.exit("DATABASE_URL: postgresql://login:password@host:port/database?sslmode=verify-full", returncode=2)


def _version(session: Connection) -> int:
    ((number,),) = session.run("SHOW server_version_num") or []
    return int(number) // 10_000


def _checked(session: Connection) -> str:
    """Return the server's version, if it and the login will do. Raises Refused."""
    ((version,),) = session.run("SHOW server_version") or []
    if _version(session) < OLDEST:
        raise Refused(f"it is PostgreSQL {version}, and Sluice needs {OLDEST} or newer")
    rights: list[list[Any]] = (
        session.run("SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user") or []
    )
    ((is_superuser, may_make_databases, may_make_roles),) = rights
    lacks = [right for right, has in {"CREATEDB": may_make_databases, "CREATEROLE": may_make_roles}.items() if not has]
    if lacks and not is_superuser:
        raise Refused(f"the login lacks {' and '.join(lacks)}")
    return str(version)
