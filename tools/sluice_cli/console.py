"""`sluice console`: a page on one's own machine. It is a program of its own, which nothing here imports."""

import os
import sys
from typing import Annotated

import typer

from tools.project import PROJECT


def console(arguments: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Show a stack in the browser as it works, and play with the demo's. `sluice console --help` has the options."""
    path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    os.execve(  # nosec B606  # our own program, in the place of this one: Ctrl-C and exit code are its own
        sys.executable,
        [sys.executable, "-m", "tools.console", *(arguments or [])],
        {**os.environ, "PYTHONPATH": path},
    )
