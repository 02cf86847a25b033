"""Secrets Manager: the id of a secret in, what it holds out."""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from sluice.aws import clients
from sluice.failures import Outage
from sluice.settings import DatabaseSettings
from sluice.tokens import Keyset

KEYSET_SECONDS = 300  # a key added to the keyset is in use everywhere five minutes later
# Who has read the keyset just before it changed makes tokens of the older key for so long, and one batch more (60 s);
# the rest is for clocks that differ.
SETTLING = timedelta(seconds=2 * KEYSET_SECONDS)


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
        return credentials(settings.secret_id)
    try:
        token = clients.client("rds").generate_db_auth_token(
            DBHostname=settings.host, Port=settings.port, DBUsername=settings.username
        )
    except clients.errors() as error:
        raise Outage(f"rds: {clients.reason(error)}") from None
    return Credentials(settings.username, token)


def credentials(secret_id: str) -> Credentials:
    """Read the secret of a login role. Raises Outage when it cannot be read, or is not what it must be."""
    try:
        return msgspec.json.decode(_read(secret_id), type=Credentials)
    except msgspec.DecodeError:
        raise Outage("database secret: must be a JSON object with `username` and `password`") from None


def keyset(secret_id: str) -> Keyset:
    """Read the keyset, at most every five minutes. Raises Outage when it cannot be read, or is not what it must be."""
    return _keyset(secret_id, period=int(time.time() // KEYSET_SECONDS))


def forget_keyset() -> None:
    """Have the keyset read again with the next batch, whatever the time: the one that was read may be the wrong one."""
    _keyset.cache_clear()


def newest_keyset(secret_id: str) -> Keyset:
    """Read the keyset now: whoever looks for tokens must know every key under which others make them."""
    return Keyset.parse(_read(secret_id))


class KeysetVersion(NamedTuple):
    """The keyset, and since when it is this one: others may use the one before for KEYSET_SECONDS more."""

    keyset: Keyset
    created_at: datetime  # UTC, by the clock of AWS

    @property
    def settled_at(self) -> datetime:
        """From when on nobody works with the one before."""
        return self.created_at + SETTLING


def keyset_version(secret_id: str) -> KeysetVersion:
    """Read the keyset now. Raises Outage when it cannot be read, or is not what it must be."""
    found = _get(secret_id)
    return KeysetVersion(Keyset.parse(str(found["SecretString"])), found["CreatedDate"])


def put_keyset(secret_id: str, keyset: Keyset) -> None:
    """Replace the keyset. Raises Outage when it cannot be."""
    members = {"current": keyset.current} | {str(number): key for number, key in sorted(keyset.keys.items())}
    try:
        text = msgspec.json.encode(members).decode()
        clients.client("secretsmanager").put_secret_value(SecretId=secret_id, SecretString=text)
    except clients.errors() as error:
        raise Outage(f"secrets manager: {clients.reason(error)}") from None


@lru_cache(maxsize=1)
def _keyset(secret_id: str, period: int) -> Keyset:
    return Keyset.parse(_read(secret_id))


def _read(secret_id: str) -> str:
    return str(_get(secret_id)["SecretString"])


def _get(secret_id: str) -> Mapping[str, Any]:
    manager = clients.client("secretsmanager")
    try:
        found: Mapping[str, Any] = manager.get_secret_value(SecretId=secret_id)
    except clients.errors() as error:
        raise Outage(f"secrets manager: {clients.reason(error)}") from None  # the text holds account and secret ids
    return found
