"""`sluice ledger`: what came in and what became of it, by hour or day."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import typer

from sluice.declaration import registry
from sluice.declaration.route import streams_of
from sluice.operators.audit.ledger import COUNTS, MOST_PERIODS, OUTCOMES
from tools.sluice_cli import terminal
from tools.sluice_cli.operators import deployment
from tools.sluice_cli.operators.audit import URL_OUTPUT
from tools.sluice_cli.operators.deployment import Deployment, StackOption


def ledger(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="A module of layers/streams.")],
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Begin with the batches since: 10m, 2h, 7d or 2026-01-31T09:00Z.")
    ] = "30d",
    by: Annotated[Literal["hour", "day"], typer.Option(help="Sum up by hour or by day, in UTC.")] = "day",
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    stack: StackOption = "",
) -> None:
    """Tell how many records of a stream were received, and what became of them. All that was received must be told of.

    A line where it is not is red, and the exit code is 1. `removed` are rows that an erasure has deleted, or
    that had expired.
    """
    request = {"action": "ledger", "stream": stream, "since": terminal.moment(since).isoformat(), "by": by}
    periods = deployment.call(URL_OUTPUT, request, stack)["periods"]
    wrong = [period for period in periods if not adds_up(period)]
    if as_json:
        terminal.show_json(periods)
    else:
        _show(stream, by, periods)
    if wrong:
        terminal.fail(f"{len(wrong)} of {len(periods)} lines do not add up: not all that was received is told of")


def last_hour(found: Deployment, name: str) -> dict[str, int]:
    """Return the counts of a stream's batches of the last hour; of a route those of its streams too.

    Raises NotAnswered where the caller may not ask the function or it fails, DeclarationError where that of the route
    cannot be read.
    """
    total = dict.fromkeys(COUNTS, 0)
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for one in fed(name):
        request = {"action": "ledger", "stream": one, "since": since, "by": "hour"}
        for period in deployment.answer(found, URL_OUTPUT, request)["periods"]:
            total = {count: total[count] + period[count] for count in COUNTS}
    return total


def fed(name: str) -> Iterable[str]:
    """Return the streams whose records come by a queue, and a route itself: its records of no stream go by its name.

    Raises DeclarationError where the declaration cannot be read.
    """
    if name not in registry.names():
        return [name]  # the checkout is of another release
    return dict.fromkeys([name, *(stream.stream_name for stream in streams_of(registry.load_queued(name)))])


def adds_up(period: Mapping[str, Any]) -> bool:
    """Tell whether all that was received is told of."""
    return bool(period["received"] == sum(period[name] for name in OUTCOMES))


def told(periods: Iterable[Mapping[str, int]]) -> list[str]:
    """Return the counts that are shown of some periods: one that is nowhere is not."""
    names = ["received", "written"]
    found = list(periods)
    return names + [name for name in COUNTS if name not in names and any(period[name] for period in found)]


def heading(count: str) -> str:
    return count.replace("_", " ").capitalize()


def _show(stream: str, by: str, periods: list[dict[str, Any]]) -> None:
    """Print a table of what there was: a count that is nowhere has no column."""
    names = ["batches", *told(periods)]
    table = terminal.table(stream, f"{by.capitalize()} (UTC)", *map(heading, names))
    for period in periods:
        style = "" if adds_up(period) else "red"
        begin = period["begin"][: 10 if by == "day" else 16].replace("T", " ")
        table.add_row(*(terminal.cell(text, style) for text in (begin, *(f"{period[name]:,}" for name in names))))
    if len(periods) > 1:
        table.add_section()
        table.add_row("", *(f"{sum(period[name] for period in periods):,}" for name in names))
    terminal.console().print(table)
    if len(periods) == MOST_PERIODS:
        terminal.note(f"These are the newest {MOST_PERIODS:,}: --since a later time, or --by day, has all of them.")
