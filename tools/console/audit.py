"""The audit log, the newest rows first, and whether its chain of hashes is whole."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Address

from tools.console import pages
from tools.console.site import Site, Unavailable
from tools.sluice_cli.operators.audit import URL_OUTPUT

SHOWN = 50  # rows


def _page(request: Request) -> Response:
    site: Site = request.app.state.site
    verified, rows, why = None, [], ""
    try:
        verified = site.ask(URL_OUTPUT, {"action": "verify", "heads": []})
        newest = verified["head"]["id"] if verified["head"] else 0
        rows = site.ask(URL_OUTPUT, {"action": "list", "after": max(0, newest - SHOWN), "limit": SHOWN})["rows"]
    except Unavailable as error:
        why = str(error)
    return pages.page(request, "audit.html", verified=verified, rows=list(reversed(rows)), why=why)


def routes() -> list[Address]:
    """Return the addresses of this view."""
    return [Address("/audit", _page)]
