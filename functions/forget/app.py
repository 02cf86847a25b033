"""Erase persons, as a call of the function's URL asks: their rows and sealed values. Tell how much is gone."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice import telemetry
from sluice.deadline import Deadline
from sluice.declaration.registry import load_all
from sluice.operators import call
from sluice.operators.forget.eraser import Eraser
from sluice.operators.forget.requests import Request
from sluice.postgres.database import Database
from sluice.pseudonyms import keyset_secret
from sluice.settings import ForgetSettings


@telemetry.logger.inject_lambda_context(log_event=False)  # it says who is to be erased
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer `{"action": "forget", "subject": …}`, `"sweep"` or `"repeat"`, each with `reason` and `ticket`."""
    deadline = Deadline.of(context)

    def work(actor: str, request: Request) -> dict[str, Any]:
        version = keyset_secret.version(_settings().token_key_secret_id)
        return Eraser(_database(), load_all(), version).run(actor, request, deadline)

    return call.answer(event, Request, _settings().allow_unverified_caller, work)


@cache
def _settings() -> ForgetSettings:
    return ForgetSettings.read()


@cache
def _database() -> Database:
    return Database(_settings().database, application_name="sluice-forget")
