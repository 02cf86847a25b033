"""Erasures: what is remembered of them in PostgreSQL, and the lock between them and all who write rows or tokens."""

from collections.abc import Collection, Container, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from sluice.declaration.originals import Original
from sluice.declaration.personal import SUBJECT, TokenPlace
from sluice.declaration.stream import Stream
from sluice.postgres.cells import array_cell
from sluice.postgres.driver import Connection, identifier, literal, quoted_table
from sluice.pseudonyms.keyset import Keyset

LOCK = 0x51CD  # shared by those who write rows or tokens, exclusive for those who erase or sweep them
MAINTENANCE_LOCK = 0x51D0  # those who erase and those who drop partitions take turns: no batch waits for both


class State(NamedTuple):
    """What a batch must know of erasures before it writes."""

    vault_generation: int  # grows with each erasure, sweep and new keyset: then sealed values may be gone
    newest: datetime | None  # when the last person was erased
    domains: frozenset[str]  # those, of the given ones, with values that must not be sealed again


def share(connection: Connection, domains: Sequence[str] = ()) -> State:
    """Keep erasures and sweeps out until this transaction ends. Return the state that they left."""
    # Two statements: the second begins once we have the lock, so it reads what the last holder committed.
    rows = connection.run(
        f"SELECT pg_advisory_xact_lock_shared({LOCK});"
        " SELECT number, (SELECT max(erased_at) FROM erasure),"
        f" ARRAY(SELECT domain FROM unnest(CAST({literal(array_cell(domains))} AS text[])) AS domain"
        " WHERE EXISTS (SELECT FROM erased_value v WHERE v.domain = domain.domain)) FROM removal"
    )
    vault_generation, newest, erased_domains = (rows or [])[-1]
    return State(vault_generation, newest, frozenset(erased_domains))


def exclude(connection: Connection) -> None:
    """Keep all writers of rows and tokens out until this transaction ends.

    Afterwards the writers assume neither that the values which they sealed are still there, nor that their keyset is
    the database's.
    """
    connection.run(f"SELECT pg_advisory_xact_lock({MAINTENANCE_LOCK})")
    connection.run(f"SELECT pg_advisory_xact_lock({LOCK})")
    connection.run("UPDATE removal SET number = number + 1")


def erased(connection: Connection, subject_tokens: Iterable[str]) -> dict[str, datetime]:
    """Return which of these persons were erased, and when."""
    rows: Any = connection.run(
        "SELECT subject_token, erased_at FROM erasure WHERE subject_token = ANY(CAST(:tokens AS varchar[]))",
        tokens=array_cell(sorted(subject_tokens)),
    )
    return dict(rows)


def since(connection: Connection, keyset: Keyset, moment: datetime) -> dict[str, datetime]:
    """Return who was erased after a moment, and when: by each token of a person that a row can have."""
    rows: Any = connection.run(
        "SELECT subject_token, erased_at FROM erasure WHERE erased_at > :moment ORDER BY erased_at", moment=moment
    )
    newer = keyset.newer(SUBJECT)
    return {form: erased_at for token, erased_at in rows for form in (token, *newer(token))}


def sent_before[Name: Hashable](
    connection: Connection, keyset: Keyset, messages: Mapping[Name, tuple[Sequence[str], datetime]]
) -> set[Name]:
    """Return which messages were sent before a person whom they are about was erased.

    Each message comes with its subjects, canonical texts in the clear, and with the time when it was sent.
    """
    tokens = {subject: keyset.tokens(SUBJECT, subject) for subjects, _ in messages.values() for subject in subjects}
    found = erased(connection, {token for several in tokens.values() for token in several})
    return {
        name
        for name, (subjects, sent_at) in messages.items()
        if any(sent_at < found[token] for subject in subjects for token in tokens[subject] if token in found)
    }


def remember(connection: Connection, subject_token: str, erased_at: datetime) -> None:
    """Remember an erasure, so that what was sent before it is not stored. A person's latest erasure counts."""
    connection.run(
        "INSERT INTO erasure (subject_token, erased_at) VALUES (:subject_token, :erased_at)"
        " ON CONFLICT (subject_token) DO UPDATE SET erased_at = greatest(erasure.erased_at, excluded.erased_at)",
        subject_token=subject_token,
        erased_at=erased_at,
    )


def erased_values(connection: Connection, keyset: Keyset, originals: Collection[Original]) -> set[str]:
    """Return the tokens of those values that identify somebody who was erased."""
    tokens_of = {domain: keyset.all_tokens(domain) for domain in {original.domain for original in originals}}
    forms = {original.token: tokens_of[original.domain](original.value) for original in originals}
    rows: Any = connection.run(
        "SELECT token FROM erased_value WHERE token = ANY(CAST(:tokens AS varchar[]))",
        tokens=array_cell([form for several in forms.values() for form in several]),
    )
    found = {token for (token,) in rows}
    return {token for token, several in forms.items() if not found.isdisjoint(several)}


def remember_values(connection: Connection, tokens: Mapping[str, Iterable[str]]) -> None:
    """Remember what identifies a person who was erased, as tokens by domain: rows of others do not seal it again."""
    pairs = [(token, domain) for domain, several in tokens.items() for token in several]
    connection.run(
        "INSERT INTO erased_value (token, domain)"
        " SELECT * FROM unnest(CAST(:tokens AS varchar[]), CAST(:domains AS varchar[])) ON CONFLICT DO NOTHING",
        tokens=array_cell([token for token, _ in pairs]),
        domains=array_cell([domain for _, domain in pairs]),
    )


def tokens_in_rows(streams: Iterable[type[Stream]], domains: Container[str] | None = None) -> str:
    """Return the query for every token in a row of these streams, as its one column `token`.

    `domains` limits it to their tokens. A condition on `token` uses the index of a column that holds one token each.
    """
    selects = [
        f"SELECT {tokens_at(place)} AS token FROM {quoted_table(stream.table)}"
        for stream in streams
        for place in stream.token_places
        if domains is None or place.domain in domains
    ]
    return " UNION ALL ".join(selects) or "SELECT NULL::text AS token WHERE false"


def has_token(place: TokenPlace, tokens: Sequence[str]) -> str:
    """Return the condition that a row has one of these tokens in a place; an index on the column serves it."""
    column = str(identifier(place.column))
    if place.is_json:
        is_one = " || ".join(f"@ == {_json(token)}" for token in tokens)
        return f"{column}::jsonb @? {literal(f'lax {_json_path(place)} ? ({is_one})')}::jsonpath"
    array = literal(array_cell(tokens))
    return f"{column} && {array}" if place.is_array else f"{column} = ANY({array})"


def tokens_at(place: TokenPlace) -> str:
    """Return the SQL expression for a row's tokens in one place; where they are many, it returns a row for each."""
    column = str(identifier(place.column))
    if place.is_json:
        return f"jsonb_path_query({column}::jsonb, {literal(f'lax {_json_path(place)}')}) #>> '{{}}'"
    return f"unnest({column})::text" if place.is_array else f"{column}::text"


def _json_path(place: TokenPlace) -> str:
    """Return the JSON path to the tokens, which may be in lists of lists. No other texts are in that place."""
    members = "".join(f".{_json(member)}[*]" for member in place.path)
    return f'$[*]{members}.** ? (@.type() == "string")'


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
