"""Who asks for clear values gets them once the audit log says so, and only what was sealed under the token."""

import io
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError

from sluice import telemetry
from sluice.operators.audit import audit_log
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import TestDatabase, until
from tests.integration.environment import Environment
from tests.integration.messages import KEY, event, login, record, token
from tools.testing.aws.account import FakeAws

EVENTS = Path(__file__).parents[2] / "events"
CALLER = "arn:aws:sts::000000000000:assumed-role/privacy-team/ada"
IP, DEVICE = token("ip", "199.172.111.135"), token("device_id", "593-47-5928")  # of `login()`
UNKNOWN = token("ip", "192.0.2.1")
IP_VALUE = {"token": IP, "domain": "ip", "value": "199.172.111.135"}
DEVICE_VALUE = {"token": DEVICE, "domain": "device_id", "value": "593-47-5928"}
TWO_KEYS = json.dumps({"current": 2, "1": KEY, "2": "L" * 64})


def call(*tokens: str, caller: str = CALLER, **changes: object) -> dict[str, Any]:
    """Return the event of a call of the function's URL."""
    body = {"tokens": tokens, "reason": "fraud_investigation", "ticket": "PRIV-1"} | changes
    authorizer = {"authorizer": {"iam": {"userArn": caller}}} if caller else {}
    return {"version": "2.0", "requestContext": authorizer, "body": json.dumps(body), "isBase64Encoded": False}


def answered(response: dict[str, Any]) -> tuple[int, Any]:
    """Return status and body; no answer may be kept by a cache."""
    assert response["headers"] == {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return response["statusCode"], json.loads(response["body"])


def logged(database: TestDatabase) -> list[dict[str, Any]]:
    """Return the audit log without what the chain and the clock make of it."""
    own = ("id", "at", "previous_hash", "hash")
    rows = database.sql("SELECT to_jsonb(l) FROM audit_log l ORDER BY id")
    return [{name: value for name, value in row.items() if name not in own} for (row,) in rows]


def entry(*tokens: str, **changes: object) -> dict[str, Any]:
    """Return the audit row of a call."""
    return {
        "actor": CALLER,
        "action": "reveal",
        "reason": "fraud_investigation",
        "ticket": "PRIV-1",
        "subject_token": None,
        "tokens": list(tokens),
        "counts": {"asked": len(tokens), "found": len(tokens)},
    } | changes


@pytest.fixture
def reveals(settings: str, ingest: Environment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Environment]]:
    """Make execution environments of the reveal function; a login is in the database, its values in the vault."""
    assert ingest.invoke(event(record())) == {"batchItemFailures": []}
    monkeypatch.setenv("DATABASE_SECRET_ID", "reveal")
    monkeypatch.setenv("DAILY_LIMIT", "1000")
    opened: list[Environment] = []

    def make() -> Environment:
        opened.append(Environment("reveal"))
        return opened[-1]

    yield make
    for environment in opened:
        if environment._app._database.cache_info().currsize:
            environment._app._database().close()


@pytest.fixture
def reveal(reveals: Callable[[], Environment]) -> Callable[..., tuple[int, Any]]:
    """Call the function: tokens in, status and body out."""
    environment = reveals()
    return lambda *tokens, **changes: answered(environment.invoke(call(*tokens, **changes), remaining_seconds=60))


type Reveal = Callable[..., tuple[int, Any]]


def test_a_value_comes_with_its_token_and_is_logged(
    database: TestDatabase, reveal: Reveal, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reveal(DEVICE, IP, UNKNOWN) == (
        200,
        {"values": [DEVICE_VALUE, IP_VALUE], "unknown": [UNKNOWN], "altered": []},
    )
    assert logged(database) == [entry(DEVICE, IP, UNKNOWN, counts={"asked": 3, "found": 2})]
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "ValuesRevealed" in line]
    assert [one["ValuesRevealed"] for one in metrics] == [[2.0]]


@pytest.mark.parametrize(
    ("name", "status"), [("reveal_tokens", 200), ("reveal_free_text", 400), ("reveal_unverified", 403)]
)
def test_the_events_are_answered(name: str, status: int, reveals: Callable[[], Environment]) -> None:
    invocation = json.loads((EVENTS / f"{name}.json").read_text())
    assert reveals().invoke(invocation, remaining_seconds=60)["statusCode"] == status


def test_a_token_that_is_asked_for_twice_is_one(database: TestDatabase, reveal: Reveal) -> None:
    assert reveal(IP, IP) == (200, {"values": [IP_VALUE], "unknown": [], "altered": []})
    assert logged(database) == [entry(IP)]


def test_a_caller_whom_lambda_did_not_verify_is_refused(
    database: TestDatabase, reveal: Reveal, fake_aws: FakeAws
) -> None:
    status, body = reveal(IP, caller="")
    assert (status, body["error"]) == (403, "unverified_caller")
    assert logged(database) == []
    assert "Decrypt" not in fake_aws.kms.calls


