"""Bring the database's schema, roles and check values up to date, as CloudFormation's custom resource."""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice import telemetry
from sluice.deadline import Deadline
from sluice.migrate import custom_resource, new_rights, schema
from sluice.migrate.doctor import examination
from sluice.postgres import credentials
from sluice.postgres.database import Database
from sluice.pseudonyms import keyset_secret
from sluice.settings import MigrateSettings

PHYSICAL_ID = "sluice-schema"  # constant: another one would make CloudFormation delete the one before


@telemetry.logger.inject_lambda_context(log_event=False)  # the event holds a URL that anyone may answer to
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Mapping[str, Any]:
    """Bring the database up to date and return `{"schema_version": …, "streams_version": …}`.

    A deployment fails when that fails. With `{"doctor": {…}}` it looks for what would fail, and changes nothing.
    """
    deadline = Deadline.of(context, custom_resource.ANSWER_SECONDS)
    if isinstance(event, Mapping) and "doctor" in event:
        return examination.answer(event["doctor"], MigrateSettings.read(), deadline)
    return custom_resource.answer(
        event, PHYSICAL_ID, deadline, lambda: new_rights.wait_for(lambda: _migrate(deadline), deadline)
    )


def _migrate(deadline: Deadline) -> Mapping[str, Any]:
    settings = MigrateSettings.read()
    database = Database(settings.database, application_name="sluice-migrate")
    try:
        versions = schema.migrate(
            database,
            roles={role: credentials.read(secret_id) for role, secret_id in settings.role_secret_ids.items()},
            keyset=keyset_secret.newest(settings.token_key_secret_id),
            deadline=deadline,
            login_by_iam=settings.login_by_iam,
        )
    finally:
        database.close()
    told = {"schema_version": versions.product, "streams_version": versions.streams}
    telemetry.logger.info("database up to date", extra=told)
    return told
