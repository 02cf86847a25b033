"""The whole system on one's own machine: template.yaml built and deployed by SAM to an emulator and a PostgreSQL.

`python -m tools.local.stack down` stops the one that `make demo ARGS=--keep` left running.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
import pg8000.native

from sluice.aws import queues
from sluice.aws.queues import Queues
from tools.local import ministack
from tools.local.emulator import CREDENTIALS, REGION, Emulator
from tools.local.postgres import Postgres
from tools.local.server import NotStarted
from tools.project import KEPT, PROJECT, STATE

SAM = PROJECT / ".venv-sam" / "bin" / "sam"
STACK_NAME = "sluice"
REMOVED_AT_ONCE = 16  # files

type Step = Callable[[str], AbstractContextManager[None]]  # shows what is being done, for as long as it is


@dataclass
class Stack:
    """A stack in a folder of its own, with ports of its own."""

    folder: Path
    postgres: Postgres
    emulator: Emulator
    name: str = STACK_NAME
    parameters: Mapping[str, str] = field(default_factory=dict)
    streams: Path | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    queues: Mapping[str, Queues] = field(default_factory=dict)  # by stream
    kept: bool = False

    @classmethod
    def in_folder(cls, folder: Path, emulator_pid: int = 0) -> Self:
        return cls(folder, Postgres(folder / "postgres"), Emulator(folder / "emulator", pid=emulator_pid))

    @classmethod
    def of_kept(cls, kept: Mapping[str, Any]) -> Self:
        """Return the stack that another process has kept, by what it wrote down."""
        stack = cls.in_folder(Path(kept["folder"]), kept["emulator_pid"])
        database = urlsplit(kept["database_url"])
        stack.postgres.port, stack.postgres.password = database.port or 0, database.password or ""
        stack.emulator.port = urlsplit(kept["endpoint_url"]).port or 0
        stack.name, stack.parameters = kept["stack_name"], kept["parameters"]
        stack.streams = Path(kept["streams"]) if kept["streams"] else None
        return stack

    @property
    def queue_url(self) -> str:
        return self.queues["user_logins"].queue

    @property
    def dead_letter_queue_url(self) -> str:
        return self.queues["user_logins"].dead_letters

    @property
    def ingest_function(self) -> str:
        return self.physical_id("LoginsIngestFunction")

    @property
    def migrate_function(self) -> str:
        return self.outputs["MigrateFunctionName"]

    def client(self, service: str) -> Any:
        """Return a boto3 client of the service."""
        return self.emulator.client(service)

    def physical_id(self, logical_id: str) -> str:
        """Return the name that AWS knows a resource of the template by."""
        found = self.client("cloudformation").describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def connect(self) -> pg8000.native.Connection:
        """Connect to the database as its owner."""
        return self.postgres.connect()

    def start(self, step: Step) -> None:
        """Start both servers, build and deploy. Raises NotStarted with what CloudFormation says."""
        self.start_servers(step)
        self.build_and_deploy(step)

    def start_servers(self, step: Step) -> None:
        """Start PostgreSQL and the emulator, to which nothing is deployed. Raises NotStarted."""
        with step("Start PostgreSQL"):
            self.postgres.start()
        with step("Start the AWS emulator"):
            self.emulator.start()

    def build_and_deploy(self, step: Step) -> None:
        """Build and deploy what has changed, the first time all of it. Raises NotStarted."""
        self.build(step)
        with step("Deploy: sam deploy"):
            self.deploy(self.parameters)

    def build(self, step: Step) -> None:
        """Build what has changed. Raises NotStarted."""
        with step("Build: sam build"):
            build(self.folder / "build", self.streams)
            ministack.fit(self.folder / "build" / "template.yaml")

    def deploy(self, parameters: Mapping[str, str]) -> str:
        """Deploy what is built, the first time or again, and return what SAM said. Raises NotStarted."""
        # In a file, because every user of this machine sees the command line.
        overrides, began = self.folder / "parameters.yaml", datetime.now(UTC)
        write_private(overrides, json.dumps(self.all_parameters(parameters)))
        try:
            deployed = sam(
                *("deploy", "--template-file", str(self.folder / "build" / "template.yaml")),
                *("--config-file", str(PROJECT / "samconfig.toml"), "--config-env", "local"),
                *("--stack-name", self.name, "--parameter-overrides", overrides.as_uri()),
                AWS_ENDPOINT_URL=self.emulator.endpoint_url,
                SAM_CLI_POLL_DELAY="0.5",  # seconds
            )
        finally:
            overrides.unlink()
        if deployed.returncode != 0:
            why = "\n".join(self._failures(began)) or deployed.stdout.rpartition("Error: ")[2]
            raise NotStarted(f"sam deploy failed:\n{why}")
        (stack,) = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.queues = queues.of_stack(self.client("ssm"), self.name)
        return deployed.stdout

    def stop(self) -> list[str]:
        """Stop what runs, remove the folder and return what was stopped."""
        stopped = {"the AWS emulator": self.emulator.stop(), "PostgreSQL": self.postgres.stop()}
        _remove(self.folder)
        return [name for name, ran in stopped.items() if ran]

    def keep(self) -> None:
        """Leave the stack running, and write down how to talk to it, how to deploy to it again and how to stop it."""
        write_private(KEPT, json.dumps(self.connections, indent=2) + "\n")
        self.kept = True

    @property
    def connections(self) -> dict[str, Any]:
        """How to talk to the stack, to deploy to it again and to stop it: secrets of this machine, as JSON has them."""
        return {
            "endpoint_url": self.emulator.endpoint_url,
            "region": REGION,
            "access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"],
            "secret_access_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            "stack_name": self.name,
            "queues": {name: msgspec.to_builtins(queues) for name, queues in self.queues.items()},
            "database_url": self.postgres.url,
            "migrate_function": self.migrate_function,
            "folder": str(self.folder),
            "emulator_pid": self.emulator.pid,
            "parameters": dict(self.parameters),
            "streams": str(self.streams) if self.streams else None,
        }

    def all_parameters(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """Return these parameters with those that this machine asks for."""
        return {
            "DatabaseHost": self.postgres.host,
            "DatabasePort": str(self.postgres.port),
            "DatabaseName": self.postgres.database,
            "DatabaseOwnerUsername": self.postgres.user,
            "DatabaseOwnerPassword": self.postgres.password,
            "DatabaseTls": "disable",
            "QueueNames": "plain" if self.name == STACK_NAME else "by-stack",  # its conditions know no stack's name
            "AllowUnverifiedCaller": "true",  # the emulator tells a function nothing of who calls its URL
            **parameters,
        }

    def _failures(self, began: datetime) -> list[str]:
        """Return a line for each resource that has failed since then, the first first."""
        cloudformation = self.client("cloudformation")
        try:
            pages = list(cloudformation.get_paginator("describe_stack_events").paginate(StackName=self.name))
        except cloudformation.exceptions.ClientError:
            return []  # it failed before there was a stack
        return [
            f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
            for event in reversed([event for page in pages for event in page["StackEvents"]])
            if event["ResourceStatus"].endswith("_FAILED")
            and event.get("ResourceStatusReason")
            and event["Timestamp"] >= began.replace(microsecond=0)
        ]


@contextmanager
def running_stack(
    parameters: Mapping[str, str] | None = None, step: Step = lambda _: nullcontext(), streams: Path | None = None
) -> Iterator[Stack]:
    """Yield a fresh stack that shares nothing with any other, and stop it unless it was told to be kept.

    `parameters` are the template's, beside those that say where the database is; `streams` is a package to
    deploy instead of layers/streams. Raises NotStarted.
    """
    folder = Path(tempfile.mkdtemp(prefix="sluice-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user where we are root, and must get to its folder in this one
    stack = Stack.in_folder(folder)
    stack.parameters, stack.streams = parameters or {}, streams
    try:
        stack.start(step)
        yield stack
    finally:
        if not stack.kept:
            stack.stop()


def build(target: Path, streams: Path | None = None) -> None:
    """Build template.yaml into the folder `target`, taking from the last build what has not changed.

    `streams` is a package that takes the place of layers/streams; the template gets the streams of the tests with it.
    """
    from tools.local import template  # 2 s, for the CloudFormation in it; nothing else here needs it

    STATE.mkdir(exist_ok=True)
    source = (PROJECT / "template.yaml").read_text()
    with (STATE / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # SAM finds what it built last in one place, which two builds cannot share
        (STATE / "template.yaml").write_text(template.declared(source) if streams else source)
        built = sam(
            *("build", "--template-file", str(STATE / "template.yaml"), "--base-dir", str(PROJECT)),
            *("--build-dir", str(STATE / "build"), "--cached", "--cache-dir", str(STATE / "cache"), "--parallel"),
            "--language-extensions",
        )
        if built.returncode != 0:
            raise NotStarted(f"sam build failed:\n{built.stdout}")
        for part in (STATE / "build").iterdir():
            _renew(part, target / part.name)
    if streams:
        package = target / "StreamsLayer" / "python" / "streams"
        shutil.rmtree(package)
        shutil.copytree(streams, package, ignore=shutil.ignore_patterns("__pycache__"))


def _renew(source: Path, target: Path) -> None:
    """Make the target what the source is. A tree that is the same stays: it takes long to remove thousands of files."""
    if source.is_file():
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(source, target)
    elif not target.exists() or _listed(source) != _listed(target):
        _remove(target)
        shutil.copytree(source, target)


def _listed(folder: Path) -> set[tuple[str, int, int]]:
    """Return the files of a folder, each with its size and time."""
    files = [(path, path.stat()) for path in folder.rglob("*") if path.is_file()]
    return {(str(path.relative_to(folder)), found.st_size, found.st_mtime_ns) for path, found in files}


def _remove(folder: Path) -> None:
    """Remove a folder, many files at once: a disk that frees the space of each by itself takes milliseconds for it."""
    files = [Path(inside, name) for inside, _, names in os.walk(folder) for name in names]
    with ThreadPoolExecutor(REMOVED_AT_ONCE) as pool:
        pool.map(lambda file: file.unlink(missing_ok=True), files)
    shutil.rmtree(folder, ignore_errors=True)


def down() -> int:
    """Stop the stack that was kept, if there is one, and say what was done."""
    if not KEPT.exists():
        print("No embedded stack was kept.")
        return 0
    kept = json.loads(KEPT.read_text())
    stopped = Stack.in_folder(Path(kept["folder"]), kept["emulator_pid"]).stop()
    KEPT.unlink(missing_ok=True)
    print(f"Stopped {' and '.join(stopped)}." if stopped else "The stack that was kept had already stopped.")
    return 0


def write_private(file: Path, text: str) -> None:
    """Write a file that nobody else can read."""
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(text)


def sam(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run SAM with the emulator's credentials and nothing of the user's AWS configuration; output and errors as one."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    process = subprocess.Popen(
        [str(SAM), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that what it started ends with it
        cwd=STATE,  # where it leaves its own notes
        env={
            **ours,
            # The layer is built by this interpreter.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{ours.get('PATH', os.defpath)}",
            "SAM_CLI_TELEMETRY": "0",
            "AWS_CONFIG_FILE": os.devnull,  # a profile of the user's has no say here
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_DEFAULT_REGION": REGION,
            **CREDENTIALS,
            **environment,
        },
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, output)


if __name__ == "__main__":
    if sys.argv[1:] != ["down"]:
        sys.exit("usage: python -m tools.local.stack down")
    sys.exit(down())
