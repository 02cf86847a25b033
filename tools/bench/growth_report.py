"""The section about growth of the page of Markdown, made of what was measured."""

from collections.abc import Iterable, Sequence
from operator import itemgetter

from tools.bench.report import Measured, goal, table

CASES = {
    "sluice": "Sluice",
    "floor": "Floor",
    "sealing": "Sluice, all values new to the vault",
    "redelivered": "Sluice, the batch once more",
}
PARTITIONED = {"by month": "A partition a month", "by day": "A partition a day"}
TABLES = {"one": "One table", **PARTITIONED}
OTHERS = (
    *("Rows", "Rows a month", "Months"),
    *(f"{what}: {label.lower()}" for what in ("Look-up", "Erasure", "VACUUM") for label in TABLES.values()),
)
NOT_MEASURED = "–"
LARGEST_TIMES = 1.8  # of a batch into 10,000 rows
LONGEST_ERASURE_MS = 300  # at 5 million rows in 26 partitions
MONTHS_OF_ERASURE = 26


def section(growth: Measured) -> str:
    """Return the section of the page, with its goals."""
    machine, sizes = growth["machine"], sorted(growth["sizes"], key=itemgetter("rows"))
    return f"""
## Growth

![Time of a batch by the rows that are there](growth.svg)

Made by `make bench ARGS=--growth`, apart from the rest of this page. {machine["cores"]} cores ({machine["cpu"]}),
PostgreSQL {machine["postgresql"]} with its default settings, but no autovacuum; Python {machine["python"]}. Each size
has rounds of its own, in which the tables take turns. So what else the machine does slows all of them, and how they
compare says more than milliseconds. Where a batch's median is far above its lowest, the machine did much else.

{table(("", "Goal", "Measured", ""), goals(growth))}

Three tables have the same number of rows: one as a whole, one with a partition for each month, and one with a partition
for each day. The vault has the values of every tenth row, as a whole, by month or by day. All users, addresses and
devices in the table differ, which is the worst case for its indexes. A fourth table, by month, has 10,000 rows in every
round, whatever the others have.

Each batch has {growth["batch"]:,} new logins, sent on one day of the newest month, and comes right after a checkpoint.
That is the most that a batch can cost: the first change of a page after a checkpoint puts the whole page into the
write-ahead log, and here every page is changed for the first time. {growth["rounds"]} rounds, another one first in
each. Milliseconds: median (lowest). Then how many times as long as with 10,000 rows in the same rounds: of the medians
(of the lowest). Last the batch's log in MB, median.

{table(("Batch", "Rows", "Rows a month", "10,000 rows", *TABLES.values()), _batch_rows(sizes))}

A dash stands for what was not measured.

What else grows: the look-up of all logins with a token, the erasure of a person (a login in each month, each with an
address of its own; forget function, without its start), and the VACUUM of what the batches go to, after rows were
erased. An autovacuum of one table reads all its indexes whole. Milliseconds, medians (highest).

{table(OTHERS, _other_rows(sizes))}

Bytes on disk, in MB: rows, their indexes, the vault, its index.

{table(("Rows", "Rows a month", *TABLES.values()), _size_rows(sizes))}

A new token key goes through all rows and the whole vault in batches of 1,000, a transaction each: once to remember
which token is now which (map), once to rewrite them (apply). Thousands in a second, and the minutes for all of them at
that pace. Then it reads all of them twice more, to see that nothing is left; that is not in the minutes. A call goes on
where the one before ended, and `sluice keys rekey` says how far it is.{growth.get("rekey_note", "")}

{table(("Rows", "Rows a month", "Table", "Rows: map", "apply", "Vault: map", "apply", "Minutes"), _rekey_rows(sizes))}
"""


