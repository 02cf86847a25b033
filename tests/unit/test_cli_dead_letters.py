"""`sluice dead-letters` tells ids, reasons and counts, calls until all is done, and asks before it deletes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.cli import run
from tools.sluice_cli.operators import deployment

WHY = ["--reason", "operations", "--ticket", "OPS-1"]
ASKED = {"stream": "orders", "reason": "operations", "ticket": "OPS-1"}
ID = "059f36b4-87a3-44ab-83d2-661975830a7d"
LETTER = {
    "id": ID,
    "sqs_message_id": ID,
    "reason": "out_of_range",
    "pointer": "/total",
    "rejected_at": None,
    "receive_count": 11,
    "age_seconds": 90061,
    "bytes": 412,
}
CALLED = {"done": True, "began_at": 7, "dry_run": False, "not_deleted": 0, "newer": 0}
REDRIVEN = CALLED | {"looked_at": 1300, "redriven": 1200, "erased": 0, "not_sent": 0, "failing": {}}
PURGED = CALLED | {"looked_at": 1200, "purged": 1200, "subject_unknown": 0, "reasons": {"out_of_range": 1200}}


@dataclass
class FakeFunction:
    """Gives its answers one after the other, the last one again and again, and remembers what it was asked."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    stacks: set[str] = field(default_factory=set)

    def call(self, url_output: str, payload: Mapping[str, Any], stack: str = "") -> dict[str, Any]:
        assert url_output == "DeadLettersUrl"
        self.asked.append(dict(payload))
        self.stacks.add(stack)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> FakeFunction:
    function = FakeFunction()
    monkeypatch.setattr(deployment, "call", function.call)
    return function


def test_letters_are_listed(function: FakeFunction) -> None:
    function.answers = [{"letters": [LETTER], "more": True}]
    code, out, err = run("dead-letters", "list", "orders", "--limit", "5", "--stack", "here")
    assert (code, err) == (0, "")
    assert function.asked == [{"action": "list", "stream": "orders", "limit": 5}]
    assert function.stacks == {"here"}
    assert "Rejected as" in out
    for text in (ID, "out_of_range", "/total", "11", "1 day,", "1:01:01", "412", "There may be more: --limit."):
        assert text in out


def test_what_postgresql_refused_has_its_name_beside_the_code(function: FakeFunction) -> None:
    reason, named = "sqlstate_23514", "sqlstate_23514 (check_violation)"
    function.answers = [{"letters": [LETTER | {"reason": reason, "pointer": ""}], "more": False}]
    listed = run("dead-letters", "list", "orders")[1]
    function.answers = [REDRIVEN | {"failing": {reason: 3}}]
    redriven = run("dead-letters", "redrive", "orders", *WHY, "--rejected-as", reason)[1]
    assert [word in listed for word in named.split()] == [True, True]  # in a line each, where there is no room
    assert "(the record)" in listed
    assert f"still be rejected as: {named} " in redriven
    assert function.asked[-1]["rejected_as"] == reason


def test_a_script_gets_what_the_function_says(function: FakeFunction) -> None:
    function.answers = [{"letters": [LETTER], "more": False}]
    code, out, _ = run("dead-letters", "list", "orders", "--json")
    assert (code, json.loads(out)) == (0, function.answers[0])


def test_a_redrive_calls_until_it_is_done_and_tells_the_whole(function: FakeFunction) -> None:
    function.answers = [
        REDRIVEN | {"done": False, "erased": 1, "failing": {"out_of_range": 3}},
        REDRIVEN | {"redriven": 34, "failing": {"out_of_range": 4}, "newer": 2},
    ]
    code, out, _ = run("dead-letters", "redrive", "orders", *WHY, "--rate", "7", "--rejected-as", "missing")
    assert code == 1  # since some would still fail
    ask = {"action": "redrive", **ASKED, "rejected_as": "missing", "rate": 7, "dry_run": False}
    assert function.asked == [ask, ask | {"began_at": 7}]
    shown = [" ".join(line.strip("│ ").split()) for line in out.splitlines()]
    assert "1,201 are gone; going on." in shown
    for line in (
        "sent to the queue │ 1,234",
        "dropped: the person was erased since │ 1",
        "sent since this began: they stay │ 2",
        "stay, since they would still be rejected as: out_of_range │ 4",
    ):
        assert line in shown


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, 0), ({"failing": {"out_of_range": 1}}, 1), ({"not_sent": 1}, 1), ({"not_deleted": 1}, 1), ({"newer": 1}, 0)],
)
def test_a_redrive_succeeds_when_all_went(changes: dict[str, Any], expected: int, function: FakeFunction) -> None:
    function.answers = [REDRIVEN | changes]
    assert run("dead-letters", "redrive", "orders", *WHY)[0] == expected


