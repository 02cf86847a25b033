"""What the unit tests stand in for: PostgreSQL, the store, events, and HTTP servers. AWS is in tools/testing/aws."""

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from email.message import Message
from hashlib import md5
from pathlib import Path
from typing import Any
from uuid import UUID

from pg8000.exceptions import DatabaseError

from sluice.deadline import Deadline
from sluice.declaration import column_types
from sluice.declaration.column_types import Arrays
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.registry import load_all
from sluice.failures import Rejected
from sluice.ingest.ledger import Batch
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.ingest.store import Store, Written
from sluice.pseudonyms.keyset import Keyset
from tools.testing.http_server import Answer, Request, serving

ROOT = Path(__file__).parents[2]
QUEUE_ARN = "arn:aws:sqs:eu-central-1:123456789012:login-queue"
SENT_AT = 1_767_258_000_123  # milliseconds: 2026-01-01T09:00:00.123Z
KEYSET = json.dumps({"current": 1, "1": "1" * 64})
LOGIN = {
    "user_id": "424cdd21-79f6-49f0-befc-636ba1b47d75",
    "app_version": "2.3.0",
    "device_type": "android",
    "ip": "199.172.111.135",
    "locale": "RU",
    "device_id": "593-47-5928",
}
IP_TOKEN = "t1_WkFUYRuXpcoLtvPqk5kWmYV_ELV79VeO7lMZ3LqcpNE"  # of the ip above under KEYSET
DEVICE_TOKEN = "t1_9wgIsuw5vUXJZyoCd-eVgBHqXVKJKqWnpYyfoum7SRo"  # of the device_id


def load_event(name: str) -> Any:
    return json.loads((ROOT / "events" / f"{name}.json").read_text())


def login(**changes: object) -> str:
    """Return the body of a login message."""
    return json.dumps(LOGIN | changes)


def numbered(number: int) -> str:
    """Return a message id that tells its number."""
    return str(UUID(int=number))


