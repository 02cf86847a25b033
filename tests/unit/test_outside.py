"""Fields of the envelope and of the message: read as those of a record are, and named so that none is mistaken."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice import (
    FROM_ENVELOPE,
    FROM_MESSAGE,
    DeclarationError,
    Integer,
    Part,
    Pseudonym,
    Rejected,
    Stream,
    Text,
    Timestamp,
    derived,
    eventbridge,
    json_lines,
    listed,
    plain,
)
from sluice.declaration import whose, witness
from sluice.declaration.envelopes import Envelope
from sluice.declaration.outside import wanted
from sluice.ingest.batch import record_handler
from sluice.ingest.message import sqs_records
from sluice.operators.dead_letters.letters import Letter
from sluice.pseudonyms.keyset import Keyset
from tests.unit.fakes import SENT_AT, FakeStore, sqs_record
from tests.unit.test_batch import process
from tests.unit.test_records import identity, told


class Around(Part):
    kind: Annotated[str, Text(max=32)] = msgspec.field(name="detail-type")
    source: Annotated[str, Text(max=32), Pseudonym()]
    version: Annotated[str, Text(max=8)] = "none"


class Producers(Part):
    trace: Annotated[str | None, Text(max=32)] = msgspec.field(name="trace-id", default=None)
    size: Annotated[str, Text(max=8)] = "none"


class Message(Part):
    sender: Annotated[str, Text(max=64), Pseudonym()] = msgspec.field(name="SenderId")
    sent: Annotated[datetime, Timestamp(epoch="milliseconds")] = msgspec.field(name="SentTimestamp")
    trace: Annotated[str | None, Text(max=99)] = msgspec.field(name="AWSTraceHeader", default=None)
    attributes: Producers


class Happened(Stream, table="happened", envelope=eventbridge):
    user: Annotated[str, Text(max=8)]
    around: Annotated[Around, FROM_ENVELOPE]
    message: Annotated[Message, FROM_MESSAGE]

    @derived
    def is_ours(self) -> bool:
        return self.around.source == "shop"


EVENT = {"detail-type": "Order", "source": "shop", "detail": {"user": "ada"}}


def sent(body: Mapping[str, Any], attributes: Mapping[str, str] | None = None, **of_sqs: str) -> dict[str, Any]:
    record = sqs_record(json.dumps(body), 1, attributes)
    record["attributes"] |= of_sqs
    return record


def test_what_is_around_a_record_becomes_columns(keyset: Keyset) -> None:
    store = FakeStore()
    record = sent(EVENT, {"trace-id": "t1", "sluice_own": "x"}, AWSTraceHeader="Root=1")
    process([record], keyset, store, Happened)
    source, sender = keyset.pseudonymizer("source")("shop"), keyset.pseudonymizer("sender")("AIDAIENQZJOLO23YVJ4VO")
    (row,) = store.rows
    assert dict(zip([column for column, _ in Happened.columns()], row.cells, strict=True)) == {
        "user": "ada",
        "around_kind": "Order",
        "around_source": source,
        "around_version": "none",
        "message_sender": sender,
        "message_sent": "2026-01-01T09:00:00.123000+00:00",
        "message_trace": "Root=1",
        "message_attributes_trace": "t1",
        "message_attributes_size": "none",
        "is_ours": "true",
    }


@pytest.mark.parametrize(
    ("body", "of_sqs", "reason", "pointer"),
    [
        (EVENT | {"source": ""}, {}, "empty", "envelope/source"),
        (EVENT | {"source": None}, {}, "null", "envelope/source"),
        (EVENT | {"detail-type": 1}, {}, "wrong_type", "envelope/detail-type"),
        ({"source": "a", "detail": {"user": "ada"}}, {}, "missing", "envelope/detail-type"),
        (EVENT, {"SenderId": "x" * 65}, "too_long", "message/SenderId"),
        (EVENT, {"SentTimestamp": "1"}, "out_of_range", "message/SentTimestamp"),
        (EVENT | {"detail": {"user": "ada", "around": {"source": "kn4ry"}, "message": 1}}, {}, "", ""),
        (EVENT | {"detail": {"around": {"source": "kn4ry"}}}, {}, "missing", "/user"),
    ],
)
def test_what_is_wrong_there_is_refused_at_a_pointer_that_no_record_has(
    body: dict[str, Any], of_sqs: dict[str, str], reason: str, pointer: str, keyset: Keyset
) -> None:
    store = FakeStore()
    process([sent(body, None, **of_sqs)], keyset, store, Happened)
    assert [one[1:] for one in told(store)] == ([(reason, pointer)] if reason else [])
    assert "kn4ry" not in repr(store.rejections) + repr(store.rows)


def test_a_key_of_the_record_in_the_place_of_a_part_is_not_read(keyset: Keyset) -> None:
    store = FakeStore()
    process([sent(EVENT | {"detail": {"user": "ada", "around": {"source": "other"}}})], keyset, store, Happened)
    assert store.rows[0].cells[-1] == "true"


def test_what_stands_beside_a_list_goes_into_each_row(keyset: Keyset) -> None:
    class Beside(Part):
        app: Annotated[str, Text(max=8)]

    class Track(Stream, table="tracks", records=listed("batch"), subject="beside.app"):
        name: Annotated[str, Text(max=8)]
        beside: Annotated[Beside, FROM_ENVELOPE]

    store = FakeStore()
    body = {"app": " web ", "batch": [{"name": "a"}, {"name": "b"}, {"name": ""}]}
    process([sent(body)], keyset, store, Track)
    assert {row.message_id: row.cells for row in store.rows} == {
        identity(1, 0): ("a", "web"),
        identity(1, 1): ("b", "web"),
    }
    assert {row.originals.subjects for row in store.rows} == {("web",)}
    assert told(store) == [(identity(1, 2), "empty", "/batch/2/name")]
    assert whose.of_each(Track, json.dumps(body)) == (("web",), ("web",), ("web",))
    assert whose.of_body(Track, json.dumps(body)) == ("web",)
    process([sent(body | {"app": 1})], keyset, store, Track)
    assert [one[1:] for one in told(store)[1:]] == [("wrong_type", "envelope/app")] * 3


def test_a_redriven_message_has_the_attributes_that_it_had_at_first(keyset: Keyset) -> None:
    first = json.dumps({"SenderId": "first", "SentTimestamp": "1767258000000"})
    handle = record_handler(Happened, keyset)
    (row,) = handle(sqs(sent(EVENT, {"sluice_attributes": first}))).rows
    assert row.cells[4:6] == (keyset.pseudonymizer("sender")("first"), "2026-01-01T09:00:00+00:00")
    for broken in ("", "no JSON", "[]", '{"SenderId": 1}'):
        (row,) = handle(sqs(sent(EVENT, {"sluice_attributes": broken}))).rows
        assert row.cells[5] == "2026-01-01T09:00:00.123000+00:00"


def sqs(record: dict[str, Any]) -> Any:
    return SQSRecord(sqs_records({"Records": [record]})[0])


def test_a_binary_attribute_is_read_in_base64(keyset: Keyset) -> None:
    record = sent(EVENT, {"trace-id": "x"})
    record["messageAttributes"]["trace-id"] = {"binaryValue": "aGk=", "dataType": "Binary"}
    (row,) = record_handler(Happened, keyset)(sqs(record)).rows
    assert row.cells[7] == "aGk="


def test_the_witness_has_what_is_outside_of_it(keyset: Keyset) -> None:
    assert len(witness.mask(Happened, keyset).cells) == len(Happened.columns())
    assert set(witness.example(Happened.layout)) == {"user"}


def test_a_redrive_carries_what_the_stream_reads_before_all_else(keyset: Keyset) -> None:
    given = {name: {"DataType": "String", "StringValue": name} for name in [*"abcdefgh", "size", "trace-id"]}
    letter = Letter(sqs(sent(EVENT, AWSTraceHeader="Root=1")), given, wanted=wanted(Happened.layout))
    carried = letter.redriven_attributes()
    assert [*carried] == [
        "sluice_message_id", "sluice_sent_at", "sluice_attributes", "trace-id", "size", "a", "b", "c", "d", "e",
    ]  # fmt: skip
    assert json.loads(carried["sluice_attributes"]["StringValue"]) == {
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "SentTimestamp": str(SENT_AT),
        "AWSTraceHeader": "Root=1",
    }
    again = Letter(sqs(sent(EVENT, SenderId="redriver")), carried, wanted=wanted(Happened.layout))
    assert again.redriven_attributes()["sluice_attributes"] == carried["sluice_attributes"]


# Declarations


class Wrong(Part):
    sender: Annotated[str, Text(max=64)]


@pytest.mark.parametrize(
    ("annotation", "envelope", "says"),
    [
        (Annotated[list[Around], FROM_ENVELOPE], eventbridge, "what is outside of the record is one object"),
        (Annotated[Around | None, FROM_ENVELOPE], eventbridge, "what is outside of the record is one object"),
        (Annotated[Around, FROM_ENVELOPE], plain, "nothing is around the record: the stream names no envelope"),
        (Annotated[Wrong, FROM_MESSAGE], plain, "sender: SQS has no attribute sender, but"),
        (Annotated[str, FROM_MESSAGE], plain, "must be Annotated[type, rule, mask, …], or a Part"),
    ],
)
def test_a_wrong_part_says_what_to_change(annotation: Any, envelope: Envelope, says: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare(annotation, envelope=envelope)
    assert says in str(caught.value)
    assert str(caught.value).startswith("Declared.part")


def declare(annotation: Any, **options: Any) -> type[Stream]:
    class Declared(Stream, table="declared", **options):
        user: Annotated[str, Text(max=8)]
        part: annotation

    return Declared


def test_nothing_is_around_lines() -> None:
    with pytest.raises(DeclarationError, match="nothing is around the record"):
        declare(Annotated[Around, FROM_ENVELOPE], records=json_lines)


def test_only_a_stream_reads_what_is_outside() -> None:
    with pytest.raises(DeclarationError, match=r"Inner\.around: only a Stream reads what is outside"):

        class Inner(Part):
            around: Annotated[Around, FROM_ENVELOPE]


@pytest.mark.parametrize("option", ["identity", "time", "subject"])
def test_identity_time_and_subject_are_not_of_the_message(option: str) -> None:
    with pytest.raises(DeclarationError, match=rf"the {option} part\.sent is outside of the record"):
        declare(Annotated[Message, FROM_MESSAGE], **{option: "part.sent"})


def test_a_redrive_carries_seven_attributes_of_a_producer() -> None:
    class Own(Part):
        a: Annotated[str, Text(max=8)]
        b: Annotated[str, Text(max=8)]
        c: Annotated[str, Text(max=8)]
        d: Annotated[str, Text(max=8)]
        e: Annotated[str, Text(max=8)]
        f: Annotated[str, Text(max=8)]
        g: Annotated[int, Integer(max=8)]
        h: Annotated[str, Text(max=8)]

    class Holder(Part):
        attributes: Own

    with pytest.raises(DeclarationError, match="has more than 7 attributes"):
        declare(Annotated[Holder, FROM_MESSAGE])


def test_no_representation_shows_what_is_outside(keyset: Keyset) -> None:
    assert repr(witness.outside(Happened.layout)) == "Outside()"
    with pytest.raises(Rejected, match="envelope/detail-type: missing"):
        Happened.masker(keyset, envelope=plain)('{"user": "a"}')
