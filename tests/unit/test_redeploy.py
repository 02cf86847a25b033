"""`make redeploy` deploys again to the stack that was kept, as it was deployed, or says what to do."""

import json
from pathlib import Path

import pytest

from sluice.aws.queues import Queues
from tools.local import redeploy, stack
from tools.local.server import NotStarted
from tools.local.stack import Stack


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    file = tmp_path / ".sluice" / "stack.json"
    for module in (redeploy, stack):
        monkeypatch.setattr(module, "KEPT", file)
    return file


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, kept: Path, tmp_path: Path) -> Stack:
    """A stack that was kept, whose emulator runs."""
    monkeypatch.setattr("tools.local.emulator.Emulator.runs", lambda emulator: True)
    running = Stack.in_folder(tmp_path / "stack", emulator_pid=7)
    running.parameters, running.streams = {"LogLevel": "DEBUG"}, tmp_path / "streams"
    running.postgres.port, running.emulator.port = 5433, 4577
    running.outputs = {"MigrateFunctionName": "of the first deployment"}
    running.queues = {"user_logins": Queues("of the first", "of the first")}
    running.keep()
    return running


def test_the_stack_is_deployed_again_as_it_was(running: Stack, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed: list[Stack] = []

    def deploy(stack: Stack, step: object) -> None:
        deployed.append(stack)
        stack.outputs = dict.fromkeys(running.outputs, "of the second")
        stack.queues = {"orders": Queues("of the second", "dead")}

    monkeypatch.setattr(Stack, "build_and_deploy", deploy)
    assert redeploy.main() == 0
    (again,) = deployed
    assert (again.folder, again.name, again.parameters, again.streams) == (
        running.folder,
        running.name,
        running.parameters,
        running.streams,
    )
    assert (again.postgres.url, again.emulator.endpoint_url, again.emulator.pid) == (
        running.postgres.url,
        running.emulator.endpoint_url,
        7,
    )
    assert json.loads(kept.read_text())["queues"] == {"orders": {"queue": "of the second", "dead_letters": "dead"}}
    assert kept.stat().st_mode & 0o077 == 0


def test_a_deployment_that_fails_is_told_and_the_stack_stays_kept(
    running: Stack, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(stack: Stack, step: object) -> None:
        raise NotStarted("sam build failed:\n[red]why")

    monkeypatch.setattr(Stack, "build_and_deploy", fail)
    before = kept.read_text()
    assert (redeploy.main(), capsys.readouterr().out) == (1, "sam build failed:\n[red]why\n")
    assert kept.read_text() == before


def test_without_a_stack_it_says_what_to_do(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert redeploy.main() == 1
    assert capsys.readouterr().out == "No stack is kept: `make demo ARGS=--keep` starts one.\n"


def test_with_a_stack_that_has_stopped_it_says_what_to_do(
    running: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tools.local.emulator.Emulator.runs", lambda emulator: False)
    assert redeploy.main() == 1
    assert "The stack that was kept has stopped: `make down`, then `make demo" in capsys.readouterr().out


def test_a_tree_that_is_the_same_is_not_copied_again(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "build" / "target"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "a").write_text("a")
    stack._renew(source, target)
    (target / "of the target").mkdir()
    stack._renew(source, target)
    assert (target / "of the target").exists()
    (source / "inner" / "a").write_text("ab")
    stack._renew(source, target)
    assert [path.name for path in sorted(target.rglob("*"))] == ["inner", "a"]
    assert (target / "inner" / "a").read_text() == "ab"
