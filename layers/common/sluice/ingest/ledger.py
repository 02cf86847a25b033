"""The ledger: a row for each batch and stream that says what came in, what became of it, and by which rules.

It is written in the batch's own transaction: what it says of the rows is true as long as they are there.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from secrets import randbits
from typing import Any, NamedTuple

import msgspec

from sluice.declaration import description
from sluice.declaration.stream import Stream
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.postgres.driver import Connection, literal

# An id is a time and a random number. So each client makes its own ids, and they grow with the time.
BEGINNING = 1_767_225_600_000  # milliseconds since 1970: 1 January 2026; 41 bits last for 69 years
RANDOM_BITS = 22

COLUMNS = (
    *("id", "stream", "request_id", "code_version", "declaration", "key_number"),
    *("received", "written", "duplicates", "rejected", "rejected_again", "erased", "expired", "ignored"),
    *("oldest", "newest", "milliseconds"),
)


def first_id(milliseconds: int) -> int:
    """Return the smallest id of a batch of that time, in milliseconds since 1970."""
    return max(milliseconds - BEGINNING, 0) << RANDOM_BITS


def _new_id() -> int:
    return first_id(time.time_ns() // 1_000_000) + randbits(RANDOM_BITS)


def note_removed(connection: Connection, rows: Mapping[str, int]) -> None:
    """Write how many rows of each stream were removed in this transaction."""
    number = _new_id()
    removed = [{"id": number, "stream": stream, "request_id": "", "removed": count} for stream, count in rows.items()]
    connection.run(_insertion(("id", "stream", "request_id", "removed"), [row for row in removed if row["removed"]]))


def _insertion(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the statement that inserts rows, except those that an earlier try has inserted."""
    named = ", ".join(columns)
    return (
        f"INSERT INTO batch ({named}) SELECT {named} FROM json_populate_recordset("
        f"NULL::batch, {literal(msgspec.json.encode(rows).decode())}) ON CONFLICT DO NOTHING"
    )


@dataclass(frozen=True)
class Batch:
    """A batch as it came in."""

    stream: str  # the name of the queue's stream, or of its route to several
    request_id: str = ""
    ignored: int = 0  # records
    known: int = 0  # messages that are rows already, and whose payloads are gone
    id: int = field(default_factory=_new_id)  # one for all tries to write it


class Outcome(NamedTuple):
    """What became of the records of a batch, except those that are ignored."""

    rows: Sequence[MaskedRow]  # all of them
    written: Sequence[MaskedRow]
    erased: Sequence[MaskedRow]
    expired: Sequence[MaskedRow]
    refused: Sequence[MaskedRow]  # by PostgreSQL
    rejections: Sequence[Rejection]  # of records that are no rows
    newly_rejected: Set[str]  # message ids of the two above, unless rejected for the same reason before


class Ledger:
    """The ledger, as the ingest role appends to it."""

    def __init__(self, streams: Iterable[type[Stream]], code_version: str) -> None:
        self._declarations = {stream.stream_name: description.fingerprint(stream) for stream in streams}
        self._code_version = code_version

    def append(
        self, connection: Connection, batch: Batch, outcome: Outcome, key_number: int | None, milliseconds: float
    ) -> None:
        """Have what became of a batch written with the COMMIT, and only once, even if a COMMIT's answer is lost."""
        of_batch = {
            "id": batch.id,
            "request_id": batch.request_id,
            "code_version": self._code_version,
            "key_number": key_number,
            "milliseconds": round(milliseconds),
        }
        rows = [
            {"stream": stream, "declaration": self._declarations.get(stream)} | of_batch | of_stream
            for stream, of_stream in self._of_streams(batch, outcome).items()
        ]
        connection.run_last(_insertion(COLUMNS, rows))

    def _of_streams(self, batch: Batch, outcome: Outcome) -> Mapping[str, dict[str, Any]]:
        """Return by stream how many records came in, what became of them, and when they were sent."""
        rows, written = self._by_stream(outcome.rows), self._by_stream(outcome.written)
        erased, refused = self._by_stream(outcome.erased), self._by_stream(outcome.refused)
        expired = self._by_stream(outcome.expired)
        rejections = Counter(rejection.stream for rejection in outcome.rejections)
        rejected = Counter(one.stream for one in outcome.rejections if one.message_id in outcome.newly_rejected)
        rejected += self._by_stream([row for row in outcome.refused if row.message_id in outcome.newly_rejected])
        ignored, known = Counter({batch.stream: batch.ignored}), Counter({batch.stream: batch.known})
        return {
            stream: {
                "received": rows[stream] + rejections[stream] + ignored[stream] + known[stream],
                "written": written[stream],
                "duplicates": rows[stream]
                - written[stream]
                - erased[stream]
                - expired[stream]
                - refused[stream]
                + known[stream],
                "rejected": rejected[stream],
                "rejected_again": rejections[stream] + refused[stream] - rejected[stream],
                "erased": erased[stream],
                "expired": expired[stream],
                "ignored": ignored[stream],
                **self._sent(stream, outcome.rows),
            }
            for stream in sorted(+rows | +rejections | +ignored | +known)
        }

    def _by_stream(self, rows: Sequence[MaskedRow]) -> Counter[str]:
        if len(self._declarations) > 1:
            return Counter(row.stream for row in rows)
        return Counter(dict.fromkeys(self._declarations, len(rows)))

    def _sent(self, stream: str, rows: Sequence[MaskedRow]) -> dict[str, str]:
        """Return when the oldest and the newest row of a stream were sent: ISO 8601, all to the millisecond."""
        is_one = len(self._declarations) == 1
        times = [row.sent_at for row in rows if is_one or row.stream == stream]
        return {"oldest": min(times), "newest": max(times)} if times else {}
