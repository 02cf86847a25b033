"""Whatever can stop a stream has a sentence in `sluice status` and an entry in the runbook."""

import ast
import re
from collections.abc import Iterator

import pytest

from sluice.failures import SOURCES
from sluice.postgres import sqlstate
from sluice.postgres.database import AT_BEGIN, AT_CONNECT, UNANSWERED
from sluice.postgres.sqlstate import TABLE
from tests.unit.fakes import ROOT
from tools.sluice_cli.operators import causes
from tools.sluice_cli.operators.breaker import UNREADABLE
from tools.sluice_cli.operators.causes import CAUSES, OTHER
from tools.sluice_cli.sqlstates import named

RUNBOOK = (ROOT / causes.RUNBOOK).read_text()
PRODUCT = [*ROOT.glob("layers/common/sluice/**/*.py"), *ROOT.glob("functions/*/app.py")]
OF_THE_SERVER = ("53000", "53100", "53200", "53300", "57P01", "57P02", "57P03", "08P01", "42501", "42P01", "42703")


def beginnings() -> Iterator[str]:
    """Yield how the text of each outage begins that the product's code makes, as far as the code says it."""
    for path in PRODUCT:
        for call in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Name)
                and call.func.id == "Outage"
                and call.args
            ):
                text = call.args[0]
                first = text.values[0] if isinstance(text, ast.JoinedStr) else text
                if isinstance(first, ast.Constant):
                    yield str(first.value)


def texts() -> Iterator[str]:
    """Yield a text for each outage that there can be: those of the code, and those of PostgreSQL by their codes."""
    yield from beginnings()
    codes = (*OF_THE_SERVER, *AT_CONNECT, *(start for start, _ in TABLE), sqlstate.INSUFFICIENT_PRIVILEGE)
    yield from (f"database: SQLSTATE {code}" for code in codes)
    yield from (f"database: SQLSTATE {code}, {hint}" for code, hint in (AT_CONNECT | AT_BEGIN).items())
    yield from (UNANSWERED, UNREADABLE)


def section(entry: str) -> str:
    """Return the text below a heading of the runbook."""
    found = re.search(rf"^##+ {re.escape(entry)}\n(.*?)(?=^##+ |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@pytest.mark.parametrize("text", sorted(set(texts())))
def test_every_outage_has_a_cause_of_its_own(text: str) -> None:
    cause = causes.of_outage(text)
    assert cause and cause.entry != OTHER


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_of_outages_has_a_cause(source: str) -> None:
    assert any(start.partition(":")[0] == source for start in CAUSES)


@pytest.mark.parametrize("start", CAUSES)
def test_the_runbook_tells_of_every_cause(start: str) -> None:
    assert f"`{named(start)}`" in section(CAUSES[start].entry)
    assert causes.of_outage(start) is CAUSES[start]  # none before it takes its place


def test_a_code_that_nobody_foresaw_is_told_with_where_to_look() -> None:
    cause = causes.of_outage("database: SQLSTATE XX001")
    assert cause and cause.entry == OTHER


@pytest.mark.parametrize(
    ("is_paused", "why", "is_off", "failure", "entry"),
    [
        (True, "kms: x", True, "gone", causes.PAUSED),
        (False, "kms: x", True, "gone", causes.AWS),
        (False, "", True, "gone", causes.OFF),
        (False, "", False, "gone", causes.FUNCTION),
    ],
)
def test_what_is_no_outage_has_an_entry_too(is_paused: bool, why: str, is_off: bool, failure: str, entry: str) -> None:
    cause = causes.of_stop("orders", is_paused, why, is_off, failure)
    assert cause and cause.entry == entry and section(entry)


def test_a_stream_that_is_read_has_none() -> None:
    assert causes.of_stop("orders", False, "", False, "") is None


def test_a_text_of_another_release_has_none() -> None:
    assert causes.of_outage("the moon") is None
