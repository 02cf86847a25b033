"""Lambda's event source mappings, and the minute that each change of one takes."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tools.testing.aws.service import Service, refusal

SETTLED = {"Enabling": "Enabled", "Disabling": "Disabled", "Updating": "Enabled"}


@dataclass
class FakeMappings(Service):
    """Event source mappings: a change takes until they settle, and none other is allowed until then."""

    mappings: dict[str, dict[str, str]] = field(default_factory=dict)
    settles_at_once: bool = False  # for tests that run in real time

    def add(self, stream: str, state: str = "Enabled", function: str = "", queue: str = "") -> str:
        """Add the mapping of a stream, and return its UUID; `function` and `queue` are ARNs."""
        uuid = str(UUID(int=len(self.mappings) + 1))
        self.mappings[uuid] = {
            "UUID": uuid,
            "FunctionArn": function or f"arn:aws:lambda:::function:{stream}",
            "EventSourceArn": queue or f"arn:aws:sqs:eu-central-1:123456789012:{stream}",
            "State": state,
        }
        return uuid

    def settle(self) -> None:
        for mapping in self.mappings.values():
            mapping["State"] = SETTLED.get(mapping["State"], mapping["State"])

    def list_event_source_mappings(self, *, FunctionName: str, EventSourceArn: str) -> dict[str, Any]:
        self._call("ListEventSourceMappings")
        asked = (FunctionName, EventSourceArn)
        return {
            "EventSourceMappings": [
                dict(mapping)
                for mapping in self.mappings.values()
                if (mapping["FunctionArn"], mapping["EventSourceArn"]) == asked
            ]
        }

    def get_event_source_mapping(self, *, UUID: str) -> dict[str, str]:
        self._call("GetEventSourceMapping")
        if UUID not in self.mappings:
            raise refusal("ResourceNotFoundException", "GetEventSourceMapping")
        return dict(self.mappings[UUID])

    def update_event_source_mapping(self, *, UUID: str, Enabled: bool) -> dict[str, str]:
        self._call("UpdateEventSourceMapping")
        mapping = self.mappings.get(UUID)
        if mapping is None:
            raise refusal("ResourceNotFoundException", "UpdateEventSourceMapping")
        if mapping["State"] not in ("Enabled", "Disabled"):
            raise refusal("ResourceInUseException", "UpdateEventSourceMapping")
        if Enabled != (mapping["State"] == "Enabled"):
            mapping["State"] = "Enabling" if Enabled else "Disabling"
        if self.settles_at_once:
            self.settle()
        return dict(mapping)
