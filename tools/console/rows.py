"""The rows as stored, newest first, and all rows of a token. What is kept in the clear is hidden unless asked for."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Address

from sluice.declaration import description, registry
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError
from sluice.postgres.driver import Connection, identifier, literal, quoted_table
from sluice.pseudonyms.keyset import TOKEN
from sluice.vault import erasures
from tools.console import pages
from tools.console.cells import Piece, pieces
from tools.console.letters import REASONS
from tools.console.live import Live
from tools.console.site import Site, Unavailable
from tools.sluice_cli.authors import hiding

SHOWN = 50  # rows at once
# Of 8 KiB at a table's end, where its newest rows are: further back if what was undone or deleted is there.
NEWEST_BLOCKS = (128, 1024, 8192, 32_768)
NEWEST_BATCHES = 20  # in which a partitioned table's newest rows came


@dataclass(frozen=True)
class Cell:
    """A cell of a row as it is shown."""

    pieces: Sequence[Piece]
    is_kept: bool = False


@dataclass(frozen=True)
class Row:
    """A row as it is shown."""

    sent_at: datetime
    message_id: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """Rows of a stream as they are shown."""

    stream: str
    columns: Sequence[str]
    rows: Sequence[Row]
    hidden: Sequence[str]  # columns in which something is kept in the clear
    domains: Sequence[str] = ()  # of the token that led here

    @property
    def repeated(self) -> frozenset[str]:
        """Tokens that more than one row has."""
        found = Counter(token for row in self.rows for token in {*tokens(row)})
        return frozenset(token for token, count in found.items() if count > 1)


def tokens(row: Row) -> Iterator[str]:
    """Yield the tokens that are in a row."""
    return (piece.text for cell in row.cells for piece in cell.pieces if piece.is_token)


def newest(site: Site, stream: type[Stream], show_clear: bool) -> Table:
    """Return the newest rows of a stream. Raises Unavailable."""
    found = site.read(lambda connection: _newest(connection, stream))
    return _table(stream, found, show_clear)


def of_token(site: Site, stream: type[Stream], token: str, show_clear: bool) -> Table:
    """Return rows of a stream that have a token. Raises Unavailable."""
    places = stream.token_places
    if not places:
        return _table(stream, [], show_clear)
    has_one = " OR ".join(erasures.has_token(place, [token]) for place in places)
    found: Any = site.read(lambda connection: _selected(connection, stream, has_one))
    table = _table(stream, found, show_clear)
    columns = [name for name, _ in stream.columns()]
    holding = {
        place.domain
        for _, _, *values in found
        for name, value in zip(columns, values, strict=True)
        for place in places
        if place.column == name and token in str(value)
    }
    return Table(table.stream, table.columns, table.rows, table.hidden, sorted(holding))


def sealed_as(site: Site, token: str) -> str | None:
    """Return the domain of a token under which a value is sealed, or None where nothing is. Raises Unavailable."""
    found: Any = site.read(
        lambda connection: connection.run("SELECT domain FROM pii_vault WHERE token = :token", token=token)
    )
    return found[0][0] if found else None


def _newest(connection: Connection, stream: type[Stream]) -> Any:
    """Read the end of the table, or what came in the newest batches: no index has the time, and a table is large."""
    table = quoted_table(stream.table)
    size: Any = connection.run(
        "SELECT pg_relation_size(oid) / current_setting('block_size')::integer FROM pg_class"
        " WHERE oid = to_regclass(:name)",
        name=table,
    )
    if not size:
        raise Unavailable(f"The table {stream.table} is not there: was the stream deployed?")
    blocks = size[0][0]
    for newest_blocks in NEWEST_BLOCKS if blocks else ():
        found = _selected(connection, stream, f"ctid >= '({max(0, blocks - newest_blocks)},0)'")
        if len(found) == SHOWN or newest_blocks >= min(blocks, max(NEWEST_BLOCKS)):
            return found
    since: Any = connection.run(
        "SELECT min(oldest)::text FROM (SELECT oldest FROM batch WHERE stream = :name AND written > 0"
        f" ORDER BY id DESC LIMIT {NEWEST_BATCHES}) newest",
        name=stream.stream_name,
    )
    return _selected(connection, stream, f"sent_at >= {literal(since[0][0])}") if since[0][0] else []


def _selected(connection: Connection, stream: type[Stream], condition: str) -> Any:
    columns = ", ".join(str(identifier(name)) for name, _ in stream.columns())
    return connection.run(
        f"SELECT sent_at, message_id, {columns} FROM {quoted_table(stream.table)} WHERE {condition}"
        f" ORDER BY sent_at DESC, message_id LIMIT {SHOWN}"
    )


def _table(stream: type[Stream], found: Iterable[Sequence[Any]], show_clear: bool) -> Table:
    entries = description.entries(stream)
    kept = hiding.kept(entries)
    columns = [name for name, _ in stream.columns()]
    rows = []
    for sent_at, message_id, *values in found:
        row = hiding.hide(dict(zip(columns, values, strict=True)), entries, set() if show_clear else kept)
        rows.append(Row(sent_at, str(message_id), [_cell(value) for value in row.values()]))
    hidden = [name for name in columns if any(path[0] == name for path in kept)]
    return Table(stream.stream_name, columns, rows, hidden)


def _cell(value: Any) -> Cell:
    return Cell(pieces(hiding.text(value)), isinstance(value, hiding.Kept))


def declared() -> Mapping[str, type[Stream]]:
    """Return the streams of this checkout that can be loaded, by name."""
    found: dict[str, type[Stream]] = {}
    for name in registry.names():
        try:
            found[name] = registry.load(name)
        except DeclarationError:
            continue  # a route has no table, and `sluice check` tells what is wrong with another
    return found


def _asked(request: Request) -> tuple[Table, list[str], dict[str, bool]]:
    """Return the table that is asked for, the names of all streams, and what else the address says."""
    streams = declared()
    stream = streams.get(request.query_params.get("stream", "")) or next(iter(streams.values()), None)
    if stream is None:
        raise Unavailable("No stream is declared in layers/streams.")
    chosen = {name: request.query_params.get(name) == "yes" for name in ("clear", "follow")}
    return newest(request.app.state.site, stream, chosen["clear"]), [*streams], chosen


def _page(request: Request) -> Response:
    table, streams, chosen = _asked(request)
    return pages.page(request, "rows.html", table=table, streams=streams, **chosen)


def _live(request: Request) -> Response:
    live = Live(lambda: followed(request), request.app.state.flow.seconds, request.app.state.closing)
    return live.stream(str)


def followed(request: Request) -> str:
    """Return the newest rows as a part of the page, or why they cannot be read."""
    try:
        return pages.render("rows_newest.html", table=_asked(request)[0])
    except Unavailable as error:
        return pages.render("told.html", **pages.told(str(error), "bad"))


def _token(request: Request) -> Response:
    site: Site = request.app.state.site
    token = request.query_params.get("token", "").strip()
    show_clear = request.query_params.get("clear") == "yes"
    if not TOKEN.fullmatch(token):
        return pages.page(request, "token_unknown.html")
    tables, problems = [], []
    for name, stream in declared().items():
        try:
            tables.append(of_token(site, stream, token, show_clear))
        except Unavailable as error:
            problems.append(f"{name}: {error}")
    try:
        sealed, is_known = sealed_as(site, token), True
    except Unavailable:
        sealed, is_known = None, False
    domains = sorted({domain for table in tables for domain in table.domains} | ({sealed} if sealed else set()))
    return pages.page(
        request,
        "token.html",
        token=Piece(token, True),
        tables=tables,
        problems=problems,
        sealed=sealed,
        is_known=is_known,
        domains=domains,
        show_clear=show_clear,
        reasons=REASONS,
    )


def routes() -> list[Address]:
    """Return the addresses of this view."""
    return [Address("/rows", _page), Address("/rows/live", _live), Address("/tokens", _token)]
