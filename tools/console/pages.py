"""The pages: HTML, made of templates. Whatever comes from a stack is escaped."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from tools.sluice_cli.sqlstates import named

HERE = Path(__file__).parent
TEMPLATES = [HERE / "templates", HERE / "playground" / "templates"]
STATIC = HERE / "static"


class View(NamedTuple):
    """A page of the navigation."""

    path: str
    name: str


VIEWS = (
    View("/", "Flow"),
    View("/rows", "Rows"),
    View("/refusals", "Refusals"),
    View("/dead-letters", "Dead letters"),
    View("/charts", "Charts"),
    View("/streams", "Declarations"),
    View("/playground/", "Playground"),
    View("/erase", "Erase"),
    View("/audit", "Audit log"),
)


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a page of the console, or a part of one, for this request."""
    state = request.app.state
    own = {"csrf": state.secrets.csrf, "site": state.site, "views": VIEWS, "here": request.url.path}
    return bare(template, status, **(own | context))


def bare(template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a page that needs nothing of the console."""
    return HTMLResponse(render(template, **context), status)


def render(template: str, **context: Any) -> str:
    return _environment.get_template(template).render(context)


class Told(dict[str, Any]):
    """What the page says of what was done, for `told.html`: `text`, `kind` and more."""


def told(text: str, kind: str = "good", **more: Any) -> Told:
    """Return what the page is to say. `kind` is good, warn or bad."""
    return Told(text=text, kind=kind, **({"lines": [], "values": [], "job": None} | more))


def number(value: int) -> str:
    """Return a number with its thousands apart, by a space that does not break: 1 234 567."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def moment(value: datetime | str | None) -> str:
    """Return a time in UTC to the second, as `2026-01-31 09:30:00`, a dash where there is none, or `?`."""
    if not value:
        return "–"
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:  # somebody else has written it
        return "?"
    return f"{at.astimezone(UTC) if at.tzinfo else at:%Y-%m-%d %H:%M:%S}"


def age(seconds: float) -> str:
    """Return how long ago something was, as `3 min` or `2 h`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


_environment = Environment(
    loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_environment.filters |= {"number": number, "moment": moment, "age": age, "named": named}
