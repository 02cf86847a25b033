"""`sluice describe`: a stream's declaration in, a table of its fields out, for people, scripts or a data catalogue."""

from typing import Annotated

import typer

from sluice.declaration.masks import Mask
from sluice.declaration.stream import Stream
from tools.sluice_cli import terminal
from tools.sluice_cli.authors import declarations
from tools.sluice_cli.authors.declarations import Entry, mask_text, rule_text

HEADINGS = ("Field", "Type", "Rule", "Mask", "Column", "Domain")


def describe(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="A module of layers/streams.")],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="For a data catalogue.")] = False,
) -> None:
    """Tell what a stream takes in, what becomes of each field, and in which column it is.

    A field is a JSON pointer in the record; `*` is each element of a list.
    """
    if as_json and as_markdown:
        terminal.fail("describe: either --json or --markdown", terminal.USAGE)
    declared = declarations.stream(stream)
    entries = declarations.entries(declared)
    if as_json:
        terminal.show_json(_head(stream, declared) | {"columns": [_json(entry) for entry in entries]})
    elif as_markdown:
        print(_markdown(stream, declared, entries))
    else:
        table = terminal.table(_title(stream, declared), *HEADINGS)
        for entry in entries:
            table.add_row(*map(terminal.cell, _texts(entry)))
        terminal.console().print(table)


def _head(name: str, stream: type[Stream]) -> dict[str, object]:
    about = " ".join((stream.__doc__ or "").split("\n\n")[0].split())
    return {"stream": name, "about": about, "table": stream.table, "envelope": stream.unwrap.__name__}


def _title(name: str, stream: type[Stream]) -> str:
    head = _head(name, stream)
    return f"{name}: {head['about']} Table {stream.table}, envelope {head['envelope']}."


def _texts(entry: Entry) -> tuple[str, ...]:
    field = entry.pointer or "–"
    return field, entry.type, rule_text(entry.rule), mask_text(entry), entry.column, entry.domain or ""


def _json(entry: Entry) -> dict[str, object]:
    return {
        "field": entry.pointer or None,
        "type": entry.type,
        "rule": declarations.options(entry.rule) if entry.rule else None,
        "mask": declarations.options(entry.mask) if isinstance(entry.mask, Mask) else {"name": mask_text(entry)},
        "column": entry.column,
        "domain": entry.domain,
    }


def _markdown(name: str, stream: type[Stream], entries: list[Entry]) -> str:
    head = _head(name, stream)
    about = f"{head['about']} Table `{stream.table}`, envelope `{head['envelope']}`."
    rows = [HEADINGS, ("---",) * len(HEADINGS), *([_code(text) for text in _texts(entry)] for entry in entries)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"## {name}\n\n{about}\n\n{table}"


def _code(text: str) -> str:
    """Return the text as code in a cell of a table (https://github.github.com/gfm/#tables-extension-)."""
    return f"`{terminal.printable(text).replace('|', '\\|')}`" if text and text != "–" else text
