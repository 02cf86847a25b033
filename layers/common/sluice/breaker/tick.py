"""The tick: every minute, go one step on with each stream whose breaker is not closed, or that is paused."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec

from sluice import telemetry
from sluice.aws import clients, event_source, parameters
from sluice.breaker.record import QUIET, Record, decode, encode, parameter, path
from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.telemetry import logger

type Probe = Callable[[str, str, Deadline], None]  # takes a stream and why its breaker tripped; raises Outage
type Condition = Literal["paused", "open", "half_open", "closed"]

_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Breaker:
    """The breakers of all streams of a stack, and the pauses."""

    def __init__(self, stack: str, probe: Probe, now: Callable[[], datetime]) -> None:
        self._stack = stack
        self._probe = probe
        self._now = now
        self._ssm = clients.client("ssm")
        self._functions = clients.client("lambda")

    def tick(self, deadline: Deadline) -> dict[str, Condition | None]:
        """Go one step on with each stream, and return the condition that it is in then.

        A step that fails stops no other; its stream's condition is None.
        """
        found = parameters.read_below(self._ssm, path(self._stack))
        streams = sorted({name.partition("/")[2] for name in found if name.startswith(("breaker/", "pause/"))})
        conditions: dict[str, Condition | None] = {}
        for number, stream in enumerate(streams):
            text, pause = found.get(f"breaker/{stream}"), found.get(f"pause/{stream}")
            try:
                share = deadline.within(deadline.seconds_left() / (len(streams) - number))
                conditions[stream] = self._tick(stream, text, pause, share)
            except Exception as error:  # noqa: BLE001 (it is one stream's, and the next tick tries again)
                why = str(error) if isinstance(error, Outage) else clients.reason(error)
                logger.error("breaker failed", stream=stream, why=why)
                conditions[stream] = None
            if text is not None:
                is_open = int(conditions[stream] not in ("half_open", "closed"))
                telemetry.count("BreakerOpen", is_open)  # of all streams, for one alarm on the maximum
                telemetry.count("BreakerOpen", is_open, stream=stream)
        return conditions

    def _tick(self, stream: str, text: str | None, pause: str | None, deadline: Deadline) -> Condition:
        if pause is not None:
            event_source.disable(self._functions, _mapping_in(pause))
            return "paused"
        record = decode(text) or _salvaged(stream, text or "")
        state = event_source.state(self._functions, record.mapping)
        if state is None:
            parameters.delete(self._ssm, parameter(self._stack, "breaker", stream))
            logger.warning("breaker closed", stream=stream, why="its event source mapping is gone")
            return "closed"
        if record.state == "half_open" and state not in event_source.OFF:
            return self._close(record) if self._is_quiet(record) else "half_open"
        if state != "Disabled":  # on, or still Disabling: Lambda would not let us enable it
            event_source.disable(self._functions, record.mapping)
            return "open"
        if record.state == "open" and self._now() < record.probe_at:
            return "open"
        return self._half_open(record, text) if self._works(record, deadline) else "open"

    def _works(self, record: Record, deadline: Deadline) -> bool:
        """Probe, and tell whether what failed works again."""
        why = None
        try:
            self._probe(record.stream, record.why, deadline)
        except Outage as outage:
            why = str(outage)
        except Exception as error:  # noqa: BLE001 (such as a stream whose module is gone; its text may hold values)
            why = type(error).__name__
        telemetry.count("Probe", stream=record.stream, outcome="good" if why is None else "failed")
        if why is not None:
            logger.warning("probe failed", stream=record.stream, why=why)
        return why is None

    def _half_open(self, record: Record, text: str | None) -> Condition:
        name, pause = (parameter(self._stack, kind, record.stream) for kind in ("breaker", "pause"))
        if parameters.read(self._ssm, name) != text or parameters.read(self._ssm, pause) is not None:
            return "open"  # something changed while the probe ran: the next tick obeys it
        # The record is written first: a trip right after the mapping is enabled finds it, and is not overwritten.
        half_open = msgspec.structs.replace(record, state="half_open", half_open_at=self._now())
        parameters.write(self._ssm, name, encode(half_open))
        event_source.enable(self._functions, record.mapping)
        logger.warning("breaker half-open", stream=record.stream, why=record.why, trips=record.trips)
        return "half_open"

    def _close(self, record: Record) -> Condition:
        name = parameter(self._stack, "breaker", record.stream)
        parameters.delete(self._ssm, name)
        if event_source.state(self._functions, record.mapping) in event_source.OFF:  # it has tripped meanwhile
            parameters.write(self._ssm, name, encode(record))
            return "open"
        logger.warning("breaker closed", stream=record.stream, why=record.why)
        return "closed"

    def _is_quiet(self, record: Record) -> bool:
        return self._now() - (record.half_open_at or record.tripped_at) >= QUIET


def _salvaged(stream: str, text: str) -> Record:
    """Return a record for a parameter that cannot be read: the breaker is open, and may be probed at once."""
    long_ago = datetime.fromtimestamp(0, UTC)
    why = "the record cannot be read"
    mapping = _mapping_in(text)
    return Record(stream=stream, mapping=mapping, function="", why=why, tripped_at=long_ago, probe_at=long_ago)


def _mapping_in(text: str) -> str:
    """Return the UUID in a parameter's text, readable or not. Raises Outage if there is none."""
    found = _UUID.search(text)
    if not found:
        raise Outage("the record names no event source mapping")
    return found[0]
