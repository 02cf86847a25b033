"""The queues of a stack's streams, as parameters of SSM name them, and what one call of SQS takes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from sluice.aws import clients, parameters
from sluice.failures import Outage


class Queues(msgspec.Struct, frozen=True):
    """The URLs of a stream's queue and of its dead-letter queue."""

    queue: str
    dead_letters: str


def path(stack: str) -> str:
    """Return the path of the parameters; each is called like its stream."""
    return f"/sluice/{stack}/stream"


def of_stack(ssm: Any, stack: str) -> Mapping[str, Queues]:
    """Return the queues of all streams of a stack, by stream. Raises Outage."""
    try:
        found = parameters.read_below(ssm, path(stack))
        return {stream: msgspec.json.decode(text, type=Queues) for stream, text in found.items()}
    except clients.errors() as error:
        raise Outage(f"ssm: {clients.reason(error)}") from None  # the text may hold ids of the account
    except msgspec.DecodeError:
        raise Outage(f"ssm: a parameter below {path(stack)} does not name the queues of a stream") from None


def batches[T](messages: Iterable[T], size: Callable[[T], int], most: int, largest_bytes: int) -> Iterator[list[T]]:
    """Yield as many messages together as one call takes. A message that is larger goes alone."""
    batch: list[T] = []
    batch_bytes = 0
    for message in messages:
        if batch and (len(batch) == most or batch_bytes + size(message) > largest_bytes):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(message)
        batch_bytes += size(message)
    if batch:
        yield batch
