"""Credentials of PostgreSQL's login roles: from Secrets Manager, or a token of IAM."""

import msgspec

from sluice.aws import clients, secrets
from sluice.failures import Outage
from sluice.settings import DatabaseSettings


class Credentials(msgspec.Struct, frozen=True):
    """A login role and its password: secret, so the password is in no representation of it."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


def login(settings: DatabaseSettings) -> Credentials:
    """Return what opens a connection: the secret's login, or with IAM authentication a token for the next 15 minutes.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
    Raises Outage when there is none.
    """
    if settings.secret_id:
        return read(settings.secret_id)
    try:
        token = clients.client("rds").generate_db_auth_token(
            DBHostname=settings.host, Port=settings.port, DBUsername=settings.username
        )
    except clients.errors() as error:
        raise Outage(f"rds: {clients.reason(error)}") from None
    return Credentials(settings.username, token)


def read(secret_id: str) -> Credentials:
    """Read the secret of a login role. Raises Outage when it cannot be read, or is not what it must be."""
    try:
        return msgspec.json.decode(secrets.read(secret_id), type=Credentials)
    except msgspec.DecodeError:
        raise Outage("database secret: must be a JSON object with `username` and `password`") from None
