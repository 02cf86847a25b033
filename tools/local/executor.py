"""LocalStack's functions as processes, without Docker.

LocalStack loads it by the name that LAMBDA_RUNTIME_EXECUTOR gives, and it runs in LocalStack's interpreter. A function
runs in the interpreter that FUNCTIONS_PYTHON gives, with AWS's own runtime client, and gets its layers, which
LocalStack's own executor does not apply.
"""

import os
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

HOST = "127.0.0.1"


class ProcessExecutor(RuntimeExecutor):  # type: ignore[misc] # it has no types
    """An execution environment: one process, one invocation at a time."""

    def __init__(self, id: str, function_version: Any) -> None:
        super().__init__(id, function_version)
        self._invocations: Queue[dict[str, str] | None] = Queue()  # None: there will be no other
        self._answers: Queue[tuple[bytes, bool]] = Queue()  # and whether it is an error
        self._log = Path(tempfile.gettempdir()) / f"{id}.log"

    def start(self, env_vars: dict[str, Any]) -> None:
        config = self.function_version.config
        self._api = RuntimeApi(self._invocations, self._answers, config.timeout)
        threading.Thread(target=self._api.serve_forever, daemon=True).start()
        task_root = config.code.get_unzipped_code_location()
        layers = [str(layer.code.get_unzipped_code_location() / "python") for layer in config.layers]
        environment = {
            **env_vars,
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join(layers),
            "PYTHONUNBUFFERED": "1",
            "LAMBDA_TASK_ROOT": task_root,
            "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{self._api.server_port}",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [os.environ["FUNCTIONS_PYTHON"], "-m", "awslambdaric", config.handler],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=task_root,
                env={name: str(value) for name, value in environment.items()},
            )

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._invocations.put(None)
        self._api.shutdown()
        self._api.server_close()

    def invoke(self, payload: dict[str, str]) -> Any:
        """Return what the function answers. Raises Empty when it does not in its time."""
        request_id, logged = payload["invoke-id"], self._log.stat().st_size
        self._invocations.put(payload)
        answer, is_error = self._answers.get(timeout=self.function_version.config.timeout)
        output = self._log.read_bytes()[logged:].decode()
        log = f"START RequestId: {request_id}\n{output}END RequestId: {request_id}\n"  # as Lambda frames it
        return InvocationResult(request_id, answer, is_error, log)

    def get_logs(self) -> str:
        return self._log.read_text()

    def get_address(self) -> str:
        return HOST

    def get_endpoint_from_executor(self) -> str:
        return HOST  # with LocalStack's port, where the function finds AWS

    def get_runtime_endpoint(self) -> str:
        return ""  # for LocalStack's own init alone

    @classmethod
    def prepare_version(cls, function_version: Any) -> None:
        for part in (function_version.config, *function_version.config.layers):
            part.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: Any) -> None:
        """Keep what was unpacked: it goes with LocalStack's folder."""


class RuntimeApi(ThreadingHTTPServer):
    """What a runtime talks to: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html."""

    daemon_threads = True

    def __init__(
        self, invocations: Queue[dict[str, str] | None], answers: Queue[tuple[bytes, bool]], timeout_seconds: int
    ) -> None:
        super().__init__((HOST, 0), Runtime)
        self.invocations, self.answers, self.timeout_seconds = invocations, answers, timeout_seconds


class Runtime(BaseHTTPRequestHandler):
    server: RuntimeApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Hand over the next invocation, as soon as there is one."""
        if (invocation := self.server.invocations.get()) is None:
            self.close_connection = True
            return
        deadline = time.time() + self.server.timeout_seconds
        self._answer(
            200,
            invocation["payload"].encode(),
            {
                "Lambda-Runtime-Aws-Request-Id": invocation["invoke-id"],
                "Lambda-Runtime-Invoked-Function-Arn": invocation["invoked-function-arn"],
                "Lambda-Runtime-Trace-Id": invocation["trace-id"],
                "Lambda-Runtime-Deadline-Ms": str(round(deadline * 1000)),
            },
        )

    def do_POST(self) -> None:
        """Take a response, or an error of the handler or of its import."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answers.put((body, self.path.endswith("/error")))
        self._answer(202, b"{}", {})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: it would fill LocalStack's log."""

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Plugin(RuntimeExecutorPlugin):  # type: ignore[misc] # it has no types
    name = "process"

    def load(self, *args: object, **kwargs: object) -> type[ProcessExecutor]:
        return ProcessExecutor
