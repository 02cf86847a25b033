"""A person is erased: their rows and the sealed values that nobody else uses are gone, and that is all."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sluice import telemetry
from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.ingest.rows import MaskedRow
from sluice.operators.forget import persons
from sluice.operators.forget.eraser import Eraser
from sluice.operators.forget.requests import Erase, Erasure, Repeat
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from sluice.pseudonyms.keyset_secret import KeysetVersion
from streams.orders import Order
from streams.user_logins import UserLogin
from tests.integration.databases import TestDatabase, in_seconds
from tests.integration.environment import Environment, OpenStore, write
from tests.integration.erasing import (
    CALLER,
    WHY,
    Forgetting,
    Log,
    Visit,
    audited,
    forget_function,
    make_visits,
    sealed_tokens,
)
from tests.integration.messages import KEY, KEYSET, event, login, numbered, record, token
from tools.testing.aws.account import FakeAws
from tools.testing.aws.secrets_manager import LONG_AGO

ANN, BOB = "ann@example.com", "bob@example.com"
TWO_KEYS = json.dumps({"current": 2, "1": KEY, "2": "L" * 64})
EVENTS = sorted((Path(__file__).parents[2] / "events").glob("forget_*.json"))
OLD, NEW = Keyset.parse(KEYSET), Keyset.parse(TWO_KEYS)
SENT_AT = "2026-01-31T23:59:59.999+00:00"


@pytest.fixture
def forgetting(settings: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetting]:
    yield from forget_function(monkeypatch)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", log.stream)
    return log


def order(email: str, *recipients: str) -> str:
    return json.dumps(
        {
            "order_id": str(uuid4()),
            "placed_at": "2026-01-31T12:00:00Z",
            "status": "new",
            "total": 12,
            "recipients": recipients,
            "customer": {"email": email, "name": "A. Name"},
            "lines": [],
        }
    )


def put(open_store: OpenStore, stream: type[Stream], number: int, body: str, keyset: Keyset = OLD) -> None:
    """Write one record, as ingest would."""
    masked = stream.masker(keyset)(body)
    rows = [MaskedRow(numbered(number), SENT_AT, masked.cells, masked.originals)]
    assert write(open_store(stream), rows, in_seconds(60)) == (1, 0, [])


def user_of(database: TestDatabase) -> list[str]:
    return sorted(found["user_id"] for found in database.rows())


# What is gone


def test_rows_and_sealed_values_of_the_person_are_gone_and_a_shared_value_stays(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting
) -> None:
    mine = [record(login(user_id=ANN, ip="10.0.0.1", device_id="d1")), record(login(user_id=ANN, ip="10.0.0.2"))]
    theirs = record(login(user_id=BOB, ip="10.0.0.2", device_id="d3"))
    ingest.invoke(event(*mine, theirs))
    before = database.rows()
    answer = forgetting.forget(ANN)
    subject = token("subject", ANN)
    assert database.rows() == [found for found in before if found["user_id"] == BOB]
    assert sealed_tokens(database) == {token("ip", "10.0.0.2"), token("device_id", "d3")}
    ((remembered, erased_at),) = database.sql("SELECT subject_token, erased_at FROM erasure")
    assert remembered == subject
    assert answer == {
        "erased_at": erased_at.isoformat(),
        "subject_tokens": [subject],
        "rows": {"orders": 0, "user_logins": 2},
        "mentions": {},
        "values": 3,
        "stays": {"values_used_by_others": 1, "rows_that_mention": 0},
        "dry_run": False,
    }
    counts = {"rows": 2, "mentions": 0, "values": 3, "data_keys": 0} | answer["stays"]
    assert audited(database) == [[CALLER, "forget", *WHY.values(), subject, [subject], counts]]


def test_a_second_time_nothing_is_left_to_erase_and_it_is_audited(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting
) -> None:
    ingest.invoke(event(record(login(user_id=ANN))))
    first, second = forgetting.forget(ANN), forgetting.forget(ANN)
    assert second == first | {"erased_at": second["erased_at"], "rows": {"orders": 0, "user_logins": 0}, "values": 0}
    assert first["erased_at"] < second["erased_at"]
    assert database.value("SELECT erased_at FROM erasure").isoformat() == second["erased_at"]
    assert [action for _, action, *_ in audited(database)] == ["forget", "forget"]


def test_a_dry_run_says_what_would_go_and_changes_nothing_but_the_log(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting, log: Log
) -> None:
    ingest.invoke(event(record(login(user_id=ANN)), record(login(user_id=BOB, ip="10.0.0.9"))))
    tables = ("user_logins", "pii_vault", "pii_vault_key", "erasure", "removal")
    before = [database.sql(f"SELECT * FROM {table} ORDER BY 1") for table in tables]
    log.read()
    dry = forgetting.forget(ANN, dry_run=True)
    assert [database.sql(f"SELECT * FROM {table} ORDER BY 1") for table in tables] == before
    subject = token("subject", ANN)
    counts = {"rows": 1, "mentions": 0, "values": 1, "data_keys": 0} | dry["stays"]
    assert audited(database) == [[CALLER, "forget_dry_run", *WHY.values(), subject, [subject], counts]]
    assert log.erasures() == []
    real = forgetting.forget(ANN)
    assert dry == real | {"erased_at": None, "dry_run": True}


def test_a_person_is_erased_in_every_stream_each_by_its_own_spelling(
    database: TestDatabase, open_store: OpenStore, forgetting: Forgetting
) -> None:
    put(open_store, UserLogin, 1, json.dumps(login(user_id="ann@EXAMPLE.com")))
    put(open_store, Order, 2, order("ann@Example.com"))
    put(open_store, Order, 3, order(BOB, ANN))
    answer = forgetting.forget("  ann@EXAMPLE.com ")
    assert answer["rows"] == {"orders": 1, "user_logins": 1}
    assert sorted(answer["subject_tokens"]) == sorted([token("subject", ANN), token("subject", "ann@EXAMPLE.com")])
    assert [found["message_id"] for found in database.rows("orders")] == [numbered(3)]
    assert answer["stays"] == {"values_used_by_others": 0, "rows_that_mention": 1}  # Bob's order is for Ann
    assert sealed_tokens(database) == {token("email", BOB)}
    assert forgetting.forget(BOB)["values"] == 1
    assert sealed_tokens(database) == set()


def test_a_stream_whose_rule_does_not_take_the_text_is_skipped(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting
) -> None:
    ingest.invoke(event(record(login(user_id="no e-mail address"))))
    answer = forgetting.forget("no e-mail address")
    assert (answer["rows"], answer["subject_tokens"]) == (
        {"orders": 0, "user_logins": 1},
        [token("subject", "no e-mail address")],
    )


@pytest.fixture
def forgetter(database: TestDatabase) -> Iterator[Any]:
    """Open the forget role's tables for some streams and a keyset."""
    opened: list[Database] = []

    def make(streams: Sequence[type[Stream]], keyset: Keyset = OLD) -> Eraser:
        opened.append(Database(database.settings("forget"), "sluice-test"))
        return Eraser(opened[-1], streams, KeysetVersion(keyset, LONG_AGO))

    yield make
    for connection in opened:
        connection.close()


