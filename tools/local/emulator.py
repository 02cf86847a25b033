"""AWS on one's own machine, from a wheel: it keeps a folder, and listens on a free port of 127.0.0.1."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import boto3

from tools.local.server import PORT_TRIES, NotStarted, free_port

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}  # the emulator takes any
MEMORY = Path("/dev/shm")  # a file system in memory, on Linux
ROOM = 4 * 2**30  # bytes
START_SECONDS = 30
STOP_SECONDS = 3


@dataclass
class Emulator:
    """MiniStack, which lives on when this process ends; `Emulator(folder, pid=…).stop()` ends it from any other."""

    folder: Path
    port: int = 0
    pid: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    ready_path: ClassVar[str] = "/_ministack/ready"  # answers as soon as the services do

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "ministack"]

    @property
    def settings(self) -> dict[str, str]:
        """What its environment holds beside what that of any emulator does."""
        return {
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",  # in the URLs of queues
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            **CREDENTIALS,
        }

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What the emulator and the functions in it wrote."""
        return self.folder / "emulator.log"

    def client(self, service: str) -> Any:
        """Return a boto3 client of the service."""
        session: Any = boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        return session.client(service, endpoint_url=self.endpoint_url)

    def start(self) -> None:
        """Start with no state, in a folder that is empty or missing. Raises NotStarted."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for _ in range(PORT_TRIES):
            self.port = free_port()
            self._process = self._spawn()
            self.pid = self._process.pid
            if self._answers(self._process):
                return
            self.stop()
            if "already in use" not in self.log.read_text():
                break
        raise NotStarted(f"The emulator did not start:\n{self.log.read_text()}")

    def stop(self) -> bool:
        """Stop the emulator and the functions that run in it, and return whether it ran."""
        running = self.runs()
        if running:
            os.killpg(self.pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while self.runs() and time.monotonic() < deadline:
                time.sleep(0.05)
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)  # what is left of the group: functions in an endless loop
        if self._process:
            self._process.wait()
        if self._scratch.is_symlink():
            shutil.rmtree(self._scratch.readlink(), ignore_errors=True)
            self._scratch.unlink(missing_ok=True)
        return running

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for who started us, and one group can be stopped as a whole
                cwd=self.folder,
                env={  # nothing of ours: the functions inherit it all
                    "PATH": os.defpath,
                    "HOME": str(self.folder),
                    "TMPDIR": str(self._make_scratch()),
                    "PYTHONUNBUFFERED": "1",
                    "DOCKER_HOST": f"unix://{self.folder}/none",  # at its start and end it removes others' containers
                    **self.settings,
                },
            )

    @property
    def _scratch(self) -> Path:
        return self.folder / "scratch"

    def _make_scratch(self) -> Path:
        """Make the folder in which each function that runs unpacks its layers, and return where it is.

        These are thousands of files, which a disk is slow to remove: so it is in memory, where there is room.
        """
        if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM:
            self._scratch.symlink_to(tempfile.mkdtemp(prefix="sluice-", dir=MEMORY))
        else:
            self._scratch.mkdir(exist_ok=True)
        return self._scratch.resolve()

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{self.endpoint_url}{self.ready_path}", timeout=1):
                return True
            time.sleep(0.05)
        return False

    def runs(self) -> bool:
        """Tell whether the process is still ours: as long as it lives it holds the lock of its log."""
        with suppress(FileNotFoundError), self.log.open("rb") as log:
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False
