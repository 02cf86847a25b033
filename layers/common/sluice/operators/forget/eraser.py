"""The erasure of persons: their rows and sealed values are deleted, the erasure is remembered and logged.

An erasure reaches the rows of every declared stream that names its subject. It also reaches the sealed values of the
tokens in these rows, unless a row of another stream or person uses them.

It does not reach queues and dead letters: what was sent before the erasure is not stored when it is taken in. Nor does
it reach the database's write-ahead log, replicas and backups (see `Repeat`), streams without a subject, rows that only
mention the person as somebody else, and what was exported.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.operators.audit import audit_log
from sluice.operators.audit.audit_log import Head
from sluice.operators.forget import persons
from sluice.operators.forget.persons import Person, Subjects
from sluice.operators.forget.requests import Erase, Repeat, Request, Sweep
from sluice.operators.forget.rows import erase_rows
from sluice.operators.forget.sealed import erase_sealed, sweep
from sluice.postgres.database import Database, now
from sluice.postgres.driver import Connection
from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset_secret import KeysetVersion
from sluice.telemetry import logger
from sluice.vault import erasures


class Outcome(NamedTuple):
    """What is gone, and whose."""

    erased: Mapping[str, datetime]  # when, by subject token
    rows: Mapping[str, int]  # by the name of the stream
    values: int
    data_keys: int = 0


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
            for subject_token, erased_at in outcome.erased.items():  # what a repeat after a restore needs
                logger.info("erased", extra={"subject_token": subject_token, "erased_at": erased_at.isoformat()})
        return _answer(request, outcome)

    def _work(self, request: Request, deadline: Deadline) -> Callable[[Connection], Outcome]:
        """Return what is to be done in the transaction. Raises Refused."""
        match request:
            case Erase(subject=text):
                meant = persons.of_text(self._streams, self._keyset, text)
                return lambda connection: self._erase(connection, self._now(connection, meant))
            case Repeat():
                last_erased = persons.of_erasures(self._keyset, request.erasures)
                return lambda connection: self._erase(connection, self._again(connection, last_erased, deadline))
            case Sweep():
                return lambda connection: Outcome({}, {}, *sweep(connection, self._all_streams))

    def _now(self, connection: Connection, meant: Mapping[tuple[str, ...], Subjects]) -> list[Person]:
        """Return the persons that a text means, to be erased now, with all their rows."""
        moment = now(connection)
        # Older tokens are remembered only while a batch may look for them: later they must be in no table, since their
        # token key may have leaked.
        is_settled = moment > self._settled_at
        return [
            Person(tokens[-1], () if is_settled else tokens[:-1], moment, None, subjects)
            for tokens, subjects in meant.items()
        ]

    def _again(self, connection: Connection, last_erased: Mapping[str, datetime], deadline: Deadline) -> list[Person]:
        """Return persons who were erased before, to be erased again with the rows that were sent until then."""
        moment = now(connection)
        erased_at = {token: min(last, moment) for token, last in last_erased.items()}
        found = persons.find(connection, self._streams, self._keyset, erased_at, deadline)
        return [Person(token, (), erased_at[token], erased_at[token], subjects) for token, subjects in found.items()]

    def _erase(self, connection: Connection, whom: Iterable[Person]) -> Outcome:
        erased: dict[str, datetime] = {}
        rows = dict.fromkeys((stream.stream_name for stream in self._streams), 0)
        tokens: dict[str, set[str]] = defaultdict(set)
        for person in whom:
            for token in (person.subject_token, *person.older_tokens):
                erasures.remember(connection, token, person.erased_at)
            erased[person.subject_token] = person.erased_at
            for stream, subjects in person.subjects.items():
                gone = erase_rows(connection, stream, subjects, person.sent_before)
                rows[stream.stream_name] += gone.rows
                for domain, several in gone.tokens.items():
                    tokens[domain] |= several
        return Outcome(erased, rows, erase_sealed(connection, self._all_streams, self._keyset, tokens))


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
        counts={"rows": sum(outcome.rows.values()), "values": outcome.values, "data_keys": outcome.data_keys},
    )


def _answer(request: Request, outcome: Outcome) -> dict[str, Any]:
    gone: dict[str, Any] = {"values": outcome.values, "dry_run": request.dry_run}
    match request:
        case Sweep():
            return {"data_keys": outcome.data_keys, **gone}
        case Repeat():
            return {"subject_tokens": list(outcome.erased), "rows": dict(outcome.rows), **gone}
        case Erase():
            erased_at = None if request.dry_run else max(outcome.erased.values()).isoformat()
            return {
                "erased_at": erased_at,
                "subject_tokens": list(outcome.erased),
                "rows": dict(outcome.rows),
                **gone,
            }
