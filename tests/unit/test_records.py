"""Several records in a message, and what is ignored: each record is a row or is told, and the message fails for any."""

import json
from datetime import datetime
from itertools import repeat
from typing import Annotated, Any
from uuid import UUID, uuid5

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice import (
    DeclarationError,
    Integer,
    Part,
    Pseudonym,
    Rejected,
    Stream,
    Text,
    Timestamp,
    eventbridge,
    json_lines,
    listed,
    sns,
)
from sluice.declaration import records
from sluice.declaration.stream import Masker, Row
from sluice.failures import Outage
from sluice.ingest.batch import record_handler
from sluice.ingest.rows import Rejection
from sluice.pseudonyms.keyset import Keyset
from tests.unit.fakes import KEYSET, FakeStore, numbered, sqs_record
from tests.unit.test_batch import process

SENT_AT = "2026-01-01T09:00:00.123Z"
TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"}


class Put(Stream, table="puts", records=listed("Records"), ignore=({"Event": "s3:TestEvent"}, {"kind": {"is": 1}})):
    key: Annotated[str, Text(max=16)]
    size: Annotated[int, Integer(min=0, max=9)] = 0


class Line(Stream, table="lines", records=json_lines):
    key: Annotated[str, Text(max=16)]
    size: Annotated[int, Integer(min=0, max=9)] = 0


class Track(Stream, table="tracks", records=listed("data", "batch"), identity="id", time="at"):
    id: Annotated[str, Text(max=40)]
    at: Annotated[datetime, Timestamp()]


def notified(*puts: object) -> str:
    return json.dumps({"Records": list(puts)})


def identity(message: int, index: int) -> str:
    return str(uuid5(UUID(numbered(message)), str(index)))


def made(store: FakeStore) -> dict[str, Any]:
    return {row.message_id: row.cells for row in store.rows}


def told(store: FakeStore) -> list[tuple[str, str, str]]:
    return [(one.message_id, one.reason, one.pointer) for one in store.rejections]


# Rows and refusals


def test_each_record_is_a_row_of_its_own_identity(keyset: Keyset) -> None:
    store = FakeStore()
    processor, failures = process([sqs_record(notified({"key": "a"}, {"key": "b", "size": 2}), 1)], keyset, store, Put)
    assert made(store) == {identity(1, 0): ("a", 0), identity(1, 1): ("b", 2)}
    assert {row.sent_at for row in store.rows} == {SENT_AT}
    assert (failures, processor.received, processor.ignored) == ([], 2, 0)


def test_a_message_fails_of_one_record_and_the_others_are_rows(keyset: Keyset) -> None:
    store = FakeStore()
    body = notified({"key": "a"}, {"key": ""}, {"key": "c"}, "text", {"key": "e", "size": 10}, None)
    sent = [sqs_record(body, 1), sqs_record(notified({"key": "f"}), 2)]
    processor, failures = process(sent, keyset, store, Put)
    assert made(store) == {identity(1, 0): ("a", 0), identity(1, 2): ("c", 0), identity(2, 0): ("f", 0)}
    assert failures == [numbered(1)]
    assert [record.message_id for record in processor.failed] == [numbered(1)]
    assert store.rejections == [
        Rejection(identity(1, 1), "test_records", "empty", "/Records/1/key", {"bytes": 11, **SHAPE}),
        Rejection(identity(1, 3), "test_records", "not_an_object", "/Records/3", {"bytes": 6, "type": "string"}),
        Rejection(identity(1, 4), "test_records", "out_of_range", "/Records/4/size", WITH_SIZE),
        Rejection(identity(1, 5), "test_records", "not_an_object", "/Records/5", {"bytes": 4, "type": "null"}),
    ]
    assert (processor.received, processor.written.written, len(processor.rejected)) == (7, 3, 4)


SHAPE = {"fields": {"key": "string"}, "other_fields": 0}
WITH_SIZE = {"bytes": 24, "fields": {"key": "string", "size": "number"}, "other_fields": 0}


