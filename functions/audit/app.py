"""A call of the function's URL in; rows of the audit log, or whether all are as they were appended, out."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice import telemetry
from sluice.deadline import Deadline
from sluice.operators import call
from sluice.operators.audit import chain
from sluice.operators.audit.chain import Request
from sluice.postgres.database import Database
from sluice.settings import AuditSettings


@telemetry.logger.inject_lambda_context(log_event=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer `{"action": "verify", "heads": […]}` or `{"action": "list", "after": …, "limit": …}`."""
    deadline = Deadline.of(context)

    def work(actor: str, request: Request) -> dict[str, Any]:
        return chain.run(_database(), request, deadline)

    return call.answer(event, Request, _settings().allow_unverified_caller, work)


@cache
def _settings() -> AuditSettings:
    return AuditSettings.read()


@cache
def _database() -> Database:
    return Database(_settings().database, application_name="sluice-audit")
