"""The erasure of a person: what would go, and then that it is gone."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Address

from tools.console import pages, rows
from tools.console.letters import REASONS


def _page(request: Request) -> Response:
    subjects = {name: stream.subject.paths for name, stream in rows.declared().items() if stream.subject}
    return pages.page(request, "erasure.html", reasons=REASONS, subjects=subjects)


def routes() -> list[Address]:
    """Return the addresses of this view."""
    return [Address("/erase", _page)]
