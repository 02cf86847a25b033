"""The dead letters: which they are, what a redrive would do, and the redrive. What is in one stays in the stack."""

from collections.abc import Mapping
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Address

from sluice.operators.audit.audit_log import Reason
from tools.console import pages
from tools.console.site import Site, Unavailable
from tools.sluice_cli.operators.dead_letters import STILL_FAILING, URL_OUTPUT, WORDS, Total, calls
from tools.sluice_cli.sqlstates import named

LISTED = 50
MOST_LISTED = 1000  # that the function tells of
REASONS = get_args(Reason.__value__)


def listed(site: Site, stream: str, most: int) -> Mapping[str, Any]:
    """Return so many of a stream's dead letters, and whether there may be more. Raises Unavailable."""
    return site.ask(URL_OUTPUT, {"action": "list", "stream": stream, "limit": most})


def redrive(site: Site, payload: Mapping[str, Any]) -> Total:
    """Send dead letters to their queue again, until all were looked at; a dry run is one call. Raises Unavailable."""
    total = Total()
    for _ in calls(lambda asked: site.ask(URL_OUTPUT, asked), payload, total):
        continue
    return total


def _page(request: Request) -> Response:
    site: Site = request.app.state.site
    streams = request.app.state.flow.names()
    stream = request.query_params.get("stream") or streams[0]
    rejected_as = request.query_params.get("rejected_as", "")
    letters, why, more = [], "", False
    is_asked = site.is_embedded or request.query_params.get("list") == "yes"
    most = MOST_LISTED if rejected_as or request.query_params.get("all") == "yes" else LISTED  # those may be the last
    try:
        if is_asked:
            answer = listed(site, stream, most)
            letters, more = answer["letters"], answer["more"]
    except Unavailable as error:
        why = str(error)
    shown = [letter for letter in letters if rejected_as in ("", letter["reason"])]
    return pages.page(
        request,
        "letters.html",
        stream=stream,
        streams=streams,
        letters=shown,
        more=more,
        most=MOST_LISTED if more and most == LISTED else 0,
        why=why,
        rejected_as=rejected_as,
        is_asked=is_asked,
        reasons=REASONS,
    )


def told(total: Total) -> list[tuple[str, int]]:
    """Return what the calls of a redrive have done, in words."""
    done = [(words, total.counts[name]) for name, words in WORDS.items() if total.counts[name]]
    failing = [(f"{STILL_FAILING}: {named(reason)}", count) for reason, count in total.reasons.items()]
    return done + sorted(failing)


def routes() -> list[Address]:
    """Return the addresses of this view."""
    return [Address("/dead-letters", _page)]
