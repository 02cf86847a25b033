"""What is not as it must be after messages were sent: in the tables, the queues, the vault, the logs and the sessions.

Every valid message is one row, every invalid one a dead letter and a rejection; what was erased or purged is nowhere;
no clear value is outside the vault.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import batched
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from pg8000.native import Connection, identifier

from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.originals import Original
from sluice.declaration.stream import Stream
from sluice.ingest.batch import record_handler
from sluice.ingest.message import id_of_row_or_rejection
from sluice.ingest.rows import MaskedRow
from sluice.operators.audit.ledger import OUTCOMES
from sluice.postgres.cells import json_member
from sluice.postgres.driver import quoted_table
from sluice.pseudonyms.keyset import Keyset
from sluice.vault.sealing import Altered, DataKey, WrappedDataKey
from tools.testing import clear_values

SESSION_SECONDS = 20  # the server takes a moment to see that a function was killed
ROWS_AT_ONCE = 1000

type OpenDataKey = Callable[[WrappedDataKey], DataKey]


class Finding(NamedTuple):
    """Something that must not be: what it is, and of which message, where it is of one. Never a value."""

    kind: str
    message_id: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.message_id}" if self.message_id else self.kind


@dataclass(frozen=True)
class Sent:
    """A message as it was sent: personal data. `message_id` is the one that SQS gave it.

    One that is `gone` was valid or not, and then erased or purged: it is nowhere.
    """

    message_id: str
    body: str = field(repr=False)
    valid: bool
    sent_at_milliseconds: int | None = None  # since 1970; None where only SQS knows
    attributes: Mapping[str, str] = field(default_factory=dict)
    gone: bool = False

    @property
    def is_row(self) -> bool:
        return self.valid and not self.gone

    @property
    def is_dead_letter(self) -> bool:
        return not self.valid and not self.gone

    def record(self, queue_arn: str = "arn:aws:sqs:eu-central-1:000000000000:queue", receives: int = 1) -> Any:
        """Return it as Lambda hands it over (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html)."""
        return {
            "messageId": self.message_id,
            "receiptHandle": f"receipt-{receives}-{self.message_id}",
            "body": self.body,
            "attributes": {
                "SentTimestamp": str(self.sent_at_milliseconds or int(time.time() * 1000)),
                "ApproximateReceiveCount": str(receives),
            },
            "messageAttributes": {
                name: {"dataType": "String", "stringValue": value} for name, value in self.attributes.items()
            },
            "eventSource": "aws:sqs",
            "eventSourceARN": queue_arn,
            "awsRegion": queue_arn.split(":")[3],
        }

    @cached_property
    def identity(self) -> str:
        """What makes it one row, or one rejection, however often it is sent."""
        return id_of_row_or_rejection(SQSRecord(self.record()))

    @property
    def tells_when(self) -> bool:
        """Whether `sent_at` of its row is known."""
        return self.sent_at_milliseconds is not None or "sluice_sent_at" in self.attributes


@dataclass(frozen=True)
class Expected:
    """What a row may be: one for each message of its identity and each keyset that was in use."""

    cells: Mapping[str, Any] = field(repr=False)  # as PostgreSQL spells them in JSON
    originals: tuple[Original, ...]


class Checker:
    """Looks at one database, as its owner, after all that was sent has been dealt with."""

    def __init__(
        self, connection: Connection, keysets: Sequence[Keyset], open_data_key: OpenDataKey | None = None
    ) -> None:
        """`keysets` are all that were in use; with `open_data_key` the vault is opened too."""
        self._connection = connection
        self._keysets = keysets
        self._open_data_key = open_data_key

    def check(
        self,
        sent: Mapping[type[Stream], Sequence[Sent]],
        dead_letters: Iterable[str] | None = None,
        texts: Mapping[str, str] | None = None,
    ) -> list[Finding]:
        """Return all that is wrong, nothing when all is well.

        `dead_letters` are the SQS message ids in all dead-letter queues, each as often as it is there; None where there
        is no queue. `texts` are what came out otherwise, by name: logs, answers.
        """
        messages = [message for of_stream in sent.values() for message in of_stream]
        stored: list[Original] = []
        findings = [finding for stream in sent for finding in self._rows(stream, sent[stream], stored)]
        findings += self._rejections(sent)
        findings += [finding for stream in sent for finding in self._ledger(stream)]
        if dead_letters is not None:
            findings += _dead_letters(messages, Counter(dead_letters))
        findings += self._vault(stored)
        findings += self._leaks(sent, texts or {})
        findings += self._sessions()
        return findings

    def _rows(self, stream: type[Stream], sent: Sequence[Sent], stored: list[Original]) -> Iterator[Finding]:
        """Compare the stream's table with what its declaration makes of each message; `stored` gets the originals."""
        valid = [message for message in sent if message.is_row]
        expected = self._expected(stream, valid)
        found: dict[str, list[Any]] = defaultdict(list)
        for row in self._json_rows(stream):
            found[row["message_id"]].append(row)
        for identity in sorted(expected.keys() - found.keys()):
            yield Finding("lost row", identity)
        for identity, rows in sorted(found.items()):
            if identity not in expected:
                yield Finding("row of no valid message", identity)
                continue
            if len(rows) > 1:
                yield Finding("doubled row", identity)
            for row in rows:
                made = next((made for made in expected[identity] if made.cells.items() <= row.items()), None)
                if made:
                    stored += made.originals
                else:
                    yield Finding("wrong row", identity)

    def _expected(self, stream: type[Stream], valid: Sequence[Sent]) -> dict[str, list[Expected]]:
        expected: dict[str, list[Expected]] = defaultdict(list)
        for keyset in self._keysets:
            handle = record_handler(stream, keyset)
            for some in batched(valid, ROWS_AT_ONCE):
                made = [(message, row) for message in some for row in handle(SQSRecord(message.record())).rows]
                cells = self._as_postgresql_spells(stream, [row for _, row in made])
                for (message, row), spelled in zip(made, cells, strict=True):
                    if not message.tells_when:
                        del spelled["sent_at"]
                    expected[row.message_id].append(Expected(spelled, row.originals.values))
        return expected

    def _as_postgresql_spells(self, stream: type[Stream], rows: Sequence[MaskedRow]) -> list[Any]:
        columns = [*OWN_COLUMNS, *(column for column, _ in stream.columns())]
        records = [
            dict(zip(columns, (row.message_id, row.sent_at, *map(json_member, row.cells)), strict=True)) for row in rows
        ]
        table = quoted_table(stream.table)
        spelled: Any = self._connection.run(
            f"SELECT to_jsonb(r)::text FROM ROWS FROM (json_populate_recordset(NULL::{table}, CAST(:rows AS json)))"
            " WITH ORDINALITY AS r ORDER BY ordinality",
            rows=msgspec.json.encode(records).decode(),
        )
        return [
            {column: row[column] for column in columns} for row in (msgspec.json.decode(text) for (text,) in spelled)
        ]

    def _json_rows(self, stream: type[Stream]) -> list[Any]:
        rows: Any = self._connection.run(f"SELECT to_jsonb(t)::text FROM {quoted_table(stream.table)} t")
        return [msgspec.json.decode(text) for (text,) in rows]

    def _rejections(self, sent: Mapping[type[Stream], Sequence[Sent]]) -> Iterator[Finding]:
        rows: Any = self._connection.run("SELECT message_id::text, stream FROM rejection")
        found = Counter((stream, identity) for identity, stream in rows)
        invalid = Counter(
            (stream.stream_name, message.identity)
            for stream, messages in sent.items()
            for message in messages
            if message.is_dead_letter
        )
        for _, identity in sorted(invalid.keys() - found.keys()):
            yield Finding("missing rejection", identity)
        for (stream_name, identity), count in sorted(found.items()):
            if (stream_name, identity) not in invalid:
                yield Finding("rejection of no invalid message", identity)
            elif count > invalid[stream_name, identity]:  # each message may have been rejected for a reason of its own
                yield Finding("doubled rejection", identity)

    def _ledger(self, stream: type[Stream]) -> Iterator[Finding]:
        """Compare what the ledger says of a stream with itself, with the table, and with the declarations known."""
        table, outcomes = quoted_table(stream.table), " + ".join(OUTCOMES)
        rows: Any = self._connection.run(
            f"SELECT count(*) FILTER (WHERE received <> {outcomes}), coalesce(sum(written - removed), 0),"
            f" (SELECT count(*) FROM {table}) FROM batch WHERE stream = :name",
            name=stream.stream_name,
        )
        ((unequal, written, there),) = rows
        if unequal:
            yield Finding(f"ledger: {unequal} batches of {stream.stream_name} do not add up")
        if written != there:
            yield Finding(f"ledger: {written} rows of {stream.stream_name}, and {there} in its table")
        if stream.column_of_batch:
            rows = self._connection.run(
                f"SELECT t.message_id::text FROM {table} t WHERE NOT EXISTS (SELECT FROM batch b JOIN declaration d"
                f" ON d.fingerprint = b.declaration AND d.stream = b.stream AND b.stream = :name"
                f" WHERE b.id = t.{identifier(stream.column_of_batch)})",
                name=stream.stream_name,
            )
            yield from (Finding("ledger: row of no declaration that is known", message_id) for (message_id,) in rows)

    def _vault(self, stored: Iterable[Original]) -> Iterator[Finding]:
        """Compare the vault with what the rows that are there may be recovered to."""
        rows: Any = self._connection.run(
            "SELECT v.tableoid, token, domain, sealed, k.id, wrapped, kms_key_arn"
            " FROM pii_vault v LEFT JOIN pii_vault_key k ON k.id = key_id"
        )
        originals = {original.token: original for original in stored}
        keys = self._open_keys(rows)
        seen = Counter((partition, token) for partition, token, *_ in rows)
        for token in sorted(originals.keys() - {token for _, token in seen}):
            yield Finding(f"missing vault entry of {token}")
        for partition, token, domain, sealed, key_id, *_ in rows:
            if token not in originals:
                yield Finding(f"orphaned vault entry of {token}")
            elif seen[partition, token] > 1:
                yield Finding(f"doubled vault entry of {token}")
            elif key_id is None:
                yield Finding(f"vault entry without data key, of {token}")
            elif domain != originals[token].domain or not _opens(keys.get(key_id), bytes(sealed), originals[token]):
                yield Finding(f"wrong vault entry of {token}")

    def _open_keys(self, rows: Iterable[Any]) -> dict[UUID, DataKey]:
        if self._open_data_key is None:
            return {}
        wrapped = {WrappedDataKey(key_id, bytes(blob), arn) for *_, key_id, blob, arn in rows if key_id}
        return {key.id: self._open_data_key(key) for key in wrapped}

    def _leaks(self, sent: Mapping[type[Stream], Sequence[Sent]], texts: Mapping[str, str]) -> Iterator[Finding]:
        hidden: dict[str, str] = {}
        let_through = []
        for stream, messages in sent.items():
            for message in messages:
                values, kept = clear_values.values(stream, message.body)
                hidden |= dict.fromkeys(values, message.message_id)
                let_through += [message.message_id, message.identity, *kept]
        for value in clear_values.find({value: value for value in hidden}, "\n".join(let_through)):
            del hidden[value]  # in the clear by right, in the same record or another one
        wanted = {
            spelling: identity for value, identity in hidden.items() for spelling in clear_values.spellings(value)
        }
        for name, text in (*self._tables(), *texts.items()):
            for identity in sorted(clear_values.find(wanted, text)):
                yield Finding(f"clear value in {name}", identity)

    def _tables(self) -> Iterator[tuple[str, str]]:
        """Return every table as text: its columns of bytes in hexadecimal, as PostgreSQL spells them."""
        tables: Any = self._connection.run(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        for schema, table in tables:
            rows: Any = self._connection.run(f"SELECT t::text FROM {identifier(schema)}.{identifier(table)} t")
            yield table, "\n".join(text for (text,) in rows)

    def _sessions(self) -> list[Finding]:
        deadline = time.monotonic() + SESSION_SECONDS
        while True:
            rows: Any = self._connection.run(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
                " AND backend_type = 'client backend' AND application_name LIKE 'sluice%'"
            )
            if not rows[0][0]:
                return []
            if time.monotonic() > deadline:
                return [Finding("session in a transaction")] * rows[0][0]
            time.sleep(0.05)


def _dead_letters(messages: Sequence[Sent], found: Counter[str]) -> Iterator[Finding]:
    invalid = {message.message_id for message in messages if message.is_dead_letter}
    for identity in sorted(invalid - found.keys()):
        yield Finding("missing dead letter", identity)
    for identity, count in sorted(found.items()):
        if identity not in invalid:
            yield Finding("dead letter of no invalid message", identity)
        elif count > 1:
            yield Finding("doubled dead letter", identity)


def _opens(key: DataKey | None, sealed: bytes, original: Original) -> bool:
    with suppress(Altered):
        return key is None or key.open(sealed, original.domain) == original.value
    return False
