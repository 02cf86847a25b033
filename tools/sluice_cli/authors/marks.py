"""Marks: proposals of `sluice new` about personal data, each a comment that its author deletes to confirm it."""

import re
from pathlib import Path

import streams
from tools.project import PROJECT

MARK = "confirm:"


def unconfirmed() -> list[str]:
    """Return where in the declared streams something is still to be confirmed, and what."""
    folder = Path(streams.__path__[0])
    paths = sorted(folder.glob("*.py"))
    return [mark for path in paths for mark in marks(_name(path), path.read_text("utf-8"))]


def _name(path: Path) -> str:
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else path.name


def marks(file: str, text: str) -> list[str]:
    """Return the marks of a module's text, each with its place."""
    return [f"{file}:{number}: confirm, then delete the mark: {told}" for number, told in found(text)]


def found(text: str) -> list[tuple[int, str]]:
    """Return the marks of a module's text: the line, and what is to be confirmed."""
    lines = enumerate(text.splitlines(), 1)
    marked = [(number, re.search(rf"# {MARK} (.*)$", line)) for number, line in lines]
    return [(number, match[1]) for number, match in marked if match]