def test_tokens_in_arrays_and_in_json_are_found_and_one_that_another_stream_uses_stays(
    database: TestDatabase, open_store: OpenStore, forgetter: Any, deadline: Deadline
) -> None:
    make_visits(database)
    visitor = "424cdd21-063a-43a7-b91b-7ca1a833afae"
    trips = [{"guests": [{"email": "a@x.org"}, {"email": "b@x.org"}]}, {"guests": []}]
    put(open_store, Visit, 1, json.dumps({"visitor": visitor.upper(), "devices": ["d1", "d2", "d3"], "trips": trips}))
    put(open_store, Visit, 2, json.dumps({"devices": ["d1"], "trips": [{"guests": [{"email": "b@x.org"}]}]}))
    put(open_store, UserLogin, 3, json.dumps(login(device_id="d2")))
    request = Erase(reason="support_request", ticket="A-1", subject=visitor)
    answer = forgetter([Visit, UserLogin]).run("me", request, deadline)
    assert (answer["rows"], answer["values"]) == ({Visit.stream_name: 1, "user_logins": 1}, 4)
    assert sealed_tokens(database) == {token("device_id", "d1"), token("email", "b@x.org")}


def test_tokens_inside_of_a_tree_are_found_and_one_that_another_row_uses_stays(
    database: TestDatabase, open_store: OpenStore, forgetter: Any, deadline: Deadline
) -> None:
    make_visits(database)
    visitor = "424cdd21-063a-43a7-b91b-7ca1a833afae"
    ann = {"seen": {"door": {"email": "a@x.org"}}, "devices": ["d1", "d2"], "words": "with b@x.org", "other": "c@x.org"}
    bob = {"seen": [{"email": "b@x.org"}]}
    trips = [{"guests": [{"email": "d@x.org", "details": {"devices": ["d3"]}}]}]
    put(open_store, Visit, 1, json.dumps({"visitor": visitor, "devices": [], "trips": trips, "details": ann}))
    put(open_store, Visit, 2, json.dumps({"devices": ["d1"], "trips": [], "details": bob}))
    request = Erase(reason="support_request", ticket="A-1", subject=visitor)
    answer = forgetter([Visit]).run("me", request, deadline)
    assert (answer["rows"], answer["values"]) == ({Visit.stream_name: 1}, 4)
    assert sealed_tokens(database) == {token("device_id", "d1"), token("email", "b@x.org")}


