"""The application: which address shows what."""

import asyncio

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from tools.console import (
    actions,
    audit,
    charts,
    erasure,
    flow,
    letters,
    pages,
    playground,
    refusals,
    rows,
    runbook,
    streams,
)
from tools.console.guard import Guard, Secrets, refusal
from tools.console.jobs import Jobs
from tools.console.live import Live
from tools.console.pages import STATIC
from tools.console.site import Site, Unavailable
from tools.sluice_cli.terminal import complain, unforeseen


def application(site: Site, port: int, secrets: Secrets) -> Starlette:
    """Return the console of a stack, to be served on that port of 127.0.0.1."""
    routes: list[BaseRoute] = [
        *flow.routes(),
        *rows.routes(),
        *refusals.routes(),
        *letters.routes(),
        *charts.routes(),
        *streams.routes(),
        *erasure.routes(),
        *audit.routes(),
        *runbook.routes(),
        *actions.routes(),
        Mount("/playground", routes=playground.routes(pages.page)),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, port=port, secrets=secrets)],
        exception_handlers={Exception: _unforeseen, Unavailable: _unavailable},
    )
    seen = flow.Flow(site)
    app.state.site, app.state.secrets, app.state.flow = site, secrets, seen
    app.state.jobs = Jobs()
    app.state.closing = asyncio.Event()
    app.state.live = Live(seen.look, seen.seconds, app.state.closing)
    return app


async def _unforeseen(request: Request, error: Exception) -> Response:
    """Answer without the error's text, which may quote a record."""
    told = unforeseen(error)
    complain(told)
    return refusal(500, "The console failed", f"This is a fault of ours: {told}. Please tell us.")


async def _unavailable(request: Request, error: Exception) -> Response:
    return pages.page(request, "unavailable.html", why=str(error))
