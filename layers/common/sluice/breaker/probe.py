"""The probe: find out whether a batch of a queue could be written now.

It writes a made-up message as ingest would, and rolls it back. Secrets, keyset and data key are read anew.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from sluice.deadline import Deadline
from sluice.declaration import witness
from sluice.declaration.originals import Original, Originals
from sluice.declaration.registry import load_queued
from sluice.declaration.route import streams_of
from sluice.declaration.stream import Stream
from sluice.failures import Outage, Rejected, Unforeseen
from sluice.ingest import payloads
from sluice.ingest.rows import MaskedRow, Rejection
from sluice.ingest.store import Store
from sluice.postgres.database import Database
from sluice.pseudonyms import keyset_secret
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import BreakerSettings
from sluice.vault.sealing import Vault

# These may be the fault of the made-up message, unless real ones failed for the same reason: a missing partition, and
# the stream's own code. A 23514 that names a constraint is of the vault. What a trigger raises refuses a row alone.
OF_THE_MESSAGE = ("database: SQLSTATE 23514", "every record failed")


def run(name: str, why: str, deadline: Deadline, settings: BreakerSettings) -> None:
    """Write a batch, a row for each stream of the queue, and roll it back. Raises Outage if that fails.

    `why` is why the breaker tripped.
    """
    queued = load_queued(name)
    streams = streams_of(queued)
    keyset = keyset_secret.newest(settings.token_key_secret_id)
    found = payloads.of(queued, settings.payload_bucket)
    database = Database(settings.database, application_name="sluice-breaker")
    store = Store(database, streams, Vault(settings.vault))
    try:
        store.verify(keyset, deadline)
        rows = [_row(stream, keyset, why) for stream in streams]
        if found is not None:
            found.probe()
        store.probe(rows, Rejection(rows[0].message_id, queued.stream_name, "probe", "", {}), deadline)
    except Outage as outage:
        if _is_real(str(outage), why):
            raise
    finally:
        database.close()


def _row(stream: type[Stream], keyset: Keyset, why: str) -> MaskedRow:
    """Return the row of a message that the stream accepts, or a row of NULLs. A refusal of that one proves as much."""
    try:
        masked = witness.mask(stream, keyset)
        cells, originals = masked.cells, masked.originals
    except Rejected as rejected:  # a rule of the user's own knows no example, or its code fails of it
        if isinstance(rejected, Unforeseen):
            outage = f"every record failed: {rejected.cause}"
            if _is_real(outage, why):
                raise Outage(outage) from None
        cells, originals = (None,) * len(stream.columns()), Originals()
    originals = msgspec.structs.replace(originals, values=(*originals.values, *_lacking(stream, keyset, originals)))
    now = datetime.now(UTC).isoformat()
    return MaskedRow(str(uuid4()), now, cells, originals, stream=stream.stream_name)


def _lacking(stream: type[Stream], keyset: Keyset, originals: Originals) -> Iterator[Original]:
    """Yield an original for each other domain that the stream can recover, so that the vault is probed too.

    The made-up message has none of a domain whose values are in lists or inside of texts.
    """
    domains = {place.domain for place in stream.token_places if place.recoverable}
    for domain in sorted(domains - {one.domain for one in originals.values}):
        yield Original(domain, keyset.pseudonymizer(domain)("probe"), "probe")


def _is_real(outage: str, why: str) -> bool:
    """Tell whether real messages would meet this outage too; `why` is why the breaker tripped."""
    made_up = [start for start in OF_THE_MESSAGE if outage.startswith(start) and ", constraint " not in outage]
    return not made_up or made_up[0] in why
