"""A batch of SQS records is written once, and reports exactly the ids that failed."""

from typing import Annotated, Any
from uuid import UUID

import pytest

from sluice.deadline import Deadline
from sluice.declaration.originals import Original, Originals
from sluice.declaration.rules import Text
from sluice.declaration.stream import Stream
from sluice.failures import Outage, Rejected
from sluice.ingest.batch import StoringBatchProcessor, record_handler
from sluice.ingest.message import NotAnSqsEvent, sqs_records
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.ingest.store import Written
from sluice.pseudonyms.keyset import Keyset
from streams.user_logins import UserLogin
from tests.unit.fakes import DEVICE_TOKEN, IP_TOKEN, LOGIN, FakeStore, login, numbered, sqs_record

SENT_AT = "2026-01-01T09:00:00.123Z"
JUNK = '{"foo": "oops_wrong_msg_type", "bar": "123"}'
JUNK_SHAPE = {"bytes": len(JUNK), "fields": {}, "other_fields": 2}
TEXTS = dict.fromkeys(["user_id", "device_type", "ip", "device_id", "app_version", "locale"], "string")
LOGIN_SHAPE = {"bytes": len(login()), "fields": TEXTS, "other_fields": 0}


def row(number: int, user_id: str = LOGIN["user_id"], sent_at: str = SENT_AT) -> MaskedRow:
    cells = (user_id, "android", IP_TOKEN, DEVICE_TOKEN, "2.3.0", 2_003_000, "RU")
    values = (Original("ip", IP_TOKEN, LOGIN["ip"]), Original("device_id", DEVICE_TOKEN, LOGIN["device_id"]))
    originals = Originals((user_id,), values)
    return MaskedRow(numbered(number), sent_at, cells, originals, stream=UserLogin.stream_name)


def rejection(
    number: int, reason: str, pointer: str, shape: dict[str, object], stream: str = "user_logins"
) -> Rejection:
    return Rejection(numbered(number), stream, reason, pointer, shape)


def process(
    records: list[dict[str, Any]], keyset: Keyset, store: FakeStore, stream: type[Stream] = UserLogin
) -> tuple[StoringBatchProcessor, list[str]]:
    """Return the processor as it is afterwards, and the ids that its response reports."""
    processor = StoringBatchProcessor(store, Deadline(1.0, lambda: 0.0))
    with processor(records, handler=record_handler(stream, keyset)):
        processor.process()
    response = processor.response()
    failures = response["batchItemFailures"]
    assert response == {"batchItemFailures": [{"itemIdentifier": failure["itemIdentifier"]} for failure in failures]}
    return processor, [str(failure["itemIdentifier"]) for failure in failures]


# The event


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_records_of_an_sqs_event_are_returned_as_they_are(count: int) -> None:
    records = [sqs_record(login(), number) for number in range(count)]
    assert sqs_records({"Records": records}) == records


LIST = "event: must have a list of `Records`"
SOURCE = "event: every record must have the eventSource `aws:sqs`"
IDENTITY = "event: every record must have a text as `body` and a UUID as `messageId`"
RECEIPT = "event: every record must have a `receiptHandle` and an `eventSourceARN`"
SENT = "event: every record must have the attribute `SentTimestamp`"


