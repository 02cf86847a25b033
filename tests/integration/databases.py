"""A database in the tests' hands: what the owner sees and does, beside the functions that are tested."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection, identifier, literal

from sluice.deadline import Deadline
from sluice.postgres.credentials import Credentials
from sluice.settings import ROLES, DatabaseSettings
from tests import foreign
from tests.foreign import ForeignServer, take
from tools.local.postgres import Postgres

INGEST_PASSWORD = "not a secret 'at all\\"
LOGINS = {role: Credentials(f"{role}_of_tests", INGEST_PASSWORD) for role in ROLES}
OWNER = Credentials("owner_of_tests", "another that is none")  # no superuser: it may make roles, and owns the database
INGEST_ROLE = LOGINS["ingest"].username
POLLING_SECONDS = 20

# What a statement changes that is not of one database.
OF_THE_SERVER = re.compile(
    r"\b(?:ALTER SYSTEM|(?:CREATE|ALTER|DROP) (?:DATABASE|ROLE|TABLESPACE|USER) (?:IF EXISTS )?|DROP OWNED BY )"
    r"(\"\w+\"|\w*)"
)

# Where PostgreSQL keeps whatever a test may change of a database, but for rows.
CATALOGS = (
    "pg_attrdef pg_attribute pg_auth_members pg_authid pg_class pg_constraint pg_database pg_db_role_setting"
    " pg_default_acl pg_event_trigger pg_extension pg_index pg_inherits pg_namespace pg_policy pg_proc pg_rewrite"
    " pg_trigger pg_type"
).split()


@dataclass
class TestDatabase:
    """The one database of the tests, and a superuser's connection to it."""

    __test__ = False  # for pytest: no tests in here

    server: Postgres
    owner: Connection  # a superuser's; what deploys is OWNER

    def empty(self) -> None:
        """Drop every table, function, setting and role that a test can have left."""
        name = self.server.database
        self._run(f"ALTER DATABASE {name} RESET ALL")
        self._run("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        self._run("GRANT USAGE ON SCHEMA public TO PUBLIC")
        self._run(f"ALTER DATABASE {name} OWNER TO CURRENT_USER")
        for login in (*LOGINS.values(), OWNER):
            if self._run("SELECT 1 FROM pg_roles WHERE rolname = :name", name=login.username):
                self._run(f"DROP OWNED BY {login.username}; DROP ROLE {login.username}")
        self._run(f"CREATE ROLE {OWNER.username} LOGIN CREATEROLE PASSWORD {literal(OWNER.password)}")
        self._take(OWNER.username)
        self._run(f"ALTER DATABASE {name} OWNER TO {OWNER.username}")

    def catalogs(self) -> list[list[Any]]:
        """Return how many rows each catalog has, and the newest of their transactions."""
        return self.sql(
            " UNION ALL ".join(f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM {name}" for name in CATALOGS)
            + " ORDER BY 1"
        )

    @contextmanager
    def without_triggers(self) -> Iterator[None]:
        """Write rows past all triggers."""
        self.sql("SET session_replication_role = replica")
        yield
        self.sql("RESET session_replication_role")

    @property
    def version(self) -> int:
        """The server's major version."""
        return int(self.value("SHOW server_version_num")) // 10_000

    def sql(self, statement: str, **parameters: object) -> list[list[Any]]:
        return self._run(statement, **parameters)

    def value(self, statement: str, **parameters: object) -> Any:
        return self.sql(statement, **parameters)[0][0]

    def rows(self, table: str = "user_logins") -> list[dict[str, Any]]:
        """Return whole rows but for their batch, which no test can know, sorted by message id."""
        return [found for (found,) in self.sql(f"SELECT to_jsonb(t) - 'batch_id' FROM {table} t ORDER BY message_id")]

    def rejections(self) -> dict[str, tuple[str, str]]:
        """Return reason and pointer by message id."""
        return {found["message_id"]: (found["reason"], found["pointer"]) for found in self.rows("rejection")}

    def backends(self, condition: str) -> list[int]:
        """Return the process ids of the functions' connections for which a condition on pg_stat_activity holds."""
        return [
            pid
            for (pid,) in self.sql(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                f" AND application_name LIKE 'sluice%' AND {condition}"
            )
        ]

    def one_waits(self) -> int:
        """Return the process id of the connection that waits for a lock, as soon as there is one."""
        until(lambda: self.backends("wait_event_type = 'Lock'"))
        return self.backends("wait_event_type = 'Lock'")[0]

    def disconnect_all(self) -> None:
        """Have the server end the functions' connections, and return when they are gone."""
        for pid in self.backends("true"):
            self.terminate(pid)

    def terminate(self, pid: int) -> None:
        self.sql(f"SELECT pg_terminate_backend({pid})")
        until(lambda: not self.backends(f"pid = {pid}"))

    def second_session(self) -> Connection:
        """Open another session of the owner, in which a test can hold a lock."""
        return connect(self.server, self.server.user, self.server.password)

    def settings(
        self,
        secret_id: str = "ingest",
        host: str = "",
        port: int = 0,
        tls: str = "",
        certificate_authority: Path | None = None,
        username: str = "",
    ) -> DatabaseSettings:
        return DatabaseSettings(
            host=host or self.server.host,
            port=port or self.server.port,
            name=self.server.database,
            secret_id=secret_id,
            username=username,
            tls=tls or tls_of(self.server),
            certificate_authority=certificate_authority or authority_of(self.server),
        )

    def _run(self, statement: str, **parameters: object) -> list[list[Any]]:
        return self.owner.run(statement, **parameters) or []

    def _take(self, *roles: str) -> None:
        """Get the rights of roles: a superuser has them."""


class Migrated:
    """The database as the migrations left it. Its rows can be put back, which is quicker than to migrate again.

    That is possible as long as tests changed rows alone. PostgreSQL's catalogs show whatever else they changed.
    """

    def __init__(self) -> None:
        self._catalogs: list[list[Any]] | None = None
        self._rows: dict[str, str] = {}  # JSON, by table

    def remember(self, database: TestDatabase) -> None:
        """Take the database as it is for the one to come back to."""
        tables = [name for (name,) in database.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        self._rows = {
            table: database.value(f"SELECT coalesce(json_agg(t), '[]')::text FROM {identifier(table)} t")
            for table in tables
        }
        self._catalogs = self._look(database)

    def restore(self, database: TestDatabase) -> bool:
        """Come back to the rows that there were, or return False where more than rows has changed."""
        if self._catalogs is None or self._look(database) != self._catalogs:
            return False
        names = ", ".join(str(identifier(table)) for table in self._rows)
        with database.without_triggers():
            database.sql(f"TRUNCATE {names} RESTART IDENTITY")
            for table, rows in self._rows.items():
                if rows != "[]":
                    name = identifier(table)
                    database.sql(
                        f"INSERT INTO {name} SELECT * FROM json_populate_recordset(NULL::{name}, CAST(:rows AS json))",
                        rows=rows,
                    )
        self._catalogs = self._look(database)
        return True

    @staticmethod
    def _look(database: TestDatabase) -> list[list[Any]]:
        return database.catalogs()


class ForeignDatabase(TestDatabase):
    """The database of the tests on somebody else's server. What the owner may not do there is left out by name."""

    _changes: ClassVar[int] = 0  # of roles, whose passwords can be read by nobody but a superuser

    def empty(self) -> None:
        """Do so without a superuser: with the rights of a member of all roles that the tests have made."""
        self.take_roles()
        self.disconnect_all()
        self._run(f"ALTER DATABASE {self.server.database} OWNER TO CURRENT_USER")
        super().empty()

    def catalogs(self) -> list[list[Any]]:
        """Return what the catalogs show to everybody; who made which role, and its password, they do not."""
        roles = "SELECT 'pg_roles', count(*), sum(hashtext(r::text)::bigint) FROM pg_roles r"
        shown = [name for name in CATALOGS if name != "pg_authid"]
        return self._run(
            " UNION ALL ".join(f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM {name}" for name in shown)
            + f" UNION ALL {roles} UNION ALL SELECT 'changes', {self._changes}, 0 ORDER BY 1"
        )

    @contextmanager
    def without_triggers(self) -> Iterator[None]:
        tables = [
            identifier(name)
            for (name,) in self._run(
                "SELECT DISTINCT relname FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal"
            )
        ]
        for name in tables:
            self._run(f"ALTER TABLE {name} DISABLE TRIGGER USER")
        yield
        for name in tables:
            self._run(f"ALTER TABLE {name} ENABLE TRIGGER USER")

    def sql(self, statement: str, **parameters: object) -> list[list[Any]]:
        """Skip the test where the server does not let its login do this, or where it would touch what is not ours."""
        for name in OF_THE_SERVER.findall(statement):
            ForeignDatabase._changes += 1
            if not name.strip('"').endswith("_of_tests") and name != "CURRENT_USER":
                pytest.skip(f"it changes the server beyond the tests' database and roles: {statement:.40}…")
        try:
            found = super().sql(statement, **parameters)
        except DatabaseError as error:
            if error.args[0]["C"] == "42501":
                pytest.skip(f"it needs a right that the login lacks: {statement:.40}…")
            raise
        if "CREATE ROLE" in statement:
            self.take_roles()
        return found

    def disconnect_all(self) -> None:
        """End all sessions that are of the tests' roles, those of a pooler too, and return when they are gone."""
        for pid in self._others():
            self._run(f"SELECT pg_terminate_backend({pid})")
        until(lambda: not self._others())

    def take_roles(self) -> None:
        """Get the rights of all roles that the tests have made."""
        self._take(*(name for (name,) in self._run(foreign.ROLES)))

    def _take(self, *roles: str) -> None:
        take(self.owner, roles)

    def _others(self) -> list[int]:
        return [
            pid
            for (pid,) in self._run(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND pg_has_role(usesysid, 'USAGE')"
            )
        ]


def plain_address(server: Postgres) -> tuple[str, int]:
    """Return where a proxy finds the server, to which none of ours speaks TLS."""
    if tls_of(server) != "disable":
        pytest.skip("it puts a proxy before the server, whose URL asks for TLS")
    return server.host, server.port


def tls_of(server: Postgres) -> str:
    return server.settings.tls if isinstance(server, ForeignServer) else "disable"


def authority_of(server: Postgres) -> Path | None:
    return server.settings.certificate_authority if isinstance(server, ForeignServer) else None


def connect(server: Postgres, user: str, password: str) -> Connection:
    if isinstance(server, ForeignServer):
        return server.session(user, password)
    return Connection(
        user,
        password=password,
        host=server.host,
        port=server.port,
        database=server.database,
        ssl_context=False,
        timeout=30,  # seconds, for each socket operation
    )


def in_seconds(seconds: float) -> Deadline:
    return Deadline(time.monotonic() + seconds)


def until(condition: Callable[[], object]) -> None:
    """Poll until a condition holds; each of them asks the server, which is pause enough."""
    deadline = time.monotonic() + POLLING_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
