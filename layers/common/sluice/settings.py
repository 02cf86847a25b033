"""The settings of the functions: environment variables, which the template sets, are read into frozen objects."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

type Environment = Mapping[str, str]

# The login roles that the migrations name; `<ROLE>_SECRET_ID` names the secret of each.
ROLES = ("ingest", "reveal", "forget", "rekey", "audit", "dead_letters", "maintain")


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
    certificate_authority: Path | None  # alone trusted to sign the server's certificate; None: the system's, and RDS's

    @classmethod
    def read(cls, environment: Environment = os.environ) -> Self:
        """Read the `DATABASE_…` settings. Raises SettingError when one is missing or bad."""
        port = _port(environment)
        tls = environment.get("DATABASE_TLS") or "verify-full"
        if tls not in ("verify-full", "disable"):
            raise SettingError("DATABASE_TLS: must be verify-full or disable")
        authority = environment.get("DATABASE_CA")
        secret_id = environment.get("DATABASE_SECRET_ID", "")
        if not secret_id and tls == "disable":
            raise SettingError("DATABASE_SECRET_ID: must be set without TLS, since IAM authentication wants TLS")
        return cls(
            host=_required(environment, "DATABASE_HOST"),
            port=port,
            name=_required(environment, "DATABASE_NAME"),
            secret_id=secret_id,
            username="" if secret_id else _required(environment, "DATABASE_USERNAME"),
            tls=tls,
            certificate_authority=Path(authority) if authority else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """The KMS key that wraps the vault's data keys, and the stack that they belong to."""

    key_id: str  # the ARN of the KMS key
    stack: str

    @property
    def encryption_context(self) -> Mapping[str, str]:
        """What KMS is told when it wraps a data key, and must be told again to open it."""
        return {"app": "sluice", "purpose": "vault", "stack": self.stack}

    def here(self, kms_key_arn: str) -> str:
        """Return the ARN of a KMS key in this region: a multi-Region key has the same id in each of its regions."""
        return self.key_id if kms_key_arn.rpartition("/")[2] == self.key_id.rpartition("/")[2] else kms_key_arn

    @classmethod
    def read(cls, environment: Environment = os.environ) -> Self:
        """Read the vault's settings. Raises SettingError when one is missing or bad."""
        key_id = _required(environment, "VAULT_KEY_ID")
        if not key_id.startswith("arn:"):
            raise SettingError("VAULT_KEY_ID: must be an ARN, which says what a data key was wrapped by")
        return cls(key_id=key_id, stack=_required(environment, "STACK_NAME"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _FunctionSettings:
    """What a function is told. Each of its members is read as `_READERS` says."""

    @classmethod
    def read(cls, environment: Environment = os.environ) -> Self:
        """Read the function's settings. Raises SettingError when one is missing or bad."""
        return cls(**{member.name: _READERS[member.name](environment) for member in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings(_FunctionSettings):
    """What the ingest function is told."""

    stream: str
    code_version: str
    token_key_secret_id: str
    database: DatabaseSettings
    vault: VaultSettings
    payload_bucket: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TripSettings(_FunctionSettings):
    """What the ingest function is told for a trip of the breaker. All is optional: a missing setting trips it, too."""

    stream_or_unknown: str
    breaker_parameter: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings(_FunctionSettings):
    """What the breaker function is told: what it needs to write as ingest does, and whose parameters it looks after."""

    stack: str
    token_key_secret_id: str
    database: DatabaseSettings
    vault: VaultSettings
    payload_bucket: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetSettings(_FunctionSettings):
    """What the forget function is told."""

    token_key_secret_id: str
    allow_unverified_caller: bool
    database: DatabaseSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealSettings(_FunctionSettings):
    """What the reveal function is told."""

    daily_limit: int
    token_key_secret_id: str
    allow_unverified_caller: bool
    database: DatabaseSettings
    vault: VaultSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings(_FunctionSettings):
    """What the audit function is told."""

    allow_unverified_caller: bool
    database: DatabaseSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeySettings(_FunctionSettings):
    """What the rekey function is told."""

    token_key_secret_id: str
    allow_unverified_caller: bool
    database: DatabaseSettings
    vault: VaultSettings  # its KMS key is the one that data keys are moved to


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettersSettings(_FunctionSettings):
    """What the dead letters' function is told."""

    stack: str
    token_key_secret_id: str
    allow_unverified_caller: bool
    database: DatabaseSettings
    payload_bucket: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintainSettings(_FunctionSettings):
    """What the maintain function is told."""

    database: DatabaseSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateSettings(_FunctionSettings):
    """What the migrate function is told: it connects as the owner, and gives each role the password of its secret."""

    role_secret_ids: Mapping[str, str]
    login_by_iam: bool
    token_key_secret_id: str
    database: DatabaseSettings


def _required(environment: Environment, name: str) -> str:
    value = environment.get(name)
    if not value:
        raise SettingError(f"{name}: must be set")
    return value


def _text(name: str) -> Callable[[Environment], str]:
    return lambda environment: _required(environment, name)


def _port(environment: Environment) -> int:
    port = _required(environment, "DATABASE_PORT")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise SettingError("DATABASE_PORT: must be a port number")
    return int(port)


def _daily_limit(environment: Environment) -> int:
    daily_limit = _required(environment, "DAILY_LIMIT")
    if not (daily_limit.isascii() and daily_limit.isdigit() and len(daily_limit) < 10):
        raise SettingError("DAILY_LIMIT: must be a number of values")
    return int(daily_limit)


def _code_version(environment: Environment) -> str:
    """Return names and versions of the layers: the ends of their ARNs."""
    return " ".join(arn.rpartition(":layer:")[2] for arn in environment.get("LAYERS", "").split())


# How a member of a function's settings is read, whichever function has it.
_READERS: Mapping[str, Callable[[Environment], Any]] = {
    "stream": _text("STREAM"),
    "stream_or_unknown": lambda environment: environment.get("STREAM") or "unknown",
    "code_version": _code_version,
    "stack": _text("STACK_NAME"),
    "token_key_secret_id": _text("TOKEN_KEY_SECRET_ID"),  # the secret that holds the keyset
    "database": DatabaseSettings.read,
    "vault": VaultSettings.read,
    # The SSM parameter that remembers a trip of the breaker. None: nothing trips.
    "breaker_parameter": lambda environment: environment.get("BREAKER_PARAMETER") or None,
    # True on one's own machine, where nobody verifies who calls.
    "allow_unverified_caller": lambda environment: environment.get("ALLOW_UNVERIFIED_CALLER") == "true",
    # The bucket of payloads that producers offload. None: no stream takes them.
    "payload_bucket": lambda environment: environment.get("PAYLOAD_BUCKET") or None,
    "daily_limit": _daily_limit,  # values that a caller may ask for in a day, UTC
    "role_secret_ids": lambda environment: {
        role: _required(environment, f"{role.upper()}_SECRET_ID") for role in ROLES
    },
    "login_by_iam": lambda environment: environment.get("DATABASE_LOGIN") == "iam",
}
