"""Which dead letters, and what to do with them, in; ids, reasons and counts out: nothing else of them gets out.

A letter is sent before it is deleted, with the id and the time that it had. So whatever ends this in between, it is
there at least once, and all that there is of it becomes one row.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec

from sluice.deadline import Deadline
from sluice.declaration import whose
from sluice.declaration.personal import SUBJECT
from sluice.declaration.registry import load
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.ingest.batch import record_handler
from sluice.operators.audit import audit_log
from sluice.operators.audit.audit_log import Head, Reason
from sluice.operators.call import Refused, Ticket
from sluice.operators.dead_letters.letters import DeadLetterQueue, Letter, batches
from sluice.postgres.cells import array_cell
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import Queues
from sluice.telemetry import logger
from sluice.vault import erasures

PAGE_LETTERS = 1000  # decided on in one transaction
PAGE_SECONDS = 10  # of sending: what the audit log says is then done, soon
UNKNOWN = "unknown"  # the reason of a letter that was never rejected: an outage has used up its receives

type Id = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")]


class List(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action", tag="list"):
    """Tell what waits."""

    stream: str
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class _Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action"):
    stream: str
    reason: Reason  # why the operator does it
    ticket: Ticket
    ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=1000)] | None = None  # of rows, or SQS's own
    rejected_as: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None  # as `list` tells it
    dry_run: bool = False  # all is decided and counted, nothing is sent or deleted
    # Milliseconds since 1970; of a run of several calls the first. What was sent since then waits for the next run: it
    # may be a letter of this one, which was refused once more.
    began_at: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Redrive(_Change, frozen=True, kw_only=True, tag="redrive"):
    """Send letters to their stream's queue again: all that are selected, would pass today and are not erased."""

    rate: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100  # letters per second


class Purge(_Change, frozen=True, kw_only=True, tag="purge"):
    """Delete letters for good. `subject` is clear personal data, so no representation shows it."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None
    all: bool = False  # else some must be selected

    def __repr__(self) -> str:
        return "Purge()"


Request = List | Redrive | Purge


class Known(NamedTuple):
    """Why a letter is one, as the table `rejection` has it."""

    reason: str = UNKNOWN
    pointer: str = ""
    at: datetime | None = None


class Plan(NamedTuple):
    """What is to be done with letters, and why the others stay."""

    send: Sequence[Letter] = ()
    delete: Sequence[Letter] = ()
    counts: Mapping[str, int] = {}
    reasons: Mapping[str, int] = {}  # of a redrive why letters would still fail, of a purge why they are here


@dataclass
class Outcome:
    """What has become of the letters, in a dry run what would."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    is_cut_short: bool = False


class DeadLetters:
    """The dead letters of some streams, as the role of that name may handle them."""

    def __init__(self, database: Database, queues: Mapping[str, Queues], keyset: Keyset) -> None:
        self._database = database
        self._queues = queues
        self._keyset = keyset

    def run(self, actor: str, request: Request, deadline: Deadline) -> dict[str, Any]:
        """Do what is asked for, as far as there is time. Raises Refused or Outage; what was done until then stays."""
        if request.stream not in self._queues:
            raise Refused(400, "bad_request", f"stream: must be one of {', '.join(sorted(self._queues))}")
        stream = load(request.stream)
        with DeadLetterQueue(self._queues[request.stream], deadline) as queue:
            if isinstance(request, List):
                return self._list(request, stream, queue, deadline)
            return _Run(self._database, self._keyset, stream, queue, actor, request, deadline).answer()

    def _list(self, request: List, stream: type[Stream], queue: DeadLetterQueue, deadline: Deadline) -> dict[str, Any]:
        told: list[dict[str, Any]] = []
        while len(told) < request.limit and queue.has_more:
            letters = queue.receive(request.limit - len(told))
            told += self._database.transact(lambda connection: _told(connection, stream, letters), deadline)  # noqa: B023
        return {"letters": told, "more": not queue.is_exhausted}


