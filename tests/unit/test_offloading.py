"""Bodies that producers have offloaded to S3: what is declared, what a pointer is, and what of it is read at once."""

import json
from typing import Annotated, Any

import pytest

from sluice import DeclarationError, Part, Route, Stream, Text, ToS3
from sluice.aws import clients
from sluice.deadline import Deadline
from sluice.declaration.envelopes import eventbridge, guarded, sns
from sluice.declaration.offloading import MIB, MOST_BYTES, Pointer, pointer_in
from sluice.failures import Outage, Rejected
from sluice.ingest import payloads
from sluice.ingest.payloads import Payloads, Unread
from tools.testing.aws.s3 import BUCKET, FakeS3
from tools.testing.clock import Clock

KIND = "software.amazon.payloadoffloading.PayloadS3Pointer"


def pointer(key: str) -> str:
    return json.dumps([KIND, {"s3BucketName": BUCKET, "s3Key": key}])


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> FakeS3:
    fake = FakeS3()
    monkeypatch.setattr(clients, "client", {"s3": fake}.__getitem__)
    return fake


def read(bodies: list[str], max_bytes: int = 16 * MIB, seconds: float = 60) -> list[str | Rejected | Unread]:
    clock = Clock()
    found = Payloads(ToS3(max_bytes=max_bytes), BUCKET)
    return found.read(bodies, Deadline(clock.monotonic() + seconds, clock.monotonic))


# Declarations


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (ToS3(prefix=1), "the prefix is a text"),  # type: ignore[arg-type]
        (ToS3(max_bytes="1"), "max_bytes is a number of bytes"),  # type: ignore[arg-type]
        (ToS3(max_bytes=True), "max_bytes is a number of bytes"),
        (ToS3(max_bytes=0), "max_bytes must be from 1 to 16777216"),
        (ToS3(max_bytes=MOST_BYTES), "max_bytes must be from 1 to 16777216"),
        (ToS3(after="forget"), 'after is "keep" or "delete"'),  # type: ignore[arg-type]
        (ToS3, r"offloaded is ToS3\(…\)"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(said: Any, says: str) -> None:
    with pytest.raises(DeclarationError, match=f"^Upload: .*{says}"):

        class Upload(Stream, table="uploads", offloaded=said):
            person: Annotated[str, Text(max=8)]


def test_a_part_has_no_payloads_of_its_own() -> None:
    with pytest.raises(DeclarationError, match=r"^Inside: a Part has no offloaded, a Stream names it$"):

        class Inside(Part, offloaded=ToS3()):
            person: Annotated[str, Text(max=8)]


def test_a_route_says_it_for_its_streams() -> None:
    class Upload(Stream, table="uploads", offloaded=ToS3(prefix="its own queue's")):
        person: Annotated[str, Text(max=8)]

    class Uploads(Route, by="type", offloaded=ToS3(prefix="up/")):
        to = {"upload": Upload}  # noqa: RUF012

    assert Uploads.head.offloaded == ToS3(prefix="up/")


# Pointers


def test_the_pointers_of_the_extended_clients_are_known() -> None:
    found = Pointer(BUCKET, "up/1")
    assert pointer_in(pointer("up/1")) == found
    assert pointer_in(pointer("up/1").encode()) == found
    assert pointer_in(pointer("up/1").replace(KIND, "com.amazon.sqs.javamessaging.MessageS3Pointer")) == found
    assert repr(found) == "Pointer()"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[",
        "[]",
        "{}",
        f'["{KIND}"]',
        f'["{KIND}", {{"s3BucketName": "b"}}]',
        f'["{KIND}", {{"s3BucketName": "b", "s3Key": 1}}]',
        '["of.another.Class", {"s3BucketName": "b", "s3Key": "k"}]',
        "[" * 100_000,
        "\ud800",
    ],
)
def test_anything_else_is_none(body: str) -> None:
    assert pointer_in(body) is None


@pytest.mark.parametrize("envelope", [sns, eventbridge, lambda body: 1 / 0])
def test_an_envelope_says_what_stands_in_its_place(envelope: Any) -> None:
    with pytest.raises(Rejected, match="payload_in_s3"):
        guarded(envelope)(pointer("up/1"))


# Reading


def test_bodies_keep_their_places_and_those_of_messages_ask_nothing_of_s3(s3: FakeS3) -> None:
    s3.objects |= {str(number): f'"{number}"'.encode() for number in range(100)}
    bodies = [text for number in range(100) for text in (pointer(str(number)), f"{number}")]
    assert read(bodies) == [text for number in range(100) for text in (f'"{number}"', f"{number}")]
    s3.calls.clear()
    assert read(["{}", "[]"]) == ["{}", "[]"]
    assert s3.calls == []


def test_what_is_too_large_is_not_read(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.objects |= {"fits": b"x" * 100, "large": b"x" * 101}
    large, fits = read([pointer("large"), pointer("fits")], max_bytes=100)
    assert isinstance(large, Rejected)
    assert (large.reason, fits) == ("payload_too_large", "x" * 100)


def test_no_more_than_fits_into_memory_is_read_at_once(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "MOST_BYTES", 250)
    s3.objects |= {str(number): b"x" * 100 for number in range(20)}
    found = read([pointer(str(number)) for number in range(20)])
    assert found.count("x" * 100) == 2
    assert len([one for one in found if isinstance(one, Unread)]) == 18


def test_nothing_begins_that_would_not_end(s3: FakeS3) -> None:
    s3.objects["1"] = b"{}"
    with pytest.raises(Outage, match=r"^out of time$"):
        read([pointer("1"), "{}"], seconds=20)
    assert s3.calls == []


def test_an_object_that_comes_too_slowly_is_an_outage(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.objects["1"] = b"x" * 10
    clock = Clock()
    monkeypatch.setattr(payloads, "CHUNK_BYTES", 1)
    answer = s3.get_object(Bucket=BUCKET, Key="1")

    class Slow:
        def iter_chunks(self, size: int) -> Any:
            for _ in range(10):
                clock.now += 9
                yield b"x"

        def close(self) -> None: ...

    monkeypatch.setattr(s3, "get_object", lambda **_: answer | {"Body": Slow()})
    with pytest.raises(Outage, match=r"^s3: too slow$"):
        Payloads(ToS3(), BUCKET).read([pointer("1")], Deadline(clock.monotonic() + 60, clock.monotonic))
