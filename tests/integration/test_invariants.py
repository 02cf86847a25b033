"""The checker finds what must not be, each planted here, and nothing where all is well."""

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from sluice.pseudonyms.keyset import Keyset
from sluice.settings import VaultSettings
from sluice.vault.sealing import open_data_key
from streams.orders import Order
from streams.user_logins import UserLogin
from tests.integration.databases import TestDatabase
from tests.integration.environment import VAULT_KEY, Environment
from tests.integration.messages import KEYSET, event, login, numbered, token
from tools.local.generator import messages, orders
from tools.testing.invariants import Checker, Finding, Sent

VAULT = VaultSettings(key_id=VAULT_KEY, stack="tests")
SENT_AT = 1_769_903_999_999
GOOD, OTHER, BAD = numbered(1), numbered(2), numbered(3)
IP = "203.0.113.77"


class Scene:
    """A good message, another one and a bad one, as they must be dealt with; a test then spoils something."""

    def __init__(self, database: TestDatabase, ingest: Environment) -> None:
        self.database = database
        self.sent = [
            Sent(GOOD, json.dumps(login(ip=IP, device_id="kn4ry-good")), True, SENT_AT),
            Sent(OTHER, json.dumps(login(device_id="kn4ry-other")), True, SENT_AT),
            Sent(BAD, json.dumps(login(ip="bad", device_id="kn4ry-bad")), False, SENT_AT),
        ]
        self.answer = ingest.invoke(event(*(message.record() for message in self.sent)))
        self.dead_letters = [BAD]

    def check(self, **texts: str) -> list[Finding]:
        checker = Checker(self.database.owner, [Keyset.parse(KEYSET)], lambda key: open_data_key(key, VAULT))
        return checker.check({UserLogin: self.sent}, self.dead_letters, texts)


@pytest.fixture
def scene(database: TestDatabase, ingest: Environment) -> Scene:
    return Scene(database, ingest)


def test_nothing_is_found_where_all_is_well(scene: Scene) -> None:
    assert scene.check(answer=json.dumps(scene.answer)) == []


def of_records(scene: Scene) -> list[Finding]:
    """Return what is found but for the ledger, which tells of rows that come and go by hand, too."""
    return [finding for finding in scene.check() if not finding.kind.startswith("ledger: ")]


@pytest.mark.parametrize(
    ("spoil", "kinds"),
    [
        ("UPDATE batch SET received = received + 1", ["ledger: 1 batches of user_logins do not add up"]),
        (
            "UPDATE batch SET written = written + 1, received = received + 1",
            ["ledger: 3 rows of user_logins, and 2 in its table"],
        ),
        ("UPDATE batch SET removed = 1", ["ledger: 1 rows of user_logins, and 2 in its table"]),
        ("UPDATE user_logins SET batch_id = 7", ["ledger: row of no declaration that is known"] * 2),
        ("UPDATE batch SET declaration = NULL", ["ledger: row of no declaration that is known"] * 2),
        ("DELETE FROM declaration", ["ledger: row of no declaration that is known"] * 2),
    ],
)
def test_a_ledger_that_is_wrong_is_found(spoil: str, kinds: list[str], scene: Scene) -> None:
    scene.database.sql(spoil)
    assert [finding.kind for finding in scene.check()] == kinds


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (f"DELETE FROM user_logins WHERE message_id = '{GOOD}'", "lost row"),
        ("UPDATE user_logins SET locale = 'XX' WHERE message_id = '{0}'", "wrong row"),
        ("UPDATE user_logins SET masked_ip = masked_device_id WHERE message_id = '{0}'", "wrong row"),
        ("UPDATE user_logins SET sent_at = sent_at + '1 ms' WHERE message_id = '{0}'", "wrong row"),
    ],
)
def test_a_row_that_is_lost_or_wrong_is_found(spoil: str, kind: str, scene: Scene) -> None:
    scene.database.sql(spoil.format(GOOD))
    entries = [
        Finding(f"orphaned vault entry of {made}") for made in (token("device_id", "kn4ry-good"), token("ip", IP))
    ]
    assert sorted(of_records(scene)) == sorted([Finding(kind, GOOD), *entries])


