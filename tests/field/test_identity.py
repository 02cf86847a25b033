"""One message is one row, whoever delivers it and however often: what its identity and its time are."""

import json
import traceback
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid5

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import Integer, Number, Part, Rejected, Rule, Stream, Text, Timestamp, eventbridge, sns
from sluice.deadline import Deadline
from sluice.declaration.postmark import NAMESPACE, as_uuid
from sluice.failures import Outage
from sluice.ingest.batch import StoringBatchProcessor, record_handler
from tests.field.test_user_code import OWN
from tests.unit.fakes import FakeStore, numbered, sqs_record
from tests.unit.kinds import KINDS, declare, field

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
    processor = StoringBatchProcessor(store, Deadline(1.0, lambda: 0.0))
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
    attributes = left_in_envelope(sluice_message_id=numbered(7)) | {"n": {"Type": "Number", "Value": "1"}}
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


# The stream's own identity and time


class Commit(Part):
    id: Annotated[str, Text(max=40)]


class Push(Stream, table="t", identity="commit.id", time="at"):
    commit: Commit = msgspec.field(name="head/commit")
    at: Annotated[datetime, Timestamp()]
    note: Annotated[str | None, Text(max=9)] = None


class NotifiedPush(Push, table="t", identity="commit.id", time="at", envelope=sns):
    pass


OWN_ID = str(uuid5(uuid5(NAMESPACE, "test_identity"), "abc"))  # of the stream's name and the canonical text
AT = "2025-12-31T23:59:59.9999996Z"
PUSH = {"head/commit": {"id": " abc "}, "at": AT}
IN_TIME = "2025-12-31T23:59:59.999Z"  # cut off: it stays in its month


def test_a_record_that_is_sent_under_two_ids_of_sqs_is_one() -> None:
    store = process(Push, record(PUSH, 1), record(PUSH | {"note": "again"}, 2))
    assert identities(store) == [(OWN_ID, IN_TIME)]


def test_the_identity_of_the_record_goes_before_that_of_its_envelope_and_after_the_attribute() -> None:
    body = notification(Message=json.dumps(PUSH))
    assert identities(process(NotifiedPush, record(body))) == [(OWN_ID, IN_TIME)]
    own = {"sluice_message_id": numbered(7), "sluice_sent_at": "1767222000001"}
    for attributed in (record(body, 1, **own), record(body | {"MessageAttributes": left_in_envelope(**own)})):
        assert identities(process(NotifiedPush, attributed)) == [(numbered(7), "2025-12-31T23:00:00.001Z")]


class Timed(Stream, table="t", time="at"):
    at: Annotated[datetime, Timestamp()]


class NotifiedTimed(Timed, table="t", time="at", envelope=sns):
    pass


def test_a_stream_may_name_its_time_alone() -> None:
    body = {"at": AT}
    assert identities(process(Timed, record(body))) == [(numbered(1), IN_TIME)]
    assert identities(process(NotifiedTimed, record(notification(Message=json.dumps(body))))) == [(SNS_ID, IN_TIME)]


def left_in_envelope(**attributes: str) -> dict[str, Any]:
    return {name: {"Type": "String", "Value": value} for name, value in attributes.items()}


@pytest.mark.parametrize(
    "moment", ["2001-09-09T01:46:39.999Z", "1969-12-31T23:59:59Z", "2026-01-02T09:00:00.001Z", "9999-12-31T23:59:59Z"]
)
def test_a_time_that_cannot_be_is_rejected_at_its_field_under_the_identity(moment: str) -> None:
    store = process(Push, record(PUSH | {"at": moment}))
    assert [(one.message_id, one.reason, one.pointer) for one in store.rejections] == [(OWN_ID, "out_of_range", "/at")]


@pytest.mark.parametrize("moment", ["2001-09-09T01:46:40Z", "2026-01-02T09:00:00Z"])
def test_a_time_that_may_just_be_is_taken(moment: str) -> None:
    assert [row.sent_at for row in process(Push, record(PUSH | {"at": moment})).rows] == [moment.replace("Z", ".000Z")]


@pytest.mark.parametrize(
    ("changes", "identity", "pointer"),
    [
        ({"note": "x" * 10}, OWN_ID, "/note"),
        ({"note": {"junk": 1}}, OWN_ID, "/note"),
        ({"at": "yesterday"}, OWN_ID, "/at"),
        ({"head/commit": {"id": " "}}, numbered(1), "/head~1commit/id"),
        ({"head/commit": {"id": None}}, numbered(1), "/head~1commit/id"),
        ({"head/commit": {}}, numbered(1), "/head~1commit/id"),
        ({"head/commit": None}, numbered(1), "/head~1commit"),
    ],
)
def test_a_rejected_record_goes_by_its_identity_where_that_can_be_read(
    changes: dict[str, Any], identity: str, pointer: str
) -> None:
    for _ in range(2):  # and so again when it is received again
        (rejection,) = process(Push, record(PUSH | changes)).rejections
        assert (rejection.message_id, rejection.pointer) == (identity, pointer)


