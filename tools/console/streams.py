"""The declarations as a map: from each field by its rule and masks to the columns; examples, and the JSON Schema."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Address

from sluice.declaration import description, registry
from sluice.declaration.description import Entry
from sluice.declaration.route import Queued, Route
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError
from tools.console import pages
from tools.console.site import Unavailable
from tools.sluice_cli.authors import examples, hiding, json_schema
from tools.sluice_cli.authors import routes as of_routes

SHOWN = 5  # examples


@dataclass(frozen=True)
class Column:
    """A column, or a member of the objects in one, and how it is masked."""

    name: str
    mask: str
    domain: str
    nullable: bool
    is_clear: bool


@dataclass(frozen=True)
class Field:
    """A field of the record, and what becomes of it."""

    place: str
    type: str
    rule: str
    columns: Sequence[Column]


def fields(stream: type[Stream]) -> list[Field]:
    """Return the fields in the order of their columns; what comes from the message, or is derived, has none."""
    entries = description.entries(stream)
    kept = hiding.kept(entries)
    found: dict[tuple[str, tuple[str, ...]], list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.field if entry.pointer else (f"\0{entry.column}", ()), []).append(entry)
    return [_field(several, kept) for several in found.values()]


def _field(entries: Sequence[Entry], kept: set[tuple[str, ...]]) -> Field:
    first = entries[0]
    columns = [
        Column(
            entry.column,
            description.mask_text(entry),
            entry.domain or "",
            entry.nullable,
            bool(entry.pointer) and entry.place in kept,
        )
        for entry in entries
    ]
    place = first.pointer + description.where(first.cases)
    return Field(place, first.type, description.rule_text(first.rule, first.null_if), columns)


def head(stream: type[Stream]) -> Mapping[str, str]:
    """Return what a stream says of all its records."""
    told = {name: value for name, value in description.head(stream).items() if name not in ("stream", "about")}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items() if value}


def _chosen(request: Request) -> tuple[Queued, list[str]]:
    names = registry.names()
    if not names:
        raise Unavailable("No stream is declared in layers/streams: `sluice new` makes one of samples.")
    name = request.query_params.get("stream", "")
    try:
        return registry.load_queued(name if name in names else names[0]), names
    except DeclarationError as error:
        raise Unavailable(f"The declaration is wrong: {error}. `sluice check` tells more.") from None


def _page(request: Request) -> Response:
    declared, names = _chosen(request)
    if issubclass(declared, Route):
        streams = {value: stream.stream_name for value, stream in declared.to.items()}
        return pages.page(
            request, "route.html", name=declared.stream_name, names=names, by=declared.by, streams=streams
        )
    found = examples.numbered(declared.stream_name)[:SHOWN]
    return pages.page(
        request,
        "streams.html",
        name=declared.stream_name,
        names=names,
        about=description.about(declared),
        head=head(declared),
        fields=fields(declared),
        examples=[json.dumps(json.loads(line), indent=2, ensure_ascii=False) for _, line in found],
        schema=json.dumps(_schema(declared), indent=2, ensure_ascii=False),
    )


def _download(request: Request) -> Response:
    declared, _ = _chosen(request)
    name = f"{declared.stream_name}.schema.json"
    return JSONResponse(_schema(declared), headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _schema(declared: Queued) -> Any:
    return of_routes.schema(declared) if issubclass(declared, Route) else json_schema.of_stream(declared)


def routes() -> list[Address]:
    """Return the addresses of this view."""
    return [Address("/streams", _page), Address("/streams/schema", _download)]
