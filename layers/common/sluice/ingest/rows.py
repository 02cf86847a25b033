"""What may be written: rows that are masked, and rejections that hold no value of the record."""

import msgspec

from sluice.declaration.originals import Originals
from sluice.declaration.stream import Row

type Key = tuple[str, str, str]  # identifies a row: its stream, its message id, and where partitioned its time

NOTHING = Originals()


class MaskedRow(msgspec.Struct, frozen=True, gc=False):
    """One row of a stream's table. Its cells are masked: the store takes nothing else.

    A row also carries the originals of its tokens, for the vault to seal.
    """

    message_id: str  # a UUID
    sent_at: str  # ISO 8601, UTC
    cells: Row
    originals: Originals = NOTHING
    nulled: tuple[str, ...] = ()  # pointers of the fields whose value broke its rule and became NULL
    stream: str = ""  # the name of its stream; a store of one stream does not need it
    is_partitioned: bool = False  # by time: then the time is part of the key

    @property
    def key(self) -> Key:
        return self.stream, self.message_id, self.sent_at if self.is_partitioned else ""


class Rejection(msgspec.Struct, frozen=True):
    """One row of the table `rejection`: why a message never became a row, and what it looked like."""

    message_id: str  # a UUID
    stream: str  # its name
    reason: str
    pointer: str
    shape: dict[str, object]
