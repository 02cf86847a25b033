"""`sluice describe`: shows a stream's declaration as a table, for people, scripts or a data catalogue."""

import json
from typing import Annotated

import typer

from sluice.declaration import description
from sluice.declaration.description import Entry, mask_text, rule_text
from sluice.declaration.route import Route
from sluice.declaration.stream import Stream
from tools.sluice_cli import terminal
from tools.sluice_cli.authors import declarations, json_schema, routes

NAMED = {"subject": " or ", "mentions": " and ", "identity": "", "time": "", "envelope": "", "records": "", "batch": ""}
NAMED |= {"partition": "", "keep_for": ""}
HEADINGS = ("Field", "Type", "Rule", "Mask", "Column", "Null", "Domain")


def describe(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="A module of layers/streams.")],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="For a data catalogue.")] = False,
    as_json_schema: Annotated[
        bool, typer.Option("--json-schema", help="For producers: JSON Schema of the records (2020-12).")
    ] = False,
) -> None:
    """Tell what a stream takes in, what becomes of each field, and in which column it is.

    A field is a JSON pointer in the record; `*` is each element of a list. One that begins with `envelope` or `message`
    is outside of the record. For a route it tells which records go to which stream.
    """
    if as_json + as_markdown + as_json_schema > 1:
        terminal.fail("describe: one of --json, --markdown and --json-schema", terminal.USAGE)
    declared = declarations.queued(stream)
    if issubclass(declared, Route):
        _describe_route(declared, as_json, as_markdown, as_json_schema)
        return
    entries = description.entries(declared)
    if as_json:
        terminal.show_json(description.told(declared))
    elif as_json_schema:
        terminal.show_json(json_schema.of_stream(declared))
    elif as_markdown:
        print(_markdown(declared, entries))
    else:
        table = terminal.table(f"{stream}: {_sentences(declared)}", *HEADINGS)
        for entry in entries:
            table.add_row(*map(terminal.cell, _texts(entry)))
        terminal.console().print(table)


def _describe_route(route: type[Route], as_json: bool, as_markdown: bool, as_json_schema: bool) -> None:
    if as_json or as_json_schema:
        terminal.show_json(routes.schema(route) if as_json_schema else routes.told(route))
    elif as_markdown:
        print(routes.markdown(route))
    else:
        routes.show(route)


def _sentences(stream: type[Stream], quote: str = "") -> str:
    """Return what a stream is about, and its names, in quotes of their own."""
    head = description.head(stream)
    names = [f"table {quote}{stream.table}{quote}"]
    for key, between in NAMED.items():
        paths = [head[key]] if isinstance(head.get(key), str) else head.get(key) or ()
        names += [f"{key} {between.join(f'{quote}{path}{quote}' for path in paths)}"] if paths else []
    names += [f"ignores {quote}{json.dumps(members)}{quote}" for members in stream.ignored_members]
    names += [f"offloaded {quote}{stream.offloaded}{quote}"] if stream.offloaded else []
    told = ", ".join(names)
    return f"{head['about']} {told[0].upper()}{told[1:]}."


def _texts(entry: Entry) -> tuple[str, ...]:
    field, rule = (entry.pointer or "–") + description.where(entry.cases), rule_text(entry.rule, entry.null_if)
    null = "yes" if entry.nullable else ""
    return field, entry.type, rule, mask_text(entry), entry.column, null, entry.domain or ""


def _markdown(stream: type[Stream], entries: list[Entry]) -> str:
    rows = [HEADINGS, ("---",) * len(HEADINGS), *([_code(text) for text in _texts(entry)] for entry in entries)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"## {stream.stream_name}\n\n{_sentences(stream, '`')}\n\n{table}"


def _code(text: str) -> str:
    """Return the text as code in a cell of a table (https://github.github.com/gfm/#tables-extension-)."""
    return f"`{terminal.printable(text).replace('|', '\\|')}`" if text and not text.startswith("–") else text
