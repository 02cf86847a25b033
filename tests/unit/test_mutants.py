"""`make mutants`: what it changes and runs is there, and its page says what was not caught."""

import json

import pytest

from tools.project import PROJECT
from tools.testing.mutants import GROUPS, PAGE, PRODUCT, RESULTS, Mutant, difference, page, result

SHOWN = """\
# sluice.postgres.cells.x_cell_of__mutmut_1: survived
--- layers/common/sluice/postgres/cells.py
+++ layers/common/sluice/postgres/cells.py
@@ -1,3 +1,3 @@
 def cell_of(value):
-    return value
+    return None
"""


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_names_modules_and_tests_that_are_there(group: str) -> None:
    modules, tests = GROUPS[group]
    files = [*(PROJECT / PRODUCT / module for module in modules), *(PROJECT / f"tests/{it}.py" for it in tests.split())]
    assert [file for file in files if not file.exists()] == []


def test_a_change_is_the_lines_before_and_after() -> None:
    assert difference(SHOWN) == "- return value\n+ return None"


def test_what_was_not_caught_is_kept_by_function() -> None:
    found = [
        Mutant("cells.py", "cell_of", "survived", "- a\n+ b"),
        Mutant("cells.py", "cell_of", "killed"),
        Mutant("cells.py", "cell_of", "timeout"),
        Mutant("copy.py", "copy_in", "no tests", "- c\n+ d"),
    ]
    kept = result(found)
    assert kept == {
        "cells.py": {"mutants": 3, "caught": 2, "left": {"cell_of: survived": ["- a\n+ b"]}},
        "copy.py": {"mutants": 1, "caught": 0, "left": {"copy_in: no tests": ["- c\n+ d"]}},
    }
    text = page(kept)
    assert f"4 mutants, 2 caught (50%). Groups that were not run yet: {', '.join(GROUPS)}.\n" in text
    assert "| `cells.py` | 3 | 2 | 1 |\n| `copy.py` | 1 | 0 | 1 |" in text
    assert "| `cells.py` | `cell_of` | survived | 1 |\n| `copy.py` | `copy_in` | no tests | 1 |" in text


def test_the_page_is_that_of_the_results() -> None:
    assert PAGE.read_text() == page(json.loads(RESULTS.read_text()))
