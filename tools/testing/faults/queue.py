"""A queue as SQS and Lambda make one together: what is not acknowledged comes again, ten times at most."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import count
from threading import Lock
from typing import Any

from tools.testing.faults.environment import Ended, Failed
from tools.testing.invariants import Sent

MAX_RECEIVES = 10
QUEUE_ARN = "arn:aws:sqs:eu-central-1:000000000000:login-queue"

type Invoke = Callable[[dict[str, Any]], dict[str, Any]]


class Queue:
    """Messages until they are acknowledged, or dead letters."""

    def __init__(self, messages: Sequence[Sent] = (), max_receives: int = MAX_RECEIVES) -> None:
        self.sent: list[Sent] = []
        self.dead: list[Sent] = []
        self.receives: Counter[str] = Counter()
        self.answers: list[str] = []  # all that was said about them
        self.failures: list[str] = []  # of whole batches
        self._max_receives = max_receives
        self._waiting: deque[Sent] = deque()
        self._lock = Lock()
        self.send(messages)

    def send(self, messages: Sequence[Sent]) -> None:
        self.sent += messages
        self._waiting.extend(messages)

    def redrive(self, make_id: Callable[[], str]) -> None:
        """Send the dead letters again as an operator does: SQS gives them new ids, the attributes keep the old ones."""
        dead, self.dead = self.dead, []
        for message in dead:
            attributes = {"sluice_message_id": message.identity, "sluice_sent_at": str(message.sent_at_milliseconds)}
            later = (message.sent_at_milliseconds or 0) + 60_000
            self.send([Sent(make_id(), message.body, message.valid, later, {**attributes, **message.attributes})])

    def deliver(self, invoke: Invoke, size: int = 100) -> bool:
        """Hand over a batch, and return whether there was one. What is not acknowledged comes again, last."""
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]
            self.receives.update(message.message_id for message in batch)
        if not batch:
            return False
        failed = {message.message_id for message in batch}
        try:
            records = [message.record(QUEUE_ARN, self.receives[message.message_id]) for message in batch]
            answer = invoke({"Records": records})
            failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
            self.answers.append(str(answer))
        except (Failed, Ended) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        with self._lock:
            for message in batch:
                if message.message_id in failed:
                    is_dead = self.receives[message.message_id] >= self._max_receives
                    (self.dead if is_dead else self._waiting).append(message)
        return True

    def drain(self, invoke: Invoke, size: int = 100) -> None:
        """Hand over batches until nothing is left. Raises TimeoutError when that does not end."""
        for batches in count():
            if not self.deliver(invoke, size):
                return
            if batches > MAX_RECEIVES * (len(self.sent) + 1):
                raise TimeoutError("the queue is not drained")

    def dead_letters(self) -> list[str]:
        return [message.message_id for message in self.dead]
