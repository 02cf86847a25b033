"""The page of Markdown, made of what was measured."""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any

type Measured = dict[str, Any]

NAMES = {
    "floor": "Floor: COPY of ready rows, psycopg 3 in C",
    "sluice": "Sluice, from event to response",
    "handler": "Obvious handler: Powertools, one INSERT per record",
    "script": "Script: psycopg2, one INSERT per record, one commit",
    "unnest": "pg8000, one INSERT from arrays (`unnest`)",
    "pipeline": "psycopg 3 in C, `executemany` in a pipeline",
    "dlt": "dlt, append by COPY",
}
COLOURS = {
    "floor": "#8d99ae",
    "sluice": "#0f7b6c",
    "handler": "#d1495b",
    "script": "#edae49",
    "unnest": "#00798c",
    "pipeline": "#7b2d8b",
    "dlt": "#5c6bc0",
}

VAULT_CASES = {
    "without": "Without a vault",
    "known": "All values known",
    "half new": "Half of the values new",
    "all new": "All values new",
    "half sealed by another": "Half of the values sealed by another environment, half new",
}

# At most so many times as long, by records and by case.
FLOOR_GOALS = ((10, 2.5), (100, 3), (1_000, 1.8), (10_000, 1.8))
VAULT_GOALS = (("known", 1.2), ("half new", 1.8))

# https://aws.amazon.com/lambda/pricing/ for us-east-1, arm64, the first 7.5 billion GB-seconds of a month
DOLLARS_PER_MILLION_GB_SECONDS = 13.3334
DOLLARS_PER_MILLION_REQUESTS = 0.20
MEMORY_GB = 1  # the ingest function's MemorySize


