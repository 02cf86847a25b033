"""Reveal the originals of tokens, as a call of the function's URL asks. The audit log is written first."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice import telemetry
from sluice.deadline import Deadline
from sluice.declaration.registry import load_all
from sluice.operators import call
from sluice.operators.reveal import Request, Revealer
from sluice.postgres.database import Database
from sluice.pseudonyms import keyset_secret
from sluice.settings import RevealSettings


@telemetry.logger.inject_lambda_context(log_event=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer `{"tokens": […], "reason": …, "ticket": …}` with `{"values": […], "unknown": […], "altered": […]}`."""
    deadline = Deadline.of(context)

    def work(actor: str, request: Request) -> dict[str, Any]:
        keyset = keyset_secret.newest(_settings().token_key_secret_id)
        return Revealer(_database(), load_all(), keyset, _settings()).run(actor, request, deadline)

    return call.answer(event, Request, _settings().allow_unverified_caller, work)


@cache
def _settings() -> RevealSettings:
    return RevealSettings.read()


@cache
def _database() -> Database:
    return Database(_settings().database, application_name="sluice-reveal")
