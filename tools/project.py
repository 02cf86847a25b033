"""Where the project is, and where it keeps what it makes on this machine."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
DECLARED = PROJECT / "tests" / "declared"  # has the package `streams` of the tests, the load and the benchmark
STATE = PROJECT / ".sluice"
KEPT = STATE / "stack.json"  # how to talk to the embedded stack that was left running, and how to stop it
