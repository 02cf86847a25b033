"""A PostgreSQL server for the tests that need one: started with the first of them, stopped after the last."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tools.local.postgres import Postgres

# Before sluice is imported: Powertools reads them when logger and metrics are made.
os.environ |= {"POWERTOOLS_SERVICE_NAME": "ingest", "POWERTOOLS_METRICS_NAMESPACE": "Sluice"}

# The URL of somebody else's server, on which those tests run that it allows: `make test-server`.
FOREIGN = os.environ.get("SLUICE_TEST_DATABASE_URL")

# The same examples in each run, so that a failure tells of the change that is tested; `make explore` looks for others.
settings.register_profile("explore", deadline=None, database=None)  # a slow machine is no failure
settings.register_profile("reproducible", settings.get_profile("explore"), derandomize=True)
settings.load_profile("reproducible")


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A server of this test process alone, without durability: nothing here outlives it. Or the one that is given."""
    if FOREIGN:
        from tests.foreign import foreign_server

        with foreign_server(FOREIGN) as foreign:
            yield foreign
        return
    folder = Path(tempfile.mkdtemp(prefix="sluice-"))  # not pytest's own, where the server's user has no access
    server = Postgres(folder)
    try:
        server.start()
        with server.connect("postgres") as owner:
            for setting, value in {"fsync": "off", "full_page_writes": "off", "deadlock_timeout": "200ms"}.items():
                owner.run(f"ALTER SYSTEM SET {setting} = '{value}'")
            owner.run("SELECT pg_reload_conf()")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _directly(request: pytest.FixtureRequest) -> None:
    """Skip what a pooler tells otherwise than the server."""
    marker = request.node.get_closest_marker("directly")
    if FOREIGN and marker and request.getfixturevalue("server").is_pooled:
        pytest.skip(marker.args[0])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, on somebody else's server, what has to do with no server. What needs one of its own is skipped."""
    if FOREIGN:
        others = [item for item in items if "server" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]
        for item in items:
            if marker := item.get_closest_marker("own_server"):
                item.add_marker(pytest.mark.skip(reason=marker.args[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much of it somebody else's server allowed."""
    if FOREIGN:
        skipped = terminalreporter.stats.get("skipped", [])
        ran = sum(len(terminalreporter.stats.get(outcome, [])) for outcome in ("passed", "failed"))
        terminalreporter.section("on this server")
        terminalreporter.line(f"{ran} tests ran, {len(skipped)} were skipped:")
        reasons = Counter(report.longrepr[2].removeprefix("Skipped: ").partition(":")[0] for report in skipped)
        for reason, number in reasons.most_common():
            terminalreporter.line(f"{number:5}  {reason}")
