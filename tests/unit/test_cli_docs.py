"""docs/cli.md shows what the command prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli import TOKEN
from tests.unit.fakes import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text()
EXAMPLES = dict(re.findall(r"```console\n\$ ([^\n]*)\n(.*?)```", PAGE, re.DOTALL))
ELSEWHERE = ["sluice check", "--queue"]  # `make check` runs the one, test_cli_queue.py the other


def comparable(output: str) -> str:
    """Return the output without what differs from run to run: tokens, the rate, times that follow, padding."""
    output = TOKEN.sub("token", output)
    output = re.sub(r"(here: |sha256_per_second\": )[\d,]+", r"\1RATE", output)
    output = re.sub(r"[\d,]+ (minutes|hours|seconds)|(in_seconds\": )[\d.]+", "TIME", output)
    return re.sub(r" +$", "", re.sub(r" +", " ", output), flags=re.MULTILINE).strip()


@pytest.mark.parametrize("command", [command for command in EXAMPLES if not any(part in command for part in ELSEWHERE)])
def test_an_example_prints_what_the_page_shows(command: str) -> None:
    process = subprocess.run(
        ["sh", "-c", command],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}", "LC_ALL": "C.UTF-8"},
    )
    assert process.stderr == ""
    assert comparable(process.stdout) == comparable(EXAMPLES[command])


def test_every_command_has_examples() -> None:
    shown = [command for example in EXAMPLES for command in re.findall(r"\bsluice (\w+)", example)]
    assert shown == ["describe", "describe", "preview", "preview", "preview", "preview", "check"]
