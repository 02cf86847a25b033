"""Environment variables in, one frozen settings object out. The template sets them all."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROLES = ("ingest",)  # the login roles that the migrations name; the secret of each is in `<ROLE>_SECRET_ID`


class SettingError(Exception):
    """A setting is missing or bad: says which, and what it must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where PostgreSQL is, and as whom to talk to it."""

    host: str
    port: int
    name: str
    secret_id: str  # holds `username` and `password`
    tls: str  # "verify-full", or "disable" for local use
    certificate_authority: Path | None  # where the system's store lacks the one that signed the server's certificate

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the `DATABASE_…` settings. Raises SettingError when one is missing or bad."""
        port = _required(environment, "DATABASE_PORT")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise SettingError("DATABASE_PORT: must be a port number")
        tls = environment.get("DATABASE_TLS") or "verify-full"
        if tls not in ("verify-full", "disable"):
            raise SettingError("DATABASE_TLS: must be verify-full or disable")
        authority = environment.get("DATABASE_CA")
        return cls(
            host=_required(environment, "DATABASE_HOST"),
            port=int(port),
            name=_required(environment, "DATABASE_NAME"),
            secret_id=_required(environment, "DATABASE_SECRET_ID"),
            tls=tls,
            certificate_authority=Path(authority) if authority else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """What the ingest function is told."""

    stream: str
    token_key_secret_id: str
    database: DatabaseSettings

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the function's settings. Raises SettingError when one is missing or bad."""
        return cls(
            stream=_required(environment, "STREAM"),
            token_key_secret_id=_required(environment, "TOKEN_KEY_SECRET_ID"),
            database=DatabaseSettings.read(environment),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateSettings:
    """What the migrate function is told: it connects as the owner, and gives each role the password of its secret."""

    role_secret_ids: Mapping[str, str]
    token_key_secret_id: str
    database: DatabaseSettings

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the function's settings. Raises SettingError when one is missing or bad."""
        return cls(
            role_secret_ids={role: _required(environment, f"{role.upper()}_SECRET_ID") for role in ROLES},
            token_key_secret_id=_required(environment, "TOKEN_KEY_SECRET_ID"),
            database=DatabaseSettings.read(environment),
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise SettingError(f"{name}: must be set")
    return value
