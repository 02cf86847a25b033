"""The server: version, encoding, encryption, a pooler before it, and room for connections."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sluice.migrate.doctor.finding import Finding
from sluice.migrate.doctor.subject import Subject
from sluice.postgres.driver import Connection

AREA = "server"
OLDEST, NEWEST = 15, 18  # of PostgreSQL, that the tests run on
LOCAL = ("localhost", "127.0.0.1", "::1")  # where nobody sets up TLS
RENEWAL = timedelta(days=30)  # before a certificate's end
OTHERS = 8  # executions beside those of ingest, each with a connection: the operators' functions, migrate, breaker
NEARLY_ALL = 0.9


def findings(connection: Connection, subject: Subject) -> Iterator[Finding]:
    """Look at the server as the connection shows it."""
    rows: Any = connection.run(
        "SELECT current_setting('server_version_num')::integer / 10000, current_setting('server_version'),"
        " current_setting('server_encoding'), pg_backend_pid(),"
        " current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer"
        " - coalesce(current_setting('reserved_connections', true)::integer, 0),"
        " (SELECT sum(numbackends)::integer FROM pg_stat_database), datconnlimit"
        " FROM pg_database WHERE datname = current_database()"
    )
    major, version, encoding, pid, room, used, limit = rows[0]
    pooler = ", through a pooler" if connection.announced_pid not in (0, pid) else ""
    tls = connection.tls or "no TLS"
    yield Finding(AREA, "good", f"PostgreSQL {version.split()[0]}, {encoding}, {tls}{pooler}")
    yield from _of_version(major)
    if encoding != "UTF8":
        yield Finding(
            AREA,
            "warns",
            f"The database's encoding is {encoding}: texts that it cannot hold are rejected, or lengths count bytes.",
            advice="Make the database with ENCODING 'UTF8'.",
        )
    yield from _of_encryption(connection, subject)
    room = min(room, limit) if limit >= 0 else room
    yield from _of_room(room, used, subject.connections)


def _of_version(major: int) -> Iterator[Finding]:
    if major < OLDEST:
        advice = f"Upgrade it to PostgreSQL {OLDEST} or later."
        yield Finding(AREA, "fails", f"PostgreSQL {major} is older than what Sluice runs on.", advice=advice)
    elif major > NEWEST:
        advice = f"Try it before, or take one of PostgreSQL {OLDEST} to {NEWEST}."
        yield Finding(
            AREA, "warns", f"PostgreSQL {major} is newer than what this release was tested on.", advice=advice
        )


def _of_encryption(connection: Connection, subject: Subject) -> Iterator[Finding]:
    ends_at = connection.certificate_ends_at
    if connection.tls is None and subject.settings.host not in LOCAL:
        yield Finding(AREA, "warns", "The connection is not encrypted.", advice="Deploy with DatabaseTls=verify-full.")
    if ends_at is not None and ends_at - datetime.now(UTC) < RENEWAL:
        sentence = f"The server's certificate ends on {ends_at:%Y-%m-%d}: from then on nothing can connect."
        yield Finding(AREA, "warns", sentence, advice="Renew it.")


def _of_room(room: int, used: int, connections: int) -> Iterator[Finding]:
    wanted = 2 * connections + OTHERS
    if room < wanted:
        yield Finding(
            AREA,
            "warns",
            f"The database takes {room} connections, and the streams may want {wanted} while a deployment replaces"
            f" environments (2 × {connections}, and {OTHERS} others).",
            advice="Raise max_connections or the database's CONNECTION LIMIT, or lower the streams' Concurrency.",
        )
    if used > NEARLY_ALL * room:
        advice = "See in pg_stat_activity who has them."
        yield Finding(AREA, "warns", f"{used} of {room} connections are in use.", advice=advice)
