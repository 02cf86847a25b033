"""The persons to erase: found by a text that an operator typed, or by the tokens of logged erasures."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from sluice.deadline import Deadline
from sluice.declaration.personal import SUBJECT, SubjectField
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.operators.call import Refused
from sluice.operators.forget.requests import Erasure
from sluice.postgres import stream_rows
from sluice.postgres.cells import Cell
from sluice.postgres.driver import Connection, identifier, quoted_table
from sluice.postgres.stream_rows import BEFORE_ALL, RowId
from sluice.pseudonyms.keyset import TOKEN, Keyset
from sluice.vault import erasures

WALK_ROWS = 20_000  # read at once, where persons are looked for by their tokens

type Names = Mapping[SubjectField, Sequence[Cell]]  # what the columns of a stream's subject hold for a person
type Subjects = Mapping[type[Stream], Names]
type Values = Mapping[str, Sequence[str]]  # tokens by domain, those under the current token key last


class Person(NamedTuple):
    """A person to erase. The subjects can be clear personal data."""

    subject_tokens: Sequence[str]  # the current one last
    values: Values  # what identifies the person: the tokens of all masks of the subjects' fields
    erased_at: datetime
    sent_before: datetime | None  # rows that were sent later stay; None: no row stays
    subjects: Subjects

    @property
    def subject_token(self) -> str:
        """The token under the current token key."""
        return self.subject_tokens[-1]


class Meant(NamedTuple):
    """A person whom a text means. The subjects can be clear personal data."""

    subject_tokens: Sequence[str]
    values: dict[str, list[str]]
    subjects: dict[type[Stream], dict[SubjectField, Sequence[Cell]]]


def of_text(streams: Iterable[type[Stream]], keyset: Keyset, text: str) -> list[Meant]:
    """Return whom a text means.

    If two fields spell a person differently, one text means several persons. Raises Refused when no stream takes it.
    """
    found: dict[str, Meant] = {}
    for stream, field in _fields(streams):
        canonical = _canonical(field, text)
        if canonical is None:
            continue
        spelled = field.rule.text(canonical)
        person = found.setdefault(spelled, Meant(keyset.tokens(SUBJECT, spelled), {}, {}))
        names = [field.rule.cell(canonical)] if field.is_kept else person.subject_tokens
        person.subjects.setdefault(stream, {})[field] = names
        person.values.update({domain: keyset.tokens(domain, spelled) for domain in field.domains})
    if not found:
        raise Refused(400, "bad_request", "subject: is nothing that a stream's rule takes")
    return list(found.values())


def of_erasures(keyset: Keyset, logged: Iterable[Erasure]) -> dict[str, Erasure]:
    """Return each person's last erasure, by the token under the current token key; its tokens are under that key, too.

    Raises Refused when a token is of a newer key: nobody could say whose it is.
    """
    found: dict[str, Erasure] = {}
    for erasure in logged:
        token = _current(keyset, SUBJECT, erasure.subject_token)
        values = {domain: _current(keyset, domain, value) for domain, value in erasure.values.items()}
        other = found.get(token, erasure)
        found[token] = Erasure(token, max(erasure.erased_at, other.erased_at), other.values | values)
    return found


def find(
    connection: Connection,
    streams: Iterable[type[Stream]],
    keyset: Keyset,
    subject_tokens: Iterable[str],
    deadline: Deadline,
) -> dict[str, Subjects]:
    """Return the subjects of persons of whom only the current token is known: look through all rows for them."""
    found: dict[str, dict[type[Stream], dict[SubjectField, list[Cell]]]] = {token: {} for token in subject_tokens}
    for stream in streams:
        for token, field, name in _subjects(connection, stream, keyset, deadline):
            if token in found:
                found[token].setdefault(stream, defaultdict(list))[field].append(name)
    return dict(found)


def older_mentions(
    connection: Connection, streams: Iterable[type[Stream]], keyset: Keyset, subject_tokens: Iterable[str]
) -> dict[str, list[str]]:
    """Return the tokens under older token keys by which rows mention these persons, by the current token."""
    found: dict[str, list[str]] = {token: [] for token in subject_tokens}
    newer = keyset.newer(SUBJECT)
    for stream in streams:
        for place in stream.mentioned.places:
            rows = connection.run(
                f"SELECT DISTINCT token FROM (SELECT {erasures.tokens_at(place)} AS token"
                f" FROM {quoted_table(stream.table)}) AS mention WHERE NOT starts_with(token, :prefix)",
                prefix=f"t{keyset.current}_",
            )
            for (token,) in rows or []:
                current = newer(token)[-1:] if TOKEN.fullmatch(token) else []
                if current and current[0] in found:
                    found[current[0]].append(token)
    return found


def _fields(streams: Iterable[type[Stream]]) -> Iterator[tuple[type[Stream], SubjectField]]:
    for stream in streams:
        for field in stream.subject.fields if stream.subject else ():
            yield stream, field


def _current(keyset: Keyset, domain: str, token: str) -> str:
    if int(token[1 : token.index("_")]) > keyset.current:
        raise Refused(400, "bad_request", "erasures: a token is of a key newer than the current one")
    return [token, *keyset.newer(domain)(token)][-1]


def _subjects(
    connection: Connection, stream: type[Stream], keyset: Keyset, deadline: Deadline
) -> Iterator[tuple[str, SubjectField, Cell]]:
    """Yield what the columns of the subject have, each with its token under the current token key, made in memory."""
    fields, newer = stream.subject.fields if stream.subject else (), keyset.newer(SUBJECT)
    pseudonymize = keyset.pseudonymizer(SUBJECT)
    for batch in _columns(connection, stream, deadline):
        for field, values in zip(fields, zip(*batch, strict=True), strict=False):
            for text in {text for several in values for text in several or ()}:
                if not field.is_kept:
                    if TOKEN.fullmatch(text):
                        yield [text, *newer(text)][-1], field, text
                elif (canonical := _canonical(field, text)) is not None:
                    yield pseudonymize(field.rule.text(canonical)), field, text


def _columns(connection: Connection, stream: type[Stream], deadline: Deadline) -> Iterator[list[list[list[str]]]]:
    """Yield the subjects of all rows, WALK_ROWS at once, in the order of the primary key: texts for each field."""
    columns = [
        f"{identifier(field.column)}::text[]" if field.is_array else f"ARRAY[{identifier(field.column)}::text]"
        for field in (stream.subject.fields if stream.subject else ())
    ]
    table = quoted_table(stream.table)
    after: RowId = BEFORE_ALL
    while True:
        deadline.seconds_left()
        rows: Any = stream_rows.following(
            connection, table, ", ".join(["message_id::text", "sent_at::text", *columns]), after, WALK_ROWS
        )
        yield [[[text for text in texts or () if text is not None] for texts in row[2:]] for row in rows]
        if len(rows) < WALK_ROWS:
            return
        after = (rows[-1][0], rows[-1][1])


def _canonical(field: SubjectField, text: str) -> Any:
    """Return the field's canonical value, or None where its rule does not take the text."""
    try:
        return field.canonical(text)
    except (Rejected, msgspec.ValidationError):
        return None
