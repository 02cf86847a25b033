"""`sluice doctor`: what fails, or would fail, in a few lines."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from sluice.aws import clients
from sluice.deadline import Deadline
from sluice.declaration import registry
from sluice.failures import DeclarationError
from sluice.migrate.doctor import examination
from sluice.migrate.doctor.finding import Finding
from sluice.migrate.doctor.subject import Subject
from sluice.settings import ROLES
from tools.sluice_cli import databases, terminal
from tools.sluice_cli.authors.template import DEFAULTS
from tools.sluice_cli.databases import URL
from tools.sluice_cli.operators import causes, deployment
from tools.sluice_cli.operators.deployment import StackOption
from tools.sluice_cli.sqlstates import named
from tools.sluice_cli.terminal import REJECTED, cell, fail

SECONDS = 60
MARKS = {"good": "[green]✓[/]", "unknown": "[blue]?[/]", "warns": "[yellow]![/]", "fails": "[red]✗[/]"}


def doctor(
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help=f"Before a deployment: look at this database alone, as its owner, and change nothing in it. {URL}",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: all findings, the good ones too.")] = False,
    stack: StackOption = "",
) -> None:
    """Say what fails in a deployed stack and its database, or what a deployment to a database would refuse.

    It ends with 1 if anything fails. It changes nothing.
    """
    found = [_advised(finding) for finding in (_of_database(database, stack) if database else _of_stack(stack))]
    if as_json:
        terminal.show_json([msgspec.to_builtins(finding) for finding in found])
    else:
        _show(found)
    raise typer.Exit(REJECTED if any(finding.severity == "fails" for finding in found) else 0)


def _of_stack(stack: str) -> list[Finding]:
    from tools.sluice_cli.operators.doctor import areas  # boto3 is slow to import
    from tools.sluice_cli.operators.doctor.site import Site

    try:
        site = Site(deployment.deployed(stack))
        return areas.look(site) if areas.exists(site) else areas.look_before(site, _batches())
    except clients.errors() as error:  # there are no credentials, or no region
        fail(deployment.told(error))


def _of_database(url: str, stack: str) -> list[Finding]:
    """Look at a database before a deployment, as the owner who is to deploy."""
    given = databases.given(url, examination.APPLICATION_NAME)
    try:
        streams = registry.load_all()
    except DeclarationError as error:
        fail(str(error))
    name = stack or os.environ.get("SLUICE_STACK") or deployment.STACK
    roles = {role: f"{name}-{role.replace('_', '-')}" for role in ROLES}
    subject = Subject(given.settings, streams, roles, _batches())
    try:
        return examination.examine(given, subject, Deadline(time.monotonic() + SECONDS))
    finally:
        given.close()


def _batches() -> int:
    """Return how many batches all streams may run at a time, where the template says nothing else."""
    return DEFAULTS["Concurrency"] * len(registry.names())


def _advised(finding: Finding) -> Finding:
    """Return a finding with the runbook's advice, where it is the text of an outage."""
    cause = None if finding.advice or finding.severity == "good" else causes.of_outage(finding.sentence)
    if cause is None:
        return finding
    return msgspec.structs.replace(finding, advice=f"{cause.sentence} See {causes.RUNBOOK}, “{cause.entry}”.")


def _show(found: Sequence[Finding]) -> None:
    """Show a line for each area that is well, and of the others each finding with what to do."""
    console = terminal.console()
    areas = list(dict.fromkeys(finding.area for finding in found))
    for area in areas:
        of_area = [finding for finding in found if finding.area == area]
        bad = [finding for finding in of_area if finding.severity != "good"]
        for finding in bad:
            thing = f"{finding.thing}: " if finding.thing else ""
            line = cell(f"{area:<10} {thing}{named(finding.sentence)}")
            console.print(MARKS[finding.severity], line, soft_wrap=True)
            if finding.advice:
                console.print(cell(f"             {finding.advice}", "dim"), soft_wrap=True)
        if not bad:
            told = ", ".join(finding.sentence for finding in of_area)
            console.print(MARKS["good"], cell(f"{area:<10} {told}"), soft_wrap=True)
    counts = Counter(finding.severity for finding in found)
    told = f"fails: {counts['fails']}, warns: {counts['warns']}, not looked at: {counts['unknown']}"
    console.print(cell(f"{len(areas)} areas; {told}"))
