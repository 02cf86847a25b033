"""The pictures in docs/console/, taken of the console of a stack of its own. Look at them, then keep them.

One is of an outage, so it takes two minutes.
"""

import re
from typing import Any

from tools.local.demo import step
from tools.local.stack import running_stack
from tools.project import PROJECT
from tools.testing.browser import chromium, console_of

PICTURES = PROJECT / "docs" / "console"
SIZE = {"width": 1280, "height": 1000}
WAITING_MILLISECONDS = 120_000
VIEWS = {
    "rows": "/rows?stream=user_logins",
    "charts": "/charts?stream=user_logins",
    "declaration": "/streams?stream=orders",
}


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with running_stack(step=step) as stack, console_of(stack) as address, chromium() as browser:
        page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()
        page.set_default_timeout(WAITING_MILLISECONDS)
        page.goto(address)
        base = address.partition("/?")[0]
        for stream in ("orders", "user_logins"):
            _send(page, stream, "a mix", 60)
            page.locator(f"#lane-{stream} .branches b").first.filter(has_text=re.compile("^6$")).wait_for()
        page.goto(base)
        for theme, name in (("dark", "flow-dark"), ("light", "flow")):
            page.emulate_media(color_scheme=theme)
            page.locator("#lane-orders").wait_for()
            _take(page, name)
        page.get_by_role("button", name="Stop PostgreSQL for 30 s").click()
        _send(page, "user_logins", "good", 10)
        page.locator("#lane-user_logins .state", has_text="open").wait_for()
        _take(page, "outage")
        page.locator("#lane-user_logins .state", has_text="half-open").wait_for()
        page.locator("#lane-user_logins").get_by_text("64 written").wait_for()
        for name, path in VIEWS.items():
            page.goto(base + path)
            if name == "charts":
                page.locator("#chart-reasons canvas").wait_for()
            _take(page, name)


def _send(page: Any, stream: str, kind: str, count: int) -> None:
    page.get_by_label("Stream").select_option(stream)
    page.get_by_label("Made-up records").select_option(kind)
    page.get_by_label("How many").fill(str(count))
    page.get_by_role("button", name="Send", exact=True).click()
    page.locator("#sent", has_text=f"to {stream}").wait_for()


def _take(page: Any, name: str) -> None:
    page.evaluate("document.activeElement.blur()")
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


if __name__ == "__main__":
    main()
