"""A request to erase in; rows and sealed values gone, the erasure remembered and logged, what went out.

Reached are the rows of every declared stream that names its subject, and the sealed values of their tokens that no row
of any stream uses. Not reached are queues and dead letters (what was sent before the erasure is not stored when it is
taken in), the database's write-ahead log, replicas and backups (see `Repeat`), streams without a subject, rows that
only mention the person as somebody else, and what was exported.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec

from sluice.deadline import Deadline
from sluice.declaration.personal import SUBJECT, Subject
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.operators.audit import audit_log
from sluice.operators.audit.audit_log import Head, Reason
from sluice.operators.call import Refused, Ticket, Token
from sluice.operators.forget import removal
from sluice.postgres.cells import Cell
from sluice.postgres.database import Database, now
from sluice.postgres.driver import Connection, identifier
from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset import TOKEN
from sluice.pseudonyms.keyset_secret import KeysetVersion
from sluice.telemetry import logger
from sluice.vault import erasures

WALK_ROWS = 20_000  # read at once, to look for persons by their tokens alone

type SubjectText = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action"):
    reason: Reason
    ticket: Ticket
    dry_run: bool = False  # everything is done, counted and undone; only the audit log has a row more


class Forget(_Request, frozen=True, kw_only=True, tag="forget"):
    """Erase a person: `subject` is clear personal data, so no representation shows it."""

    subject: SubjectText

    def __repr__(self) -> str:
        return "Forget()"


class Sweep(_Request, frozen=True, kw_only=True, tag="sweep"):
    """Remove sealed values that no row of a declared stream uses, and data keys that no sealed value uses.

    That is what remains when rows are deleted otherwise, as by a retention period, or when a stream is no longer
    declared.
    """


class Erasure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An erasure as it was logged."""

    subject_token: Token
    erased_at: Annotated[datetime, msgspec.Meta(tz=True)]


class Repeat(_Request, frozen=True, kw_only=True, tag="repeat"):
    """Erase again, in a database restored from a backup, whom the logs say was erased since.

    Rows that were sent after the erasure stay. It reads every row's subject, and batches wait meanwhile.
    """

    erasures: Annotated[list[Erasure], msgspec.Meta(min_length=1, max_length=100)]


Request = Forget | Sweep | Repeat


class Person(NamedTuple):
    """Whom to erase: what the subjects' columns have of them, by stream."""

    subject_token: str  # under the current key
    older_tokens: Sequence[str]  # under keys that some batches may still use
    erased_at: datetime
    sent_before: datetime | None  # later rows stay
    subjects: Mapping[type[Stream], Sequence[Cell]]


class Outcome(NamedTuple):
    """What is gone, and whose."""

    erased: Mapping[str, datetime]  # by subject token
    rows: Mapping[str, int]  # by table
    values: int
    data_keys: int = 0


