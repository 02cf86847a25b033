"""Look after the breakers, every minute: a good probe starts what an outage has stopped."""

from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice import telemetry
from sluice.breaker import probe
from sluice.breaker.tick import Breaker
from sluice.deadline import Deadline
from sluice.settings import BreakerSettings


@telemetry.logger.inject_lambda_context(log_event=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Go one step on with every stream whose breaker is not closed, or that is paused.

    Return `{"<stream>": "open"}`, or `half_open`, `closed`, `paused`, or null if the step failed.
    """
    return dict(_breaker().tick(Deadline.of(context)))


@cache
def _breaker() -> Breaker:
    settings = BreakerSettings.read()
    return Breaker(settings.stack, partial(probe.run, settings=settings), lambda: datetime.now(UTC))
