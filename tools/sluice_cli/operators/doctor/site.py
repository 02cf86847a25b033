"""A deployed stack as AWS tells of it, with the caller's own rights."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from sluice.aws import clients, parameters, queues
from sluice.aws.queues import Queues
from tools.sluice_cli.operators.deployment import Deployment

DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation")
PROVISIONED = 10  # batches at a time that one poller of a mapping in provisioned mode starts


class Site:
    """A stack: its resources, their settings, and the clients to ask with. What is asked for is asked once."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.stack = deployment.stack
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.deployment.client(service)
        return self._clients[service]

    @cached_property
    def resources(self) -> Mapping[str, Mapping[str, str]]:
        """The physical ids of the stack's resources, by type and logical id."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack)
        for page in pages:
            for resource in page["StackResourceSummaries"]:
                if "PhysicalResourceId" in resource:
                    found[resource["ResourceType"]][resource["LogicalResourceId"]] = resource["PhysicalResourceId"]
        return found

    def of_type(self, kind: str) -> Mapping[str, str]:
        return self.resources.get(f"AWS::{kind}", {})

    @cached_property
    def functions(self) -> Mapping[str, Mapping[str, Any]]:
        """The configurations of the stack's functions, by logical id."""
        functions = self.client("lambda")
        return {
            name: functions.get_function_configuration(FunctionName=function)
            for name, function in self.of_type("Lambda::Function").items()
        }

    @cached_property
    def mappings(self) -> Sequence[Mapping[str, Any]]:
        """The event source mappings of the stack, as far as they are there."""
        found = []
        for uuid in self.of_type("Lambda::EventSourceMapping").values():
            try:
                found.append(self.client("lambda").get_event_source_mapping(UUID=uuid))
            except clients.errors() as error:
                if clients.reason(error) != "ResourceNotFoundException":
                    raise
        return found

    @property
    def mappings_gone(self) -> list[str]:
        """The logical ids of the mappings that somebody has deleted."""
        there = {mapping["UUID"] for mapping in self.mappings}
        return sorted(name for name, uuid in self.of_type("Lambda::EventSourceMapping").items() if uuid not in there)

    @cached_property
    def queues(self) -> Mapping[str, Queues]:
        """The queues of each stream. Unlike `queues.of_stack` it lets a call that is refused be seen as that."""
        found = parameters.read_below(self.client("ssm"), queues.path(self.stack))
        return {stream: msgspec.json.decode(text, type=Queues) for stream, text in found.items()}

    def attributes(self, url: str) -> Mapping[str, str]:
        """Return the attributes of a queue."""
        answer = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        found: Mapping[str, str] = answer["Attributes"]
        return found

    def variables(self, name: str) -> set[str]:
        """Return the values that an environment variable has in the functions, where it has one."""
        found = (one.get("Environment", {}).get("Variables", {}).get(name, "") for one in self.functions.values())
        return set(filter(None, found))

    @property
    def connections(self) -> int:
        """How many batches the mappings may start at a time, each on a connection of its own."""
        return sum(map(_concurrency, self.mappings))


def _concurrency(mapping: Mapping[str, Any]) -> int:
    if pollers := mapping.get("ProvisionedPollerConfig"):
        return PROVISIONED * int(pollers.get("MaximumPollers", 1))
    return int(mapping.get("ScalingConfig", {}).get("MaximumConcurrency", 10))


def permission_missing(error: Exception) -> str | None:
    """Return the permission that a call of AWS wanted in vain, or None when that is not why it failed."""
    if clients.reason(error) not in DENIED:
        return None
    told = re.search(r"perform: ([\w-]+:\w+)", str(error))
    return told[1] if told else str(getattr(error, "operation_name", "?"))
