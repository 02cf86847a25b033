"""`sluice tail`: shows the rows and refusals of a stream as they come."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from sluice.deadline import Deadline
from sluice.declaration import description
from sluice.declaration.description import Entry
from sluice.declaration.route import Queued, streams_of
from sluice.declaration.stream import Stream
from sluice.failures import Outage
from sluice.postgres.cells import array_cell
from sluice.postgres.database import Database, now
from sluice.postgres.driver import Connection, identifier, quoted_table
from tools.sluice_cli import databases, kept, terminal
from tools.sluice_cli.authors import declarations, hiding
from tools.sluice_cli.databases import URL
from tools.sluice_cli.sqlstates import named
from tools.sluice_cli.terminal import USAGE, fail

POLL_SECONDS = 1
QUERY_SECONDS = 30
LATE = timedelta(minutes=10)  # by which a message may be older than the newest row, and still be seen

type Key = tuple[Any, ...]


def tail(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="A module of layers/streams.")],
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin with what was sent since: 10m, 2h, 1d or 2026-01-31T09:00Z."),
    ] = None,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help=f"Where the rows are; by default the demo's. {URL}")
    ] = None,
    seconds: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after N seconds.")] = None,
    show_clear: Annotated[bool, typer.Option("--show-clear", help="Show what is kept in the clear too.")] = False,
) -> None:
    """Show rows and refusals of a stream as they come, a line each; of a route those of all its streams.

    Once a second it reads what was sent at most ten minutes before the newest row that it has seen.

    After an outage or a redrive, messages may have been sent earlier than that. Use --since to find their rows.
    """
    declared = declarations.queued(stream)
    entries = {one.stream_name: description.entries(one) for one in streams_of(declared)}
    moment = terminal.moment(since) if since else None
    opened = databases.given(database or _of_the_demo(), "sluice-tail")
    follower = Follower(declared, opened, moment)
    ends_at = time.monotonic() + seconds if seconds else float("inf")
    try:
        while True:
            for event in follower.poll():
                _show(event, entries, show_clear)
            seconds_left = ends_at - time.monotonic()
            if seconds_left <= 0:
                return
            time.sleep(min(POLL_SECONDS, seconds_left))
    except KeyboardInterrupt:
        return
    except Outage as error:
        fail(str(error))
    finally:
        opened.close()


@dataclass(frozen=True)
class Event:
    """A row, or a refusal: then the row is empty."""

    at: datetime
    stream: str
    message_id: str
    row: Mapping[str, Any] = field(default_factory=dict, repr=False)
    why: str = ""


@dataclass
class Window:
    """The times that are read again with each poll, and the keys of them that were seen."""

    since: datetime
    seen: dict[Key, datetime] = field(default_factory=dict)

    def add(self, found: Mapping[Key, datetime], at: datetime) -> None:
        """Remember what was found at a time, and move on. A time of a producer's may be ahead of ours."""
        self.seen |= found
        newest = min(max(self.seen.values(), default=self.since), at)
        self.since = max(self.since, newest - LATE)
        self.seen = {key: moment for key, moment in self.seen.items() if moment >= self.since}


class Follower:
    """Reads what is new in the tables of a queue's streams, and in the table of rejections."""

    def __init__(self, queued: Queued, database: Database, since: datetime | None) -> None:
        self._streams = streams_of(queued)
        self._names = [queued.stream_name, *(stream.stream_name for stream in self._streams)]
        self._database = database
        self._is_begun = since is not None
        self._rows = Window(since or datetime.min.replace(tzinfo=UTC))
        self._rejections = Window(self._rows.since)

    def poll(self) -> list[Event]:
        """Return what is new, sorted by time; without a time to begin with, the first time nothing. Raises Outage."""
        deadline = Deadline(time.monotonic() + QUERY_SECONDS)
        at, rows, rejections = self._database.transact(self._read, deadline, undo=True)
        self._rows.add({(row.stream, row.message_id): row.at for row in rows}, at)
        self._rejections.add({(one.message_id, one.why): one.at for one in rejections}, at)
        is_begun, self._is_begun = self._is_begun, True
        return sorted([*rows, *rejections], key=lambda event: event.at) if is_begun else []

    def _read(self, connection: Connection) -> tuple[datetime, list[Event], list[Event]]:
        connection.run("SET TRANSACTION READ ONLY")
        at = now(connection)
        if not self._is_begun:
            self._rows.since = self._rejections.since = at - LATE
        rows = [row for stream in self._streams for row in self._new_rows(connection, stream)]
        return at, rows, self._new_rejections(connection)

    def _new_rows(self, connection: Connection, stream: type[Stream]) -> list[Event]:
        table, name = quoted_table(stream.table), stream.stream_name
        found: Any = connection.run(f"SELECT message_id FROM {table} WHERE sent_at >= :since", since=self._rows.since)
        ids = [str(message_id) for (message_id,) in found if (name, str(message_id)) not in self._rows.seen]
        if not ids:
            return []
        cells = [column for column, _ in stream.columns()] if self._is_begun else []  # else only the keys are wanted
        columns = "".join(f", {identifier(column)}" for column in cells)
        rows: Any = connection.run(
            f"SELECT sent_at, message_id{columns} FROM {table} WHERE message_id = ANY (CAST(:ids AS uuid[]))",
            ids=array_cell(ids),
        )
        return [
            Event(sent_at, name, str(message_id), dict(zip(cells, values, strict=True)))
            for sent_at, message_id, *values in rows
        ]

    def _new_rejections(self, connection: Connection) -> list[Event]:
        found: Any = connection.run(
            "SELECT at, stream, message_id, reason, pointer FROM rejection"
            " WHERE stream = ANY (CAST(:names AS varchar[])) AND at >= :since",
            names=array_cell(self._names),
            since=self._rejections.since,
        )
        events = [
            Event(at, stream, str(id_), why=f"{reason} {pointer or terminal.OF_THE_RECORD}")
            for at, stream, id_, reason, pointer in found
        ]
        return [event for event in events if (event.message_id, event.why) not in self._rejections.seen]


def _show(event: Event, entries: Mapping[str, Sequence[Entry]], show_clear: bool) -> None:
    told = named(event.why)
    if event.row:
        of_stream = entries[event.stream]
        hidden = set() if show_clear else hiding.kept(of_stream)
        row = hiding.hide(event.row, of_stream, hidden)
        told = " ".join(f"{column}={hiding.text(value)}" for column, value in row.items())
    kind = "rejected" if event.why else "row"
    name = f"{event.stream} " if len(entries) > 1 else ""
    line = terminal.cell(f"{event.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z ")
    line.append_text(terminal.cell(f"{kind:<9}", "red" if event.why else "green"))
    terminal.console().print(line.append_text(terminal.cell(f"{name}{event.message_id} {told}")), soft_wrap=True)


def _of_the_demo() -> str:
    found = kept.stack()
    if found is None:
        fail("tail: --database says where the rows are; the demo has kept none", USAGE)
    return str(found["database_url"])