def test_a_row_that_is_doubled_is_found(scene: Scene) -> None:
    scene.database.sql("ALTER TABLE user_logins DROP CONSTRAINT user_logins_pkey")
    columns = "user_id, device_type, masked_ip, masked_device_id, locale, app_version, app_version_text, sent_at"
    double = (
        f"INSERT INTO user_logins ({columns}, message_id)"
        f" SELECT {columns}, {{}} FROM user_logins WHERE message_id = '{GOOD}'"
    )
    scene.database.sql(double.format("message_id"))
    scene.database.sql(double.format(f"CAST('{numbered(9)}' AS uuid)") + " LIMIT 1")
    assert of_records(scene) == [Finding("doubled row", GOOD), Finding("row of no valid message", numbered(9))]


def test_a_row_of_a_bad_message_is_found(scene: Scene) -> None:
    scene.database.sql(f"UPDATE user_logins SET message_id = '{BAD}' WHERE message_id = '{GOOD}'")
    assert scene.check()[:2] == [Finding("lost row", GOOD), Finding("row of no valid message", BAD)]


@pytest.mark.parametrize(
    ("dead_letters", "finding"),
    [
        ([], Finding("missing dead letter", BAD)),
        ([BAD, BAD], Finding("doubled dead letter", BAD)),
        ([BAD, GOOD], Finding("dead letter of no invalid message", GOOD)),
    ],
)
def test_a_dead_letter_that_is_missing_doubled_or_a_good_message_is_found(
    dead_letters: list[str], finding: Finding, scene: Scene
) -> None:
    scene.dead_letters = dead_letters
    assert scene.check() == [finding]


def test_what_was_erased_or_purged_and_is_still_there_is_found(scene: Scene) -> None:
    scene.sent = [replace(message, gone=message.message_id != OTHER) for message in scene.sent]
    entries = {token("device_id", "kn4ry-good"), token("ip", IP)}
    assert sorted(scene.check()) == sorted(
        [
            Finding("row of no valid message", GOOD),
            *(Finding(f"orphaned vault entry of {entry}") for entry in entries),
            Finding("rejection of no invalid message", BAD),
            Finding("dead letter of no invalid message", BAD),
        ]
    )
    scene.database.sql(
        f"DELETE FROM user_logins WHERE message_id = '{GOOD}'; DELETE FROM rejection;"
        f"DELETE FROM pii_vault WHERE token IN ({', '.join(f"'{entry}'" for entry in entries)})"
    )
    scene.dead_letters.clear()
    assert of_records(scene) == []


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (f"DELETE FROM rejection WHERE message_id = '{BAD}'", [Finding("missing rejection", BAD)]),
        (
            f"INSERT INTO rejection VALUES ('{GOOD}', 'user_logins', '', '', '{{}}')",
            [Finding("rejection of no invalid message", GOOD)],
        ),
        (
            "UPDATE rejection SET stream = 'orders'",
            [Finding("missing rejection", BAD), Finding("rejection of no invalid message", BAD)],
        ),
    ],
)
def test_a_rejection_that_is_missing_or_of_another_message_is_found(
    spoil: str, found: list[Finding], scene: Scene
) -> None:
    scene.database.sql(spoil)
    assert scene.check() == found


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        ("DELETE FROM pii_vault WHERE token = '{}'", "missing vault entry of"),
        ("UPDATE pii_vault SET domain = 'ip' WHERE token = '{}'", "wrong vault entry of"),
        (
            "UPDATE pii_vault SET sealed = set_byte(sealed, 9, 255 - get_byte(sealed, 9)) WHERE token = '{}'",
            "wrong vault entry of",
        ),
        ("UPDATE pii_vault SET key_id = gen_random_uuid() WHERE token = '{}'", "vault entry without data key, of"),
    ],
)
def test_a_vault_entry_that_is_missing_or_does_not_open_to_its_value_is_found(
    spoil: str, kind: str, scene: Scene
) -> None:
    made = token("device_id", "kn4ry-good")
    scene.database.sql(spoil.format(made))
    assert scene.check() == [Finding(f"{kind} {made}")]


