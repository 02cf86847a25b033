"""`python -m tools.bench [--quick]`: everything measured in one run, a table on the terminal, three files in docs/."""

import argparse
import gc
import json
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from tools.bench import cold_start, cpu, memory, report
from tools.bench.chart import chart
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure Sluice beside its alternatives.")
    parser.add_argument("--quick", action="store_true", help="under a minute: smaller batches, fewer runs")
    quick = parser.parse_args().quick
    with quiet(), place() as here:  # what the functions log and print goes nowhere; writing it is measured
        measured = {"quick": quick} | _measure(here, QUICK if quick else FULL)
    DOCS.mkdir(exist_ok=True)
    (DOCS / "benchmark.json").write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n")
    (DOCS / "benchmark.svg").write_text(chart(measured["race"]))
    (DOCS / "benchmark.md").write_text(report.page(measured))
    Console().print(Markdown(report.summary(measured)))
    return 0


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
