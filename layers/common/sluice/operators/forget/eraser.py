"""The erasure of persons: their rows and sealed values are deleted, the erasure is remembered and logged.

An erasure reaches the rows of every declared stream that names its subject, and the mentions of the person in the rows
of others. It reaches the sealed values that identify the person, even if others use them. It also reaches the other
sealed values of the tokens in the person's rows, unless a row of another stream or person uses them.

It does not reach queues and dead letters: what was sent before the erasure is not stored when it is taken in. Nor does
it reach the database's write-ahead log, replicas and backups (see `Repeat`), streams without a subject, rows that
mention the person without saying so, and what was exported.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sluice.deadline import Deadline
from sluice.declaration.personal import SUBJECT
from sluice.declaration.stream import Stream
from sluice.ingest import ledger
from sluice.operators.audit import audit_log
from sluice.operators.audit.audit_log import Head
from sluice.operators.forget import persons
from sluice.operators.forget.persons import Meant, Person
from sluice.operators.forget.requests import Erase, Erasure, Repeat, Request, Sweep
from sluice.operators.forget.rows import count_mentions, count_rows, erase_mentions, erase_rows
from sluice.operators.forget.sealed import erase_sealed, older_forms, sweep
from sluice.postgres.database import Database, now
from sluice.postgres.driver import Connection
from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset_secret import KeysetVersion
from sluice.telemetry import logger
from sluice.vault import erasures


@dataclass
class Outcome:
    """What is gone, whose, and what stays."""

    erased: dict[str, Erasure] = field(default_factory=dict)  # by subject token
    rows: Counter[str] = field(default_factory=Counter)  # by the name of the stream
    mentions: Counter[str] = field(default_factory=Counter)  # rows that lost a token, by the name of the stream
    values: int = 0
    data_keys: int = 0
    stays: Counter[str] = field(default_factory=Counter)


class Eraser:
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
            check_values.check(connection, self._keyset)
            connection.run("SAVEPOINT erasure")
            erasures.exclude(connection)
            outcome = work(connection)
            if request.dry_run:
                connection.run("ROLLBACK TO SAVEPOINT erasure")
            return outcome, audit_log.append(connection, _entry(actor, request, outcome))

        outcome, head = self._database.transact_once(transaction, deadline)
        audit_log.log_head(head)
        if not request.dry_run:
            for erasure in outcome.erased.values():  # what a repeat after a restore needs
                logger.info(
                    "erased", extra=msgspec.structs.asdict(erasure) | {"erased_at": erasure.erased_at.isoformat()}
                )
        return _answer(request, outcome)

    def _work(self, request: Request, deadline: Deadline) -> Callable[[Connection], Outcome]:
        """Return what is to be done in the transaction. Raises Refused."""
        match request:
            case Erase(subject=text):
                meant = persons.of_text(self._streams, self._keyset, text)
                return lambda connection: self._erase(connection, self._now(connection, meant))
            case Repeat():
                logged = persons.of_erasures(self._keyset, request.erasures)
                return lambda connection: self._erase(connection, self._again(connection, logged, deadline))
            case Sweep():
                return self._sweep

    def _now(self, connection: Connection, meant: Iterable[Meant]) -> list[Person]:
        """Return the persons that a text means, to be erased now, with all their rows."""
        moment = now(connection)
        return [Person(one.subject_tokens, one.values, moment, None, one.subjects) for one in meant]

    def _again(self, connection: Connection, logged: Mapping[str, Erasure], deadline: Deadline) -> list[Person]:
        """Return persons who were erased before, to be erased again with the rows that were sent until then.

        The database may be from before a rekey. So tokens under older token keys are looked for.
        """
        moment = now(connection)
        subjects = persons.find(connection, self._streams, self._keyset, logged, deadline)
        older = persons.older_mentions(connection, self._all_streams, self._keyset, logged)
        again = []
        for token, erasure in logged.items():
            erased_at = min(erasure.erased_at, moment)
            values = older_forms(connection, self._keyset, erasure.values)
            again.append(Person([*older[token], token], values, erased_at, erased_at, subjects[token]))
        return again

    def _erase(self, connection: Connection, whom: Iterable[Person]) -> Outcome:
        outcome = Outcome(rows=Counter({stream.stream_name: 0 for stream in self._streams}))
        outcome.mentions.update({stream.stream_name: 0 for stream in self._all_streams if stream.mentioned.paths})
        tokens: dict[str, set[str]] = defaultdict(set)
        identifying: dict[str, set[str]] = defaultdict(set)
        whom = list(whom)
        for person in whom:
            self._remember(connection, person)
            values = {domain: several[-1] for domain, several in person.values.items()}
            outcome.erased[person.subject_token] = Erasure(person.subject_token, person.erased_at, values)
            for stream, names in person.subjects.items():
                gone = erase_rows(connection, stream, names, person.sent_before)
                outcome.rows[stream.stream_name] += gone.rows
                for domain, found in gone.tokens.items():
                    tokens[domain].update(found)
            sent_since = sum(count_rows(connection, *named) for named in person.subjects.items())
            if person.sent_before:
                outcome.stays["rows_sent_since"] += sent_since
            for domain, several in person.values.items():  # a person who came back gave them anew
                (tokens if sent_since else identifying)[domain].update(several)
            for stream in [stream for stream in self._all_streams if stream.mentioned.paths]:
                changed = erase_mentions(connection, stream, person.subject_tokens, person.sent_before)
                outcome.mentions[stream.stream_name] += changed
        ledger.note_removed(connection, outcome.rows)
        sealed = erase_sealed(connection, self._all_streams, self._keyset, tokens, identifying)
        outcome.values = sealed.erased
        outcome.stays["values_used_by_others"] = sealed.used_by_others
        outcome.stays["rows_that_mention"] = sum(self._count_mentions(connection, person) for person in whom)
        return outcome

    def _remember(self, connection: Connection, person: Person) -> None:
        """Remember the erasure for those who write rows.

        Older tokens are remembered only while a batch may look for them: later they must be in no table, since their
        token key may have leaked.
        """
        first = -1 if person.erased_at > self._settled_at or person.sent_before else 0
        for token in person.subject_tokens[first:]:
            erasures.remember(connection, token, person.erased_at)
        erasures.remember_values(connection, {domain: several[first:] for domain, several in person.values.items()})

    def _count_mentions(self, connection: Connection, person: Person) -> int:
        tokens = {SUBJECT: person.subject_tokens, **person.values}
        return sum(
            count_mentions(connection, stream, tokens, person.subjects.get(stream, {})) for stream in self._all_streams
        )

    def _sweep(self, connection: Connection) -> Outcome:
        values, data_keys = sweep(connection, self._all_streams)
        return Outcome(values=values, data_keys=data_keys)


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
        counts={
            "rows": outcome.rows.total(),
            "mentions": outcome.mentions.total(),
            "values": outcome.values,
            "data_keys": outcome.data_keys,
            **outcome.stays,
        },
    )


def _answer(request: Request, outcome: Outcome) -> dict[str, Any]:
    if isinstance(request, Sweep):
        return {"data_keys": outcome.data_keys, "values": outcome.values, "dry_run": request.dry_run}
    answer = {
        "subject_tokens": list(outcome.erased),
        "rows": dict(outcome.rows),
        "mentions": dict(outcome.mentions),
        "values": outcome.values,
        "stays": dict(outcome.stays),
        "dry_run": request.dry_run,
    }
    if isinstance(request, Repeat):
        return answer
    erased_at = max(erasure.erased_at for erasure in outcome.erased.values())
    return {"erased_at": None if request.dry_run else erased_at.isoformat(), **answer}
