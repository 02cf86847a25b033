"""List, redrive or purge dead letters, as a call of the function's URL asks. Their bodies stay inside."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice import telemetry
from sluice.aws import clients, queues
from sluice.deadline import Deadline
from sluice.operators import call
from sluice.operators.dead_letters.handling import DeadLetters
from sluice.operators.dead_letters.requests import Request
from sluice.postgres.database import Database
from sluice.pseudonyms import keyset_secret
from sluice.settings import DeadLettersSettings


@telemetry.logger.inject_lambda_context(log_event=False)  # it may say whose letters are to be purged
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer `{"action": "list", "stream": …}`, or `"redrive"` or `"purge"`, each with `reason` and `ticket`."""
    deadline = Deadline.of(context)

    def work(actor: str, request: Request) -> dict[str, Any]:
        keyset = keyset_secret.newest(_settings().token_key_secret_id)
        of_streams = queues.of_stack(clients.client("ssm"), _settings().stack)
        return DeadLetters(_database(), of_streams, keyset, _settings().payload_bucket).run(actor, request, deadline)

    return call.answer(event, Request, _settings().allow_unverified_caller, work)


@cache
def _settings() -> DeadLettersSettings:
    return DeadLettersSettings.read()


@cache
def _database() -> Database:
    return Database(_settings().database, application_name="sluice-dead-letters")
