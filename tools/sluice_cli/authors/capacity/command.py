"""`sluice capacity`: what a load makes of batches, what must be set for it, and what AWS asks for it."""

import tomllib
from dataclasses import replace
from functools import cache
from itertools import product
from math import inf
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tools.sluice_cli import terminal
from tools.sluice_cli.authors.capacity import bill
from tools.sluice_cli.authors.capacity.backlog import NO_OUTAGE, Backlog, Outage, Outcome, simulate
from tools.sluice_cli.authors.capacity.bill import Prices
from tools.sluice_cli.authors.capacity.plan import Load, Measured, Plan

RATES = "Records that come in a second, of all streams together; 0: what it costs idle. Several with commas between."
SIZES = "The streams' BatchSize. Several with commas between."


def capacity(
    records_per_second: Annotated[str, typer.Option("--records-per-second", metavar="N[,N…]", help=RATES)],
    batch_size: Annotated[str, typer.Option("--batch-size", metavar="N[,N…]", help=SIZES)] = "1000",
    window: Annotated[float, typer.Option(min=0, max=300, help="Their WindowSeconds.")] = 1,
    record_bytes: Annotated[int, typer.Option(min=1, max=1_048_576, help="Of a message.")] = 1000,
    streams: Annotated[int, typer.Option(min=1, max=100, help="Over which the records are spread.")] = 1,
    zones: Annotated[int, typer.Option(min=0, max=6, help="With VPC endpoints; 0: the functions are in no VPC.")] = 0,
    prices: Annotated[Path, typer.Option(help="List prices, in the form of prices.toml.")] = bill.PRICES,
    backlog: Annotated[
        int, typer.Option(min=0, max=100_000_000, metavar="N", help="Messages that wait: tell when they are stored.")
    ] = 0,
    concurrency: Annotated[
        str, typer.Option(metavar="N[,N…]", help="With --backlog: the stream's Concurrency. Several with commas.")
    ] = "10",
    outage: Annotated[
        float, typer.Option(min=0, max=10_080, metavar="MINUTES", help="With --backlog: what an outage costs it.")
    ] = 0,
) -> None:
    """Tell what so many records a second need: batches, Concurrency, connections, and dollars a month.

    Times are those of docs/benchmark.json, scaled to Lambda's share of a core; nothing here was measured on AWS. With
    several numbers there is a line for each. With --backlog, a simulation tells how long a stream's backlog takes.
    """
    listed = _prices(prices)
    measured = Measured.read()
    rates = _numbers("--records-per-second", records_per_second, float, 0, 1e6)
    sizes = _numbers("--batch-size", batch_size, int, 1, 10_000)
    loads = [Load(rate, size, window, record_bytes, streams, zones) for rate, size in product(rates, sizes)]
    plans = [Plan(load, measured) for load in loads]
    if backlog:
        if len(plans) > 1:
            terminal.fail("capacity: --backlog takes one number of records a second and one batch size", terminal.USAGE)
        _show_backlog(backlog, plans[0], _numbers("--concurrency", concurrency, int, 2, 1000), outage)
    elif len(plans) == 1:
        if plans[0].rate:
            _show_plan(plans[0])
        _show_bill(plans[0], listed)
        _show_limits(plans[0])
    else:
        _show_plans(plans, listed)


