"""1,000 generated messages in, what became of each one out: the whole system started, used, shown and stopped.

`python -m tools.demo [--keep]` exits with 0 only if each valid message is one row and each junk one a dead letter.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import batched
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tools.generator import Message, messages
from tools.postgres import PSQL
from tools.server import NotStarted
from tools.stack import KEPT, PROJECT, Stack, running_stack

COUNT = 1_000
SEED = 20
DRAIN_SECONDS = 90
LOG_COLUMNS = 110  # where there is no terminal to ask
SHOWN = 5  # rows of a sample

type Sent = Mapping[str, Message]  # by the id that SQS gave it

console = Console(highlight=False, width=None if sys.stdout.isatty() else LOG_COLUMNS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="Show the whole system at work on this machine.")
    parser.add_argument("--keep", action="store_true", help="leave the stack running; `make down` stops it")
    keep = parser.parse_args().keep
    if keep and KEPT.exists():
        console.print("A stack is kept already: `make down` stops it.")
        return 1
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)  # as Ctrl-C: nothing stays behind
    try:
        with running_stack(step=step) as stack:
            complete = demonstrate(stack)
            if keep:
                stack.keep()
                show_connections(stack)
    except NotStarted as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted: all that was started is stopped again.")
        return 130
    return 0 if complete else 1


def demonstrate(stack: Stack) -> bool:
    """Send, wait, show, and return whether every message ended where it belongs."""
    with step(f"Send {COUNT:,} messages"):
        sent = send(stack, messages(COUNT, SEED))
    wait_until_drained(stack)
    show_rejections(stack)
    show_rows(stack)
    show_duplicates(stack)
    return verify(stack, sent)


@contextmanager
def step(name: str) -> Iterator[None]:
    started = time.monotonic()
    with console.status(name):
        yield
    console.print(f"[green]✓[/] {name:<28}{time.monotonic() - started:6.1f} s")


def send(stack: Stack, made: list[Message]) -> Sent:
    sqs = stack.client("sqs")
    sent: dict[str, Message] = {}
    for ten in batched(made, 10):  # SQS takes no more at once
        entries = [{"Id": str(number), "MessageBody": message.body} for number, message in enumerate(ten)]
        answer = sqs.send_message_batch(QueueUrl=stack.queue_url, Entries=entries)
        sent |= {entry["MessageId"]: ten[int(entry["Id"])] for entry in answer["Successful"]}
    return sent


def wait_until_drained(stack: Stack) -> None:
    """Wait until as many messages are rows or dead letters as were sent, or the deadline has passed."""
    columns = TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    deadline = time.monotonic() + DRAIN_SECONDS
    with Progress(*columns, console=console) as progress, stack.connect() as database:
        task = progress.add_task("Drain the queue", total=COUNT)
        while not progress.finished and time.monotonic() < deadline:
            ((rows,),) = database.run("SELECT count(*) FROM user_logins")
            progress.update(task, completed=rows + depth(stack))
            time.sleep(0.2)


def depth(stack: Stack) -> int:
    """Return the number of messages in the dead-letter queue."""
    name = "ApproximateNumberOfMessages"
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=stack.dead_letter_queue_url, AttributeNames=[name])
    return int(answer["Attributes"][name])


def dead_letters(stack: Stack) -> set[str]:
    """Return the ids of all messages in the dead-letter queue; they stay there."""
    sqs = stack.client("sqs")
    ids: set[str] = set()
    while received := sqs.receive_message(
        QueueUrl=stack.dead_letter_queue_url,
        MaxNumberOfMessages=10,
        VisibilityTimeout=30,  # seconds: long enough not to see one twice
    ).get("Messages"):
        ids |= {message["MessageId"] for message in received}
    return ids


def show_rejections(stack: Stack) -> None:
    table = Table("Rejected because", "Field", "Messages", title="What was refused, and why", title_justify="left")
    for reason, pointer, count in query(
        stack, "SELECT reason, pointer, count(*) FROM rejection GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
    ):
        table.add_row(reason, pointer or "(the record)", str(count))
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


def verify(stack: Stack, sent: Sent) -> bool:
    """Say where the messages are, by their ids, and return whether each is where it belongs."""
    valid = {id_: json.loads(message.body)["user_id"] for id_, message in sent.items() if message.valid}
    junk = sent.keys() - valid.keys()
    rows = {str(id_): user for id_, user in query(stack, "SELECT message_id, user_id FROM user_logins")}
    dead = dead_letters(stack)
    findings = {
        "messages were not accepted by the queue": COUNT - len(sent),
        "valid messages have no row": len(valid.keys() - rows.keys()),
        "rows are no valid message's": len(rows.items() - valid.items()),
        "junk messages are not in the dead-letter queue": len(junk - dead),
        "dead letters are no junk": len(dead - junk),
    }
    console.print(f"\n{len(sent):,} messages sent: {len(rows):,} rows written, {len(dead):,} dead-lettered.")
    for finding, count in findings.items():
        if count:
            console.print(f"[red]✗[/] {count:,} {finding}")
    complete = not any(findings.values())
    if complete:
        console.print(
            "[green]✓[/] Every valid message is exactly one row, every junk message is in the dead-letter queue."
        )
    return complete


def show_connections(stack: Stack) -> None:
    # Whole lines, so that they can be copied.
    for name, value in {
        "AWS endpoint": stack.emulator.endpoint_url,
        "Queue": stack.queue_url,
        "Dead letters": stack.dead_letter_queue_url,
        "Database": f"{os.path.relpath(PSQL)} {stack.postgres.url}",
    }.items():
        console.print(f"{name:<14}{value}", soft_wrap=True, markup=False)
    console.print(f"Left running; all this is in {KEPT.relative_to(PROJECT)} too. `make down` stops it.")


def query(stack: Stack, sql: str) -> Any:
    with stack.connect() as database:
        return database.run(sql)


if __name__ == "__main__":
    sys.exit(main())