def test_a_row_of_nobody_is_nobodys(
    database: TestDatabase, open_store: OpenStore, forgetter: Any, deadline: Deadline
) -> None:
    make_visits(database)
    put(open_store, Visit, 1, '{"devices": [], "trips": []}')
    request = Erase(reason="support_request", ticket="A-1", subject=str(uuid4()))
    assert forgetter([Visit]).run("me", request, deadline)["rows"] == {Visit.stream_name: 0}
    again = Repeat(
        reason="support_request",
        ticket="A-1",
        erasures=[Erasure(token("subject", "None"), datetime.now(UTC))],
    )
    assert forgetter([Visit]).run("me", again, deadline)["rows"] == {Visit.stream_name: 0}
    assert len(database.rows("visits")) == 1


def test_what_was_put_into_a_token_column_by_others_hinders_no_erasure(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting
) -> None:
    ingest.invoke(event(record(login(user_id=ANN))))
    database.sql("UPDATE user_logins SET masked_ip = 'no token'")
    assert forgetting.forget(ANN)["values"] == 1  # the device id; the address is nobody's any more
    assert forgetting.sweep()["values"] == 1


# While a new token key is being taken into use


def two_keys(database: TestDatabase, fake_aws: FakeAws, keyset_id: str) -> None:
    """Make key 2 the current one, in the keyset and in the database's memory."""
    fake_aws.secretsmanager.secrets[keyset_id] = TWO_KEYS
    database.sql("INSERT INTO token_key (number, check_value) VALUES (2, :value)", value=NEW.check_values[2])


def rekey(database: TestDatabase, domain: str, value: str, *places: str) -> None:
    """Bring one value's token to key 2 in some columns, as the rekey function does."""
    old, new = NEW.tokens(domain, value)
    database.sql("INSERT INTO rekeyed_token VALUES (:old, :new) ON CONFLICT DO NOTHING", old=old, new=new)
    for place in places:
        table, column = place.split(".")
        database.sql(f"UPDATE {table} SET {column} = :new WHERE {column} = :old", old=old, new=new)


def test_half_way_through_a_rekey_nothing_of_the_person_is_left_and_all_of_others(
    database: TestDatabase, open_store: OpenStore, forgetting: Forgetting, fake_aws: FakeAws, settings: str
) -> None:
    put(open_store, UserLogin, 1, json.dumps(login(user_id=ANN, ip="10.0.0.1", device_id="d1")))
    put(open_store, UserLogin, 2, json.dumps(login(user_id=BOB, ip="10.0.0.2", device_id="d1")))
    put(open_store, Order, 3, order(ANN))
    two_keys(database, fake_aws, settings)
    rekey(database, "ip", "10.0.0.1", "user_logins.masked_ip")  # the row is new, the vault is old
    rekey(database, "ip", "10.0.0.2", "user_logins.masked_ip")
    rekey(database, "device_id", "d1", "pii_vault.token")  # the other way round
    rekey(database, "subject", ANN, "orders.customer")
    answer = forgetting.forget(ANN)
    assert (answer["rows"], answer["values"]) == ({"orders": 1, "user_logins": 1}, 2)
    assert sealed_tokens(database) == {token("ip", "10.0.0.2"), NEW.tokens("device_id", "d1")[1]}
    assert database.value("SELECT array_agg(old_token ORDER BY old_token) FROM rekeyed_token") == sorted(
        [token("ip", "10.0.0.2"), token("device_id", "d1")]
    )
    assert forgetting.sweep()["values"] == 0
    assert answer["subject_tokens"] == [NEW.tokens("subject", ANN)[1]]
    assert forgetting.forget(BOB)["values"] == 2
    assert sealed_tokens(database) == set()


