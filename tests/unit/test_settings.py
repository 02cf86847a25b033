"""Settings: what the template sets, and one clear error for what it does not."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from sluice.settings import (
    ROLES,
    DatabaseSettings,
    IngestSettings,
    MigrateSettings,
    SettingError,
    TripSettings,
    VaultSettings,
)

ENVIRONMENT = {
    "STREAM": "user_logins",
    "TOKEN_KEY_SECRET_ID": "keyset",
    **{f"{role.upper()}_SECRET_ID": role for role in ROLES},
    "VAULT_KEY_ID": "arn:aws:kms:eu-central-1:123456789012:key/vault",
    "STACK_NAME": "sluice",
    "DATABASE_HOST": "db.example.com",
    "DATABASE_PORT": "5432",
    "DATABASE_NAME": "sluice",
    "DATABASE_SECRET_ID": "login",
    "DATABASE_TLS": "disable",
    "DATABASE_CA": "/opt/ca.pem",
}
DATABASE = DatabaseSettings(
    host="db.example.com",
    port=5432,
    name="sluice",
    secret_id="login",
    username="",
    tls="disable",
    certificate_authority=Path("/opt/ca.pem"),
)


def test_a_trip_needs_no_setting() -> None:
    assert TripSettings.read({}) == TripSettings(stream_or_unknown="unknown", breaker_parameter=None)
    told = TripSettings.read({"STREAM": "user_logins", "BREAKER_PARAMETER": "/sluice/s/breaker/user_logins"})
    assert (told.stream_or_unknown, told.breaker_parameter) == ("user_logins", "/sluice/s/breaker/user_logins")


def test_settings_are_read_from_the_environment() -> None:
    assert IngestSettings.read(ENVIRONMENT) == IngestSettings(
        stream="user_logins",
        code_version="",
        token_key_secret_id="keyset",
        database=DATABASE,
        vault=VaultSettings(key_id="arn:aws:kms:eu-central-1:123456789012:key/vault", stack="sluice"),
        payload_bucket=None,
    )
    assert MigrateSettings.read(ENVIRONMENT) == MigrateSettings(
        role_secret_ids={role: role for role in ROLES},
        login_by_iam=False,
        token_key_secret_id="keyset",
        database=DATABASE,
    )


@pytest.mark.parametrize("unset", [{}, {"DATABASE_TLS": "", "DATABASE_CA": ""}], ids=["missing", "empty"])
def test_the_server_is_verified_by_known_authorities_unless_told_otherwise(unset: dict[str, str]) -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if name not in ("DATABASE_TLS", "DATABASE_CA")}
    database = DatabaseSettings.read(environment | unset)
    assert (database.tls, database.certificate_authority) == ("verify-full", None)


@pytest.mark.parametrize("empty", [False, True], ids=["missing", "empty"])
@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (settings, name)
        for settings, own in [(IngestSettings, "STREAM"), (MigrateSettings, "INGEST_SECRET_ID")]
        for name in (
            own,
            "TOKEN_KEY_SECRET_ID",
            "DATABASE_HOST",
            "DATABASE_PORT",
            "DATABASE_NAME",
        )
    ],
)
def test_a_missing_setting_is_an_error_that_names_it(
    settings: type[IngestSettings | MigrateSettings], name: str, empty: bool
) -> None:
    environment = {other: value for other, value in ENVIRONMENT.items() if other != name}
    with pytest.raises(SettingError) as caught:
        settings.read(environment | ({name: ""} if empty else {}))
    assert str(caught.value) == f"{name}: must be set"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "5432.0", "postgres", " 5432", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_a_bad_port_is_an_error_that_names_it(port: str) -> None:
    with pytest.raises(SettingError) as caught:
        DatabaseSettings.read(ENVIRONMENT | {"DATABASE_PORT": port})
    assert str(caught.value) == "DATABASE_PORT: must be a port number"


@pytest.mark.parametrize("port", [1, 65535])
def test_every_port_is_allowed(port: int) -> None:
    assert DatabaseSettings.read(ENVIRONMENT | {"DATABASE_PORT": str(port)}).port == port


@pytest.mark.parametrize("tls", ["require", "prefer", "VERIFY-FULL", "false"])
def test_encryption_that_does_not_verify_is_no_choice(tls: str) -> None:
    with pytest.raises(SettingError) as caught:
        DatabaseSettings.read(ENVIRONMENT | {"DATABASE_TLS": tls})
    assert str(caught.value) == "DATABASE_TLS: must be verify-full or disable"


def test_without_a_secret_the_login_is_by_iam_and_has_a_name_and_tls() -> None:
    environment = ENVIRONMENT | {"DATABASE_SECRET_ID": "", "DATABASE_TLS": "verify-full", "DATABASE_USERNAME": "role"}
    database = DatabaseSettings.read(environment)
    assert (database.secret_id, database.username) == ("", "role")
    with pytest.raises(SettingError, match=r"^DATABASE_USERNAME: must be set$"):
        DatabaseSettings.read(environment | {"DATABASE_USERNAME": ""})
    with pytest.raises(SettingError, match=r"^DATABASE_SECRET_ID: must be set without TLS, "):
        DatabaseSettings.read(environment | {"DATABASE_TLS": "disable"})


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        DATABASE.port = 1  # type: ignore[misc]
