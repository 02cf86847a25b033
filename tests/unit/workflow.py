"""The workflow that deploys, and its scripts run with commands of the tests' own."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tools.project import PROJECT

WORKFLOW: dict[str, Any] = yaml.safe_load((PROJECT / ".github" / "workflows" / "deploy.yml").read_text())


def run_step(job: str, tmp_path: Path, sam: str = "", aws: str = "", **environment: str) -> tuple[int, str, str, str]:
    """Run a job's script with commands of ours; return its exit code, summary, output and the calls of AWS."""
    (script,) = [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "env" in step]
    for name, text in ((".venv-sam/bin/sam", sam), ("bin/aws", aws), ("bin/sleep", "")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f'#!/bin/bash\necho "${{0##*/}} $*" >>calls\n{text}\n')
        (tmp_path / name).chmod(0o755)
    for name in ("summary", "output", "calls"):
        (tmp_path / name).touch()
    ran = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        check=False,
        cwd=tmp_path,
        env={
            "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
            "GITHUB_STEP_SUMMARY": "summary",
            "GITHUB_OUTPUT": "output",
            "STACK": "sluice-prod",
            **environment,
        },
    )
    summary, output, calls = ((tmp_path / name).read_text() for name in ("summary", "output", "calls"))
    return ran.returncode, summary, output, calls