def test_a_value_that_is_sealed_under_two_keys_loses_the_one_that_no_row_uses(
    database: TestDatabase, open_store: OpenStore, forgetting: Forgetting, fake_aws: FakeAws, settings: str
) -> None:
    put(open_store, UserLogin, 1, json.dumps(login(user_id=ANN)))
    two_keys(database, fake_aws, settings)
    put(open_store, UserLogin, 2, json.dumps(login(user_id=BOB)), NEW)
    assert len(sealed_tokens(database)) == 4
    forgetting.forget(ANN)
    assert {found[:3] for found in sealed_tokens(database)} == {"t2_"}
    forgetting.forget(BOB)
    assert sealed_tokens(database) == set()


def test_a_keyset_that_is_not_the_databases_erases_nothing(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting, fake_aws: FakeAws, settings: str
) -> None:
    ingest.invoke(event(record(login(user_id=ANN))))
    fake_aws.secretsmanager.secrets[settings] = json.dumps({"current": 1, "1": "X" * 64})
    status, answer = forgetting.call({"action": "forget", "subject": ANN, **WHY})
    assert (status, answer["detail"]) == (503, "keyset: key 1 is not the key that this database knows")
    assert user_of(database) == [ANN]
    assert audited(database) == []


# Sweep


def test_a_sweep_removes_sealed_values_and_data_keys_that_nothing_uses(
    database: TestDatabase, open_store: OpenStore, forgetting: Forgetting
) -> None:
    put(open_store, UserLogin, 1, json.dumps(login(ip="10.0.0.1")))
    put(open_store, UserLogin, 2, json.dumps(login(ip="10.0.0.2", device_id="d2")))
    put(open_store, Order, 3, order(ANN))
    database.sql("DELETE FROM user_logins WHERE message_id = :id", id=numbered(2))
    before = database.sql("SELECT * FROM pii_vault")
    gone = {"values": 2, "data_keys": 1}
    assert forgetting.sweep(dry_run=True) == {**gone, "dry_run": True}
    assert database.sql("SELECT * FROM pii_vault") == before
    assert forgetting.sweep() == {**gone, "dry_run": False}
    assert sealed_tokens(database) == {
        token("ip", "10.0.0.1"),
        token("device_id", login()["device_id"]),
        token("email", ANN),
    }
    assert database.value("SELECT count(*) FROM pii_vault_key") == 2
    assert forgetting.sweep() == {"values": 0, "data_keys": 0, "dry_run": False}
    actions = [(action, subject, tokens, counts) for _, action, _, _, subject, tokens, counts in audited(database)]
    assert actions == [
        ("sweep_dry_run", None, [], gone | {"rows": 0, "mentions": 0}),
        ("sweep", None, [], gone | {"rows": 0, "mentions": 0}),
        ("sweep", None, [], {"rows": 0, "mentions": 0, "values": 0, "data_keys": 0}),
    ]


# After a restore from backup


