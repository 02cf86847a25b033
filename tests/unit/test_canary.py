"""Nothing of a record leaves the function but by a masked row, whatever fails."""

import json
import logging
import traceback
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from types import ModuleType
from typing import Annotated, Any

import msgspec
import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from sluice import FROM_ENVELOPE, FROM_MESSAGE, Part, listed, telemetry
from sluice.deadline import Deadline
from sluice.declaration.masks import Pseudonym, Redact
from sluice.declaration.records import json_lines
from sluice.declaration.route import Route
from sluice.declaration.rules import (
    Date,
    Each,
    Email,
    Float,
    IpAddress,
    NullIf,
    Number,
    Text,
    Timestamp,
    Uuid,
)
from sluice.declaration.scrub import Find, Scrub
from sluice.declaration.stream import Stream
from sluice.ingest import metrics
from sluice.ingest.batch import StoringBatchProcessor, record_handler
from sluice.pseudonyms.keyset import Keyset
from streams.user_logins import UserLogin
from tests.unit.fakes import LOGIN, FakePostgres, FakeStore, login, numbered, sqs_record
from tests.unit.payments import Payment
from tests.unit.test_unions import payment
from tools.testing.aws.account import FakeAws
from tools.testing.lambda_context import LambdaContext

CANARIES = {
    "ip": "203.0.113.77",
    "device_id": "kn4ry-device",
    "user_id": "kn4ry-user",
    "locale": "kn4ry-locale",
    "kn4ry_key": "kn4ry-value",
}
LEAKS = ["203.0.113.77", "kn4ry"]  # no file, function or test has this word in its name
BODY = login(**CANARIES)
DIRTY: dict[str, Any] = LOGIN | CANARIES

BAD_BODIES = {
    "not JSON": BODY[:-1],
    "no JSON at all": "kn4ry 203.0.113.77",
    "no object": json.dumps([DIRTY]),
    "text": json.dumps("kn4ry"),
    "missing": json.dumps({name: value for name, value in DIRTY.items() if name != "device_type"}),
    "undeclared key alone": json.dumps({"kn4ry_key": "kn4ry-value", "203.0.113.77": 1}),
    "null": login(**CANARIES | {"device_type": None}),
    "wrong type": login(**CANARIES | {"device_type": {"kn4ry_key": ["kn4ry-value"]}}),
    "ip": login(**CANARIES | {"ip": "203.0.113.77/24"}),
    "scoped ip": login(**CANARIES | {"ip": "fe80::1%kn4ry"}),
    "version": login(**CANARIES | {"app_version": "kn4ry"}),
    "number": login(**CANARIES | {"app_version": "203.0.113.77"}),
    "out of range": login(**CANARIES | {"app_version": "2.203113"}),
    "too long": login(**CANARIES | {"user_id": "kn4ry" * 100}),
    "nul": login(**CANARIES | {"user_id": "kn4ry\0"}),
    "surrogate escape": BODY.replace("kn4ry-user", "\\ud800 kn4ry"),
    "surrogate": BODY.replace("kn4ry-user", "\ud800 kn4ry"),
    "too deep": BODY[:-1] + ', "deep": ' + '{"kn4ry_key":' * 100_000,
    "number of a declared field": BODY.replace('"android"', "1e400"),
}


class Faulty(Stream, table="user_logins"):
    """A stream whose rule has a fault that quotes the value."""

    class Rule(Text):
        def canonical(self, value: str, /) -> str:
            if value.startswith("kn4ry"):
                raise ValueError(f"cannot handle {value}")
            return value

    user_id: Annotated[str, Text(max=128)]
    device_id: Annotated[str, Rule(max=128), Pseudonym("masked_device_id")]


def database_error(code: str, **fields: str) -> DatabaseError:
    """Return an error as pg8000 raises it for PostgreSQL's, with values in message, detail and context."""
    return DatabaseError({
        "S": "ERROR", "V": "ERROR", "C": code,
        "M": "invalid value kn4ry-user",
        "D": "Failing row contains (kn4ry-user, kn4ry-locale, 203.0.113.77).",
        "W": 'COPY user_logins, line 1, column user_id: "kn4ry-user"\nSQL statement kn4ry-value',
        "F": "copyfromparse.c", "L": "1000", "R": "CopyReadAttributesText",
    } | fields)  # fmt: skip


