"""The refusals: which reasons, at which fields; and of each what came, which rule it broke, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Address

from sluice.declaration import description, registry
from sluice.declaration.paths import with_any_index
from sluice.declaration.route import streams_of
from sluice.failures import DeclarationError
from sluice.postgres.driver import Connection
from tools.console import pages, runbook
from tools.console.site import Site
from tools.sluice_cli.terminal import OF_THE_RECORD

NEWEST_BLOCKS = 1024  # of 8 KiB: about 20,000 refusals
NEWEST_DAYS = 1  # where the table has partitions, so that its end is not in one place
SHOWN = 20


@dataclass(frozen=True)
class Group:
    """Records that were refused for one reason at one place."""

    stream: str
    reason: str
    pointer: str
    count: int
    newest: datetime

    @property
    def place(self) -> str:
        return self.pointer or OF_THE_RECORD


@dataclass(frozen=True)
class Refusal:
    """A record that was refused, as far as it may be told."""

    message_id: str
    at: datetime
    shape: Mapping[str, Any]

    @property
    def fields(self) -> Sequence[tuple[str, str]]:
        """The declared fields that came, with their JSON types."""
        return [*_flat("", self.shape.get("fields", {}))]


@dataclass(frozen=True)
class Broken:
    """The declaration of the field that a refusal names."""

    pointer: str
    type: str
    rule: str
    columns: Sequence[str]
    nullable: bool


def _flat(prefix: str, fields: Mapping[str, Any]) -> Any:
    for name, type_ in fields.items():
        if isinstance(type_, Mapping):
            yield from _flat(f"{prefix}/{name}", type_)
        else:
            yield f"{prefix}/{name}", type_


def groups(site: Site) -> list[Group]:
    """Return the newest refusals by stream, reason and place, the newest first. Raises Unavailable."""

    def read(connection: Connection) -> Any:
        return connection.run(
            "SELECT stream, reason, pointer, count(*), max(at) FROM rejection"
            f" WHERE {newest_end(connection)} GROUP BY 1, 2, 3 ORDER BY 5 DESC, 4 DESC, 1, 2, 3"
        )

    return [Group(*row) for row in site.read(read)]


def newest(site: Site, stream: str, reason: str, pointer: str) -> list[Refusal]:
    """Return the newest refusals for one reason at one place. Raises Unavailable."""

    def read(connection: Connection) -> Any:
        return connection.run(
            f"SELECT message_id, at, shape FROM rejection WHERE {newest_end(connection)}"
            " AND stream = :name AND reason = :reason AND pointer = :pointer"
            f" ORDER BY at DESC, message_id LIMIT {SHOWN}",
            name=stream,  # `stream` is a parameter of pg8000's own
            reason=reason,
            pointer=pointer,
        )

    return [Refusal(str(message_id), at, shape) for message_id, at, shape in site.read(read)]


def newest_end(connection: Connection) -> str:
    """Return the condition for the end of the table: it grows for as long as records are refused."""
    size: Any = connection.run("SELECT pg_relation_size('rejection') / current_setting('block_size')::integer")
    blocks = size[0][0]
    return f"ctid >= '({max(0, blocks - NEWEST_BLOCKS)},0)'" if blocks else f"at > now() - interval '{NEWEST_DAYS} day'"


def broken(stream: str, pointer: str) -> Broken | None:
    """Return what is declared of the field at a pointer, or None where that is the record as a whole."""
    places = (pointer, with_any_index(pointer))
    try:
        declared = registry.load_queued(stream)
    except DeclarationError:
        return None
    for one in streams_of(declared):
        found = [entry for entry in description.entries(one) if entry.pointer and entry.pointer in places]
        if found:
            rule = description.rule_text(found[0].rule, found[0].null_if)
            columns = [entry.column for entry in found]
            return Broken(found[0].pointer, found[0].type, rule, columns, any(entry.nullable for entry in found))
    return None


def _page(request: Request) -> Response:
    site: Site = request.app.state.site
    stream = request.query_params.get("stream", "")
    found = groups(site)
    shown = [group for group in found if group.stream == stream] if stream else found
    streams = sorted({group.stream for group in found} | ({stream} if stream else set()))
    return pages.page(request, "refusals.html", groups=shown, streams=streams, stream=stream)


def _one(request: Request) -> Response:
    site: Site = request.app.state.site
    stream, reason, pointer = (request.query_params.get(name, "") for name in ("stream", "reason", "pointer"))
    return pages.page(
        request,
        "refusal.html",
        stream=stream,
        reason=reason,
        pointer=pointer,
        place=pointer or OF_THE_RECORD,
        refusals=newest(site, stream, reason, pointer),
        broken=broken(stream, pointer) if pointer else None,
        html=runbook.entries()[runbook.OF_A_REFUSAL],
        heading=runbook.OF_A_REFUSAL,
    )


def routes() -> list[Address]:
    """Return the addresses of this view."""
    return [Address("/refusals", _page), Address("/refusals/one", _one)]
