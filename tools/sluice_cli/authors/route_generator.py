"""Makes up messages of any queue: of a route, records for each of its streams in turn."""

import random
from datetime import datetime
from itertools import cycle
from typing import Any

from sluice.declaration.route import Queued, Route, records_of
from sluice.failures import Rejected
from tools.sluice_cli.authors import routes
from tools.sluice_cli.authors.generator import Generator


def maker(queued: Queued, source: random.Random, now: datetime | None = None) -> "Generator | RouteGenerator":
    """Return what makes up messages of a queue."""
    return RouteGenerator(queued, source, now) if issubclass(queued, Route) else Generator(queued, source, now)


class RouteGenerator:
    """Makes up bodies of messages for a route, the same for the same source."""

    def __init__(self, route: type[Route], source: random.Random, now: datetime | None = None) -> None:
        generators = {
            value: Generator(stream, source, now, routes.leading_to(route, value))
            for value, stream in route.brought.items()
        }
        self._turns = cycle(generators.values())
        self._last = next(iter(generators.values()))
        self._by_stream = {stream: generators[value] for value, stream in route.brought.items()}
        self._route = route

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
        try:
            ((stream, _), *_) = records_of(self._route, body)
        except (ValueError, Rejected):
            return body  # it holds no record
        return self._by_stream[stream].spoiled(body) if stream in self._by_stream else body
