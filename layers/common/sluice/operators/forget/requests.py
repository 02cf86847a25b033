"""What an operator can ask of the function: erase a person, sweep, or repeat erasures."""

from datetime import datetime
from typing import Annotated

import msgspec

from sluice.declaration.personal import LONGEST_DOMAIN
from sluice.operators.audit.audit_log import Reason
from sluice.operators.call import Ticket, Token

type Domain = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_DOMAIN)]
type SubjectText = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action"):
    reason: Reason
    ticket: Ticket
    dry_run: bool = False  # everything is done, counted and undone; only the audit log gets a row


class Erase(_Request, frozen=True, kw_only=True, tag="forget"):
    """Erase a person. `subject` is clear personal data, so no representation shows it."""

    subject: SubjectText

    def __repr__(self) -> str:
        return "Erase()"


class Sweep(_Request, frozen=True, kw_only=True, tag="sweep"):
    """Delete the sealed values that no row of a declared stream uses, and the data keys that no sealed value uses.

    They are left over when rows are deleted in another way, as by a retention period, or when a stream is no longer
    declared.
    """


class Erasure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An erasure as it was logged."""

    subject_token: Token
    erased_at: Annotated[datetime, msgspec.Meta(tz=True)]
    values: dict[Domain, Token] = {}  # what identifies the person, by domain


class Repeat(_Request, frozen=True, kw_only=True, tag="repeat"):
    """Erase again, in a database restored from a backup, the persons who were erased since that backup.

    Rows that were sent after the erasure stay. This reads the subject of every row, and batches wait meanwhile.
    """

    erasures: Annotated[list[Erasure], msgspec.Meta(min_length=1, max_length=100)]


Request = Erase | Sweep | Repeat
