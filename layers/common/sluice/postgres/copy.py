"""COPY … FROM STDIN in one round trip, by pg8000's low-level calls."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pg8000.core import Context

from sluice.postgres import sqlstate
from sluice.postgres.driver import Connection, DatabaseError


class Copied(NamedTuple):
    """What PostgreSQL answers."""

    rows: int  # how many it took, without those that a trigger suppressed
    found: list[list[Any]]  # by a SELECT before the COPY


def copy_in(connection: Connection, sql: str, chunks: Iterable[str]) -> Copied:
    """Run statements of which the last is COPY … FROM STDIN, and send it chunks of text.

    In the simple query protocol that is one round trip; `run` takes three, and reads the SQL one character at a time.
    https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY
    """
    started = False

    def stream() -> Iterator[str]:
        nonlocal started
        started = True
        yield from chunks

    context = Context(sql, stream=stream())
    connection.send_QUERY(sql)
    connection._sock.flush()
    try:
        connection.handle_messages(context)
    except DatabaseError as error:
        if started and not sqlstate.is_fatal(error):
            connection.handle_messages(Context(sql))
        raise
    if started:
        connection.handle_messages(Context(sql))  # pg8000 ends a COPY with a Sync, and that has an answer of its own
    found = context.rows or []
    return Copied(max(int(context.row_count) - len(found), 0), found)  # pg8000 adds up the counts of all statements
