"""`sluice reveal`: prints the clear values of tokens. The audit log says who asked, and why."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import typer

from sluice.declaration import registry
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError
from sluice.operators.call import FORMS
from sluice.pseudonyms.keyset import TOKEN
from tools.sluice_cli import terminal
from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.deployment import ReasonOption, StackOption, TicketOption

URL_OUTPUT = "RevealUrl"


def _tokens(texts: list[str]) -> list[str]:
    for number, text in enumerate(texts, 1):
        if not TOKEN.fullmatch(text):  # nor is it shown: somebody may have given a value
            raise typer.BadParameter(f"number {number} must be {FORMS[TOKEN]}")
    return texts


def reveal(
    tokens: Annotated[list[str], typer.Argument(metavar="TOKEN", help="At most 100.", callback=_tokens)],
    reason: ReasonOption,
    ticket: TicketOption,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    stack: StackOption = "",
) -> None:
    """Recover the clear values of tokens. It is logged, and counted against what one may ask for in a day.

    A token of a column that is not declared as recoverable cannot be turned back.
    """
    answer = deployment.call(URL_OUTPUT, {"tokens": tokens, "reason": reason, "ticket": ticket}, stack)
    if as_json:
        terminal.show_json(answer)
    else:
        table = terminal.table("Personal data", "Token", "Domain", "Value")
        table.columns[0].no_wrap = True  # so that it can be copied
        for found in answer["values"]:
            table.add_row(*(terminal.cell(found[name]) for name in ("token", "domain", "value")))
        if answer["values"]:
            terminal.console().print(table)
        for token in answer["unknown"]:
            terminal.complain(f"{token}: not recoverable, for nothing is sealed under it")
        if answer["unknown"]:
            _explain()
        for token in answer["altered"]:
            terminal.complain(f"{token}: what is sealed under it was altered")
    raise typer.Exit(terminal.REJECTED if answer["unknown"] or answer["altered"] else 0)


def _explain() -> None:
    """Say why nothing may be sealed under a token. The token itself does not tell of which column it is."""
    recoverable = ", ".join(_recoverable_columns())
    only = f"only these columns are recoverable: {recoverable}" if recoverable else "no column is recoverable"
    terminal.complain(f"as declared here, {only}")
    terminal.complain("nothing is sealed either of a person who was erased, or of another stack")


def _recoverable_columns() -> Iterator[str]:
    """Yield the columns whose values are sealed. A token of another may still be one that these sealed too."""
    for stream in _declared():
        for place in stream.token_places:
            if place.recoverable:
                yield ".".join((stream.table, "[*].".join((place.column, *place.path))))


def _declared() -> Iterator[type[Stream]]:
    for name in registry.names():
        with suppress(DeclarationError):
            yield registry.load(name)
