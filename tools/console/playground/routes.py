"""The routes of the playground: a page, and the parts of it that change while a person types.

A text comes in the body of a request, never in an address. Nothing of it is written, sent on or logged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from sluice.declaration import registry, route
from sluice.declaration.route import Queued, head_of
from sluice.failures import OF_A_USERS_CODE, DeclarationError
from tools.console.playground import answer, difference, faulty, forms, variant
from tools.console.playground.answer import Answer
from tools.console.playground.forms import Form, TooLarge
from tools.console.playground.typed import LARGEST, Typed
from tools.console.playground.variant import Changes
from tools.sluice_cli.authors import space, throwaway
from tools.sluice_cli.authors.examples import NotAnExample, Refused
from tools.sluice_cli.authors.generator import NotGenerated
from tools.sluice_cli.authors.messages import Message, Unreadable

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
MADE_UP = "Made up, with the fault of the refusal that you came from. Mend it, and see below what becomes of it."

type Tell = Callable[[Form], dict[str, Any]]


class Page(Protocol):
    """Renders a page or a part of one, with all that the console's own pages have."""

    def __call__(self, request: Request, template: str, status: int = 200, **context: Any) -> Response: ...


def routes(page: Page) -> list[Route]:
    """Return what is to be mounted under `/playground`. The key of its tokens is new each time."""
    playground = _Playground(page)
    return [
        Route("/", playground.show, methods=["GET"]),
        Route("/form", playground.fill, methods=["POST"]),
        Route("/answer", playground.answer, methods=["POST"]),
        Route("/playground.css", _style, methods=["GET"]),
    ]


async def _style(request: Request) -> Response:
    return FileResponse(HERE / "playground.css", media_type="text/css")


class _Playground:
    """What is the same for all requests of one start."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._keyset = throwaway.keyset()
        self._lock = Lock()  # what masks has notes of the record at hand

    async def show(self, request: Request) -> Response:
        """Return the page, with the stream's first example, or a message with the fault that the address names."""
        asked = request.query_params
        refused = Refused(asked["reason"], asked.get("pointer", "")) if "reason" in asked else None
        form = Form(asked.get("stream", ""), fill=forms.FIRST)
        told = await self._told(lambda form: self._whole(form, refused), form)
        return self._page(request, "playground/page.html", **told)

    async def fill(self, request: Request) -> Response:
        """Return the form and the answer anew, for another stream or another text."""
        return await self._read(request, "playground/form.html", self._whole)

    async def answer(self, request: Request) -> Response:
        """Return what becomes of the text."""
        return await self._read(request, "playground/answer.html", self._of_text)

    async def _read(self, request: Request, template: str, tell: Tell) -> Response:
        try:
            form = await forms.read(request.stream())
        except ClientDisconnect:  # the person typed on
            return Response(status_code=400)
        except TooLarge:
            trouble = f"The message is larger than {LARGEST // 1024} KiB: shorten it."
            response = self._page(request, "playground/trouble.html", 413, trouble=trouble)
            response.headers["HX-Retarget"] = "#play-verdict"  # the text stays on the page
            response.headers["HX-Reswap"] = "innerHTML"
            return response
        is_part = template == "playground/answer.html"
        return self._page(request, template, **(await self._told(tell, form) | {"is_part": is_part}))

    async def _told(self, tell: Tell, form: Form) -> dict[str, Any]:
        def one_at_a_time() -> dict[str, Any]:
            with self._lock:
                return tell(form)

        return await run_in_threadpool(one_at_a_time)

    def _whole(self, form: Form, refused: Refused | None = None) -> dict[str, Any]:
        """Return what the form and the answer show. The text may be one to begin with, with a given fault."""
        names = registry.names()
        name = form.stream if form.stream in names or not names else names[0]
        offered, note, text = forms.offered(name), "", form.text
        if form.fill:
            try:
                text, note = self._begun(name, offered[0][0] if offered else forms.GENERATE, form.fill, refused)
            except (NotGenerated, NotAnExample) as error:
                note = _sentence(str(error))
            except OF_A_USERS_CODE:
                note = "No message can be made up."
        filled = replace(form, stream=name, text=text, fill="")
        return {"names": names, "offered": offered, "note": note} | self._of_text(filled)

    def _begun(self, name: str, first: str, fill: str, refused: Refused | None) -> tuple[str, str]:
        """Return the text to begin with, and what is to be said of it. Raises NotGenerated, and NotAnExample."""
        queued = registry.load_queued(name)
        if refused is not None:
            try:
                return faulty.text(name, queued, refused, self._keyset), MADE_UP
            except NotGenerated as error:
                return forms.filled(name, queued, first), f"{error}. This is another message."
        return forms.filled(name, queued, first if fill == forms.FIRST else fill), ""

    def _of_text(self, form: Form) -> dict[str, Any]:
        """Return what becomes of the text by the declaration, and what a change of the declaration makes otherwise."""
        context: dict[str, Any] = {"form": form, "fields": [], "is_route": False, "is_changed": False, "envelope": ""}
        context |= {"answer": None, "tried": None, "difference": None, "trouble": "", "is_part": False}
        if not form.stream:
            return context | {"trouble": "There is no stream yet: `sluice new` declares one."}
        try:
            queued = registry.load_queued(form.stream)
            fields = variant.changeable(queued)
            changes = form.changes(fields)
            context |= {"fields": fields, "is_route": issubclass(queued, route.Route), "is_changed": bool(changes)}
            context |= {"envelope": head_of(queued).unwrap.__name__}
            context |= self._by_both(queued, changes, form)
        except Unreadable as error:
            context["trouble"] = _sentence(f"This cannot be read: {error}")
        except DeclarationError as error:
            context["trouble"] = _sentence(f"The declaration is refused: {error}")
        except OF_A_USERS_CODE as error:  # its text may quote the record
            context["trouble"] = f"The stream's own code fails: {type(error).__name__}."
        return context

    def _by_both(self, queued: Queued, changes: Mapping[str, Changes], form: Form) -> dict[str, Any]:
        """Return the answers by the declaration and, where there are changes, by its variant."""
        typed = Typed(form.text, queued)
        found = typed.messages()
        if not found:
            return {}
        declared = self._answer(typed, found, form)
        if not changes:
            return {"answer": declared}
        try:
            tried = self._answer(Typed(form.text, variant.variant(queued, changes)), found, form)
        except DeclarationError as error:
            return {"answer": declared, "trouble": _sentence(f"The change is refused: {error}")}
        return {"answer": declared, "tried": tried, "difference": difference.of(declared, tried, form.show_clear)}

    def _answer(self, typed: Typed, found: Sequence[Message], form: Form) -> Answer:
        return answer.answer(typed, found, self._keyset, self._hashes_per_second, form.show_clear)

    @cached_property
    def _hashes_per_second(self) -> float:
        return space.hashes_per_second()


def _sentence(text: str) -> str:
    return text if text.endswith("?") else f"{text}."
