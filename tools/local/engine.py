"""Run a command with a Docker engine: the one that answers, or one that lives as long as the command.

`python -m tools.local.engine [--start] COMMAND…` exits as the command does. With `--start` it may change this machine:
as root on Debian or Ubuntu it installs the packages of an engine, and starts one that lives as long as the command.
Where no engine can be had, it says why in one line, runs nothing and exits with 0.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.local.server import NotStarted

PACKAGES = {"dockerd": "docker.io", "docker": "docker.io", "iptables": "iptables", "debootstrap": "debootstrap"}
START = "--start"
START_SECONDS = 60
STOP_SECONDS = 30
LOCK = Path(tempfile.gettempdir()) / "sluice-engine.lock"


def answers() -> bool:
    """Tell whether the engine that DOCKER_HOST names, or else this machine's, can be asked."""
    if not shutil.which("docker"):
        return False
    asked = subprocess.run(["docker", "version"], check=False, capture_output=True, timeout=30)
    return asked.returncode == 0


@contextmanager
def running_engine() -> Iterator[str]:
    """Yield the address of an engine that shares no container and no image with any other. Raises NotStarted."""
    _install()
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # all engines of a machine share one bridge and its rules
        rules = _run("iptables-save")
        folder = Path(tempfile.mkdtemp(prefix="sluice-engine-"))
        log = folder / "dockerd.log"
        settings = folder / "settings.json"
        settings.write_text("{}")  # none of this machine's
        address = f"unix://{folder}/docker.sock"
        try:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [
                        "dockerd",
                        *("--host", address, "--data-root", str(folder / "data"), "--exec-root", str(folder / "run")),
                        *("--pidfile", str(folder / "dockerd.pid"), "--config-file", str(settings)),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for who started us
                )
            try:
                _wait(process, address, log)
                yield address
            finally:
                _stop(process)
        finally:
            _clean(folder, rules)


def _install() -> None:
    """Install what is missing. Raises NotStarted."""
    missing = sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})
    if os.geteuid() != 0:
        raise NotStarted("that takes root")
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise NotStarted(f"{', '.join(missing)} would have to be installed, and this is no Debian")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    # apt would start its engine as a service of this machine, which is not ours to do.
    with _no_services():
        _run("apt-get", "update", "-qq", **quiet)
        _run("apt-get", "install", "--yes", "-qq", "--no-install-recommends", *missing, **quiet)


@contextmanager
def _no_services() -> Iterator[None]:
    """Forbid packages to start services: https://manpages.debian.org/invoke-rc.d."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        asked = subprocess.run(["docker", "--host", address, "version"], check=False, capture_output=True)
        if asked.returncode == 0:
            return
        time.sleep(0.2)
    last = log.read_text(errors="replace").strip().rpartition("\n")[2]
    raise NotStarted(f"dockerd did not start: {last}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()  # it stops its containers and its containerd
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _clean(folder: Path, rules: str) -> None:
    """Take back what an engine leaves behind: mounts, files, its bridge and its rules."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
        subprocess.run(["umount", mount], check=False, capture_output=True)
    if "DOCKER" not in rules:  # else another engine uses them
        subprocess.run(["iptables-restore"], check=False, input=rules, text=True, capture_output=True)
        subprocess.run(["ip", "link", "delete", "docker0"], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def _run(*command: str, **environment: str) -> str:
    ran = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **environment})
    if ran.returncode:
        last = ran.stderr.strip().rpartition("\n")[2]
        raise NotStarted(f"{' '.join(command[:2])} failed: {last}")
    return ran.stdout


def main() -> int:
    may_start = sys.argv[1:2] == [START]
    command = sys.argv[1 + may_start :]
    if not command:
        print(f"usage: python -m tools.local.engine [{START}] COMMAND…", file=sys.stderr)
        return 2
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)  # as Ctrl-C: nothing stays behind
    if answers():
        return subprocess.run(command, check=False).returncode
    if not may_start:
        print(
            "Not run, since no Docker engine answers. ENGINE=--start, said to make, installs one from this system's"
            " packages, as root, and starts it for as long as the tests take."
        )
        return 0
    try:
        with running_engine() as address:
            return subprocess.run(command, check=False, env={**os.environ, "DOCKER_HOST": address}).returncode
    except NotStarted as why:
        print(f"Not run, since no Docker engine answers and none could be started: {why}")
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
