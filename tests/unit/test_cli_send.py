"""`sluice send` puts records on the queue of a stream: those of a file, or made-up ones."""

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.breaker.record import path
from sluice.declaration import registry
from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.unit.cli import PUSHES, STREAM, run
from tests.unit.fakes import KEYSET, login, sqs_record
from tools.sluice_cli.operators import deployment, send
from tools.sluice_cli.operators.deployment import Deployment
from tools.testing.aws.service import refusal
from tools.testing.aws.sqs import FakeSqs
from tools.testing.aws.ssm import FakeParameters
from tools.testing.clock import Clock

STACK = "sluice"
URL = "http://sqs/123456789012/a-queue"
QUEUES = json.dumps({"queue": URL, "dead_letters": f"{URL}-dlq"})


class Account:
    """A stack's parameters and a queue, as a session of boto3 has them."""

    def __init__(self) -> None:
        self.sqs = FakeSqs(queues={URL: []})
        self.ssm = FakeParameters(texts={f"{path(STACK)}/stream/{name}": QUEUES for name in ("user_logins", "visits")})

    def client(self, service: str, *, endpoint_url: str | None, config: object = None) -> Any:
        return {"sqs": self.sqs, "ssm": self.ssm}[service]

    @property
    def bodies(self) -> list[str]:
        return [message.body for message in self.sqs.queues[URL]]

    @property
    def ids(self) -> list[str]:
        return [attributes["sluice_message_id"] for attributes in self.sqs.attributes(URL)]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    account = Account()
    session: Any = account
    monkeypatch.setattr(send, "time", Clock())
    monkeypatch.setattr(send, "RANDOM", random.Random(7))
    monkeypatch.setattr(deployment, "deployed", lambda stack: Deployment(session, None, stack or STACK))
    return account


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        (tmp_path / "records").write_text(text, errors="surrogateescape")
        return str(tmp_path / "records")

    return write


def rejected(stream: str, body: str) -> bool:
    try:
        registry.load(stream).masker(Keyset.parse(KEYSET))(body)
    except Rejected:
        return True
    return False


def test_the_records_of_a_file_are_sent_each_with_an_id_of_its_own(
    account: Account, file: Callable[[str], str]
) -> None:
    lines = [login(device_id=str(number)) for number in range(23)]
    code, output, errors = run("send", "user_logins", file("\n".join(lines)))
    assert (code, errors) == (0, "")
    assert output == (
        "Sent 23 messages to the stream user_logins of the stack sluice: 23 records, 0 of them junk, 0 sent twice.\n"
    )
    assert account.bodies == lines
    assert len(set(account.ids)) == 23
    assert account.sqs.calls == ["send_message_batch"] * 3


def test_what_an_event_says_of_its_messages_is_sent_too(account: Account, file: Callable[[str], str]) -> None:
    own = {"sluice_message_id": "mine", "sluice_sent_at": "1767258000000", "trace": "kn4ry"}
    bare = sqs_record(login(), 3, {})
    del bare["messageAttributes"]
    event = json.dumps({"Records": [sqs_record(login(), 1, own), sqs_record(login(), 2, {}), bare]})
    assert run("send", "user_logins", file(event))[0] == 0
    first, second, third = account.sqs.attributes(URL)
    assert third.keys() == {"sluice_message_id", "sluice_sent_at"}
    assert first == {"sluice_message_id": "mine", "sluice_sent_at": "1767258000000"}
    assert second.keys() == {"sluice_message_id", "sluice_sent_at"}


def test_made_up_records_are_taken_but_for_the_junk_and_some_come_twice(account: Account) -> None:
    code, output, _ = run("send", "user_logins", "--generate", "200", "--junk", "5%", "--duplicates", "0.1")
    assert (code, "Sent 220 messages" in output) == (0, True)
    assert "200 records, 10 of them junk, 20 sent twice." in output
    assert sum(rejected("user_logins", body) for body in account.bodies) == 10
    times = Counter(zip(account.ids, account.bodies, strict=True))
    assert (len(times), len(set(account.ids)), Counter(times.values())) == (200, 200, Counter({1: 180, 2: 20}))
    assert not any(rejected("user_logins", body) for (_, body), count in times.items() if count == 2)


