"""Whatever code of a user's own raises or returns, anywhere: a good record is a row, a bad one is rejected alone."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice import Custom, IpAddress, Keep, Pseudonym, Rejected, Stream, Text, derived, eventbridge, sns
from sluice.ingest import metrics
from sluice.ingest.batch import StoringBatchProcessor, record_handler
from sluice.ingest.store import Store
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import INGEST_ROLE, TestDatabase, in_seconds
from tests.integration.environment import OpenStore
from tests.integration.messages import KEYSET, numbered, record

BATCHES = int(os.environ.get("FUZZ_BATCHES", "60"))
CANARY = "kn4ry"  # in every body and error
OWN = Keyset.parse(KEYSET)
TABLE = (
    "CREATE TABLE fuzzed (name text, form text, changed text, masked_ip text, made text, sent_at timestamptz NOT NULL,"
    f" message_id uuid PRIMARY KEY); GRANT INSERT, SELECT (message_id) ON fuzzed TO {INGEST_ROLE}"
)

fuzzed = settings(
    max_examples=BATCHES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


class Script:
    """What each of a user's functions does, by the text that it is given; nothing: it returns that text."""

    acts: ClassVar[dict[str, Callable[[], Any]]] = {}

    @classmethod
    def play(cls, place: str, text: str) -> Any:
        act = cls.acts.get(f"{place} {text}")
        return act() if act else text


class OwnRule(Text):
    def canonical(self, value: str, /) -> Any:
        return Script.play("rule", super().canonical(value))


def unwrap(body: str) -> Any:
    """Return what is in an envelope of a user's own."""
    wrapped = json.loads(body)
    return Script.play("envelope", wrapped["id"]) if f"envelope {wrapped['id']}" in Script.acts else wrapped["record"]


class Fuzzed(Stream, table="fuzzed", envelope=unwrap):
    name: Annotated[str, OwnRule(max=40)]
    form: Annotated[str, Custom(max=40, form=lambda value: Script.play("form", value))]
    changed: Annotated[str, Text(max=40), Keep(as_=lambda value: Script.play("as_", value))]
    ip: Annotated[str, IpAddress(), Pseudonym("masked_ip")]

    @derived
    def made(self) -> object:
        return Script.play("derived", self.changed)


class Notified(Stream, table="fuzzed", envelope=sns):
    name: Annotated[str, Text(max=40)]


class Evented(Stream, table="fuzzed", envelope=eventbridge):
    name: Annotated[str, Text(max=40)]


@dataclass
class Outcome:
    """What became of the messages of all batches."""

    database: TestDatabase
    open_store: OpenStore
    good: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    _stores: dict[type[Stream], Store] = field(default_factory=dict)

    def store(self, stream: type[Stream]) -> Store:
        """Return the one store of a stream."""
        if stream not in self._stores:
            self._stores[stream] = self.open_store(stream)
        return self._stores[stream]

    def process(self, stream: type[Stream], bodies: list[tuple[str, str]]) -> dict[str, tuple[str, str]]:
        """Ingest messages (id and body) twice: as they are copied, then as they are merged. Return the rejections."""
        records = [record(body, message_id) for message_id, body in bodies]
        for _ in range(2):
            processor = StoringBatchProcessor(self.store(stream), in_seconds(60))
            with processor(records, handler=record_handler(stream, OWN)):
                processor.process()
            metrics.count_batch(stream.stream_name, records, processor.written, processor.newly_rejected, 0)
            rejected = {one.message_id: (one.reason, one.pointer) for _, one in processor.rejected}
            there = {found for (found,) in self.database.sql("SELECT message_id::text FROM fuzzed")}
            ids = {message_id for message_id, _ in bodies}
            assert there & ids == ids - rejected.keys()
        self.good |= ids - rejected.keys()
        self.bad |= rejected.keys()
        return rejected


@pytest.fixture
def outcome(database: TestDatabase, open_store: OpenStore, caplog: pytest.LogCaptureFixture) -> Outcome:
    caplog.set_level(logging.DEBUG)
    database.sql(TABLE)
    return Outcome(database, open_store)


