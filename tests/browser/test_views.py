"""Every view of the console: readable at any width, in both themes, by keyboard and screen reader; what it shows."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import Visitor
from tools.local.stack import Stack
from tools.testing.browser import console_of

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
FINDINGS = "axe.run().then(({violations}) => violations.map(({id, nodes}) => [id, nodes[0].html]))"
VIEWS = (
    "/",
    "/rows?stream=user_logins",
    "/playground/?stream=orders",
    "/playground/?stream=orders&reason=out_of_range&pointer=/total",
    "/rows?stream=orders&clear=yes&follow=yes",
    "/refusals",
    "/refusals/one?stream=user_logins&reason=not_an_ip_address&pointer=/ip",
    "/dead-letters?stream=user_logins",
    "/charts?stream=user_logins",
    "/streams?stream=orders",
    "/erase",
    "/audit",
    "/runbook?entry=The+server+cannot+be+reached",
    "/tokens?token=nothing",
)


LOGIN: dict[str, Any] = {
    "user_id": "kn4ry-5d1f-user",
    "device_type": "android",
    "ip": "203.0.113.199",
    "device_id": "device",
    "app_version": "2.3.0",
    "locale": None,
}


def send(stack: Stack, record: dict[str, Any]) -> str:
    """Send a login, and return the id of its message, which is that of its row."""
    sent = stack.client("sqs").send_message(QueueUrl=stack.queues["user_logins"].queue, MessageBody=json.dumps(record))
    return str(sent["MessageId"])


@pytest.fixture(scope="module", autouse=True)
def some_records(stack: Stack, address: str, chromium: Any) -> None:
    """Send a mix to both streams, and wait until it is stored."""
    visitor = Visitor(address, chromium.new_context().new_page())
    for stream in ("user_logins", "orders"):
        visitor.page.get_by_label("Stream").select_option(stream)
        visitor.page.get_by_label("Made-up records").select_option("a mix")
        visitor.page.get_by_label("How many").fill("30")
        visitor.page.get_by_role("button", name="Send", exact=True).click()
        visitor.page.locator("#sent", has_text=stream).wait_for()
        figure = visitor.page.locator(f"#lane-{stream} .branches b").first
        figure.filter(has_text="3").wait_for(timeout=60_000)
    visitor.page.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_no_view_has_a_finding_of_axe_and_each_fits(width: int, theme: str, chromium: Any, address: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    visitor = Visitor(address, context.new_page())
    found = {}
    for path in VIEWS:
        visitor.go(path)
        if path.startswith("/charts"):
            visitor.page.locator("#chart-rows canvas").wait_for()
        visitor.page.evaluate(AXE)
        is_wider = visitor.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        found[path] = (visitor.page.evaluate(FINDINGS), is_wider)
    context.close()
    assert (found, visitor.complaints) == (dict.fromkeys(VIEWS, ([], False)), [])


def test_the_token_of_the_start_leaves_the_address(visitor: Visitor, chromium: Any) -> None:
    assert visitor.page.url == visitor.base + "/"
    (cookie,) = visitor.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    stranger = chromium.new_context().new_page()
    assert stranger.goto(visitor.base + "/rows").status == 401
    assert "Open the address that the terminal shows" in stranger.locator("main").inner_text()
    stranger.context.close()


def test_the_first_key_leads_to_the_content(visitor: Visitor) -> None:
    visitor.page.keyboard.press("Tab")
    assert visitor.page.evaluate("document.activeElement.textContent") == "Skip to the content"


def test_the_flow_shows_what_the_ledger_says(visitor: Visitor, stack: Stack) -> None:
    with stack.connect() as owner:
        ((written, rows),) = owner.run(
            "SELECT (SELECT sum(written) FROM batch WHERE stream = 'orders'), (SELECT count(*) FROM orders)"
        )
    lane = visitor.text("#lane-orders")
    assert written == rows
    assert f"rows\n{rows}\n" in lane
    assert "adds up" in lane


def test_what_is_kept_in_the_clear_is_hidden_until_it_is_asked_for(visitor: Visitor, stack: Stack) -> None:
    with stack.connect() as owner:
        ids = {user_id for (user_id,) in owner.run("SELECT user_id FROM user_logins")}
    visitor.go("/rows?stream=user_logins")
    hidden = visitor.text("table.rows")
    visitor.page.get_by_role("link", name="Show them").click()
    shown = visitor.text("table.rows")
    assert not [one for one in ids if len(one) > 8 and one in hidden]
    assert [one for one in ids if one in shown]


def test_new_rows_show_by_themselves_once_they_are_followed(visitor: Visitor, stack: Stack) -> None:
    visitor.go("/rows?stream=user_logins")
    visitor.page.get_by_role("link", name="Follow new rows").click()
    visitor.page.get_by_role("link", name="Stop following").wait_for()
    message_id = send(stack, LOGIN)
    visitor.page.locator("table.rows td", has_text=message_id).wait_for(timeout=30_000)
    assert LOGIN["user_id"] not in visitor.text("table.rows")  # what is hidden stays hidden


def test_a_token_leads_to_all_its_rows_in_all_streams(visitor: Visitor, stack: Stack) -> None:
    with stack.connect() as owner:
        ((token,),) = owner.run("SELECT customer_email FROM orders LIMIT 1")
        ((count,),) = owner.run("SELECT count(*) FROM orders WHERE customer_email = :token", token=token)
    visitor.go(f"/tokens?token={token}")
    assert visitor.page.locator("tbody tr").count() == count
    facts = visitor.text("dl.facts")
    assert "email" in facts
    assert "yes: its value is sealed" in facts


def test_a_refusal_leads_to_its_shape_its_rule_and_the_runbook(visitor: Visitor) -> None:
    visitor.go("/refusals?stream=user_logins")
    visitor.page.locator("tbody a").first.click()
    headings = visitor.page.get_by_role("heading", level=2).all_inner_texts()
    assert headings == ["The rule that was broken", "What came", "Messages", "What to do"]
    assert "redrive" in visitor.text(".prose")


def test_the_charts_draw_the_ledger(visitor: Visitor) -> None:
    visitor.go("/charts?stream=user_logins&window=15m")
    visitor.page.locator("#chart-reasons canvas").wait_for()
    assert "at most" in visitor.text("#chart-rows-told")
    answer = visitor.page.request.get(visitor.base + "/charts/data?stream=user_logins&window=15m").json()
    assert sum(answer["rows"]) > 0
    assert sum(map(sum, answer["reasons"].values())) == 3


def test_the_declaration_is_a_map_with_examples_and_schema(visitor: Visitor) -> None:
    visitor.go("/streams?stream=user_logins")
    assert (
        "/ip IpAddress Pseudonym(recoverable=true) masked_ip ip".split()
        == visitor.text("table.map tbody tr:nth-child(3)").split()
    )
    visitor.page.get_by_text("JSON Schema of the records").click()
    schema = json.loads(visitor.page.locator("details[open] pre").inner_text())
    assert schema["title"] == "user_logins"


def test_the_consoles_login_can_read_and_nothing_else(visitor: Visitor, stack: Stack) -> None:
    rights = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
    with stack.connect() as owner:
        found = owner.run(
            "SELECT relname, privilege FROM pg_class, unnest(CAST(:rights AS text[])) AS privilege"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND has_table_privilege('sluice_console', pg_class.oid, privilege) ORDER BY relname",
            rights=list(rights),
        )
        ((may_open,),) = owner.run("SELECT has_column_privilege('sluice_console', 'pii_vault', 'sealed', 'SELECT')")
    tables = ["batch", "declaration", "orders", "rejection", "user_logins"]
    assert (found, may_open) == ([[name, "SELECT"] for name in tables], False)


def test_an_open_page_says_when_the_console_has_ended_and_when_it_was_started_anew(chromium: Any, stack: Stack) -> None:
    with console_of(stack) as address:
        visitor = Visitor(address, chromium.new_context().new_page())
        visitor.page.locator("#lane-orders").wait_for()
    visitor.page.locator("#notices", has_text="The console does not answer").wait_for()
    with console_of(stack, "--port", str(urlsplit(address).port)):
        visitor.page.locator("#notices", has_text="The console was started anew").wait_for(timeout=60_000)
    visitor.page.context.close()


def test_a_file_without_a_record_is_told(visitor: Visitor) -> None:
    visitor.page.get_by_text("Your own records instead").click()
    empty = {"name": "empty.jsonl", "mimeType": "application/jsonl", "buffer": b"\n"}
    visitor.page.get_by_label("A file: JSON lines").set_input_files(empty)
    visitor.page.locator("#notices", has_text="The file holds no record.").wait_for()


def test_a_text_field_that_was_drawn_larger_gives_its_size_to_no_other(visitor: Visitor) -> None:
    visitor.go("/playground/?stream=orders")
    visitor.page.locator("#play-typed").evaluate("field => { field.style.height = '500px'; }")
    visitor.page.get_by_label("Stream").select_option("user_logins")
    visitor.page.locator("[name^='field:user_logins']").first.wait_for(state="attached")
