"""The template, deployed by the SAM CLI to an emulator and a PostgreSQL that live as long as these tests."""

import time
from collections.abc import Callable, Iterator

import pytest

from tools.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with running_stack({"LogLevel": "DEBUG"}) as stack:  # whatever must not be logged must not be logged at DEBUG
        yield stack


def eventually[T](look: Callable[[], T], expected: T, seconds: float = 60) -> None:
    """Look until it is as expected; fail with what it is when that takes too long."""
    deadline = time.monotonic() + seconds
    while (found := look()) != expected:
        assert time.monotonic() < deadline, f"still {found!r}, not {expected!r}"
        time.sleep(0.1)
