"""Where the CPU time of a record goes: each step of the product's own code, repeated alone, µs a record out."""

import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice import secret
from sluice.batch import message_id, record_handler, sent_at, sqs_records
from sluice.database import Database
from sluice.deadline import Deadline
from sluice.rows import MaskedRow
from sluice.store import Store
from sluice.streams.user_logins import UserLogin
from tools.bench.environment import Context, Place
from tools.bench.records import Event


class _Nowhere:
    """Stands in for the connection: takes what is streamed, so that making it is all that is left to measure."""

    row_count = 0
    copied: tuple[str, str] = ("", "")

    def run(self, sql: str, stream: Iterable[str] = (), **_: object) -> None:
        if text := "".join(stream):
            self.copied = (sql, text)


def by_step(place: Place, event: Event, repeats: int) -> dict[str, float]:
    """Return the CPU time of each step in µs a record: the lowest of the repeats."""
    records = [SQSRecord(record) for record in event["Records"]]
    keyset = secret.keyset("keyset")
    handle = record_handler(UserLogin, keyset)
    rows = [handle(record) for record in records]
    bodies = [record.body for record in records]
    decode = msgspec.json.Decoder(UserLogin.wire).decode
    logins: list[Any] = [decode(body) for body in bodies]
    canonicals = [(field.name, field.rule.canonical) for field in UserLogin.fields]
    ip, device_id = keyset.pseudonymizer("ip"), keyset.pseudonymizer("device_id")
    mask = UserLogin.masker(keyset)
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
        sql, text = nowhere.copied
        connection.run(sql, stream=[text])
        connection.run("ROLLBACK")

    format_rows = _store_on(nowhere, rows)
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


def _store_on(nowhere: _Nowhere, rows: list[MaskedRow]) -> Callable[[], object]:
    database = cast("Database", SimpleNamespace(transact=lambda work, deadline: work(nowhere)))
    store = Store(database, UserLogin)
    never: Any = None
    return lambda: store.write(rows, [], never, Deadline.of(Context()))


def _lowest(step: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        before = time.process_time()
        step()
        taken.append(time.process_time() - before)
    return min(taken)
