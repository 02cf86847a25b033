"""Make rejected messages visible again at once: they become dead letters in seconds, not after ten timeouts."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from itertools import batched

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.aws import clients
from sluice.deadline import Deadline
from sluice.telemetry import logger


def release(records: Iterable[SQSRecord], deadline: Deadline) -> None:
    """Set the visibility timeout of the messages to 0, as far as time and SQS allow: the others reappear later."""
    receipts: dict[str, list[str]] = defaultdict(list)
    for record in records:
        receipts[record.event_source_arn].append(record.receipt_handle)
    try:
        for queue_arn, handles in receipts.items():
            for ten in batched(handles, 10):  # SQS takes no more in one call
                if not deadline.allows(5):  # seconds: what one call may take
                    return
                entries = [
                    {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                    for number, handle in enumerate(ten)
                ]
                clients.client("sqs").change_message_visibility_batch(QueueUrl=queue_url(queue_arn), Entries=entries)
    except clients.errors() as error:  # no such error is worth a failed batch
        logger.warning("rejected messages not released", error=clients.reason(error))


@cache
def queue_url(queue_arn: str) -> str:
    """Return the URL of a queue."""
    *_, account, name = queue_arn.split(":")
    return str(clients.client("sqs").get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"])
