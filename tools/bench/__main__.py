"""`python -m tools.bench`: everything measured in one run, but for growth; a table on the terminal, files in docs/."""

import argparse
import gc
import json
import os
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from tools.bench import cold_start, cpu, growth_report, memory, report
from tools.bench.chart import chart, growth_chart
from tools.bench.environment import Place, place, quiet
from tools.bench.records import Records
from tools.project import PROJECT

DOCS = PROJECT / "docs"


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: dict[int, int]  # by records of a batch
    batch_size: int  # of the duplicates and the refused
    batch_rounds: int
    vault_rounds: dict[int, int]  # by records of a batch
    step_repeats: int
    cold_starts: int


FULL = Plan(
    rounds={10: 41, 100: 21, 1_000: 9, 10_000: 7},
    batch_size=10_000,
    batch_rounds=7,
    vault_rounds={1_000: 15, 10_000: 7},
    step_repeats=40,
    cold_starts=15,
)
QUICK = Plan(
    rounds={10: 7, 100: 7, 1_000: 3},
    batch_size=1_000,
    batch_rounds=3,
    vault_rounds={1_000: 5},
    step_repeats=10,
    cold_starts=2,
)


MOST_ROWS = 10_000_000
ROWS_A_MONTH = 2_000_000
SMALLER = (10_000, 1_000_000, MOST_ROWS)
ERASURE_MONTHS, ERASURE_ROWS_A_MONTH = 26, 200_000
FEW_ROWS, FEW_ROWS_A_MONTH = 3_000, 2_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure Sluice beside its alternatives.")
    parser.add_argument("--quick", action="store_true", help="under a minute: smaller batches, fewer runs")
    parser.add_argument(
        "--growth",
        type=int,
        nargs="?",
        const=MOST_ROWS,
        metavar="ROWS",
        help=f"measure nothing but what grows with the table: up to {MOST_ROWS:,} rows, or so many, in half an hour",
    )
    parser.add_argument(
        "--rows-a-month",
        type=int,
        default=ROWS_A_MONTH,
        metavar="ROWS",
        help=f"with --growth; {ROWS_A_MONTH:,} if not given",
    )
    parser.add_argument(
        "--partitioned", action="store_true", help="with --growth: leave out the one table, which takes longest to fill"
    )
    given = parser.parse_args()
    with quiet(), place() as here:  # what the functions log and print goes nowhere; writing it is measured
        if given.growth:
            for growth in _growth(here, given.growth, given.rows_a_month, is_partitioned=given.partitioned):
                _write(_earlier() | {"growth": growth})  # each size as soon as it is known
            shown = growth_report.section(growth)
        else:
            measured = {"quick": given.quick} | _measure(here, QUICK if given.quick else FULL)
            growth = _earlier()["growth"]  # it takes too long to be measured each time
            if given.quick:
                *_, growth = _growth(here, FEW_ROWS, FEW_ROWS_A_MONTH, is_quick=True)
            _write(measured | {"growth": growth})
            shown = report.summary(measured)
    Console().print(Markdown(shown))
    return 0


def _earlier() -> dict[str, Any]:
    """Return what was measured before."""
    measured: dict[str, Any] = json.loads((DOCS / "benchmark.json").read_text())
    return measured


def _write(measured: dict[str, Any]) -> None:
    (DOCS / "benchmark.json").write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n")
    (DOCS / "benchmark.svg").write_text(chart(measured["race"]))
    (DOCS / "growth.svg").write_text(growth_chart(measured["growth"]["sizes"]))
    (DOCS / "benchmark.md").write_text(report.page(measured) + growth_report.section(measured["growth"]))


def _measure(here: Place, plan: Plan) -> dict[str, Any]:
    records = Records()
    measured: dict[str, Any] = {"machine": _machine(here)}
    _say("Cold starts")
    starts = cold_start.measure(here.folder, [records.event(10) for _ in range(plan.cold_starts)])
    measured["cold_start"] = {name: start.summary() for name, start in starts.items()}
    _say("Peak memory")
    measured["peak_memory_mb"] = round(memory.measure(here.folder, records.event(10_000)))
    measured |= _race(here, plan, records)
    _say("CPU by step")
    measured["cpu_by_step_us"] = cpu.by_step(here, records.event(plan.batch_size), plan.step_repeats)
    measured["cpu_by_kind_us"] = cpu.by_kind(plan.step_repeats)
    measured["cpu_to_seal_us"] = cpu.to_seal(records.event(plan.batch_size), plan.step_repeats)
    return measured


def _race(here: Place, plan: Plan, records: Records) -> dict[str, Any]:
    from tools.bench import vault, writing
    from tools.bench.contenders import contenders  # after `place`: what it imports reads the environment

    running = contenders(here)
    environments = vault.environments()
    table = writing.Table(here)
    for contender in running.values():  # warm, and dlt's columns are there
        contender(records.event(100))()
    environments[vault.SEALING](records.event(writing.ROWS_BEFORE))()
    table.keep_as_it_is()
    gc.freeze()  # what dlt imports, which no function has, makes each collection take 0.1 s
    races = {}
    for size, rounds in plan.rounds.items():
        _say(f"Batches of {size:,}, {rounds} rounds")
        timings = writing.race(table, running, records, size, rounds)
        races[str(size)] = {name: timing.summary() for name, timing in timings.items()}
    prices = {}
    for size, rounds in plan.vault_rounds.items():
        _say(f"The vault with batches of {size:,}, {rounds} rounds")
        timings = vault.price(table, environments, records, size, rounds)
        prices[str(size)] = {name: timing.summary() for name, timing in timings.items()}
    _say(f"Duplicates and refused rows, {plan.batch_rounds} rounds")
    batches = writing.compare_batches(table, running["sluice"], records, plan.batch_size, plan.batch_rounds)
    return {
        "race": races,
        "vault": prices,
        "batches": {"records": plan.batch_size} | {name: timing.summary() for name, timing in batches.items()},
    }


def _growth(
    here: Place, most_rows: int, rows_a_month: int, is_quick: bool = False, is_partitioned: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield what was measured of growth until now, after each size. A quick one proves that it can be done."""
    from tools.bench import growth  # after `place`, as above

    sizes = [growth.Size(most_rows, rows_a_month)]
    if not is_quick:
        sizes[:0] = [growth.Size(rows, rows_a_month) for rows in SMALLER if rows < most_rows]
        sizes.insert(-1, growth.Size(ERASURE_MONTHS * ERASURE_ROWS_A_MONTH, ERASURE_ROWS_A_MONTH))
    plan = growth.LITTLE if is_quick else growth.FULL
    about: dict[str, Any] = {"machine": _machine(here), "batch": plan.batch, "rounds": plan.rounds, "sizes": []}
    for size in growth.measure(here, sizes, plan, Records(), _say, is_partitioned):
        about = about | {"sizes": [*about["sizes"], size]}
        yield about


def _machine(here: Place) -> dict[str, Any]:
    with here.postgres.connect() as connection:
        ((version,),) = connection.run("SHOW server_version")
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cores": os.cpu_count(),
        "cpu": model[1] if model else platform.machine(),
        "postgresql": version,
        "python": platform.python_version(),
    }


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
