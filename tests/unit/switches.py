"""Lambda's event source mappings and SSM's parameters as the breaker sees them, and the minutes that they take."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
from botocore.exceptions import ClientError

from sluice.breaker.record import Pause, Record, encode, parameter
from sluice.breaker.tick import Breaker
from sluice.breaker.trip import trip
from sluice.deadline import Deadline
from sluice.failures import Outage

STACK = "tests"
START = datetime(2026, 1, 1, tzinfo=UTC)
WHY = "database: SQLSTATE 57P03"


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "arn:aws:account-123456789012"}}, "Operation")


@dataclass
class FakeMappings:
    """Event source mappings: a change takes until the next minute, and none other is allowed until then.

    `before` is called with the name of every call, before it has an effect.
    """

    before: Callable[[str], None] = lambda call: None
    mappings: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, stream: str, state: str = "Enabled") -> str:
        uuid = str(UUID(int=len(self.mappings) + 1))
        function = f"arn:aws:lambda:::function:{stream}"
        self.mappings[uuid] = {
            "UUID": uuid,
            "FunctionArn": function,
            "EventSourceArn": f"arn:aws:sqs:eu-central-1:123456789012:{stream}",
            "State": state,
        }
        return uuid

    def settle(self) -> None:
        done = {"Enabling": "Enabled", "Disabling": "Disabled", "Updating": "Enabled"}
        for mapping in self.mappings.values():
            mapping["State"] = done.get(mapping["State"], mapping["State"])

    def list_event_source_mappings(self, *, FunctionName: str, EventSourceArn: str) -> dict[str, Any]:
        self.before("ListEventSourceMappings")
        asked = (FunctionName, EventSourceArn)
        return {
            "EventSourceMappings": [
                dict(mapping)
                for mapping in self.mappings.values()
                if (mapping["FunctionArn"], mapping["EventSourceArn"]) == asked
            ]
        }

    def get_event_source_mapping(self, *, UUID: str) -> dict[str, str]:
        self.before("GetEventSourceMapping")
        if UUID not in self.mappings:
            raise error("ResourceNotFoundException")
        return dict(self.mappings[UUID])

    def update_event_source_mapping(self, *, UUID: str, Enabled: bool) -> dict[str, str]:
        self.before("UpdateEventSourceMapping")
        mapping = self.mappings.get(UUID)
        if mapping is None:
            raise error("ResourceNotFoundException")
        if mapping["State"] not in ("Enabled", "Disabled"):
            raise error("ResourceInUseException")
        if Enabled != (mapping["State"] == "Enabled"):
            mapping["State"] = "Enabling" if Enabled else "Disabling"
        return dict(mapping)


@dataclass
class FakeParameters:
    """Parameters by name, in pages of one."""

    before: Callable[[str], None] = lambda call: None
    texts: dict[str, str] = field(default_factory=dict)

    def get_parameter(self, *, Name: str) -> dict[str, Any]:
        self.before("GetParameter")
        if Name not in self.texts:
            raise error("ParameterNotFound")
        return {"Parameter": {"Name": Name, "Value": self.texts[Name]}}

    def get_parameters_by_path(self, *, Path: str, Recursive: bool, NextToken: str = "0") -> dict[str, Any]:
        if NextToken == "0":
            self.before("GetParametersByPath")
        assert Recursive
        names = sorted(name for name in self.texts if name.startswith(f"{Path}/"))
        page, following = names[int(NextToken) : int(NextToken) + 1], int(NextToken) + 1
        more = {"NextToken": str(following)} if following < len(names) else {}
        return {"Parameters": [{"Name": name, "Value": self.texts[name]} for name in page], **more}

    def put_parameter(self, *, Name: str, Value: str, Type: str, Overwrite: bool) -> dict[str, Any]:
        self.before("PutParameter")
        assert (Type, Overwrite) == ("String", True)
        self.texts[Name] = Value
        return {"Version": 1}

    def delete_parameter(self, *, Name: str) -> dict[str, Any]:
        self.before("DeleteParameter")
        if Name not in self.texts:
            raise error("ParameterNotFound")
        del self.texts[Name]
        return {}


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
