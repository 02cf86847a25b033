"""The console of a stack of its own, in Chromium: `make test-browser` runs these tests."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from tools.local.stack import Stack, running_stack

browser_tools = pytest.importorskip("tools.testing.browser", reason="make test-browser has Playwright")
if not browser_tools.CHROMIUM:
    pytest.skip("there is no Chromium: `make chromium` installs it", allow_module_level=True)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with running_stack() as stack:
        yield stack


@pytest.fixture(scope="session")
def address(stack: Stack) -> Iterator[str]:
    """The address that the terminal shows, with its token."""
    with browser_tools.console_of(stack) as address:
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    with browser_tools.chromium() as chromium:
        yield chromium


@dataclass
class Visitor:
    """Somebody who has opened the console, and all that came to the browser and was complained of in it."""

    address: str
    page: Any
    complaints: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)  # that were asked for

    def __post_init__(self) -> None:
        self.page.set_default_timeout(15_000)  # milliseconds
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.addresses.append(request.url))
        self.page.goto(self.address)

    @property
    def base(self) -> str:
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    def go(self, path: str) -> None:
        self.page.goto(self.base + path)

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).first.inner_text())

    def traffic(self) -> str:
        """Return all addresses that were asked for, and what each of them answers but for the stream of events."""
        pages = [one for one in dict.fromkeys(self.addresses) if one.startswith(self.base) and "/do/" not in one]
        answers = [self.page.request.get(one).text() for one in pages if not urlsplit(one).path.endswith("/live")]
        return "\n".join([*pages, *answers])


@pytest.fixture
def visitor(chromium: Any, address: str) -> Iterator[Visitor]:
    """Who opens the console at 1,280 pixels; the browser must have nothing to complain of."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    visitor = Visitor(address, context.new_page())
    yield visitor
    context.close()
    assert visitor.complaints == []
