"""The audit log as its readers see it: its rows, and whether they are still what was appended.

It computes the hashes as `audit_append` of migrate/sql/0004_vault.sql does. It trusts no function of the database:
somebody who can rewrite the rows can rewrite the functions, too.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

import msgspec

from sluice.deadline import Deadline
from sluice.operators.audit.audit_log import Head
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection

MOST_ROWS = 1000  # of an answer, whose size Lambda bounds, and of what is read at once
MOST_HEADS = 10_000  # of a request, whose size Lambda bounds
FIELDS = 9  # of a row, from which its hash is made, after the hash of the row before

type RowId = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
type Hash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class LoggedHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the audit log as a function's log has told it, right after the row was written."""

    id: RowId
    hash: Hash


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action"):
    pass


class Verify(_Request, frozen=True, tag="verify"):
    """Tell whether rows were changed; with heads from the logs also whether the last ones, or all, were replaced."""

    heads: Annotated[list[LoggedHead], msgspec.Meta(max_length=MOST_HEADS)] = []


class ListRows(_Request, frozen=True, tag="list"):
    """Return rows as they are."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)] = MOST_ROWS


Request = Verify | ListRows


@dataclass(frozen=True)
class Row:
    """A row of `audit_log`, as the texts from which its hash is made."""

    fields: Sequence[str | None]  # id, at, actor, action, reason, ticket, subject_token, tokens, counts
    previous_hash: str
    hash: str

    @property
    def id(self) -> int:
        return int(str(self.fields[0]))

    def computed_hash(self) -> str:
        """Return the hash that the row must have: each text follows its length in bytes, and NULL is `-`."""
        texts = [None if field is None else field.encode() for field in (self.previous_hash, *self.fields)]
        return sha256(b"".join(b"-" if text is None else b"%d:%b" % (len(text), text) for text in texts)).hexdigest()


def run(database: Database, request: Request, deadline: Deadline) -> dict[str, Any]:
    """Do what is asked for, in one transaction. Raises Outage."""
    match request:
        case Verify(heads=heads):
            return database.transact(lambda connection: verify(_rows(connection, deadline), heads), deadline)
        case ListRows():
            return {"rows": database.transact(lambda connection: _list(connection, request), deadline)}


def verify(rows: Iterable[Row], heads: Iterable[LoggedHead]) -> dict[str, Any]:
    """Follow the chain through all rows, and say which is the first that is not as it was appended."""
    logged: dict[int, set[str]] = defaultdict(set)
    for one in heads:
        logged[one.id].add(one.hash)
    count, head, broken = 0, Head(0, ""), None
    for row in rows:
        rule = _broken_rule(row, head, logged.get(row.id, set()))
        if rule and not broken:
            broken = (head.id + 1 if row.id > head.id + 1 else row.id, rule)
        count, head = count + 1, Head(row.id, row.hash)
    if not broken and max(logged, default=0) > head.id:
        broken = (head.id + 1, "the log ends before a row that was logged")
    first_broken, rule = broken or (None, "")
    told = {"id": head.id, "hash": head.hash} if count else None
    return {"rows": count, "head": told, "intact": not broken, "first_broken": first_broken, "rule": rule}


def _broken_rule(row: Row, head: Head, logged: set[str]) -> str:
    """Return what is wrong with the row that comes after `head`, or nothing."""
    if row.id != head.id + 1:
        return "a row is missing"
    if row.previous_hash != head.hash:
        return "the row does not hold the hash of the one before"
    if row.hash != row.computed_hash():
        return "the row's hash is not that of its fields"
    if not logged <= {row.hash}:
        return "the row's hash is not the one that was logged"
    return ""


def _rows(connection: Connection, deadline: Deadline) -> Iterator[Row]:
    after = 0
    while True:
        deadline.seconds_left()
        page: Any = connection.run(
            # YYYY is the same before Christ: without the CASE a row could be moved there unnoticed.
            "SELECT id::text, CASE WHEN at > '2000-01-01' THEN"
            """ to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END,"""
            " actor::text, action::text, reason::text, ticket::text, subject_token::text, tokens::text, counts::text,"
            " encode(previous_hash, 'hex'), encode(hash, 'hex')"
            f" FROM audit_log l WHERE l.id > :after ORDER BY l.id LIMIT {MOST_ROWS}",  # `id` alone is the text above
            after=after,
        )
        for row in page:
            yield Row(row[:FIELDS], *row[FIELDS:])
        if len(page) < MOST_ROWS:
            return
        after = int(page[-1][0])


def _list(connection: Connection, request: ListRows) -> list[Any]:
    rows: Any = connection.run(
        "SELECT to_jsonb(l) || jsonb_build_object("
        "'at', at AT TIME ZONE 'UTC', 'previous_hash', encode(previous_hash, 'hex'), 'hash', encode(hash, 'hex'))"
        " FROM audit_log l WHERE id > :after ORDER BY id LIMIT :limit",
        after=request.after,
        limit=request.limit,
    )
    return [row for (row,) in rows]
