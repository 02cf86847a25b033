"""The rekey function as its callers see it: a key added, data keys moved, how far it is; whatever breaks on the way."""

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sluice import telemetry
from sluice.operators.audit import audit_log
from sluice.operators.rekey import rewrap
from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import VaultSettings
from sluice.vault.sealing import WrappedDataKey, open_data_key
from streams.user_logins import UserLogin
from tests.integration.databases import TestDatabase, in_seconds
from tests.integration.environment import VAULT_KEY, Environment, OpenStore, write
from tests.integration.messages import KEY, KEYSET, login
from tests.integration.rekeying import CALLER, NEW, OLD, WHY, call, masked, secret_text
from tools.testing.aws.account import FakeAws

NEW_VAULT_KEY = "arn:aws:kms:eu-central-1:000000000000:key/vault-2"
ADD = {"action": "add_key", **WHY}
REWRAP = {"action": "rewrap", **WHY}
EVENTS = sorted((Path(__file__).parents[2] / "events").glob("rekey_*.json"))
STATUS = {"action": "status", **WHY}


@pytest.fixture
def rekey_functions(settings: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Environment]]:
    """Make execution environments of the rekey function."""
    monkeypatch.setenv("DATABASE_SECRET_ID", "rekey")
    opened: list[Environment] = []

    def make() -> Environment:
        opened.append(Environment("rekey"))
        return opened[-1]

    yield make
    for environment in opened:
        environment._app._database().close()


@pytest.fixture
def function(rekey_functions: Callable[[], Environment]) -> Environment:
    return rekey_functions()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> StringIO:
    """All that the function logs, at any level."""
    stream = StringIO()
    caplog.set_level(logging.DEBUG, telemetry.logger.name)
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", stream)
    return stream


def keys_in(fake_aws: FakeAws, secret_id: str) -> Keyset:
    return Keyset.parse(fake_aws.secretsmanager.secrets[secret_id])


def actions(database: TestDatabase) -> list[list[Any]]:
    return database.sql("SELECT actor, action, reason, ticket, counts FROM audit_log ORDER BY id")


def logged(action: str, **counts: int) -> list[Any]:
    return [CALLER, action, "key_rotation", "OPS-7", counts]


# A key is added


def test_a_key_is_added_then_known_to_the_database_then_current(
    function: Environment, database: TestDatabase, fake_aws: FakeAws, settings: str
) -> None:
    assert call(function, ADD) == (200, {"current": 2, "keys": 2})
    keyset = keys_in(fake_aws, settings)
    assert (keyset.current, keyset.keys[1], len(keyset.keys[2])) == (2, KEY, 64)
    assert dict(database.sql("SELECT number, check_value FROM token_key")) == keyset.check_values
    assert actions(database) == [logged("add_key"), logged("key_added", key_number=2)]


def test_each_call_adds_a_key_of_its_own(function: Environment, fake_aws: FakeAws, settings: str) -> None:
    call(function, ADD)
    second = keys_in(fake_aws, settings).keys[2]
    assert call(function, ADD) == (200, {"current": 3, "keys": 3})
    keyset = keys_in(fake_aws, settings)
    assert (keyset.keys[1], keyset.keys[2], len(set(keyset.keys.values()))) == (KEY, second, 3)


