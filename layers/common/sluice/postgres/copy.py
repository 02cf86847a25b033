"""COPY … FROM STDIN in one round trip, by pg8000's lower calls."""

from collections.abc import Iterable, Iterator

from pg8000.core import Context

from sluice.postgres import sqlstate
from sluice.postgres.driver import Connection, DatabaseError


def copy_in(connection: Connection, sql: str, chunks: Iterable[str]) -> int:
    """Run statements of which the last is COPY … FROM STDIN, send it chunks of text, and return how many rows it took.

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
    return max(int(context.row_count), 0)