class Forgetter:
    """The tables of some streams and the vault, as the forget role may use them."""

    def __init__(self, database: Database, streams: Sequence[type[Stream]], version: KeysetVersion) -> None:
        self._database = database
        self._streams = [stream for stream in streams if stream.subject]
        self._all_streams = streams
        self._keyset = version.keyset
        self._settled_at = version.settled_at

    def run(self, actor: str, request: Request, deadline: Deadline) -> dict[str, Any]:
        """Do what is asked for, in one transaction, and return what is gone. Raises Refused or Outage."""
        work = self._work(request, deadline)

        def transaction(connection: Connection) -> tuple[Outcome, Head]:
            # As long as it takes, but no longer than there is someone to commit it: batches wait for it.
            connection.run(f"SET LOCAL statement_timeout = {int(deadline.seconds_left() * 1000) + 1}")
            check_values.check(connection, self._keyset)
            connection.run("SAVEPOINT erasure")
            erasures.exclude(connection)
            outcome = work(connection)
            if request.dry_run:
                connection.run("ROLLBACK TO SAVEPOINT erasure")
            return outcome, audit_log.append(connection, _entry(actor, request, outcome))

        outcome, head = self._database.transact(transaction, deadline)
        audit_log.log_head(head)
        if not request.dry_run:
            for subject_token, erased_at in outcome.erased.items():  # what a restore from backup needs to be repeated
                logger.info("erased", extra={"subject_token": subject_token, "erased_at": erased_at.isoformat()})
        return _answer(request, outcome)

    def _work(self, request: Request, deadline: Deadline) -> Callable[[Connection], Outcome]:
        match request:
            case Forget(subject=subject):
                persons = self._persons(subject)
                return lambda connection: self._erase(connection, persons(now(connection)))
            case Repeat(erasures=erasures):
                wanted = self._wanted(erasures)
                return lambda connection: self._erase(connection, self._found(connection, wanted, deadline))
            case Sweep():
                return lambda connection: Outcome({}, {}, *removal.remove_unused(connection, self._all_streams))

    def _erase(self, connection: Connection, persons: Iterable[Person]) -> Outcome:
        erased: dict[str, datetime] = {}
        rows = dict.fromkeys((stream.table for stream in self._streams), 0)
        tokens: dict[str, set[str]] = defaultdict(set)
        for person in persons:
            for token in (person.subject_token, *person.older_tokens):
                erasures.remember(connection, token, person.erased_at)
            erased[person.subject_token] = person.erased_at
            for stream, subjects in person.subjects.items():
                removed = removal.remove_rows(connection, stream, subjects, person.sent_before)
                rows[stream.table] += removed.rows
                for domain, several in removed.tokens.items():
                    tokens[domain] |= several
        values = removal.remove_sealed(connection, self._all_streams, self._keyset, tokens)
        return Outcome(erased, rows, values)

    def _persons(self, text: str) -> Callable[[datetime], list[Person]]:
        """Return the function from the moment of the erasure to whom it is about.

        Two streams may spell a person differently, so that one text is several persons. Raises Refused when no stream
        takes it.
        """
        subjects: dict[tuple[str, ...], dict[type[Stream], Sequence[Cell]]] = defaultdict(dict)
        for stream in self._streams:
            if stream.subject and (canonical := _canonical(stream.subject, text)) is not None:
                tokens = self._keyset.tokens(SUBJECT, stream.subject.rule.text(canonical))
                kept = [stream.subject.rule.cell(canonical)]
                subjects[tuple(tokens)][stream] = kept if stream.subject.is_kept else tokens
        if not subjects:
            raise Refused(400, "bad_request", "subject: is nothing that a stream's rule takes")

        def at(moment: datetime) -> list[Person]:
            # A table that a leaked key has left keeps no token of it, so only while somebody needs them.
            is_settled = moment > self._settled_at
            return [
                Person(tokens[-1], () if is_settled else tokens[:-1], moment, None, columns)
                for tokens, columns in subjects.items()
            ]

        return at

    def _wanted(self, erasures: Iterable[Erasure]) -> dict[str, datetime]:
        """Return by the subject's token under the current key when each was erased, the last time."""
        wanted: dict[str, datetime] = {}
        newer = self._keyset.newer(SUBJECT)
        for subject_token, erased_at in ((one.subject_token, one.erased_at) for one in erasures):
            if int(subject_token[1 : subject_token.index("_")]) > self._keyset.current:
                raise Refused(400, "bad_request", "erasures: a token is of a key newer than the current one")
            current = [subject_token, *newer(subject_token)][-1]
            wanted[current] = max(erased_at, wanted.get(current, erased_at))
        return wanted

    def _found(self, connection: Connection, wanted: Mapping[str, datetime], deadline: Deadline) -> list[Person]:
        """Look through the subjects of all rows for those of whom nothing but a token is known."""
        moment = now(connection)
        found: dict[str, dict[type[Stream], list[Cell]]] = {token: {} for token in wanted}
        for stream in self._streams:
            for token, subject in self._subjects(connection, stream, deadline):
                if token in found:
                    found[token].setdefault(stream, []).append(subject)
        return [
            Person(token, (), min(erased_at, moment), min(erased_at, moment), found[token])
            for token, erased_at in wanted.items()
        ]

    def _subjects(self, connection: Connection, stream: type[Stream], deadline: Deadline) -> Iterator[tuple[str, Cell]]:
        """Yield what the subject's column has with its token under the current key, made in memory."""
        subject, newer = stream.subject, self._keyset.newer(SUBJECT)
        pseudonymize = self._keyset.pseudonymizer(SUBJECT)
        for batch in _column(connection, stream, deadline):
            for text in set(batch):
                if subject and not subject.is_kept:
                    if TOKEN.fullmatch(text):
                        yield [text, *newer(text)][-1], text
                elif subject and (canonical := _canonical(subject, text)) is not None:
                    yield pseudonymize(subject.rule.text(canonical)), text


def _canonical(subject: Subject, text: str) -> Any:
    """Return the subject's canonical value, or None where the rule does not take the text."""
    try:
        return subject.canonical(text)
    except (Rejected, msgspec.ValidationError):
        return None


def _column(connection: Connection, stream: type[Stream], deadline: Deadline) -> Iterator[list[str]]:
    """Yield the subjects of all rows, some thousand at once, in the order of the primary key."""
    column = identifier(stream.subject.column) if stream.subject else "NULL"
    after: UUID | None = None
    while True:
        deadline.seconds_left()
        rows: Any = connection.run(
            f"SELECT message_id, {column}::text FROM {identifier(stream.table)}"
            " WHERE CAST(:after AS uuid) IS NULL OR message_id > CAST(:after AS uuid)"
            f" ORDER BY message_id LIMIT {WALK_ROWS}",
            after=after,
        )
        yield [text for _, text in rows if text is not None]
        if len(rows) < WALK_ROWS:
            return
        after = rows[-1][0]


def _entry(actor: str, request: Request, outcome: Outcome) -> audit_log.Entry:
    action = str(request.__struct_config__.tag)
    subject_tokens = list(outcome.erased)
    return audit_log.Entry(
        actor=actor,
        action=f"{action}_dry_run" if request.dry_run else action,
        reason=request.reason,
        ticket=request.ticket,
        subject_token=subject_tokens[0] if subject_tokens else None,
        tokens=subject_tokens,
        counts=_counts(outcome),
    )


def _counts(outcome: Outcome) -> dict[str, int]:
    return {"rows": sum(outcome.rows.values()), "values": outcome.values, "data_keys": outcome.data_keys}


def _answer(request: Request, outcome: Outcome) -> dict[str, Any]:
    gone: dict[str, Any] = {"values": outcome.values, "dry_run": request.dry_run}
    match request:
        case Sweep():
            return {"data_keys": outcome.data_keys, **gone}
        case Repeat():
            return {"subject_tokens": list(outcome.erased), "rows": dict(outcome.rows), **gone}
        case Forget():
            erased_at = None if request.dry_run else max(outcome.erased.values()).isoformat()
            return {
                "erased_at": erased_at,
                "subject_tokens": list(outcome.erased),
                "rows": dict(outcome.rows),
                **gone,
            }