@pytest.mark.parametrize("rekeyed", [False, True], ids=["same key", "new key since"])
def test_what_the_log_says_of_an_erasure_repeats_it_after_a_restore(
    rekeyed: bool,
    database: TestDatabase,
    open_store: OpenStore,
    forgetting: Forgetting,
    fake_aws: FakeAws,
    settings: str,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(persons, "WALK_ROWS", 2)
    for number, user in enumerate((BOB, "carol", ANN, BOB, ANN)):
        put(open_store, UserLogin, number, json.dumps(login(user_id=user, ip=f"10.0.0.{number}")))
    put(open_store, Order, 6, order(ANN))
    put(open_store, Order, 7, order(BOB))
    tables = ("user_logins", "orders", "pii_vault", "erasure", "erased_value")
    for table in tables:
        database.sql(f"CREATE TABLE saved_{table} AS TABLE {table}")
    first = forgetting.forget(ANN)
    erasures = log.erasures()
    after = [database.sql(f"SELECT * FROM {table} ORDER BY 1") for table in tables]
    database.sql(
        "ALTER TABLE user_logins DROP COLUMN create_date; ALTER TABLE saved_user_logins DROP COLUMN create_date"
    )
    after[0] = database.sql("SELECT * FROM user_logins ORDER BY 1")
    for table in tables:
        database.sql(f"DELETE FROM {table}")
        database.sql(f"INSERT INTO {table} SELECT * FROM saved_{table}")
    if rekeyed:
        two_keys(database, fake_aws, settings)
    dry = forgetting.repeat(erasures, dry_run=True)
    assert len(database.rows()) == 5
    answer = forgetting.repeat(erasures)
    assert dry == answer | {"dry_run": True}
    assert answer == {
        "subject_tokens": [(NEW if rekeyed else OLD).tokens("subject", ANN)[-1]],
        "rows": first["rows"],
        "mentions": {},
        "values": first["values"],
        "stays": {**first["stays"], "rows_sent_since": 0},
        "dry_run": False,
    }
    if rekeyed:
        database.sql("UPDATE erasure SET subject_token = :old", old=token("subject", ANN))
        for domain in ("email", "subject"):
            database.sql(
                "UPDATE erased_value SET token = :old WHERE domain = :domain", old=token(domain, ANN), domain=domain
            )
    assert [database.sql(f"SELECT * FROM {table} ORDER BY 1") for table in tables] == after
    values = {domain: (NEW if rekeyed else OLD).tokens(domain, ANN)[-1] for domain in ("email", "subject")}
    assert log.erasures() == [{**erasures[0], "subject_token": answer["subject_tokens"][0], "values": values}]
    actions = [(action, subject) for _, action, _, _, subject, *_ in audited(database)]
    assert actions[1:] == [("repeat_dry_run", answer["subject_tokens"][0]), ("repeat", answer["subject_tokens"][0])]


def test_a_backup_from_before_a_rekey_has_tokens_of_the_older_key_that_are_found(
    database: TestDatabase, open_store: OpenStore, forgetting: Forgetting, fake_aws: FakeAws, settings: str
) -> None:
    put(open_store, Order, 1, order(ANN))
    two_keys(database, fake_aws, settings)
    erasure = {"subject_token": NEW.tokens("subject", ANN)[1], "erased_at": datetime.now(UTC).isoformat()}
    assert forgetting.repeat([erasure])["rows"] == {"orders": 1, "user_logins": 0}


def test_what_was_sent_after_the_erasure_stays_when_it_is_repeated(
    database: TestDatabase, open_store: OpenStore, forgetting: Forgetting
) -> None:
    put(open_store, UserLogin, 1, json.dumps(login(user_id=ANN)))
    sent_at = datetime.fromisoformat(SENT_AT)
    subject_token = token("subject", ANN)
    assert forgetting.repeat([{"subject_token": subject_token, "erased_at": SENT_AT}])["rows"]["user_logins"] == 0
    later = (sent_at + timedelta(milliseconds=1)).isoformat()
    assert forgetting.repeat([{"subject_token": subject_token, "erased_at": later}])["rows"]["user_logins"] == 1
    earlier = [{"subject_token": subject_token, "erased_at": "2020-01-01T00:00:00Z"}]
    assert forgetting.repeat(earlier)["rows"]["user_logins"] == 0
    assert database.value("SELECT erased_at FROM erasure").isoformat() == later  # the last of one person counts


def test_an_erasure_of_the_future_is_one_of_now(database: TestDatabase, forgetting: Forgetting) -> None:
    forgetting.repeat([{"subject_token": token("subject", ANN), "erased_at": "9999-01-01T00:00:00Z"}])
    assert database.value("SELECT erased_at <= clock_timestamp() FROM erasure")


# Calls that are refused, and failures


@pytest.mark.parametrize(
    ("request_", "detail"),
    [
        ("not json", "the body must be JSON"),
        ({"action": "canary", **WHY}, "Invalid value - at `$.action`"),
        ({"action": "forget", **WHY}, "Object missing required field `subject`"),
        ({"action": "forget", **WHY, "subject": ""}, "Expected `str` of length >= 1 - at `$.subject`"),
        ({"action": "forget", **WHY, "subject": " "}, "subject: is nothing that a stream's rule takes"),
        ({"action": "forget", **WHY, "subject": "canary", "canary": 1}, "Object contains unknown field"),
        ({"action": "forget", **WHY, "subject": "canary", "reason": "canary"}, "Invalid enum value - at `$.reason`"),
        ({"action": "sweep", **WHY, "subject": "canary"}, "Object contains unknown field"),
        ({"action": "repeat", **WHY, "erasures": []}, "Expected `array` of length >= 1 - at `$.erasures`"),
        (
            {"action": "repeat", **WHY, "erasures": [{"subject_token": f"t2_{'x' * 43}", "erased_at": SENT_AT}]},
            "erasures: a token is of a key newer than the current one",
        ),
        (
            {"action": "repeat", **WHY, "erasures": [{"subject_token": f"t1_{'x' * 43}", "erased_at": SENT_AT[:-6]}]},
            "Expected `datetime` with a timezone component - at `$.erasures[0].erased_at`",
        ),
    ],
)
def test_a_bad_request_changes_nothing_and_is_told_the_rule_alone(
    request_: object, detail: str, database: TestDatabase, forgetting: Forgetting, log: Log
) -> None:
    assert forgetting.call(request_) == (400, {"error": "bad_request", "detail": detail})
    assert audited(database) == database.sql("SELECT * FROM erasure") == []
    assert "canary" not in log.read()


def test_without_a_caller_that_lambda_verified_nothing_is_erased(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting
) -> None:
    ingest.invoke(event(record(login(user_id=ANN))))
    status, _ = forgetting.call({"action": "forget", "subject": ANN, **WHY}, caller="")
    assert status == 403
    assert user_of(database) == [ANN]


def test_nothing_is_erased_that_cannot_be_audited(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting
) -> None:
    ingest.invoke(event(record(login(user_id=ANN))))
    database.sql("DROP FUNCTION audit_append")
    status, answer = forgetting.call({"action": "forget", "subject": ANN, **WHY})
    assert (status, answer) == (503, {"error": "outage", "detail": "database: SQLSTATE 42883"})
    assert user_of(database) == [ANN]
    assert len(sealed_tokens(database)) == 2


def test_nothing_clear_is_in_log_answer_or_table(
    database: TestDatabase, open_store: OpenStore, forgetting: Forgetting, log: Log
) -> None:
    canary = "canary@canary.example"
    body = login(user_id=canary, device_id="canary device", ip="203.0.113.77")
    put(open_store, UserLogin, 1, json.dumps(body))
    put(open_store, Order, 2, order(canary))
    answers = [forgetting.forget(canary, dry_run=True), forgetting.forget(canary), forgetting.sweep()]
    output = log.read()
    tables = [
        database.sql(f"SELECT t::text FROM {table} t")
        for table in ("audit_log", "erasure", "rekeyed_token", "pii_vault", "user_logins", "orders", "rejection")
    ]
    assert "erased" in output
    for text in (output, json.dumps(answers), str(tables)):
        assert "canary" not in text
        assert "203.0.113.77" not in text


def test_a_long_erasure_has_the_time_of_its_invocation(
    database: TestDatabase, ingest: Environment, forgetting: Forgetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest.invoke(event(record(login(user_id=ANN))))
    database.sql(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.5); RETURN OLD; END $$;"
        "CREATE TRIGGER wait BEFORE DELETE ON user_logins FOR EACH ROW EXECUTE FUNCTION wait()"
    )
    request = {"action": "forget", "subject": ANN, **WHY}
    assert forgetting.call(request, remaining_seconds=2.2)[0] == 503  # less than two seconds are kept to answer
    assert user_of(database) == [ANN]
    assert forgetting.call(request)[0] == 200
    assert user_of(database) == []


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_every_example_is_answered(path: Path, ingest: Environment, forgetting: Forgetting) -> None:
    ingest.invoke(event(record()))
    response = forgetting.environment.invoke(json.loads(path.read_text("utf-8")))
    assert response["statusCode"] == 200
    assert response["headers"] == {"Content-Type": "application/json", "Cache-Control": "no-store"}
