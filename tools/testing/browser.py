"""The console of a stack, opened; and Chromium, which looks at it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import sync_playwright

from tools.local.stack import Stack, write_private
from tools.project import PROJECT

CHROMIUM = shutil.which("chromium") or ""
START_SECONDS = 60
STOP_SECONDS = 90  # what it has broken it mends first


@contextmanager
def console_of(stack: Stack) -> Iterator[str]:
    """Serve the console of a stack, and yield the address that it shows; end it as Ctrl-C does."""
    connections = stack.folder / "connections.json"
    write_private(connections, json.dumps(stack.connections))
    path = [PROJECT, PROJECT / "layers" / "common", PROJECT / "layers"]
    with subprocess.Popen(
        [sys.executable, "-m", "tools.console", "--connections", str(connections)],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))},
        stdout=subprocess.PIPE,
        text=True,
    ) as console:
        try:
            yield _address(console)
        finally:
            console.send_signal(signal.SIGINT)
            exit_code = console.wait(STOP_SECONDS)
    assert exit_code == 0, "the console did not end well"


def _address(console: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and console.stdout:
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+", console.stdout.readline())
        if found:
            return found[0]
        assert console.poll() is None, "the console has ended"
    raise AssertionError("the console did not start in time")


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # as root it has none
        yield browser
        browser.close()
