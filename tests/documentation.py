"""The commands, queries and files that the pages of the root and of docs/ tell their readers to run or write."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [page for folder in (".", "docs", "docs/decisions") for page in sorted((ROOT / folder).glob("*.md"))]
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """Return the texts of a page's blocks in a language; an empty one is that of blocks that name none."""
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


def prose(page: Path) -> str:
    """Return a page without its blocks."""
    return BLOCK.sub("", page.read_text())


def files_of_ones_own_stream() -> dict[str, str]:
    """Return what the README tells to write down for a stream of one's own, by file."""
    section = README.read_text().split("## A stream of your own")[1].split("\n## ")[0]
    written = re.findall(r"in `(layers/streams/[^`]+)`.*?```\w+\n(.*?)```", section, re.DOTALL)
    assert [Path(name).suffix for name, _ in written] == [".py", ".sql"]
    return dict(written)