def page(measured: Measured) -> str:
    """Return docs/benchmark.md."""
    machine, batches = measured["machine"], measured["batches"]
    runs = ", ".join(f"{race['sluice']['runs']} of {int(size):,}" for size, race in measured["race"].items())
    command = f"make bench{' ARGS=--quick' if measured['quick'] else ''}"
    duplicates = (
        f"Batches of {batches['records']:,}. Duplicates were written before; refused rows break a CHECK constraint"
    )
    steps = [(name, f"{us:.1f}") for name, us in measured["cpu_by_step_us"].items()]
    vault_runs = ", ".join(f"{cases['without']['runs']} of {int(size):,}" for size, cases in measured["vault"].items())
    kinds = [(kind, f"{kept:.1f}", f"{token:.1f}") for kind, (kept, token) in measured["cpu_by_kind_us"].items()]
    return f"""# Benchmark

![Time per record by batch size and contender](benchmark.svg)

Made by `{command}`; all figures are in [benchmark.json](benchmark.json). {machine["cores"]} cores ({machine["cpu"]}),
which contenders and server share; PostgreSQL {machine["postgresql"]} with its default durability (a commit is on disk),
over TCP on the same machine; Python {machine["python"]}.

## How it is measured

All contenders write the same logins, under message ids of their own, in the same columns of the table `user_logins`,
made by the project's migrations with all its indexes. None of them but Sluice can recover a value, so the logins are
declared without recovery; [what that costs](#the-vault) is measured apart. The table begins with 10,000 rows, and goes
back to them, with a checkpoint before, once it has twice as many. In each round the contenders take turns, another one
first each time, on connections that are open, each after an untimed batch of 10. Autovacuum is off. Medians, with the
lowest and the highest run: {runs} records.

- The floor gets rows that are decoded, masked and sorted already; BEGIN and COMMIT are its own.
- Sluice is `lambda_handler` of `functions/ingest/app.py`, from the event (a dict) to the response: checks, keyed
  tokens, rejections, logs and metrics included. Secrets Manager, KMS and SQS are stand-ins on this machine.
- All others hash with plain SHA-256, check nothing and record no rejection. A record that PostgreSQL refuses fails
  the whole batch of all but the obvious handler.
- dlt adds two columns of its own, so it writes into a twin of the table, with the same indexes and as many rows.

Batches above 10 cannot come through the event source mapping of the embedded emulator: they are measured by calling the
handler.

{summary(measured)}

## Duplicates and refused rows

{duplicates} that
only PostgreSQL knows. Milliseconds: median (lowest to highest).

{table(("Batch", "Milliseconds", "Times the clean batch"), _batch_rows(batches))}

## The vault

The same batch through the handler, where both personal values of a record can be recovered: address and device id, each
with a token of its own. Those that the execution environment does not know to be in the vault are sealed and sent. Each
batch comes after an untimed one of as many records, into as many rows, with a vault that holds the values of 10,000
logins beside its own. Rounds: {vault_runs} records. Milliseconds: median (lowest to highest): how many times as
long as without a vault.

{table(("Records", *VAULT_CASES.values()), _vault_rows(measured))}

To seal a value takes {measured["cpu_to_seal_us"]:.1f} µs of CPU time, without PostgreSQL's.

## CPU time of a record

The lowest of the runs, without PostgreSQL's: {_cpu_by_size(measured)}. By step, each alone:

{table(("Step", "µs per record"), steps)}

A value by the kind of its field, from the decoder to the cell; the logins have texts, an address and a version:

{table(("Kind", "Kept, µs", "As a token, µs"), kinds)}

## Cold start

Lambda's Runtime Interface Emulator, the layer as `sam build` makes it, nothing compiled while it runs; each function
{measured["cold_start"]["sluice"]["starts"]} times, by turns. The bare function imports pg8000 and Powertools'
batch processor and does nothing. Milliseconds: median (lowest to highest).

{table(("Function", "Imports", "First batch, 10 records"), _cold_rows(measured))}

The first batch opens the connection to PostgreSQL and reads two secrets, for which boto3 is imported.

## Memory and cost

A new process that takes one batch of 10,000 records needs {measured["peak_memory_mb"]} MB at its peak.

Lambda's price for a million records, in US dollars: arm64, {MEMORY_GB * 1024:,} MB, us-east-1
(${DOLLARS_PER_MILLION_GB_SECONDS} per million GB-seconds,
${DOLLARS_PER_MILLION_REQUESTS:.2f} per million requests), whole batches, for the milliseconds measured here. A function
of 1,024 MB has about six tenths of a core: its own CPU time is longer there than here, waiting for PostgreSQL is not.
SQS is not included.

{table(("Records", *NAMES.values()), _race_rows(measured, _cost))}
"""


def summary(measured: Measured) -> str:
    """Return the part of the page that a terminal shows: the goals, and what a record took."""
    return f"""## Goals

{table(("", "Goal", "Measured", ""), goals(measured))}

## Time of a batch

Microseconds per record (in brackets: how many times as long as Sluice).

{table(("Records", *NAMES.values()), _race_rows(measured, _per_record))}

Milliseconds: median (lowest to highest).

{table(("Records", *NAMES.values()), _race_rows(measured, _milliseconds))}"""


