"""Reads the streams of another revision of git, in a process of its own."""

import json
import os
import subprocess  # nosec B404
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import sluice
import streams
from tools.project import PROJECT
from tools.sluice_cli.authors.contract import Contract

READ = "from tools.sluice_cli.authors import contract; contract.main()"


class NotThere(Exception):
    """There is no such revision, or it cannot be read: says why."""


def contracts(revision: str) -> dict[str, Contract] | None:
    """Return what others rely on of a revision's streams; None where it has none. Raises NotThere."""
    folder = Path(streams.__path__[0])
    where = _git(folder, "rev-parse", "--show-toplevel", "--show-prefix")
    if where is None:
        raise NotThere(f"{folder.name} is in no git repository")
    top, prefix = where.decode().split("\n")[:2]
    commit = _git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit is None or revision.startswith("-"):
        raise NotThere(f"git knows no revision {revision}")
    tree = f"{commit.decode().strip()}:{prefix.rstrip('/')}"
    if _git(folder, "cat-file", "-e", tree) is None:
        return None
    archive = _git(Path(top), "archive", "--format=tar", tree)
    if archive is None:
        raise NotThere(f"git cannot read the streams of {revision}")
    with TemporaryDirectory(prefix="sluice-") as temporary:
        package = Path(temporary, "streams")
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(package, filter="data")
        (package / "__init__.py").touch()  # without it another package of this name would be imported
        return _read(Path(temporary), revision)


def _read(folder: Path, revision: str) -> dict[str, Contract]:
    """Return the contracts of a folder's package `streams`, as today's Sluice understands it."""
    path = [folder, PROJECT, Path(sluice.__path__[0]).parent]
    ran = subprocess.run(  # nosec B603  # the author's own code, as it was
        [sys.executable, "-c", READ],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))},
    )
    if ran.returncode != 0:
        raise NotThere(f"the streams of {revision} cannot be read: {ran.stderr.strip().rpartition('\n')[2]}")
    made: dict[str, Contract] = json.loads(ran.stdout.splitlines()[-1])  # a declaration may print, too
    return made


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Return what git prints, or None where it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # those of a hook
    try:
        ran = subprocess.run(  # nosec B603 B607
            ["git", *arguments], check=False, capture_output=True, cwd=folder, env=environment
        )
    except FileNotFoundError:
        raise NotThere("there is no git on this machine") from None
    return ran.stdout if ran.returncode == 0 else None