def goals(growth: Measured) -> list[Sequence[str]]:
    """Return a row for each goal: what it is about, goal, measured, and whether it was reached."""
    largest = by_rows(growth["sizes"])[-1]
    rows, a_month = largest["rows"], largest["rows_a_month"]
    about = f"A batch into {rows:,} rows, {min(rows, a_month):,} a month, times one into 10,000"
    found = [
        goal(f"{about}: {label.lower()}, {which}", LARGEST_TIMES, times(largest, of, "sluice", which), "×")
        for of, label in PARTITIONED.items()
        for which in ("median", "lowest")
    ]
    for size in growth["sizes"]:
        if size["months"] == MONTHS_OF_ERASURE:
            about = f"Erasure of a person, {size['rows']:,} rows in {size['months']} partitions"
            found.append(goal(about, LONGEST_ERASURE_MS, size["tables"]["by month"]["erasure"]["median_ms"], "ms"))
    return found


def by_rows(sizes: Iterable[Measured]) -> list[Measured]:
    """Return the sizes of the most rows a month, the smallest first: they differ in their rows alone."""
    ordered = sorted(sizes, key=lambda size: (size["rows_a_month"], size["rows"]))
    return [size for size in ordered if size["rows_a_month"] == ordered[-1]["rows_a_month"]]


def times(size: Measured, of: str, case: str, which: str) -> float:
    """Return how many times as long a batch took as one into the small table beside it: the median or the lowest."""
    tables = size["tables"]
    return float(tables[of][case][f"{which}_ms"] / tables["small"][case][f"{which}_ms"])


def _batch_rows(sizes: Iterable[Measured]) -> Iterable[Sequence[str]]:
    for case, label in CASES.items():
        for size in sizes:
            yield label, *_of(size), _cell(size, "small", case), *(_cell(size, of, case) for of in TABLES)


def _cell(size: Measured, of: str, case: str) -> str:
    if of not in size["tables"]:
        return NOT_MEASURED
    timing = size["tables"][of][case]
    text = f"{timing['median_ms']:.0f} ({timing['lowest_ms']:.0f})"
    if of != "small":
        text += f": {times(size, of, case, 'median'):.2f} × ({times(size, of, case, 'lowest'):.2f} ×)"
    return f"{text}, {timing['log_bytes'] / 1e6:.1f}"


def _other_rows(sizes: Iterable[Measured]) -> Iterable[Sequence[str]]:
    for size in sizes:
        tables = [size["tables"].get(of) for of in TABLES]
        cells = (
            f"{table[what]['median_ms']:.1f} ({table[what]['highest_ms']:.1f})" if table else NOT_MEASURED
            for what in ("look_up", "erasure")
            for table in tables
        )
        vacuums = (f"{table['vacuum_seconds'] * 1000:,.0f}" if table else NOT_MEASURED for table in tables)
        yield *_of(size), str(size["months"]), *cells, *vacuums


def _size_rows(sizes: Iterable[Measured]) -> Iterable[Sequence[str]]:
    names = ("rows_bytes", "rows_index_bytes", "vault_bytes", "vault_index_bytes")
    for size in sizes:
        tables = [size["tables"].get(of) for of in TABLES]
        yield (
            *_of(size),
            *(", ".join(f"{table[name] / 1e6:,.0f}" for name in names) if table else NOT_MEASURED for table in tables),
        )


def _rekey_rows(sizes: Iterable[Measured]) -> Iterable[Sequence[str]]:
    for size in sizes:
        for of, label in TABLES.items():
            rates = size["tables"].get(of, {}).get("rekey")
            if rates is None:
                continue  # too few rows
            paces = [rates[f"{what}_per_second"] for what in ("rows_map", "rows_apply", "vault_map", "vault_apply")]
            counts = (size["rows"], size["rows"], size["vault_entries"], size["vault_entries"])
            seconds = sum(count / pace for count, pace in zip(counts, paces, strict=True))
            yield *_of(size), label, *(f"{pace / 1000:.1f}" for pace in paces), f"{seconds / 60:,.1f}"


def _of(size: Measured) -> tuple[str, str]:
    return f"{size['rows']:,}", f"{min(size['rows'], size['rows_a_month']):,}"
