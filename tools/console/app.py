"""The application: which address shows what."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from tools.console import flow
from tools.console.guard import Guard, Secrets
from tools.console.pages import STATIC
from tools.console.site import Site


def application(site: Site, port: int, secrets: Secrets) -> Starlette:
    """Return the console of a stack, to be served on that port of 127.0.0.1."""
    routes: list[BaseRoute] = [
        *flow.routes(),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Guard, port=port, secrets=secrets)])
    app.state.site, app.state.secrets = site, secrets
    return app
