"""AWS as the functions see it, over HTTP: each service can be throttled, slow, down, or held.

What answers is the account of tools/testing/aws, or an emulator.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.client import HTTPConnection
from threading import Event
from urllib.parse import urlsplit

from tools.testing import http_server
from tools.testing.http_server import Answer, Request

SLOW_SECONDS = 5.5  # longer than the functions' clients wait for an answer


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


@dataclass(frozen=True)
class EmulatedAws:
    """What the emulator at an endpoint answers."""

    endpoint_url: str

    def answer(self, request: Request) -> Answer:
        connection = HTTPConnection(urlsplit(self.endpoint_url).netloc, timeout=60)
        try:
            connection.request(request.method, request.path, request.body, dict(request.headers.items()))
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
        asked = request.target or request.path.lstrip("/")
        service = next((service for service in Service if asked.startswith(service.value)), None)
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


@contextmanager
def serving(respond: Callable[[Request], Answer]) -> Iterator[FaultyAws]:
    """Answer on a free port of 127.0.0.1."""
    faulty = FaultyAws()

    def answer(request: Request) -> Answer | None:
        match faulty.fault(request):
            case Fault.DOWN:
                return None
            case Fault.THROTTLED:
                return Answer(400, {}, b'{"__type": "ThrottlingException", "message": "Rate exceeded"}')
            case Fault.SLOW:
                time.sleep(SLOW_SECONDS)
        return respond(request)

    with http_server.serving(answer) as faulty.endpoint_url:
        yield faulty
