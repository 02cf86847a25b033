"""The list of a stream's dead letters: ids, causes and counts, and no value of any letter."""

import time
from typing import Any

from sluice.deadline import Deadline
from sluice.declaration.route import Queued
from sluice.operators.dead_letters import causes
from sluice.operators.dead_letters.causes import Cause
from sluice.operators.dead_letters.letters import DeadLetterQueue, Letter
from sluice.postgres.database import Database


def answer(
    database: Database, queued: Queued, queue: DeadLetterQueue, limit: int, deadline: Deadline
) -> dict[str, Any]:
    """Tell of at most `limit` letters, and whether there are more. Raises Outage."""
    told: list[dict[str, Any]] = []
    while len(told) < limit and queue.has_more:
        letters = queue.receive(limit - len(told))
        found = database.transact(lambda connection: causes.read(connection, queued, letters), deadline)  # noqa: B023
        told += [_told(letter, cause) for letter, cause in found.items()]
    return {"letters": told, "more": queue.hides_more or not queue.is_exhausted}


def _told(letter: Letter, cause: Cause) -> dict[str, Any]:
    """Return what an operator may know of a letter."""
    return {
        "id": letter.message_id,
        "sqs_message_id": letter.sqs_message_id,
        "reason": cause.reason,
        "pointer": cause.pointer,
        "rejected_at": cause.rejected_at.isoformat() if cause.rejected_at else None,
        "receive_count": letter.receive_count,
        "age_seconds": max(0, int(time.time() - letter.sent_at.timestamp())),
        "bytes": letter.body_bytes,
    }
