"""A call of the function's URL in; rows of the audit log, or whether all are as they were appended, out."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice import audit_chain, function_url, telemetry
from sluice.audit_chain import Request
from sluice.deadline import Deadline
from sluice.postgres.database import Database
from sluice.settings import AuditSettings


@telemetry.logger.inject_lambda_context(log_event=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer `{"action": "verify", "heads": […]}` or `{"action": "list", "after": …, "limit": …}`."""
    deadline = Deadline.of(context)

    def work(actor: str, request: Request) -> dict[str, Any]:
        return audit_chain.run(_database(), request, deadline)

    return function_url.answer(event, Request, _settings().allow_unverified_caller, work)


@cache
def _settings() -> AuditSettings:
    return AuditSettings.read()


@cache
def _database() -> Database:
    return Database(_settings().database, application_name="sluice-audit")
