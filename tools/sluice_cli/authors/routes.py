"""A route, told: for people, scripts, a data catalogue and producers."""

from typing import Any

from sluice.declaration import description
from sluice.declaration.paths import keys_of
from sluice.declaration.route import Route
from tools.sluice_cli import terminal
from tools.sluice_cli.authors import json_schema
from tools.sluice_cli.authors.json_schema import DIALECT, Schema

HEADINGS = ("Value", "Stream", "Table")


def told(route: type[Route]) -> dict[str, Any]:
    """Return all that a route says, as JSON has it."""
    head = route.head
    return {
        "route": route.stream_name,
        "about": description.about(route),
        "by": route.by,
        "envelope": head.unwrap.__name__,
        "records": head.splitter.name if head.splitter else None,
        "ignore": [dict(members) for members in head.ignored_members],
        **({"offloaded": str(head.offloaded)} if head.offloaded else {}),
        "to": {value: stream.stream_name for value, stream in route.brought.items()},
    }


def show(route: type[Route]) -> None:
    """Print a table of a route."""
    table = terminal.table(route.stream_name, *HEADINGS)
    for row in _rows(route):
        table.add_row(*map(terminal.cell, row))
    terminal.console().print(terminal.cell(_sentences(route)), soft_wrap=True)
    terminal.console().print("", table)


def markdown(route: type[Route]) -> str:
    """Return the same for a data catalogue."""
    rows = [HEADINGS, ("---",) * len(HEADINGS), *(tuple(f"`{text}`" for text in row) for row in _rows(route))]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"## {route.stream_name}\n\n{_sentences(route, '`')}\n\n{table}"


def schema(route: type[Route]) -> Schema:
    """Return the schema of a route's records: that of a stream with the value that leads to it."""
    head = json_schema.of_stream(route.head)
    made = {"$schema": DIALECT, "title": route.stream_name, "description": description.about(route)}
    made |= {"$comment": head["$comment"]} if "$comment" in head else {}
    return made | {"oneOf": [_of_value(route, value) for value in route.to]}


def _of_value(route: type[Route], value: str) -> Schema:
    stream = json_schema.of_stream(route.to[value])
    of_stream = {name: member for name, member in stream.items() if name not in ("$schema", "$comment")}
    leads: Schema = {"const": value}
    for key in reversed(keys_of(route.by)):
        leads = {"type": "object", "properties": {key: leads}, "required": [key]}
    return {"allOf": [leads, of_stream]}


def leading_to(route: type[Route], value: str) -> dict[str, Any]:
    """Return the members of a record that bring it to the stream of a value."""
    members: Any = value
    for key in reversed(keys_of(route.by)):
        members = {key: members}
    return dict(members)


def _rows(route: type[Route]) -> list[tuple[str, str, str]]:
    return [(value, stream.stream_name, stream.table) for value, stream in route.brought.items()]


def _sentences(route: type[Route], quote: str = "") -> str:
    one = told(route)
    names = [f"{key} {quote}{one[key]}{quote}" for key in ("by", "envelope", "records") if one[key]]
    return f"{one['about']} Route {', '.join(names)}."
