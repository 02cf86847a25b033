"""Secrets of Secrets Manager, as texts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sluice.aws import clients
from sluice.failures import Outage


class Version(NamedTuple):
    """The current version of a secret. Its text is in no representation of it."""

    text: str
    created_at: datetime  # UTC, by the clock of AWS

    def __repr__(self) -> str:
        return f"Version(created_at={self.created_at!r})"


def read(secret_id: str) -> str:
    """Return the text of a secret. Raises Outage when it cannot be read."""
    return str(_get(secret_id)["SecretString"])


def version(secret_id: str) -> Version:
    """Return the text of a secret, and when it was written. Raises Outage when it cannot be read."""
    found = _get(secret_id)
    return Version(str(found["SecretString"]), found["CreatedDate"])


def write(secret_id: str, text: str) -> None:
    """Make a text the secret's current version. Raises Outage when it cannot be written."""
    try:
        clients.client("secretsmanager").put_secret_value(SecretId=secret_id, SecretString=text)
    except clients.errors() as error:
        raise Outage(f"secrets manager: {clients.reason(error)}") from None  # the text holds account and secret ids


def _get(secret_id: str) -> Mapping[str, Any]:
    manager = clients.client("secretsmanager")
    try:
        found: Mapping[str, Any] = manager.get_secret_value(SecretId=secret_id)
    except clients.errors() as error:
        raise Outage(f"secrets manager: {clients.reason(error)}") from None  # the text holds account and secret ids
    return found
