"""The login roles: made where one is missing, each with the password of its secret."""

from base64 import b64encode

import scramp

from sluice.postgres.credentials import Credentials
from sluice.postgres.driver import Connection, identifier, literal


def set_role(connection: Connection, credentials: Credentials, login_by_iam: bool) -> None:
    """Create the login role where it is missing, and set its password: the server is sent the verifier alone.

    RDS takes no password of a member of `rds_iam`, and no token of anybody else.
    """
    role = identifier(credentials.username)
    if not connection.run("SELECT FROM pg_roles WHERE rolname = :name", name=credentials.username):
        connection.run(f"CREATE ROLE {role} LOGIN")
    connection.run(f"ALTER ROLE {role} PASSWORD {literal(scram_verifier(credentials.password))}")
    if login_by_iam:
        connection.run(f"GRANT rds_iam TO {role}")
    elif connection.run("SELECT FROM pg_roles WHERE rolname = 'rds_iam'"):
        connection.run(f"REVOKE rds_iam FROM {role}")


def scram_verifier(password: str) -> str:
    """Return what PostgreSQL stores of a password (RFC 5803): `SCRAM-SHA-256$<iterations>:<salt>$<keys>`."""
    salt, stored_key, server_key, iterations = scramp.ScramMechanism("SCRAM-SHA-256").make_auth_info(password)
    encoded_salt, *keys = (b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${iterations}:{encoded_salt}${':'.join(keys)}"
