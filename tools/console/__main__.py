"""`python -m tools.console`: what `sluice console` starts."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tools.console import reader, serving
from tools.console.site import Site
from tools.local.stack import Stack
from tools.sluice_cli import databases, kept
from tools.sluice_cli.databases import URL
from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.deployment import Deployment, StackOption
from tools.sluice_cli.terminal import fail, run


def console(
    database: Annotated[
        str | None, typer.Option(metavar="URL", help=f"Where the rows are; by default the demo's. {URL}")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 is any that is free.")] = 0,
    allow_changes: Annotated[
        bool,
        typer.Option("--allow-changes", help="Let the page change a stack that is not the demo's: with your rights."),
    ] = False,
    stack: StackOption = "",
    connections: Annotated[
        Path | None, typer.Option(hidden=True, help="A stack that was kept in another place, for tests.")
    ] = None,
) -> None:
    """Show a stack in the browser as it works: queues, rows, refusals, charts, the audit log. Ctrl-C ends it.

    With the stack that the demo has kept one can play. Any other is looked at only, as far as your rights allow.
    """
    try:
        serving.run(_site(database, allow_changes, stack, connections), port)
    except OSError as error:
        fail(f"console: port {port}: {error.strerror}")


def _site(url: str | None, allow_changes: bool, stack: str, connections: Path | None) -> Site:
    given = databases.given(url, reader.APPLICATION) if url else None
    found = json.loads(connections.read_text()) if connections else None if stack else kept.stack()
    if found is None:
        return Site(deployment.deployed(stack), given, None, allow_changes)
    embedded = Stack.of_kept(found)
    if not embedded.emulator.runs():
        fail("the stack that was kept has stopped: `make down`, then `make demo ARGS=--keep`")
    deployed = Deployment(kept.session(found), found["endpoint_url"], found["stack_name"])
    return Site(deployed, given or reader.database(embedded), embedded, may_change=True)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(epilog="Example:  sluice console --stack sluice-prod")(console)
    run(app, prog_name="sluice console")
