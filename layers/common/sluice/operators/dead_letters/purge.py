"""The purge of dead letters: the selected ones are deleted for good."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from sluice.declaration import whose
from sluice.declaration.personal import SUBJECT
from sluice.declaration.route import Queued, streams_of
from sluice.operators.call import Refused
from sluice.operators.dead_letters.requests import Purge
from sluice.operators.dead_letters.worker import Call, Candidate, Outcome, Plan, Worker
from sluice.postgres.driver import Connection


class Purger(Worker):
    """Deletes letters, on request only those of one person.

    Raises Refused for a request that wants a person whom the stream cannot name, or all letters without `all`.
    """

    answers = ("purged", "subject_unknown")
    reasons_are = "reasons"  # why letters were dead

    def __init__(self, call: Call, request: Purge) -> None:
        super().__init__(call, request)
        self._person = None if request.subject is None else _canonical(call.queued, request.subject)
        if request.all == any((request.ids, request.rejected_as, request.subject)):
            raise Refused(400, "bad_request", "all: must be true unless ids, rejected_as or subject says which")
        self._subject_tokens = [call.keyset.tokens(SUBJECT, text)[-1] for text in sorted(self._person or ())]

    def _selects(self, candidate: Candidate) -> bool:
        return super()._selects(candidate) and (self._person is None or self._is_theirs(candidate))

    def _is_theirs(self, candidate: Candidate) -> bool:
        return self._person is not None and not self._person.isdisjoint(chain.from_iterable(candidate.subjects))

    def _plan(self, connection: Connection, candidates: Sequence[Candidate]) -> Plan:
        older, newer = self._select(candidates)
        unknown = [one for one in candidates if not all(one.subjects) and not self._is_theirs(one)]
        return Plan(
            delete=[candidate.letter for candidate in older],
            newer=newer,
            subject_unknown=0 if self._person is None else len(unknown),
            reasons=Counter(candidate.cause.reason for candidate in older),
        )

    def _counts(self, plan: Plan) -> dict[str, int]:
        return {"purged": len(plan.delete), "newer": plan.newer, "subject_unknown": plan.subject_unknown}

    def _carry_out(self, plan: Plan, outcome: Outcome) -> None:
        self._delete(plan.delete, "purged", outcome)


def _canonical(queued: Queued, text: str) -> frozenset[str]:
    """Return the canonical texts of a person, one for each spelling that a stream has.

    Raises Refused when no stream names persons, or none like this.
    """
    person = frozenset[str]().union(*(whose.canonical(stream, text) for stream in streams_of(queued)))
    if not person:
        raise Refused(400, "bad_request", "subject: is nobody whom this stream could name")
    return person
