"""Every minute: what an outage has disabled enabled again where a probe says so, and what each stream is then, out."""

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
    """Look after every stream that has tripped or is paused: `{"<stream>": "open"}`, or `reopened`, `paused`, …"""
    return dict(_breaker().tick(Deadline.of(context)))


@cache
def _breaker() -> Breaker:
    settings = BreakerSettings.read()
    return Breaker(settings.stack, partial(probe.run, settings=settings), lambda: datetime.now(UTC))