@pytest.mark.parametrize(
    ("body", "reason", "pointer"),
    [
        ("{}", "missing", "/data"),
        ('{"data": null}', "null", "/data"),
        ('{"data": []}', "wrong_type", "/data"),
        ('{"data": {"kn4ry": 1}}', "missing", "/data/batch"),
        ('{"data": {"batch": null}}', "null", "/data/batch"),
        ('{"data": {"batch": {}}}', "wrong_type", "/data/batch"),
        ("[]", "not_an_object", ""),
        ("no JSON", "not_json", ""),
        ('{"data": ' + "[" * 5000 + "]" * 5000 + "}", "wrong_type", "/data"),
        ('{"data": ' + "[" * 100_000, "nested_too_deeply", ""),
        ('{"data": {"batch": [' + "[" * 100_000, "nested_too_deeply", ""),
        ('{"data": null', "not_json", ""),
        ('\ufeff{"data": {"batch": []}}', "byte_order_mark", ""),
        ('{"data": {"batch": ["\ud800"]}}', "not_json", ""),
    ],
)
def test_a_message_without_the_list_is_refused_as_a_whole(body: str, reason: str, pointer: str, keyset: Keyset) -> None:
    store = FakeStore()
    processor, failures = process([sqs_record(body, 1)], keyset, store, Track)
    assert told(store) == [(numbered(1), reason, pointer)]
    assert (failures, processor.received, store.rows) == ([numbered(1)], 1, [])


@pytest.mark.parametrize(("stream", "body"), [(Put, '{"Records": []}'), (Line, "\n \r\n")])
def test_a_message_without_records_is_acknowledged(stream: type[Stream], body: str, keyset: Keyset) -> None:
    store = FakeStore()
    processor, failures = process([sqs_record(body, 1)], keyset, store, stream)
    assert (failures, processor.received, store.rows, store.rejections) == ([], 0, [], [])


def test_a_message_with_too_many_records_is_refused_as_a_whole(keyset: Keyset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST", 2)
    store = FakeStore()
    sent = [sqs_record(notified(*[{"key": "a"}] * count), count) for count in (2, 3)]
    _, failures = process(sent, keyset, store, Put)
    assert (failures, told(store)) == ([numbered(3)], [(numbered(3), "too_many", "/Records")])


def test_each_line_is_a_record(keyset: Keyset) -> None:
    store = FakeStore()
    body = '{"key": "a"}\r\n\n{"key": 1}\n{"key": "c\u2028"}\nno JSON\n"\ud800"\n'
    _, failures = process([sqs_record(body, 1)], keyset, store, Line)
    assert made(store) == {identity(1, 0): ("a", 0), identity(1, 2): ("c", 0)}
    assert [one[1:] for one in told(store)] == [("wrong_type", "/1/key"), ("not_json", "/3"), ("not_json", "/4")]
    assert failures == [numbered(1)]


def test_a_function_of_ones_own_takes_a_message_apart(keyset: Keyset) -> None:
    class Own(Stream, table="owns", records=lambda text: text.split(";")):
        key: Annotated[str, Text(max=16)]

    store = FakeStore()
    process([sqs_record('{"key": "a"};{"key": 1}', 1)], keyset, store, Own)
    assert made(store) == {identity(1, 0): ("a",)}
    assert told(store) == [(identity(1, 1), "wrong_type", "/1/key")]


def test_records_without_an_end_are_too_many(keyset: Keyset) -> None:
    class Own(Stream, table="owns", records=lambda text: repeat({"key": text})):
        key: Annotated[str, Text(max=16)]

    store = FakeStore()
    process([sqs_record("a", 1)], keyset, store, Own)
    assert told(store) == [(numbered(1), "too_many", "")]


def test_what_a_function_of_ones_own_returns_stands_for_json(keyset: Keyset) -> None:
    class Own(Stream, table="owns", records=lambda text: ({"key": key} for key in text.split())):
        key: Annotated[str, Text(max=16)]

    store = FakeStore()
    process([sqs_record("a b", 1)], keyset, store, Own)
    assert list(made(store).values()) == [("a",), ("b",)]


def test_a_function_of_ones_own_gets_a_text_and_may_return_bytes(keyset: Keyset) -> None:
    def own(held: str) -> list[bytes]:
        return [line.encode() for line in json.loads(held).split("\n")]

    class Own(Stream, table="owns", envelope=eventbridge, records=own):
        key: Annotated[str, Text(max=16)]

    store = FakeStore()
    event = {"id": numbered(1), "detail-type": "Put", "source": "shop.example", "detail": '{"key": "a"}\n{"key": "b"}'}
    process([sqs_record(json.dumps(event), 1)], keyset, store, Own)
    assert list(made(store).values()) == [("a",), ("b",)]


def test_an_envelope_of_ones_own_that_holds_no_text_fails_the_message_alone(keyset: Keyset) -> None:
    class Own(Stream, table="owns", envelope=lambda body: b"\xff" + body.encode(), records=json_lines):
        key: Annotated[str, Text(max=16)]

    store = FakeStore()
    process([sqs_record("a", 1)], keyset, store, Own)
    assert told(store) == [(numbered(1), "not_json", "")]


@pytest.mark.parametrize("found", ["text", {"key": "a"}, 1, None, [float("nan"), object()]])
def test_a_function_of_ones_own_that_returns_no_records_fails_the_message_alone(found: Any, keyset: Keyset) -> None:
    class Own(Stream, table="owns", records=lambda text: [] if text == "{}" else found):
        key: Annotated[str, Text(max=16)]

    store = FakeStore()
    _, failures = process([sqs_record("kn4ry", 1), sqs_record("{}", 2)], keyset, store, Own)
    assert (failures, told(store)) == ([numbered(1)], [(numbered(1), "internal_error", "")])


def test_code_that_fails_of_every_record_is_an_outage(keyset: Keyset) -> None:
    def broken(text: str) -> list[str]:
        raise NameError("kn4ry")

    class Own(Stream, table="owns", records=broken):
        key: Annotated[str, Text(max=16)]

    with pytest.raises(Outage, match="every record failed: NameError"):
        process([sqs_record("{}", 1)], keyset, FakeStore(), Own)


class Alone(Stream, table="puts"):
    key: Annotated[str, Text(max=16)]
    size: Annotated[int, Integer(min=0, max=9)] = 0


anything = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists, max_leaves=3)
puts = st.fixed_dictionaries({"key": st.text(max_size=20)}, optional={"size": st.integers(-3, 12), "more": anything})


