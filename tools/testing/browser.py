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

from tools.local.emulator import CREDENTIALS, REGION
from tools.local.stack import Stack, write_private
from tools.project import PROJECT

CHROMIUM = shutil.which("chromium") or ""
START_SECONDS = 60
STOP_SECONDS = 90  # what it has broken it mends first


@contextmanager
def console_of(stack: Stack, *options: str) -> Iterator[str]:
    """Serve the console of a stack, and yield the address that it shows; end it as Ctrl-C does."""
    connections = stack.folder / "connections.json"
    write_private(connections, json.dumps(stack.connections))
    with _console(["--connections", str(connections), *options], {}) as address:
        yield address


@contextmanager
def operators_console_of(stack: Stack, *options: str) -> Iterator[str]:
    """Serve the console as an operator starts it, who knows the stack's name and has credentials of AWS."""
    own = {"AWS_ENDPOINT_URL": stack.emulator.endpoint_url, "AWS_DEFAULT_REGION": REGION, **CREDENTIALS}
    with _console(["--stack", stack.name, *options], own) as address:
        yield address


@contextmanager
def _console(options: list[str], environment: dict[str, str]) -> Iterator[str]:
    path = [PROJECT, PROJECT / "layers" / "common", PROJECT / "layers"]
    with subprocess.Popen(
        [sys.executable, "-m", "tools.console", *options],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))} | environment,
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