def test_an_unverified_caller_is_logged_as_such_where_that_is_allowed(
    database: TestDatabase, reveal: Reveal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_UNVERIFIED_CALLER", "true")
    assert reveal(IP, caller="")[0] == 200
    assert logged(database) == [entry(IP, actor="unverified")]


def test_the_audit_row_is_committed_before_anything_is_opened(
    database: TestDatabase, reveal: Reveal, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    decrypt = fake_aws.kms.decrypt

    def look_first(**request: Any) -> dict[str, Any]:
        seen.append(logged(database))  # in the owner's session
        return decrypt(**request)

    monkeypatch.setattr(fake_aws.kms, "decrypt", look_first)
    assert reveal(IP)[0] == 200
    assert seen == [[entry(IP)]]


@pytest.mark.parametrize(
    "fault",
    [
        "REVOKE EXECUTE ON FUNCTION audit_append FROM reveal_of_tests",
        "ALTER TABLE audit_log ADD CHECK (action <> 'reveal')",
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
        "CREATE CONSTRAINT TRIGGER no AFTER INSERT ON audit_log DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION no()",
    ],
    ids=["not allowed", "refused", "refused at COMMIT"],
)
def test_without_the_audit_row_nothing_is_opened(
    fault: str, database: TestDatabase, reveal: Reveal, fake_aws: FakeAws
) -> None:
    database.sql(fault)
    status, body = reveal(IP)
    assert (status, body["error"]) == (503, "outage")
    assert "Decrypt" not in fake_aws.kms.calls
    assert logged(database) == []


def test_a_failure_after_the_audit_row_is_a_second_one(
    database: TestDatabase, reveal: Reveal, fake_aws: FakeAws
) -> None:
    fake_aws.kms.fails_with = "ThrottlingException"
    assert reveal(IP, UNKNOWN) == (503, {"error": "outage", "detail": "kms: ThrottlingException"})
    assert logged(database) == [
        entry(IP, UNKNOWN, counts={"asked": 2, "found": 1}),
        entry(IP, action="reveal_failed", counts={"opened": 0}),
    ]


def test_what_we_did_not_foresee_after_the_audit_row_is_a_second_one_and_is_not_told(
    database: TestDatabase, reveal: Reveal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tokens(self: Keyset, domain: str, value: str) -> list[str]:
        raise RuntimeError(value)

    monkeypatch.setattr(Keyset, "tokens", tokens)
    assert reveal(IP) == (500, {"error": "internal_error", "detail": "RuntimeError"})
    assert [row["action"] for row in logged(database)] == ["reveal", "reveal_failed"]


def test_without_the_time_to_log_what_became_of_it_nothing_is_opened(
    database: TestDatabase, reveals: Callable[[], Environment], fake_aws: FakeAws
) -> None:
    assert answered(reveals().invoke(call(IP), remaining_seconds=20)) == (
        503,
        {"error": "outage", "detail": "out of time"},
    )
    assert "Decrypt" not in fake_aws.kms.calls
    assert [row["action"] for row in logged(database)] == ["reveal", "reveal_failed"]


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"tokens": [IP] * 101}, "Expected `array` of length <= 100 - at `$.tokens`"),
        ({"tokens": []}, "Expected `array` of length >= 1 - at `$.tokens`"),
        ({"tokens": [IP, "kn4ry"]}, "at `$.tokens[1]`"),
        ({"tokens": [IP, IP + "\n"]}, "at `$.tokens[1]`"),
        ({"tokens": [IP, 1]}, "Expected `str`, got `int` - at `$.tokens[1]`"),
        ({"reason": "kn4ry asked"}, "Invalid enum value - at `$.reason`"),
        ({"ticket": "kn4ry"}, "at `$.ticket`"),
        ({"ticket": "PRIV-1\n"}, "at `$.ticket`"),
        ({"kn4ry": 1}, "Object contains unknown field"),
    ],
)
def test_a_bad_request_is_refused_by_place_and_rule(
    changes: dict[str, object], detail: str, database: TestDatabase, reveal: Reveal
) -> None:
    status, body = reveal(IP, **changes)
    assert (status, body["error"]) == (400, "bad_request")
    assert body["detail"].endswith(detail) and "kn4ry" not in str(body)
    assert logged(database) == []


