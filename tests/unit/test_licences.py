"""docs/licences.md has what the functions run with, under licences that let everybody deploy it."""

import re

from tests.documentation import ROOT

ROW = re.compile(r"^\| (\S+) +\| (\S+) +\| (.+?) +\| https", re.MULTILINE)
PERMISSIVE = re.compile(r"(MIT|MIT-0|MIT No Attribution|BSD|BSD-3-Clause|Apache|Apache-2\.0|PSF-2\.0)\b")


def test_the_page_lists_what_is_locked() -> None:
    lock = (ROOT / "layers" / "common" / "requirements.txt").read_text()
    listed = ROW.findall((ROOT / "docs" / "licences.md").read_text())
    assert [(name.replace("_", "-"), version) for name, version, _ in listed] == re.findall(
        r"^([\w-]+)==([^ ;\\]+)", lock, re.MULTILINE
    )


def test_no_licence_asks_for_more_than_a_notice() -> None:
    licences = [licence for _, _, licence in ROW.findall((ROOT / "docs" / "licences.md").read_text())]
    parts = [part for licence in licences for part in re.split(r"; | OR | AND ", licence)]
    assert (len(parts) > 0, [part for part in parts if not PERMISSIVE.match(part)]) == (True, [])
