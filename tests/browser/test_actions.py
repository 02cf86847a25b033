"""Everything that one can do in the console, through to the row; and that no clear value comes to the browser by it."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Visitor
from tests.e2e.conftest import eventually
from tools.local.stack import Stack

CANARY = "kn4ry-5d1f"
CANARY_IP = "203.0.113.199"
VIEWS = (
    "/",
    "/rows?stream=user_logins",
    "/refusals",
    "/dead-letters?stream=user_logins",
    "/charts",
    "/erase",
    "/audit",
)


def login(**changes: Any) -> dict[str, Any]:
    """Return a login whose every value is a canary."""
    return {
        "user_id": f"{CANARY}-user",
        "device_type": f"{CANARY}-type",
        "ip": CANARY_IP,
        "device_id": f"{CANARY}-device",
        "app_version": "2.3.0",
        "locale": None,
    } | changes


def rows(stack: Stack, condition: str = "true") -> int:
    with stack.connect() as owner:
        ((count,),) = owner.run(f"SELECT count(*) FROM user_logins WHERE {condition}")
    return int(count)


def send(visitor: Visitor, kind: str, count: int, rate: str = "") -> None:
    visitor.page.get_by_label("Stream").select_option("user_logins")
    visitor.page.get_by_label("Made-up records").select_option(kind)
    visitor.page.get_by_label("How many").fill(str(count))
    visitor.page.get_by_label("Messages a second, at most").fill(rate)
    visitor.page.get_by_role("button", name="Send", exact=True).click()
    visitor.page.locator("#sent .note").wait_for()


def why(visitor: Visitor, within: str, ticket: str = "OPS-1") -> Any:
    form = visitor.page.locator(within)
    form.get_by_label("Ticket").fill(ticket)
    return form


@pytest.fixture(autouse=True)
def emptied(visitor: Visitor, stack: Stack) -> None:
    """Start over, as the page lets one."""
    visitor.page.get_by_label("All messages and rows may go").check()
    visitor.page.get_by_role("button", name="Empty queues and tables").click()
    visitor.page.locator("#over", has_text="are empty").wait_for(timeout=60_000)
    assert rows(stack) == 0


def test_good_messages_become_rows_and_the_page_shows_them(visitor: Visitor, stack: Stack) -> None:
    send(visitor, "good", 12)
    visitor.page.locator("#sent", has_text="Send to user_logins: 12 of 12 sent.").wait_for()
    eventually(lambda: rows(stack), 12)
    visitor.page.locator("#lane-user_logins dd.large", has_text=re.compile("^12$")).last.wait_for()
    visitor.go("/rows?stream=user_logins")
    assert visitor.page.locator("table.rows tbody tr").count() == 12


def test_what_is_sent_twice_is_one_row_and_a_duplicate(visitor: Visitor, stack: Stack) -> None:
    send(visitor, "duplicates", 5)
    lane = visitor.page.locator("#lane-user_logins")
    lane.get_by_text("5 written + 5 duplicates").wait_for()
    assert rows(stack) == 5


def test_a_file_is_shown_before_it_is_sent(visitor: Visitor, stack: Stack) -> None:
    visitor.page.get_by_text("Your own records instead").click()
    lines = "".join(json.dumps(login(user_id=f"of a file {number}")) + "\n" for number in range(3))
    visitor.page.get_by_label("A file: JSON lines").set_input_files(
        {"name": "some.jsonl", "mimeType": "application/jsonl", "buffer": lines.encode()}
    )
    eventually(lambda: visitor.page.get_by_label("or paste them").input_value(), lines)
    visitor.page.get_by_role("button", name="Send", exact=True).click()
    eventually(lambda: rows(stack, "user_id LIKE 'of a file%'"), 3)


def test_a_bad_message_is_found_mended_and_redriven(visitor: Visitor, stack: Stack) -> None:
    send(visitor, "bad", 3)
    visitor.page.locator("#lane-user_logins .branches b", has_text=re.compile("^3$")).nth(1).wait_for(timeout=60_000)
    visitor.go("/dead-letters?stream=user_logins")
    assert visitor.page.locator("tbody tr").count() == 3
    why(visitor, "form[hx-post='/do/redrive']").get_by_role("button", name="Dry run").click()
    visitor.page.locator("#redriven", has_text="would still be rejected as").wait_for()
    # One that an outage has made a dead letter: nothing is wrong with it.
    stack.client("sqs").send_message(QueueUrl=stack.queues["user_logins"].dead_letters, MessageBody=json.dumps(login()))
    why(visitor, "form[hx-post='/do/redrive']").get_by_role("button", name="Redrive", exact=True).click()
    visitor.page.locator("#redriven", has_text="sent to the queue").wait_for()
    eventually(lambda: rows(stack), 1)


def test_a_refusal_leads_to_a_record_with_its_fault_and_that_can_be_mended(visitor: Visitor, stack: Stack) -> None:
    sent_canary(stack, ip=f"{CANARY}-no-address")
    visitor.page.locator("#lane-user_logins .branches b", has_text=re.compile("^1$")).first.wait_for()
    visitor.go("/refusals")
    visitor.page.get_by_role("link", name="not_an_ip_address").click()
    visitor.page.get_by_role("link", name="Mend such a record in the playground").click()
    visitor.page.locator("#play-answer", has_text="not_an_ip_address").wait_for()
    typed = visitor.page.get_by_role("textbox", name="Message")
    record = json.loads(typed.input_value())
    assert CANARY not in visitor.page.content()
    typed.fill(json.dumps(record | {"ip": CANARY_IP}))
    visitor.page.locator("#play-verdict", has_text="Rows: 1. Rejected: 0.").wait_for()


def test_a_paused_stream_waits_until_it_is_resumed(visitor: Visitor, stack: Stack) -> None:
    visitor.page.get_by_role("button", name="Pause user_logins").click()
    visitor.page.locator("#lane-user_logins .state", has_text="paused").wait_for()
    send(visitor, "good", 4)
    visitor.page.locator("#lane-user_logins dd.large", has_text=re.compile("^4$")).first.wait_for()
    assert rows(stack) == 0
    visitor.page.get_by_role("button", name="Resume user_logins").click()
    eventually(lambda: rows(stack), 4)
    eventually(lambda: visitor.page.locator("#notices .note").count(), 0)  # good news goes by itself


def test_a_load_goes_on_until_it_is_stopped(visitor: Visitor, stack: Stack) -> None:
    send(visitor, "good", 10_000, rate="20")
    eventually(lambda: rows(stack) > 20, True)
    visitor.page.locator(".job", has_text="Send to user_logins").get_by_role("button", name="Stop").first.click()
    eventually(lambda: visitor.page.locator(".job button").count(), 0)
    visitor.page.locator("#sent", has_text=re.compile(r"of 10\s000 sent, then stopped\.")).wait_for()
    assert rows(stack) < 5_000


def sent_canary(stack: Stack, **changes: Any) -> None:
    """Send what no view may show, past the page."""
    stack.client("sqs").send_message(QueueUrl=stack.queue_url, MessageBody=json.dumps(login(**changes)))


def test_no_clear_value_comes_to_the_browser_before_it_is_asked_for(visitor: Visitor, stack: Stack) -> None:
    sent_canary(stack)
    sent_canary(stack, ip=f"{CANARY}-no-address")
    eventually(lambda: rows(stack), 1)
    visitor.page.locator("#lane-user_logins .branches b", has_text=re.compile("^1$")).first.wait_for()
    shown = [visitor.page.content()]
    for path in VIEWS:
        visitor.go(path)
        visitor.page.wait_for_load_state("networkidle") if path != "/" else visitor.page.locator(
            "#lane-orders"
        ).wait_for()
        shown.append(visitor.page.content())
    visitor.go("/refusals/one?stream=user_logins&reason=not_an_ip_address&pointer=/ip")
    shown.append(visitor.page.content())
    with stack.connect() as owner:
        ((token,),) = owner.run("SELECT masked_ip FROM user_logins")
    visitor.go(f"/tokens?token={token}")
    shown.append(visitor.page.content())
    everything = "\n".join([*shown, visitor.traffic()])
    assert (CANARY in everything, CANARY_IP in everything) == (False, False)
    assert token in everything

    visitor.page.get_by_text("Reveal the value").click()
    why(visitor, "form[hx-post='/do/reveal']").get_by_role("button", name="Reveal").click()
    visitor.page.locator(".revealed", has_text=CANARY_IP).wait_for()
    visitor.go("/audit")
    assert "reveal" in visitor.text("tbody tr")
    assert "The chain is whole" in visitor.text(".note")
    assert CANARY_IP not in visitor.page.content()


def test_a_person_is_erased_after_it_was_confirmed(visitor: Visitor, stack: Stack) -> None:
    sent_canary(stack)
    eventually(lambda: rows(stack), 1)
    visitor.go("/erase")
    visitor.page.get_by_label("Who, as records name them").fill(f"{CANARY}-user")
    form = why(visitor, "form[hx-post='/do/forget']", "PRIV-1")
    form.get_by_role("button", name="See what would go").click()
    visitor.page.locator("#forgotten", has_text="rows of user_logins").wait_for()
    form.get_by_role("button", name="Erase", exact=True).click()
    visitor.page.locator("#forgotten", has_text="confirm first").wait_for()
    assert rows(stack) == 1
    form.get_by_label("I want to erase them for good").check()
    form.get_by_role("button", name="Erase", exact=True).click()
    visitor.page.locator("#forgotten", has_text="This is gone").wait_for()
    assert not form.get_by_label("I want to erase them for good").is_checked()
    assert rows(stack) == 0
    visitor.page.locator("main").get_by_role("link", name="audit log").click()
    assert "forget" in visitor.text("tbody tr")
    visitor.go("/")
    visitor.page.locator("#lane-user_logins .branches li", has_text="erased 1").wait_for()


@pytest.mark.long
@pytest.mark.parametrize(
    ("button", "fails_within"),
    [("Stop PostgreSQL for 30 s", 30), ("Lock for 90 s", 90)],
)
def test_an_outage_trips_the_breaker_and_heals(button: str, fails_within: int, visitor: Visitor, stack: Stack) -> None:
    lane, eventually_ms = visitor.page.locator("#lane-user_logins"), (fails_within + 200) * 1000
    visitor.page.get_by_role("button", name=button).click()
    visitor.page.locator("#broken .note").wait_for()
    send(visitor, "good", 6)
    lane.locator(".state", has_text="breaker open").wait_for(timeout=fails_within * 1000)
    assert "nothing is lost" in lane.inner_text()
    lane.get_by_role("link", name="Runbook").wait_for()
    lane.locator(".state", has_text="breaker half-open").wait_for(timeout=eventually_ms)
    stored: Callable[[], int] = lambda: rows(stack)  # noqa: E731
    eventually(stored, 6, 120)
    lane.get_by_text("6 written").wait_for()
    visitor.go("/charts?stream=user_logins")
    assert "breaker opened" in visitor.text("#trips")
