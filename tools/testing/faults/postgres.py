"""A PostgreSQL that can be killed, frozen, thawed and started again."""

import os
import resource
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tools.local.postgres import Postgres
from tools.local.server import NotStarted

RESTART_SECONDS = 30
MAX_CONNECTIONS = 20


class FaultyPostgres(Postgres):
    """A server of one's own, without durability but for its own crashes: nothing here outlives the machine."""

    def start(self) -> None:
        """Create and start it."""
        super().start()
        with self.connect() as owner:
            for setting, value in {
                "fsync": "off",  # the kernel keeps what a killed server has written
                "max_connections": str(MAX_CONNECTIONS),
                "deadlock_timeout": "200ms",
                "restart_after_crash": "on",
            }.items():
                owner.run(f"ALTER SYSTEM SET {setting} = '{value}'")
        self.restart()

    def restart(self, file_bytes: int | None = None) -> None:
        """Disconnect everybody, stop, and start again on the same port; no file may grow beyond `file_bytes` then."""
        self.stop()
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        if file_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, unlimited[1]))  # which the server inherits
        try:
            self.start_again()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)

    def start_again(self) -> None:
        """Start the server after it was stopped or killed. Raises NotStarted."""
        deadline = time.monotonic() + RESTART_SECONDS
        while self._pg_ctl("start", "--log", str(self.log), "--options", f"-p {self.port}").returncode != 0:
            if time.monotonic() > deadline:  # what is left of the killed one ends within moments
                raise NotStarted(f"PostgreSQL did not start again: {self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End the server and all its sessions at once, as a power cut does."""
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        (self._data / "postmaster.pid").unlink(missing_ok=True)  # its process may wait for a parent to take notice

    def freeze(self) -> None:
        """Stop the server's processes where they are: connections stay, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def runs(self) -> bool:
        return self._pg_ctl("status").returncode == 0

    def _pg_ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", *arguments)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._processes():
            with suppress(ProcessLookupError):  # a session may have ended since
                os.kill(pid, number)

    def _processes(self) -> list[int]:
        """Return the server's process and those of its sessions."""
        main = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        return [main, *_children(main)]


def _children(parent: int) -> list[int]:
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                children.append(int(status.parent.name))
    return children
