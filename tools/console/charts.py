"""The charts: rows a second, age of the oldest message, time of a batch, refusals by reason, and trips of the breaker.

SQS tells no age in an emulator, and CloudWatch keeps no metric there: all of this is from the ledger, so it is the same
everywhere.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Address

from sluice.ingest.ledger import first_id
from sluice.postgres.cells import array_cell
from sluice.postgres.driver import Connection
from tools.console import flow, logs, pages, refusals
from tools.console.site import Site, Unavailable
from tools.sluice_cli.sqlstates import named

MOST_REASONS = 6  # lines of a chart that can be told apart; the page says so


class Window(NamedTuple):
    """How far back a chart goes, and how much one of its points stands for."""

    name: str
    length: timedelta
    step: timedelta
    again_seconds: int  # after which the page asks anew


WINDOWS = {
    "15m": Window("15 minutes", timedelta(minutes=15), timedelta(seconds=10), 5),
    "3h": Window("3 hours", timedelta(hours=3), timedelta(minutes=2), 30),
    "1d": Window("1 day", timedelta(days=1), timedelta(minutes=15), 60),
    "7d": Window("7 days", timedelta(days=7), timedelta(hours=2), 300),
}


def points(site: Site, streams: Sequence[str], window: Window) -> dict[str, Any]:
    """Return the lines of all charts, by the times of their points in seconds since 1970. Raises Unavailable."""
    step = int(window.step.total_seconds())
    last = int(time.time()) // step * step
    times = range(last - int(window.length.total_seconds()), last + step, step)
    batches, reasons = site.read(lambda connection: _read(connection, streams, step, times[0]))
    by_time = {at: values for at, *values in batches}
    most = sorted(reasons, key=lambda reason: -sum(reasons[reason].values()))[:MOST_REASONS]
    return {
        "times": list(times),
        "rows": [_per_second(by_time.get(at, [0])[0], step) for at in times],
        "age": [_or_none(by_time, at, 1) for at in times],
        "milliseconds": [_or_none(by_time, at, 2) for at in times],
        "reasons": {named(reason): [reasons[reason].get(at, 0) for at in times] for reason in most},
    }


def trips(site: Site, streams: Sequence[str], window: Window) -> list[logs.Line]:
    """Return where breakers changed their state, the oldest first. Raises Unavailable."""
    return [line for line in logs.lines(site, window.length) if line.message != "outage" and line.stream in streams]


def _read(
    connection: Connection, streams: Sequence[str], step: int, since: int
) -> tuple[Any, dict[str, dict[int, int]]]:
    names = array_cell(streams)
    of_step = f"(floor(extract(epoch FROM at))::bigint / {step} * {step})"
    batches: Any = connection.run(
        f"SELECT {of_step}, sum(written)::bigint, max(extract(epoch FROM at - oldest))::float, max(milliseconds)"
        " FROM batch WHERE stream = ANY(CAST(:names AS varchar[])) AND id >= :first AND received > 0 GROUP BY 1",
        names=names,
        first=first_id(since * 1000),
    )
    refused: Any = connection.run(
        f"SELECT reason, {of_step}, count(*) FROM rejection WHERE {refusals.newest_end(connection)}"
        " AND stream = ANY(CAST(:names AS varchar[])) AND at >= to_timestamp(:since) GROUP BY 1, 2",
        names=names,
        since=since,
    )
    reasons: dict[str, dict[int, int]] = {}
    for reason, at, count in refused:
        reasons.setdefault(reason, {})[at] = count
    return batches, reasons


def _per_second(rows: int, step: int) -> float:
    return round(rows / step, 2)


def _or_none(by_time: dict[int, list[Any]], at: int, place: int) -> float | None:
    value = by_time[at][place] if at in by_time else None
    return None if value is None else round(float(value), 1)


def _chosen(request: Request) -> tuple[str, str, list[str]]:
    """Return the stream and the window that the address names, or else the first of each; and all streams."""
    streams = request.app.state.flow.names()
    stream, window = request.query_params.get("stream", ""), request.query_params.get("window", "")
    return stream if stream in streams else streams[0], window if window in WINDOWS else next(iter(WINDOWS)), streams


def _page(request: Request) -> Response:
    site: Site = request.app.state.site
    stream, window, streams = _chosen(request)
    found, why = [], ""
    try:
        found = trips(site, [stream], WINDOWS[window])
    except Unavailable as error:
        why = str(error)
    return pages.page(
        request,
        "charts.html",
        stream=stream,
        streams=streams,
        window=window,
        windows=WINDOWS,
        trips=list(reversed(found)),
        why=why,
    )


def _data(request: Request) -> Response:
    site: Site = request.app.state.site
    try:
        stream, name, _ = _chosen(request)
        window = WINDOWS[name]
        found = points(site, flow.fed(stream), window)
        told = [line for line in trips(site, [stream], window) if line.message == "breaker opened"]
    except Unavailable as error:
        return JSONResponse({"why": str(error)}, 503)
    return JSONResponse(
        found | {"trips": [int(line.at.timestamp()) for line in told], "at": datetime.now(UTC).isoformat()}
    )


def routes() -> list[Address]:
    """Return the addresses of this view."""
    return [Address("/charts", _page), Address("/charts/data", _data)]
