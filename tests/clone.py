"""This tree as a fresh clone has it, in a folder of its own: what git tracks or would, and what `make setup` adds.

Its streams are those that the tests declare, whatever a user made of the shipped ones.

That fetches nothing: the clone's environments find in this one's what `make setup` installed here.
"""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.local.template import declared
from tools.project import DECLARED, PROJECT

SETTINGS = ("ARGS", "AWS_", "COMPOSE_", "MAKE", "PYTHON", "SLUICE_")  # anyone's own have no part in it


@dataclass(frozen=True)
class Clone:
    """A clone, and commands as its user types them in its folder."""

    folder: Path
    temporary: Path  # where its commands put what they need for a while

    def run(self, command: str, answers: str = "", exit_code: int = 0, **environment: str) -> str:
        """Run a line of shell with what is typed meanwhile, and return what it printed, but for errors."""
        ran = subprocess.run(
            ["sh", "-c", command],
            check=False,
            input=answers,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment | environment,
        )
        assert ran.returncode == exit_code, f"{command}\n{ran.stdout[-4000:]}{ran.stderr[-4000:]}"
        return ran.stdout

    @contextmanager
    def running(self, command: str) -> Iterator[subprocess.Popen[str]]:
        """Run a line of shell until it is ended by Ctrl-C, which reaches all that it started. It must end well."""
        with subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                os.killpg(process.pid, signal.SIGINT)
                process.wait(60)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
        programs = [self.folder / name / "bin" for name in (".venv", ".venv-sam")]
        return {
            **kept,
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "TMPDIR": str(self.temporary),
            "COMPOSE_PROJECT_NAME": self.folder.parent.name,  # `make down` leaves what this machine's user has up
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "LC_ALL": "C.UTF-8",
        }


@contextmanager
def fresh_clone() -> Iterator[Clone]:
    """Yield a clone after `make setup`."""
    home = Path(tempfile.mkdtemp(prefix="sluice-clone-"))  # not pytest's own, where PostgreSQL's user has no access
    clone = Clone(home / "sluice", home / "tmp")
    try:
        for folder in (home, clone.temporary):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o711)
        _copy(clone.folder)
        _lend(clone.folder)
        clone.run("make setup")
        yield clone
    finally:
        shutil.rmtree(home)


def _copy(target: Path) -> None:
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listed, check=True, capture_output=True, text=True, cwd=PROJECT).stdout.split("\0")
    for name in filter(None, names):
        if (PROJECT / name).exists():  # else it is deleted, and not yet committed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name)  # with its time, by which make tells what to install
    shutil.rmtree(target / "layers" / "streams")
    shutil.copytree(DECLARED / "streams", target / "layers" / "streams")
    template = target / "template.yaml"
    template.write_text(declared(template.read_text()))


def _lend(folder: Path) -> None:
    """Give it environments, so that there is nothing for `make setup` to fetch."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    own = folder / ".venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (own / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / ".venv" / "installed").touch()
    for name in (".venv-sam", ".venv-bench"):
        if (PROJECT / name).exists():  # `make bench` fetches its own where nobody has run it
            (folder / name).symlink_to(PROJECT / name)