@pytest.mark.parametrize(
    ("event", "rule"),
    [
        (None, LIST),
        ([], LIST),
        ("Records", LIST),
        ({}, LIST),
        ({"records": []}, LIST),
        ({"Records": None}, LIST),
        ({"Records": {}}, LIST),
        ({"Records": ["text"]}, SOURCE),
        ({"Records": [{}]}, SOURCE),
        ({"Records": [sqs_record("{}") | {"eventSource": "aws:sns"}]}, SOURCE),
        ({"Records": [sqs_record("{}"), sqs_record("{}") | {"eventSource": "aws:kinesis"}]}, SOURCE),
        ({"Records": [sqs_record("{}") | {"body": None}]}, IDENTITY),
        ({"Records": [sqs_record("{}") | {"body": {}}]}, IDENTITY),
        ({"Records": [sqs_record("{}") | {"messageId": None}]}, IDENTITY),
        ({"Records": [sqs_record("{}") | {"messageId": "1"}]}, IDENTITY),
        ({"Records": [sqs_record("{}") | {"receiptHandle": None}]}, RECEIPT),
        ({"Records": [sqs_record("{}") | {"eventSourceARN": None}]}, RECEIPT),
        ({"Records": [sqs_record("{}") | {"attributes": None}]}, SENT),
        ({"Records": [sqs_record("{}") | {"attributes": {}}]}, SENT),
        ({"Records": [sqs_record("{}") | {"attributes": {"SentTimestamp": "yesterday"}}]}, SENT),
        ({"Records": [sqs_record("{}") | {"attributes": {"SentTimestamp": "-1"}}]}, SENT),
    ],
)
def test_an_event_of_another_kind_is_an_error_that_names_the_rule(event: object, rule: str) -> None:
    with pytest.raises(NotAnSqsEvent) as caught:
        sqs_records(event)
    assert str(caught.value) == rule


# What becomes of a batch


def test_an_empty_batch_is_an_empty_success(keyset: Keyset) -> None:
    store = FakeStore()
    processor, failures = process([], keyset, store)
    assert (failures, store.rows, store.rejections, processor.rejected) == ([], [], [], [])


def test_good_records_are_rows_and_exactly_the_bad_ones_are_reported(keyset: Keyset) -> None:
    store = FakeStore()
    bodies = [login(), JUNK, login(user_id="2"), "not JSON", login(ip="here")]
    records = [sqs_record(body, number) for number, body in enumerate(bodies)]
    processor, failures = process(records, keyset, store)
    rejections = [
        rejection(1, "missing", "/user_id", JUNK_SHAPE),
        rejection(3, "not_json", "", {"bytes": 8}),
        rejection(4, "not_an_ip_address", "/ip", LOGIN_SHAPE | {"bytes": len(bodies[4])}),
    ]
    assert failures == [numbered(1), numbered(3), numbered(4)]
    assert store.rows == [row(0), row(2, "2")]
    assert store.rejections == rejections
    assert processor.written == Written(2, 0, [], 1.5, newly_rejected=frozenset(map(numbered, (1, 3, 4))))
    assert [(record.receipt_handle, why) for record, why in processor.rejected] == [
        (f"receipt-{number}", why) for number, why in zip([1, 3, 4], rejections, strict=True)
    ]


def test_a_batch_in_which_every_record_is_bad_reports_them_all_and_does_not_raise(keyset: Keyset) -> None:
    store = FakeStore()
    processor, failures = process([sqs_record(JUNK, number) for number in range(3)], keyset, store)
    assert failures == [numbered(number) for number in range(3)]
    assert (store.rows, processor.written._replace(newly_rejected=frozenset())) == ([], Written(0, 0, [], 1.5))
    assert store.rejections == [rejection(number, "missing", "/user_id", JUNK_SHAPE) for number in range(3)]


def test_a_message_that_is_twice_in_a_batch_is_one_row_and_no_failure(keyset: Keyset) -> None:
    store = FakeStore()
    processor, failures = process([sqs_record(login(), number) for number in (1, 2, 1)], keyset, store)
    assert (failures, store.rows) == ([], [row(1), row(2)])
    assert processor.written == Written(2, 1, [], 1.5)


def test_a_bad_message_that_is_twice_in_a_batch_is_reported_for_both(keyset: Keyset) -> None:
    _, failures = process([sqs_record(JUNK, 1), sqs_record(JUNK, 1)], keyset, FakeStore())
    assert failures == [numbered(1), numbered(1)]


def test_a_rejection_is_told_once_and_reported_each_time(keyset: Keyset) -> None:
    store = FakeStore()
    for told in ([rejection(1, "missing", "/user_id", JUNK_SHAPE)], []):
        processor, failures = process([sqs_record(JUNK, 1)], keyset, store)
        assert (failures, processor.newly_rejected) == ([numbered(1)], told)


