"""The functions as Lambda calls them, with every event in events/."""

import json
from collections.abc import Callable
from hashlib import md5
from types import ModuleType
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError

from sluice.failures import Outage
from sluice.ingest.message import NotAnSqsEvent
from tests.unit.fakes import (
    DEVICE_TOKEN,
    IP_TOKEN,
    KEYSET,
    ROOT,
    FakePostgres,
    http_server,
    load_event,
    login,
    sqs_record,
)
from tests.versions import ANSWER
from tools.testing.aws.account import FakeAws
from tools.testing.lambda_context import LambdaContext

LOGIN_ID = "2e09cd2b-eaa7-4547-ae7c-fb90c721a02f"
USER_ID = "424cdd21-79f6-49f0-befc-636ba1b47d75"
LOGIN_ROW = ["2026-01-01T09:00:00.000Z", USER_ID, "android", IP_TOKEN, DEVICE_TOKEN, "2.3.0", "2003000", "RU"]


def ids(event: Any) -> list[str]:
    return [record["messageId"] for record in event["Records"]]


def failures(message_ids: list[str]) -> dict[str, list[dict[str, str]]]:
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in message_ids]}


def test_a_single_login_is_one_row(ingest: ModuleType, postgres: FakePostgres, aws: FakeAws) -> None:
    assert ingest.lambda_handler(load_event("sqs_single_login"), LambdaContext()) == failures([])
    assert (postgres.rows, postgres.rejections, aws.sqs.released) == ({LOGIN_ID: LOGIN_ROW}, [], [])


def test_a_login_that_is_delivered_again_or_redriven_is_the_same_row(
    ingest: ModuleType, postgres: FakePostgres
) -> None:
    for event in ("sqs_single_login", "sqs_redelivery"):
        assert ingest.lambda_handler(load_event(event), LambdaContext()) == failures([])
        assert postgres.rows == {LOGIN_ID: LOGIN_ROW}


def test_a_redelivery_alone_writes_the_row_that_the_first_delivery_would_have(
    ingest: ModuleType, postgres: FakePostgres
) -> None:
    assert ingest.lambda_handler(load_event("sqs_redelivery"), LambdaContext()) == failures([])
    assert postgres.rows == {LOGIN_ID: [str(cell) for cell in LOGIN_ROW]}


def test_of_a_mixed_batch_the_junk_alone_is_reported_and_released(
    ingest: ModuleType, postgres: FakePostgres, aws: FakeAws
) -> None:
    event = load_event("sqs_mixed_batch")
    first, junk, null_locale, duplicate, same_device = ids(event)
    assert ingest.lambda_handler(event, LambdaContext()) == failures([junk])
    assert duplicate == first
    rows = postgres.rows
    assert rows.keys() == {first, null_locale, same_device}
    assert rows[first] == ["2026-01-01T09:00:01.500Z", *LOGIN_ROW[1:]]
    assert (rows[null_locale][-3:], rows[same_device][-3:]) == (["2.2.1", "2002001", None], ["6.02", "6002000", "CN"])
    assert (rows[same_device][4], rows[null_locale][4] == DEVICE_TOKEN) == (DEVICE_TOKEN, False)
    assert postgres.rejections == [
        {
            "message_id": junk,
            "stream": "user_logins",
            "reason": "missing",
            "pointer": "/user_id",
            "shape": {"bytes": 44, "fields": {}, "other_fields": 2},
        }
    ]
    assert [[entry["ReceiptHandle"] for entry in call] for call in aws.sqs.released] == [
        [event["Records"][1]["receiptHandle"]]
    ]


def test_of_a_batch_that_is_all_bad_every_record_is_reported_with_its_reason(
    ingest: ModuleType, postgres: FakePostgres
) -> None:
    event = load_event("sqs_all_bad")
    assert ingest.lambda_handler(event, LambdaContext()) == failures(ids(event))
    assert postgres.rows == {}
    recorded = {rejection["message_id"]: rejection for rejection in postgres.rejections}
    assert [(recorded[bad]["reason"], recorded[bad]["pointer"]) for bad in ids(event)] == [
        ("missing", "/user_id"),
        ("not_json", ""),
        ("not_an_object", ""),
        ("missing", "/ip"),
        ("null", "/device_id"),
        ("not_an_ip_address", "/ip"),
        ("out_of_range", "/app_version"),
        ("nul_character", "/locale"),
    ]


def test_an_empty_batch_is_an_empty_success(ingest: ModuleType, postgres: FakePostgres) -> None:
    assert ingest.lambda_handler(load_event("sqs_empty"), LambdaContext()) == failures([])
    assert (postgres.rows, postgres.rejections) == ({}, [])


@pytest.mark.parametrize("name", [path.stem for path in (ROOT / "events").glob("sqs_*.json")])
def test_the_records_of_an_event_have_the_form_that_lambda_sends(name: str) -> None:
    form = sqs_record("{}")
    for record in load_event(name)["Records"]:
        assert record.keys() - {"md5OfMessageAttributes"} == form.keys()
        assert record["attributes"].keys() == form["attributes"].keys()
        assert record["md5OfBody"] == md5(record["body"].encode()).hexdigest()
        for attribute in record["messageAttributes"].values():
            assert attribute.keys() == {"stringValue", "stringListValues", "binaryListValues", "dataType"}


