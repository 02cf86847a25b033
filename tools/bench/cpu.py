"""Where the CPU time of a record goes: each step of the product's own code, repeated alone, in µs a record."""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from io import BytesIO
from types import SimpleNamespace
from typing import Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from pg8000.core import Context

from sluice.deadline import Deadline
from sluice.declaration.masks import Keep, Pseudonym, Writer
from sluice.declaration.registry import load
from sluice.declaration.rules import (
    Boolean,
    CaseFolded,
    Each,
    Email,
    Integer,
    IpAddress,
    Number,
    OneOf,
    Phone,
    Rule,
    Text,
    Timestamp,
    Uuid,
    Version,
)
from sluice.declaration.stream import Stream
from sluice.declaration.wire import decoder
from sluice.ingest.batch import record_handler
from sluice.ingest.message import message_id, sent_at, sqs_records
from sluice.ingest.rows import MaskedRow
from sluice.ingest.store import Store
from sluice.postgres.copy import copy_in
from sluice.postgres.database import Database
from sluice.pseudonyms import keyset_secret
from sluice.settings import VaultSettings
from sluice.vault.sealing import Vault, generate_data_key
from tools.bench.environment import WITHOUT_VAULT, Place
from tools.bench.records import Event
from tools.testing.lambda_context import LambdaContext

KIND_VALUES = 1_000  # taken at a time
KINDS: dict[str, tuple[Rule, Any]] = {  # with a value as the decoder hands it over
    "Text": (Text(max=128), "593-47-5928"),
    "Text, not ASCII": (Text(max=128), "Zoë Müller"),
    "CaseFolded": (CaseFolded(max=128), "Summer Sale"),
    "Email": (Email(), "Ada@Example.com"),
    "Phone": (Phone(region="GB"), "+44 20 7946 0018"),
    "IpAddress, IPv4": (IpAddress(), "199.172.111.135"),
    "IpAddress, IPv6": (IpAddress(), "2001:0DB8::1"),
    "Version": (Version(), "2.3.1"),
    "Integer": (Integer(), 1234),
    "Number": (Number(precision=12, scale=2), Decimal("1999.5")),
    "Boolean": (Boolean(), True),
    "OneOf": (OneOf("new", "paid", "sent"), "paid"),
    "Uuid": (Uuid(), "424cdd21-063a-43a7-b91b-7ca1a833afae"),
    "Timestamp, ISO 8601": (Timestamp(), "2026-01-31T23:59:59.999+02:00"),
    "Timestamp, epoch": (Timestamp(), 1769903999),
    "Each of 3 texts": (Each(Text(max=32)), ["one", "two", "three"]),
}


class _Nowhere:
    """Stands in for the connection: takes what is streamed, so that making it is all that is left to measure."""

    row_count = 0
    sql = ""
    chunks: Sequence[str] = ()
    _sock = BytesIO()

    def run(self, sql: str, **_: object) -> list[list[object]]:
        if "FROM token_key" in sql:
            return [[number, value] for number, value in keyset_secret.recent("keyset").check_values.items()]
        return [[0, None, []]]  # the vault's generation, no erasure

    def run_last(self, sql: str) -> None: ...

    def send_QUERY(self, sql: str) -> None:
        self.sql = sql

    def handle_messages(self, context: Context) -> None:
        if context.stream is not None:
            self.chunks = list(context.stream)
            context.row_count = sum(chunk.count("\n") for chunk in self.chunks)


def by_step(place: Place, event: Event, repeats: int) -> dict[str, float]:
    """Return the CPU time of each step in µs a record: the lowest of the repeats."""
    records = [SQSRecord(record) for record in event["Records"]]
    keyset = keyset_secret.recent("keyset")
    stream = load(WITHOUT_VAULT)
    handle = record_handler(stream, keyset)
    rows = [row for record in records for row in handle(record).rows]
    bodies = [record.body for record in records]
    decode = decoder(stream.layout.wire)
    logins: list[Any] = [decode(body) for body in bodies]
    canonicals = [(field.name, field.rule.canonical) for field in stream.layout.fields]
    ip, device_id = keyset.pseudonymizer("ip"), keyset.pseudonymizer("device_id")
    mask = stream.masker(keyset)
    nowhere = _Nowhere()
    connection = place.connect_as_ingest()

    def powertools() -> None:
        processor = BatchProcessor(EventType.SQS)
        with processor(event["Records"], handler=lambda record: None):
            processor.process()

    def canonicalise() -> None:
        for login in logins:
            for name, canonical in canonicals:
                value = getattr(login, name)
                if value is not None:
                    canonical(value)

    def tokens() -> None:
        for login in logins:
            ip(login.ip)
            device_id(login.device_id)

    def send() -> None:
        connection.run("BEGIN")
        copy_in(connection, nowhere.sql, nowhere.chunks)
        connection.run("ROLLBACK")

    format_rows = _store_on(nowhere, stream, rows)
    measured = {
        "event checked": lambda: sqs_records(event),
        "Powertools' batch": powertools,
        "message id and time": lambda: [(message_id(record), sent_at(record)) for record in records],
        "JSON decoded": lambda: [decode(body) for body in bodies],
        "values canonical": canonicalise,
        "tokens": tokens,
        "masked, all in all": lambda: [mask(body) for body in bodies],
        "rows sorted and formatted": format_rows,
        "COPY encoded and sent": send,
    }
    taken = {name: _lowest(step, repeats) * 1_000_000 / len(records) for name, step in measured.items()}
    parts = ("JSON decoded", "values canonical", "tokens")
    whole = taken.pop("masked, all in all")
    return taken | {"masks' bookkeeping": max(0.0, whole - sum(taken[part] for part in parts))}


def by_kind(repeats: int) -> dict[str, tuple[float, float]]:
    """Return for each kind of field what it takes to keep a value, and to pseudonymize one, in µs: the lowest."""
    keyset = keyset_secret.recent("keyset")
    taken = {}
    for kind, (rule, value) in KINDS.items():
        keep, pseudonymize = (mask.writer("field", rule, keyset) for mask in (Keep(), Pseudonym()))

        def kept(rule: Rule = rule, value: Any = value, write: Writer = keep) -> None:
            for _ in range(KIND_VALUES):
                write(rule.canonical(value))

        lowest = [_lowest(step, repeats) for step in (kept, partial(kept, write=pseudonymize))]
        keeping, pseudonymizing = (seconds * 1_000_000 / KIND_VALUES for seconds in lowest)
        taken[kind] = (keeping, pseudonymizing)
    return taken


def to_seal(event: Event, repeats: int) -> float:
    """Return the CPU time to seal a value in µs: the lowest of the repeats."""
    mask = load("user_logins").masker(keyset_secret.recent("keyset"))
    originals = [original for record in event["Records"] for original in mask(record["body"]).originals.values]
    key = generate_data_key(VaultSettings.read())
    return _lowest(lambda: [key.seal(original) for original in originals], repeats) * 1_000_000 / len(originals)


def _store_on(nowhere: _Nowhere, stream: type[Stream], rows: list[MaskedRow]) -> Callable[[], object]:
    database = cast("Database", SimpleNamespace(transact=lambda work, deadline, undo=False: work(nowhere)))
    store = Store(database, [stream], Vault(VaultSettings.read()))
    store.verify(keyset_secret.recent("keyset"), Deadline.of(LambdaContext()))
    never: Any = None
    return lambda: store.write(rows, [], never, Deadline.of(LambdaContext()))


def _lowest(step: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        before = time.process_time()
        step()
        taken.append(time.process_time() - before)
    return min(taken)
