"""What an operator can ask of dead letters: list, redrive or purge them."""

from typing import Annotated

import msgspec

from sluice.operators.audit.audit_log import Reason
from sluice.operators.call import MESSAGE_ID, Ticket

type Id = Annotated[str, msgspec.Meta(pattern=rf"\A{MESSAGE_ID.pattern}\Z")]


class List(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action", tag="list"):
    """Tell what waits in a dead-letter queue."""

    stream: str
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100  # letters


class _Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action"):
    stream: str
    reason: Reason  # why the operator does it
    ticket: Ticket
    ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=1000)] | None = None  # message ids, or SQS's own
    rejected_as: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None  # a reason that `list` tells
    dry_run: bool = False  # everything is decided, counted and audited; nothing is sent or deleted
    # Milliseconds since 1970: when the first of several calls began. A letter that was sent since then is left for
    # another time. It may be one that an earlier call has redriven, and that was rejected once more.
    began_at: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Redrive(_Change, frozen=True, kw_only=True, tag="redrive"):
    """Send the selected letters to their stream's queue again.

    A letter that would be rejected today stays. A letter of a person who was erased since is deleted.
    """

    rate: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100  # letters per second


class Purge(_Change, frozen=True, kw_only=True, tag="purge"):
    """Delete the selected letters for good. `subject` is clear personal data, so no representation shows it."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None
    all: bool = False  # must be true when nothing else selects letters

    def __repr__(self) -> str:
        return "Purge()"


Request = List | Redrive | Purge
