"""Build the common layer: the locked packages for both Lambda architectures and the package sluice, precompiled.

One layer for both, so that one `sam build` on any machine deploys to either architecture.
"""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from filecmp import cmp
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
ARCHITECTURES = ("x86_64", "aarch64")
GLIBC_MINORS = range(34, 16, -1)  # 2.34 is that of Amazon Linux 2023; older ones run there too


def install(architecture: str, target: Path) -> None:
    platforms = [f"manylinux_2_{minor}_{architecture}" for minor in GLIBC_MINORS]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
            *("--require-hashes", "--only-binary=:all:", "--implementation=cp", "--python-version=3.13"),
            *(f"--platform={platform}" for platform in (*platforms, f"manylinux2014_{architecture}")),
            *("--target", str(target), "--requirement", str(HERE / "requirements.txt")),
        ],
        check=True,
    )
    # abi3 names carry no architecture, so the two would overwrite each other; the import system takes either name.
    for module in target.rglob("*.abi3.so"):
        module.rename(module.with_name(module.name.replace(".abi3.", f".cpython-313-{architecture}-linux-gnu.")))


def merge(source: Path, target: Path) -> None:
    """Copy into `target` what only `source` has. Raises SystemExit when one name would need two contents."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        name = file.relative_to(source)
        merged = target / name
        if not merged.exists():
            merged.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, merged)
        elif not cmp(file, merged, shallow=False):
            if not name.parts[0].endswith(".dist-info"):
                sys.exit(f"{name} differs between {' and '.join(ARCHITECTURES)}: one layer cannot hold both")
            merged.unlink()  # it describes the one wheel, not the other


def prune(packages: Path) -> None:
    shutil.rmtree(packages / "bin", ignore_errors=True)
    for record in packages.glob("*.dist-info/RECORD"):
        record.unlink()  # lists what is no longer there, and a hash that depends on the path of this interpreter


def precompile(packages: Path) -> None:
    """Write the bytecode beside each module: /opt is read-only, so Lambda would compile at every cold start."""
    subprocess.run(
        [
            *(sys.executable, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"),
            *("-s", str(packages.parent), "-p", "/opt", str(packages)),  # tracebacks and rebuilds see no build path
        ],
        check=True,
    )


def build(packages: Path) -> None:
    with TemporaryDirectory() as folder:
        targets = [Path(folder, architecture) for architecture in ARCHITECTURES]
        with ThreadPoolExecutor() as pool:
            list(pool.map(install, ARCHITECTURES, targets))
        for target in targets:
            merge(target, packages)
    prune(packages)
    shutil.copytree(HERE / "sluice", packages / "sluice", ignore=shutil.ignore_patterns("__pycache__"))
    precompile(packages)


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve() / "python")
