"""The template, deployed by the SAM CLI to an emulator and a PostgreSQL that live as long as these tests."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from sluice.declaration.stream import Stream
from streams.orders import Order
from streams.user_logins import UserLogin
from tools.local.stack import Stack, running_stack
from tools.project import DECLARED
from tools.testing import deployed
from tools.testing.invariants import Finding, Sent

TOPIC = "arn:aws:sns:us-east-1:000000000000:sign-ins"
RULE = "arn:aws:events:us-east-1:000000000000:rule/sign-ins"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    parameters = {
        "LogLevel": "DEBUG",  # whatever must not be logged must not be logged at DEBUG
        "SenderSourceArns": f"{TOPIC},{RULE}",
    }
    with running_stack(parameters, streams=DECLARED / "streams") as stack:
        yield stack


@dataclass
class Collected:
    """All that the tests send, so that the checker can tell in the end whether all of it is where it belongs."""

    stack: Stack
    sent: dict[type[Stream], list[Sent]] = field(default_factory=lambda: {UserLogin: [], Order: []})
    _dead_letters: list[str] = field(default_factory=list)

    def send(self, body: object, valid: bool = True, stream: type[Stream] = UserLogin, **attributes: str) -> str:
        """Send a record to the queue of its stream, and return the id that SQS gave it."""
        return self._send(body, valid, stream, self.stack.queues[stream.stream_name].queue, attributes)

    def send_to_dead_letters(self, body: object, valid: bool) -> str:
        """Send a login to the dead-letter queue, as if an outage had used up its receives; return the id it got."""
        return self._send(body, valid, UserLogin, self.stack.dead_letter_queue_url, {})

    def erased_or_purged(self, *message_ids: str) -> None:
        """Remember that these must be nowhere any more."""
        for stream, messages in self.sent.items():
            self.sent[stream] = [replace(one, gone=one.gone or one.message_id in message_ids) for one in messages]

    def handed_over(self, messages: Sequence[Sent], reported: Sequence[str]) -> None:
        """Remember messages that came by no queue; what was reported of them, a queue would make dead letters."""
        self.sent[UserLogin] += messages
        self._dead_letters += reported

    def dead_letters(self) -> list[str]:
        """Return the ids of all dead letters until now, each as often as it is there."""
        self._dead_letters += deployed.dead_letters(self.stack)
        return self._dead_letters

    def clear(self) -> None:
        """Begin anew with empty tables and queues; the functions are told that the vault is not as they know it."""
        self.dead_letters()
        self._dead_letters.clear()
        for messages in self.sent.values():
            messages.clear()
        with self.stack.connect() as owner:
            owner.run("TRUNCATE user_logins, orders, batch, rejection, pii_vault, pii_vault_key")
            owner.run("UPDATE removal SET number = number + 1")

    def _send(
        self, body: object, valid: bool, stream: type[Stream], queue_url: str, attributes: Mapping[str, str]
    ) -> str:
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        text = body if isinstance(body, str) else json.dumps(body)
        answer = self.stack.client("sqs").send_message(QueueUrl=queue_url, MessageBody=text, MessageAttributes=typed)
        message_id = str(answer["MessageId"])
        self.sent[stream].append(Sent(message_id, text, valid, attributes=attributes))
        return message_id

    def check(self) -> list[Finding]:
        """Return what is not where it belongs."""
        return deployed.check(self.stack, self.sent, self.dead_letters())


@pytest.fixture(scope="module")
def sent(stack: Stack) -> Iterator[Collected]:
    """What sends, and remembers. After the module's last test all of it must be where it belongs."""
    collected = Collected(stack)
    collected.clear()
    yield collected
    nothing: list[str] = []
    eventually(lambda: list(map(str, collected.check())), nothing, 120)


def eventually[T](look: Callable[[], T], expected: T, seconds: float = 60) -> None:
    """Look until it is as expected; fail with what it is when that takes too long."""
    deadline = time.monotonic() + seconds
    while (found := look()) != expected:
        assert time.monotonic() < deadline, f"still {found!r}, not {expected!r}"
        time.sleep(0.1)
