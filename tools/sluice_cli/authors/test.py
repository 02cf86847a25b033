"""`sluice test`: compares what a stream's examples become with what they say."""

from typing import Annotated

import typer

from sluice.declaration.registry import names
from tools.sluice_cli import terminal
from tools.sluice_cli.authors import declarations, examples, throwaway


def test(
    stream: Annotated[
        str | None, typer.Argument(metavar="[STREAM]", help="A module of layers/streams; without it all of them.")
    ] = None,  # noqa: PT028 (a command, not a test)
) -> None:
    """Mask the records of `examples/STREAM.jsonl`, and compare each with the row or the refusal beside it.

    It needs no stack and no database.
    """
    console = terminal.console()
    failed = False
    for name in [stream] if stream else names():
        declared = declarations.queued(name)
        count = len(examples.numbered(name))
        found = examples.differences(name, declared, throwaway.keyset())
        for sentence in found:
            console.print("[red]✗[/]", terminal.cell(sentence), soft_wrap=True)
        if not found:
            sign = "[green]✓[/]" if count else "[yellow]…[/]"
            told = f"{count} examples become what they say" if count else f"no examples in {_place(name)}"
            console.print(sign, terminal.cell(f"{name:<20}{told}"))
        failed |= bool(found)
    raise typer.Exit(terminal.REJECTED if failed else 0)


def _place(name: str) -> str:
    return "/".join(examples.file(name).parts[-3:])
