"""The console as an operator opens it for another stack than the demo's: looked at only, unless changes are allowed."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Visitor, browser_tools
from tests.browser.test_views import LOGIN, send
from tests.e2e.conftest import eventually
from tools.local.stack import Stack

VIEWS = (
    "/",
    "/rows?stream=user_logins",
    "/refusals",
    "/dead-letters?stream=user_logins",
    "/charts?stream=user_logins",
    "/audit",
    "/playground/?stream=user_logins",
)
READ = "SELECT ON user_logins, orders, batch, rejection TO reader", "SELECT (token, domain) ON pii_vault TO reader"
ACTIONS = ("send", "pause", "resume", "redrive", "reveal", "forget", "outage", "lock", "start-over", "stop")


@pytest.fixture(scope="module")
def reader(stack: Stack) -> str:
    """Make the login that the documents describe, and return the database's URL for it."""
    with stack.connect() as owner:
        owner.run("CREATE ROLE reader LOGIN PASSWORD 'reads'")
        for right in READ:
            owner.run(f"GRANT {right}")
    postgres = stack.postgres
    return f"postgresql://reader:reads@{postgres.host}:{postgres.port}/{postgres.database}"


@pytest.fixture(params=["with a database", "without a database"])
def looking(request: pytest.FixtureRequest, stack: Stack, reader: str, chromium: Any) -> Iterator[Visitor]:
    """An operator who looks."""
    options = ["--database", reader] if request.param == "with a database" else []
    with browser_tools.operators_console_of(stack, *options) as address:
        context = chromium.new_context()
        yield Visitor(address, context.new_page())
        context.close()


def test_a_stack_of_others_is_shown_and_nothing_of_it_can_be_changed(looking: Visitor, stack: Stack) -> None:
    eventually(lambda: "Queue" in looking.text("#lanes"), True)
    for path in VIEWS:
        looking.go(path)
        assert looking.page.get_by_role("heading", level=1).count() == 1, path
        assert looking.page.locator("form[hx-post^='/do/']").count() == 0, path
    for action in ACTIONS:
        answer = looking.page.evaluate(
            "action => fetch(`/do/${action}`, {method: 'POST', headers: {'X-CSRF-Token':"
            " document.querySelector('[name=csrf-token]')?.content ?? ''}}).then((answer) => answer.status)",
            action,
        )
        assert answer == 403, action


def test_who_may_change_it_sends_pauses_and_resumes(stack: Stack, reader: str, chromium: Any) -> None:
    with browser_tools.operators_console_of(stack, "--database", reader, "--allow-changes") as address:
        visitor = Visitor(address, chromium.new_context().new_page())
        lane = visitor.page.locator("#lane-orders")
        assert visitor.page.get_by_role("button", name="Stop PostgreSQL").count() == 0
        visitor.page.get_by_label("Stream").select_option("orders")
        visitor.page.get_by_label("How many").fill("3")
        visitor.page.get_by_role("button", name="Send", exact=True).click()
        lane.locator("dd.large").nth(2).filter(has_text="3").wait_for(timeout=60_000)
        lane.get_by_role("button", name="Pause").click()
        lane.locator(".state", has_text="paused").wait_for(timeout=60_000)
        lane.get_by_role("button", name="Resume").click()
        lane.locator(".state", has_text="flowing").wait_for(timeout=120_000)
        assert visitor.complaints == []
        visitor.page.context.close()


def test_what_an_operator_looks_at_holds_no_clear_value(looking: Visitor, stack: Stack) -> None:
    message_id = send(stack, LOGIN)
    with stack.connect() as owner:
        eventually(lambda: owner.run("SELECT count(*) FROM user_logins WHERE message_id = :id", id=message_id), [[1]])
    for path in VIEWS:
        looking.go(path)
    assert [value for value in (LOGIN["user_id"], LOGIN["ip"]) if value in looking.traffic()] == []