def test_a_rejection_goes_by_the_id_of_sqs_as_the_database_spells_it(keyset: Keyset) -> None:
    record = sqs_record(JUNK, 0xABC, {"sluice_message_id": ""})
    record["messageId"] = record["messageId"].upper()
    store = FakeStore()
    process([record], keyset, store)
    assert [found.message_id for found in store.rejections] == [numbered(0xABC)]


def test_a_row_that_the_database_refuses_is_reported_and_recorded_alone(keyset: Keyset) -> None:
    refusal = Rejected("sqlstate_22001", "/locale")
    store = FakeStore({numbered(2): refusal})
    records = [sqs_record(login(), 1), sqs_record(login(), 2), sqs_record(JUNK, 3)]
    processor, failures = process(records, keyset, store)
    why = rejection(2, "sqlstate_22001", "/locale", LOGIN_SHAPE)
    assert failures == [numbered(3), numbered(2)]
    assert store.rows == [row(1)]
    assert store.rejections == [rejection(3, "missing", "/user_id", JUNK_SHAPE), why]
    newly_rejected = frozenset(map(numbered, (2, 3)))
    assert processor.written == Written(1, 0, [(row(2), refusal)], 1.5, newly_rejected=newly_rejected)
    assert [(record.receipt_handle, rejected.reason) for record, rejected in processor.rejected] == [
        ("receipt-3", "missing"),
        ("receipt-2", "sqlstate_22001"),
    ]


def test_every_message_of_a_refused_row_is_reported(keyset: Keyset) -> None:
    store = FakeStore({numbered(9): Rejected("sqlstate_22001")})
    records = [sqs_record(login(), number, {"sluice_message_id": numbered(9)}) for number in (1, 2)]
    _, failures = process(records, keyset, store)
    assert failures == [numbered(1), numbered(2)]
    assert store.rejections == [rejection(9, "sqlstate_22001", "", LOGIN_SHAPE)]


def test_a_processor_forgets_the_batch_before(keyset: Keyset) -> None:
    store = FakeStore()
    processor, _ = process([sqs_record(JUNK, 1)], keyset, store)
    with processor([sqs_record(login(), 2)], handler=record_handler(UserLogin, keyset)):
        processor.process()
    assert processor.response() == {"batchItemFailures": []}
    assert (processor.written, processor.rejected) == (Written(1, 0, [], 1.5), [])


# What nobody foresaw


class Faulty(Stream, table="user_logins"):
    """A stream whose rule has a fault."""

    class Rule(Text):
        def canonical(self, value: str, /) -> str:
            return {"good": "good"}[value]

    user_id: Annotated[str, Rule(max=9)]
    locale: Annotated[str | None, Text(max=9)] = None


def test_an_unforeseen_exception_in_one_record_rejects_that_one_alone(keyset: Keyset) -> None:
    store = FakeStore()
    records = [sqs_record('{"user_id": "good"}', 1), sqs_record('{"user_id": "bad"}', 2)]
    _, failures = process(records, keyset, store, Faulty)
    shape = {"bytes": 18, "fields": {"user_id": "string"}, "other_fields": 0}
    assert failures == [numbered(2)]
    assert store.rows == [MaskedRow(numbered(1), SENT_AT, ("good", None), stream=Faulty.stream_name)]
    assert store.rejections == [rejection(2, "internal_error", "/user_id", shape, stream=Faulty.stream_name)]


def test_code_that_fails_of_every_record_and_of_the_example_is_an_outage_and_writes_nothing(keyset: Keyset) -> None:
    store = FakeStore()
    with pytest.raises(Outage) as caught:
        process([sqs_record('{"user_id": "bad"}', number) for number in (1, 2)], keyset, store, Faulty)
    assert str(caught.value) == "every record failed: KeyError"
    assert (store.rows, store.rejections) == ([], [])