def test_every_record_of_a_batch_is_counted_once(
    ingest: ModuleType, postgres: FakePostgres, output: Callable[[], str]
) -> None:
    refusal = DatabaseError({"V": "ERROR", "C": "22001", "W": "COPY user_logins, line 1"})
    postgres.refuse = lambda sql, text: refusal if sql.startswith("COPY") else None
    records = [sqs_record(login(), number) for number in (1, 1)]
    ingest.lambda_handler({"Records": records}, LambdaContext())
    *_, done = [json.loads(line) for line in output().splitlines() if "batch done" in line]
    assert [done[name] for name in ("Received", "Written", "Duplicate", "Rejected")] == [2, 0, 0, 2]


def test_the_environment_keeps_its_connection(ingest: ModuleType, postgres: FakePostgres) -> None:
    for name in ("sqs_single_login", "sqs_mixed_batch", "sqs_empty"):
        ingest.lambda_handler(load_event(name), LambdaContext())
    assert postgres.connections == 1


def test_nothing_happens_at_import(ingest: ModuleType, migrate: ModuleType, postgres: FakePostgres) -> None:
    assert postgres.connections == 0


@pytest.mark.parametrize("event", [{}, load_event("migrate_create"), {"Records": [{"eventSource": "aws:sns"}]}])
def test_an_event_that_is_not_sqs_is_an_error_and_opens_nothing(
    event: dict[str, Any], ingest: ModuleType, postgres: FakePostgres
) -> None:
    with pytest.raises(NotAnSqsEvent):
        ingest.lambda_handler(event, LambdaContext())
    assert postgres.connections == 0


def test_a_missing_setting_is_an_outage_that_names_it(ingest: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_NAME")
    with pytest.raises(Outage) as caught:
        ingest.lambda_handler(load_event("sqs_single_login"), LambdaContext())
    assert str(caught.value) == "setting: DATABASE_NAME: must be set"


def test_a_stream_that_is_gone_is_an_outage_that_names_it(ingest: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM", "gone")
    with pytest.raises(Outage) as caught:
        ingest.lambda_handler(load_event("sqs_single_login"), LambdaContext())
    assert str(caught.value) == "declaration: gone: there is no module of this name in the package streams"


@pytest.mark.parametrize(
    ("remembered", "reason"),
    [
        ({1: bytes(32)}, "keyset: key 1 is not the key that this database knows"),
        ({}, "keyset: key 1 is not known to this database"),
    ],
)
def test_a_regenerated_keyset_is_an_outage_and_writes_nothing(
    remembered: dict[int, bytes], reason: str, ingest: ModuleType, postgres: FakePostgres
) -> None:
    postgres.check_values = remembered
    with pytest.raises(Outage) as caught:
        ingest.lambda_handler(load_event("sqs_single_login"), LambdaContext())
    assert (str(caught.value), postgres.rows) == (reason, {})


def test_an_invocation_without_time_is_an_outage_and_writes_nothing(ingest: ModuleType, postgres: FakePostgres) -> None:
    with pytest.raises(Outage):
        ingest.lambda_handler(load_event("sqs_single_login"), LambdaContext(remaining_seconds=2))
    assert postgres.rows == {}


def test_a_failure_to_release_what_was_rejected_is_no_failure(
    ingest: ModuleType, postgres: FakePostgres, aws: FakeAws, output: Callable[[], str]
) -> None:
    ingest.lambda_handler({"Records": [sqs_record(login(), 3)]}, LambdaContext())
    aws.fail_with("AccessDeniedException")
    assert ingest.lambda_handler(
        {"Records": [sqs_record("junk"), sqs_record(login(), 2)]}, LambdaContext()
    ) == failures(["00000000-0000-0000-0000-000000000001"])
    assert "rejected messages not released" in output()


# The schema


def test_a_creation_applies_every_migration_once(migrate: ModuleType, postgres: FakePostgres) -> None:
    ours = [*(("sluice", number) for number in (1, *range(4, 14))), *(("streams", number) for number in (2, 3, 4))]
    for _ in range(2):
        answer = migrate.lambda_handler(load_event("migrate_create"), LambdaContext())
        assert (answer, postgres.migrations) == (ANSWER, ours)


def test_a_schema_that_is_newer_than_the_code_is_a_success(migrate: ModuleType, postgres: FakePostgres) -> None:
    postgres.migrations = [("sluice", 9999), ("streams", 9998)]
    answer = migrate.lambda_handler(load_event("migrate_create"), LambdaContext())
    assert answer == {"schema_version": 9999, "streams_version": 9998}


def test_a_failed_migration_is_answered_with_its_reason_and_its_event_is_in_no_log(
    migrate: ModuleType, postgres: FakePostgres, aws: FakeAws, output: Callable[[], str]
) -> None:
    postgres.rows = {LOGIN_ID: []}
    aws.secretsmanager.secrets["keyset"] = KEYSET.replace("1" * 64, "2" * 64)
    answers = []

    def respond(headers: object, body: bytes) -> tuple[int, bytes]:
        answers.append(json.loads(body))
        return 200, b""

    with http_server(respond) as url:
        assert migrate.lambda_handler(load_event("migrate_create") | {"ResponseURL": url}, LambdaContext()) == {}
    reason = (
        "keyset: key 1 is not the one that made the tokens of this database: user_logins has rows; restore the keyset,"
        " or deploy to an empty database"
    )
    assert [(answer["Status"], answer["Reason"]) for answer in answers] == [("FAILED", reason)]
    logged = output()
    assert (reason in logged, url in logged, "ResponseURL" in logged) == (True, False, False)


def test_a_deletion_never_opens_the_database(migrate: ModuleType, postgres: FakePostgres) -> None:
    with http_server(lambda headers, body: (200, b"")) as url:
        assert migrate.lambda_handler(load_event("migrate_delete") | {"ResponseURL": url}, LambdaContext()) == {}
    assert postgres.connections == 0
