"""Environment variables in, one frozen settings object out. The template sets them all."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROLES = (
    "ingest",
    "reveal",
    "forget",
    "rekey",
    "audit",
    "dead_letters",
)  # the login roles that the migrations name; the secret of each is in `<ROLE>_SECRET_ID`


class SettingError(Exception):
    """A setting is missing or bad: says which, and what it must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where PostgreSQL is, and as whom to talk to it."""

    host: str
    port: int
    name: str
    secret_id: str  # holds `username` and `password`; empty for IAM authentication
    username: str  # of IAM authentication
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
        secret_id = environment.get("DATABASE_SECRET_ID", "")
        if not secret_id and tls == "disable":
            raise SettingError("DATABASE_SECRET_ID: must be set without TLS, since IAM authentication wants TLS")
        return cls(
            host=_required(environment, "DATABASE_HOST"),
            port=int(port),
            name=_required(environment, "DATABASE_NAME"),
            secret_id=secret_id,
            username="" if secret_id else _required(environment, "DATABASE_USERNAME"),
            tls=tls,
            certificate_authority=Path(authority) if authority else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """The KMS key that wraps the vault's data keys, and the stack they belong to."""

    key_id: str  # an ARN
    stack: str

    @property
    def encryption_context(self) -> Mapping[str, str]:
        """What KMS demands to hear again when it opens a data key."""
        return {"app": "sluice", "purpose": "vault", "stack": self.stack}

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the vault's settings. Raises SettingError when one is missing or bad."""
        key_id = _required(environment, "VAULT_KEY_ID")
        if not key_id.startswith("arn:"):
            raise SettingError("VAULT_KEY_ID: must be an ARN, which says what a data key was wrapped by")
        return cls(key_id=key_id, stack=_required(environment, "STACK_NAME"))


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """What the ingest function is told."""

    stream: str
    token_key_secret_id: str
    breaker_parameter: str | None  # the SSM parameter that remembers a trip; None: nothing trips
    database: DatabaseSettings
    vault: VaultSettings

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the function's settings. Raises SettingError when one is missing or bad."""
        return cls(
            stream=_required(environment, "STREAM"),
            token_key_secret_id=_required(environment, "TOKEN_KEY_SECRET_ID"),
            breaker_parameter=environment.get("BREAKER_PARAMETER") or None,
            database=DatabaseSettings.read(environment),
            vault=VaultSettings.read(environment),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """What the breaker function is told: all that ingest needs, and whose parameters are the stack's."""

    stack: str
    token_key_secret_id: str
    database: DatabaseSettings
    vault: VaultSettings

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the function's settings. Raises SettingError when one is missing or bad."""
        return cls(
            stack=_required(environment, "STACK_NAME"),
            token_key_secret_id=_required(environment, "TOKEN_KEY_SECRET_ID"),
            database=DatabaseSettings.read(environment),
            vault=VaultSettings.read(environment),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetSettings:
    """What the forget function is told."""

    token_key_secret_id: str
    allow_unverified_caller: bool  # on one's own machine, where nobody verifies who calls
    database: DatabaseSettings

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the function's settings. Raises SettingError when one is missing or bad."""
        return cls(
            token_key_secret_id=_required(environment, "TOKEN_KEY_SECRET_ID"),
            allow_unverified_caller=environment.get("ALLOW_UNVERIFIED_CALLER") == "true",
            database=DatabaseSettings.read(environment),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealSettings:
    """What the reveal function is told."""

    token_key_secret_id: str
    daily_limit: int  # values that a caller may ask for in a day, UTC
    allow_unverified_caller: bool  # on one's own machine, where nobody verifies who calls
    database: DatabaseSettings
    vault: VaultSettings

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the function's settings. Raises SettingError when one is missing or bad."""
        daily_limit = _required(environment, "DAILY_LIMIT")
        if not (daily_limit.isascii() and daily_limit.isdigit() and len(daily_limit) < 10):
            raise SettingError("DAILY_LIMIT: must be a number of values")
        return cls(
            token_key_secret_id=_required(environment, "TOKEN_KEY_SECRET_ID"),
            daily_limit=int(daily_limit),
            allow_unverified_caller=environment.get("ALLOW_UNVERIFIED_CALLER") == "true",
            database=DatabaseSettings.read(environment),
            vault=VaultSettings.read(environment),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """What the audit function is told."""

    allow_unverified_caller: bool  # on one's own machine, where nobody verifies who calls
    database: DatabaseSettings

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the function's settings. Raises SettingError when one is missing or bad."""
        return cls(
            allow_unverified_caller=environment.get("ALLOW_UNVERIFIED_CALLER") == "true",
            database=DatabaseSettings.read(environment),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeySettings:
    """What the rekey function is told."""

    token_key_secret_id: str
    allow_unverified_caller: bool  # on one's own machine, where nobody verifies who calls
    database: DatabaseSettings
    vault: VaultSettings  # its key is the one that data keys are moved to

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the function's settings. Raises SettingError when one is missing or bad."""
        return cls(
            token_key_secret_id=_required(environment, "TOKEN_KEY_SECRET_ID"),
            allow_unverified_caller=environment.get("ALLOW_UNVERIFIED_CALLER") == "true",
            database=DatabaseSettings.read(environment),
            vault=VaultSettings.read(environment),
        )


@dataclass(frozen=True, slots=True)
class Queues:
    """The URLs of a stream's queue and of its dead-letter queue."""

    queue: str
    dead_letters: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettersSettings:
    """What the dead letters' function is told."""

    queues: Mapping[str, Queues]  # by stream
    token_key_secret_id: str
    allow_unverified_caller: bool  # on one's own machine, where nobody verifies who calls
    database: DatabaseSettings

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the function's settings. Raises SettingError when one is missing or bad."""
        try:
            queues = {stream: Queues(**urls) for stream, urls in json.loads(_required(environment, "QUEUES")).items()}
        except (ValueError, TypeError, AttributeError):
            raise SettingError(
                'QUEUES: must be JSON, {"<stream>": {"queue": "<URL>", "dead_letters": "<URL>"}}'
            ) from None
        return cls(
            queues=queues,
            token_key_secret_id=_required(environment, "TOKEN_KEY_SECRET_ID"),
            allow_unverified_caller=environment.get("ALLOW_UNVERIFIED_CALLER") == "true",
            database=DatabaseSettings.read(environment),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateSettings:
    """What the migrate function is told: it connects as the owner, and gives each role the password of its secret."""

    role_secret_ids: Mapping[str, str]
    login_by_iam: bool
    token_key_secret_id: str
    database: DatabaseSettings

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the function's settings. Raises SettingError when one is missing or bad."""
        return cls(
            role_secret_ids={role: _required(environment, f"{role.upper()}_SECRET_ID") for role in ROLES},
            login_by_iam=environment.get("DATABASE_LOGIN") == "iam",
            token_key_secret_id=_required(environment, "TOKEN_KEY_SECRET_ID"),
            database=DatabaseSettings.read(environment),
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise SettingError(f"{name}: must be set")
    return value
