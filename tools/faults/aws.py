"""The AWS of the function, over HTTP: secrets, a key, a queue; each service can be throttled, slow, down, or held."""

import json
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

from sluice.vault import DataKey, WrappedKey
from tools.bench import aws as bench

SLOW_SECONDS = 5.5  # longer than the functions' clients wait for an answer


class Service(Enum):
    """A service by what its requests name it."""

    SECRETS_MANAGER = "secretsmanager"
    KMS = "TrentService"
    SQS = "AmazonSQS"


class Fault(Enum):
    """What is wrong with a service."""

    THROTTLED = "throttled"
    SLOW = "slow"
    DOWN = "down"


@dataclass
class FaultyAws:
    """Secrets by id, and what is wrong."""

    secrets: dict[str, str]
    endpoint_url: str = ""
    _faults: dict[Service, tuple[Fault, float]] = field(default_factory=dict)
    _held: dict[Service, tuple[Event, Event]] = field(default_factory=dict)

    def breaks(self, service: Service, fault: Fault, calls: float = float("inf")) -> None:
        """Let the next calls of a service meet a fault, all of them by default."""
        self._faults[service] = fault, calls

    def heals(self) -> None:
        self._faults.clear()

    def hold(self, service: Service) -> tuple[Event, Event]:
        """Hold the next call of a service: the first event tells that it has come, the second lets it go on."""
        self._held[service] = Event(), Event()
        return self._held[service]

    def fault(self, service: Service) -> Fault | None:
        """Return what is wrong for the call that has just come, after it was held."""
        if service in self._held:
            come, go_on = self._held.pop(service)
            come.set()
            go_on.wait(60)
        fault, calls = self._faults.get(service, (None, 0))
        if fault is not None and calls > 0:
            self._faults[service] = fault, calls - 1
            return fault
        return None


def open_data_key(wrapped: WrappedKey) -> DataKey:
    """Open a data key: they all are one here."""
    return DataKey(wrapped, b64decode(bench.DATA_KEY))


@contextmanager
def serving(secrets: dict[str, str]) -> Iterator[FaultyAws]:
    """Answer on a free port of 127.0.0.1."""
    faulty = FaultyAws(secrets)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            target = self.headers["X-Amz-Target"]
            fault = faulty.fault(Service(target.partition(".")[0]))
            if fault is Fault.DOWN:
                return  # the connection is closed without an answer
            if fault is Fault.SLOW:
                time.sleep(SLOW_SECONDS)
            throttled = {"__type": "ThrottlingException", "message": "Rate exceeded"}
            body = json.dumps(
                throttled if fault is Fault.THROTTLED else bench.answer(target, request, faulty.secrets)
            ).encode()
            self.send_response(400 if fault is Fault.THROTTLED else 200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # whoever asked was killed, or has waited long enough

    with Server(("127.0.0.1", 0), Handler) as server:
        faulty.endpoint_url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield faulty
        finally:
            server.shutdown()
            thread.join()
