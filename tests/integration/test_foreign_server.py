"""`make test-server`: the tests on somebody else's server, by a login that is no superuser, and nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

import pytest
from pg8000.exceptions import InterfaceError

from sluice.postgres.credentials import Credentials
from tests import foreign
from tests.foreign import ForeignServer, Refused
from tests.integration.databases import until
from tools.local.postgres import Postgres
from tools.project import PROJECT
from tools.testing import pgbouncer
from tools.testing.pgbouncer import PgBouncer

pytestmark = pytest.mark.long

MASTER = Credentials("master", "m@ster")  # as of RDS: it makes databases and roles, and is no superuser
FILES = ("integration/test_ingest.py", "integration/test_privileges.py", "integration/test_migrations.py")
LEFT = "SELECT rolname::text FROM pg_roles UNION ALL SELECT datname::text FROM pg_database ORDER BY 1"


@pytest.fixture(scope="module")
def theirs() -> Iterator[Postgres]:
    """A server that is not that of the tests, which nobody but its superuser and MASTER can log in to."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-"))
    folder.chmod(0o711)
    theirs = Postgres(folder / "postgres")
    try:
        theirs.start()
        sql(theirs, f"CREATE ROLE {MASTER.username} LOGIN CREATEDB CREATEROLE PASSWORD '{MASTER.password}'")
        yield theirs
    finally:
        theirs.stop()
        rmtree(folder)


@pytest.fixture
def nothing_is_left(theirs: Postgres) -> Iterator[None]:
    before = sql(theirs, LEFT)
    yield
    assert sql(theirs, LEFT) == before


@pytest.fixture
def pooler(theirs: Postgres) -> Iterator[Callable[[str], PgBouncer]]:
    """Start a pooler that looks up logins as somebody, or knows those alone that it was told of."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-"))
    started: list[PgBouncer] = []

    def start(looks_up_as: str) -> PgBouncer:
        known = (MASTER, Credentials(theirs.user, theirs.password))
        started.append(PgBouncer(theirs, folder, known, looks_up_as))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()
    rmtree(folder)


def sql(server: Postgres, statement: str) -> list[list[object]]:
    with server.connect() as owner:
        return owner.run(statement) or []


def url(server: Postgres | PgBouncer, login: Credentials = MASTER) -> str:
    return f"postgresql://{login.username}:{login.password.replace('@', '%40')}@127.0.0.1:{server.port}/postgres"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, *(f"tests/{file}" for file in FILES)]


def run(url: str, *arguments: str) -> tuple[int, str]:
    """Run tests on the server, and return the exit code and what was printed."""
    ran = subprocess.run(
        command(*arguments),
        check=False,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env=os.environ | {"SLUICE_TEST_DATABASE_URL": url},
    )
    return ran.returncode, ran.stdout + ran.stderr


def told(output: str) -> tuple[int, int]:
    """Return how many tests ran, and how many were skipped."""
    found = re.search(r"^(\d+) tests ran, (\d+) were skipped:$", output, re.MULTILINE)
    assert found, output
    return int(found[1]), int(found[2])


@pytest.mark.usefixtures("nothing_is_left")
def test_a_login_that_is_no_superuser_runs_them(theirs: Postgres) -> None:
    code, output = run(url(theirs))
    ran, skipped = told(output)
    assert (code, ran > 9 * skipped) == (0, True), output


@pytest.mark.skipif(not pgbouncer.is_installed(), reason="there is no PgBouncer: make pgbouncer")
@pytest.mark.usefixtures("nothing_is_left")
def test_they_run_behind_a_pooler_that_looks_up_its_logins(
    theirs: Postgres, pooler: Callable[[str], PgBouncer]
) -> None:
    code, output = run(url(pooler(theirs.user)))
    ran, skipped = told(output)
    assert (code, ran > 9 * skipped) == (0, True), output


@pytest.mark.skipif(not pgbouncer.is_installed(), reason="there is no PgBouncer: make pgbouncer")
@pytest.mark.usefixtures("nothing_is_left")
def test_a_pooler_that_knows_no_new_login_is_told_of(pooler: Callable[[str], PgBouncer]) -> None:
    code, output = run(url(pooler("")))
    assert code == 2
    assert "The tests cannot run on this server: a role that was just made cannot log in at this address" in output


@pytest.mark.usefixtures("nothing_is_left")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("ALTER ROLE master NOCREATEROLE", "the login lacks CREATEROLE."),
        ("ALTER ROLE master NOCREATEROLE NOCREATEDB", "the login lacks CREATEDB and CREATEROLE."),
        ("ALTER ROLE master NOLOGIN", "no connection to the database of the URL: 28000."),
    ],
    ids=["no roles", "nothing", "no login"],
)
def test_a_login_without_the_rights_is_told_what_it_lacks(change: str, reason: str, theirs: Postgres) -> None:
    sql(theirs, change)
    try:
        code, output = run(url(theirs))
        assert (code, f"The tests cannot run on this server: {reason}" in output) == (2, True), output
    finally:
        sql(theirs, "ALTER ROLE master LOGIN CREATEROLE CREATEDB")


@pytest.mark.usefixtures("nothing_is_left")
def test_a_server_that_is_too_old_is_told_of(theirs: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "OLDEST", 99)
    with pytest.raises(Refused, match=r"^it is PostgreSQL [\d.]+.*, and Sluice needs 99 or newer$"):
        ForeignServer(url(theirs)).prepare()


@pytest.mark.usefixtures("nothing_is_left")
def test_a_run_that_was_killed_is_cleaned_up_by_the_next(theirs: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = ForeignServer(url(theirs))
    killed.prepare()
    session = killed.connect()
    session.run("CREATE ROLE owner_of_tests CREATEROLE; CREATE TABLE left_over ()")
    with pytest.raises(Refused, match=r"^the database sluice_of_tests was in use within the last 60 seconds"):
        ForeignServer(url(theirs)).prepare()
    monkeypatch.setattr(foreign, "QUIET_SECONDS", 0)
    following = ForeignServer(url(theirs))
    following.prepare()
    with following.connect() as empty:
        assert empty.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [[0]]
    following.drop()
    with suppress(InterfaceError, OSError):  # the server has ended it
        session.close()


@pytest.mark.usefixtures("nothing_is_left")
def test_an_interrupted_run_leaves_nothing(theirs: Postgres) -> None:
    with subprocess.Popen(
        command(), stdout=subprocess.DEVNULL, cwd=PROJECT, env=os.environ | {"SLUICE_TEST_DATABASE_URL": url(theirs)}
    ) as process:
        until(lambda: sql(theirs, "SELECT 1 FROM pg_roles WHERE rolname = 'owner_of_tests'"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0  # which one depends on where it was
