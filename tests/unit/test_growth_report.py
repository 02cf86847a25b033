"""The benchmark's section on growth: its goals look at the largest table, and at the erasure that they are about."""

from typing import Any

from tools.bench import chart, growth_report


def size(rows: int, rows_a_month: int, months: int, times: float, erasure_ms: float) -> dict[str, Any]:
    """Return what was measured at a size: a batch takes 20 ms into the small table, by month so many times that."""

    def table(median: float, lowest: float) -> dict[str, Any]:
        timing = {"median_ms": median, "lowest_ms": lowest, "log_bytes": 1_000_000}
        return dict.fromkeys(growth_report.CASES, timing)

    grown = {
        "look_up": {"median_ms": 1.0, "highest_ms": 2.0},
        "erasure": {"median_ms": erasure_ms, "highest_ms": erasure_ms},
        "vacuum_seconds": 0.5,
        "rekey": dict.fromkeys(
            (f"{of}_{step}_per_second" for of in ("rows", "vault") for step in ("map", "apply")), 5_000
        ),
        **dict.fromkeys(("rows_bytes", "rows_index_bytes", "vault_bytes", "vault_index_bytes"), 2_000_000),
    }
    return {
        "rows": rows,
        "rows_a_month": rows_a_month,
        "months": months,
        "vault_entries": rows // 5,
        "tables": {
            "small": table(20, 10),
            "one": table(80, 30) | grown,
            "by month": table(20 * times, 19) | grown,
            "by day": table(19 * times, 16) | grown,
        },
    }


SIZES = [
    size(10_000, 2_000_000, 1, 1, 5),
    size(5_200_000, 200_000, 26, 1.1, 301),
    size(25_000_000, 2_000_000, 13, 1.8, 20),
]
GROWTH: dict[str, Any] = {
    "machine": {"cores": 2, "cpu": "a CPU", "postgresql": "18", "python": "3.13"},
    "batch": 1_000,
    "rounds": 9,
    "sizes": SIZES,
}


def test_the_goals_are_about_the_largest_table_and_26_partitions() -> None:
    about = "A batch into 25,000,000 rows, 2,000,000 a month, times one into 10,000"
    assert growth_report.goals(GROWTH) == [
        (f"{about}: a partition a month, median", "at most 1.8 ×", "1.80 ×", "reached"),
        (f"{about}: a partition a month, lowest", "at most 1.8 ×", "1.90 ×", "missed"),
        (f"{about}: a partition a day, median", "at most 1.8 ×", "1.71 ×", "reached"),
        (f"{about}: a partition a day, lowest", "at most 1.8 ×", "1.60 ×", "reached"),
        ("Erasure of a person, 5,200,000 rows in 26 partitions", "at most 300 ms", "301 ms", "missed"),
    ]


def test_the_section_says_how_long_a_new_token_key_takes_for_all_rows_and_sealed_values() -> None:
    section = growth_report.section(GROWTH)
    assert "| 25,000,000 | 2,000,000 | One table | 5.0 | 5.0 | 5.0 | 5.0 | 200.0 |" in section


def test_the_chart_compares_tables_of_as_many_rows_a_month() -> None:
    drawn = chart.growth_chart(SIZES)
    assert "25,000,000 rows" in drawn
    assert "5,200,000 rows" not in drawn
    assert ">3.0</text>" in drawn  # times the small table, at the end of a line


def test_a_table_that_was_left_out_is_named_as_not_measured() -> None:
    left_out = [{**one, "tables": {of: table for of, table in one["tables"].items() if of != "one"}} for one in SIZES]
    section = growth_report.section(GROWTH | {"sizes": left_out})
    assert "| Sluice | 25,000,000 | 2,000,000 | 20 (10), 1.0 | – | 36 (19): 1.80 × (1.90 ×), 1.0 | 34" in section
    assert ">1.9</text>" in chart.growth_chart(left_out)