class Lenient(Stream, table="user_logins"):
    """A stream that makes null of whatever its rules refuse, under every mask."""

    user_id: Annotated[str | None, Uuid(), NullIf("invalid")]
    device_id: Annotated[Decimal | None, Number(precision=4, scale=1), NullIf("invalid"), Pseudonym("masked_device_id")]
    locale: Annotated[date | None, Date(), NullIf("blank", "invalid"), Redact(constant="somewhere")]
    ip: Annotated[list[list[float | None]] | None, Each(Each(Float()), json=True), NullIf("invalid")]
    kn4ry_key: Annotated[datetime | None, Timestamp(format="rfc2822"), NullIf("invalid"), Redact("app_version")]


class Exits:
    """Every way out of the function but the rows: log records of all loggers, output, error, response."""

    def __init__(self, caplog: pytest.LogCaptureFixture, output: Callable[[], str]) -> None:
        self.caplog = caplog
        self.output = output
        self.said: list[str] = []

    def run(self, handler: Callable[[], object]) -> None:
        try:
            self.said.append(repr(handler()))
        except Exception as error:  # noqa: BLE001 (whatever it is, the runtime would log it)
            self.said += [str(error), repr(error), *traceback.format_exception(error)]

    def text(self) -> str:
        records = [repr(vars(record)) + self.caplog.handler.format(record) for record in self.caplog.records]
        output = self.output()
        assert "Logging error" not in output
        return "\n".join([*self.said, *records, output])


