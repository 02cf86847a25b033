"""`sluice test`: compares what a stream's examples become with what they say, or renews them."""

from typing import Annotated

import typer

from sluice.declaration.registry import names
from tools.sluice_cli import terminal
from tools.sluice_cli.authors import declarations, examples, renewal, throwaway


def test(
    stream: Annotated[
        str | None, typer.Argument(metavar="[STREAM]", help="A module of layers/streams; without it all of them.")
    ] = None,  # noqa: PT028 (a command, not a test)
    renew: Annotated[
        bool, typer.Option("--renew", help="Write what the declaration makes of the records now into the examples.")
    ] = False,  # noqa: PT028
) -> None:
    """Mask the records of `examples/STREAM.jsonl`, and compare each with the row or the refusal beside it.

    It needs no stack and no database.
    """
    if renew:
        if stream is None:
            terminal.fail("--renew needs the STREAM whose examples it shall renew", terminal.USAGE)
        _renew(stream)
    console = terminal.console()
    stale = []
    for name in [stream] if stream else names():
        declared = declarations.queued(name)
        count = len(examples.numbered(name))
        found = examples.differences(name, declared, throwaway.keyset())
        for sentence in found:
            console.print("[red]✗[/]", terminal.cell(sentence), soft_wrap=True)
        if found:
            stale.append(name)
        else:
            sign = "[green]✓[/]" if count else "[yellow]…[/]"
            told = f"{count} examples become what they say" if count else f"no examples in {_place(name)}"
            console.print(sign, terminal.cell(f"{name:<20}{told}"))
    for name in stale:
        terminal.note(examples.advice(name))
    raise typer.Exit(terminal.REJECTED if stale else 0)


def _renew(name: str) -> None:
    """Renew a stream's examples, and tell what has changed in them. What cannot be renewed ends the command."""
    console = terminal.console()
    made = renewal.renew(name, declarations.queued(name), throwaway.keyset())
    if made.renewed:
        examples.file(name).write_text(made.text, "utf-8")
        examples_of = "example" if made.renewed == 1 else "examples"
        console.print(terminal.cell(f"{made.renewed} {examples_of} renewed in {_place(name)}. Is this what you meant?"))
    for sentence in made.told:
        console.print(terminal.cell(f"  {sentence}"), soft_wrap=True)
    for sentence in made.left:
        console.print("[red]✗[/]", terminal.cell(f"{_place(name)}, {sentence}"), soft_wrap=True)
    if made.left:
        raise typer.Exit(terminal.REJECTED)


def _place(name: str) -> str:
    return declarations.place(examples.file(name))
