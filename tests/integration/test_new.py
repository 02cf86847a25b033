"""Streams that `sluice new` writes are such as `make check` wants them, once their author has confirmed the masks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tests.unit.new_stream import make_project
from tests.unit.samples import batches, bus_events, calls, lines, notifications, payments, pushes, staff, uplinks
from tools.project import PROJECT
from tools.sluice_cli.authors.new import command
from tools.sluice_cli.authors.new.command import EnvelopeName

SHAPES = {
    "pushes": pushes(),
    "payments": payments(),
    "meter_uplinks": uplinks(),
    "call_batches": batches(),
    "calls": calls(),
    "order_events": bus_events(),
    "notices": notifications(),
    "staff": staff(),
}
SUBJECTS = {
    "pushes": "pusher.email",
    "payments": "data.object.customer.id",
    "call_batches": "around_2.email",
    "calls": "userId",
    "staff": "Employee ID",
}
ENVELOPES = {"order_events": EnvelopeName.EVENTBRIDGE, "notices": EnvelopeName.SNS}
CONFIGURATION = str(PROJECT / "pyproject.toml")
SOURCES = ("--config", f"src=['{PROJECT / 'layers' / 'common'}']")  # where ruff finds `sluice`
SLUICE = "from tools.sluice_cli import main; main()"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the streams of samples beside the others."""
    folder = make_project(tmp_path_factory.mktemp("new") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "PROJECT", folder)
        for name, records in SHAPES.items():
            samples = folder / f"{name}.jsonl"
            samples.write_text(lines(records))
            envelope = ENVELOPES.get(name, EnvelopeName.PLAIN)
            with pytest.raises(typer.Exit) as ended:
                command.new(name, str(samples), envelope, SUBJECTS.get(name, ""))
            assert ended.value.exit_code == 0
    return folder


def run(project: Path, *arguments: str, cwd: str = ".") -> tuple[int, str]:
    """Run Python in the project, with its streams, and return exit code and output."""
    paths = (project / "layers", PROJECT, PROJECT / "layers" / "common")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "COLUMNS": "200"}
    made = subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True, cwd=project / cwd, env=environment
    )
    return made.returncode, made.stdout + made.stderr


@pytest.mark.long
def test_ruff_and_mypy_have_nothing_to_say(project: Path) -> None:
    for check in (["check"], ["format", "--check"]):
        code, output = run(project, "-m", "ruff", *check, "--config", CONFIGURATION, *SOURCES, "layers/streams")
        assert code == 0, output
    code, output = run(project, "-m", "mypy", "--config-file", CONFIGURATION, "streams", cwd="layers")
    assert (code, output) == (0, "Success: no issues found in 11 source files\n")


@pytest.mark.long
def test_check_passes_once_every_mark_is_deleted(project: Path) -> None:
    modules = [project / "layers" / "streams" / f"{name}.py" for name in SHAPES]
    marks = {
        f"✗ {path.name}:{number}: confirm, then delete the mark: {mark}"
        for path in modules
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for mark in re.findall("# confirm: (.*)", line)
    }
    assert len(marks) > 20
    code, output = run(project, "-c", SLUICE, "check")
    assert (code, {line for line in output.splitlines() if line.startswith("✗")}) == (1, marks)
    for path in modules:
        path.write_text(re.sub(" +# confirm: .*", "", path.read_text()))
    assert run(project, "-m", "ruff", "format", "--check", "--config", CONFIGURATION, "layers/streams")[0] == 0
    code, output = run(project, "-c", SLUICE, "check")
    assert code == 0, output
    assert "10 streams and all migrations fit together" in output


@pytest.mark.parametrize("name", SHAPES)
def test_all_samples_become_rows(name: str, project: Path) -> None:
    code, output = run(project, "-c", SLUICE, "preview", name, f"{name}.jsonl")
    count = sum(len(sample.get("batch", [sample])) for sample in SHAPES[name])
    assert (code, f"Records: {count}. Rows: {count}. Rejected: 0." in output) == (0, True)


@pytest.mark.parametrize("name", SHAPES)
def test_the_examples_hold(name: str, project: Path) -> None:
    code, output = run(project, "-c", SLUICE, "test", name)
    assert code == 0, output
