"""Secrets Manager: the id of a secret in, what it holds out."""

import time
from functools import lru_cache

import msgspec

from sluice import aws
from sluice.failures import Outage
from sluice.tokens import Keyset

KEYSET_SECONDS = 300  # a key added to the keyset is in use everywhere five minutes later


class Credentials(msgspec.Struct, frozen=True):
    """A login role and its password: secret, so the password is in no representation of it."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


def credentials(secret_id: str) -> Credentials:
    """Read the secret of a login role. Raises Outage when it cannot be read, or is not what it must be."""
    try:
        return msgspec.json.decode(_read(secret_id), type=Credentials)
    except msgspec.DecodeError:
        raise Outage("database secret: must be a JSON object with `username` and `password`") from None


def keyset(secret_id: str) -> Keyset:
    """Read the keyset, at most every five minutes. Raises Outage when it cannot be read, or is not what it must be."""
    return _keyset(secret_id, period=int(time.monotonic() // KEYSET_SECONDS))


@lru_cache(maxsize=1)
def _keyset(secret_id: str, period: int) -> Keyset:
    return Keyset.parse(_read(secret_id))


def _read(secret_id: str) -> str:
    manager = aws.client("secretsmanager")
    try:
        return str(manager.get_secret_value(SecretId=secret_id)["SecretString"])
    except aws.errors() as error:
        raise Outage(f"secrets manager: {type(error).__name__}") from None  # the text holds account and secret ids
