"""`sluice reveal`: tokens in, their clear values out; the audit log says who asked, and why."""

from typing import Annotated

import typer

from tools.sluice_cli import terminal
from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.deployment import ReasonOption, StackOption, TicketOption


def reveal(
    tokens: Annotated[list[str], typer.Argument(metavar="TOKEN", help="At most 100.")],
    reason: ReasonOption,
    ticket: TicketOption,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    stack: StackOption = "",
) -> None:
    """Recover the clear values of tokens. It is logged, and counted against what one may ask for in a day."""
    answer = deployment.call("RevealUrl", {"tokens": tokens, "reason": reason, "ticket": ticket}, stack)
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
            terminal.complain(f"{token}: unknown")
        for token in answer["altered"]:
            terminal.complain(f"{token}: what is sealed under it was altered")
    raise typer.Exit(terminal.REJECTED if answer["unknown"] or answer["altered"] else 0)
