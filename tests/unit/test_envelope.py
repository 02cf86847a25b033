"""Envelopes: the record out of what AWS wraps around it, in the forms that AWS documents."""

import json
from typing import Annotated, Any

import pytest

from sluice.declaration.envelopes import Envelope, eventbridge, plain, sns
from sluice.declaration.masks import Pseudonym
from sluice.declaration.rules import Email, Number, Text
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.unit.kinds import declare, field

RECORD = '{"email": "Ada@Example.com", "note": "caf\\u00e9 \\"x\\"", "kn4ry": 1, "price": 1.10}'


def notification(message: object = RECORD) -> dict[str, object]:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html"""
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
        "Subject": "My First Message",
        "Message": message,
        "Timestamp": "2012-05-02T00:54:06.655Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLEw6JRN…",
        "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService.pem",
        "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe",
        "MessageAttributes": {"store": {"Type": "String", "Value": "example_corp"}},
    }


def event(detail: str = RECORD) -> str:
    """https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html"""
    around = {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "Sign-up",
        "source": "shop.example",
        "account": "111122223333",
        "time": "2017-12-22T18:43:48Z",
        "region": "us-west-1",
        "resources": ["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],
    }
    return json.dumps(around)[:-1] + f', "detail": {detail}}}'


def signed_up(envelope: Envelope) -> type[Stream]:
    made: type[Stream] = declare(
        Stream,
        {"email": field(Email(), Pseudonym()), "note": field(Text(max=9)), "price": field(Number(4, 2))},
        table="signed_up",
        envelope=envelope,
    )
    return made


BODIES: list[tuple[Envelope, str]] = [
    (plain, RECORD),  # and SNS's raw message delivery
    (sns, json.dumps(notification())),
    (eventbridge, event()),
]
envelopes = pytest.mark.parametrize(("envelope", "body"), BODIES, ids=["plain", "sns", "eventbridge"])


@envelopes
def test_the_record_in_an_envelope_becomes_the_row_of_the_plain_one(
    envelope: Envelope, body: str, keyset: Keyset
) -> None:
    token = keyset.pseudonymizer("email")("Ada@example.com")
    found = signed_up(envelope).masker(keyset)(body).cells
    assert [str(cell) for cell in found] == [token, 'café "x"', "1.10"]


@envelopes
def test_the_shape_is_that_of_the_record_and_the_size_that_of_the_message(envelope: Envelope, body: str) -> None:
    assert signed_up(envelope).shape(body) == {
        "bytes": len(body.encode()),
        "fields": {"email": "string", "note": "string", "price": "number"},
        "other_fields": 1,
    }


@envelopes
def test_a_pointer_begins_at_the_record(envelope: Envelope, body: str, keyset: Keyset) -> None:
    with pytest.raises(Rejected) as caught:
        signed_up(envelope).masker(keyset)(body.replace("1.10", "1.101"))
    assert (caught.value.reason, caught.value.pointer) == ("too_precise", "/price")


def test_raw_delivery_is_no_envelope_and_an_envelope_no_raw_delivery(keyset: Keyset) -> None:
    for envelope in (sns, eventbridge):
        with pytest.raises(Rejected) as caught:
            signed_up(envelope).masker(keyset)(RECORD)
        assert (caught.value.reason, caught.value.pointer) == ("not_in_its_envelope", "")
    with pytest.raises(Rejected) as caught:
        signed_up(plain).masker(keyset)(json.dumps(notification()))
    assert (caught.value.reason, caught.value.pointer) == ("sns_notification", "")


NO_NOTIFICATIONS: list[Any] = [
    *("", "kn4ry", "{", "null", "[]", '"kn4ry"', "[" * 100_000, '{"Message": ' * 100_000, "\ud800"),
    *('{"Message": "\\ud800"}', '{"message": "{}"}', "{}"),
    *(json.dumps(notification(message)) for message in (None, 1, {"email": "kn4ry"}, ["kn4ry"])),
    event(),
]
NO_EVENTS: list[Any] = [
    *("", "kn4ry", "{", "null", "[]", '"kn4ry"', "[" * 100_000, '{"detail": ' * 100_000, "\ud800"),
    *('{"Detail": {}}', "{}", event("{"), event("kn4ry")),
    json.dumps(notification()),
]


@pytest.mark.parametrize(
    ("envelope", "body"),
    [*((sns, body) for body in NO_NOTIFICATIONS), *((eventbridge, body) for body in NO_EVENTS)],
    ids=lambda value: value[:20].encode(errors="replace").decode() if isinstance(value, str) else value.__name__,
)
def test_what_is_not_in_its_envelope_is_rejected_and_has_no_shape_but_its_size(
    envelope: Envelope, body: str, keyset: Keyset
) -> None:
    stream = signed_up(envelope)
    with pytest.raises(Rejected) as caught:
        stream.masker(keyset)(body)
    assert (caught.value.reason, caught.value.pointer) == ("not_in_its_envelope", "")
    assert caught.value.__suppress_context__
    assert stream.shape(body) == {"bytes": len(body.encode(errors="surrogatepass"))}


@pytest.mark.parametrize(
    ("envelope", "body", "reason"),
    [
        (sns, json.dumps(notification("kn4ry")), "not_json"),
        (sns, json.dumps(notification("")), "not_json"),
        (sns, json.dumps(notification("[]")), "not_an_object"),
        (eventbridge, event("[]"), "not_an_object"),
        (eventbridge, event('"kn4ry"'), "not_an_object"),
        (eventbridge, event("null"), "not_an_object"),
    ],
)
def test_an_envelope_without_a_record_is_rejected_as_what_it_holds(
    envelope: Envelope, body: str, reason: str, keyset: Keyset
) -> None:
    with pytest.raises(Rejected) as caught:
        signed_up(envelope).masker(keyset)(body)
    assert (caught.value.reason, caught.value.pointer) == (reason, "")


def test_an_envelope_may_be_ones_own(keyset: Keyset) -> None:
    def unwrap(body: str) -> str:
        return body.removeprefix("v1:")

    class Noted(Stream, table="noted", envelope=unwrap):
        note: Annotated[str, Text(max=9)]

    assert Noted.masker(keyset)('v1:{"note": "a"}').cells == ("a",)
