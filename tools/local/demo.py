"""The demo: start the whole system, send 1,000 generated messages, show what became of each, stop it all.

`python -m tools.local.demo [--keep | --console]` exits with 0 only if each valid message is one row, and each junk
message one dead letter.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sluice.aws.queues import Queues
from tools.local.generator import Message, messages, orders
from tools.local.postgres import PSQL
from tools.local.server import NotStarted
from tools.local.stack import Stack, down, running_stack
from tools.project import KEPT, PROJECT

LOGINS = 1_000
ORDERS = 100
SEED = 20
DRAIN_SECONDS = 90
LOG_COLUMNS = 110  # where there is no terminal to ask
SHOWN = 5  # rows of a sample

type Sent = Mapping[str, Message]  # by the id that SQS gave it


@dataclass(frozen=True)
class Lane:
    """A stream's way through the stack."""

    table: str
    identity: str  # the field that is different in every valid message
    queues: Queues
    made: list[Message]


console = Console(highlight=False, width=None if sys.stdout.isatty() else LOG_COLUMNS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="Show the whole system at work on this machine.")
    after = parser.add_mutually_exclusive_group()
    after.add_argument("--keep", action="store_true", help="leave the stack running; `make down` stops it")
    after.add_argument("--console", action="store_true", help="show it in the browser and play with it, until Ctrl-C")
    arguments = parser.parse_args()
    if (arguments.keep or arguments.console) and KEPT.exists():
        console.print("A stack is kept already: `make down` stops it.")
        return 1
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)  # as Ctrl-C: nothing stays behind
    try:
        with running_stack(step=step) as stack:
            complete = demonstrate(stack)
            if arguments.keep:
                stack.keep()
                show_connections(stack)
            if arguments.console:
                show_console(stack)
    except NotStarted as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted: all that was started is stopped again.")
        return 130
    return 0 if complete else 1


def demonstrate(stack: Stack) -> bool:
    """Send, wait, show, and return whether every message ended where it belongs."""
    made, orders_made = messages(LOGINS, SEED), orders(ORDERS, SEED)
    lanes = [
        Lane("user_logins", "user_id", stack.queues["user_logins"], made),
        Lane("orders", "order_id", stack.queues["orders"], orders_made),
    ]
    with step(f"Send {LOGINS:,} logins and {ORDERS:,} orders"):
        sent = [send(stack.client("sqs"), lane.queues.queue, lane.made) for lane in lanes]
    wait_until_drained(stack, lanes)
    show_rejections(stack)
    show_rows(stack)
    show_duplicates(stack)
    show_orders(stack)
    console.print()
    complete = [verify(stack, lane, lane_sent) for lane, lane_sent in zip(lanes, sent, strict=True)]
    if all(complete):
        console.print(
            "[green]✓[/] Every valid message is exactly one row, every junk message is in the dead-letter queue."
        )
    return all(complete)


@contextmanager
def step(name: str) -> Iterator[None]:
    started = time.monotonic()
    with console.status(name):
        yield
    console.print(f"[green]✓[/] {name:<32}{time.monotonic() - started:6.1f} s")


def send(sqs: Any, queue_url: str, made: Sequence[Message]) -> Sent:
    """Send them all, and return those that the queue took."""
    sent: dict[str, Message] = {}
    for ten in batched(made, 10):  # SQS takes no more at once
        entries = [{"Id": str(number), "MessageBody": message.body} for number, message in enumerate(ten)]
        answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
        sent |= {entry["MessageId"]: ten[int(entry["Id"])] for entry in answer.get("Successful", [])}
    return sent


def wait_until_drained(stack: Stack, lanes: list[Lane]) -> None:
    """Wait until as many messages are rows or dead letters as were sent, or the deadline has passed."""
    columns = TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    deadline = time.monotonic() + DRAIN_SECONDS
    with Progress(*columns, console=console) as progress, stack.connect() as database:
        tasks = [progress.add_task(f"Drain {lane.table}", total=len(lane.made)) for lane in lanes]
        while not progress.finished and time.monotonic() < deadline:
            for task, lane in zip(tasks, lanes, strict=True):
                ((rows,),) = database.run(f"SELECT count(*) FROM {lane.table}")
                progress.update(task, completed=rows + depth(stack, lane))
            time.sleep(0.2)


def depth(stack: Stack, lane: Lane) -> int:
    """Return the number of messages in the dead-letter queue."""
    name = "ApproximateNumberOfMessages"
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=lane.queues.dead_letters, AttributeNames=[name])
    return int(answer["Attributes"][name])


def dead_letters(stack: Stack, lane: Lane) -> set[str]:
    """Return the ids of all messages in the dead-letter queue; they stay there."""
    sqs = stack.client("sqs")
    ids: set[str] = set()
    while received := sqs.receive_message(
        QueueUrl=lane.queues.dead_letters,
        MaxNumberOfMessages=10,
        VisibilityTimeout=30,  # seconds: long enough not to see one twice
    ).get("Messages"):
        ids |= {message["MessageId"] for message in received}
    return ids