def test_ids_are_sent_as_the_function_knows_them(function: FakeFunction) -> None:
    function.answers = [REDRIVEN]
    run("dead-letters", "redrive", "orders", *WHY, "--id", ID.upper(), "--id", ID, "--dry-run")
    (asked,) = function.asked
    assert (asked["ids"], asked["dry_run"]) == ([ID, ID], True)


def test_a_dry_run_is_one_call(function: FakeFunction) -> None:
    function.answers = [REDRIVEN | {"done": False}]
    code, out, _ = run("dead-letters", "redrive", "orders", *WHY, "--dry-run")
    assert (code, len(function.asked)) == (0, 1)
    assert "Of the first 1,300: one call looks through no more." in out
    assert "This would be done" in out


def test_a_run_that_gets_nowhere_ends(function: FakeFunction) -> None:
    function.answers = [REDRIVEN | {"done": False}, REDRIVEN | {"done": False, "redriven": 0}]
    code, _, err = run("dead-letters", "redrive", "orders", *WHY)
    assert (code, len(function.asked)) == (1, 2)
    assert err == "sluice: 1,200 are gone; more letters stay than one call looks through: purge what is not wanted\n"


def test_a_purge_shows_what_would_go_asks_and_takes_no_more_than_it_has_shown(function: FakeFunction) -> None:
    function.answers = [PURGED]
    code, out, _ = run("dead-letters", "purge", "orders", *WHY, "--all", input="y\n")
    assert code == 0
    ask = {"action": "purge", **ASKED, "all": True}
    assert function.asked == [{**ask, "dry_run": True}, {**ask, "dry_run": False, "began_at": 7}]
    before, after = out.split("This was done")
    for text in (before, after):
        assert "1,200" in text
        assert "rejected as: out_of_range" in text


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_without_a_yes_nothing_is_deleted(answer: str, function: FakeFunction) -> None:
    function.answers = [PURGED]
    code, _, err = run("dead-letters", "purge", "orders", *WHY, "--all", input=answer)
    assert (code, [asked["dry_run"] for asked in function.asked]) == (1, [True])
    assert err.endswith("sluice: nothing was deleted; --yes asks no question\n")


@pytest.mark.parametrize(("option", "expected"), [("--dry-run", [True]), ("--yes", [False])])
def test_it_does_not_ask_when_it_is_told_not_to(option: str, expected: list[bool], function: FakeFunction) -> None:
    function.answers = [PURGED]
    assert run("dead-letters", "purge", "orders", *WHY, "--id", ID, option)[0] == 0
    assert [asked["dry_run"] for asked in function.asked] == expected


def test_a_person_from_standard_input_is_on_no_command_line_and_not_shown(function: FakeFunction) -> None:
    function.answers = [PURGED | {"subject_unknown": 3}]
    code, out, err = run(
        "dead-letters", "purge", "orders", *WHY, "--subject", "-", "--yes", input=" kn4ry@example.com\n"
    )
    assert code == 0
    assert (function.asked[0]["subject"], function.asked[0]["all"]) == ("kn4ry@example.com", False)
    assert "kn4ry" not in out + err
    assert "do not say whose they are" in out


@pytest.mark.parametrize("options", [[], ["--all", "--id", ID]], ids=["nothing", "all and some"])
def test_a_purge_is_told_which(options: list[str], function: FakeFunction) -> None:
    code, _, err = run("dead-letters", "purge", "orders", *WHY, *options)
    assert (code, err) == (2, "sluice: say which: --id, --rejected-as or --subject, or else --all\n")
    assert function.asked == []


def test_stopping_it_says_that_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(*_: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(deployment, "call", call)
    code, _, err = run("dead-letters", "redrive", "orders", *WHY)
    assert (code, err) == (1, "sluice: stopped; nothing is lost, and the same command goes on with it\n")