@given(st.lists(puts | anything, max_size=6))
@settings(max_examples=60, deadline=None, database=None)
def test_a_record_among_others_becomes_what_it_becomes_alone(found: list[Any]) -> None:
    keyset = Keyset.parse(KEYSET)
    mask = Alone.masker(keyset)
    ways = {Put: (json.dumps({"more": 1, "Records": found}), "/Records"), Line: ("\n".join(map(json.dumps, found)), "")}
    for stream, (body, place) in ways.items():
        handled = record_handler(stream, keyset)(SQSRecord(sqs_record(body)))
        rows = {row.message_id: row.cells for row in handled.rows}
        refused = {one.rejection.message_id: (one.rejection.reason, one.rejection.pointer) for one in handled.refusals}
        for index, value in enumerate(found):
            alone = becomes(mask, json.dumps(value))
            if isinstance(alone, Rejected):
                assert refused.pop(identity(1, index)) == (alone.reason, f"{place}/{index}{alone.pointer}")
            else:
                assert rows.pop(identity(1, index)) == alone
        assert (rows, refused) == ({}, {})


def becomes(mask: Masker, body: str) -> Row | Rejected:
    try:
        return mask(body).cells
    except Rejected as rejected:
        return rejected


# Identity and time


def tracked(*tracks: object) -> str:
    return json.dumps({"data": {"batch": list(tracks)}})


def test_a_record_brings_its_identity_and_its_time(keyset: Keyset) -> None:
    store = FakeStore()
    first, second = numbered(7), numbered(8)
    body = tracked({"id": first, "at": "2025-12-31T10:00:00Z"}, {"id": second, "at": "2025-12-31T11:00:00.9999Z"})
    redriven = {"sluice_message_id": numbered(3), "sluice_sent_at": "1767258000123"}
    for attributes in ({}, redriven):
        process([sqs_record(body, 1, attributes)], keyset, store, Track)
    assert [(row.message_id, row.sent_at) for row in store.rows] == [
        (first, "2025-12-31T10:00:00.000Z"),
        (second, "2025-12-31T11:00:00.999Z"),
    ] * 2