def test_a_caller_gets_as_many_values_a_day_as_the_limit_says(
    database: TestDatabase, reveal: Reveal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILY_LIMIT", "3")
    assert [reveal(IP, DEVICE)[0], reveal(IP, DEVICE)[0], reveal(UNKNOWN)[0]] == [200, 429, 200]
    assert reveal(IP) == (
        429,
        {"error": "daily_limit", "detail": "the caller has asked for as many values today as one may"},
    )
    assert reveal(IP, caller="another")[0] == 200
    assert [(row["actor"], len(row["tokens"])) for row in logged(database)] == [
        (CALLER, 2),
        (CALLER, 1),
        ("another", 1),
    ]


def test_another_name_for_the_session_of_a_role_gets_nobody_more(
    reveal: Reveal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILY_LIMIT", "2")
    role = "arn:aws:sts::000000000000:assumed-role/support"
    calls = [f"{role}/ada", f"{role}/eve", f"{role}s/eve"]
    assert [reveal(IP, DEVICE, caller=caller)[0] for caller in calls] == [200, 429, 200]


def test_two_calls_at_once_do_not_pass_the_limit_together(
    database: TestDatabase, reveals: Callable[[], Environment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILY_LIMIT", "2")
    with database.second_session() as holder, ThreadPoolExecutor(2) as pool:
        holder.run("BEGIN")
        holder.run("SELECT pg_advisory_xact_lock(20943)")  # that of `audit_append`
        calls = [pool.submit(reveals().invoke, call(IP, DEVICE), remaining_seconds=60) for _ in range(2)]
        until(lambda: len(database.backends("wait_event_type = 'Lock'")) == 2)
        holder.run("COMMIT")
        assert sorted(one.result()["statusCode"] for one in calls) == [200, 429]
    assert logged(database) == [entry(IP, DEVICE)]


TAMPERING = {
    "ciphertext": "UPDATE pii_vault SET sealed = set_byte(sealed, 14, 255 - get_byte(sealed, 14)) WHERE token = :ip",
    "cut": "UPDATE pii_vault SET sealed = substr(sealed, 1, 5) WHERE token = :ip",
    "domain": "UPDATE pii_vault SET domain = 'device_id' WHERE token = :ip",
    "sealed value of another": (
        "UPDATE pii_vault SET sealed = (SELECT sealed FROM pii_vault WHERE token = :other) WHERE token = :ip"
    ),
    "token moved": (
        "UPDATE pii_vault SET token = '-' WHERE token = :ip; UPDATE pii_vault SET token = :ip WHERE token = :other"
    ),
    "mapped to another": (
        "DELETE FROM pii_vault WHERE token = :ip; INSERT INTO rekeyed_token (old_token, token) VALUES (:other, :ip)"
    ),
    "data key": "UPDATE pii_vault_key SET wrapped = set_byte(wrapped, 14, 255 - get_byte(wrapped, 14))",
    "no data key": "DELETE FROM pii_vault_key",
    "another data key": "UPDATE pii_vault SET key_id = gen_random_uuid() WHERE token = :ip",
}


@pytest.mark.parametrize("sql", TAMPERING.values(), ids=TAMPERING.keys())
def test_an_entry_that_was_altered_is_told_and_never_opened(
    sql: str, database: TestDatabase, ingest: Environment, reveal: Reveal
) -> None:
    other = token("ip", "192.0.2.2")
    ingest.invoke(event(record(login(ip="192.0.2.2"))))
    database.sql(sql.replace(":ip", f"'{IP}'").replace(":other", f"'{other}'"))
    assert reveal(IP) == (200, {"values": [], "unknown": [], "altered": [IP]})
    assert logged(database) == [
        entry(IP),
        entry(IP, action="reveal_failed", counts={"opened": 0, "altered": 1}),
    ]


def test_two_entries_that_were_swapped_are_altered_and_the_others_are_not(
    database: TestDatabase, ingest: Environment, reveal: Reveal
) -> None:
    other = token("ip", "192.0.2.2")
    ingest.invoke(event(record(login(ip="192.0.2.2"))))
    database.sql(
        "UPDATE pii_vault v SET sealed = w.sealed FROM pii_vault w"
        f" WHERE (v.token, w.token) IN (('{IP}', '{other}'), ('{other}', '{IP}'))"
    )
    assert reveal(IP, DEVICE, other) == (200, {"values": [DEVICE_VALUE], "unknown": [], "altered": [IP, other]})
    assert logged(database)[1:] == [
        entry(IP, other, action="reveal_failed", counts={"opened": 1, "altered": 2}),
    ]


def test_a_second_row_that_cannot_be_written_withholds_the_values(database: TestDatabase, reveal: Reveal) -> None:
    database.sql(f"UPDATE pii_vault SET sealed = '' WHERE token = '{IP}'")
    database.sql("ALTER TABLE audit_log ADD CHECK (action <> 'reveal_failed')")
    status, body = reveal(IP, DEVICE)
    assert (status, body["error"]) == (503, "outage")
    assert "593-47" not in str(body)


@pytest.fixture
def rekeying(database: TestDatabase, fake_aws: FakeAws, settings: str) -> Keyset:
    """A second key is the current one; nothing has its tokens yet. Return the keyset."""
    keyset = Keyset.parse(TWO_KEYS)
    fake_aws.secretsmanager.secrets[settings] = TWO_KEYS
    database.sql(
        f"INSERT INTO token_key (number, check_value) VALUES (2, decode('{keyset.check_values[2].hex()}', 'hex'))"
    )
    return keyset


@pytest.mark.parametrize("entry_moved", [False, True], ids=["entry not moved", "entry moved"])
@pytest.mark.parametrize("mapped", [False, True], ids=["not mapped", "mapped"])
def test_while_keys_change_a_token_of_either_is_revealed(
    entry_moved: bool, mapped: bool, database: TestDatabase, reveal: Reveal, rekeying: Keyset
) -> None:
    newer = rekeying.newer("ip")(IP)[-1]
    if mapped:
        database.sql(f"INSERT INTO rekeyed_token (old_token, token) VALUES ('{IP}', '{newer}')")
    if entry_moved:
        database.sql(f"UPDATE pii_vault SET token = '{newer}' WHERE token = '{IP}'")
    asked = [IP, newer] if mapped or entry_moved else [IP]  # else nothing has the new token yet
    assert reveal(*asked) == (
        200,
        {"values": [IP_VALUE | {"token": one} for one in asked], "unknown": [], "altered": []},
    )


def test_a_token_of_a_domain_is_not_looked_for_in_another(
    database: TestDatabase, reveal: Reveal, rekeying: Keyset
) -> None:
    in_another = rekeying.newer("device_id")(IP)[-1]
    database.sql(f"UPDATE pii_vault SET token = '{in_another}' WHERE token = '{IP}'")
    assert reveal(IP) == (200, {"values": [], "unknown": [], "altered": [IP]})


def test_a_token_of_a_key_that_is_not_current_yet_is_unknown(database: TestDatabase, reveal: Reveal) -> None:
    newer = Keyset.parse(TWO_KEYS).newer("ip")(IP)[-1]
    assert reveal(newer) == (200, {"values": [], "unknown": [newer], "altered": []})


def test_under_another_keyset_nothing_is_opened(
    database: TestDatabase, reveal: Reveal, settings: str, fake_aws: FakeAws
) -> None:
    fake_aws.secretsmanager.secrets[settings] = json.dumps({"current": 1, "1": "R" * 64})
    assert reveal(IP) == (503, {"error": "outage", "detail": "keyset: key 1 is not the key that this database knows"})
    assert logged(database) == []


def test_each_head_is_logged_after_its_commit(
    database: TestDatabase, reveal: Reveal, fake_aws: FakeAws, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, telemetry.logger.name)
    fake_aws.kms.fails_with = "ThrottlingException"
    reveal(IP)
    heads = [(one.audit_id, one.audit_hash) for one in caplog.records if one.message == "audit head"]  # type: ignore[attr-defined]
    assert heads == [tuple(row) for row in database.sql("SELECT id, encode(hash, 'hex') FROM audit_log ORDER BY id")]
    assert len(heads) == 2


def test_clear_values_are_nowhere_but_in_the_answer(
    database: TestDatabase,
    ingest: Environment,
    reveal: Reveal,
    fake_aws: FakeAws,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = io.StringIO()
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, telemetry.logger.name)
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", told)
    canary = token("device_id", "kn4ry-device")
    ingest.invoke(event(record(login(device_id="kn4ry-device"))))
    raised: list[str] = []
    append = audit_log.append

    def remember(*arguments: Any) -> audit_log.Head:
        try:
            return append(*arguments)
        except BaseException as error:
            raised.append("".join(traceback.format_exception(error)))
            raise

    monkeypatch.setattr(audit_log, "append", remember)
    status, body = reveal(canary)
    assert (status, body["values"][0]["value"]) == (200, "kn4ry-device")
    database.sql(f"UPDATE pii_vault SET domain = 'ip' WHERE token = '{canary}'")
    assert reveal(canary)[1]["altered"] == [canary]
    database.sql(f"UPDATE pii_vault SET domain = 'device_id' WHERE token = '{canary}'")
    monkeypatch.setattr(Keyset, "tokens", lambda self, domain, value: {}[value])
    assert reveal(canary) == (500, {"error": "internal_error", "detail": "KeyError"})
    database.sql("ALTER TABLE audit_log ADD CHECK (actor = '') NOT VALID")
    assert reveal(canary)[0] == 503
    captured = capfd.readouterr()
    everything = told.getvalue() + captured.out + captured.err + caplog.text + "".join(raised)
    assert "audit head" in everything and DatabaseError.__name__ in everything
    assert "kn4ry" not in everything
    assert "kn4ry" not in str(database.sql("SELECT l::text FROM audit_log l"))
