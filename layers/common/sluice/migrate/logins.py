"""The login roles. Missing ones are made; each gets its secret's password, the rights to come in and our settings.

A role may change its own password and settings, and PostgreSQL offers no way to forbid that. So every deployment sets
all of them anew.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

import scramp

from sluice.migrate.failures import MigrationFailed
from sluice.postgres import sqlstate
from sluice.postgres.credentials import Credentials
from sluice.postgres.database import SCHEMA, SETTINGS
from sluice.postgres.driver import Connection, DatabaseError, identifier, literal

LONGEST_NAME = 63  # bytes; PostgreSQL cuts off what is longer (https://www.postgresql.org/docs/current/limits.html)
ADMIN_IS_NEEDED = 160_000  # from this version on a change of a role takes ADMIN on it beside CREATEROLE


class _Known(NamedTuple):
    """What the server says of itself and of a role."""

    database: str
    version: int
    is_ours_to_change: bool


def check_names(roles: Mapping[str, Credentials]) -> None:
    """Raise MigrationFailed for a name that PostgreSQL would cut off: several roles would become one."""
    for role, credentials in roles.items():
        if len(credentials.username.encode()) > LONGEST_NAME:
            raise MigrationFailed(
                f"role {role}: its name {credentials.username} is longer than {LONGEST_NAME} bytes;"
                " give the stack a shorter name"
            )


def make_roles(connection: Connection, roles: Mapping[str, Credentials]) -> None:
    """Make the login roles that are missing, without a password. Raises MigrationFailed."""
    for credentials in roles.values():
        if not connection.run("SELECT FROM pg_roles WHERE rolname = :name", name=credentials.username):
            _create(connection, credentials.username)


def set_role(connection: Connection, credentials: Credentials, login_by_iam: bool) -> None:
    """Bring the login role to what it must be, except how it logs in: see `set_iam`. Raises MigrationFailed.

    Only the password's verifier is sent to the server.
    """
    name = credentials.username
    role = identifier(name)
    known = _look_up(connection, name)
    _keep_admin(connection, name, known, login_by_iam)
    in_database = f"ALTER ROLE {role} IN DATABASE {identifier(known.database)}"
    # The settings are in force before a transaction begins. Nothing depends on that: each transaction sets them, too.
    statements = [
        f"ALTER ROLE {role} PASSWORD {literal(scram_verifier(credentials.password))}",
        f"ALTER ROLE {role} RESET ALL",
        f"{in_database} RESET ALL",
        *(f"{in_database} SET {setting} = {value}" for setting, value in SETTINGS.items()),
    ]
    connection.run("; ".join(statements))
    _let_in(connection, name, known.database)


def set_iam(connection: Connection, roles: Mapping[str, Credentials], login_by_iam: bool) -> None:
    """Make the roles members of `rds_iam`, or none of them. Raises MigrationFailed.

    RDS takes no password of a member, and no token of anybody else.
    """
    to_change = _with_another_login(connection, roles, login_by_iam)
    if not to_change:
        return
    names = ", ".join(str(identifier(name)) for name in to_change)
    statement = f"GRANT rds_iam TO {names}" if login_by_iam else f"REVOKE rds_iam FROM {names}"
    connection.run("SAVEPOINT login")
    try:
        connection.run(statement)
    except DatabaseError as error:
        if sqlstate.of(error) == sqlstate.UNDEFINED_OBJECT:
            raise MigrationFailed("the server has no role rds_iam: DatabaseLogin=iam is for RDS and Aurora") from None
        if sqlstate.of(error) != sqlstate.INSUFFICIENT_PRIVILEGE:
            raise
        connection.run("ROLLBACK TO SAVEPOINT login")
    # Where somebody else made a role a member, PostgreSQL only warns.
    if _with_another_login(connection, roles, login_by_iam):
        raise MigrationFailed(
            "the owner may not change who is in rds_iam; as a member of rds_superuser, or a superuser, run:"
            f" {statement}"
        )


def grant_of_admin(connection: Connection, name: str) -> str:
    """Return what a superuser runs to let the owner, who is connected, change the role: from PostgreSQL 16 on."""
    return f"GRANT {identifier(name)} TO {_owner(connection)} WITH ADMIN TRUE, INHERIT FALSE"


def scram_verifier(password: str) -> str:
    """Return what PostgreSQL stores of a password (RFC 5803): `SCRAM-SHA-256$<iterations>:<salt>$<keys>`."""
    salt, stored_key, server_key, iterations = scramp.ScramMechanism("SCRAM-SHA-256").make_auth_info(password)
    encoded_salt, *keys = (b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${iterations}:{encoded_salt}${':'.join(keys)}"


def _create(connection: Connection, name: str) -> None:
    try:
        connection.run(f"CREATE ROLE {identifier(name)} LOGIN")
    except DatabaseError as error:
        if sqlstate.of(error) != sqlstate.INSUFFICIENT_PRIVILEGE:
            raise
        raise MigrationFailed(
            f"role {name}: the owner may make no roles; as a superuser run: ALTER ROLE {_owner(connection)} CREATEROLE"
        ) from None


def _look_up(connection: Connection, name: str) -> _Known:
    rows: Any = connection.run(
        "SELECT current_database()::text, current_setting('server_version_num')::integer,"
        " pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION') FROM pg_roles WHERE rolname = :name",
        name=name,
    )
    return _Known(*rows[0])


def _keep_admin(connection: Connection, name: str, known: _Known, login_by_iam: bool) -> None:
    """See that the owner has ADMIN on the role. Raises MigrationFailed where it has not and cannot get it.

    Before PostgreSQL 16 CREATEROLE suffices to change any role, and gives no ADMIN on those that it makes. A major
    upgrade would then leave the owner without any say. Where roles log in by IAM the owner stays out of them: RDS
    wants a token of everybody who is in `rds_iam`, indirectly too, unless the membership inherits nothing.
    """
    role = identifier(name)
    if known.version < ADMIN_IS_NEEDED:
        if login_by_iam:
            connection.run(f"REVOKE {role} FROM CURRENT_USER")
        elif not known.is_ours_to_change:
            connection.run(f"GRANT {role} TO CURRENT_USER WITH ADMIN OPTION")
    elif not known.is_ours_to_change:
        raise MigrationFailed(
            f"role {name}: the owner may not change it, as after a major upgrade of PostgreSQL; as a superuser run:"
            f" {grant_of_admin(connection, name)}"
        )


def _let_in(connection: Connection, name: str, database: str) -> None:
    """Let the role into the database and the schema: PUBLIC may have lost these rights. Raises MigrationFailed."""
    rights = (f"CONNECT ON DATABASE {identifier(database)}", f"USAGE ON SCHEMA {SCHEMA}")
    role = identifier(name)
    connection.run("; ".join(f"GRANT {right} TO {role}" for right in rights))
    # Where the owner may not give what it has, PostgreSQL only warns.
    rows: Any = connection.run(
        f"SELECT has_database_privilege(oid, current_database(), 'CONNECT'),"
        f" has_schema_privilege(oid, {literal(SCHEMA)}, 'USAGE') FROM pg_roles WHERE rolname = :name",
        name=name,
    )
    for right, is_given in zip(rights, rows[0], strict=True):
        if not is_given:
            raise MigrationFailed(
                f"role {name}: the owner may not let it in; as a superuser run: GRANT {right} TO {role}"
            )


def _with_another_login(connection: Connection, roles: Mapping[str, Credentials], login_by_iam: bool) -> list[str]:
    rows = connection.run(
        "SELECT rolname::text FROM pg_roles r WHERE rolname = ANY(:names) AND CAST(:login_by_iam AS boolean) <> EXISTS"
        " (SELECT FROM pg_auth_members m WHERE m.member = r.oid AND pg_get_userbyid(roleid) = 'rds_iam') ORDER BY 1",
        names=[credentials.username for credentials in roles.values()],
        login_by_iam=login_by_iam,
    )
    return [name for (name,) in rows or []]


def _owner(connection: Connection) -> str:
    return str(identifier(connection.user.decode()))
