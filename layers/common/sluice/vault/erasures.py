"""Erasures: what is remembered of them in PostgreSQL, and the lock between them and whoever writes rows or tokens."""

from collections.abc import Container, Hashable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from sluice.declaration.personal import SUBJECT, TokenPlace
from sluice.declaration.stream import Stream
from sluice.postgres.cells import array_cell
from sluice.postgres.driver import Connection, identifier, literal, quoted_table
from sluice.pseudonyms.keyset import Keyset

LOCK = 0x51CD  # shared by those who write rows or tokens, exclusive for those who erase or sweep them


class State(NamedTuple):
    """What a batch must know of erasures before it writes."""

    vault_generation: int  # one more with each erasure and sweep: sealed values may be gone
    newest: datetime | None  # when the last person was erased


def share(connection: Connection) -> State:
    """Keep erasures and sweeps out until this transaction ends. Return the state that they left."""
    # Two statements: the second begins once we have the lock, so it reads what the last holder committed.
    rows = connection.run(
        f"SELECT pg_advisory_xact_lock_shared({LOCK}); SELECT number, (SELECT max(erased_at) FROM erasure) FROM removal"
    )
    vault_generation, newest = (rows or [])[-1]
    return State(vault_generation, newest)


def exclude(connection: Connection) -> None:
    """Keep all writers of rows and tokens out until this transaction ends.

    Afterwards they do not take for granted that what they sealed before is still there.
    """
    connection.run(f"SELECT pg_advisory_xact_lock({LOCK})")
    connection.run("UPDATE removal SET number = number + 1")


def erased(connection: Connection, subject_tokens: Iterable[str]) -> dict[str, datetime]:
    """Return which of these persons were erased, and when."""
    rows: Any = connection.run(
        "SELECT subject_token, erased_at FROM erasure WHERE subject_token = ANY(CAST(:tokens AS varchar[]))",
        tokens=array_cell(sorted(subject_tokens)),
    )
    return dict(rows)


def sent_before[Name: Hashable](
    connection: Connection, keyset: Keyset, messages: Mapping[Name, tuple[str, datetime]]
) -> set[Name]:
    """Return which messages were sent before the person they are about was erased.

    Each message comes with its subject, the canonical text in the clear, and with the time when it was sent.
    """
    tokens = {subject: keyset.tokens(SUBJECT, subject) for subject, _ in messages.values()}
    found = erased(connection, {token for several in tokens.values() for token in several})
    return {
        name
        for name, (subject, sent_at) in messages.items()
        if any(token in found and sent_at < found[token] for token in tokens[subject])
    }


def remember(connection: Connection, subject_token: str, erased_at: datetime) -> None:
    """Remember an erasure, so that what was sent before it is not stored. Of two of a person the later counts."""
    connection.run(
        "INSERT INTO erasure (subject_token, erased_at) VALUES (:subject_token, :erased_at)"
        " ON CONFLICT (subject_token) DO UPDATE SET erased_at = greatest(erasure.erased_at, excluded.erased_at)",
        subject_token=subject_token,
        erased_at=erased_at,
    )


def tokens_in_rows(streams: Iterable[type[Stream]], domains: Container[str] | None = None) -> str:
    """Return the query for every token in a row of these streams, as its one column `token`.

    With `domains` for theirs alone: where a column holds one token each, it is looked up by the column's index.
    """
    selects = [
        f"SELECT {tokens_at(place)} AS token FROM {quoted_table(stream.table)}"
        for stream in streams
        for place in stream.token_places
        if domains is None or place.domain in domains
    ]
    return " UNION ALL ".join(selects) or "SELECT NULL::text AS token WHERE false"


def tokens_at(place: TokenPlace) -> str:
    """Return the expression for a row's tokens in one place: a row for each where they are many."""
    column = str(identifier(place.column))
    if place.is_json:
        members = "".join(f".{msgspec.json.encode(member).decode()}[*]" for member in place.path)
        return f"jsonb_path_query({column}::jsonb, {literal(f'lax $[*]{members}')}) #>> '{{}}'"
    return f"unnest({column})::text" if place.is_array else f"{column}::text"
