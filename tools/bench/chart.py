"""The race in, an SVG chart out: a bar for each contender and batch size, time per record on a logarithmic scale."""

from collections.abc import Iterator
from math import log10
from typing import Any

from tools.bench.report import COLOURS, NAMES

WIDTH, HEIGHT = 860, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 104, 44  # px around the bars
BAR, GAP = 24, 3
LOWEST, HIGHEST = 1, 10_000  # µs


def chart(race: dict[str, dict[str, Any]]) -> str:
    """Return docs/benchmark.svg."""
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg"'
            f' viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
            "<title>Time per record by batch size and contender</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            *_legend(),
            *_scale(),
            *_bars(race),
            "</svg>\n",
        ]
    )


def _legend() -> Iterator[str]:
    yield _text(LEFT, 20, "Microseconds per record, median (each line is ten times the one below)", weight="bold")
    for number, (name, label) in enumerate(NAMES.items()):
        x, y = LEFT + number % 2 * 390, 40 + number // 2 * 17
        yield f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{COLOURS[name]}"/>'
        yield _text(x + 16, y, label)


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
