"""Send sample logins to the queue of a deployed stack.

`python -m tools.local.send [COUNT]` sends them to the stack that `make deploy-local` deployed, at AWS_ENDPOINT_URL.
"""

import argparse
import secrets
import sys
from collections.abc import Sequence
from itertools import batched
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from sluice.aws import queues
from sluice.failures import Outage
from tools.local.emulator import REGION
from tools.local.generator import Message, messages
from tools.local.stack import STACK_NAME

COUNT = 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="make send", description="Send sample logins to the stack deployed locally.")
    parser.add_argument("count", nargs="?", type=int, default=COUNT, help=f"how many, {COUNT} unless told")
    count = parser.parse_args().count
    made = messages(count, seed=secrets.randbits(32))  # others every time, so that each run adds rows
    try:
        queue_url = queues.of_stack(boto3.client("ssm", region_name=REGION), STACK_NAME)["user_logins"].queue
        sent = send(boto3.client("sqs", region_name=REGION), queue_url, made)
    except (BotoCoreError, ClientError, Outage, KeyError) as error:
        print(f"Nothing answers as the stack {STACK_NAME} should: {error}\nRun make up and make deploy-local first.")
        return 1
    junk = sum(not message.valid for message in made)
    print(f"Sent {len(sent):,} of {count:,} messages to {queue_url}: {count - junk:,} logins, {junk:,} junk.")
    return 0 if len(sent) == count else 1


def send(sqs: Any, queue_url: str, made: Sequence[Message]) -> dict[str, Message]:
    """Send them all, and return those that the queue took, by the ids that it gave them."""
    sent: dict[str, Message] = {}
    for ten in batched(made, 10):  # SQS takes no more at once
        entries = [{"Id": str(number), "MessageBody": message.body} for number, message in enumerate(ten)]
        answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
        sent |= {entry["MessageId"]: ten[int(entry["Id"])] for entry in answer.get("Successful", [])}
    return sent


if __name__ == "__main__":
    sys.exit(main())