class _Run:
    """One call that changes something: pages of letters, each decided on, audited and then carried out."""

    def __init__(
        self,
        database: Database,
        keyset: Keyset,
        stream: type[Stream],
        queue: DeadLetterQueue,
        actor: str,
        request: Redrive | Purge,
        deadline: Deadline,
    ) -> None:
        self._database = database
        self._keyset = keyset
        self._stream = stream
        self._queue = queue
        self._actor = actor
        self._request = request
        self._deadline = deadline
        self._began_at = int(time.time() * 1000) if request.began_at is None else request.began_at
        self._ids = frozenset(request.ids or ())
        self._subject = _person(stream, request.subject) if isinstance(request, Purge) and request.subject else None
        self._handle = record_handler(stream, keyset)
        self._free_at = 0.0  # on the monotonic clock: when the rate allows to send on
        if isinstance(request, Purge) and request.all == any((request.ids, request.rejected_as, request.subject)):
            raise Refused(400, "bad_request", "all: must be true unless ids, rejected_as or subject says which")

    def answer(self) -> dict[str, Any]:
        """Work through the queue and tell what became of it; `done` when nothing of it is left to look at."""
        outcome, plan = Outcome(), None
        try:
            while self._queue.has_more and not outcome.is_cut_short:
                letters = self._queue.receive(self._page_letters())
                plan = self._decide(letters, is_first=plan is None)
                self._count(plan, letters, outcome)
        finally:
            logger.info("dead letters handled", extra={**self._what(), "counts": dict(outcome.counts)})
        is_redrive = isinstance(self._request, Redrive)
        names = ("redriven", "erased", "not_sent") if is_redrive else ("purged", "subject_unknown")
        return {
            "done": self._queue.is_exhausted and not outcome.is_cut_short,
            "began_at": self._began_at,
            "dry_run": self._request.dry_run,
            **{name: outcome.counts[name] for name in ("looked_at", *names, "not_deleted", "newer")},
            "failing" if is_redrive else "reasons": dict(outcome.reasons),
        }

    def _page_letters(self) -> int:
        request = self._request
        if request.dry_run or isinstance(request, Purge):
            return PAGE_LETTERS
        return min(PAGE_LETTERS, max(10, request.rate * PAGE_SECONDS))

    def _decide(self, letters: Sequence[Letter], is_first: bool) -> Plan:
        """Return what is to be done, once the audit log says so."""

        def work(connection: Connection) -> tuple[Plan, Head | None]:
            check_values.check(connection, self._keyset)
            plan = self._plan(connection, letters)
            is_worth_a_row = is_first or plan.send or plan.delete
            return plan, audit_log.append(connection, self._entry(plan)) if is_worth_a_row else None

        plan, head = self._database.transact(work, self._deadline)
        if head:
            audit_log.log_head(head)
        return plan

    def _plan(self, connection: Connection, letters: Sequence[Letter]) -> Plan:
        known = _known(connection, self._stream, letters)
        subjects = {letter: whose.of_body(self._stream, letter.body) for letter in letters}
        selected = [letter for letter in letters if self._selects(letter, known, subjects)]
        older = [letter for letter in selected if letter.last_sent_milliseconds < self._began_at]
        newer = len(selected) - len(older)
        if isinstance(self._request, Redrive):
            return self._plan_redrive(connection, older, newer, subjects)
        reasons = Counter(_of(known, letter).reason for letter in older)
        nobodys = sum(subject is None for subject in subjects.values()) if self._subject is not None else 0
        return Plan((), older, {"purged": len(older), "newer": newer, "subject_unknown": nobodys}, reasons)

    def _plan_redrive(
        self, connection: Connection, letters: Sequence[Letter], newer: int, subjects: Mapping[Letter, str | None]
    ) -> Plan:
        persons = {letter: (subject, letter.sent_at) for letter in letters if (subject := subjects[letter]) is not None}
        erased = erasures.sent_before(connection, self._keyset, persons)
        verdicts = {letter: self._why_it_fails(letter) for letter in letters if letter not in erased}
        send = [letter for letter, reason in verdicts.items() if reason is None]
        failing = Counter(reason for reason in verdicts.values() if reason is not None)
        return Plan(send, list(erased), {"redriven": len(send), "erased": len(erased), "newer": newer}, failing)

    def _selects(self, letter: Letter, known: Mapping[str, Known], subjects: Mapping[Letter, str | None]) -> bool:
        reason = self._request.rejected_as
        return (
            (not self._ids or not self._ids.isdisjoint((letter.message_id, letter.sqs_message_id)))
            and (reason is None or _of(known, letter).reason == reason)
            and (self._subject is None or subjects[letter] == self._subject)
        )

    def _why_it_fails(self, letter: Letter) -> str | None:
        try:
            self._handle(letter.record)
        except Rejected as rejected:
            return rejected.reason
        return None

    def _count(self, plan: Plan, letters: Sequence[Letter], outcome: Outcome) -> None:
        outcome.reasons.update(plan.reasons)
        outcome.counts["looked_at"] += len(letters)
        if self._request.dry_run:
            outcome.counts.update(plan.counts)
            return
        outcome.counts.update({name: plan.counts.get(name, 0) for name in ("newer", "subject_unknown")})
        self._delete(plan, outcome)
        self._send(plan, outcome)

    def _delete(self, plan: Plan, outcome: Outcome) -> None:
        name = "erased" if isinstance(self._request, Redrive) else "purged"
        for letters in batches(plan.delete):
            if not self._queue.has_time():
                outcome.is_cut_short = True
                return
            deleted = self._queue.delete(letters)
            outcome.counts.update({name: deleted, "not_deleted": len(letters) - deleted})

    def _send(self, plan: Plan, outcome: Outcome) -> None:
        for letters in batches(plan.send):
            if not self._may_send(len(letters)):
                outcome.is_cut_short = True
                return
            sent = self._queue.send(letters)
            outcome.counts.update({"redriven": len(sent), "not_sent": len(letters) - len(sent)})
            # One that stays here is sent again by the next run, and is a duplicate then.
            outcome.counts["not_deleted"] += len(sent) - self._queue.delete(sent)

    def _may_send(self, letters: int) -> bool:
        """Wait until the rate allows to send so many; tell whether there is time for it."""
        pause = max(0.0, self._free_at - time.monotonic())
        if not self._queue.has_time(pause):
            return False
        time.sleep(pause)
        rate = self._request.rate if isinstance(self._request, Redrive) else 1
        self._free_at = time.monotonic() + letters / rate
        return True

    def _entry(self, plan: Plan) -> audit_log.Entry:
        is_redrive = isinstance(self._request, Redrive)
        counts = {**plan.counts, "failing": sum(plan.reasons.values())} if is_redrive else plan.counts
        person = [] if self._subject is None else self._keyset.tokens(SUBJECT, self._subject)[-1:]
        return audit_log.Entry(
            actor=self._actor,
            action=self._what()["action"],
            reason=self._request.reason,
            ticket=self._request.ticket,
            subject_token=person[0] if person else None,
            tokens=person,
            counts=counts,
        )

    def _what(self) -> dict[str, str]:
        action = str(self._request.__struct_config__.tag)
        return {"action": f"{action}_dry_run" if self._request.dry_run else action, "stream": self._request.stream}


