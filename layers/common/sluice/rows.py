"""What may be written: rows that are masked, and rejections that hold no value of the record."""

import msgspec

from sluice.stream import Row


class MaskedRow(msgspec.Struct, frozen=True):
    """One row of a stream's table. Its fields beyond the envelope are masked: the store takes nothing else."""

    message_id: str  # a UUID
    sent_at: str  # ISO 8601, UTC
    cells: Row


class Rejection(msgspec.Struct, frozen=True):
    """One row of the table `rejection`: why a message never became a row, and what it looked like."""

    message_id: str  # a UUID
    stream: str
    reason: str
    pointer: str
    shape: dict[str, object]