def show_rejections(stack: Stack) -> None:
    table = Table("Stream", "Rejected because", "Field", "Messages", title="What was rejected, and why")
    table.title_justify = "left"
    for stream, reason, pointer, count in query(
        stack, "SELECT stream, reason, pointer, count(*) FROM rejection GROUP BY 1, 2, 3 ORDER BY 1 DESC, 4 DESC, 2, 3"
    ):
        table.add_row(stream, reason, pointer or "(the record)", str(count))
    console.print("", table)


def show_rows(stack: Stack) -> None:
    table = Table(title=f"{SHOWN} rows as stored (user ids and tokens cut short)", title_justify="left")
    for name in ("user_id", "device_type", "masked_ip", "masked_device_id", "locale", "app_version", "create_date"):
        table.add_column(name, no_wrap=True)
    for row in query(
        stack,
        "SELECT left(user_id, 8), device_type, left(masked_ip, 11), left(masked_device_id, 11), locale, app_version,"
        f" create_date FROM user_logins ORDER BY user_id LIMIT {SHOWN}",
    ):
        user, device, ip, device_id, locale, version, date = row
        table.add_row(f"{user}…", device, f"{ip}…", f"{device_id}…", locale or "NULL", str(version), str(date))
    console.print("", table)


def show_duplicates(stack: Stack) -> None:
    table = Table("masked_device_id", "Rows", "Users", "Addresses", title_justify="left")
    table.title = "The same token is the same device: duplicates show although they are masked"
    for row in query(
        stack,
        "SELECT masked_device_id, count(*), count(DISTINCT user_id), count(DISTINCT masked_ip) FROM user_logins"
        f" GROUP BY 1 HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT {SHOWN}",
    ):
        table.add_row(*map(str, row))
    console.print("", table)


def show_orders(stack: Stack) -> None:
    table = Table("order_id", "total", "customer_domain", "customer_email", "network", "lines")
    table.title, table.title_justify = "Orders are another stream: nested objects, lists, exact numbers", "left"
    for order_id, *cells, lines in query(
        stack,
        "SELECT left(order_id::text, 8), total::text, customer_domain, left(customer_email, 11) || '…', network::text,"
        f" jsonb_array_length(lines)::text FROM orders ORDER BY order_id LIMIT {SHOWN}",
    ):
        table.add_row(f"{order_id}…", *(cell or "NULL" for cell in cells), lines)
    console.print("", table)


def verify(stack: Stack, lane: Lane, sent: Sent) -> bool:
    """Say where the messages are, by their ids, and return whether each is where it belongs."""
    valid = {id_: json.loads(message.body)[lane.identity] for id_, message in sent.items() if message.valid}
    junk = sent.keys() - valid.keys()
    written = query(stack, f"SELECT message_id::text, {lane.identity}::text FROM {lane.table}")
    rows = dict(written)
    dead = dead_letters(stack, lane)
    findings = {
        "messages were not accepted by the queue": len(lane.made) - len(sent),
        "valid messages have no row": len(valid.keys() - rows.keys()),
        "rows are no valid message's": len(rows.items() - valid.items()),
        "junk messages are not in the dead-letter queue": len(junk - dead),
        "dead letters are no junk": len(dead - junk),
    }
    console.print(f"{lane.table}: {len(sent):,} sent, {len(rows):,} rows written, {len(dead):,} dead-lettered.")
    for finding, count in findings.items():
        if count:
            console.print(f"[red]✗[/] {count:,} {finding}")
    return not any(findings.values())


def show_connections(stack: Stack) -> None:
    # Whole lines, so that they can be copied.
    for name, value in {
        "AWS endpoint": stack.emulator.endpoint_url,
        "Queue": stack.queue_url,
        "Dead letters": stack.dead_letter_queue_url,
        "Orders": stack.queues["orders"].queue,
        "Database": f"{os.path.relpath(PSQL)} {stack.postgres.url}",
        "Commands": ".venv/bin/sluice status, .venv/bin/sluice console, … (docs/cli.md)",
    }.items():
        console.print(f"{name:<14}{value}", soft_wrap=True, markup=False)
    console.print(f"Left running; all this is in {KEPT.relative_to(PROJECT)} too. `make down` stops it.")


def show_console(stack: Stack) -> None:
    """Serve the console until it is ended, then stop the stack. Only what is kept is known to other programs."""
    stack.keep()
    try:
        page = subprocess.Popen([sys.executable, "-m", "tools.console"], cwd=PROJECT)
        try:
            page.wait()
        finally:  # Ctrl-C in the terminal reaches it too; a signal to this process alone does not
            page.terminate()
            page.wait()
            console.print("Stopping the stack …")
    finally:
        down()


def query(stack: Stack, sql: str) -> Any:
    with stack.connect() as database:
        return database.run(sql)


if __name__ == "__main__":
    sys.exit(main())
