"""The trip: an outage in ingest opens the stream's breaker, which stops its event source mapping."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sluice import telemetry
from sluice.aws import clients, event_source, parameters
from sluice.breaker.record import QUIET, Record, decode, encode
from sluice.failures import DeclarationError, Outage
from sluice.pseudonyms import keyset_secret
from sluice.settings import SettingError, TripSettings
from sluice.telemetry import logger

LONGEST_WAIT_EXPONENT = 5  # of 2; waits in minutes: 1, 2, 4, 8, 16, 30
LONGEST_WAIT = timedelta(minutes=30)


@contextmanager
def tripping(settings: TripSettings, records: Sequence[Mapping[str, Any]], function: str) -> Iterator[None]:
    """Trip the stream's breaker if an error ends the work on these SQS records, and raise it as an Outage.

    A missing setting, a stream that cannot be loaded and a fault of this program fail for every batch alike.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 (its text may quote a record, so it is told by class alone)
        outage = _outage_of(error)
        stream = settings.stream_or_unknown
        telemetry.count_outage(stream, outage)
        keyset_secret.forget()  # the keyset may be wrong, and be mended before its five minutes in memory are over
        if settings.breaker_parameter and records:
            try:
                queue_arn = records[0]["eventSourceARN"]
                trip(settings.breaker_parameter, stream, function, queue_arn, str(outage), datetime.now(UTC))
            except Exception as failure:  # noqa: BLE001 (the caller is to hear of the outage, not of this)
                logger.error("breaker not opened", stream=stream, why=clients.reason(failure))
        raise outage from None


def _outage_of(error: Exception) -> Outage:
    match error:
        case Outage():
            return error
        case SettingError():
            return Outage(f"setting: {error}")
        case DeclarationError():
            return Outage(f"declaration: {error}")
        case _:
            return Outage(f"internal: {type(error).__name__}")


def trip(name: str, stream: str, function: str, queue_arn: str, why: str, now: datetime) -> None:
    """Record the trip in the parameter of that name, then disable the mapping from the queue to the function.

    If there is no such mapping, somebody else has called the function, and there is nothing to disable.
    """
    ssm, functions = clients.client("ssm"), clients.client("lambda")
    mapping = event_source.find(functions, function, queue_arn)
    if mapping is None:
        return
    before = decode(parameters.read(ssm, name))
    if before is None or before.state != "open" or before.mapping != mapping:
        trips = _trips(before, now)
        probe_at = now + _wait(trips)
        before = Record(
            stream=stream,
            mapping=mapping,
            function=function,
            why=why[:1000],  # a parameter holds 4 KB
            tripped_at=now,
            trips=trips,
            probe_at=probe_at,
        )
        parameters.write(ssm, name, encode(before))
        logger.error("breaker opened", stream=stream, why=why, trips=trips, probe_at=probe_at.isoformat())
    event_source.disable(functions, mapping)
    if parameters.read(ssm, name) is None:  # a tick has just closed the breaker, not knowing of this trip
        parameters.write(ssm, name, encode(before))


def _trips(before: Record | None, now: datetime) -> int:
    if before is None or before.half_open_at is None or now - before.half_open_at >= QUIET:
        return 1
    return before.trips + 1


def _wait(trips: int) -> timedelta:
    """Return how long to wait before the next probe. After a first trip there is no wait."""
    if trips == 1:
        return timedelta()
    return min(timedelta(minutes=2 ** min(trips - 2, LONGEST_WAIT_EXPONENT)), LONGEST_WAIT)
