"""A link of the documentation leads to a file that is there, and to a headline in it. A long page lists its own."""

import re
from pathlib import Path

import pytest

from tests.documentation import ROOT, prose

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LONG_PAGES = [page for page in PAGES if page.read_text().count("\n") > 500]


def headlines(page: Path, levels: str = "+") -> list[tuple[str, str]]:
    """Return a page's headlines of the levels, each with its anchor, as GitHub makes it."""
    found = re.findall(rf"^#{levels} (.+)$", prose(page), re.MULTILINE)
    return [(headline, re.sub(r"[^\w\- ]", "", headline.lower()).replace(" ", "-")) for headline in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in dict(headlines(target)).values(), link


@pytest.mark.parametrize("page", LONG_PAGES, ids=lambda page: page.name)
def test_a_long_page_begins_with_its_contents(page: Path) -> None:
    contents = prose(page).partition("\n## ")[0].partition("\n- ")[2]
    assert re.findall(r"\[(.+?)\]\(#(.+?)\)", contents) == headlines(page, "{2,3}")


def test_every_page_is_once_in_the_menu_of_the_site() -> None:
    menu = re.findall(r"^ *- (?:[\w ]+: )?(\S+\.md)$", (ROOT / "site" / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = [page.name.replace("README", "index") for page in ROOT.glob("*.md")]
    pages += [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(menu) == sorted(pages)
