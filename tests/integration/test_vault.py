"""What can be recovered is sealed with the rows that are written, and with no others."""

import json
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from sluice.failures import Outage
from sluice.settings import VaultSettings
from sluice.vault.erasures import has_token, tokens_at
from sluice.vault.sealing import DATA_KEY_VALUES, WrappedDataKey, open_data_key
from tests.integration.databases import TestDatabase
from tests.integration.environment import VAULT_KEY, Environment
from tests.integration.erasing import Visit
from tests.integration.messages import event, failures, login, record, token
from tools.testing.aws.account import FakeAws

VAULT = VaultSettings(key_id=VAULT_KEY, stack="tests")


def opened(database: TestDatabase) -> dict[str, tuple[str, str]]:
    """Return domain and clear value of everything in the vault by token, opened as the reveal function may."""
    keys = {
        key_id: open_data_key(WrappedDataKey(key_id, bytes(wrapped), arn), VAULT)
        for key_id, wrapped, arn in database.sql("SELECT id, wrapped, kms_key_arn FROM pii_vault_key")
    }
    return {
        found: (domain, keys[key_id].open(bytes(sealed), domain))
        for found, domain, key_id, sealed in database.sql("SELECT token, domain, key_id, sealed FROM pii_vault")
    }


def sealed(*logins: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return what the vault must hold after these logins."""
    return {token(domain, body[domain]): (domain, body[domain]) for body in logins for domain in ("ip", "device_id")}


def test_the_values_of_a_batch_are_sealed_in_their_canonical_form(database: TestDatabase, ingest: Environment) -> None:
    one, other = login(), login(ip="::ffff:10.0.0.1", device_id="  Grüße ")
    ingest.invoke(event(record(one), record(other), record(one)))
    assert opened(database) == sealed(one, login(ip="10.0.0.1", device_id="Grüße"))
    assert database.value("SELECT count(*) FROM pii_vault_key") == 1


def test_what_is_stored_holds_no_clear_value(database: TestDatabase, ingest: Environment) -> None:
    ingest.invoke(event(record(login(device_id="kn4ry-device"))))
    for table in ("pii_vault", "pii_vault_key", "user_logins"):
        assert b"kn4ry" not in database.value(f"SELECT convert_to(string_agg(t::text, ''), 'UTF8') FROM {table} t")
        assert b"kn4ry".hex() not in database.value(f"SELECT string_agg(t::text, '') FROM {table} t")


def test_only_what_was_written_is_sealed(database: TestDatabase, ingest: Environment) -> None:
    database.sql("ALTER TABLE user_logins ADD CHECK (locale <> 'XX')")
    known, again = record(login()), login(ip="10.0.0.2", device_id="redelivered with another body")
    ingest.invoke(event(known))
    refused, junk = record(login(ip="10.0.0.3", device_id="refused", locale="XX")), record(login(ip="bad"))
    sent = [record(again, message_id=known["messageId"]), refused, junk, record(login(device_id="new"))]
    assert ingest.invoke(event(*sent)) == failures(junk, refused)
    assert opened(database) == sealed(login(), login(device_id="new"))


def test_two_environments_that_seal_the_same_value_at_once_leave_one_entry(
    database: TestDatabase, environments: Callable[[], Environment]
) -> None:
    ready = threading.Barrier(2)

    def run(environment: Environment) -> None:
        for number in range(10):
            ready.wait(10)
            environment.invoke(event(*(record(login(device_id=f"{number}-{n}")) for n in range(20))))

    threads = [threading.Thread(target=run, args=(environments(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert opened(database) == sealed(*(login(device_id=f"{number}-{n}") for number in range(10) for n in range(20)))
    assert database.value("SELECT count(*) FROM user_logins") == 400


def test_a_value_that_is_known_to_be_sealed_is_neither_encrypted_nor_sent_again(
    database: TestDatabase, ingest: Environment
) -> None:
    ingest.invoke(event(record()))
    before = database.sql("SELECT *, xmin::text FROM pii_vault ORDER BY token")
    key = ingest.store._vault._key()
    ingest.invoke(event(record(), record()))
    assert database.sql("SELECT *, xmin::text FROM pii_vault ORDER BY token") == before
    assert key.values == 2


def test_a_first_batch_that_was_rolled_back_harms_no_later_one(database: TestDatabase, ingest: Environment) -> None:
    database.sql("ALTER TABLE rejection RENAME TO elsewhere")
    sent = event(record(), record("junk"))
    with pytest.raises(Outage, match="42P01"):
        ingest.invoke(sent)
    assert (opened(database), database.rows()) == ({}, [])
    database.sql("ALTER TABLE elsewhere RENAME TO rejection")
    ingest.invoke(sent)
    assert opened(database) == sealed(login())


def test_the_data_keys_row_goes_in_again_until_it_is_known_to_be_committed(
    database: TestDatabase, ingest: Environment
) -> None:
    """The answer to COMMIT was lost, and so was the transaction: nobody knows that its key is not there."""
    vault = ingest.store._vault
    vault.prepare()
    ingest.invoke(event(record()))
    assert vault.is_data_key_committed
    assert [UUID(str(key)) for (key,) in database.sql("SELECT id FROM pii_vault_key")] == [vault.wrapped_data_key.id]


@pytest.mark.parametrize("error", ["ThrottlingException", "KMSInternalException", "AccessDeniedException"])
def test_without_kms_the_batch_comes_again_whole(
    error: str, database: TestDatabase, ingest: Environment, fake_aws: FakeAws
) -> None:
    fake_aws.kms.fails_with = error
    sent = event(record(), record("junk"))
    with pytest.raises(Outage, match=f"^kms: {error}$"):
        ingest.invoke(sent)
    for table in ("user_logins", "rejection", "pii_vault", "pii_vault_key"):
        assert database.value(f"SELECT count(*) FROM {table}") == 0
    fake_aws.kms.fails_with = ""
    ingest.invoke(sent)
    assert opened(database) == sealed(login())
    assert database.value("SELECT count(*) FROM rejection") == 1


def test_a_warm_environment_needs_kms_no_more(database: TestDatabase, ingest: Environment, fake_aws: FakeAws) -> None:
    ingest.invoke(event(record()))
    fake_aws.kms.fails_with = "KMSInternalException"
    ingest.invoke(event(record(login(device_id="another"))))
    assert opened_without_failure(database, fake_aws) == sealed(login(), login(device_id="another"))
    assert fake_aws.kms.calls[:1] == ["GenerateDataKey"]


def opened_without_failure(database: TestDatabase, fake_aws: FakeAws) -> dict[str, tuple[str, str]]:
    fake_aws.kms.fails_with = ""
    return opened(database)


def test_a_data_key_is_renewed_when_it_is_old_or_has_sealed_enough(
    database: TestDatabase, ingest: Environment, fake_aws: FakeAws
) -> None:
    wears: list[dict[str, float]] = [{}, {"expires_at": 0.0}, {"values": DATA_KEY_VALUES}]
    for number, wear in enumerate(wears):
        if wear:
            ((name, value),) = wear.items()
            setattr(ingest.store._vault._key(), name, value)
        ingest.invoke(event(record(login(device_id=str(number)))))
    assert fake_aws.kms.calls == ["GenerateDataKey"] * 3
    assert opened(database) == sealed(*(login(device_id=str(number)) for number in range(3)))


def test_a_stream_without_recoverable_values_never_asks_kms(
    database: TestDatabase, ingest: Environment, fake_aws: FakeAws
) -> None:
    fake_aws.kms.fails_with = "KMSInternalException"
    ingest.invoke(event(record("junk")))
    assert fake_aws.kms.calls == []


def test_the_logs_of_a_sealing_batch_hold_counts_and_no_value(
    database: TestDatabase, ingest: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest.invoke(event(record(login(device_id="kn4ry-device", user_id="kn4ry-user"))))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["Sealed"] for line in lines if line.get("message") == "batch done"] in ([2], [])
    assert "kn4ry" not in json.dumps(lines)


def test_every_token_in_lists_of_lists_is_found(database: TestDatabase) -> None:
    codes = next(place for place in Visit.token_places if place.column == "codes")

    def ask(expression: str, row: object) -> list[Any]:
        found = database.sql(f"SELECT {expression} FROM (SELECT CAST(:row AS jsonb) AS codes) r", row=json.dumps(row))
        return [value for (value,) in found]

    rows: list[object] = [[["t1_a"], [], ["t1_b", None]], [], [[["t1_c"]]], None]
    assert [sorted(set(ask(tokens_at(codes), row))) for row in rows] == [["t1_a", "t1_b"], [], ["t1_c"], []]
    assert [ask(has_token(codes, ["t1_b"]), row) for row in rows] == [[True], [False], [False], [False]]
