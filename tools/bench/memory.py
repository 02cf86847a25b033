"""The memory that a batch takes: the peak of a process of its own, for an event of 10,000 records in a file.

`python -m tools.bench.memory <file>` is that process.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from tools.bench.environment import function, quiet
from tools.bench.records import Event
from tools.project import PROJECT
from tools.testing.lambda_context import LambdaContext


def measure(folder: Path, event: Event) -> float:
    """Return the peak in megabytes (2^20 bytes) of a new process that imports the function and takes the batch."""
    file = folder / "event.json"
    file.write_text(json.dumps(event))
    process = subprocess.run(
        [sys.executable, "-m", "tools.bench.memory", str(file)],
        check=True,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(process.stdout)


def _take(file: Path) -> float:
    with quiet():
        answer = function("ingest").lambda_handler(json.loads(file.read_text()), LambdaContext())
    assert answer == {"batchItemFailures": []}
    # Not `ru_maxrss`: a process that another one started counts what that one had in memory, too.
    kilobytes = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert kilobytes is not None
    return int(kilobytes[1]) / 1024


if __name__ == "__main__":
    print(_take(Path(sys.argv[1])))
