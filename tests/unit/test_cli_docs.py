"""docs/cli.md and docs/scaling.md show what the command prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli import TOKEN
from tests.unit.fakes import ROOT
from tools.project import DECLARED
from tools.sluice_cli import app

ON_A_STACK = "send tail console dead-letters reveal forget keys ledger audit status pause resume".split()
ON_A_STACK += ["protect", "adopt", "doctor"]
PAGE = "".join((ROOT / "docs" / page).read_text() for page in ("cli.md", "scaling.md"))
EXAMPLES = dict(re.findall(r"```console\n\$ ([^\n]*)\n(.*?)```", PAGE, re.DOTALL))
# These want a PostgreSQL, a queue or a stack, or write files: test_documented_commands.py knows what runs them.
ELSEWHERE = ["sluice check", "sluice migration", "sluice new", "--queue", *(f"sluice {name}" for name in ON_A_STACK)]
PRINTED = [command for command in EXAMPLES if not any(part in command for part in ELSEWHERE)]


def comparable(output: str) -> str:
    """Return the output without what differs from run to run: tokens, the rate, times that follow, padding."""
    output = TOKEN.sub("token", output)
    output = re.sub(r"(here: |sha256_per_second\": )[\d,]+", r"\1RATE", output)
    output = re.sub(r"[\d,]+ (minutes|hours|seconds)|(in_seconds\": )[\d.]+", "TIME", output)
    return re.sub(r" +$", "", re.sub(r" +", " ", output), flags=re.MULTILINE).strip()


@pytest.mark.parametrize(
    "command",
    [pytest.param(command, marks=[pytest.mark.long] if "--backlog" in command else []) for command in PRINTED],
)
def test_an_example_prints_what_the_page_shows(command: str) -> None:
    process = subprocess.run(
        ["sh", "-c", command],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "PYTHONPATH": str(DECLARED),  # the streams that the page shows, whatever yours are
            "LC_ALL": "C.UTF-8",
        },
    )
    assert process.stderr == ""
    assert comparable(process.stdout) == comparable(EXAMPLES[command])


def test_every_command_has_examples() -> None:
    shown = re.findall(r"^\$ .*?\bsluice ([\w-]+(?: [a-z]+(?= |$))?)", PAGE, re.MULTILINE)
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    groups = {str(group.name): group.typer_instance for group in app.registered_groups if group.typer_instance}
    for name, group in groups.items():
        commands |= {f"{name} {one.name or one.callback.__name__}" for one in group.registered_commands if one.callback}
    assert {one for one in commands if not any(command.startswith(one) for command in shown)} == set()