def nothing_leaked(outcome: Outcome, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    told = [str(row) for row in outcome.database.sql("SELECT r::text FROM rejection r")]
    out, err = capfd.readouterr()
    assert CANARY not in "\n".join([*told, out, err, caplog.text])


def raising(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def returning(value: Any) -> Callable[[], Any]:
    return lambda: value


class OddText(str):
    def __str__(self) -> str:
        raise ValueError(CANARY)


any_text = st.text(st.characters(), max_size=20)  # NUL and surrogates among it
errors = st.sampled_from(
    [
        *(kind(CANARY) for kind in (KeyError, ValueError, TypeError, AttributeError, OSError, StopIteration)),
        *(kind(CANARY) for kind in (RecursionError, MemoryError, AssertionError, OverflowError, SystemExit)),
        *(UnicodeDecodeError("utf-8", b"kn4ry", 0, 1, CANARY), ExceptionGroup(CANARY, [ValueError(CANARY)])),
        *(TimeoutError(CANARY), EOFError(CANARY), NotImplementedError(CANARY), UnicodeError(CANARY)),
    ]
)
reasons = any_text.map(Rejected) | st.sampled_from(
    [Rejected("a" * 200, "/b" * 200), Rejected("a\0"), Rejected("\ud8f0")]
)
no_texts: Any = st.sampled_from([None, 7, b"x", object()])
odd_reasons = no_texts.map(Rejected) | no_texts.map(lambda value: Rejected("x", value))
numbers = st.integers() | st.floats() | st.decimals() | st.sampled_from([10**30, -(10**400), 2**64])
data = st.recursive(
    st.none() | st.booleans() | numbers | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text | st.integers(), inner, max_size=3),
    max_leaves=6,
)
others = st.sampled_from(
    [
        *(b"\xff", bytearray(b"a"), memoryview(b"a"), {1, 2}, frozenset("a"), (1, "a"), range(3), 1j, ..., object()),
        *(datetime(1, 1, 1, tzinfo=UTC), UUID(int=7), Decimal("sNaN"), Decimal("1e999999"), OddText("a"), type),
        *((character for character in "ab"), map(str, [1]), lambda: 1, float("nan"), [float("inf")], "x" * 10**6),
    ]
)
endless = st.just(5000).map(lambda digits: 10**digits)  # more digits than Python turns into a text
raised = errors | reasons | odd_reasons
acts = raised.map(raising) | data.map(returning) | others.map(returning) | endless.map(returning)
places = st.sampled_from(["rule", "form", "as_", "derived", "envelope"])
POINTERS = {"rule": "/name", "form": "/form", "as_": "/changed", "derived": "", "envelope": ""}


def test_whatever_a_users_code_does_its_record_is_a_row_or_rejected_alone_at_its_place(
    outcome: Outcome, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    numbers_of_messages = iter(range(1, 10**6))

    @fuzzed
    @given(st.lists(st.tuples(places, acts) | st.none(), min_size=1, max_size=8))
    def fuzz(batch: list[tuple[str, Callable[[], Any]] | None]) -> None:
        Script.acts.clear()
        bodies, at = [], {}
        for played in [*batch, None]:
            message_id = numbered(next(numbers_of_messages))
            text = f"{CANARY} {message_id[-6:]}"
            if played:
                place, act = played
                Script.acts[f"{place} {text}"] = act
                at[message_id] = POINTERS[place]
            bodies.append((message_id, json.dumps({"id": text, "record": login_of(text)})))
        rejected = outcome.process(Fuzzed, bodies)
        assert rejected.keys() <= at.keys()
        for message_id, (reason, pointer) in rejected.items():
            assert reason.isprintable() and pointer.startswith(at[message_id])

    fuzz()
    assert min(len(outcome.good), len(outcome.bad)) > BATCHES
    nothing_leaked(outcome, capfd, caplog)


def login_of(text: str) -> dict[str, Any]:
    return {"name": text, "form": text, "changed": text, "ip": "192.0.2.7"}


GOOD = {"name": CANARY}
WRAPPED: dict[type[Stream], Any] = {
    Notified: {"Message": json.dumps(GOOD)},
    Evented: {"detail": GOOD},
    Fuzzed: {"id": "", "record": login_of(CANARY)},
}
anything = st.none() | any_text | st.integers() | st.lists(any_text, max_size=2) | st.just({"Value": CANARY})
# A good one with members that anybody may have put there, without some of its own, or with others in their places.
members = st.dictionaries(
    st.sampled_from(
        ["Message", "MessageId", "TopicArn", "Timestamp", "MessageAttributes", "detail", "id", "source", "detail-type"]
    )
    | st.sampled_from(["time", "record", "sluice_message_id"]),
    anything | st.dictionaries(st.just("sluice_message_id"), anything) | st.just("2026-01-31T00:00:00Z"),
    max_size=4,
)
envelopes = st.tuples(st.sampled_from(list(WRAPPED)), members).map(
    lambda drawn: (drawn[0], json.dumps(WRAPPED[drawn[0]] | drawn[1]))
)
cut_off = st.tuples(envelopes, st.integers(1, 60)).map(lambda drawn: (drawn[0][0], drawn[0][1][: drawn[1]] + CANARY))
odd = st.tuples(st.sampled_from(list(WRAPPED)), anything.map(json.dumps) | any_text)


def test_whatever_is_in_an_envelope_is_a_row_or_rejected_alone(
    outcome: Outcome, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    numbers_of_messages = iter(range(1, 10**6))
    Script.acts.clear()

    @fuzzed
    @given(envelopes | cut_off | odd)
    def fuzz(message: tuple[type[Stream], str]) -> None:
        stream, body = message
        first, last = (numbered(next(numbers_of_messages)) for _ in range(2))
        records = [record(body, first), record(json.dumps(WRAPPED[stream]), last)]
        processor = StoringBatchProcessor(outcome.store(stream), in_seconds(60))
        with processor(records, handler=record_handler(stream, OWN)):
            processor.process()
        metrics.count_batch(stream.stream_name, records, processor.written, processor.newly_rejected, 0)
        rejected = {found.message_id for found, _ in processor.rejected}
        assert processor.written.written + processor.written.duplicates + len(rejected) == 2
        assert last not in rejected
        (outcome.bad if rejected else outcome.good).add(first)

    fuzz()
    assert min(len(outcome.good), len(outcome.bad)) > BATCHES / 10
    nothing_leaked(outcome, capfd, caplog)
