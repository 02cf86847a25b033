"""A new token key: every token in rows, vault and erasures becomes one of it, whoever writes and whatever breaks."""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from io import StringIO
from itertools import batched, count
from typing import Any

import pytest

from sluice import telemetry
from sluice.deadline import Deadline
from sluice.declaration.personal import SUBJECT
from sluice.failures import Outage
from sluice.operators.forget.eraser import Eraser
from sluice.operators.forget.requests import Erase
from sluice.operators.rekey import rekeyer, token_tables
from sluice.postgres.database import Database
from sluice.pseudonyms import keyset_secret
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import VaultSettings
from sluice.vault import erasures
from sluice.vault.sealing import WrappedDataKey, open_data_key
from streams.orders import Order
from streams.user_logins import UserLogin
from tests.integration.citus import distributed
from tests.integration.databases import LOGINS, TestDatabase, in_seconds
from tests.integration.environment import VAULT_KEY, OpenStore, write
from tests.integration.erasing import CALLER, Visit, make_visits
from tests.integration.messages import KEY, login, numbered
from tests.integration.rekeying import NEW, OLD, SECOND_KEY, STREAMS, Rekeying, masked, secret_text
from tests.unit.orders import LEAKS, order
from tools.testing.aws.account import FakeAws

ADA, BOB = "0192de18-0000-4000-8000-00000000000a", "0192de18-0000-4000-8000-00000000000b"
THIRD = Keyset({**NEW.keys, 3: "3" * 64}, 3)