def test_a_record_whose_identity_cannot_be_read_goes_by_its_place(keyset: Keyset) -> None:
    store = FakeStore()
    body = tracked({"id": 5, "at": "2025-12-31T10:00:00Z"}, {"id": numbered(9), "at": "3000-01-01T00:00:00Z"})
    process([sqs_record(body, 1)], keyset, store, Track)
    assert told(store) == [
        (identity(1, 0), "wrong_type", "/data/batch/0/id"),
        (numbered(9), "out_of_range", "/data/batch/1/at"),
    ]


def test_a_redriven_message_keeps_the_ids_of_its_records(keyset: Keyset) -> None:
    store = FakeStore()
    body = notified({"key": "a"}, {"key": "b"})
    process([sqs_record(body, 1), sqs_record(body, 2, {"sluice_message_id": numbered(1)})], keyset, store, Put)
    assert list(made(store)) == sorted([identity(1, 0), identity(1, 1)])


def test_a_message_whose_own_attributes_are_wrong_is_refused_as_a_whole(keyset: Keyset) -> None:
    store = FakeStore()
    process([sqs_record(notified({"key": "a"}), 1, {"sluice_sent_at": "now"})], keyset, store, Put)
    assert told(store) == [(numbered(1), "not_a_timestamp", "/sluice_sent_at")]


def test_the_records_are_in_the_envelope(keyset: Keyset) -> None:
    class Around(Stream, table="arounds", envelope=sns, records=listed("Records")):
        key: Annotated[str, Text(max=16)]

    class Event(Stream, table="events", envelope=eventbridge, records=listed("Records")):
        key: Annotated[str, Text(max=16)]

    notification = {"TopicArn": "arn:aws:sns:eu-central-1:123456789012:puts", "MessageId": numbered(5)}
    event = {"source": "a", "detail-type": "b", "id": numbered(5), "detail": {"Records": [{"key": "a"}, {}]}}
    for stream, body in ((Around, notification | {"Message": notified({"key": "a"}, {})}), (Event, event)):
        store = FakeStore()
        process([sqs_record(json.dumps(body), 1)], keyset, store, stream)
        assert made(store) == {identity(5, 0): ("a",)}
        assert told(store) == [(identity(5, 1), "missing", "/Records/1/key")]


# What PostgreSQL refuses


def test_a_row_that_postgresql_refuses_fails_its_message_and_no_other_row(keyset: Keyset) -> None:
    refusal = Rejected("sqlstate_23514", "/key")
    store = FakeStore({identity(1, 1): refusal, identity(1, 2): refusal})
    body = notified({"key": "a"}, {"key": "b"}, {"key": "c"}, {"key": ""})
    processor, failures = process([sqs_record(body, 1)], keyset, store, Put)
    assert made(store) == {identity(1, 0): ("a", 0)}
    assert failures == [numbered(1)]
    assert sorted(told(store), key=lambda one: one[2]) == [
        (identity(1, 1), "sqlstate_23514", "/Records/1/key"),
        (identity(1, 2), "sqlstate_23514", "/Records/2/key"),
        (identity(1, 3), "empty", "/Records/3/key"),
    ]
    assert len(processor.newly_rejected) == 3
    assert store.rejections[1].shape == {"bytes": 12, **SHAPE}


# What is ignored


@pytest.mark.parametrize(
    ("body", "received", "ignored"),
    [
        (json.dumps(TEST_EVENT), 1, 1),
        (notified(TEST_EVENT, {"kind": {"is": 1, "more": 2}}), 2, 2),
        (notified(TEST_EVENT, {"key": "a"}), 2, 1),
    ],
)
def test_what_is_to_be_ignored_is_acknowledged_and_not_stored(
    body: str, received: int, ignored: int, keyset: Keyset
) -> None:
    store = FakeStore()
    processor, failures = process([sqs_record(body, 1)], keyset, store, Put)
    assert (failures, store.rejections, len(store.rows)) == ([], [], received - ignored)
    assert (processor.received, processor.ignored) == (received, ignored)


@pytest.mark.parametrize(
    "body",
    ['{"type": "ping"}', '{"type": "ping", "key": 1}', '{"v": true}', '{"w": 1.0}', '{"n": null}', '{"v":1,"v":true}'],
)
def test_members_and_values_are_compared(body: str, keyset: Keyset) -> None:
    store = FakeStore()
    processor, failures = process([sqs_record(body, 1)], keyset, store, Pinged)
    assert (failures, store.rows, processor.received, processor.ignored) == ([], [], 1, 1)


