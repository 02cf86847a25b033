"""The ways to write a batch that are compared: each is a function from an SQS event to rows, its connection warm."""

import os
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import psycopg
import psycopg2
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from tools.bench.environment import WITHOUT_VAULT, Place, function
from tools.bench.records import COLUMNS, Event, Login, ordinary_row, ordinary_rows
from tools.testing import lambda_context

type Contender = Callable[[Event], Callable[[], object]]  # what it may prepare untimed, then what is timed

SMALLEST_DLT_BATCH = 1000
DLT_SCHEMA = "dlt"
NAMES = ", ".join(COLUMNS)


def contenders(place: Place) -> dict[str, Contender]:
    """Return them by name, connected, in the order of the report."""
    return {
        "floor": floor(place),
        "sluice": sluice(WITHOUT_VAULT),
        "handler": obvious_handler(place),
        "script": original_script(place),
        "unnest": arrays(place),
        "pipeline": pipelined(place),
        "dlt": dlt_pipeline(place),
    }


def floor(place: Place) -> Contender:
    """COPY of rows that are ready and masked, sorted as Sluice sorts them, by psycopg 3 in C."""
    connection = psycopg.connect(place.ingest_url, autocommit=True)
    cursor = connection.cursor()
    copy_sql = f"COPY user_logins ({NAMES}) FROM STDIN".encode()

    def prepare(event: Event) -> Callable[[], None]:
        rows = sorted(map(_with_tokens, ordinary_rows(event)))

        def write() -> None:
            with connection.transaction(), cursor.copy(copy_sql) as copy:
                for row in rows:
                    copy.write_row(row)

        return write

    return prepare


def _with_tokens(row: Login) -> Login:
    """Return the row with masks that look like Sluice's tokens, and go to as many places in an index."""
    return row._replace(masked_ip=_token(row.masked_ip), masked_device_id=_token(row.masked_device_id))


def _token(digest: str) -> str:
    return f"t1_{urlsafe_b64encode(bytes.fromhex(digest)).decode().rstrip('=')}"


def sluice(stream: str) -> Contender:
    """A new execution environment of the function that is deployed, from the event to the response."""
    os.environ["STREAM"] = stream
    handler = function("ingest").lambda_handler
    handler({"Records": []}, lambda_context.LambdaContext())  # it reads its settings, and connects
    return lambda event: lambda: handler(event, lambda_context.LambdaContext())


def obvious_handler(place: Place) -> Contender:
    """A handler as Powertools' documentation has it: one INSERT for each record, committed at once."""
    connection = place.connect_as_ingest()
    processor = BatchProcessor(event_type=EventType.SQS)
    values = ", ".join(f":{column}" for column in COLUMNS)
    insert = f"INSERT INTO user_logins ({NAMES}) VALUES ({values}) ON CONFLICT DO NOTHING"

    def record_handler(record: SQSRecord) -> None:
        row = ordinary_row(record.message_id, record.attributes.sent_timestamp, record.body)
        connection.run(insert, **row._asdict())

    def lambda_handler(event: Event, context: LambdaContext) -> object:
        return process_partial_response(
            event=event, record_handler=record_handler, processor=processor, context=context
        )

    context: Any = lambda_context.LambdaContext()
    return lambda event: lambda: lambda_handler(event, context)


def original_script(place: Place) -> Contender:
    """The original script's way: psycopg2, one INSERT for each record, one commit at the end."""
    connection = psycopg2.connect(place.ingest_url)
    insert = f"INSERT INTO user_logins ({NAMES}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"

    def write(event: Event) -> None:
        with connection, connection.cursor() as cursor:
            for row in ordinary_rows(event):
                cursor.execute(insert, row)

    return lambda event: lambda: write(event)


def arrays(place: Place) -> Contender:
    """pg8000 as it comes: one INSERT of the whole batch, an array for each column."""
    connection = place.connect_as_ingest()
    types = ("uuid", "timestamptz", *["text"] * 5, "integer", "text")
    unnested = ", ".join(f"CAST(:{name} AS {type_}[])" for name, type_ in zip(COLUMNS, types, strict=True))
    insert = f"INSERT INTO user_logins ({NAMES}) SELECT * FROM unnest({unnested}) ON CONFLICT DO NOTHING"

    def write(event: Event) -> None:
        columns = zip(*ordinary_rows(event), strict=True)
        connection.run(insert, **dict(zip(COLUMNS, map(list, columns), strict=True)))

    return lambda event: lambda: write(event)


def pipelined(place: Place) -> Contender:
    """psycopg 3 in C: `executemany`, which sends all INSERTs without waiting for an answer, one commit at the end."""
    connection = psycopg.connect(place.ingest_url)
    insert = f"INSERT INTO user_logins ({NAMES}) VALUES ({', '.join(['%s'] * len(COLUMNS))}) ON CONFLICT DO NOTHING"

    def write(event: Event) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(insert.encode(), list(ordinary_rows(event)))

    return lambda event: lambda: write(event)


def dlt_pipeline(place: Place) -> Contender:
    """A dlt pipeline that appends, into a twin of the table, because dlt adds two columns of its own to it."""
    with place.postgres.connect() as owner:
        owner.run(f"CREATE SCHEMA {DLT_SCHEMA}")
        owner.run(f"CREATE TABLE {DLT_SCHEMA}.user_logins (LIKE user_logins INCLUDING ALL)")
    os.environ |= {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "CRITICAL",
        "DLT_DATA_DIR": str(place.folder / "dlt"),
    }
    import dlt  # it reads them when it is imported
    from dlt.destinations import postgres

    pipeline = dlt.pipeline(
        pipeline_name="bench",
        pipelines_dir=str(place.folder / "dlt"),
        destination=postgres(place.postgres.url, create_indexes=False),  # the twin has the table's own
        dataset_name=DLT_SCHEMA,
    )

    def write(event: Event) -> None:
        logins = dlt.resource(event["Records"], name="user_logins", write_disposition="append")
        logins.add_map(
            lambda record: ordinary_row(
                record["messageId"], record["attributes"]["SentTimestamp"], record["body"]
            )._asdict()
        )
        pipeline.run(logins, loader_file_format="csv").raise_on_failed_jobs()  # by COPY: its fastest way

    return lambda event: lambda: write(event)