def goals(measured: Measured) -> list[Sequence[str]]:
    """Return a row for each goal: what it is about, goal, measured, and whether it was reached."""
    race, batches, starts = measured["race"], measured["batches"], measured["cold_start"]

    def times(size: int, slower: str, faster: str) -> float | None:
        timings = race.get(str(size), {})
        return timings[slower]["median_ms"] / timings[faster]["median_ms"] if faster in timings else None

    def of_clean(name: str) -> float:
        return float(batches[name]["median_ms"] / batches["clean"]["median_ms"])

    largest = race[max(race, key=int)]["sluice"]
    growth = largest["us_per_record"] / race["1000"]["sluice"]["us_per_record"] if "10000" in race else None
    imports = starts["sluice"]["init_ms"] / starts["bare"]["init_ms"]
    most = [
        *(
            (f"Times the floor, {size:,} records", goal, times(size, "sluice", "floor"), "×")
            for size, goal in FLOOR_GOALS
        ),
        ("CPU per record, without PostgreSQL's", 9, largest["cpu_us_per_record"], "µs"),
        ("Time per record at 10,000, of that at 1,000", 1, growth, "×"),
        ("Peak memory at 10,000 records", 256, measured["peak_memory_mb"], "MB"),
        (f"50 % duplicates of {batches['records']:,}, times the clean batch", 2.5, of_clean("50 % duplicates"), "×"),
        (f"5 refused of {batches['records']:,}, times the clean batch", 3.5, of_clean("5 refused"), "×"),
        ("Imports at a cold start, times the bare function's", 1.3, imports, "×"),
        *(
            (
                f"{VAULT_CASES[case]}, {int(size):,} records, times without a vault",
                goal,
                _times_without(cases, case),
                "×",
            )
            for size, cases in measured["vault"].items()
            for case, goal in VAULT_GOALS
        ),
    ]
    return [goal(*about) for about in most]


def _times_without(cases: Measured, case: str) -> float:
    return float(cases[case]["median_ms"] / cases["without"]["median_ms"])


def goal(about: str, most: float, value: float | None, unit: str) -> Sequence[str]:
    """Return the row of a goal: at most so much."""
    if value is None:
        return about, f"at most {most:g} {unit}", "not measured", ""
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return about, f"at most {most:g} {unit}", f"{value:.{digits}f} {unit}", "reached" if value <= most else "missed"


def table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown, the first column to the left, all others to the right."""
    head = list(head)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _race_rows(measured: Measured, cell: Any) -> Iterable[Sequence[str]]:
    for size, race in measured["race"].items():
        yield f"{int(size):,}", *(cell(race[name], race["sluice"], int(size)) if name in race else "" for name in NAMES)


def _milliseconds(timing: Measured, *_: object) -> str:
    digits = 2 if timing["median_ms"] < 100 else 0
    median, lowest, highest = (f"{timing[f'{which}_ms']:,.{digits}f}" for which in ("median", "lowest", "highest"))
    return f"{median} ({lowest} to {highest})"


def _per_record(timing: Measured, sluice: Measured, _: int) -> str:
    if timing is sluice:
        return f"**{timing['us_per_record']:,.1f}**"
    return f"{timing['us_per_record']:,.1f} ({timing['median_ms'] / sluice['median_ms']:.2g} ×)"


def _cost(timing: Measured, _: Measured, size: int) -> str:
    seconds = ceil(timing["median_ms"]) / 1000  # Lambda rounds up to the next millisecond
    dollars = (seconds * MEMORY_GB * DOLLARS_PER_MILLION_GB_SECONDS + DOLLARS_PER_MILLION_REQUESTS) / size
    return f"{dollars:.4f}"


def _batch_rows(batches: Measured) -> Iterable[Sequence[str]]:
    for name, timing in batches.items():
        if name != "records":
            yield name, _milliseconds(timing), f"{timing['median_ms'] / batches['clean']['median_ms']:.2f}"


def _vault_rows(measured: Measured) -> Iterable[Sequence[str]]:
    for size, cases in measured["vault"].items():
        cells = (f"{_milliseconds(cases[case])}: {_times_without(cases, case):.2f} ×" for case in VAULT_CASES)
        yield f"{int(size):,}", *cells


def _cold_rows(measured: Measured) -> Iterable[Sequence[str]]:
    for name, label in (("bare", "Bare"), ("sluice", "Sluice")):
        start = measured["cold_start"][name]
        imports = f"{start['init_ms']} ({start['init_lowest_ms']} to {start['init_highest_ms']})"
        yield label, imports, str(start["first_batch_ms"]) if name == "sluice" else ""


def _cpu_by_size(measured: Measured) -> str:
    return ", ".join(
        f"{race['sluice']['cpu_us_per_record']:.1f} µs at {int(size):,}" for size, race in measured["race"].items()
    )
