"""Secrets: what Secrets Manager holds is read, and shown to nobody."""

import traceback
from types import SimpleNamespace

import pytest

from sluice.failures import Outage
from sluice.postgres import credentials
from sluice.postgres.credentials import Credentials
from sluice.pseudonyms import keyset_secret
from sluice.pseudonyms.keyset import Keyset
from tests.unit.fakes import KEYSET
from tools.testing.aws.account import FakeAws

RULE = "database secret: must be a JSON object with `username` and `password`"


def test_credentials_are_read_as_rds_writes_them(aws: FakeAws) -> None:
    secret = '{"username": "owner", "password": "p\\u0000w", "engine": "postgres", "port": 5432}'
    aws.secretsmanager.secrets["rds"] = secret
    assert credentials.read("rds") == Credentials("owner", "p\0w")


def test_credentials_show_no_password() -> None:
    credentials = Credentials("owner", "pa55word")
    shown = "Credentials(username='owner')"
    assert (repr(credentials), str(credentials), f"{credentials}") == (shown, shown, shown)


@pytest.mark.parametrize(
    "text", ["", "pa55word", "[]", "{}", '{"username": "pa55word"}', '{"username": "owner", "password": ["pa55word"]}']
)
def test_a_bad_secret_is_an_outage_that_names_the_rule_and_shows_nothing_of_it(text: str, aws: FakeAws) -> None:
    aws.secretsmanager.secrets["login"] = text
    with pytest.raises(Outage) as caught:
        credentials.read("login")
    assert str(caught.value) == RULE
    told = "".join(traceback.format_exception(caught.value))
    assert ("pa55word" in told, "During handling of" in told) == (False, False)


def test_a_secret_that_cannot_be_read_is_an_outage_that_shows_no_id(aws: FakeAws) -> None:
    secret_id = "-".join(["no", "such", "secret"])
    with pytest.raises(Outage) as caught:
        credentials.read(secret_id)
    assert str(caught.value) == "secrets manager: ResourceNotFoundException"
    assert secret_id not in "".join(traceback.format_exception(caught.value))


def test_the_keyset_is_read_once_in_five_minutes(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(keyset_secret, "time", SimpleNamespace(time=lambda: now))
    first = keyset_secret.recent("keyset")
    aws.secretsmanager.secrets["keyset"] = KEYSET.replace("1" * 64, "2" * 64)
    now = 299.9
    assert keyset_secret.recent("keyset") is first
    now = 300.0
    assert keyset_secret.recent("keyset").keys == {1: "2" * 64}


def test_a_keyset_that_cannot_be_read_is_asked_for_again(aws: FakeAws) -> None:
    aws.fail_with("AccessDeniedException")
    with pytest.raises(Outage):
        keyset_secret.recent("keyset")
    aws.fail_with("")
    assert isinstance(keyset_secret.recent("keyset"), Keyset)