def test_a_message_in_an_envelope_keeps_the_id_of_the_envelope(
    account: Account, declare: Callable[[str, str], None]
) -> None:
    declare("visits", STREAM.replace('table="visits"', 'table="visits", envelope=sns'))
    assert run("send", "visits", "--generate", "20", "--duplicates", "10%")[0] == 0
    assert sum("sluice_message_id" in attributes for attributes in account.sqs.attributes(URL)) == 4
    assert not any(rejected("visits", body) for body in account.bodies)


def test_a_record_with_an_identity_of_its_own_gets_no_other(
    account: Account, declare: Callable[[str, str], None]
) -> None:
    declare("visits", PUSHES)
    assert run("send", "visits", "--generate", "30", "--junk", "10%")[0] == 0
    alone = [
        body
        for body, attributes in zip(account.bodies, account.sqs.attributes(URL), strict=True)
        if "sluice_message_id" not in attributes
    ]
    assert len({json.loads(body)["commit"]["id"] for body in alone}) == len(alone) >= 27


def test_a_share_of_a_file_is_broken(account: Account, file: Callable[[str], str]) -> None:
    lines = [login(device_id=str(number)) for number in range(10)]
    assert run("send", "user_logins", file("\n".join(lines)), "--junk", "30%")[0] == 0
    assert [rejected("user_logins", body) for body in account.bodies] == [body not in lines for body in account.bodies]
    assert sum(body in lines for body in account.bodies) == 7


def test_what_sqs_did_not_take_is_sent_again_alone(account: Account, file: Callable[[str], str]) -> None:
    fails = Counter({"3": 2, "5": 1})

    def refuses(operation: str, message: Any) -> bool:
        device = json.loads(message.body)["device_id"]
        fails[device] -= 1
        return fails[device] >= 0

    account.sqs.refuses = refuses
    lines = [login(device_id=str(number)) for number in range(8)]
    code, output, _ = run("send", "user_logins", file("\n".join(lines)))
    assert (code, output.startswith("Sent 8 messages")) == (0, True)
    assert sorted(account.bodies) == sorted(lines)
    assert len(account.sqs.calls) == 3


def test_what_is_never_taken_is_told_and_the_rest_is_sent(account: Account, file: Callable[[str], str]) -> None:
    account.sqs.refuses = lambda operation, message: '"3"' in message.body
    lines = [login(device_id=str(number)) for number in range(12)]
    code, output, errors = run("send", "user_logins", file("\n".join(lines)))
    assert (code, output) == (1, "")
    assert errors == "sluice: 11 of 12 messages were sent: 1 not taken in 6 tries\n"