def visit(
    visitor: str = ADA,
    *devices: str,
    guests: tuple[str, ...] = (),
    note: str | None = None,
    details: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a visit; what it notes, each guest says too."""
    told: dict[str, Any] = {"words": note, "details": details}
    trips = [{"guests": [{"email": f"{name}@example.com"} | told for name in guests]}, {"guests": []}]
    return {
        "visitor": visitor,
        "devices": devices,
        "trips": trips,
        "note": note,
        "codes": [devices],
        "details": details,
    }


DETAILS = {
    "seen": {"door": {"email": "kim@example.com"}, "gate": {"email": "lee@example.com", "ip": "203.0.113.7"}},
    "devices": ["d1", "d2"],
    "words": "for kim@example.com",
    "digits": 0.1234567890123456789,
    "other": "lee@example.com",
}


BODIES: dict[Any, dict[int, Any]] = {
    UserLogin: {number: login(ip=f"198.51.100.{number % 4}", device_id=f"d{number % 5}") for number in range(1, 12)},
    Order: {number: order(ip=None if number == 2 else "203.0.113.77") for number in range(1, 4)},
    Visit: {
        1: visit(
            ADA,
            "d1",
            "d2",
            guests=("kim", "lee"),
            note="<kim@example.com> 203.0.113.7 kim@example.com, lee@example.com",
        ),
        2: visit(BOB, note="nobody's", details={"digits": 1}),
        3: visit(BOB, "d1", "d1", guests=("kim",), details=DETAILS),
    },
}


def ticking(seconds: int) -> Deadline:
    """Return a deadline that far away, on a clock that ticks once whenever it is looked at."""
    return Deadline(seconds, count().__next__)


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor


@pytest.fixture
def rekeying(
    database: TestDatabase,
    fake_aws: FakeAws,
    settings: str,
    open_store: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Rekeying]:
    """Rows of three streams under the first key, and batches that are small."""
    monkeypatch.setattr(token_tables, "BATCH_ROWS", 4)
    monkeypatch.setattr(rekeyer, "EMPTIED_ROWS", 5)
    make_visits(database)
    connection = Database(database.settings("rekey"), "sluice-rekey")
    made = Rekeying(database, fake_aws, settings, open_store, connection)
    for stream, bodies in BODIES.items():
        made.ingest(OLD, stream, bodies)
    fake_aws.kms.calls.clear()
    yield made
    connection.close()


def fresh(rekeying: Rekeying, keyset: Keyset = NEW) -> dict[str, Any]:
    """Return what all that is stored would be, had it been taken in under that keyset only."""
    rekeying.empty()
    for stream, bodies in BODIES.items():
        rekeying.ingest(keyset, stream, bodies)
    return rekeying.stored()


# Done


@pytest.mark.parametrize("settled", [False, True])
def test_while_batches_may_use_the_older_key_an_erasure_is_known_by_both_tokens(
    settled: bool, database: TestDatabase, rekeying: Rekeying
) -> None:
    rekeying.key_is_current_since_now()
    if settled:
        rekeying.key_has_settled()
    version = keyset_secret.version(rekeying.secret_id)
    database_of_forget = Database(database.settings("forget"), "sluice-test")
    request = Erase(subject="424cdd21", reason="data_subject_request", ticket="PRIV-1")
    Eraser(database_of_forget, STREAMS, version).run(CALLER, request, in_seconds(60))
    database_of_forget.close()
    tokens = NEW.tokens("subject", "424cdd21")
    assert [found for (found,) in database.sql("SELECT subject_token FROM erasure ORDER BY 1")] == tokens[settled:]


def test_afterwards_everything_is_as_if_it_had_been_taken_in_under_the_new_key(rekeying: Rekeying) -> None:
    before = rekeying.stored()
    rekeying.key_becomes_current()
    answer = rekeying.rekey()
    stored = rekeying.stored()
    assert answer == {
        "done": True,
        "step": "done",
        "changed": 11 + 3 + 3 + len(before["vault"]) - 1,
    }  # Bob's first visit
    assert stored == fresh(rekeying)
    assert "t1_" not in json.dumps(stored, default=str)
    assert rekeying.database.sql("TABLE rekeyed_token") == rekeying.database.sql("TABLE rekeying") == []


def test_a_table_that_citus_has_distributed_is_rekeyed_all_the_same(rekeying: Rekeying) -> None:
    rekeying.key_becomes_current()
    with distributed("user_logins", "visits") as codes:
        assert rekeying.rekey()["done"]
    assert {*codes} == {"0A000"}
    assert rekeying.stored() == fresh(rekeying)


def test_it_is_logged_once_with_how_much_was_changed(rekeying: Rekeying) -> None:
    rekeying.key_becomes_current()
    changed = rekeying.rekey()["changed"]
    assert rekeying.database.sql("SELECT actor, action, reason, ticket, counts FROM audit_log") == [
        [
            "arn:aws:sts::000000000000:assumed-role/keys/ann",
            "rekeyed",
            "key_rotation",
            "OPS-7",
            {"key_number": 2, "changed": changed},
        ]
    ]


def test_sealed_values_still_open_and_kms_is_not_asked_until_then(rekeying: Rekeying, fake_aws: FakeAws) -> None:
    rekeying.key_becomes_current()
    rekeying.rekey()
    assert fake_aws.kms.calls == []
    entries = rekeying.database.sql(
        "SELECT token, domain, sealed, id, wrapped, kms_key_arn FROM pii_vault JOIN pii_vault_key ON id = key_id"
    )
    assert len(entries) == rekeying.database.value("SELECT count(*) FROM pii_vault") > 10
    for token, domain, sealed, *wrapped in entries:
        value = open_data_key(WrappedDataKey(*wrapped), VaultSettings(key_id=VAULT_KEY, stack="tests")).open(
            sealed, domain
        )
        assert token == NEW.tokens(domain, value)[-1]


def test_a_token_of_the_old_key_still_leads_to_its_sealed_value(rekeying: Rekeying) -> None:
    old_token = OLD.tokens("device_id", "d1")[0]
    rekeying.key_becomes_current()
    rekeying.rekey()
    forms = [old_token, *NEW.newer("device_id")(old_token)]
    assert rekeying.database.value("SELECT count(*) FROM pii_vault WHERE token = ANY(:forms)", forms=forms) == 1


def test_numbers_in_json_keep_all_their_digits(rekeying: Rekeying) -> None:
    trips = '[{"guests": [{"email": "%s", "fee": 600.10, "id": 12345678901234567890123}]}, {"other": 1e400}, {"guests": null}]'  # noqa: E501
    old, new = (keyset.tokens("email", "kim@example.com")[-1] for keyset in (OLD, NEW))
    rekeying.database.sql("UPDATE visits SET trips = CAST(:trips AS jsonb)", trips=trips % old)
    rekeying.key_becomes_current()
    rekeying.rekey()
    expected = rekeying.database.value("SELECT CAST(:trips AS jsonb)::text", trips=trips % new)
    assert rekeying.database.sql("SELECT DISTINCT trips::text FROM visits") == [[expected]]


def test_a_row_gets_its_tokens_whatever_time_its_owner_has_given_it(rekeying: Rekeying) -> None:
    ids = [found for (found,) in rekeying.database.sql("SELECT message_id::text FROM user_logins ORDER BY message_id")]
    times = {0: "12000-01-01", 4: "0100-01-01 BC", 5: "0044-01-01 BC", 8: "infinity", 9: "-infinity"}
    for place, time in times.items():
        rekeying.database.sql(
            "UPDATE user_logins SET sent_at = CAST(:time AS timestamptz) WHERE message_id = CAST(:id AS uuid)",
            time=time,
            id=ids[place],
        )
    rekeying.key_becomes_current()
    rekeying.rekey()
    assert rekeying.database.value("SELECT count(*) FROM user_logins WHERE masked_ip LIKE 't1%'") == 0
    assert rekeying.database.value("SELECT count(*) FROM user_logins WHERE masked_ip LIKE 't2%'") == len(ids)


PARTITIONED_BY_THE_OWNER = (
    "RANGE (sent_at); CREATE TABLE early PARTITION OF parted FOR VALUES FROM (MINVALUE) TO ('2020-01-01');"
    "CREATE TABLE others PARTITION OF parted DEFAULT",
    "RANGE (message_id); CREATE TABLE low PARTITION OF parted FOR VALUES FROM (MINVALUE) TO"
    " ('00000000-0000-0000-0000-000000000006'); CREATE TABLE high PARTITION OF parted FOR VALUES FROM"
    " ('00000000-0000-0000-0000-000000000006') TO (MAXVALUE)",
    "HASH (message_id); CREATE TABLE half PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE other PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
)


@pytest.mark.parametrize("partitions", PARTITIONED_BY_THE_OWNER, ids=["default", "ids", "hashes"])
def test_all_rows_get_their_tokens_however_the_owner_has_partitioned_the_table(
    partitions: str, rekeying: Rekeying
) -> None:
    rekeying.database.sql(
        f"CREATE TABLE parted (LIKE user_logins INCLUDING DEFAULTS) PARTITION BY {partitions};"
        "INSERT INTO parted SELECT * FROM user_logins; ALTER TABLE user_logins RENAME TO whole;"
        f"ALTER TABLE parted RENAME TO user_logins; GRANT SELECT, UPDATE ON user_logins TO {LOGINS['rekey'].username}"
    )
    rekeying.key_becomes_current()
    assert rekeying.rekey()["done"]
    tokens = {row[0][:3] for row in rekeying.database.sql("SELECT masked_ip FROM user_logins")}
    assert (tokens, rekeying.database.value("SELECT count(*) FROM user_logins")) == ({"t2_"}, 11)


def test_what_is_no_token_of_ours_stays_as_it_is(rekeying: Rekeying) -> None:
    rekeying.database.sql("UPDATE user_logins SET masked_ip = 'hidden', masked_device_id = 't9_' || repeat('A', 43)")
    rekeying.key_becomes_current()
    rekeying.rekey()
    assert rekeying.database.sql("SELECT DISTINCT masked_ip, masked_device_id FROM user_logins") == [
        ["hidden", "t9_" + "A" * 43]
    ]


def test_a_second_call_after_the_end_changes_nothing(rekeying: Rekeying) -> None:
    rekeying.key_becomes_current()
    rekeying.rekey()
    stored = rekeying.stored()
    assert rekeying.rekey() == {"done": True, "step": "done", "changed": 0}
    assert rekeying.stored() == stored


def test_two_keys_at_once_come_to_the_same(rekeying: Rekeying) -> None:
    rekeying.key_becomes_current()
    rekeying.ingest(NEW, UserLogin, {20: login(ip="198.51.100.1", device_id="d1")})
    rekeying.database.sql("INSERT INTO token_key (number, check_value) VALUES (3, :v)", v=THIRD.check_values[3])
    rekeying.fake_aws.secretsmanager.secrets[rekeying.secret_id] = secret_text(THIRD)
    assert rekeying.rekey()["done"]
    rekeying.database.sql("DELETE FROM user_logins WHERE message_id = :id", id=numbered(20))
    assert rekeying.stored() == fresh(rekeying, THIRD)


def test_a_key_that_becomes_current_half_way_is_the_one_that_counts(rekeying: Rekeying) -> None:
    rekeying.key_becomes_current()
    while rekeying.rekey(ticking(9))["step"] != "apply":
        pass
    rekeying.database.sql("INSERT INTO token_key (number, check_value) VALUES (3, :v)", v=THIRD.check_values[3])
    rekeying.fake_aws.secretsmanager.secrets[rekeying.secret_id] = secret_text(THIRD)
    assert rekeying.rekey()["done"]
    assert rekeying.stored() == fresh(rekeying, THIRD)


# Half-way


def test_a_call_tells_how_much_of_the_step_is_done_and_how_long_it_goes_on(
    rekeying: Rekeying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_tables, "BATCH_ROWS", 4)
    rekeying.database.sql("ANALYZE")
    rekeying.key_becomes_current()
    told = [rekeying.rekey(ticking(15)) for _ in range(4)]
    shares = [answer["share"] for answer in told if answer["step"] == "map"]
    assert shares == sorted(shares) and 0 < shares[0] < shares[-1] <= 1
    assert told[0]["table"] in {table.name for table in token_tables.tables(STREAMS, NEW)}
    assert told[0]["seconds_left"] is not None


def test_nobody_waits_to_be_told_how_much_is_done(rekeying: Rekeying) -> None:
    rekeying.key_becomes_current()
    with rekeying.database.second_session() as other:
        other.run("BEGIN; LOCK TABLE visits")  # the last table: the others come before it
        answer = rekeying.rekey(ticking(9))
        other.run("ROLLBACK")
    assert (answer["done"], answer["share"], answer["seconds_left"]) == (False, None, None)


def test_after_the_first_step_joins_and_duplicates_are_whole_across_both_keys(rekeying: Rekeying) -> None:
    rekeying.key_becomes_current()
    rekeying.ingest(NEW, UserLogin, {20: login(ip="198.51.100.1", device_id="d1")})
    users = "SELECT count(*) FROM user_logins a JOIN user_logins b ON {} = {} WHERE a.message_id = :id"
    plain = users.format("a.masked_device_id", "b.masked_device_id")
    joined = users.format("current_token(a.masked_device_id)", "current_token(b.masked_device_id)")
    id_of_first = numbered(20)
    assert rekeying.database.value(plain, id=id_of_first) == 1
    while rekeying.rekey(ticking(9))["step"] == "map":
        pass
    assert rekeying.database.value(joined, id=id_of_first) == 4  # d1 of 1, 6, 11 and 20
    while not rekeying.rekey(ticking(9))["done"]:
        assert rekeying.database.value(joined, id=id_of_first) == 4
    assert rekeying.database.value(plain, id=id_of_first) == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("unforeseen")])
def test_killed_in_any_batch_it_goes_on_after_the_last_one(
    error: BaseException, rekeying: Rekeying, monkeypatch: pytest.MonkeyPatch
) -> None:
    rekeying.key_becomes_current()
    save, saved = rekeyer._save, count()

    def save_or_die(*arguments: Any) -> None:
        save(*arguments)
        if next(saved) % 3 == 2:  # of three batches two are committed
            raise error

    monkeypatch.setattr(rekeyer, "_save", save_or_die)
    kills = 0
    answer: dict[str, Any] = {"done": False}
    while not answer["done"]:
        try:
            answer = rekeying.rekey()
        except (KeyboardInterrupt, ValueError):
            kills += 1
    assert kills > 5
    assert rekeying.stored() == fresh(rekeying)


def test_a_stream_that_is_removed_half_way_stops_nothing(rekeying: Rekeying) -> None:
    rekeying.key_becomes_current()
    rekeying.rekey(ticking(9))
    rekeying.database.sql("UPDATE rekeying SET place = 'gone', after = 'zzz'")
    assert rekeying.rekey()["done"]
    assert rekeying.stored() == fresh(rekeying)


def test_it_comes_to_an_end_while_two_environments_write_one_of_them_with_the_old_keyset(rekeying: Rekeying) -> None:
    rekeying.key_is_current_since_now()
    sent: dict[int, Any] = {}
    for number in range(100, 140):
        answer = rekeying.rekey(ticking(9))
        sent[number] = login(ip=f"192.0.2.{number % 7}", device_id=f"d{number % 11}")
        rekeying.ingest(OLD if number % 2 else NEW, UserLogin, {number: sent[number]})
        assert not answer["done"]
    rekeying.key_has_settled()
    for number in range(140, 160):
        sent[number] = login(ip=f"192.0.2.{number % 7}", device_id=f"d{number % 11}")
        rekeying.ingest(NEW, UserLogin, {number: sent[number]})
        rekeying.rekey(ticking(9))
    while not rekeying.rekey(ticking(30))["done"]:
        pass
    stored = rekeying.stored()
    rekeying.empty()
    for stream, bodies in BODIES.items():
        rekeying.ingest(NEW, stream, bodies)
    rekeying.ingest(NEW, UserLogin, sent)
    assert stored == rekeying.stored()


def test_batches_that_are_written_at_the_same_time_lose_nothing_and_neither_waits_for_ever(
    rekeying: Rekeying,
) -> None:
    rekeying.key_is_current_since_now()
    sent = {number: login(ip=f"198.51.100.{number % 97}", device_id=f"d{number % 89}") for number in range(1000, 2000)}

    def ingest(keyset: Keyset, first: int) -> int:
        store = rekeying.open_store(UserLogin)
        store.verify(keyset, in_seconds(60))
        batches = batched([number for number in sent if number % 2 == first], 25)
        rows = [masked(UserLogin, keyset, {number: sent[number] for number in batch}) for batch in batches]
        return sum(write(store, batch, in_seconds(60))[0] for batch in rows)

    with ThreadPoolExecutor(max_workers=2) as two:
        writing = [two.submit(ingest, OLD, 0), two.submit(ingest, NEW, 1)]
        while not all(one.done() for one in writing):
            rekeying.rekey(ticking(30))
    assert [one.result() for one in writing] == [500, 500]
    rekeying.key_has_settled()
    while not rekeying.rekey()["done"]:
        pass
    stored = rekeying.stored()
    fresh(rekeying)
    rekeying.ingest(NEW, UserLogin, sent)
    assert stored == rekeying.stored()


def test_it_is_not_done_before_nobody_works_with_the_old_keyset_any_more(rekeying: Rekeying) -> None:
    rekeying.key_is_current_since_now()
    answer = rekeying.rekey()
    assert (answer["done"], answer["step"], answer["changed"] > 0) == (False, "wait", True)
    assert 590 < answer["wait_seconds"] <= 601
    assert rekeying.rekey()["changed"] == 0
    rekeying.ingest(OLD, UserLogin, {20: login(device_id="late")})
    rekeying.key_has_settled()
    assert rekeying.rekey() == {"done": True, "step": "done", "changed": 2 + 1}  # the row, its ip and its device
    assert rekeying.database.value("SELECT count(*) FROM user_logins WHERE masked_device_id ~ '^t1_'") == 0


def test_an_early_pass_that_finds_nothing_proves_nothing(rekeying: Rekeying) -> None:
    rekeying.empty()
    rekeying.key_is_current_since_now()
    answer = rekeying.rekey()
    assert (answer["done"], answer["step"], answer["changed"]) == (False, "wait", 0)
    rekeying.ingest(OLD, UserLogin, BODIES[UserLogin])
    rekeying.key_has_settled()
    assert rekeying.rekey()["done"]
    assert "t1_" not in json.dumps(rekeying.stored(), default=str)


# Beside others


def test_a_value_that_is_sealed_under_the_new_key_already_has_one_entry(rekeying: Rekeying) -> None:
    rekeying.key_becomes_current()
    rekeying.ingest(NEW, UserLogin, {20: login(ip="198.51.100.1", device_id="d1")})
    rekeying.rekey()
    rekeying.database.sql("DELETE FROM user_logins WHERE message_id = :id", id=numbered(20))
    assert rekeying.stored() == fresh(rekeying)


def test_a_value_that_is_being_sealed_under_the_new_key_is_waited_for(
    rekeying: Rekeying, thread: ThreadPoolExecutor
) -> None:
    rekeying.key_becomes_current()
    token = NEW.tokens("device_id", "d1")[-1]
    with rekeying.database.second_session() as other:
        other.run("BEGIN")
        other.run("INSERT INTO pii_vault VALUES (:t, 'device_id', gen_random_uuid(), '', now())", t=token)
        running = thread.submit(rekeying.rekey)
        rekeying.database.one_waits()
        other.run("COMMIT")
    assert running.result()["done"]
    assert rekeying.stored() == fresh(rekeying)


def test_a_lost_connection_is_made_anew_and_the_batch_done_once(rekeying: Rekeying, thread: ThreadPoolExecutor) -> None:
    rekeying.key_becomes_current()
    with rekeying.database.second_session() as other:
        other.run("BEGIN; LOCK TABLE user_logins")
        running = thread.submit(rekeying.rekey)
        rekeying.database.terminate(rekeying.database.one_waits())
        other.run("ROLLBACK")
    with suppress(Outage):  # of a first connection; one kept from before is made anew
        running.result()
    rekeying.rekey()
    assert rekeying.stored() == fresh(rekeying)


def test_an_erasure_waits_for_one_batch_and_no_batch_begins_during_it(
    rekeying: Rekeying, thread: ThreadPoolExecutor
) -> None:
    rekeying.key_becomes_current()
    with rekeying.database.second_session() as forgetting:
        forgetting.run("BEGIN")
        erasures.exclude(forgetting)
        running = thread.submit(rekeying.rekey)
        rekeying.database.one_waits()
        assert rekeying.database.sql("SELECT step, place, after FROM rekeying") == [["map", "pii_vault", None]]
        forgetting.run("DELETE FROM visits; DELETE FROM pii_vault; COMMIT")
    assert running.result()["done"]
    with rekeying.database.second_session() as forgetting, rekeying.database.second_session() as other:
        rekeying.ingest(OLD, UserLogin, {20: login()})
        other.run("BEGIN; LOCK TABLE erasure")
        running = thread.submit(rekeying.rekey)
        rekeying.database.one_waits()
        assert forgetting.run(f"SELECT pg_try_advisory_xact_lock({erasures.LOCK})") == [[False]]
        other.run("ROLLBACK")
        assert running.result()["done"]


def test_two_at_once_share_the_work(rekeying: Rekeying, database: TestDatabase) -> None:
    rekeying.key_becomes_current()
    connections = [Database(database.settings("rekey"), "sluice-rekey") for _ in range(2)]
    with ThreadPoolExecutor(max_workers=2) as two:
        others = [
            Rekeying(database, rekeying.fake_aws, rekeying.secret_id, rekeying.open_store, c) for c in connections
        ]
        answers = [run.result() for run in [two.submit(other.rekey) for other in others]]
    assert all(answer["done"] for answer in answers)
    assert rekeying.stored() == fresh(rekeying)
    for connection in connections:
        connection.close()


# Erased persons

LONG_BEFORE = "1700000000000"  # milliseconds since 1970


def test_a_late_message_of_an_erased_person_stays_out_before_during_and_after(rekeying: Rekeying) -> None:
    stores = {keyset: rekeying.open_store(UserLogin) for keyset in (OLD, NEW)}

    def is_stored(keyset: Keyset, number: int) -> bool:
        body = {number: login(user_id="gone")}
        return rekeying.ingest(keyset, UserLogin, body, stores[keyset], sluice_sent_at=LONG_BEFORE)[0] == 1

    rekeying.database.sql("INSERT INTO erasure VALUES (:t, now())", t=OLD.tokens(SUBJECT, "gone")[0])
    assert not is_stored(OLD, 300)
    rekeying.key_is_current_since_now()
    for number in range(301, 330):
        rekeying.rekey(ticking(9))
        assert not is_stored(OLD, number)
        assert not is_stored(NEW, number)
    rekeying.key_has_settled()
    answer: dict[str, Any] = {"done": False}
    while not answer["done"]:
        answer = rekeying.rekey(ticking(9))
        assert not is_stored(NEW, 400)
    assert [token for token, _ in rekeying.stored()["erasure"]] == [NEW.tokens(SUBJECT, "gone")[-1]]
    assert is_stored(NEW, 401) is False


def test_of_two_erasures_of_one_person_the_later_counts(rekeying: Rekeying) -> None:
    earlier, later = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    old, new = NEW.tokens(SUBJECT, "gone")
    for first, second in ((earlier, later), (later, earlier)):
        rekeying.database.sql("DELETE FROM erasure")
        rekeying.database.sql(
            "INSERT INTO erasure VALUES (:old, :first), (:new, :second)", old=old, first=first, new=new, second=second
        )
        if first == earlier:
            rekeying.key_becomes_current()
        rekeying.rekey()
        assert rekeying.stored()["erasure"] == [[new, later]]


# Refused


def test_a_keyset_whose_current_key_went_back_is_refused_while_the_work_is_going_on(rekeying: Rekeying) -> None:
    rekeying.key_becomes_current()
    rekeying.rekey(ticking(9))
    rekeying.fake_aws.secretsmanager.secrets[rekeying.secret_id] = secret_text(Keyset(NEW.keys, 1))
    with pytest.raises(Outage, match=r"^keyset: key 2 is being taken into use, but is no longer the current one$"):
        rekeying.rekey()


@pytest.mark.parametrize(
    ("keyset", "error"),
    [
        (OLD, "keyset: key 2 is missing; restore the keyset"),
        (Keyset({1: KEY, 2: "x" * 64}, 2), "keyset: key 2 is not the key that this database knows"),
        (Keyset({1: KEY, 2: "x" * 64}, 1), "keyset: key 2 is not the key that this database knows"),
        (Keyset({1: "x" * 64, 2: SECOND_KEY}, 2), "keyset: key 1 is not the key that this database knows"),
        (Keyset({1: KEY, 2: SECOND_KEY, 3: "x" * 64}, 3), "keyset: key 3 is not known to this database"),
    ],
    ids=["dropped", "changed", "changed before its use", "the first changed", "never remembered"],
)
def test_another_keyset_is_refused_before_anything_is_changed(keyset: Keyset, error: str, rekeying: Rekeying) -> None:
    before = rekeying.stored()
    rekeying.key_becomes_current()
    rekeying.fake_aws.secretsmanager.secrets[rekeying.secret_id] = secret_text(keyset)
    with pytest.raises(Outage) as caught:
        rekeying.rekey()
    assert str(caught.value) == error
    assert rekeying.stored() == before


def test_nothing_of_a_value_or_a_key_is_logged(
    rekeying: Rekeying,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged = StringIO()
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", logged)
    rekeying.key_becomes_current()
    answer = rekeying.rekey()
    told = json.dumps(answer) + "".join(capfd.readouterr()) + caplog.text + logged.getvalue()
    assert "audit head" in told
    assert not [leak for leak in (*LEAKS, KEY, SECOND_KEY, "198.51.100", "kim@") if leak in told]
    tables = json.dumps(rekeying.database.sql("SELECT * FROM audit_log"), default=str)
    assert not [leak for leak in (*LEAKS, KEY, SECOND_KEY) if leak in tables]


def test_an_invocation_without_time_changes_nothing(rekeying: Rekeying) -> None:
    before = rekeying.stored()
    rekeying.key_becomes_current()
    with pytest.raises(Outage, match=r"^out of time$"):
        rekeying.rekey(in_seconds(-1))
    told = {"step": "map", "table": "pii_vault", "share": 0.0, "seconds_left": None}
    assert rekeying.rekey(in_seconds(4)) == {"done": False, "changed": 0, **told}
    assert rekeying.stored() == before
