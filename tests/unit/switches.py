"""Event source mappings and parameters as the breaker sees them, and the minutes that they take."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import msgspec

from sluice.breaker.record import Pause, Record, encode, parameter
from sluice.breaker.tick import Breaker
from sluice.breaker.trip import trip
from sluice.deadline import Deadline
from sluice.failures import Outage
from tools.testing.aws.mappings import FakeMappings
from tools.testing.aws.ssm import FakeParameters

STACK = "tests"
START = datetime(2026, 1, 1, tzinfo=UTC)
WHY = "database: SQLSTATE 57P03"


class World:
    """A stack with its streams, and the clock by which it is looked after."""

    def __init__(self, *streams: str) -> None:
        self.now = START
        self.functions, self.ssm = FakeMappings(), FakeParameters()
        self.uuids = {stream: self.functions.add(stream) for stream in streams}
        self.broken: dict[str, Exception] = {}  # by stream: what its probe raises
        self.probed: list[tuple[str, str]] = []  # stream, and why its breaker tripped

    def client(self, service: str) -> Any:
        """Stand for `sluice.aws.clients.client`."""
        return {"lambda": self.functions, "ssm": self.ssm}[service]

    def before_each_call(self, before: Callable[[str], None]) -> None:
        self.functions.before = self.ssm.before = before

    def trip(self, stream: str, why: str = WHY) -> None:
        mapping = self.functions.mappings[self.uuids[stream]]
        name = parameter(STACK, "breaker", stream)
        trip(name, stream, mapping["FunctionArn"], mapping["EventSourceArn"], why, self.now)

    def probe(self, stream: str, why: str, deadline: Deadline) -> None:
        self.probed.append((stream, why))
        if stream in self.broken:
            raise self.broken[stream]

    def tick(self, deadline: Deadline | None = None) -> dict[str, str | None]:
        breaker = Breaker(STACK, self.probe, lambda: self.now)
        return dict(breaker.tick(deadline or Deadline(60, count(0, 0).__next__)))

    def minute(self, minutes: int = 1) -> dict[str, str | None]:
        """Let minutes pass, each with its tick, and return what the last one says."""
        for _ in range(minutes):
            self.now += timedelta(minutes=1)
            self.functions.settle()
            conditions = self.tick()
        return conditions

    def fail(self, stream: str) -> None:
        self.broken[stream] = Outage(WHY)

    def state(self, stream: str) -> str:
        return self.functions.mappings[self.uuids[stream]]["State"]

    def record(self, stream: str) -> Record | None:
        text = self.ssm.texts.get(parameter(STACK, "breaker", stream))
        return msgspec.json.decode(text, type=Record) if text is not None else None

    def pause(self, stream: str) -> None:
        pause = Pause(stream=stream, mapping=self.uuids[stream], paused_at=self.now)
        name = parameter(STACK, "pause", stream)
        self.ssm.put_parameter(Name=name, Value=encode(pause), Type="String", Overwrite=True)

    def resume(self, stream: str) -> None:
        del self.ssm.texts[parameter(STACK, "pause", stream)]
