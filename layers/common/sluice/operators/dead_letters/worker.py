"""What redrive and purge share: page after page of dead letters is decided on, audited, then changed.

The audit log is written before a letter is touched. So it may say more of a page than was done, if the call ended in
between, and never less.
"""

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from sluice.deadline import Deadline
from sluice.declaration import whose
from sluice.declaration.route import Queued
from sluice.operators.audit import audit_log
from sluice.operators.audit.audit_log import Head
from sluice.operators.dead_letters import causes
from sluice.operators.dead_letters.causes import Cause
from sluice.operators.dead_letters.letters import DeadLetterQueue, Letter, batches
from sluice.operators.dead_letters.requests import Purge, Redrive
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset import Keyset
from sluice.telemetry import logger

PAGE_LETTERS = 1000  # decided on in one transaction


@dataclass(frozen=True)
class Call:
    """What a worker needs for one call: who calls, whose letters are wanted, and where they are."""

    actor: str
    queued: Queued
    queue: DeadLetterQueue
    database: Database
    keyset: Keyset
    deadline: Deadline


class Candidate(NamedTuple):
    """A letter with what may select it. Its subjects are clear personal data: the persons' canonical texts."""

    letter: Letter
    cause: Cause
    subjects: Sequence[Sequence[str]]  # of each record; none where it does not say whose it is


class Plan(NamedTuple):
    """What is to be done with the letters of a page, and how many others stay."""

    send: Sequence[Letter] = ()
    delete: Sequence[Letter] = ()
    newer: int = 0  # letters that were sent since the first call began
    subject_unknown: int = 0  # letters that do not say whose they are, when a person's are wanted
    reasons: Mapping[str, int] = {}  # letters by reason: see the worker's `reasons_are`


@dataclass
class Outcome:
    """What has become of the letters; in a dry run, what would."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    is_cut_short: bool = False  # the time was over before a page was done


class Worker(ABC):
    """Works through a dead-letter queue. A subclass says what to do with the letters of a page."""

    answers: ClassVar[Sequence[str]]  # the counts that the answer has beside those of every worker
    reasons_are: ClassVar[str]  # the answer's name for letters by reason

    def __init__(self, call: Call, request: Redrive | Purge) -> None:
        self._call = call
        self._selection = request
        self._ids = frozenset(request.ids or ())
        self._began_at = int(time.time() * 1000) if request.began_at is None else request.began_at
        action = str(request.__struct_config__.tag)
        self._action = f"{action}_dry_run" if request.dry_run else action
        self._subject_tokens: list[str] = []  # for the audit log, where one person's letters are wanted

    @abstractmethod
    def _plan(self, connection: Connection, candidates: Sequence[Candidate]) -> Plan:
        """Decide what to do with the letters of a page."""

    @abstractmethod
    def _counts(self, plan: Plan) -> dict[str, int]:
        """Return the plan in numbers: what a dry run answers."""

    def _audited_counts(self, plan: Plan) -> dict[str, int]:
        """Return the plan in numbers, as the audit log has it."""
        return self._counts(plan)

    @abstractmethod
    def _carry_out(self, plan: Plan, outcome: Outcome) -> None:
        """Send and delete letters as planned, as far as there is time, and count them. Raises Outage."""

    def _page_letters(self) -> int:
        return PAGE_LETTERS

    def run(self) -> dict[str, Any]:
        """Work through the queue and tell what became of it; `done` says that no letter is left to look at.

        Raises Refused or Outage. What was done until then stays.
        """
        outcome, is_first = Outcome(), True
        try:
            while self._call.queue.has_more and not outcome.is_cut_short:
                letters = self._call.queue.receive(self._page_letters())
                plan = self._decide(letters, is_first)
                self._change(letters, plan, outcome)
                is_first = False
        finally:
            told = {"action": self._action, "stream": self._selection.stream, "counts": dict(outcome.counts)}
            logger.info("dead letters handled", extra=told)
        queue = self._call.queue
        return {
            "done": queue.is_exhausted and not queue.hides_more and not outcome.is_cut_short,
            "began_at": self._began_at,
            "dry_run": self._selection.dry_run,
            **{name: outcome.counts[name] for name in ("looked_at", *self.answers, "not_deleted", "newer")},
            self.reasons_are: dict(outcome.reasons),
        }

    def _decide(self, letters: Sequence[Letter], is_first: bool) -> Plan:
        """Return the plan for a page, once the audit log has it. A page that changes nothing has no row there."""

        def decide(connection: Connection) -> tuple[Plan, Head | None]:
            check_values.check(connection, self._call.keyset)
            plan = self._plan(connection, self._candidates(connection, letters))
            is_worth_a_row = is_first or plan.send or plan.delete
            return plan, audit_log.append(connection, self._entry(plan)) if is_worth_a_row else None

        plan, head = self._call.database.transact_once(decide, self._call.deadline)
        if head:
            audit_log.log_head(head)
        return plan

    def _candidates(self, connection: Connection, letters: Sequence[Letter]) -> list[Candidate]:
        found = causes.read(connection, self._call.queued, letters)
        return [Candidate(letter, found[letter], whose.of_each(self._call.queued, letter.body)) for letter in letters]

    def _select(self, candidates: Iterable[Candidate]) -> tuple[list[Candidate], int]:
        """Return the selected letters that are older than the first call, and how many are newer."""
        selected = [candidate for candidate in candidates if self._selects(candidate)]
        older = [candidate for candidate in selected if candidate.letter.last_sent_milliseconds < self._began_at]
        return older, len(selected) - len(older)

    def _selects(self, candidate: Candidate) -> bool:
        letter, reason = candidate.letter, self._selection.rejected_as
        has_id = not self._ids or not self._ids.isdisjoint(
            {letter.message_id, letter.sqs_message_id, *causes.ids(self._call.queued, letter)}
        )
        return has_id and (reason is None or reason in candidate.cause.reasons)

    def _entry(self, plan: Plan) -> audit_log.Entry:
        return audit_log.Entry(
            actor=self._call.actor,
            action=self._action,
            reason=self._selection.reason,
            ticket=self._selection.ticket,
            subject_token=self._subject_tokens[0] if self._subject_tokens else None,
            tokens=self._subject_tokens,
            counts=self._audited_counts(plan),
        )

    def _change(self, letters: Sequence[Letter], plan: Plan, outcome: Outcome) -> None:
        """Carry out the plan for a page, or in a dry run only count it."""
        outcome.reasons.update(plan.reasons)
        outcome.counts["looked_at"] += len(letters)
        if self._selection.dry_run:
            outcome.counts.update(self._counts(plan))
            return
        outcome.counts.update({"newer": plan.newer, "subject_unknown": plan.subject_unknown})
        self._carry_out(plan, outcome)

    def _delete(self, letters: Iterable[Letter], counted_as: str, outcome: Outcome) -> None:
        """Delete letters while there is time."""
        for batch in batches(letters):
            if not self._call.queue.has_time():
                outcome.is_cut_short = True
                return
            deleted = self._call.queue.delete(batch, for_good=True)
            outcome.counts.update({counted_as: deleted, "not_deleted": len(batch) - deleted})
