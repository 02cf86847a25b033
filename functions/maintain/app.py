"""Look after the tables, every day and after each deployment: make partitions ahead, drop what has expired."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice import telemetry
from sluice.deadline import Deadline
from sluice.declaration.registry import load_queued
from sluice.declaration.route import streams_of
from sluice.maintain.maintenance import Maintenance
from sluice.migrate import custom_resource
from sluice.postgres.database import Database
from sluice.settings import MaintainSettings

PHYSICAL_ID = "sluice-maintenance"  # constant: another one would make CloudFormation delete the one before


@telemetry.logger.inject_lambda_context(log_event=False)  # the event holds a URL that anyone may answer to
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Mapping[str, Any]:
    """Return how much of what was done, and what is left to the next run: `{"made": …, "postponed": {…}, …}`.

    CloudFormation names the stream whose function it has just deployed. Its table may be converted then.
    """
    deadline = Deadline.of(context, custom_resource.ANSWER_SECONDS)
    return custom_resource.answer(
        event, PHYSICAL_ID, deadline, lambda: Maintenance(_database(), deadline, _deployed(event)).run()
    )


def _deployed(event: object) -> list[str] | None:
    """Return the names of the streams whose function was deployed just now; None where nobody says so."""
    match event:
        case {"ResourceProperties": {"Stream": str(name)}}:
            return [stream.stream_name for stream in streams_of(load_queued(name))]
    return None


@cache
def _settings() -> MaintainSettings:
    return MaintainSettings.read()


@cache
def _database() -> Database:
    return Database(_settings().database, application_name="sluice-maintain")
