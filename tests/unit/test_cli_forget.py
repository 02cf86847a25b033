"""`sluice forget` shows what would go and asks, before it has the function erase anything."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli import run
from tools.sluice_cli.operators import deployment

WHY = ["--reason", "data_subject_request", "--ticket", "PRIV-1"]
ASKED = {"reason": "data_subject_request", "ticket": "PRIV-1"}
TOKEN = "t1_" + "x" * 43
ERASED_AT = "2026-01-31T23:59:59.999+00:00"


@dataclass
class FakeFunction:
    """Answers as the deployed function does, and remembers what it was asked."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    stacks: set[str] = field(default_factory=set)

    def call(self, url_output: str, payload: Mapping[str, Any], stack: str = "") -> dict[str, Any]:
        assert url_output == "ForgetUrl"
        self.asked.append(dict(payload))
        self.stacks.add(stack)
        gone = {"values": 1200, "dry_run": payload["dry_run"]}
        if payload["action"] == "sweep":
            return {"data_keys": 3, **gone}
        erased = {} if payload["action"] == "repeat" else {"erased_at": None if payload["dry_run"] else ERASED_AT}
        stays = {"values_used_by_others": 7, "rows_that_mention": 1300}
        rows, mentions = {"orders": 0, "user_logins": 2}, {"orders": 5}
        return {**erased, "subject_tokens": [TOKEN], "rows": rows, "mentions": mentions, "stays": stays, **gone}


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> FakeFunction:
    function = FakeFunction()
    monkeypatch.setattr(deployment, "call", function.call)
    return function


def dry_runs(function: FakeFunction) -> list[bool]:
    return [payload["dry_run"] for payload in function.asked]


def test_it_shows_what_would_go_asks_and_shows_what_is_gone(function: FakeFunction) -> None:
    code, out, _ = run("forget", "person", "ann", *WHY, "--stack", "here", input="y\n")
    assert code == 0
    ask = {"action": "forget", "subject": "ann", **ASKED}
    assert function.asked == [{**ask, "dry_run": True}, {**ask, "dry_run": False}]
    assert function.stacks == {"here"}
    before, after = out.split("This is gone")
    assert "This would go" in before
    token = f"The person's token: {TOKEN}"
    for text in ("rows of user_logins", "mentions in rows of orders", "1,200", "This stays", "1,300", token):
        assert text in before
        assert text in after
    assert f"{token}, erased at {ERASED_AT}\n" in after


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_without_a_yes_nothing_is_erased(answer: str, function: FakeFunction) -> None:
    code, _, err = run("forget", "person", "ann", *WHY, input=answer)
    assert code == 1
    assert err.endswith("sluice: nothing was erased; --yes asks no question\n")
    assert dry_runs(function) == [True]


@pytest.mark.parametrize(("option", "expected"), [("--dry-run", [True]), ("--yes", [False])])
def test_it_does_not_ask_when_it_is_told_not_to(option: str, expected: list[bool], function: FakeFunction) -> None:
    assert run("forget", "person", "ann", *WHY, option)[0] == 0
    assert dry_runs(function) == expected


def test_a_person_from_standard_input_is_on_no_command_line_and_not_shown(function: FakeFunction) -> None:
    code, out, err = run("forget", "person", "-", *WHY, "--yes", input=" canary@example.com\n")
    assert code == 0
    assert function.asked[0]["subject"] == "canary@example.com"
    assert "canary" not in out + err


def test_nobody_is_an_error(function: FakeFunction) -> None:
    assert run("forget", "person", "-", *WHY, "--yes", input="\n") == (2, "", "sluice: nobody was named\n")
    assert function.asked == []


def test_a_sweep_tells_sealed_values_and_data_keys(function: FakeFunction) -> None:
    code, out, _ = run("forget", "sweep", *WHY, "--yes")
    assert code == 0
    assert function.asked == [{"action": "sweep", **ASKED, "dry_run": False}]
    for text in ("sealed values", "1,200", "data keys", "3"):
        assert text in out


def test_erasures_are_repeated_from_lines_of_the_log_a_hundred_at_a_time(
    function: FakeFunction, tmp_path: Path
) -> None:
    erasures: list[dict[str, Any]] = [
        {"subject_token": f"t1_{number:043}", "erased_at": ERASED_AT} for number in range(150)
    ]
    erasures[7]["values"] = {"email": TOKEN}  # those of earlier releases have none
    lines = [json.dumps({"level": "INFO", "message": "erased", **erasure}) for erasure in erasures]
    others = ["", "START RequestId", "{", "[1]", '{"message": "audit head"}', lines[0]]
    log = tmp_path / "log"
    log.write_text("\n".join([*others, f"2026-01-31T23:59:59 2026/01/31/[1] {lines[0]}", *lines[1:]]))
    code, out, _ = run("forget", "repeat", str(log), *WHY, "--yes")
    assert code == 0
    assert [payload["erasures"] for payload in function.asked] == [erasures[:100], erasures[100:]]
    assert "2,400" in out


def test_a_file_without_erasures_is_an_error(function: FakeFunction, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("nothing\n")
    code, _, err = run("forget", "repeat", str(tmp_path / "log"), *WHY)
    assert (code, err) == (2, "sluice: no line of the file has subject_token and erased_at\n")
    assert function.asked == []
