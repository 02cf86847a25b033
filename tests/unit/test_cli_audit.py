"""`sluice audit` asks the function whether the log is intact, with the heads that its own logs tell of."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli import run
from tests.unit.operators import FakeDeployment
from tools.sluice_cli.operators import audit

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
INTACT = {"rows": 1234, "head": {"id": 1234, "hash": A}, "intact": True, "first_broken": None, "rule": ""}


@pytest.fixture
def function(deployment: FakeDeployment) -> FakeDeployment:
    deployment.answer = (200, INTACT)
    return deployment


def test_an_intact_log_is_told_with_its_last_row(function: FakeDeployment) -> None:
    assert run("audit", "verify") == (0, f"The audit log is intact: 1,234 rows; the last is 1234 {A}.\n", "")
    assert function.requests == [{"action": "verify", "heads": []}]


def test_a_changed_log_fails_the_command_and_names_the_row(function: FakeDeployment) -> None:
    function.answer = (200, INTACT | {"intact": False, "first_broken": 7, "rule": "a row is missing"})
    assert run("audit", "verify") == (1, "", "sluice: the audit log was changed, first at row 7: a row is missing\n")


def test_heads_are_taken_from_logs_of_any_form_each_once(function: FakeDeployment, tmp_path: Path) -> None:
    line = json.dumps({"message": "audit head", "audit_id": 2, "audit_hash": B})
    lines = [
        f"3 {C}",
        line,
        f"2026-01-01T00:00:00.000Z {line}",
        json.dumps({"timestamp": 1, "message": json.dumps({"audit_id": 1, "audit_hash": A})}),
        json.dumps({"@message": {"audit_id": 2, "audit_hash": A}}),
        json.dumps({"message": "batch done"}),
        "",
    ]
    file = tmp_path / "exported.log"
    file.write_text("\n".join(lines))
    code, output, _ = run("audit", "verify", "--heads", str(file))
    assert code == 0 and ", 4 compared with what was logged;" in output
    (request,) = function.requests
    assert [(head["id"], head["hash"]) for head in request["heads"]] == [(1, A), (2, A), (2, B), (3, C)]


def test_of_too_many_heads_the_newest_are_compared(
    function: FakeDeployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_HEADS", 2)
    file = tmp_path / "heads"
    file.write_text(f"1 {A}\n3 {C}\n2 {B}\n")
    run("audit", "verify", "--heads", str(file))
    assert [head["id"] for head in function.requests[0]["heads"]] == [2, 3]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 junk", ": tells of no row of the audit log"),
        ('\n{"audit_hash": 1', ", line 2: must be JSON"),
        ('{"message": "batch done"}', ": tells of no row of the audit log"),
        ("", ": tells of no row of the audit log"),
        (None, ": No such file or directory"),
    ],
)
def test_a_file_without_heads_is_no_proof(text: str | None, why: str, function: FakeDeployment, tmp_path: Path) -> None:
    file = tmp_path / "heads"
    if text is not None:
        file.write_text(text)
    assert run("audit", "verify", "--heads", str(file)) == (2, "", f"sluice: {file}{why}\n")
    assert function.requests == []


def test_rows_are_listed(function: FakeDeployment) -> None:
    row: dict[str, Any] = {"id": 1, "at": "2026-01-01T09:00:00", "actor": "ada", "action": "reveal", "ticket": "A-1"}
    row |= {"reason": "retention", "tokens": ["t1_a"], "subject_token": None, "counts": {"asked": 1}, "hash": A}
    function.answer = (200, {"rows": [row]})
    code, output, errors = run("audit", "list", "--after", "0", "--limit", "5")
    assert (code, errors) == (0, "") and "asked 1" in output
    assert function.requests == [{"action": "list", "after": 0, "limit": 5}]
    assert json.loads(run("audit", "list", "--json")[1]) == [row]


def test_a_row_that_is_too_wide_is_cut_at_separators_alone(function: FakeDeployment) -> None:
    actor = "arn:aws:sts::123456789012:assumed-role/Operators/ada.lovelace"
    row = {
        "id": 1,
        "at": "2026-11-27T07:09:01.111613",
        "actor": actor,
        "action": "redrive_dry_run",
        "reason": "operations",
    }
    counts = {"redriven": 12, "not_deleted": 0, "subject_unknown": 3}
    function.answer = (200, {"rows": [row | {"ticket": "OPS-123", "tokens": [], "counts": counts}]})
    lines = [line.split("│")[1:-1] for line in run("audit", "list")[1].splitlines() if line.startswith("│")]
    cells = ["\n".join(filter(None, map(str.strip, column))) for column in zip(*lines, strict=True)]
    assert cells[1].replace("\n", " ") == "2026-11-27 07:09:01"
    assert [cell.replace("\n", "") for cell in cells[2:5]] == [actor, "redrive_dry_run", "operations"]
    ends = [line[-1] for cell in cells[2:4] for line in cell.splitlines()[:-1]]
    assert ends and set(ends) <= set(":/-._")
