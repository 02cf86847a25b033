"""From the SQS event to rows and response, through the function's own handler."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.failures import Outage
from sluice.ingest.message import NotAnSqsEvent
from tests.integration.databases import TestDatabase
from tests.integration.environment import Environment
from tests.integration.messages import event, failures, login, record, row
from tools.testing.aws.account import FakeAws

EVENTS = sorted((Path(__file__).parents[2] / "events").glob("sqs_*.json"))
JUNK = {"foo": "oops_wrong_msg_type", "bar": "123"}


def test_a_login_becomes_this_row(database: TestDatabase, ingest: Environment) -> None:
    message_id = "059f36b4-87a3-44ab-83d2-661975830a7d"
    assert ingest.invoke(event(record(message_id=message_id))) == {"batchItemFailures": []}
    assert database.rows() == [
        {
            "user_id": "424cdd21-063a-43a7-b91b-7ca1a833afae",
            "device_type": "android",
            "masked_ip": "t1_3Kc1DiyMjHic6k6Il-aHXznffpVeipwMPQ2BTeuIGYQ",
            "masked_device_id": "t1_gT9SEkl43yznp4WXqd8hFLFoTkQtXvG48Djem6uP_98",
            "locale": "RU",
            "app_version": 2_003_000,
            "create_date": "2026-01-31",
            "app_version_text": "2.3.0",
            "sent_at": "2026-01-31T23:59:59.999+00:00",
            "message_id": message_id,
        }
    ]


def test_of_a_mixed_batch_the_bad_ids_are_reported_and_the_others_are_rows(
    database: TestDatabase, ingest: Environment, fake_aws: FakeAws
) -> None:
    good = [record(), record(login(locale=None)), record({**login(), "undeclared": 1})]
    bad = [record(JUNK), record("not json"), record(login(ip="1.2.3.256")), record(login(app_version="1.1000"))]
    response = ingest.invoke(event(good[0], bad[0], bad[1], good[1], bad[2], good[2], bad[3]))
    assert response == failures(*bad)
    assert database.rows() == sorted(map(row, good), key=lambda found: found["message_id"])
    whys = [("missing", "/user_id"), ("not_json", ""), ("not_an_ip_address", "/ip"), ("out_of_range", "/app_version")]
    assert database.rejections() == {sent["messageId"]: why for sent, why in zip(bad, whys, strict=True)}
    released = [entry["ReceiptHandle"] for call in fake_aws.sqs.released for entry in call]
    assert released == [sent["receiptHandle"] for sent in bad]


def test_a_rejection_tells_the_shape_of_a_record_and_nothing_of_it(database: TestDatabase, ingest: Environment) -> None:
    sent = record({"user_id": "u", "locale": None, "app_version": 2, "secret key": "secret"})
    ingest.invoke(event(sent))
    (found,) = database.rows("rejection")
    del found["at"]
    assert found == {
        "message_id": sent["messageId"],
        "stream": "user_logins",
        "reason": "wrong_type",
        "pointer": "/app_version",
        "shape": {
            "bytes": len(sent["body"]),
            "fields": {"user_id": "string", "locale": "null", "app_version": "number"},
            "other_fields": 1,
        },
    }


def test_a_batch_in_which_every_record_is_bad_returns_every_id(database: TestDatabase, ingest: Environment) -> None:
    bad = [record(JUNK) for _ in range(5)]
    assert ingest.invoke(event(*bad)) == failures(*bad)
    assert database.rows() == []
    assert database.rejections() == {sent["messageId"]: ("missing", "/user_id") for sent in bad}


def test_an_empty_batch_returns_an_empty_list(database: TestDatabase, ingest: Environment) -> None:
    assert ingest.invoke(event()) == {"batchItemFailures": []}
    assert database.rows() == database.rows("rejection") == []


def test_an_event_of_another_kind_is_an_error(database: TestDatabase, ingest: Environment) -> None:
    with pytest.raises(NotAnSqsEvent, match=r"^event: must have a list of `Records`$"):
        ingest.invoke({"detail-type": "Scheduled Event"})
    assert database.rows() == []


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_every_record_of_an_example_is_one_row_or_reported_with_its_reason(
    path: Path, database: TestDatabase, environments: Callable[[], Environment]
) -> None:
    example = json.loads(path.read_text("utf-8"))
    given = [sent["messageAttributes"].get("sluice_message_id", {}).get("stringValue") for sent in example["Records"]]
    ids = {known or sent["messageId"] for known, sent in zip(given, example["Records"], strict=True)}
    response = environments().invoke(example)
    reported = {item["itemIdentifier"] for item in response["batchItemFailures"]}
    stored = database.rows()
    assert {found["message_id"] for found in stored} == ids - reported
    assert database.rejections().keys() == reported
    assert environments().invoke(example) == response  # redelivered to another environment
    assert database.rows() == stored


# Delivered more than once


def test_delivered_twice_in_one_batch_it_is_one_row(database: TestDatabase, ingest: Environment) -> None:
    sent = record()
    assert ingest.invoke(event(sent, record(), sent)) == {"batchItemFailures": []}
    assert len(database.rows()) == 2
    assert database.rows().count(row(sent)) == 1


def test_a_redelivered_batch_adds_no_row_but_those_that_are_new(database: TestDatabase, ingest: Environment) -> None:
    old, new = record(), record()
    ingest.invoke(event(old))
    assert ingest.invoke(event(new, old)) == {"batchItemFailures": []}
    assert database.rows() == sorted([row(old), row(new)], key=lambda found: found["message_id"])


def test_a_message_that_is_rejected_again_for_another_reason_has_both(
    database: TestDatabase, ingest: Environment
) -> None:
    sent = record(JUNK)
    again = {**sent, "body": "not json"}
    assert ingest.invoke(event(sent, sent)) == failures(sent, sent)
    assert ingest.invoke(event(again)) == failures(sent)
    kept = {(found["message_id"], found["reason"], found["pointer"]) for found in database.rows("rejection")}
    assert kept == {(sent["messageId"], "missing", "/user_id"), (sent["messageId"], "not_json", "")}


def test_what_the_producer_gave_identifies_a_message_however_sqs_names_it(
    database: TestDatabase, ingest: Environment
) -> None:
    given = {"sluice_message_id": "ABCDEF00-0000-4000-8000-000000000001", "sluice_sent_at": "1709164800000"}
    redriven = [record(**given), record(**given), record(**given)]
    assert ingest.invoke(event(*redriven[:2])) == {"batchItemFailures": []}
    assert ingest.invoke(event(redriven[2])) == {"batchItemFailures": []}
    stored = {"message_id": given["sluice_message_id"].lower(), "sent_at": "2024-02-29T00:00:00+00:00"}
    assert database.rows() == [row(redriven[0], create_date="2024-02-29", **stored)]


def test_an_identity_that_is_no_uuid_is_one_row_however_often_it_is_sent(
    database: TestDatabase, ingest: Environment
) -> None:
    sent = [record(sluice_message_id="evt_42"), record(sluice_message_id="evt_42")]
    assert [ingest.invoke(event(one)) for one in sent] == [failures(), failures()]
    assert len(database.rows()) == 1


def test_an_empty_identity_is_a_rejection_under_the_id_of_sqs(database: TestDatabase, ingest: Environment) -> None:
    sent = record(sluice_message_id=" ")
    assert ingest.invoke(event(sent)) == failures(sent)
    assert database.rejections() == {sent["messageId"]: ("empty", "/sluice_message_id")}


# The keyset


@pytest.mark.parametrize(
    ("keyset", "reason"),
    [
        ({"current": 1, "1": "R" * 64}, "keyset: key 1 is not the key that this database knows"),
        ({"current": 2, "1": "K" * 64, "2": "L" * 64}, "keyset: key 2 is not known to this database"),
        ({"current": 1, "1": "short"}, "keyset: every key must be a text of at least 43 characters"),
    ],
    ids=["regenerated", "unknown", "short"],
)
def test_a_keyset_that_the_database_does_not_know_is_an_outage(
    keyset: dict[str, Any], reason: str, database: TestDatabase, ingest: Environment, settings: str, fake_aws: FakeAws
) -> None:
    fake_aws.secretsmanager.secrets[settings] = json.dumps(keyset)
    for _ in range(2):  # it is not forgotten
        with pytest.raises(Outage) as raised:
            ingest.invoke(event(record()))
        assert str(raised.value) == reason
    assert database.rows() == database.rows("rejection") == []


@pytest.mark.parametrize("missing", ["keyset", "ingest"])
def test_a_secret_that_cannot_be_read_is_an_outage(
    missing: str, database: TestDatabase, ingest: Environment, settings: str, fake_aws: FakeAws
) -> None:
    del fake_aws.secretsmanager.secrets[settings if missing == "keyset" else missing]
    with pytest.raises(Outage, match=r"^secrets manager: ResourceNotFoundException$"):
        ingest.invoke(event(record()))
    assert database.rows() == []
