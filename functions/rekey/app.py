"""Add token keys, rekey tokens and rewrap data keys, as a call of the function's URL asks. Tell how far it is."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice import telemetry
from sluice.deadline import Deadline
from sluice.declaration.registry import load_all
from sluice.operators import call
from sluice.operators.rekey.keys import Keys, Request
from sluice.postgres.database import Database
from sluice.settings import RekeySettings


@telemetry.logger.inject_lambda_context(log_event=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer `{"action": "status", "reason": …, "ticket": …}`, or `"add_key"`, `"rekey"`, `"rewrap"`."""
    deadline = Deadline.of(context)

    def work(actor: str, request: Request) -> dict[str, Any]:
        return Keys(_database(), load_all(), _settings()).run(actor, request, deadline)

    return call.answer(event, Request, _settings().allow_unverified_caller, work)


@cache
def _settings() -> RekeySettings:
    return RekeySettings.read()


@cache
def _database() -> Database:
    return Database(_settings().database, application_name="sluice-rekey")