@pytest.fixture
def exits(caplog: pytest.LogCaptureFixture, output: Callable[[], str]) -> Exits:
    """Return the exits, with every logger at DEBUG that does not refuse to be."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger=telemetry.logger.name)
    return Exits(caplog, output)


def assert_no_leak(text: str) -> None:
    assert [leak for leak in LEAKS if leak in text] == []
    assert "During handling of" not in text  # no cause is told: it may quote a value
    assert "direct cause of" not in text


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_bad_record_leaves_nothing_of_it(body: str, ingest: ModuleType, postgres: FakePostgres, exits: Exits) -> None:
    exits.run(lambda: ingest.lambda_handler({"Records": [sqs_record(body)]}, LambdaContext()))
    text = exits.text()
    assert "record rejected" in text
    assert_no_leak(text + repr(postgres.rejections))


@pytest.mark.parametrize(
    ("attribute", "said"), [("sluice_message_id", "batch done"), ("sluice_sent_at", "record rejected")]
)
def test_an_attribute_leaves_nothing_of_it(
    attribute: str, said: str, ingest: ModuleType, postgres: FakePostgres, exits: Exits
) -> None:
    record = sqs_record(login(), attributes={attribute: "kn4ry"})
    exits.run(lambda: ingest.lambda_handler({"Records": [record]}, LambdaContext()))
    text = exits.text()
    assert said in text
    assert_no_leak(text + repr(postgres.rejections) + repr(postgres.rows))


def test_junk_in_the_place_of_a_trace_leaves_nothing_of_it(
    ingest: ModuleType, postgres: FakePostgres, exits: Exits
) -> None:
    trace = "1-5759e988-bd862e3fe1be46a994272793"
    headers = (
        "kn4ry",
        f"Root={trace}kn4ry",
        f"Root={trace};Parent=kn4ry;kn4ry=203.0.113.77",
        "Root=1-kn4ry-203.0.113.77",
    )
    records = [sqs_record(login(), number) for number, _ in enumerate(headers)]
    for record, header in zip(records, headers, strict=True):
        record["attributes"]["AWSTraceHeader"] = header
    exits.run(lambda: ingest.lambda_handler({"Records": records}, LambdaContext()))
    text = exits.text()
    assert f'"traces":["{trace}"]' in text
    assert_no_leak(text + repr(postgres.rows))


def test_a_good_record_leaves_nothing_of_it_but_its_row(
    ingest: ModuleType, postgres: FakePostgres, exits: Exits
) -> None:
    exits.run(lambda: ingest.lambda_handler({"Records": [sqs_record(BODY)]}, LambdaContext()))
    assert_no_leak(exits.text())
    row = repr(postgres.rows)
    assert [value for value in CANARIES.values() if value in row] == ["kn4ry-user", "kn4ry-locale"]


def test_a_value_that_becomes_null_leaves_nothing_of_it(
    ingest: ModuleType, postgres: FakePostgres, exits: Exits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_stream", lambda: Lenient)
    bodies = [BODY, login(**CANARIES | {"ip": [["203.0.113.77", 1], ["kn4ry"]]})]
    exits.run(lambda: ingest.lambda_handler({"Records": [*map(sqs_record, bodies, [1, 2])]}, LambdaContext()))
    text = exits.text()
    assert '"nulled":{"/user_id":2,"/device_id":2,"/locale":2,"/ip":1,"/kn4ry_key":2,"/ip/*/*":2}' in text
    assert_no_leak(text.replace("/kn4ry_key", "") + repr(postgres.rows))
    assert len(postgres.rows) == 2


@pytest.mark.parametrize("good", [[], [numbered(2)]], ids=["every record", "one of two"])
def test_an_unforeseen_exception_that_quotes_the_record_leaves_nothing_of_it(
    good: list[str], ingest: ModuleType, exits: Exits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_stream", lambda: Faulty)
    records = [sqs_record(BODY), *(sqs_record(login(), 2) for _ in good)]
    exits.run(lambda: ingest.lambda_handler({"Records": records}, LambdaContext()))
    text = exits.text()
    assert '"internal_error","pointer":"/device_id"' in text
    assert_no_leak(text)


BAD_PAYMENTS = [
    {"method": {"type": "kn4ry", "number": "kn4ry"}},
    {"method": {"kn4ry_key": "card"}},
    {"method": {"type": {"kn4ry_key": "kn4ry"}}},
    {"method": {"type": "card", "number": ["kn4ry"]}},
    {"author": {"kn4ry_key": 1}},
    {"author": {"email": "kn4ry"}},
    {"author": [{"till": "kn4ry"}]},
    {"author": True, "kn4ry_key": "203.0.113.77"},
    {"headers": [{"name": "to", "value": "kn4ry"}]},
    {"headers": [{"kn4ry_key": "203.0.113.77"}]},
    {"type": "kn4ry"},
    {"event": {"kn4ry_key": "kn4ry"}},
]


@pytest.mark.parametrize("changes", BAD_PAYMENTS)
def test_a_bad_record_of_several_shapes_leaves_nothing_of_it(
    changes: dict[str, object],
    ingest: ModuleType,
    postgres: FakePostgres,
    exits: Exits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest, "_stream", lambda: Payment)
    exits.run(lambda: ingest.lambda_handler({"Records": [sqs_record(payment(**changes))]}, LambdaContext()))
    text = exits.text()
    assert "record rejected" in text
    assert_no_leak(text + repr(postgres.rejections))


class Scrubbed(Stream, table="user_logins"):
    """A text that is kept without the addresses in it, found by a rule whose fault quotes them."""

    class Rule(Text):
        def canonical(self, value: str, /) -> str:
            if "fault" in value:
                raise ValueError(f"cannot handle {value}")
            return super().canonical(value)

    user_id: Annotated[
        str,
        Text(max=100),
        Scrub(
            Find(Email(), Pseudonym(domain="email", recoverable=True)),
            Find(IpAddress(), Redact()),
            Find(Rule(max=50), Redact(constant="-"), pattern=r"kn4ry-\w+"),
        ),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("of <kn4ry@example.com> or kn4ry%40example.com at 203.0.113.77, kn4ry-value", "batch done"),
        ("of <kn4ry@example.com>, kn4ry-fault", '"internal_error","pointer":"/user_id"'),
        ("kn4ry@example.com" * 10, '"too_long","pointer":"/user_id"'),
    ],
)
def test_what_is_found_in_a_text_is_in_no_exit_and_in_no_row(
    text: str, said: str, ingest: ModuleType, postgres: FakePostgres, exits: Exits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_stream", lambda: Scrubbed)
    exits.run(
        lambda: ingest.lambda_handler(
            {"Records": [sqs_record(login(user_id=text), 1), sqs_record(BODY, 2)]}, LambdaContext()
        )
    )
    told = exits.text()
    assert said in told
    assert_no_leak(told.replace("kn4ry-user", "") + repr(postgres.rejections) + repr(postgres.rows))


class Opened(Stream, table="user_logins", envelope=lambda body: json.loads(body)["payload"]):
    """A stream whose envelope fails of what it does not foresee, and names the key that is missing."""

    user_id: Annotated[str, Text(max=128)]


class Quoting(Stream, table="user_logins", envelope=lambda body: (_ for _ in ()).throw(KeyError(body))):
    """A stream whose envelope quotes every body."""

    user_id: Annotated[str, Text(max=128)]


@pytest.mark.parametrize("stream", [Opened, Quoting])
@pytest.mark.parametrize("body", [BODY, json.dumps([DIRTY]), "kn4ry", "null"])
def test_an_envelope_that_quotes_the_body_leaves_nothing_of_it(
    stream: type[Stream], body: str, ingest: ModuleType, exits: Exits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_stream", lambda: stream)
    exits.run(lambda: ingest.lambda_handler({"Records": [sqs_record(body)]}, LambdaContext()))
    text = exits.text()
    assert "record rejected" in text
    assert_no_leak(text)


STREAMS_BY_TYPE = {"android": UserLogin, "faulty": Faulty}


@pytest.mark.parametrize("records", [None, json_lines], ids=["one", "several"])
@pytest.mark.parametrize(
    ("record", "sign"),
    [
        (DIRTY | {"device_type": "kn4ry"}, '"not_a_choice"'),
        (DIRTY | {"device_type": {"kn4ry": "kn4ry"}}, '"wrong_type"'),
        ({"kn4ry": DIRTY}, '"missing"'),
        (DIRTY | {"device_type": "android", "ip": "kn4ry"}, '"not_an_ip_address"'),
        (DIRTY | {"device_type": "faulty"}, '"internal_error"'),
    ],
    ids=["no choice", "wrong type", "missing", "rule", "code"],
)
def test_a_route_leaves_nothing_of_a_record_wherever_it_goes(
    record: dict[str, object],
    sign: str,
    records: Any,
    ingest: ModuleType,
    exits: Exits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make: Any = type
    route = make("Calls", (Route,), {"to": STREAMS_BY_TYPE}, by="device_type", records=records)
    monkeypatch.setattr(ingest, "_stream", lambda: route)
    event = {"Records": [sqs_record(json.dumps(record)), sqs_record(login(), 2)]}
    exits.run(lambda: ingest.lambda_handler(event, LambdaContext()))
    text = exits.text()
    assert "record rejected" in text and sign in text
    assert_no_leak(text)


@pytest.mark.parametrize(
    ("error", "sign"),
    [
        (database_error("22001"), "sqlstate_22001"),
        (database_error("23514", n="kn4ry_free_check", t="user_logins"), "sqlstate_23514"),
        (database_error("42P01"), "Outage: database: SQLSTATE 42P01"),
        (
            database_error("23505", t="audit_log", W="SQL statement kn4ry-user\nCOPY user_logins, line 1"),
            "sqlstate_23505",
        ),
        (database_error("57P01", V="FATAL"), "Outage: database: SQLSTATE 57P01"),
        (InterfaceError("network error on kn4ry-user"), "Outage: database: connection lost, InterfaceError"),
        (ValueError("kn4ry-user"), "Outage: store: ValueError"),
        (ConnectionResetError("kn4ry-user"), "Outage: database: connection lost, ConnectionResetError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_of_the_database_leaves_nothing_of_the_record(
    error: Exception, sign: str, ingest: ModuleType, postgres: FakePostgres, exits: Exits
) -> None:
    postgres.refuse = lambda sql, text: error if "kn4ry-user" in text else None
    exits.run(lambda: ingest.lambda_handler({"Records": [sqs_record(BODY)]}, LambdaContext()))
    text = exits.text()
    assert sign in text
    assert_no_leak(text.replace("kn4ry_free_check", "") + repr(postgres.rejections))


def test_a_refused_connection_leaves_nothing_of_credentials(
    ingest: ModuleType, postgres: FakePostgres, exits: Exits
) -> None:
    postgres.refuse = lambda sql, text: database_error("28P01", V="FATAL")
    exits.run(lambda: ingest.lambda_handler({"Records": [sqs_record(BODY)]}, LambdaContext()))
    text = exits.text()
    assert "Outage: database: SQLSTATE 28P01" in text
    assert_no_leak(text)
    assert "secret-password" not in text


def test_secrets_are_not_in_the_log_of_what_fetches_them(ingest: ModuleType, exits: Exits) -> None:
    exits.run(lambda: ingest.lambda_handler({"Records": [sqs_record(BODY)]}, LambdaContext()))
    text = exits.text()
    assert "batch done" in text
    assert "1" * 64 not in text
    assert "secret-password" not in text


def test_a_failed_call_to_aws_leaves_nothing_of_its_message(ingest: ModuleType, aws: FakeAws, exits: Exits) -> None:
    aws.fail_with("AccessDeniedException")
    exits.run(lambda: ingest.lambda_handler({"Records": [sqs_record(BODY)]}, LambdaContext()))
    text = exits.text()
    assert "Outage: secrets manager: AccessDeniedException" in text
    assert "SecretId" not in text


@pytest.mark.parametrize("logger", [logging.getLogger("handed"), telemetry.logger], ids=["plain", "powertools"])
@pytest.mark.parametrize("stream", [UserLogin, Faulty])
def test_a_logger_handed_to_the_processor_tells_nothing_of_the_record(
    stream: type[Stream], logger: logging.Logger, keyset: Keyset, exits: Exits
) -> None:
    bodies = BAD_BODIES.values() if stream is UserLogin else [BODY] * len(BAD_BODIES)
    records = [sqs_record(body, number) for number, body in enumerate([*bodies, login()], 1)]
    processor = StoringBatchProcessor(FakeStore(), Deadline(1.0, lambda: 0.0), logger)

    def handle() -> object:
        with processor(records, handler=record_handler(stream, keyset)):
            processor.process()
        return processor.response()

    exits.run(handle)
    text = exits.text()
    assert text.count("Record processing exception; skipping this record") >= len(bodies)
    assert_no_leak(text)


class Around(Part):
    app: Annotated[str, Text(max=9)]


class Sender(Part):
    sender: Annotated[str, Text(max=9), Pseudonym()] = msgspec.field(name="SenderId")


class Login(Stream, table="user_logins", records=listed("batch"), ignore=({"type": "ping"},)):
    """Several in a message, with what is around them."""

    user_id: Annotated[str, Text(max=9), Pseudonym()]
    around: Annotated[Around, FROM_ENVELOPE]
    message: Annotated[Sender, FROM_MESSAGE]


BATCH = [DIRTY, {"user_id": "kn4ry-user"}, {"user_id": 1, "kn4ry_key": "kn4ry-value"}, "kn4ry", None, {"type": "ping"}]


@pytest.mark.parametrize("sender", ["A", "kn4ry-kn4ry"])
@pytest.mark.parametrize(
    "body",
    [
        {"app": "a", "batch": BATCH},
        {"app": "kn4ry-kn4ry", "batch": BATCH},
        {"kn4ry_key": 1, "batch": BATCH},
        {"app": "a", "batch": {"kn4ry_key": BATCH}},
        {"app": "kn4ry", "batch": "kn4ry"},
        {"kn4ry_key": BATCH},
    ],
)
def test_of_several_records_and_what_is_around_them_nothing_is_left(
    body: object, sender: str, keyset: Keyset, exits: Exits
) -> None:
    record = sqs_record(json.dumps(body), attributes={"kn4ry_key": "kn4ry-value"})
    record["attributes"]["SenderId"] = sender
    store, logger = FakeStore(), logging.getLogger("handed")
    processor = StoringBatchProcessor(store, Deadline(1.0, lambda: 0.0), logger)

    def handle() -> object:
        with processor([record], handler=record_handler(Login, keyset)):
            processor.process()
        metrics.count_batch(
            "logins", [record], processor.written, processor.newly_rejected, 0, processor.received, processor.ignored
        )
        return processor.response(), processor.rejected[0][1], store.rejections

    exits.run(handle)
    text = exits.text()
    assert "record rejected" in text
    assert_no_leak(text + repr([row.cells for row in store.rows]))
