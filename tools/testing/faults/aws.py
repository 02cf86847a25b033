"""AWS as the functions see it, over HTTP: each service can be throttled, slow, down, or held.

What answers is `FakeAws`, with secrets, a key, a queue, parameters and an event source mapping, or an emulator.
"""

import json
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from sluice.vault.sealing import DataKey, WrappedKey
from tools.bench import aws as bench

SLOW_SECONDS = 5.5  # longer than the functions' clients wait for an answer
MAPPING = "5f1f7b1e-0000-4000-8000-000000000000"
NOT_FORWARDED = ("connection", "content-length", "transfer-encoding")


class Service(Enum):
    """A service by what its requests begin with: their target, or their path."""

    SECRETS_MANAGER = "secretsmanager"
    KMS = "TrentService"
    SQS = "AmazonSQS"
    SSM = "AmazonSSM"
    LAMBDA = "2015-03-31"


class Fault(Enum):
    """What is wrong with a service."""

    THROTTLED = "throttled"
    SLOW = "slow"
    DOWN = "down"


class Request(NamedTuple):
    """What a client asks."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """The operation, as `AmazonSSM.GetParameter`, or where the path says that, the path: `2015-03-31/functions`."""
        return self.headers.get("X-Amz-Target", self.path.lstrip("/"))


class Answer(NamedTuple):
    """What a client is told."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Aws(Protocol):
    """What answers as long as nothing is wrong."""

    def answer(self, request: Request) -> Answer: ...


class Refused(Exception):
    """A call fails with this error code."""


@dataclass
class FakeAws:
    """Secrets and parameters by name, and one mapping, which changes at once."""

    secrets: dict[str, str]
    parameters: dict[str, str] = field(default_factory=dict)
    mapping_state: str = "Enabled"

    def answer(self, request: Request) -> Answer:
        try:
            return told(200, self._answer(request, json.loads(request.body or "{}")))
        except Refused as refused:
            return told(400, {"__type": str(refused)})

    def _answer(self, request: Request, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        service, _, operation = request.target.partition(".")
        if Service.LAMBDA.value in service:
            return self._answer_of_lambda(request, asked)
        if service == Service.SSM.value:
            return self._answer_of_ssm(operation, asked)
        return bench.answer(request.target, asked, self.secrets)

    def _answer_of_ssm(self, operation: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        name = asked.get("Name", "")
        match operation:
            case "PutParameter":
                self.parameters[name] = asked["Value"]
                return {"Version": 1}
            case "GetParametersByPath":
                found = {key: value for key, value in self.parameters.items() if key.startswith(f"{asked['Path']}/")}
                return {"Parameters": [{"Name": key, "Value": value} for key, value in found.items()]}
            case _ if name not in self.parameters:
                raise Refused("ParameterNotFound")
            case "GetParameter":
                return {"Parameter": {"Name": name, "Value": self.parameters[name]}}
            case "DeleteParameter":
                del self.parameters[name]
                return {}
        raise Refused("UnknownOperationException")

    def _answer_of_lambda(self, request: Request, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if request.method == "PUT":
            self.mapping_state = "Enabled" if asked["Enabled"] else "Disabled"
        mapping = {"UUID": MAPPING, "State": self.mapping_state}
        return mapping if MAPPING in request.path else {"EventSourceMappings": [mapping]}


@dataclass(frozen=True)
class EmulatedAws:
    """What the emulator at an endpoint answers."""

    endpoint_url: str

    def answer(self, request: Request) -> Answer:
        connection = HTTPConnection(urlsplit(self.endpoint_url).netloc, timeout=60)
        try:
            connection.request(request.method, request.path, request.body, dict(request.headers))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


@dataclass
class FaultyAws:
    """What is wrong with the services, at an endpoint of its own."""

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

    def fault(self, request: Request) -> Fault | None:
        """Return what is wrong for the call that has just come, after it was held."""
        service = next((service for service in Service if request.target.startswith(service.value)), None)
        if service is None:
            return None
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
    """Open a data key of `FakeAws`: they all are one."""
    return DataKey(wrapped, b64decode(bench.DATA_KEY))


def told(status: int, body: Mapping[str, Any]) -> Answer:
    """Return an answer in JSON."""
    return Answer(status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode())


@contextmanager
def serving(aws: Aws) -> Iterator[FaultyAws]:
    """Answer on a free port of 127.0.0.1."""
    faulty = FaultyAws()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            request = Request(self.command, self.path, dict(self.headers), self.rfile.read(length))
            fault = faulty.fault(request)
            if fault is Fault.DOWN:
                return  # the connection is closed without an answer
            if fault is Fault.SLOW:
                time.sleep(SLOW_SECONDS)
            throttled = told(400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
            status, headers, body = throttled if fault is Fault.THROTTLED else aws.answer(request)
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in NOT_FORWARDED:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_DELETE = do_HEAD = do_POST

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
