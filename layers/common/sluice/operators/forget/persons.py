"""The persons to erase: found by a text that an operator typed, or by the tokens of logged erasures."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from sluice.deadline import Deadline
from sluice.declaration.personal import SUBJECT, Subject
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.operators.call import Refused
from sluice.operators.forget.requests import Erasure
from sluice.postgres.cells import Cell
from sluice.postgres.driver import Connection, identifier, quoted_table
from sluice.pseudonyms.keyset import TOKEN, Keyset

WALK_ROWS = 20_000  # read at once, where persons are looked for by their tokens

type Subjects = Mapping[type[Stream], Sequence[Cell]]  # what the subject's column of each stream has of a person


class Person(NamedTuple):
    """A person to erase. The subjects can be clear personal data."""

    subject_token: str  # under the current token key
    older_tokens: Sequence[str]  # under token keys that some batches may still use
    erased_at: datetime
    sent_before: datetime | None  # rows that were sent later stay; None: none stays
    subjects: Subjects


def of_text(streams: Iterable[type[Stream]], keyset: Keyset, text: str) -> dict[tuple[str, ...], Subjects]:
    """Return whom a text means: the subjects of each person, by all tokens of the person, the current one last.

    If two streams spell a person differently, one text means several persons. Raises Refused when no stream takes it.
    """
    found: dict[tuple[str, ...], dict[type[Stream], Sequence[Cell]]] = defaultdict(dict)
    for stream in streams:
        if stream.subject and (canonical := _canonical(stream.subject, text)) is not None:
            tokens = keyset.tokens(SUBJECT, stream.subject.rule.text(canonical))
            kept = [stream.subject.rule.cell(canonical)]
            found[tuple(tokens)][stream] = kept if stream.subject.is_kept else tokens
    if not found:
        raise Refused(400, "bad_request", "subject: is nothing that a stream's rule takes")
    return dict(found)


def of_erasures(keyset: Keyset, erasures: Iterable[Erasure]) -> dict[str, datetime]:
    """Return when each person was last erased, by the token under the current token key.

    Raises Refused when a token is of a newer one: nobody could say whose it is.
    """
    last_erased: dict[str, datetime] = {}
    newer = keyset.newer(SUBJECT)
    for subject_token, erased_at in ((one.subject_token, one.erased_at) for one in erasures):
        if int(subject_token[1 : subject_token.index("_")]) > keyset.current:
            raise Refused(400, "bad_request", "erasures: a token is of a key newer than the current one")
        current = [subject_token, *newer(subject_token)][-1]
        last_erased[current] = max(erased_at, last_erased.get(current, erased_at))
    return last_erased


def find(
    connection: Connection,
    streams: Iterable[type[Stream]],
    keyset: Keyset,
    subject_tokens: Iterable[str],
    deadline: Deadline,
) -> dict[str, Subjects]:
    """Return the subjects of persons of whom only the current token is known: look through all rows for them."""
    found: dict[str, dict[type[Stream], list[Cell]]] = {token: {} for token in subject_tokens}
    for stream in streams:
        for token, subject in _subjects(connection, stream, keyset, deadline):
            if token in found:
                found[token].setdefault(stream, []).append(subject)
    return dict(found)


def _subjects(
    connection: Connection, stream: type[Stream], keyset: Keyset, deadline: Deadline
) -> Iterator[tuple[str, Cell]]:
    """Yield the values of the subject's column, each with its token under the current token key, made in memory."""
    subject, newer = stream.subject, keyset.newer(SUBJECT)
    pseudonymize = keyset.pseudonymizer(SUBJECT)
    for batch in _column(connection, stream, deadline):
        for text in set(batch):
            if subject and not subject.is_kept:
                if TOKEN.fullmatch(text):
                    yield [text, *newer(text)][-1], text
            elif subject and (canonical := _canonical(subject, text)) is not None:
                yield pseudonymize(subject.rule.text(canonical)), text


def _column(connection: Connection, stream: type[Stream], deadline: Deadline) -> Iterator[list[str]]:
    """Yield the subjects of all rows, WALK_ROWS at once, in the order of the primary key."""
    column = identifier(stream.subject.column) if stream.subject else "NULL"
    after: UUID | None = None
    while True:
        deadline.seconds_left()
        rows: Any = connection.run(
            f"SELECT message_id, {column}::text FROM {quoted_table(stream.table)}"
            " WHERE CAST(:after AS uuid) IS NULL OR message_id > CAST(:after AS uuid)"
            f" ORDER BY message_id LIMIT {WALK_ROWS}",
            after=after,
        )
        yield [text for _, text in rows if text is not None]
        if len(rows) < WALK_ROWS:
            return
        after = rows[-1][0]


def _canonical(subject: Subject, text: str) -> Any:
    """Return the subject's canonical value, or None where its rule does not take the text."""
    try:
        return subject.canonical(text)
    except (Rejected, msgspec.ValidationError):
        return None
