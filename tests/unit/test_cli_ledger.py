"""`sluice ledger` shows what became of all that was received, and fails where that is not all."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sluice.operators.audit.ledger import COUNTS
from tests.unit.cli import run
from tests.unit.operators import FakeDeployment
from tests.unit.routes import declare_route
from tools.sluice_cli.operators import deployment, ledger


def period(begin: str, **counts: int) -> dict[str, Any]:
    return {"begin": begin, "batches": 2, "declarations": 1} | dict.fromkeys(COUNTS, 0) | counts


WHOLE = period("2026-01-31T00:00:00", received=1011, written=1000, duplicates=4, rejected=3, ignored=3, erased=1)
ERASED = period("2026-02-01T00:00:00", removed=7)
SHORT = period("2026-02-02T00:00:00", received=5, written=4)


@pytest.fixture
def function(deployment: FakeDeployment) -> FakeDeployment:
    deployment.answer = (200, {"periods": [WHOLE, ERASED]})
    return deployment


def test_periods_are_shown_with_their_sum(function: FakeDeployment) -> None:
    code, output, errors = run("ledger", "user_logins", "--since", "2026-01-31T09:00Z")
    assert (code, errors) == (0, "")
    assert function.requests == [
        {"action": "ledger", "stream": "user_logins", "since": "2026-01-31T09:00:00+00:00", "by": "day"}
    ]
    numbers = [line.replace("│", " ").split() for line in output.splitlines() if "│" in line]
    assert numbers[0] == ["2026-01-31", "2", "1,011", "1,000", "4", "3", "1", "3", "0"]
    assert numbers[-1] == ["4", "1,011", "1,000", "4", "3", "1", "3", "7"]


def test_a_period_that_does_not_add_up_fails_the_command(function: FakeDeployment) -> None:
    function.answer = (200, {"periods": [WHOLE, SHORT]})
    code, _, errors = run("ledger", "user_logins", "--by", "hour")
    assert (code, errors) == (
        1,
        "sluice: 1 of 2 lines do not add up: not all that was received is told of\n",
    )
    assert function.requests[0]["by"] == "hour"
    code, output, _ = run("ledger", "user_logins", "--json")
    assert (code, json.loads(output)) == (1, [WHOLE, SHORT])


def test_the_last_hour_of_a_route_is_that_of_its_streams_too(
    function: FakeDeployment, declare: Callable[[str, str], None]
) -> None:
    declare_route(declare)
    total = ledger.last_hour(deployment.deployed("tests"), "calls")
    assert [request["stream"] for request in function.requests] == ["calls", "users", "tracks"]
    assert (total["received"], total["removed"], ledger.adds_up(total)) == (3 * 1011, 3 * 7, True)


def test_a_time_that_is_none_is_refused(function: FakeDeployment) -> None:
    code, _, errors = run("ledger", "user_logins", "--since", "yesterday")
    assert (code, errors, function.requests) == (
        2,
        "sluice: --since: is a time such as 10m, 2h, 1d or 2026-01-31T09:00Z\n",
        [],
    )
