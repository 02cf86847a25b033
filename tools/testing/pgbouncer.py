"""PgBouncer in transaction mode, all else as it comes, from Debian's package: `make pgbouncer` installs it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sluice.postgres.credentials import Credentials
from tools.local.postgres import Postgres
from tools.local.server import NotStarted, free_port

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
START_SECONDS = 20
USER = "nobody"  # where we are root, as PgBouncer refuses to be
CONFIGURATION = """\
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = md5
auth_file = {folder}/users
logfile = {folder}/log
pool_mode = transaction
"""
# A superuser, as whom it looks up the logins that its file does not have. A database in which it did is dropped soon.
LOOK_UP = "auth_user = {name}\nserver_idle_timeout = 1\n"


def is_installed() -> bool:
    """Tell whether there is a PgBouncer."""
    return Path(PROGRAM).exists()


@dataclass
class PgBouncer:
    """A pooler before a server, for some of its logins."""

    server: Postgres
    folder: Path  # which its own user can enter
    logins: Iterable[Credentials]
    looks_up_as: str = ""

    def __post_init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start it. Raises NotStarted."""
        self.folder.mkdir(exist_ok=True)
        values = {"host": self.server.host, "server_port": self.server.port, "port": self.port, "folder": self.folder}
        look_up = LOOK_UP.format(name=self.looks_up_as) if self.looks_up_as else ""
        (self.folder / "pgbouncer.ini").write_text(CONFIGURATION.format(**values) + look_up)
        users = [f'"{login.username}" "{login.password.replace('"', '""')}"\n' for login in self.logins]
        (self.folder / "users").write_text("".join(users))
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, USER)
        process = self._process = subprocess.Popen(
            [PROGRAM, "--quiet", str(self.folder / "pgbouncer.ini")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=USER if os.geteuid() == 0 else None,
            cwd="/",
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            if time.monotonic() > deadline or process.poll() is not None:
                self.stop()
                log = self.folder / "log"
                raise NotStarted(f"PgBouncer did not start: {log.read_text() if log.exists() else ''}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it, and with it all sessions."""
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop it, and start it again on the same port. Raises NotStarted."""
        self.stop()
        self.start()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True
