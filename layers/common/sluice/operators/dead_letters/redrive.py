"""The redrive of dead letters: each is sent to its stream's queue again, then deleted here.

A letter keeps its id and its time. It is sent before it is deleted. So whatever ends a redrive, no letter is lost, and
a letter that was sent twice still becomes one row.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence

from sluice.declaration.route import streams_of
from sluice.failures import Rejected
from sluice.ingest.batch import record_handler
from sluice.operators.dead_letters import worker
from sluice.operators.dead_letters.letters import Letter, batches
from sluice.operators.dead_letters.requests import Redrive
from sluice.operators.dead_letters.worker import Call, Candidate, Outcome, Plan, Worker
from sluice.postgres.driver import Connection
from sluice.vault import erasures

PAGE_SECONDS = 10  # of sending: so a page is sent soon after the audit log says so


class Redriver(Worker):
    """Sends letters that ingest would store today. Letters of persons who were erased are deleted instead."""

    answers = ("redriven", "erased", "not_sent")
    reasons_are = "failing"  # why letters would be rejected again

    def __init__(self, call: Call, request: Redrive) -> None:
        super().__init__(call, request)
        self._request = request
        self._handle = record_handler(call.queued, call.keyset)
        self._free_at = 0.0  # seconds on the monotonic clock: when the rate allows the next letters

    def _page_letters(self) -> int:
        if self._request.dry_run:
            return worker.PAGE_LETTERS
        return min(worker.PAGE_LETTERS, max(10, self._request.rate * PAGE_SECONDS))

    def _plan(self, connection: Connection, candidates: Sequence[Candidate]) -> Plan:
        older, newer = self._select(candidates)
        erased = self._erased(connection, older)
        reasons = {letter: self._why_rejected(letter) for letter, *_ in older if letter not in erased}
        return Plan(
            send=[letter for letter, reason in reasons.items() if reason is None],
            delete=list(erased),
            newer=newer,
            reasons=Counter(reason for reason in reasons.values() if reason is not None),
        )

    def _erased(self, connection: Connection, candidates: Iterable[Candidate]) -> set[Letter]:
        """Return the letters all of whose records are about a person who was erased after the letter was sent."""
        if any(stream.splitter and stream.postmark.time for stream in streams_of(self._call.queued)):
            return set()  # each record has a time of its own: ingest decides
        sent = {
            (letter, index): (subjects, letter.sent_at)
            for letter, _, records in candidates
            for index, subjects in enumerate(records)
            if all(records)
        }
        erased = erasures.sent_before(connection, self._call.keyset, sent)
        return {letter for letter, _ in erased} - {letter for letter, _ in sent.keys() - erased}

    def _why_rejected(self, letter: Letter) -> str | None:
        """Return why ingest would reject the letter today, or None when it would not."""
        if letter.fault is not None:
            return letter.fault.reason
        try:
            refusals = self._handle(letter.record).refusals
        except Rejected as rejected:
            return rejected.reason
        return refusals[0].rejected.reason if refusals else None

    def _counts(self, plan: Plan) -> dict[str, int]:
        return {"redriven": len(plan.send), "erased": len(plan.delete), "newer": plan.newer}

    def _audited_counts(self, plan: Plan) -> dict[str, int]:
        return {**self._counts(plan), "failing": sum(plan.reasons.values())}

    def _carry_out(self, plan: Plan, outcome: Outcome) -> None:
        self._delete(plan.delete, "erased", outcome)
        self._send(plan.send, outcome)

    def _send(self, letters: Iterable[Letter], outcome: Outcome) -> None:
        for batch in batches(letters):
            if not self._may_send(len(batch)):
                outcome.is_cut_short = True
                return
            sent = self._call.queue.send(batch)
            outcome.counts.update({"redriven": len(sent), "not_sent": len(batch) - len(sent)})
            # A letter that cannot be deleted is sent again by the next redrive. It is a duplicate then.
            outcome.counts["not_deleted"] += len(sent) - self._call.queue.delete(sent)

    def _may_send(self, letters: int) -> bool:
        """Wait until the rate allows to send so many letters. Tell whether there is time for it."""
        pause_seconds = max(0.0, self._free_at - time.monotonic())
        if not self._call.queue.has_time(pause_seconds):
            return False
        time.sleep(pause_seconds)
        self._free_at = time.monotonic() + letters / self._request.rate
        return True
