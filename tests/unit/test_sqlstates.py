"""Who reads an SQLSTATE reads PostgreSQL's own name of it beside it."""

import re
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

from sluice.operators.audit.audit_log import DAILY_LIMIT
from sluice.postgres import sqlstate
from tests.documentation import ROOT
from tests.unit.test_causes import OF_THE_SERVER, RUNBOOK
from tools.sluice_cli import sqlstates
from tools.sluice_cli.operators.causes import CAUSES

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
OF_A_MODULE = [value for value in vars(sqlstate).values() if isinstance(value, str)]
OF_THE_PRODUCT = {
    *OF_THE_SERVER,
    *(code for code in (*OF_A_MODULE, *(start for start, _ in sqlstate.TABLE)) if re.fullmatch("[0-9A-Z]{5}", code)),
    *(code for start in CAUSES for code in sqlstates.CODE.findall(start)),
}


@pytest.fixture
def unread() -> Iterator[None]:
    """Have the list read anew, and once more after the test."""
    sqlstates.names.cache_clear()
    yield
    sqlstates.names.cache_clear()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sqlstate_23514", "sqlstate_23514 (check_violation)"),
        ("database: SQLSTATE 57P03", "database: SQLSTATE 57P03 (cannot_connect_now)"),
        (
            "database: SQLSTATE 23502, table rejection, column at",
            "database: SQLSTATE 23502 (not_null_violation), table rejection, column at",
        ),
        (
            "sqlstate_54000: 2, sqlstate_P0001",
            "sqlstate_54000 (program_limit_exceeded): 2, sqlstate_P0001 (raise_exception)",
        ),
    ],
)
def test_the_name_stands_beside_the_code(text: str, shown: str) -> None:
    assert sqlstates.named(text) == shown


@pytest.mark.parametrize("text", [f"SQLSTATE {DAILY_LIMIT}", "SQLSTATE ", "SQLSTATE 28", "out_of_range", "23514", ""])
def test_what_has_no_name_is_alone(text: str) -> None:
    assert sqlstates.named(text) == text


def test_every_code_that_the_product_knows_has_a_name() -> None:
    assert {"23505", "28P01", "57P03", "3D000", "XX000"} <= OF_THE_PRODUCT
    assert OF_THE_PRODUCT - sqlstates.names().keys() == set()


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize(("constant", "elsewhere"), [("SERVER", "no-such-package"), ("LIST", "no/such/file")])
def test_without_the_list_a_code_is_told_all_the_same(
    constant: str, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlstates, constant, elsewhere)
    assert sqlstates.named("sqlstate_23514") == "sqlstate_23514"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_each_code_as_the_commands_do(page: Path) -> None:
    text = page.read_text()
    bare = re.sub(rf"({sqlstates.CODE.pattern}) \(\w+\)", r"\1", text)
    assert sqlstates.named(bare) == text


def test_the_runbook_names_each_class_as_postgresql_does() -> None:
    listed = Path(str(distribution(sqlstates.SERVER).locate_file(sqlstates.LIST))).read_text()
    classes = dict(re.findall(r"^section: class (..) - (.+)$", listed.lower(), re.MULTILINE))
    told = re.findall(r"`database: sqlstate (..)p?`(?: \(([^)]*)\))?", RUNBOOK.lower())
    assert len(told) == 14
    assert [(code, name) for code, name in told if classes[code] != name] == []
