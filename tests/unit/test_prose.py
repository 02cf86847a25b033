"""The pages are plain English, as far as a pattern can tell: what codespell and proselint do not know of ours."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documentation import README, ROOT, prose

PAGES = [page for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if page.name != "CODE_OF_CONDUCT.md"]
MOST_WORDS = 45  # of a sentence

# What reads as a riddle, and what to write instead.
RIDDLES = {
    r"\b(?i:whoever)\b": "say who: a caller, an operator, anybody who …",
    r"(?:^|[.:] )Of (?:a|an|the|what|those|its|two|several|each)\b": "put the subject first",
    r"\bbut for (?:a|an|the|its|what|some)\b": "except",
    r"\b(?:lest|whilst|wherein|thereof|hereby)\b": "use a word of today",
}


def sentences(page: Path) -> Iterator[str]:
    """Yield the sentences of a page, without its blocks, tables and headlines; code is one word, a link its text."""
    text = re.sub(r"^ *[|#].*$", "", prose(page), flags=re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", "code", text))
    for paragraph in re.split(r"\n\s*\n|\n *(?=[-*] |\d+\. )", text):
        yield from re.split(r"(?<=[.!?;:])\s+", " ".join(paragraph.split()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_sentence_has_one_idea(page: Path) -> None:
    assert [one for one in sentences(page) if len(re.findall(r"[\w'-]+", one)) > MOST_WORDS] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_no_riddle(page: Path) -> None:
    found = [(riddle[0], advice) for pattern, advice in RIDDLES.items() for riddle in re.finditer(pattern, prose(page))]
    assert found == []


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.read_text().split()) <= 1500


@pytest.mark.parametrize(
    "text",
    [
        "Whoever is given the policy may.",
        "It is so. Of a key that comes twice the last counts.",
        "All goes, but for the last.",
        "Take care, lest it breaks.",
    ],
)
def test_each_riddle_is_found(text: str) -> None:
    assert any(re.search(pattern, text) for pattern in RIDDLES)
