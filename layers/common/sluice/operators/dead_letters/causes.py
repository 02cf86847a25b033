"""Why letters are dead: what the table `rejection` remembers of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sluice.declaration.route import Queued, streams_of
from sluice.operators.dead_letters.letters import Letter
from sluice.postgres.cells import array_cell
from sluice.postgres.driver import Connection


class Cause(NamedTuple):
    """Why a letter is dead. One that was never rejected is of an unknown cause: an outage used up its receives."""

    reason: str = "unknown"
    pointer: str = ""
    rejected_at: datetime | None = None


def read(connection: Connection, queued: Queued, letters: Sequence[Letter]) -> Mapping[Letter, Cause]:
    """Return the cause of each letter of a queue."""
    letters_by_id = defaultdict(list)
    for letter in letters:
        for message_id in letter.ids:
            letters_by_id[message_id].append(letter)
    rows: Any = connection.run(
        "SELECT message_id, reason, pointer, at FROM rejection"
        " WHERE stream = ANY(CAST(:names AS varchar[])) AND message_id = ANY(CAST(:ids AS uuid[]))"
        " ORDER BY at",  # the newest counts
        names=array_cell([queued.stream_name, *(stream.stream_name for stream in streams_of(queued))]),
        ids=array_cell(sorted(letters_by_id)),
    )
    found = dict.fromkeys(letters, Cause())
    for message_id, *cause in rows:
        found |= dict.fromkeys(letters_by_id[str(message_id)], Cause(*cause))
    return found
