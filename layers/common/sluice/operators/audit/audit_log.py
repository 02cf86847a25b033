"""The audit log: it says who did what to whose data, and why. Nobody can change a row of it unnoticed."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from sluice.postgres import sqlstate
from sluice.postgres.cells import array_cell
from sluice.postgres.driver import Connection, DatabaseError
from sluice.telemetry import logger

# Why somebody recovers, erases or moves personal data: a code and a ticket, no free text, which could hold a name.
type Reason = Literal[
    "data_subject_request",
    "fraud_investigation",
    "key_rotation",
    "legal_obligation",
    "operations",
    "retention",
    "security_incident",
    "support_request",
]

DAILY_LIMIT = "SL001"  # SQLSTATE of `audit_append`, see migrate/sql/0004_vault.sql


class LimitReached(Exception):
    """The caller has asked for as many values today as one may."""


class Head(NamedTuple):
    """The newest row of the log."""

    id: int
    hash: str  # 64 characters, hexadecimal


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is logged of one action. Nothing of it is a clear value."""

    actor: str  # the caller's ARN, as Lambda verified it
    action: str
    reason: str  # one of the declared codes
    ticket: str
    subject_token: str | None = None
    tokens: Sequence[str] = ()
    counts: Mapping[str, int] = {}


def append(connection: Connection, entry: Entry, daily_limit: int | None = None) -> Head:
    """Append a row to the log, as the last statement of the transaction, and return it as the new head.

    Raises LimitReached when the actor's tokens of this UTC day and action would be more than `daily_limit`.
    """
    try:
        rows = connection.run(
            "SELECT id, encode(hash, 'hex') FROM audit_append(:actor, :action, :reason, :ticket, :subject_token,"
            " CAST(:tokens AS text[]), CAST(:counts AS jsonb), CAST(:daily_limit AS integer))",
            **{
                **msgspec.structs.asdict(entry),
                "tokens": array_cell(entry.tokens),
                "counts": msgspec.json.encode(entry.counts).decode(),
                "daily_limit": daily_limit,
            },
        )
    except DatabaseError as error:
        if sqlstate.of(error) == DAILY_LIMIT:
            raise LimitReached from None
        raise
    ((row_id, row_hash),) = rows or []
    return Head(row_id, row_hash)


def log_head(head: Head) -> None:
    """Log the newest row, after it was committed.

    The database's owner cannot change that log. So nobody can replace rows of the audit log unnoticed.
    """
    logger.info("audit head", extra={"audit_id": head.id, "audit_hash": head.hash})