def sqs_record(body: str, number: int = 1, attributes: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a record as Lambda hands it over (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html)."""
    return {
        "messageId": numbered(number),
        "receiptHandle": f"receipt-{number}",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(SENT_AT),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": str(SENT_AT),
        },
        "messageAttributes": {
            name: {"stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": "String"}
            for name, value in (attributes or {}).items()
        },
        "md5OfBody": md5(body.encode(errors="surrogatepass")).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": "eu-central-1",
    }


class FakeStore(Store):
    """Remembers what it is told to write, and refuses the rows of the messages in `refuses`."""

    def __init__(self, refuses: Mapping[str, Rejected] | None = None) -> None:
        self.refuses = refuses or {}
        self.rows: list[MaskedRow] = []
        self.rejections: list[Rejection] = []

    def write(
        self,
        rows: Sequence[MaskedRow],
        rejections: Sequence[Rejection],
        reject: Callable[[MaskedRow, Rejected], Rejection],
        deadline: Deadline,
        batch: Batch | None = None,
    ) -> Written:
        first = {row.message_id: row for row in reversed(rows)}
        unique = {message_id: first[message_id] for message_id in sorted(first)}
        refused = [(row, self.refuses[row.message_id]) for row in unique.values() if row.message_id in self.refuses]
        written = [row for row in unique.values() if row.message_id not in self.refuses]
        self.rows += written
        rejected = [*rejections, *(reject(row, rejected) for row, rejected in refused)]
        new = frozenset(one.message_id for one in rejected if one not in self.rejections)
        self.rejections += rejected
        duplicates = sum(row.message_id not in self.refuses for row in rows) - len(written)
        return Written(len(written), duplicates, refused, 1.5, newly_rejected=new)


@dataclass
class FakePostgres:
    """Stands in for pg8000's connection: keeps rows by message id, refuses what `refuse` says."""

    refuse: Callable[[str, str], Exception | None] = lambda sql, text: None
    rows: dict[str, list[str | None]] = field(default_factory=dict)
    rejections: list[dict[str, Any]] = field(default_factory=list)
    check_values: dict[int, bytes] = field(default_factory=lambda: dict(Keyset.parse(KEYSET).check_values))
    migrations: list[tuple[str, int]] = field(default_factory=list)  # package and number
    vault: dict[str, str] = field(default_factory=dict)
    connections: int = 0
    row_count: int = 0

    def connect(self, user: str, *, sock: Any, **options: Any) -> "FakePostgres":
        self.connections += 1
        self._usock = sock
        return self

    def begin(self, settings: Mapping[str, str], seconds: float, answer_seconds: float) -> None: ...

    def run_last(self, sql: str) -> None: ...

    def end(self, statement: str) -> None:
        self.run(statement)

    def roll_back(self) -> None: ...

    def run(self, sql: str, stream: Iterable[str] = (), **parameters: Any) -> list[list[Any]] | None:
        text = "".join([*stream, *map(str, parameters.values())])
        error = self.refuse(sql, text)
        if error:
            raise error
        sql = sql.replace('"', "")
        if sql.startswith("COPY user_logins "):
            self._copy(text)
        elif sql.startswith("INSERT INTO user_logins "):
            records = {record["message_id"]: record for record in json.loads(parameters["rows"])}
            new = [record for message_id, record in records.items() if message_id not in self.rows]
            self._add([list(record.values()) for record in new])
            return [[UUID(record["message_id"])] for record in new]
        elif sql.startswith("INSERT INTO rejection "):
            new_rejections = [one for one in json.loads(parameters["rows"]) if one not in self.rejections]
            self.rejections += new_rejections
            return [[one["message_id"]] for one in new_rejections]
        elif sql.startswith("INSERT INTO migration "):
            self.migrations.append((parameters["package"], parameters["number"]))
        elif sql.startswith("SELECT package, max(number) FROM migration"):
            return [list(newest) for newest in dict(sorted(self.migrations)).items()]
        elif sql.startswith("SELECT package, number FROM migration"):
            return [list(migration) for migration in self.migrations]
        elif sql.startswith("SELECT current_database()"):
            return [["sluice", 180000, True]]
        elif sql.startswith("SELECT has_database_privilege("):
            return [[True, True]]
        elif "to_regclass('migration')" in sql:
            return [[]]  # its table is that of today
        elif "relname = 'token_key'" in sql:
            return [[None]]  # no schema but ours has tables
        elif "has_any_column_privilege" in sql:
            return [["user_logins"]]
        elif sql.startswith("SELECT FROM user_logins"):
            return [[] for _ in self.rows]
        elif "FROM pg_class" in sql and "table" in parameters:  # every table is as its stream wants it
            number = [stream.table for stream in load_all()].index(parameters["table"].strip('"'))
            return [[number, "r", None, False, False, None, "owner", "owner", True, "public", True]]
        elif "FROM pg_index" in sql and parameters:
            return [[True, True, True, ["message_id"]]]
        elif "FROM pg_attribute" in sql and "oid" in parameters:
            own = [(name, type_, False) for name, type_ in zip(OWN_COLUMNS, ("uuid", "timestamptz"), strict=True)]
            stream_found = load_all()[parameters["oid"]]
            own.append((stream_found.column_of_batch, "int8", False))
            columns = column_types.columns(stream_found.layout)
            written = [(column.name, "own", isinstance(column.cells, Arrays)) for column in columns]
            return [
                [name, type_, type_, -1, is_array, type_ == "own", *[False] * 4]
                for name, type_, is_array in [*own, *written]
            ]
        elif "to_regprocedure(" in sql:
            return [[False]]
        elif "FROM removal" in sql:
            return [[0, None, []]]
        elif sql.startswith("INSERT INTO pii_vault "):
            tokens = parameters["tokens"].strip("{}").split(",")
            self.vault |= dict(zip(tokens, parameters["sealed"].strip("{}").split(","), strict=True))
        elif sql.startswith("SELECT number, check_value FROM token_key"):
            return [[number, check_value] for number, check_value in self.check_values.items()]
        return None

    def send_QUERY(self, sql: str) -> None:
        self._query = sql

    @property
    def _sock(self) -> io.BytesIO:
        return io.BytesIO()  # what is written waits for nothing

    def handle_messages(self, context: Any) -> None:
        sql, self._query = self._query, ""
        if sql:
            self.run(sql.rpartition("; ")[2], stream=context.stream)
            context.row_count = self.row_count

    def close(self) -> None:
        self._usock.close()

    def _copy(self, text: str) -> None:
        rows = [[None if cell == "\\N" else cell for cell in line.split("\t")] for line in text.splitlines()]
        ids = [row[0] for row in rows]
        if len(set(ids)) < len(ids) or self.rows.keys() & set(ids):
            raise DatabaseError({"S": "ERROR", "V": "ERROR", "C": "23505", "t": "user_logins"})
        self._add(rows)

    def _add(self, rows: list[list[str | None]]) -> None:
        self.rows |= {str(message_id): cells for message_id, *cells, _ in rows}  # the last is the batch
        self.row_count = len(rows)


type Respond = Callable[[Message, bytes], tuple[int, bytes]]


def http_server(respond: Respond) -> AbstractContextManager[str]:
    """Serve on a free port of this machine, answer with status and body that `respond` makes of headers and body."""

    def answer(request: Request) -> Answer:
        status, body = respond(request.headers, request.body)
        return Answer(status, {}, body)

    return serving(answer)