def test_a_row_that_the_database_refuses_is_rejected_under_its_id() -> None:
    store = FakeStore({OWN_ID: Rejected("not_stored")})
    processor = StoringBatchProcessor(store, Deadline(1.0, lambda: 0.0))
    with processor([record(PUSH, 1), record(PUSH, 2)], handler=record_handler(Push, OWN)):
        processor.process()
    assert [one.message_id for one in store.rejections] == [OWN_ID]
    assert len(processor.fail_messages) == 2


@pytest.mark.parametrize("kind", [name for name in KINDS if "each" not in name])
def test_all_spellings_of_a_value_are_one_identity(kind: str) -> None:
    rule, given = KINDS[kind].rule, KINDS[kind].given
    if rule.element is not rule:
        pytest.skip("a list")
    stream = declare(Stream, {"field": field(rule)}, table="t", identity="field")
    canonical = json.dumps(KINDS[kind].text)
    spellings = [f'{{"field": {one}}}' for one in {given, canonical if isinstance(json.loads(given), str) else given}]
    ids = {row.message_id for body in spellings for row in process(stream, sqs_record(body)).rows}
    wanted = as_uuid(KINDS[kind].text, uuid5(NAMESPACE, stream.stream_name))
    assert ids == {wanted}


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40), min_size=2, max_size=9))
def test_each_canonical_text_is_one_identity_and_no_other_is_the_same(texts: list[str]) -> None:
    rows = process(Push, *(record(PUSH | {"head/commit": {"id": text}}, n) for n, text in enumerate(texts, 1))).rows
    assert len(rows) == len({Text(max=40).canonical(text) for text in texts})


def test_a_uuid_in_a_record_is_the_one_of_a_producer_who_sends_it_as_attribute() -> None:
    own = record(PUSH | {"head/commit": {"id": numbered(0xABC).upper()}}, 1)
    assert [row.message_id for row in process(Push, own, record(PUSH, 2, sluice_message_id=numbered(0xABC))).rows] == [
        numbered(0xABC)
    ]


def test_digits_that_a_float_does_not_have_are_of_the_identity() -> None:
    stream = declare(Stream, {"field": field(Number(precision=40, scale=20))}, table="t", identity="field")
    bodies = [f'{{"field": 12345678901234567.1234567890123456789{digit}}}' for digit in "12"]
    assert len(process(stream, *(sqs_record(body, n) for n, body in enumerate(bodies))).rows) == 2


class Faulty(Rule):
    """A rule whose text has a fault that quotes the value."""

    def canonical(self, value: str, /) -> str:
        return value

    def text(self, value: str, /) -> str:
        if value == "blank":
            return " "
        raise ValueError(f"cannot handle {value}")


@pytest.mark.parametrize(("value", "reason"), [("kn4ry", "internal_error"), ("blank", "empty")])
def test_an_identity_that_cannot_be_made_is_rejected_at_its_field_and_quoted_nowhere(value: str, reason: str) -> None:
    class Odd(Stream, table="t", identity="id"):
        id: Annotated[str, Faulty()]
        n: Annotated[int, Integer()] = 0

    good = record({"id": "blank"}, 2)
    store = FakeStore()
    processor = StoringBatchProcessor(store, Deadline(1.0, lambda: 0.0))
    with processor([record({"id": value}), good], handler=record_handler(Odd, OWN)):
        processor.process()
    told = store.rejections[0]
    assert (told.message_id, told.reason, told.pointer) == (numbered(1), reason, "/id")
    errors = [error for _, error, _ in processor.exceptions]
    assert "kn4ry" not in repr(store.rejections) + "".join(map(repr, traceback_of(errors)))


class Broken(Text):
    """A rule whose code is wrong: it fails of everything."""

    def text(self, value: str, /) -> str:
        raise KeyError(value)


def test_code_that_can_make_no_identity_at_all_stops_the_queue_and_empties_it_not() -> None:
    class Odd(Stream, table="t", identity="id"):
        id: Annotated[str, Broken(max=9)]

    with pytest.raises(Outage, match=r"^every record failed: KeyError$"):
        process(Odd, record({"id": "kn4ry"}))


def test_fields_may_be_called_like_the_options() -> None:
    class Event(Stream, table="t", identity="identity", time="time"):
        identity: Annotated[int, Integer()]
        time: Annotated[datetime, Timestamp()]

    made = uuid5(uuid5(NAMESPACE, "test_identity"), "7")
    assert identities(process(Event, record({"identity": 7, "time": AT}))) == [(str(made), IN_TIME)]


def traceback_of(errors: list[Any]) -> list[str]:
    return [line for error in errors for line in traceback.format_exception(error)]


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