def test_a_queue_that_takes_less_at_once_gets_less(account: Account, file: Callable[[str], str]) -> None:
    call = account.sqs.send_message_batch

    def of_a_quarter(*, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        if sum(len(entry["MessageBody"]) for entry in Entries) > 262_144:
            raise refusal("AWS.SimpleQueueService.BatchRequestTooLong")
        return call(QueueUrl=QueueUrl, Entries=Entries)

    account.sqs.send_message_batch = of_a_quarter  # type: ignore[method-assign]
    lines = [json.dumps({"number": number, "text": "x" * 100_000}) for number in range(9)]
    lines.append(json.dumps({"number": 9, "text": "x" * 300_000}))
    code, _, errors = run("send", "user_logins", file("\n".join(lines)))
    assert (code, errors) == (1, "sluice: 9 of 10 messages were sent: 1 BatchRequestTooLong\n")
    assert account.bodies == lines[:9]


def test_no_request_has_more_than_sqs_takes() -> None:
    made = [send.Message("é" * 150_000, {}) for _ in range(7)] + [send.Message("x", {}) for _ in range(12)]
    assert [len(batch) for batch in send.batches(made, 10)] == [3, 3, 10, 3]


def test_an_error_says_how_many_were_sent(account: Account, file: Callable[[str], str]) -> None:
    account.sqs.raises = {"send_message_batch": ["", "ServiceUnavailable"]}
    code, output, errors = run("send", "user_logins", file("\n".join([login()] * 25)))
    assert (code, output) == (1, "")
    assert errors.startswith("sluice: 10 of 25 messages were sent, and perhaps 10 more: An error occurred")


def test_nothing_of_a_call_that_sqs_refuses_was_sent(account: Account, file: Callable[[str], str]) -> None:
    def refuse(operation: str) -> None:
        error = refusal("AccessDenied")
        error.response["ResponseMetadata"] = {"HTTPStatusCode": 403}  # type: ignore[typeddict-item]
        raise error

    account.sqs.before = refuse
    assert run("send", "user_logins", file(login()))[2].startswith("sluice: 0 of 1 messages were sent: An error")


def test_an_interrupt_says_how_many_were_sent(account: Account) -> None:
    def interrupt(operation: str) -> None:
        if len(account.sqs.calls) == 3:
            raise KeyboardInterrupt

    account.sqs.before = interrupt
    code, output, errors = run("send", "user_logins", "--generate", "100")
    assert (code, output) == (1, "")
    assert errors == "sluice: stopped: 20 of 100 messages were sent, and perhaps 10 more\n"


def test_the_rate_bounds_how_many_are_sent_in_a_second(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    began = clock.now
    monkeypatch.setattr(send, "time", clock)
    assert run("send", "user_logins", "--generate", "20", "--rate", "4")[0] == 0
    assert (clock.now - began, len(account.sqs.calls)) == (5.0, 5)


def test_a_stream_that_the_stack_has_not_is_told(account: Account, declare: Callable[[str, str], None]) -> None:
    declare("orders", STREAM)
    code, output, errors = run("send", "orders", "--generate", "1", "--stack", STACK)
    assert (code, output) == (2, "")
    assert errors == "sluice: the stack sluice has no stream orders; it has user_logins, visits\n"
    assert run("send", "orders", "--generate", "1", "--stack", "other")[2] == (
        "sluice: the stack other has no stream orders; it has none\n"
    )


def test_a_parameter_that_names_no_queue_is_told(account: Account) -> None:
    account.ssm.texts = dict.fromkeys(account.ssm.texts, '{"kn4ry": 1}')
    assert run("send", "user_logins", "--generate", "1") == (
        1,
        "",
        "sluice: ssm: a parameter below /sluice/sluice/stream does not name the queues of a stream\n",
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "send: either a file or --generate"),
        (["-", "--generate", "1"], "send: either a file or --generate"),
        (["--generate", "1", "--junk", "five"], "--junk: is a share such as 5%"),
        (["--generate", "1", "--junk", "nan"], "--junk: is a share such as 5%"),
        (["--generate", "1", "--duplicates", "101%"], "--duplicates: is a share such as 5%"),
    ],
)
def test_a_usage_error_is_one_line(arguments: list[str], why: str, account: Account) -> None:
    assert run("send", "user_logins", *arguments) == (2, "", f"sluice: {why}\n")
    assert account.sqs.calls == []


def test_a_record_that_no_message_holds_is_told_before_anything_is_sent(
    account: Account, file: Callable[[str], str]
) -> None:
    largest = login(user_id="")[:-1] + ', "more": "{}"}'
    largest = largest.replace("{}", "é" * ((1_048_576 - len(largest)) // 2))
    name = file(login() + "\n" + largest.replace('"more"', '"or_more"'))
    assert run("send", "user_logins", name)[::2] == (
        2,
        f"sluice: {name}:2: has more than the 1,048,576 bytes that SQS takes\n",
    )
    assert account.sqs.calls == []


def test_a_file_that_sqs_cannot_take_is_told_before_anything_is_sent(
    account: Account, file: Callable[[str], str]
) -> None:
    name = file(login() + "\n" + '{"a": "\udcff"}')
    code, output, errors = run("send", "user_logins", name)
    assert (code, output) == (2, "")
    assert errors == f"sluice: {name}:2: is no UTF-8, which is all that SQS takes\n"
    assert account.sqs.calls == []