def test_the_new_key_is_shown_to_nobody(
    function: Environment, fake_aws: FakeAws, settings: str, log: StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    _, answer = call(function, ADD)
    captured = capfd.readouterr()
    told = json.dumps(answer) + log.getvalue() + captured.out + captured.err
    assert "audit head" in told
    assert not [key for key in keys_in(fake_aws, settings).keys.values() if key in told]


@pytest.mark.parametrize("step", ["first put", "check value", "commit", "second put"])
def test_whatever_ends_it_the_next_call_goes_on_with_the_same_key(
    step: str,
    function: Environment,
    database: TestDatabase,
    fake_aws: FakeAws,
    settings: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manager = fake_aws.secretsmanager
    seen: list[Keyset] = []
    put, puts, heads = type(manager).put_secret_value, count(1), count(1)

    def fail_with(patch: pytest.MonkeyPatch) -> None:
        def put_and_fail(*, SecretId: str, SecretString: str) -> dict[str, str]:
            answer = put(manager, SecretId=SecretId, SecretString=SecretString)
            seen.append(Keyset.parse(SecretString))
            if next(puts) == {"first put": 1, "second put": 2}.get(step):
                raise ClientError({"Error": {"Code": "InternalServiceError"}}, "PutSecretValue")  # done all the same
            return answer

        def fail(*arguments: Any) -> None:
            raise ValueError("unforeseen")

        def fail_the_second(head: Any) -> None:
            if next(heads) == 2:  # the first is of the call
                raise ValueError("unforeseen")

        patch.setattr(manager, "put_secret_value", put_and_fail)
        if step == "check value":
            patch.setattr(check_values, "remember", fail)
        if step == "commit":
            patch.setattr(audit_log, "log_head", fail_the_second)

    with monkeypatch.context() as patch:
        fail_with(patch)
        assert call(function, ADD)[0] in (500, 503)
    assert keys_in(fake_aws, settings).keys[1] == KEY
    if step == "second put":  # it was the last step: what comes next is another key
        assert call(function, STATUS)[1]["current"] == 2
        return
    assert keys_in(fake_aws, settings).current == 1
    assert call(function, ADD) == (200, {"current": 2, "keys": 2})
    assert keys_in(fake_aws, settings).keys == seen[0].keys
    assert dict(database.sql("SELECT number, check_value FROM token_key")) == seen[0].check_values


def test_two_who_add_a_key_at_once_drop_none(
    rekey_functions: Callable[[], Environment], database: TestDatabase, fake_aws: FakeAws, settings: str
) -> None:
    with ThreadPoolExecutor(max_workers=2) as two:
        runs = [two.submit(call, rekey_functions(), ADD) for _ in range(2)]
        assert [run.result()[0] for run in runs] == [200, 200]
    keyset = keys_in(fake_aws, settings)
    assert keyset.keys[1] == KEY
    assert keyset.current == len(keyset.keys)
    assert dict(database.sql("SELECT number, check_value FROM token_key")) == keyset.check_values
    assert sorted(action for _, action, *_ in actions(database)) == ["add_key"] * 2 + ["key_added"] * 2


def test_ingest_goes_on_with_the_old_key_until_the_new_one_is_current(
    database: TestDatabase, settings: str, open_store: OpenStore
) -> None:
    store = open_store()
    pending = Keyset(NEW.keys, 1)
    store.verify(pending, in_seconds(60))
    assert write(store, masked(UserLogin, pending, {1: login()}), in_seconds(60)) == (1, 0, [])
    assert database.value("SELECT masked_ip FROM user_logins").startswith("t1_")


@pytest.mark.parametrize("action", ["add_key", "rekey", "status"])
@pytest.mark.parametrize(
    ("keyset", "detail"),
    [
        (KEYSET, "keyset: key 2 is missing; restore the keyset"),
        (
            secret_text(Keyset({1: "x" * 64, 2: NEW.keys[2]}, 2)),
            "keyset: key 1 is not the key that this database knows",
        ),
        (secret_text(Keyset({1: KEY, 2: "x" * 64}, 1)), "keyset: key 2 is not the key that this database knows"),
    ],
    ids=["dropped", "changed", "another one is pending"],
)
def test_a_keyset_that_lost_a_key_is_refused_and_left_alone(
    keyset: str,
    detail: str,
    action: str,
    function: Environment,
    database: TestDatabase,
    fake_aws: FakeAws,
    settings: str,
) -> None:
    database.sql("INSERT INTO token_key (number, check_value) VALUES (2, :value)", value=NEW.check_values[2])
    fake_aws.secretsmanager.secrets[settings] = keyset
    assert call(function, {"action": action, **WHY}) == (503, {"error": "outage", "detail": detail})
    assert fake_aws.secretsmanager.secrets[settings] == keyset
    assert actions(database) == [logged(action)]


# Data keys move to another KMS key


@pytest.fixture
def sealed(database: TestDatabase, open_store: OpenStore, settings: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Seal values under five data keys, then deploy with another KMS key."""
    for number in range(5):
        store = open_store()
        store.verify(OLD, in_seconds(60))
        write(store, masked(UserLogin, OLD, {number: login(device_id=f"d{number}")}), in_seconds(60))
    monkeypatch.setattr(rewrap, "BATCH_DATA_KEYS", 2)
    monkeypatch.setenv("VAULT_KEY_ID", NEW_VAULT_KEY)
    return 5


def opened(database: TestDatabase) -> set[str]:
    """Return all values of the vault, in the clear."""
    rows = database.sql(
        "SELECT domain, sealed, id, wrapped, kms_key_arn FROM pii_vault JOIN pii_vault_key ON id = key_id"
    )
    settings = VaultSettings(key_id=VAULT_KEY, stack="tests")
    return {open_data_key(WrappedDataKey(*key), settings).open(sealed, domain) for domain, sealed, *key in rows}


def test_data_keys_move_and_values_still_open(
    sealed: int, function: Environment, database: TestDatabase, fake_aws: FakeAws
) -> None:
    before = opened(database)
    fake_aws.kms.calls.clear()
    assert call(function, REWRAP) == (200, {"done": True, "changed": 5})
    assert fake_aws.kms.calls == ["ReEncrypt"] * 5
    assert database.sql("SELECT DISTINCT kms_key_arn FROM pii_vault_key") == [[NEW_VAULT_KEY]]
    assert opened(database) == before == {"199.172.111.135", *(f"d{number}" for number in range(5))}
    rows = [logged("rewrap"), *(logged("rewrapped", data_keys=count) for count in (2, 2, 1))]
    assert actions(database) == rows
    assert call(function, REWRAP) == (200, {"done": True, "changed": 0})
    assert actions(database) == [*rows, logged("rewrap")]


def test_when_kms_fails_half_way_what_is_done_stays_and_the_next_call_goes_on(
    sealed: int, function: Environment, database: TestDatabase, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = opened(database)
    re_encrypt, calls = fake_aws.kms.re_encrypt, count(1)

    def fail_the_fourth(**arguments: Any) -> dict[str, Any]:
        if next(calls) == 4:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "ReEncrypt")
        return re_encrypt(**arguments)

    monkeypatch.setattr(fake_aws.kms, "re_encrypt", fail_the_fourth)
    assert call(function, REWRAP) == (503, {"error": "outage", "detail": "kms: ThrottlingException"})
    assert call(function, STATUS)[1]["data_keys_to_rewrap"] == 3
    assert opened(database) == before
    assert call(function, REWRAP) == (200, {"done": True, "changed": 3})
    assert opened(database) == before
    assert [action for _, action, *_ in actions(database)] == [
        *("rewrap", "rewrapped", "status"),
        *("rewrap", "rewrapped", "rewrapped"),
    ]


def test_in_another_region_kms_is_asked_for_the_key_that_is_there(
    sealed: int, function: Environment, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = VAULT_KEY.replace("eu-central-1", "eu-west-1")  # a multi-Region key has one id
    sources = []

    def re_encrypt(*, SourceKeyId: str, DestinationKeyId: str, **arguments: Any) -> dict[str, Any]:
        sources.append(SourceKeyId)
        return {"CiphertextBlob": b"moved", "KeyId": DestinationKeyId}

    monkeypatch.setattr(fake_aws.kms, "re_encrypt", re_encrypt)
    monkeypatch.setenv("VAULT_KEY_ID", there)
    assert call(function, REWRAP) == (200, {"done": True, "changed": 5})
    assert sources == [there] * 5 != [VAULT_KEY] * 5


def test_without_time_it_is_not_done(sealed: int, function: Environment) -> None:
    assert call(function, REWRAP, seconds=11) == (200, {"done": False, "changed": 0})


# The calls


def test_status_tells_how_far_it_is(function: Environment, database: TestDatabase) -> None:
    standing = {"table": None, "share": None, "data_keys_to_rewrap": 0}
    assert call(function, STATUS) == (200, {"current": 1, "keys": 1, "step": None, **standing})
    call(function, ADD)
    status, answer = call(function, {"action": "rekey", **WHY})
    assert (status, answer["done"], answer["step"], answer["wait_seconds"] > 500) == (200, False, "wait", True)
    assert call(function, STATUS) == (200, {"current": 2, "keys": 2, "step": "wait", **standing})
    calls = [logged("add_key"), logged("key_added", key_number=2), logged("rekey"), logged("status")]
    assert actions(database) == [logged("status"), *calls]


def test_a_call_that_the_audit_log_cannot_have_does_nothing(
    function: Environment, database: TestDatabase, fake_aws: FakeAws, settings: str
) -> None:
    database.sql("ALTER TABLE audit_log ADD CHECK (actor = '')")
    for action in ("add_key", "rekey", "rewrap", "status"):
        assert call(function, {"action": action, **WHY})[0] == 503
    assert fake_aws.secretsmanager.secrets[settings] == KEYSET
    assert database.sql("TABLE rekeying") == []


@pytest.mark.parametrize("file", EVENTS, ids=lambda file: file.stem)
def test_the_events_for_local_use_are_what_the_function_takes(file: Path, function: Environment) -> None:
    assert function.invoke(json.loads(file.read_text()))["statusCode"] == 200


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"action": "rekey"},
        {"action": "drop_key", **WHY},
        {"action": "rekey", "reason": "because", "ticket": "OPS-7"},
        {"action": "rekey", "reason": "key_rotation", "ticket": "Ada Lovelace"},
        {"action": "rekey", **WHY, "key": "kn4ry"},
    ],
)
def test_a_call_without_action_reason_and_ticket_is_refused(request_: Any, function: Environment) -> None:
    status, answer = call(function, request_)
    assert (status, answer["error"]) == (400, "bad_request")
    assert "kn4ry" not in json.dumps(answer) and "Ada" not in json.dumps(answer)


def test_an_unverified_caller_is_refused(function: Environment, database: TestDatabase) -> None:
    assert call(function, ADD, caller="")[0] == 403
    assert actions(database) == []
