"""Show the audit log or the ledger, or verify the log, as a call of the function's URL asks."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice import telemetry
from sluice.deadline import Deadline
from sluice.operators import call
from sluice.operators.audit import chain, ledger
from sluice.postgres.database import Database
from sluice.settings import AuditSettings


@telemetry.logger.inject_lambda_context(log_event=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer `{"action": "verify", …}`, `{"action": "list", …}` or `{"action": "ledger", …}`."""
    deadline = Deadline.of(context)

    def work(actor: str, request: chain.Request | ledger.Request) -> dict[str, Any]:
        if isinstance(request, ledger.Request):
            return ledger.run(_database(), request, deadline)
        return chain.run(_database(), request, deadline)

    return call.answer(event, chain.Request | ledger.Request, _settings().allow_unverified_caller, work)


@cache
def _settings() -> AuditSettings:
    return AuditSettings.read()


@cache
def _database() -> Database:
    return Database(_settings().database, application_name="sluice-audit")
