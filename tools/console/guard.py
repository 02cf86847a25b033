"""The guard: who may talk to the console, and what a browser may do with its answers.

The console shows rows, and can change a stack. Any page of the web can send requests to a server on this machine, so
each request must name this server as its host, come from no other origin, and bring the cookie that the start token was
changed for. What changes something brings a token against forgery too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from secrets import token_urlsafe
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tools.console import pages

TOKEN = "token"  # the parameter of the address that the terminal shows
STATIC = "/static/"  # holds nothing of a stack
READING = ("GET", "HEAD")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Secrets:
    """What one start of the console knows alone: each 43 characters, base64url."""

    start: str = field(default_factory=token_urlsafe, repr=False)  # in the address that the terminal shows
    session: str = field(default_factory=token_urlsafe, repr=False)  # in the cookie
    csrf: str = field(default_factory=token_urlsafe, repr=False)  # in each page, and in the header of what changes


class Guard:
    """Answers by itself what must not reach the console, and sets the headers of all answers."""

    def __init__(self, app: ASGIApp, port: int, secrets: Secrets) -> None:
        self._app = app
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"sluice_console_{port}"  # a browser does not tell ports apart
        self._secrets = secrets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._answer(scope) or self._app
        await answer(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """Return the answer to a request that must not come further, or to the one that brings the start token."""
        headers, path = Headers(scope=scope), scope["path"]
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts or (origin is not None and origin != f"http://{host}"):
            return refusal(421, "Wrong address", "Open the address that the terminal shows.")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and path != "/":
            return refusal(403, "Another page asked", "Only the console's own pages may ask it.")
        given = parse_qs(scope["query_string"].decode("latin-1")).get(TOKEN, [])
        if given and scope["method"] == "GET" and compare_digest(given[0].encode(), self._secrets.start.encode()):
            response = RedirectResponse(path, 303)
            response.set_cookie(self._cookie, self._secrets.session, httponly=True, samesite="strict")
            return response
        if path.startswith(STATIC) and scope["method"] in READING:
            return None
        if not compare_digest(_cookies(headers).get(self._cookie, "").encode(), self._secrets.session.encode()):
            return refusal(
                401,
                "This browser is not let in",
                "Open the address that the terminal shows: it holds a token that is new with each start.",
            )
        csrf = headers.get("x-csrf-token", "")
        if scope["method"] not in READING and not compare_digest(csrf.encode(), self._secrets.csrf.encode()):
            return refusal(403, "This page is of an earlier start", "Load the page anew, and try again.")
        return None


def refusal(status: int, title: str, advice: str) -> Response:
    """Return a page that says what was refused and what to do."""
    return pages.bare("refused.html", status, title=title, advice=advice)


def _cookies(headers: Headers) -> Mapping[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}