def _told(connection: Connection, stream: type[Stream], letters: Sequence[Letter]) -> list[dict[str, Any]]:
    """Return what an operator may know of letters."""
    known, now = _known(connection, stream, letters), time.time()
    return [
        {
            "id": letter.message_id,
            "sqs_message_id": letter.sqs_message_id,
            "reason": (why := _of(known, letter)).reason,
            "pointer": why.pointer,
            "rejected_at": why.at.isoformat() if why.at else None,
            "receive_count": letter.receive_count,
            "age_seconds": max(0, int(now - letter.sent_at.timestamp())),
            "bytes": letter.body_bytes,
        }
        for letter in letters
    ]


def _known(connection: Connection, stream: type[Stream], letters: Iterable[Letter]) -> dict[str, Known]:
    """Return by message id why letters were rejected."""
    rows: Any = connection.run(
        "SELECT message_id, reason, pointer, at FROM rejection"
        " WHERE stream = :name AND message_id = ANY(CAST(:ids AS uuid[]))",
        name=stream.table,
        ids=array_cell(sorted({letter.message_id for letter in letters})),
    )
    return {str(message_id): Known(*why) for message_id, *why in rows}


def _of(known: Mapping[str, Known], letter: Letter) -> Known:
    return known.get(letter.message_id, Known())


def _person(stream: type[Stream], text: str) -> str:
    """Return the canonical text of a person. Raises Refused when the stream has none, or not such a one."""
    person = whose.canonical(stream, text)
    if person is None:
        raise Refused(400, "bad_request", "subject: is nobody whom this stream could name")
    return person
