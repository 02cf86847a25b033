"""SVG charts of what was measured: the race as bars on a logarithmic scale, growth as lines."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import ceil, log2, log10
from typing import Any

from tools.bench.growth_report import TABLES, by_rows, times
from tools.bench.report import COLOURS, NAMES

WIDTH, HEIGHT = 860, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 104, 44  # px around the bars
BAR, GAP = 24, 3
LOWEST, HIGHEST = 1, 10_000  # µs
LOWEST_POWER = -1  # of two: half of the time
LINE_OF_TEXT = 12  # px
GROWTH_COLOURS = {
    ("sluice", "Sluice"): {"one": "#d1495b", "by month": "#0f7b6c", "by day": "#3a5ba0"},
    ("floor", "Floor"): {"one": "#edae49", "by month": "#8d99ae", "by day": "#c5b0d5"},
}


def chart(race: dict[str, dict[str, Any]]) -> str:
    """Return docs/benchmark.svg."""
    legend = [(label, COLOURS[name]) for name, label in NAMES.items()]
    about = "Microseconds per record, median (each line is ten times the one below)"
    return _svg("Time per record by batch size and contender", [*_legend(about, legend), *_scale(), *_bars(race)])


def growth_chart(sizes: Iterable[dict[str, Any]]) -> str:
    """Return docs/growth.svg: a line for each table and each of two who write to it."""
    shown = by_rows(sizes)
    values = {
        (case, of): [
            (_growth_x(number, len(shown)), times(size, of, case, "lowest"))
            for number, size in enumerate(shown)
            if of in size["tables"]
        ]
        for case, _ in GROWTH_COLOURS
        for of in TABLES
    }
    highest = ceil(log2(max(value for points in values.values() for _, value in points)))
    legend = [
        (f"{writer}: {label.lower()}", GROWTH_COLOURS[case, writer][of])
        for case, writer in GROWTH_COLOURS
        for of, label in TABLES.items()
    ]
    about = "Time of a batch, of that into 10,000 rows in the same rounds (lowest; each line is twice the one below)"
    lines = zip(values.values(), legend, strict=True)
    return _svg(
        "Time of a batch by the rows that are there",
        [
            *_legend(about, legend),
            *_growth_scale(shown, highest),
            *(part for points, (_, colour) in lines for part in _line(points, colour, highest)),
            *_line_ends([points[-1] for points in values.values() if points], highest),
        ],
    )


def _svg(title: str, parts: Iterable[str]) -> str:
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg"'
            f' viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
            f"<title>{title}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _legend(about: str, entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield _text(LEFT, 20, about, weight="bold")
    for number, (label, colour) in enumerate(entries):
        x, y = LEFT + number % 2 * 390, 40 + number // 2 * 17
        yield f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        yield _text(x + 16, y, label)


def _growth_scale(sizes: list[dict[str, Any]], highest: int) -> Iterator[str]:
    for power in range(LOWEST_POWER, highest + 1):
        y = _growth_y(2**power, highest)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield _text(LEFT - 8, y + 4, f"{2**power:g} ×", anchor="end")
    for number, size in enumerate(sizes):
        yield _text(_growth_x(number, len(sizes)), HEIGHT - 18, f"{size['rows']:,} rows", anchor="middle")


def _line(values: list[tuple[float, float]], colour: str, highest: int) -> Iterator[str]:
    points = [(x, _growth_y(value, highest)) for x, value in values]
    for (x1, y1), (x2, y2) in pairwise(points):
        yield f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="2"/>'
    for x, y in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def _line_ends(values: list[tuple[float, float]], highest: int) -> Iterator[str]:
    """Yield the number at the end of each line, the lowest first, none over another."""
    above = float(HEIGHT)
    for x, value in sorted(values, key=lambda end: end[1]):
        above = min(_growth_y(value, highest) + 4, above - LINE_OF_TEXT)
        yield _text(x + 8, above, f"{value:.1f}")


def _growth_x(number: int, sizes: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) / sizes * (number + 0.5)


def _growth_y(value: float, highest: int) -> float:
    share = (log2(value) - LOWEST_POWER) / (highest - LOWEST_POWER)
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _scale() -> Iterator[str]:
    power = LOWEST
    while power <= HIGHEST:
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(power):.1f}" y2="{_y(power):.1f}" stroke="#ddd"/>'
        yield _text(LEFT - 8, _y(power) + 4, f"{power:,}", anchor="end")
        power *= 10


def _bars(race: dict[str, dict[str, Any]]) -> Iterator[str]:
    group = (WIDTH - LEFT - RIGHT) / len(race)
    for number, (size, timings) in enumerate(race.items()):
        middle = LEFT + group * (number + 0.5)
        yield _text(middle, HEIGHT - 18, f"{int(size):,} records", anchor="middle")
        left = middle - len(timings) * (BAR + GAP) / 2
        for name, timing in timings.items():
            us = timing["us_per_record"]
            height = HEIGHT - BOTTOM - _y(us)
            yield f'<rect x="{left:.1f}" y="{_y(us):.1f}" width="{BAR}" height="{height:.1f}" fill="{COLOURS[name]}"/>'
            yield _text(left + BAR / 2, _y(us) - 4, f"{us:,.0f}", anchor="middle")
            left += BAR + GAP


def _y(us: float) -> float:
    share = log10(max(us, LOWEST) / LOWEST) / log10(HIGHEST / LOWEST)
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="#222">{text}</text>'
