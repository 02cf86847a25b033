"""Every test begins with a fresh database on a server that runs, and ends with the checker."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from tools.testing.faults.postgres import FaultyPostgres
from tools.testing.faults.queue import Queue
from tools.testing.faults.site import Site, logins, site

_numbers = count(1)

type Sending = Callable[..., Queue]


@pytest.fixture(scope="session")
def postgres() -> Iterator[FaultyPostgres]:
    folder = Path(tempfile.mkdtemp(prefix="sluice-"))  # not pytest's own, where the server's user has no access
    folder.chmod(0o711)
    postgres = FaultyPostgres(folder / "postgres")
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder)


@pytest.fixture
def here(postgres: FaultyPostgres, tmp_path: Path) -> Iterator[Site]:
    if not postgres.runs():
        postgres.start_again()
    with site(postgres, f"test_{next(_numbers)}", tmp_path) as here:
        yield here


@pytest.fixture
def sending(here: Site) -> Iterator[Sending]:
    """Make queues of generated logins, 200 good ones by default. When the test is done all must be well."""
    queues: list[Queue] = []

    def send(number: int = 200, junk: bool = False, max_receives: int = 10) -> Queue:
        queues.append(Queue(logins(number, seed=len(queues), junk=junk), max_receives))
        return queues[-1]

    yield send
    for queue in queues:
        queue.drain(here.invoke, 1000)
    assert here.check(*queues) == []


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=2) as executor:
        yield executor