def test_an_unforeseen_exception_beside_nothing_but_bad_records_is_no_outage(keyset: Keyset) -> None:
    records = [sqs_record('{"user_id": "bad"}', 1), sqs_record("junk", 2)]
    _, failures = process(records, keyset, FakeStore(), Faulty)
    assert failures == [numbered(1), numbered(2)]


# Which message it is, and when it was sent


def test_the_attributes_of_a_message_go_before_what_sqs_says(keyset: Keyset) -> None:
    store = FakeStore()
    attributes = {"sluice_message_id": str(UUID(int=0xABC)).upper(), "sluice_sent_at": "1767222000001"}
    process([sqs_record(login(), 1, attributes)], keyset, store)
    assert store.rows == [row(0xABC, sent_at="2025-12-31T23:00:00.001Z")]


@pytest.mark.parametrize(
    ("milliseconds", "sent_at"),
    [
        ("1000000000000", "2001-09-09T01:46:40.000Z"),
        ("1709164800000", "2024-02-29T00:00:00.000Z"),
        ("1767225599999", "2025-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_of_sending_is_milliseconds_since_1970_in_utc(milliseconds: str, sent_at: str, keyset: Keyset) -> None:
    store = FakeStore()
    by_attribute = sqs_record(login(), 1, {"sluice_sent_at": milliseconds})
    by_sqs = sqs_record(login(), 2)
    by_sqs["attributes"]["SentTimestamp"] = milliseconds
    process([by_attribute, by_sqs], keyset, store)
    assert store.rows == [row(1, sent_at=sent_at), row(2, sent_at=sent_at)]


@pytest.mark.parametrize(
    ("name", "reason", "value"),
    [
        ("sluice_message_id", "empty", ""),
        ("sluice_message_id", "empty", " "),
        ("sluice_sent_at", "out_of_range", "0"),
        ("sluice_sent_at", "out_of_range", "1767222000"),  # seconds
        ("sluice_sent_at", "out_of_range", "999999999999"),
        ("sluice_sent_at", "out_of_range", "99999999999999"),
    ]
    + [
        ("sluice_sent_at", "not_a_timestamp", value)
        for value in ("", "-1", "1.5", "2026-01-01T00:00:00Z", "100000000000000", "\N{ARABIC-INDIC DIGIT ONE}")
    ],
)
def test_a_bad_attribute_rejects_the_message(name: str, reason: str, value: str, keyset: Keyset) -> None:
    store = FakeStore()
    _, failures = process([sqs_record(login(), 1, {name: value}), sqs_record(login(), 2)], keyset, store)
    assert (failures, store.rows) == ([numbered(1)], [row(2)])
    assert store.rejections == [rejection(1, reason, f"/{name}", LOGIN_SHAPE)]


@pytest.mark.parametrize("attribute", [{"binaryValue": "MQ==", "dataType": "Binary"}, {}, None, "1"])
@pytest.mark.parametrize("name", ["sluice_message_id", "sluice_sent_at"])
def test_an_attribute_that_is_no_text_rejects_the_message(name: str, attribute: object, keyset: Keyset) -> None:
    record = sqs_record(login(), 1)
    record["messageAttributes"][name] = attribute
    store = FakeStore()
    _, failures = process([record], keyset, store)
    assert (failures, store.rows, store.rejections[0].pointer) == ([numbered(1)], [], f"/{name}")


def test_a_rejected_message_is_known_by_the_id_that_it_brought(keyset: Keyset) -> None:
    store = FakeStore()
    _, failures = process([sqs_record(JUNK, 1, {"sluice_message_id": numbered(7)})], keyset, store)
    assert (failures, [rejection.message_id for rejection in store.rejections]) == ([numbered(1)], [numbered(7)])


def test_the_record_handler_is_made_once_for_a_keyset(keyset: Keyset) -> None:
    assert record_handler(UserLogin, keyset) is record_handler(UserLogin, keyset)
    another = Keyset(keyset.keys, keyset.current)
    assert record_handler(UserLogin, another) is not record_handler(UserLogin, keyset)
