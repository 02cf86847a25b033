"""Bodies that producers have offloaded to S3: each becomes one row, whatever fails, and only then its object goes."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice import telemetry
from sluice.breaker import probe
from sluice.failures import Outage
from sluice.settings import BreakerSettings
from tests.integration import own_stream
from tests.integration.databases import TestDatabase, in_seconds
from tests.integration.environment import Environment
from tests.integration.messages import event, failures, record, token
from tools.testing.aws.account import FakeAws
from tools.testing.aws.s3 import BUCKET, FakeS3
from tools.testing.aws.service import CANARY
from tools.testing.aws.sqs import DEAD, QUEUE, FakeSqs

NAME = "uploads"
WHY = {"reason": "operations", "ticket": "OPS-1"}
DECLARATION = """
from typing import Annotated
from sluice import Pseudonym, Stream, Text, ToS3, json_lines

class Upload(Stream, table="uploads", subject="person", offloaded=ToS3(prefix="up/", max_bytes=200, after="delete")):
    person: Annotated[str, Text(max=32), Pseudonym(domain="subject")]
    note: Annotated[str, Text(max=100)]
"""
SQL = """
CREATE TABLE uploads (
    person varchar(256) NOT NULL, note varchar(100) NOT NULL, sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY
)
"""
LEGACY = "com.amazon.sqs.javamessaging.MessageS3Pointer"


@pytest.fixture
def declared(
    database: TestDatabase, settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    monkeypatch.setenv("PAYLOAD_BUCKET", BUCKET)
    with own_stream.deployed(NAME, DECLARATION, SQL, database, tmp_path, monkeypatch) as change:
        yield change


@pytest.fixture
def sqs(declared: object, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> FakeSqs:
    return own_stream.queues_of(NAME, fake_aws, monkeypatch)


@pytest.fixture
def s3(fake_aws: FakeAws) -> FakeS3:
    return fake_aws.s3


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """Return the lines that were logged until now."""
    stream = io.StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines() if line.startswith("{")]


def upload(person: str = "ada", note: str = "hello") -> str:
    return json.dumps({"person": person, "note": note})


def pointer(key: str, bucket: str = BUCKET, kind: str = "software.amazon.payloadoffloading.PayloadS3Pointer") -> str:
    return json.dumps([kind, {"s3BucketName": bucket, "s3Key": key}], separators=(",", ":"))


def put(s3: FakeS3, sqs: FakeSqs, key: str, content: str, url: str = QUEUE, **options: Any) -> str:
    """Send a message as the extended client does, and return its id."""
    s3.objects[key] = content.encode()
    return sqs.put(pointer(key, **options), url, attributes={"ExtendedPayloadSize": str(len(content))}, receives=0)


def notes(database: TestDatabase) -> list[str]:
    return [note for (note,) in database.sql("SELECT note FROM uploads ORDER BY note") or []]


def rejections(database: TestDatabase) -> list[tuple[str, str]]:
    found = database.sql("SELECT reason, pointer FROM rejection ORDER BY reason, pointer") or []
    return [(reason, where) for reason, where in found]


def test_an_object_becomes_a_row_as_a_body_does_and_goes_after_its_message(
    sqs: FakeSqs, s3: FakeS3, ingest: Environment, database: TestDatabase
) -> None:
    offloaded = put(s3, sqs, "up/1", upload(note="offloaded"))
    put(s3, sqs, "up/2", upload(note="by an older client"), kind=LEGACY)
    sqs.put(upload(note="in the message"), QUEUE, receives=0)
    sqs.deliver(ingest.invoke)
    assert notes(database) == ["by an older client", "in the message", "offloaded"]
    assert (s3.objects, sqs.queues[QUEUE], sqs.queues[DEAD]) == ({}, [], [])
    ((person,),) = database.sql(f"SELECT person FROM uploads WHERE message_id = '{offloaded}'") or []
    assert person == token("subject", "ada")


def test_a_message_that_sqs_keeps_finds_its_object_again_and_is_a_duplicate(
    sqs: FakeSqs, s3: FakeS3, ingest: Environment, database: TestDatabase
) -> None:
    put(s3, sqs, "up/1", upload())
    sqs.raises["delete_message_batch"] = ["ServiceUnavailable"]
    kept = []
    sqs.before = lambda operation: kept.append(set(s3.objects)) if operation == "delete_message_batch" else None
    sqs.deliver(ingest.invoke)
    assert kept == [{"up/1"}, {"up/1"}]  # the second time, too, it went after its message
    assert (notes(database), rejections(database), s3.objects, sqs.queues[DEAD]) == (["hello"], [], {}, [])


def test_a_message_that_is_a_row_is_a_duplicate_where_its_object_is_gone(
    sqs: FakeSqs, s3: FakeS3, ingest: Environment, database: TestDatabase, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    message_id = put(s3, sqs, "up/1", upload())
    sqs.deliver(ingest.invoke)
    twice = {"sluice_message_id": message_id}
    sqs.put(pointer("up/1"), QUEUE, message_id=message_id, receives=0)  # delivered twice
    sqs.deliver(ingest.invoke)
    sqs.put(pointer("up/1"), QUEUE, attributes=twice, receives=0)  # redriven twice
    put(s3, sqs, "up/2", upload(note="new"))
    sqs.deliver(ingest.invoke)
    counts = ("Received", "Written", "Duplicate", "Rejected")
    told = [tuple(line[count] for count in counts) for line in logged() if line["message"] == "batch done"]
    assert told == [(1, 1, 0, 0), (1, 0, 1, 0), (2, 1, 1, 0)]
    assert (notes(database), rejections(database), sqs.queues[DEAD]) == (["hello", "new"], [], [])


def test_a_record_with_an_identity_is_a_duplicate_too_when_its_message_comes_again(
    sqs: FakeSqs,
    s3: FakeS3,
    declared: Callable[[str, str], None],
    environments: Callable[[], Environment],
    database: TestDatabase,
) -> None:
    declared('subject="person"', 'subject="person", identity="note"')
    put(s3, sqs, "up/1", upload())
    sqs.raises["delete_message_batch"] = ["ServiceUnavailable"]
    sqs.deliver(environments().invoke)
    assert (notes(database), rejections(database), s3.objects, sqs.queues[DEAD]) == (["hello"], [], {}, [])


def test_an_object_with_several_records_is_kept_until_all_of_them_are_rows(
    sqs: FakeSqs,
    s3: FakeS3,
    declared: Callable[[str, str], None],
    environments: Callable[[], Environment],
    database: TestDatabase,
) -> None:
    declared('subject="person"', 'subject="person", records=json_lines')
    put(s3, sqs, "up/1", f"{upload()}\n{upload(note='x' * 101)}")
    sqs.deliver(environments().invoke)
    assert (notes(database), rejections(database), set(s3.objects)) == (["hello"], [("too_long", "/1/note")], {"up/1"})
    s3.objects["up/1"] = f"{upload()}\n{upload(note='mended')}".encode()
    own_stream.call(action="redrive", stream=NAME, **WHY)
    sqs.deliver(environments().invoke)
    assert (notes(database), s3.objects, sqs.queues[DEAD]) == (["hello", "mended"], {}, [])


def test_an_object_is_kept_until_its_row_is_committed(
    sqs: FakeSqs, s3: FakeS3, ingest: Environment, database: TestDatabase
) -> None:
    put(s3, sqs, "up/1", upload())
    database.sql("ALTER TABLE uploads RENAME TO away")
    with pytest.raises(Outage):
        sqs.deliver(ingest.invoke)
    assert set(s3.objects) == {"up/1"}
    database.sql("ALTER TABLE away RENAME TO uploads")
    sqs.deliver(ingest.invoke)
    assert (notes(database), s3.objects) == (["hello"], {})


def test_what_a_stream_does_not_declare_to_delete_stays(
    sqs: FakeSqs,
    s3: FakeS3,
    declared: Callable[[str, str], None],
    environments: Callable[[], Environment],
    database: TestDatabase,
) -> None:
    declared(', after="delete"', "")
    put(s3, sqs, "up/1", upload())
    sqs.deliver(environments().invoke)
    assert (notes(database), set(s3.objects), sqs.queues[QUEUE]) == (["hello"], {"up/1"}, [])
    assert "delete_message_batch" not in sqs.calls


FAULTS = {
    pointer("up/1", bucket="other"): ("payload_elsewhere", "/1/s3BucketName"),
    pointer("down/1"): ("payload_elsewhere", "/1/s3Key"),
    pointer("up/../down/1"): ("payload_elsewhere", "/1/s3Key"),
    pointer("up/" + "x" * 1022): ("payload_elsewhere", "/1/s3Key"),
    pointer("up/none"): ("payload_missing", ""),
    pointer("up/large"): ("payload_too_large", ""),
    pointer("up/binary"): ("not_json", ""),
    pointer("up/pointer"): ("payload_in_s3", ""),
    pointer("up/broken"): ("not_json", ""),
    pointer("up/bad"): ("too_long", "/note"),
}


def test_a_payload_that_cannot_be_is_rejected_by_itself_and_kept(
    sqs: FakeSqs, s3: FakeS3, ingest: Environment, database: TestDatabase
) -> None:
    s3.objects |= {
        "down/1": upload().encode(),
        "up/large": upload(note="x" * 200).encode(),
        "up/binary": b"\xff\xfe",
        "up/pointer": pointer("up/good").encode(),
        "up/broken": b"{",
        "up/bad": upload(note="x" * 101).encode(),
    }
    before = dict(s3.objects)
    put(s3, sqs, "up/good", upload())
    for body in FAULTS:
        sqs.put(body, QUEUE, receives=0)
    sqs.deliver(ingest.invoke)
    assert (notes(database), rejections(database)) == (["hello"], sorted(FAULTS.values()))
    assert {message.body for message in sqs.queues[DEAD]} == FAULTS.keys()
    assert s3.objects == before


def test_a_stream_that_declares_nothing_says_what_a_pointer_is(
    sqs: FakeSqs,
    s3: FakeS3,
    declared: Callable[[str, str], None],
    environments: Callable[[], Environment],
    database: TestDatabase,
) -> None:
    declared(', offloaded=ToS3(prefix="up/", max_bytes=200, after="delete")', "")
    put(s3, sqs, "up/1", upload())
    sqs.deliver(environments().invoke)
    assert (rejections(database), s3.calls, set(s3.objects)) == ([("payload_in_s3", "")], [], {"up/1"})


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket"])
def test_where_s3_gives_nothing_it_is_an_outage_and_no_record_is_rejected(
    code: str, sqs: FakeSqs, s3: FakeS3, ingest: Environment, database: TestDatabase
) -> None:
    put(s3, sqs, "up/1", upload())
    sqs.put(upload(note="in the message"), QUEUE, receives=0)
    s3.fails_with = code
    with pytest.raises(Outage, match=f"^s3: {code}$") as caught:
        sqs.deliver(ingest.invoke)
    assert (caught.value.source, notes(database), rejections(database)) == ("s3", [], [])
    with pytest.raises(Outage, match=f"^s3: {code}$"):
        probe.run(NAME, str(caught.value), in_seconds(30), BreakerSettings.read())
    s3.fails_with = ""
    probe.run(NAME, str(caught.value), in_seconds(30), BreakerSettings.read())
    sqs.deliver(ingest.invoke)
    assert (notes(database), s3.objects) == (["hello", "in the message"], {})


def test_an_object_that_alone_is_refused_stops_no_other_and_comes_again(
    sqs: FakeSqs, s3: FakeS3, ingest: Environment, database: TestDatabase, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    put(s3, sqs, f"up/{CANARY}", upload(note="refused"))
    put(s3, sqs, "up/2", upload(note="good"))
    s3.denies = lambda operation, key: "AccessDenied" if CANARY in key else ""
    records = [record(one.body, one.message_id) for one in sqs.queues[QUEUE]]
    for message, one in zip(sqs.queues[QUEUE], records, strict=True):
        message.handle = one["receiptHandle"]
    assert ingest.invoke(event(*records)) == failures(records[0])
    assert (notes(database), rejections(database), sqs.released) == (["good"], [], [])  # it waits before it comes again
    (line,) = [one for one in logged() if one["message"] == "payloads not read"]
    assert (line["count"], line["error"]) == (1, "s3: AccessDenied")
    assert CANARY not in json.dumps(logged())


def test_without_a_bucket_nothing_is_taken_and_nothing_lost(
    sqs: FakeSqs, s3: FakeS3, ingest: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PAYLOAD_BUCKET")
    put(s3, sqs, "up/1", upload())
    with pytest.raises(Outage, match=r"^setting: PAYLOAD_BUCKET: must be set, since uploads takes payloads from S3$"):
        sqs.deliver(ingest.invoke)
    with pytest.raises(Outage, match="PAYLOAD_BUCKET"):
        probe.run(NAME, "", in_seconds(30), BreakerSettings.read())


def test_what_s3_does_not_delete_is_counted_and_its_row_stays(
    sqs: FakeSqs, s3: FakeS3, ingest: Environment, database: TestDatabase, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    put(s3, sqs, "up/1", upload())
    put(s3, sqs, "up/2", upload(note="other"))
    s3.denies = lambda operation, key: "AccessDenied" if operation == "delete" and key == "up/1" else ""
    sqs.deliver(ingest.invoke)
    assert (notes(database), set(s3.objects), sqs.queues[QUEUE]) == (["hello", "other"], {"up/1"}, [])
    (line,) = [one for one in logged() if one["message"] == "payloads not deleted"]
    assert (line["count"], line["error"], "up/1" in json.dumps(line)) == (1, "AccessDenied", False)


# Dead letters


def dead(s3: FakeS3, sqs: FakeSqs, key: str, content: str) -> str:
    return put(s3, sqs, key, content, DEAD)


def test_a_redrive_sends_the_pointer_and_leaves_the_object_to_ingest(
    sqs: FakeSqs, s3: FakeS3, ingest: Environment, database: TestDatabase
) -> None:
    dead(s3, sqs, "up/1", upload())
    dead(s3, sqs, "up/bad", upload(note="x" * 101))
    missing = dead(s3, sqs, "up/missing", upload())
    del s3.objects["up/missing"]
    answer = own_stream.call(action="redrive", stream=NAME, **WHY)
    assert (answer["redriven"], answer["failing"]) == (1, {"too_long": 1, "payload_missing": 1})
    assert [message.body for message in sqs.queues[QUEUE]] == [pointer("up/1")]
    assert sqs.attributes()[0]["ExtendedPayloadSize"] == str(len(upload()))
    assert set(s3.objects) == {"up/1", "up/bad"}
    assert missing in sqs.ids()
    sqs.deliver(ingest.invoke)
    assert (notes(database), set(s3.objects)) == (["hello"], {"up/bad"})


def test_a_purge_of_a_person_reads_the_payloads_deletes_theirs_and_counts_what_it_cannot_read(
    sqs: FakeSqs, s3: FakeS3
) -> None:
    dead(s3, sqs, "up/ada", upload("ada"))
    dead(s3, sqs, "up/bob", upload("bob"))
    sqs.put(upload("ada"), DEAD)
    dead(s3, sqs, "up/large", upload("ada", "x" * 200))
    sqs.put(pointer("secret/1", bucket="other"), DEAD)
    answer = own_stream.call(action="purge", stream=NAME, subject="ada", **WHY)
    assert (answer["purged"], answer["subject_unknown"], set(s3.objects)) == (2, 2, {"up/bob", "up/large"})
    answer = own_stream.call(action="purge", stream=NAME, all=True, **WHY)
    assert (answer["purged"], s3.objects) == (3, {})


def test_a_list_reads_no_body_that_it_tells_nothing_of(sqs: FakeSqs, s3: FakeS3) -> None:
    message_id = dead(s3, sqs, "up/1", upload())
    (letter,) = own_stream.call(action="list", stream=NAME)["letters"]
    assert (letter["id"], letter["bytes"], s3.calls) == (message_id, len(pointer("up/1")), [])


def test_letters_whose_payloads_cannot_be_read_stay_and_are_told(sqs: FakeSqs, s3: FakeS3) -> None:
    dead(s3, sqs, "up/1", upload())
    dead(s3, sqs, "up/2", upload())
    s3.denies = lambda operation, key: "AccessDenied" if key == "up/1" else ""
    answer = own_stream.call(action="redrive", stream=NAME, **WHY)
    assert (answer["redriven"], answer["failing"]) == (1, {"payload_unread": 1})
    assert set(s3.objects) == {"up/1", "up/2"}