def _numbers[T: (int, float)](option: str, text: str, kind: type[T], least: float, most: float) -> list[T]:
    try:
        numbers = [kind(one) for one in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(least <= number <= most for number in numbers):
        terminal.fail(f"capacity: {option} is a number from {least:,.0f} to {most:,.0f}, or several", terminal.USAGE)
    return numbers


def _prices(path: Path) -> Prices:
    try:
        return Prices.read(path)
    except OSError:
        terminal.fail("capacity: the file of --prices cannot be read", terminal.USAGE)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        terminal.fail(f"capacity: --prices: {error}", terminal.USAGE)


def _show_plan(plan: Plan) -> None:
    load = plan.load
    rows = {
        "Records in a batch": _number(plan.batch),
        "Batches a second": _number(plan.batches_per_second),
        "Milliseconds of a batch": _number(plan.batch_milliseconds),
        "Batches at a time": _number(plan.busy),
        "Concurrency to set": f"{plan.concurrency:,}",
        "Connections, of all streams": f"{plan.connections:,}",
        "Connections while a deployment runs": f"{2 * plan.connections:,}",
        "Rows a day, of all streams": _number(load.records_per_second * 86_400),
    }
    table = terminal.table(f"{_number(load.records_per_second)} records a second", "Of each stream", "")
    for name, value in rows.items():
        table.add_row(name, value)
    terminal.console().print(table)


def _show_bill(plan: Plan, prices: Prices) -> None:
    title = f"A month in {prices.region}, list prices as gathered on {prices.gathered}"
    table = terminal.table(title, "Part", "Quantity", "$ a month", "$ a million records")
    for part in bill.parts(plan):
        monthly = bill.dollars(part, prices)
        table.add_row(part.what, _number(part.quantity), f"{monthly:,.2f}", _each(bill.per_million(monthly, plan)))
    monthly = bill.total(plan, prices)
    table.add_row("Together", "", f"{monthly:,.2f}", _each(bill.per_million(monthly, plan)))
    terminal.console().print(table)


def _show_limits(plan: Plan) -> None:
    for limit in plan.limits:
        terminal.console().print(terminal.cell(limit))


def _show_plans(plans: list[Plan], prices: Prices) -> None:
    table = terminal.table(
        f"{prices.region}, list prices as gathered on {prices.gathered}",
        "Records/s",
        "BatchSize",
        "Batch",
        "Batches/s",
        "At a time",
        "Concurrency",
        "Connections",
        "$ a month",
        "$ a million",
    )
    for plan in plans:
        monthly = bill.total(plan, prices)
        table.add_row(
            _number(plan.load.records_per_second),
            f"{plan.load.batch_size:,}",
            _number(plan.batch),
            _number(plan.batches_per_second),
            _number(plan.busy),
            f"{plan.concurrency:,}",
            f"{plan.connections:,}",
            f"{monthly:,.0f}",
            _each(bill.per_million(monthly, plan)),
        )
    terminal.console().print(table)


def _show_backlog(messages: int, plan: Plan, concurrencies: list[int], outage_minutes: float) -> None:
    title = f"{messages:,} messages wait for a stream, {_number(plan.rate)} a second come"
    columns = ["Concurrency", "Stored at the latest", "At the earliest"]
    outage = NO_OUTAGE
    if outage_minutes:
        title += f", an outage takes {_duration(outage_minutes * 60)}"
        columns += ["Received again", "Receives at most", "Dead letters without a breaker"]
        outage = Outage(0, outage_minutes * 60)
    table = terminal.table(title, *columns)
    for concurrency in concurrencies:
        slow, fast = _outcomes(messages, plan, concurrency, outage)
        cells = [f"{concurrency:,}", _duration(slow.seconds), _duration(fast.seconds)]
        if outage_minutes:
            bare = _outcomes(messages, plan, concurrency, outage, has_breaker=False)
            cells += [
                f"{max(slow.received_again, fast.received_again):,}",
                f"{max(slow.most_receives, fast.most_receives)}",
                f"{max(outcome.dead for outcome in bare):,}",
            ]
        table.add_row(*cells)
    terminal.console().print(table)


def _outcomes(
    messages: int, plan: Plan, concurrency: int, outage: Outage, has_breaker: bool = True
) -> tuple[Outcome, Outcome]:
    """Simulate with pollers as slow as is documented for provisioned ones, and with some that take no time."""
    load = plan.load

    @cache
    def batch_seconds(records: int) -> tuple[float, float]:
        of_database = plan.measured.waiting(records)
        return (plan.measured.on_lambda(records) - of_database) / 1000, of_database / 1000

    slow = Backlog(
        messages,
        concurrency,
        plan.largest_batch,
        load.window_seconds,
        arriving=plan.rate,
        outage=outage,
        has_breaker=has_breaker,
    )
    return simulate(slow, batch_seconds), simulate(replace(slow, of_a_poller=inf), batch_seconds)


def _duration(seconds: float | None) -> str:
    """Return a time as two units at most."""
    if seconds is None:
        return "never"
    if (whole := round(seconds)) < 3600:
        return f"{whole // 60} min {whole % 60} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"


def _number(value: float) -> str:
    """Return a number with three digits at least, and none behind the point that nobody reads."""
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:,.3g}"


def _each(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4f}"
