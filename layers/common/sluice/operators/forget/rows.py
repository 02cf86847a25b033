"""A person's rows, erased, and the mentions in rows of others. The caller holds the lock of `vault.erasures`."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sluice.declaration.personal import TokenPlace
from sluice.declaration.stream import Stream
from sluice.operators.forget.persons import Names
from sluice.postgres import stream_rows
from sluice.postgres.cells import array_cell
from sluice.postgres.driver import Connection, identifier, quoted_table
from sluice.postgres.stream_rows import BEFORE_ALL, RowId
from sluice.vault import erasures

type Tokens = Mapping[str, Collection[str]]  # by domain

MENTIONS = 10_000  # rows with mentions that are read and changed at once
SENT_BEFORE = "sent_at < coalesce(CAST(:sent_before AS timestamptz), 'infinity')"


class ErasedRows(NamedTuple):
    """How many rows are gone, and every token that was in them."""

    rows: int
    tokens: Tokens


def erase_rows(connection: Connection, stream: type[Stream], names: Names, sent_before: datetime | None) -> ErasedRows:
    """Delete a person's rows: all of them, or those that were sent before a moment."""
    places: dict[str, list[TokenPlace]] = defaultdict(list)
    for place in stream.token_places:
        places[place.domain].append(place)
    columns = dict.fromkeys(
        str(identifier(name)) for name in ("message_id", *(place.column for place in stream.token_places))
    )
    arrays = [f"ARRAY({_tokens_of('gone', several)})" for several in places.values()]
    is_theirs, parameters = _is_about(stream, names)
    found: Any = connection.run(
        f"WITH gone AS (DELETE FROM {quoted_table(stream.table)} WHERE {is_theirs} AND {SENT_BEFORE}"
        f" RETURNING {', '.join(columns)})"
        f" SELECT {', '.join(['(SELECT count(*) FROM gone)', *arrays])}",
        sent_before=sent_before,
        **parameters,
    )
    ((rows, *tokens),) = found
    return ErasedRows(rows, {domain: set(several) - {None} for domain, several in zip(places, tokens, strict=True)})


def erase_mentions(
    connection: Connection, stream: type[Stream], subject_tokens: Sequence[str], sent_before: datetime | None
) -> int:
    """Take a person's tokens out of the rows that mention the person, and return how many rows were changed."""
    names = [str(identifier(column)) for column in stream.mentioned.columns]
    table, changed = quoted_table(stream.table), 0
    for members in _without_mentions(connection, stream, subject_tokens, sent_before):
        stream_rows.change(connection, table, names, members)
        changed += len(members)
    return changed


def _without_mentions(
    connection: Connection, stream: type[Stream], subject_tokens: Sequence[str], sent_before: datetime | None
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows that mention a person, MENTIONS at once: their ids, and their columns without the tokens."""
    columns = stream.mentioned.columns
    names = [f"{identifier(name)}::text" if is_json else str(identifier(name)) for name, is_json in columns.items()]
    table, one_column = quoted_table(stream.table), str(identifier(next(iter(columns))))
    selected = ", ".join(["message_id::text", "sent_at::text", *names])
    has_one = _has_one(stream.mentioned.places, subject_tokens)
    after: RowId = BEFORE_ALL
    while True:
        found: Any = stream_rows.following(
            *(connection, table, "message_id::text, sent_at::text", after, MENTIONS),
            condition=f"({has_one}) AND {SENT_BEFORE}",
            sent_before=sent_before,
        )
        if not found:
            return
        members = []
        for message_id, sent_at, *values in stream_rows.lock(connection, table, found, selected, one_column):
            decoded = dict(zip(columns, map(_decoded, values, columns.values()), strict=True))
            without = stream.mentioned.without(decoded, subject_tokens)
            members.append({"message_id": message_id, "sent_at": sent_at, **without})
        yield members
        if len(found) < MENTIONS:
            return
        after = found[-1]


def count_mentions(connection: Connection, stream: type[Stream], tokens: Tokens, names: Names) -> int:
    """Count the rows of others that have one of a person's tokens."""
    places: dict[str, list[TokenPlace]] = defaultdict(list)
    for place in stream.token_places:
        places[place.domain].append(place)
    has_one = [_has_one(places[domain], [*several]) for domain, several in tokens.items() if domain in places]
    if not has_one:
        return 0
    is_theirs, parameters = _is_about(stream, names)
    return _count(connection, stream, f"({' OR '.join(has_one)}) AND ({is_theirs}) IS NOT TRUE", parameters)


def count_rows(connection: Connection, stream: type[Stream], names: Names) -> int:
    """Count a person's rows."""
    return _count(connection, stream, *_is_about(stream, names))


def _count(connection: Connection, stream: type[Stream], condition: str, parameters: Mapping[str, str]) -> int:
    rows: Any = connection.run(f"SELECT count(*) FROM {quoted_table(stream.table)} WHERE {condition}", **parameters)
    return int(rows[0][0])


def _is_about(stream: type[Stream], names: Names) -> tuple[str, dict[str, str]]:
    """Return the condition that a row is a person's, and its parameters.

    A row is the person's when the first field of its subject that is present names the person.
    """
    alternatives, parameters, absent = ["false"], {}, ""
    for number, field in enumerate(stream.subject.fields if stream.subject else ()):
        column, parameter = identifier(field.column), f"names_{number}"
        if field in names:
            is_named = f"{column} && :{parameter}" if field.is_array else f"{column} = ANY(:{parameter})"
            alternatives.append(f"{absent}{is_named}")
            parameters[parameter] = array_cell(names[field])
        absent += f"{column} = '{{}}' IS NOT FALSE AND " if field.is_array else f"{column} IS NULL AND "
    return f"({' OR '.join(alternatives)})", parameters


def _decoded(value: Any, is_json: bool) -> Any:
    # Decimals, because a number in JSON may have more digits than a float.
    return json.loads(value, parse_float=Decimal, parse_int=Decimal) if is_json and value is not None else value


def _has_one(places: Sequence[TokenPlace], tokens: Sequence[str]) -> str:
    return " OR ".join(erasures.has_token(place, tokens) for place in places)


def _tokens_of(table: str, places: Sequence[TokenPlace]) -> str:
    return " UNION ".join(f"SELECT {erasures.tokens_at(place)} FROM {table}" for place in places)
