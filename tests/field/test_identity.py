"""One message is one row, whoever delivers it and however often: what its identity and its time are."""

import json
from typing import Annotated, Any

import pytest

from sluice import Stream, Text, eventbridge, sns
from sluice.deadline import Deadline
from sluice.ingest.batch import StoringBatchProcessor, record_handler
from tests.field.test_user_code import OWN
from tests.unit.fakes import FakeStore, numbered, sqs_record

SNS_ID, EVENT_ID = "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "6a7e8feb-b491-4cf7-a9f1-bf3703467718"
SENT = "1767258000000"  # of `sqs_record`, if not said otherwise
RECORD = {"name": "ada"}


class Plain(Stream, table="t"):
    name: Annotated[str, Text(max=9)]


class Notified(Plain, table="t", envelope=sns):
    pass


class Evented(Plain, table="t", envelope=eventbridge):
    pass


def notification(**changes: object) -> dict[str, Any]:
    around = {"Type": "Notification", "MessageId": SNS_ID, "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic"}
    return around | {"Message": json.dumps(RECORD), "Timestamp": "2025-12-31T23:59:59.6559Z"} | changes


def event(**changes: object) -> dict[str, Any]:
    around = {"version": "0", "id": EVENT_ID, "detail-type": "Sign-up", "source": "shop.example"}
    return around | {"time": "2025-12-31T23:43:48Z", "detail": RECORD} | changes


def record(body: object, number: int = 1, **attributes: str) -> dict[str, Any]:
    made = sqs_record(json.dumps(body), number, attributes)
    made["attributes"]["SentTimestamp"] = SENT
    return made


def process(stream: type[Stream], *records: dict[str, Any]) -> FakeStore:
    store = FakeStore()
    processor = StoringBatchProcessor(store, stream, Deadline(1.0, lambda: 0.0))
    with processor(list(records), handler=record_handler(stream, OWN)):
        processor.process()
    return store


def identities(store: FakeStore) -> list[tuple[str, str]]:
    return [(row.message_id, row.sent_at) for row in store.rows]


@pytest.mark.parametrize(
    ("stream", "body", "identity", "moment"),
    [
        (Notified, notification(), SNS_ID, "2025-12-31T23:59:59.655Z"),  # cut off: it stays in its month
        (Evented, event(), EVENT_ID, "2025-12-31T23:43:48.000Z"),
        (Plain, RECORD, numbered(1), "2026-01-01T09:00:00.000Z"),
    ],
)
def test_a_message_that_is_delivered_under_two_ids_of_sqs_is_one(
    stream: type[Stream], body: object, identity: str, moment: str
) -> None:
    again = 1 if stream is Plain else 2
    store = process(stream, record(body, 1), record(body, again))
    assert identities(store) == [(identity, moment)]


def test_the_attribute_goes_before_the_envelope() -> None:
    own = numbered(7)
    for stream, body in ((Notified, notification()), (Evented, event())):
        store = process(stream, record(body, sluice_message_id=own, sluice_sent_at="1767222000001"))
        assert identities(store) == [(own, "2025-12-31T23:00:00.001Z")]


def test_an_attribute_that_sns_left_in_its_envelope_counts() -> None:
    attributes = {"sluice_message_id": {"Type": "String", "Value": numbered(7)}, "n": {"Type": "Number", "Value": "1"}}
    store = process(Notified, record(notification(MessageAttributes=attributes)))
    assert [row.message_id for row in store.rows] == [numbered(7)]


@pytest.mark.parametrize("time", ["1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "2026-01-01T00:00:00"])
def test_a_time_in_an_envelope_that_cannot_be_is_not_taken(time: str) -> None:
    assert identities(process(Evented, record(event(time=time))))[0][1] == "2026-01-01T09:00:00.000Z"


@pytest.mark.parametrize("broken", [{"id": None}, {"id": 7}, {"time": "yesterday"}])
def test_an_event_whose_postmark_cannot_be_read_has_the_id_of_sqs(broken: dict[str, object]) -> None:
    assert identities(process(Evented, record(event(**broken)))) == [(numbered(1), "2026-01-01T09:00:00.000Z")]


def test_any_text_is_an_id_and_each_its_own() -> None:
    texts = ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "evt_1", "evt_2", "me@example.com", "{" + numbered(1) + "}", "é", "1" * 300]
    found = [message_id_of(text) for text in texts]
    assert len({*found}) == len(texts)
    assert found == [message_id_of(text) for text in texts]
    assert {identity[14] for identity in found} == {"5"}  # the version of a UUID


def test_a_uuid_is_taken_as_it_is_in_either_spelling() -> None:
    plain = numbered(0xABCDEF)
    assert {message_id_of(text) for text in (plain, plain.upper(), plain.replace("-", ""))} == {plain}


def message_id_of(text: str) -> str:
    (row,) = process(Plain, record(RECORD, sluice_message_id=text)).rows
    return row.message_id


# Bodies that are no records


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (json.dumps(notification()), "sns_notification"),
        (json.dumps(event()), "eventbridge_event"),
        ("\ufeff" + json.dumps(RECORD), "byte_order_mark"),
        ('{"Service": "Amazon S3", "Event": "s3:TestEvent"}', "missing"),
        ('{"Type": "SubscriptionConfirmation", "MessageId": "1", "Message": "You have chosen"}', "missing"),
        ("Successfully validated SNS topic for Amazon SES event publishing.", "not_json"),
    ],
)
def test_a_body_that_is_no_record_says_what_it_is(body: str, reason: str) -> None:
    store = process(Plain, sqs_record(body, 1), record(RECORD, 2))
    assert [row.message_id for row in store.rows] == [numbered(2)]
    assert [rejection.reason for rejection in store.rejections] == [reason]
