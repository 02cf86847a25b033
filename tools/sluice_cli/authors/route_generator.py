"""Makes up messages of any queue: of a route, records for each of its streams in turn."""

import random
from datetime import datetime
from itertools import cycle
from typing import Any, Protocol

from sluice.declaration.route import Queued, Route, reader_of
from tools.sluice_cli.authors import routes
from tools.sluice_cli.authors.generator import Generator


class Maker(Protocol):
    """What makes up messages: see Generator."""

    @property
    def attributes(self) -> dict[str, Any]: ...

    def record(self, is_complete: bool = False) -> str: ...

    def body(self, is_complete: bool = False) -> str: ...

    def spoiled(self, body: str) -> str: ...


def maker(queued: Queued, source: random.Random, now: datetime | None = None) -> Maker:
    """Return what makes up messages of a queue."""
    return RouteGenerator(queued, source, now) if issubclass(queued, Route) else Generator(queued, source, now)


class RouteGenerator:
    """Makes up bodies of messages for a route, the same for the same source."""

    def __init__(self, route: type[Route], source: random.Random, now: datetime | None = None) -> None:
        self._stream_of = reader_of(route)
        self._by_stream = {}
        generators = []
        for value, stream in route.brought.items():
            generator = Generator(stream, source, now, routes.leading_to(route, value))
            generators.append(generator)
            self._by_stream[stream] = generator
        self._turns = cycle(generators)
        self._last = generators[0]

    @property
    def attributes(self) -> dict[str, Any]:
        return self._last.attributes

    def record(self, is_complete: bool = False) -> str:
        self._last = next(self._turns)
        return self._last.record(is_complete)

    def body(self, is_complete: bool = False) -> str:
        self._last = next(self._turns)
        return self._last.body(is_complete)

    def spoiled(self, body: str) -> str:
        """Return a body like this one that is rejected. Raises NotGenerated."""
        stream = self._stream_of(body)
        if stream.splitter:
            return self._last.spoiled(body)
        return self._by_stream[stream].spoiled(body) if stream in self._by_stream else body
