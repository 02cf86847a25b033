"""The runbook: an entry of docs/operations.md, as HTML."""

from functools import cache

from markdown_it import MarkdownIt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Address

from tools.console import pages
from tools.project import PROJECT
from tools.sluice_cli.operators.causes import RUNBOOK

OF_A_REFUSAL = "DeadLettersAlarm"  # the entry of what was refused
OF_A_LETTER = "Dead letters"


@cache
def entries() -> dict[str, str]:
    """Return the runbook's entries by their headings: each the HTML of what is below it."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    for name in ("link_open", "link_close"):  # they lead from page to page of the documentation, which is not here
        markdown.add_render_rule(name, lambda *_: "")
    found: dict[str, list[str]] = {}
    levels: list[tuple[int, str]] = []
    is_code = False
    for line in (PROJECT / RUNBOOK).read_text().splitlines():
        is_code ^= line.startswith("```")
        marks, _, heading = line.partition(" ")
        if not is_code and heading and set(marks) == {"#"}:
            levels = [(level, name) for level, name in levels if level < len(marks)]
            levels.append((len(marks), heading))
            found[heading] = []
        for _, name in levels:
            found[name].append(line)
    return {heading: _html(markdown, lines[1:]) for heading, lines in found.items()}


def _html(markdown: MarkdownIt, lines: list[str]) -> str:
    """Return lines of Markdown as HTML, in which the keyboard can scroll what is wide."""
    return str(markdown.render("\n".join(lines))).replace("<pre>", '<pre tabindex="0">')


def _page(request: Request) -> Response:
    heading = request.query_params.get("entry", "")
    html = entries().get(heading)
    return pages.page(request, "runbook.html", 200 if html else 404, heading=heading, html=html)


def routes() -> list[Address]:
    """Return the addresses of this view."""
    return [Address("/runbook", _page)]
