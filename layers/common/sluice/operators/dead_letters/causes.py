"""Why letters are dead: what the table `rejection` remembers of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sluice.declaration.envelopes import plain
from sluice.declaration.route import Queued, reader_of, records_of, streams_of
from sluice.failures import Rejected
from sluice.ingest.message import id_of_record
from sluice.operators.dead_letters.letters import Letter
from sluice.postgres.cells import array_cell
from sluice.postgres.driver import Connection


class Cause(NamedTuple):
    """Why a letter is dead. Without a rejection the cause is unknown: an outage used up the letter's receives."""

    reason: str = "unknown"
    pointer: str = ""
    rejected_at: datetime | None = None
    others: frozenset[str] = frozenset()  # why other records of the letter were rejected, where it holds several

    @property
    def reasons(self) -> frozenset[str]:
        """All reasons that are remembered."""
        return self.others | {self.reason}


def ids(queued: Queued, letter: Letter) -> set[str]:
    """Return the ids under which the database may know a letter: its own, and those of its records."""
    if reader_of(queued)(letter.body).splitter is None:
        return letter.ids
    try:
        records = records_of(queued, letter.body)
    except Rejected:
        return letter.ids
    identities = {
        id_of_record(letter.message_id, index, stream.postmark.reader(plain)(str(text)))
        for index, (stream, text) in enumerate(records)
    }
    unread = {id_of_record(letter.message_id, index) for index in range(len(records))}
    return letter.ids | identities | unread


def read(connection: Connection, queued: Queued, letters: Sequence[Letter]) -> Mapping[Letter, Cause]:
    """Return the newest cause of each letter of a queue."""
    letters_by_id = defaultdict(list)
    for letter in letters:
        for message_id in ids(queued, letter):
            letters_by_id[message_id].append(letter)
    rows: Any = connection.run(
        "SELECT message_id, reason, pointer, at FROM rejection"
        " WHERE stream = ANY(CAST(:names AS varchar[])) AND message_id = ANY(CAST(:ids AS uuid[]))"
        " ORDER BY at, pointer",  # the newest counts
        names=array_cell([queued.stream_name, *(stream.stream_name for stream in streams_of(queued))]),
        ids=array_cell(sorted(letters_by_id)),
    )
    found: dict[Letter, Cause] = {}
    stream_of = reader_of(queued)
    for message_id, reason, pointer, at in rows:
        for letter in letters_by_id[str(message_id)]:
            earlier = found.get(letter) if stream_of(letter.body).splitter else None
            found[letter] = Cause(reason, pointer, at, earlier.reasons if earlier else frozenset())
    return {letter: found.get(letter, Cause()) for letter in letters}
