"""The milliseconds before a function's first record: Lambda's own runtime starts each handler anew."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tools.bench.environment import STREAMS
from tools.bench.records import Event
from tools.local.server import NotStarted, free_port
from tools.local.stack import SAM, build
from tools.project import DECLARED

EMULATOR = "lib/python3.13/site-packages/samcli/local/rapid/aws-lambda-rie-x86_64"  # in SAM's environment
INVOKE = "/2015-03-31/functions/function/invocations"
START_SECONDS = 60
BARE = """from aws_lambda_powertools.utilities import batch
from pg8000 import native


def lambda_handler(event, context):
    return {"batchItemFailures": []}
"""


@dataclass
class ColdStart:
    """What a function took at each of its starts, in milliseconds: imports, and then its first batch."""

    init: list[float] = field(default_factory=list)
    first_batch: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        return {
            "starts": len(self.init),
            "init_ms": round(median(self.init)),
            "init_lowest_ms": round(min(self.init)),
            "init_highest_ms": round(max(self.init)),
            "first_batch_ms": round(median(self.first_batch)),
        }


def measure(folder: Path, events: list[Event]) -> dict[str, ColdStart]:
    """Start both functions by turns, once for each event; both find the layers that `sam build` makes."""
    build(folder / "build")
    layers = [folder / "build" / layer / "python" for layer in ("CommonLayer", "StreamsLayer")]
    for streams in (DECLARED / "streams", STREAMS):
        shutil.copytree(streams, layers[1] / "streams", dirs_exist_ok=True)
    bare = folder / "bare"
    bare.mkdir()
    (bare / "app.py").write_text(BARE)
    tasks = {"bare": bare, "sluice": folder / "build" / "LoginsIngestFunction"}
    for task in tasks.values():  # the files are in the page cache from here on
        _start(task, layers, {"Records": []})
    starts = {name: ColdStart() for name in tasks}
    for event in events:
        for name, task in tasks.items():
            init, first_batch = _start(task, layers, event)
            starts[name].init.append(init)
            starts[name].first_batch.append(first_batch)
    return starts


def _start(task: Path, layers: Sequence[Path], event: Event) -> tuple[float, float]:
    """Start a function, invoke it once, stop it; return the milliseconds that the emulator reports of both."""
    port = free_port()
    emulator = subprocess.Popen(
        [
            *(str(SAM.parent.parent / EMULATOR), "--log-level", "info"),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
            *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
            *(sys.executable, "-m", "awslambdaric", "app.lambda_handler"),
        ],
        cwd=task,
        env=_environment(task, layers),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        _invoke(port, event)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(emulator.pid, signal.SIGTERM)
        log = emulator.communicate(timeout=START_SECONDS)[0]
    init = re.search(r"INIT REPORT\(durationMs: ([\d.]+)", log)
    batch = re.search(r"INVOKE RTDONE\(.*duration: ([\d.]+)", log)
    if not init or not batch:
        raise NotStarted(f"the Runtime Interface Emulator reports no start:\n{log}")
    return float(init[1]), float(batch[1])


def _invoke(port: int, event: Event) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{INVOKE}", json.dumps(event).encode())
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=START_SECONDS) as response:
                answer: Any = json.loads(response.read())
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    if answer != {"batchItemFailures": []}:
        raise NotStarted(f"the function did not take its first batch: {answer}")


def _environment(task: Path, layers: Sequence[Path]) -> Mapping[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, layers)),
        "PYTHONDONTWRITEBYTECODE": "1",  # /opt and /var/task are read-only
        "LAMBDA_TASK_ROOT": str(task),
        "AWS_LAMBDA_FUNCTION_NAME": "ingest",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    }