@pytest.mark.parametrize(
    "body",
    ['{"type": "pong"}', '{"type": ["ping"]}', '{"v": 1}', '{"w": true}', '{"w": "1"}', '{"m": null}', '["ping"]', "x"],
)
def test_nothing_else_is_ignored(body: str, keyset: Keyset) -> None:
    store = FakeStore()
    processor, failures = process([sqs_record(body, 1)], keyset, store, Pinged)
    assert (failures, processor.ignored) == ([numbered(1)], 0)


class Pinged(Stream, table="pinged", ignore=({"type": "ping"}, {"v": True}, {"w": 1}, {"n": None})):
    key: Annotated[str, Text(max=16)]


def test_the_body_is_looked_at_before_its_envelope_and_what_is_inside_too(keyset: Keyset) -> None:
    class Around(Stream, table="arounds", envelope=sns, ignore=({"Type": "SubscriptionConfirmation"}, {"a": 1})):
        key: Annotated[str, Text(max=16)]

    store = FakeStore()
    bodies = ({"Type": "SubscriptionConfirmation", "Token": "t"}, {"Type": "Notification", "Message": '{"a": 1}'})
    sent = [sqs_record(json.dumps(body), number) for number, body in enumerate(bodies)]
    processor, failures = process(sent, keyset, store, Around)
    assert (failures, processor.ignored, store.rejections) == ([], 2, [])


# Declarations


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"records": "Records"}, 'records is listed("Records"), json_lines or a function of your own'),
        ({"records": listed}, 'records is listed("Records"), json_lines or a function of your own'),
        ({"ignore": {"type": "ping"}}, 'ignore is a tuple of members, such as ({"Event": "s3:TestEvent"},)'),
        ({"ignore": ({},)}, 'ignore names members and their values, such as {"Event": "s3:TestEvent"}'),
        ({"ignore": ("ping",)}, 'ignore names members and their values, such as {"Event": "s3:TestEvent"}'),
        ({"ignore": ({"a": {}},)}, 'ignore names members and their values, such as {"Event": "s3:TestEvent"}'),
        ({"ignore": ({"a": [1]},)}, "ignore compares with a text, a number, true, false or null"),
        ({"ignore": ({1: "a"},)}, "ignore compares with a text, a number, true, false or null"),
        ({"ignore": ({'a"b': "a"},)}, "ignore cannot read a key"),
    ],
)
def test_a_wrong_option_says_what_to_change(options: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError) as caught:

        class Wrong(Stream, table="wrongs", **options):
            key: Annotated[str, Text(max=16)]

    assert str(caught.value).startswith(f"Wrong: {says}")


def test_a_part_has_no_records_and_ignores_nothing() -> None:
    for options in ({"records": json_lines}, {"ignore": ({"a": 1},)}):
        with pytest.raises(DeclarationError, match="a Part has no"):

            class Wrong(Part, **options):
                key: Annotated[str, Text(max=16)]


def test_listed_needs_a_key() -> None:
    for keys, says in (((), "listed names the keys"), (('a"b',), "listed cannot read a key")):
        with pytest.raises(DeclarationError, match=says):
            listed(*keys)


def test_no_representation_shows_a_record(keyset: Keyset) -> None:
    handled = record_handler(Put, keyset)(SQSRecord(sqs_record(notified({"key": "a"}, {"key": ["kn4ry"]}))))
    assert (len(handled.rows), len(handled.refusals)) == (1, 1)
    assert "kn4ry" not in repr(handled)


def test_no_value_is_told_of_a_refused_record(keyset: Keyset) -> None:
    class Visit(Stream, table="visits", records=listed("visits")):
        user: Annotated[str, Text(max=8), Pseudonym()]

    store = FakeStore()
    process([sqs_record('{"visits": [{"user": "kn4ry-kn4ry"}, {"kn4ry": 1}, "kn4ry"]}', 1)], keyset, store, Visit)
    assert len(store.rejections) == 3
    assert "kn4ry" not in repr(store.rejections)
