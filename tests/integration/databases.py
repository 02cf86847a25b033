"""A database in the tests' hands: what the owner sees and does, beside the functions that are tested."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg8000.native import Connection

from sluice.deadline import Deadline
from sluice.postgres.credentials import Credentials
from sluice.settings import ROLES, DatabaseSettings
from tools.local.postgres import Postgres

INGEST_PASSWORD = "not a secret 'at all\\"
LOGINS = {role: Credentials(f"{role}_of_tests", INGEST_PASSWORD) for role in ROLES}
OWNER = Credentials("owner_of_tests", "another that is none")  # no superuser: it may make roles, and owns the database
INGEST_ROLE = LOGINS["ingest"].username
POLLING_SECONDS = 20


@dataclass
class TestDatabase:
    """The one database of the tests, and a superuser's connection to it."""

    __test__ = False  # for pytest: no tests in here

    server: Postgres
    owner: Connection  # a superuser's; what deploys is OWNER

    @property
    def version(self) -> int:
        """The server's major version."""
        return int(self.value("SHOW server_version_num")) // 10_000

    def sql(self, statement: str, **parameters: object) -> list[list[Any]]:
        return self.owner.run(statement, **parameters) or []

    def value(self, statement: str, **parameters: object) -> Any:
        return self.sql(statement, **parameters)[0][0]

    def rows(self, table: str = "user_logins") -> list[dict[str, Any]]:
        """Return whole rows, sorted by message id."""
        return [found for (found,) in self.sql(f"SELECT to_jsonb(t) FROM {table} t ORDER BY message_id")]

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
        tls: str = "disable",
        certificate_authority: Path | None = None,
        username: str = "",
    ) -> DatabaseSettings:
        return DatabaseSettings(
            host=host or self.server.host,
            port=port or self.server.port,
            name=self.server.database,
            secret_id=secret_id,
            username=username,
            tls=tls,
            certificate_authority=certificate_authority,
        )


def connect(server: Postgres, user: str, password: str) -> Connection:
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
