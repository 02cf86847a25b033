"""What AWS sends to a queue of its own accord, or when somebody tries it out, is refused alone, and the reason fits."""

import json

import pytest

from sluice import Stream
from tests.field.test_identity import RECORD, Evented, Notified, Plain, event, notification, process
from tests.unit.fakes import sqs_record

S3 = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-01-01T09:00:00.000Z", "Bucket": "b"}
S3 |= {"RequestId": "5582815E1AEA5ADF", "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR"}
SES = {
    "notificationType": "AmazonSnsSubscriptionSucceeded",
    "message": "You have successfully subscribed your Amazon SNS topic to receive 'Bounce' notifications.",
}
SUBSCRIPTION = notification(
    Type="SubscriptionConfirmation",
    Message="You have chosen to subscribe to the topic. To confirm the subscription, visit the SubscribeURL.",
    Token="2336412f37f",
    SubscribeURL="https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription",
)
UNSUBSCRIPTION = SUBSCRIPTION | {"Type": "UnsubscribeConfirmation"}
SNS_TEST = notification(Message="Hello from Amazon SNS!")
EVENTBRIDGE_TEST = event(detail={})
HELLO = {"key1": "value1", "key2": "value2", "key3": "value3"}
TEXT = "Test message"  # typed into the console

GREETINGS = [
    (Plain, TEXT, "not_json", ""),
    (Plain, json.dumps(TEXT), "not_an_object", ""),
    (Plain, "", "not_json", ""),
    *[(Plain, json.dumps(greeting), "missing", "/name") for greeting in (HELLO, S3, SES, {})],
    *[
        (Plain, json.dumps(greeting), "sns_notification", "")
        for greeting in (SUBSCRIPTION, UNSUBSCRIPTION, SNS_TEST, notification(Message=json.dumps(S3)))
    ],
    (Plain, json.dumps(EVENTBRIDGE_TEST), "eventbridge_event", ""),
    *[(Notified, json.dumps(greeting), "not_json", "") for greeting in (SUBSCRIPTION, UNSUBSCRIPTION, SNS_TEST)],
    *[(Notified, json.dumps(notification(Message=json.dumps(one))), "missing", "/name") for one in (S3, SES, HELLO)],
    *[(Notified, json.dumps(greeting), "not_in_its_envelope", "") for greeting in (S3, SES, HELLO)],
    (Notified, TEXT, "not_in_its_envelope", ""),
    (Evented, json.dumps(EVENTBRIDGE_TEST), "missing", "/name"),
    *[(Evented, json.dumps(greeting), "not_in_its_envelope", "") for greeting in (S3, SES, SUBSCRIPTION, HELLO)],
    (Evented, TEXT, "not_in_its_envelope", ""),
]
WRAPPED: dict[type[Stream], object] = {Plain: RECORD, Notified: notification(), Evented: event()}


@pytest.mark.parametrize(("stream", "greeting", "reason", "pointer"), GREETINGS)
def test_a_greeting_is_refused_and_the_record_beside_it_stored(
    stream: type[Stream], greeting: str, reason: str, pointer: str
) -> None:
    good = json.dumps(WRAPPED[stream])
    store = process(stream, sqs_record(greeting, 1), sqs_record(good, 2))
    assert [row.cells for row in store.rows] == [("ada",)]
    (rejection,) = store.rejections
    assert (rejection.reason, rejection.pointer) == (reason, pointer)
