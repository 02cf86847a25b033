"""The examination: everything that can be known of a database by looking at it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sluice.deadline import Deadline
from sluice.declaration.registry import load_all
from sluice.failures import Outage
from sluice.migrate.doctor import keys, owner, rights, roles, schema, server
from sluice.migrate.doctor.finding import Finding
from sluice.migrate.doctor.subject import Subject
from sluice.migrate.failures import MigrationFailed
from sluice.postgres import credentials
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.pseudonyms import keyset_secret
from sluice.settings import DatabaseSettings, MigrateSettings
from sluice.telemetry import logger

APPLICATION_NAME = "sluice-doctor"
LOGINS = "logins"
# In this order. Each is looked at in a transaction of its own: where one fails, the others go on.
AREAS: Mapping[str, Callable[[Connection, Subject], Iterator[Finding]]] = {
    room.AREA: room.findings for room in (server, owner, roles, rights, schema, keys)
}


class Request(msgspec.Struct, frozen=True):
    """What a call of the function says of the stack."""

    connections: Annotated[int, Meta(ge=0, le=100_000)] = 0  # that the streams may have open at a time


class BadRequest(Exception):
    """The event does not ask for a valid examination: says which rule it breaks."""


def answer(asked: object, settings: MigrateSettings, deadline: Deadline) -> Mapping[str, Any]:
    """Examine a stack's database and return `{"findings": […]}`. Raises BadRequest."""
    try:
        request = msgspec.convert(asked, Request)
    except msgspec.ValidationError:
        raise BadRequest("event: doctor must be an object, and its connections a number") from None
    found = of_stack(settings, request, deadline)
    counts = Counter(finding.severity for finding in found)
    logger.info("database examined", fails=counts["fails"], warns=counts["warns"])
    return {"findings": msgspec.to_builtins(found)}


def of_stack(settings: MigrateSettings, request: Request, deadline: Deadline) -> list[Finding]:
    """Look at a stack's database, with what the migrations have at hand: the secrets of all logins and the keyset."""
    found: list[Finding] = []
    roles, keyset = {}, None
    for role, secret_id in settings.role_secret_ids.items():
        try:
            roles[role] = credentials.read(secret_id).username
        except Outage as error:
            found.append(Finding(LOGINS, "fails", str(error), role))
    try:
        keyset = keyset_secret.newest(settings.token_key_secret_id)
    except Outage as error:
        found.append(Finding(keys.AREA, "fails", str(error)))
    subject = Subject(
        settings.database, load_all(), roles, request.connections, True, settings.login_by_iam, keyset=keyset
    )
    database = Database(settings.database, APPLICATION_NAME)
    try:
        found += examine(database, subject, deadline)
    finally:
        database.close()
    is_reached = any(finding.area == owner.AREA for finding in found)
    return [*found, *(_log_in(settings, roles, deadline) if is_reached else [])]


def examine(database: Database, subject: Subject, deadline: Deadline) -> list[Finding]:
    """Look at a database as its owner, and change nothing in it."""
    found: list[Finding] = []
    for area, look in AREAS.items():
        try:
            found += database.transact(partial(_read, look, subject), deadline, undo=True)
        except (Outage, MigrationFailed) as error:
            found.append(Finding(area, "fails", str(error)))
            if area == server.AREA:
                return found  # nobody gets further
    return found


def _log_in(settings: MigrateSettings, roles: Mapping[str, str], deadline: Deadline) -> list[Finding]:
    """Log in with each role's secret, as the functions do."""
    if settings.login_by_iam:
        sentence = "Not tried: with the login by IAM each function alone may log in as its role."
        return [Finding(LOGINS, "unknown", sentence)]
    secret_ids = settings.role_secret_ids
    tried = [_log_in_as(name, settings.database, secret_ids[role], deadline) for role, name in roles.items()]
    failed = [finding for finding in tried if finding]
    return [Finding(LOGINS, "good", f"{len(tried) - len(failed)} of {len(secret_ids)} roles log in"), *failed]


def _log_in_as(name: str, owners: DatabaseSettings, secret_id: str, deadline: Deadline) -> Finding | None:
    database = Database(replace(owners, secret_id=secret_id), APPLICATION_NAME)
    try:
        database.transact(lambda connection: connection.run("SELECT"), deadline, undo=True)
    except Outage as error:
        return Finding(LOGINS, "fails", str(error), name)
    finally:
        database.close()
    return None


def _read(
    look: Callable[[Connection, Subject], Iterator[Finding]], subject: Subject, connection: Connection
) -> list[Finding]:
    connection.run("SET TRANSACTION READ ONLY")
    return list(look(connection, subject))
