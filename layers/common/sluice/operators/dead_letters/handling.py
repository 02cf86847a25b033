"""The dead letters of all streams: a request is given to what lists, redrives or purges them."""

from collections.abc import Mapping
from typing import Any

from sluice.aws.queues import Queues
from sluice.deadline import Deadline
from sluice.declaration.envelopes import Postmark
from sluice.declaration.registry import load_queued
from sluice.declaration.route import reader_of, streams_of, wanted_of
from sluice.declaration.stream import Stream
from sluice.ingest import payloads
from sluice.operators.call import Refused
from sluice.operators.dead_letters import listing
from sluice.operators.dead_letters.letters import DeadLetterQueue
from sluice.operators.dead_letters.purge import Purger
from sluice.operators.dead_letters.redrive import Redriver
from sluice.operators.dead_letters.requests import List, Purge, Redrive, Request
from sluice.operators.dead_letters.worker import Call
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset


class DeadLetters:
    """The dead letters of some streams, as the role of that name may handle them."""

    def __init__(
        self, database: Database, queues: Mapping[str, Queues], keyset: Keyset, payload_bucket: str | None = None
    ) -> None:
        self._database = database
        self._queues = queues  # by stream
        self._keyset = keyset
        self._payload_bucket = payload_bucket

    def run(self, actor: str, request: Request, deadline: Deadline) -> dict[str, Any]:
        """Do what is asked for, as far as there is time. Raises Refused or Outage; what was done until then stays."""
        if request.stream not in self._queues:
            raise Refused(400, "bad_request", f"stream: must be one of {', '.join(sorted(self._queues))}")
        queued = load_queued(request.stream)
        stream_of, wanted = reader_of(queued), wanted_of(queued)

        def postmark_of(body: str) -> Postmark | None:
            return stream_of(body).message_postmark()(body)

        # A list needs the bodies only for ids and times.
        is_read = not isinstance(request, List) or any(map(_knows_by_body, streams_of(queued)))
        found = payloads.of(queued, self._payload_bucket) if is_read else None
        with DeadLetterQueue(self._queues[request.stream], deadline, postmark_of, wanted, found) as queue:
            call = Call(actor, queued, queue, self._database, self._keyset, deadline)
            match request:
                case List():
                    return listing.answer(self._database, queued, queue, request.limit, deadline)
                case Redrive():
                    return Redriver(call, request).run()
                case Purge():
                    return Purger(call, request).run()


def _knows_by_body(stream: type[Stream]) -> bool:
    """Tell whether the ids or the time of a stream's letters are in their bodies."""
    return bool(stream.splitter or stream.postmark.identity or stream.postmark.time)
