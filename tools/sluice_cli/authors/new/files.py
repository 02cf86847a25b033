"""Writes all files of a new stream or none, and overwrites none but the template."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.template import FILE

FIRST_NUMBER = 1000  # of the migrations of one's own


class NotWritten(Exception):
    """Nothing was written: says why."""


def next_migration(folder: Path) -> int:
    """Return the next free number of a stream's migration."""
    numbers = [int(match[0]) for path in folder.glob("*.sql") if (match := re.match(r"\d+", path.name))]
    return max([FIRST_NUMBER - 1, *numbers]) + 1


def refuse_existing(root: Path, names: Iterable[str]) -> None:
    """Raise NotWritten when one of the files is there."""
    for name in names:
        if os.path.lexists(root / name):
            raise NotWritten(f"{name} is there already; nothing was written")


def write(root: Path, made: Mapping[str, str]) -> None:
    """Write files that are not there, and the template anew. Raises NotWritten, and has changed nothing then."""
    written: list[Path] = []
    draft, template = root / f".{FILE}.new", root / FILE
    try:
        for name, text in made.items():
            path = draft if name == FILE else root / name
            path.parent.mkdir(exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
        draft.chmod(template.stat().st_mode)
        draft.replace(template)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise NotWritten(f"{error.filename}: {error.strerror}; nothing was written") from None
