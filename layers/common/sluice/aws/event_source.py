"""Event source mappings of Lambda, which hand a queue's messages to a function: on or off.

A change takes a minute, in which Lambda allows no other. Every function takes a client of Lambda and may raise
`aws.errors()`. https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html
"""

from typing import Any

from sluice.aws import clients

OFF = ("Disabled", "Disabling")
ON = ("Enabled", "Enabling")


def find(functions: Any, function: str, queue_arn: str) -> str | None:
    """Return the UUID of the mapping from a queue to a function, or None when there is none."""
    found = functions.list_event_source_mappings(FunctionName=function, EventSourceArn=queue_arn)
    return next((str(mapping["UUID"]) for mapping in found["EventSourceMappings"]), None)


def state(functions: Any, uuid: str) -> str | None:
    """Return `Enabled`, `Disabled`, or what leads there, such as `Disabling`; None when the mapping is gone."""
    try:
        return str(functions.get_event_source_mapping(UUID=uuid)["State"])
    except clients.errors() as error:
        if clients.reason(error) == "ResourceNotFoundException":
            return None
        raise


def disable(functions: Any, uuid: str) -> None:
    """Disable a mapping, unless it is or becomes so. One that is gone, or changes just now, stays as it is."""
    _switch(functions, uuid, False, OFF)


def enable(functions: Any, uuid: str) -> None:
    """Enable a mapping, unless it is or becomes so. One that is gone, or changes just now, stays as it is."""
    _switch(functions, uuid, True, ON)


def _switch(functions: Any, uuid: str, enabled: bool, there: tuple[str, str]) -> None:
    if state(functions, uuid) in (None, *there):
        return
    try:
        functions.update_event_source_mapping(UUID=uuid, Enabled=enabled)
    except clients.errors() as error:
        if clients.reason(error) not in ("ResourceInUseException", "ResourceNotFoundException"):
            raise
