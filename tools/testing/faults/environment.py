"""An execution environment of a function as a process of its own, which can be killed at any moment.

`python -m tools.testing.faults.environment` is that process: a line of JSON for each event in, one for each answer out.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Timer
from typing import Any

from tools.project import DECLARED, PROJECT
from tools.testing.lambda_context import LambdaContext

INVOCATION_SECONDS = 20.0


class Failed(Exception):
    """The invocation raised: the error's type and text, as Lambda reports them."""


class Ended(Exception):
    """The process ended before it answered."""


class TimedOut(Ended):
    """Lambda ended the process because its time was over: the function did not stop early enough."""


class Environment:
    """One process: started cold with these settings; what it logs goes to the file."""

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tools.testing.faults.environment"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=written,
                cwd=PROJECT,
                env={
                    "PATH": os.defpath,
                    "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, PROJECT / "layers" / "common", DECLARED))),
                    **settings,
                },
                text=True,
            )

    def invoke(self, event: dict[str, Any], seconds: float = INVOCATION_SECONDS) -> dict[str, Any]:
        """Return the answer. Raises Failed, Ended, or TimedOut after that many seconds."""
        process = self._process
        assert process.stdin and process.stdout
        ended_by_time: list[bool] = []

        def end() -> None:
            ended_by_time.append(True)
            process.kill()

        timer = Timer(seconds, end)
        try:
            process.stdin.write(json.dumps({"event": event, "seconds": seconds}) + "\n")
            process.stdin.flush()
            process.stdout.readline()  # it is warm: only now its time begins
            timer.start()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            raise TimedOut if ended_by_time else Ended
        answered: dict[str, Any] = json.loads(line)
        if "error" in answered:
            raise Failed(answered["error"])
        answer: dict[str, Any] = answered["answer"]
        return answer

    def kill(self) -> None:
        """Send SIGKILL: it has no chance to tidy up."""
        self._process.kill()
        self._process.wait()

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End it, whatever it does."""
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not sent
                if stream:
                    stream.close()


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed is log
    name = os.environ["FUNCTION"]
    spec = spec_from_file_location("app", PROJECT / "functions" / name / "app.py")
    assert spec and spec.loader
    app = module_from_spec(spec)
    spec.loader.exec_module(app)
    for line in sys.stdin:
        invocation = json.loads(line)
        print(file=answers, flush=True)
        try:
            context = LambdaContext(invocation["seconds"], function_name=name, clock=time.monotonic)
            answered = {"answer": app.lambda_handler(invocation["event"], context)}
        except Exception as error:  # noqa: BLE001 (as Lambda does)
            answered = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answered), file=answers, flush=True)


if __name__ == "__main__":
    main()