def test_a_vault_entry_of_no_row_is_found(scene: Scene) -> None:
    scene.database.sql("INSERT INTO pii_vault SELECT 't1_orphan', domain, key_id, sealed FROM pii_vault LIMIT 1")
    assert scene.check() == [Finding("orphaned vault entry of t1_orphan")]


@pytest.mark.parametrize(
    "spelled",
    [
        "kn4ry-bad",
        b"kn4ry-bad".hex(),
        *(b64encode(before + b"kn4ry-bad!").decode() for before in (b"", b"x", b"xy")),
    ],
)
def test_a_clear_value_is_found_in_every_table_and_text_in_every_spelling(spelled: str, scene: Scene) -> None:
    scene.database.sql("UPDATE rejection SET shape = to_jsonb(CAST(:text AS text))", text=f"…{spelled}…")
    found = scene.check(log=f"what came was {spelled}.", answer=spelled, other="nothing")
    assert found == [
        Finding("clear value in rejection", BAD),
        Finding("clear value in log", BAD),
        Finding("clear value in answer", BAD),
    ]


def test_a_clear_value_is_found_in_bytes(scene: Scene) -> None:
    scene.database.sql("UPDATE pii_vault_key SET wrapped = wrapped || convert_to('kn4ry-good', 'UTF8')")
    checker = Checker(scene.database.owner, [Keyset.parse(KEYSET)])
    assert checker.check({UserLogin: scene.sent}) == [Finding("clear value in pii_vault_key", GOOD)]


def test_a_finding_shows_no_value(scene: Scene) -> None:
    assert str(Finding("clear value in log", GOOD)) == f"clear value in log: {GOOD}"
    assert "kn4ry" not in repr(scene.sent)


def test_a_session_in_a_transaction_is_found(
    scene: Scene, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.testing.invariants.SESSION_SECONDS", 0)
    with database.second_session() as other:
        other.run("SET application_name TO 'sluice-ingest'; BEGIN")
        other.run("SELECT 1")
        assert scene.check() == [Finding("session in a transaction")]
        other.run("ROLLBACK")
    assert scene.check() == []


def test_messages_of_one_id_are_one_row_of_any_of_them(database: TestDatabase, ingest: Environment) -> None:
    attributes = {"sluice_message_id": numbered(7).upper(), "sluice_sent_at": "1700000000123"}
    one = Sent(GOOD, json.dumps(login(device_id="first of one")), True, SENT_AT, attributes)
    other = replace(one, message_id=OTHER, body=json.dumps(login(device_id="second of one")))
    ingest.invoke(event(other.record()))
    checker = Checker(database.owner, [Keyset.parse(KEYSET)])
    assert checker.check({UserLogin: [one, other]}, []) == []
    assert checker.check({UserLogin: [one]}, [])[0] == Finding("wrong row", numbered(7))


@pytest.mark.parametrize("stream", [UserLogin, Order])
def test_generated_messages_are_all_well(
    stream: Any, database: TestDatabase, settings: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM", stream.table)
    made = (messages if stream is UserLogin else orders)(300, 5)
    sent = [Sent(numbered(n), message.body, message.valid, SENT_AT) for n, message in enumerate(made)]
    ingest = Environment("ingest")
    answer = ingest.invoke(event(*(message.record() for message in sent)))
    ingest.close()
    dead_letters = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    checker = Checker(database.owner, [Keyset.parse(KEYSET)], lambda key: open_data_key(key, VAULT))
    assert checker.check({stream: sent}, dead_letters) == []
