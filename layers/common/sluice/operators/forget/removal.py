"""Rows of persons and sealed values in PostgreSQL, removed: counts out. Who calls holds the lock of `erasure`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sluice.declaration.personal import TokenPlace
from sluice.declaration.stream import Stream
from sluice.postgres.cells import Cell, array_cell
from sluice.postgres.driver import Connection, identifier
from sluice.pseudonyms.keyset import TOKEN, Keyset
from sluice.vault import erasures

type Tokens = Mapping[str, set[str]]  # by domain


class RemovedRows(NamedTuple):
    """How many rows are gone, and every token that was in them."""

    rows: int
    tokens: Tokens


def remove_rows(
    connection: Connection, stream: type[Stream], subjects: Sequence[Cell], sent_before: datetime | None
) -> RemovedRows:
    """Delete the rows whose subject's column has one of these values: all, or those sent before a moment."""
    if stream.subject is None or not subjects:
        return RemovedRows(0, {})
    places: dict[str, list[TokenPlace]] = defaultdict(list)
    for place in stream.token_places:
        places[place.domain].append(place)
    columns = dict.fromkeys(str(identifier(name)) for name in ("message_id", *_columns(stream.token_places)))
    arrays = [f"ARRAY({_tokens_of('gone', several)})" for several in places.values()]
    found: Any = connection.run(
        f"WITH gone AS (DELETE FROM {identifier(stream.table)}"
        f" WHERE {identifier(stream.subject.column)} = ANY(:subjects)"
        " AND sent_at < coalesce(CAST(:sent_before AS timestamptz), 'infinity')"
        f" RETURNING {', '.join(columns)})"
        f" SELECT {', '.join(['(SELECT count(*) FROM gone)', *arrays])}",
        subjects=array_cell(subjects),
        sent_before=sent_before,
    )
    ((rows, *tokens),) = found
    return RemovedRows(rows, {domain: set(several) - {None} for domain, several in zip(places, tokens, strict=True)})


def remove_sealed(connection: Connection, streams: Iterable[type[Stream]], keyset: Keyset, tokens: Tokens) -> int:
    """Delete the sealed values of these tokens that no row uses any more, and return how many.

    While a new token key is being taken into use, a row may have another token of the value than the vault: those of
    newer keys are computed, those of older ones are in `rekeyed_token`.
    """
    current = _current_tokens(keyset, tokens)
    mapped = dict(_pairs(connection, "SELECT old_token, token FROM rekeyed_token WHERE token", current))
    current |= {old_token: current[token] for old_token, token in mapped.items()}
    sealed = _those(connection, "SELECT token FROM pii_vault WHERE token", current)
    in_rows = f"SELECT DISTINCT token FROM ({erasures.tokens_in_rows(streams, tokens)}) AS used WHERE token"
    values = {current[token] for token in (*sealed, *mapped)}
    used = _those(connection, in_rows, [token for token, value in current.items() if value in values])
    needed = {current[token] for token in used - sealed}  # a row has another token of it than the vault
    unused = {token for token in sealed - used if current[token] not in needed}
    used_values = {current[token] for token in used}
    _delete(connection, "rekeyed_token WHERE old_token", [old for old in mapped if current[old] not in used_values])
    return _delete(connection, "pii_vault WHERE token", unused)


def remove_unused(connection: Connection, streams: Iterable[type[Stream]]) -> tuple[int, int]:
    """Delete the sealed values that no row uses, then the data keys that no sealed value uses; return how many."""
    connection.run(
        "DELETE FROM pii_vault WHERE token IN ("
        "SELECT v.token FROM pii_vault v LEFT JOIN rekeyed_token r ON r.old_token = v.token WHERE NOT EXISTS ("
        "SELECT FROM ("
        "SELECT coalesce(r.token, t.token) AS token"
        f" FROM ({erasures.tokens_in_rows(streams)}) AS t LEFT JOIN rekeyed_token r ON r.old_token = t.token"
        ") AS used WHERE used.token = coalesce(r.token, v.token)))"
    )
    values = connection.row_count
    connection.run("DELETE FROM pii_vault_key k WHERE NOT EXISTS (SELECT FROM pii_vault v WHERE v.key_id = k.id)")
    return values, connection.row_count


def _current_tokens(keyset: Keyset, tokens: Tokens) -> dict[str, str]:
    """Return the token under the current key for each of these tokens, and for those of newer keys."""
    current: dict[str, str] = {}
    for domain, several in tokens.items():
        newer = keyset.newer(domain)
        for token in several:
            if TOKEN.fullmatch(token):  # else nothing of ours, and never sealed
                forms = [token, *newer(token)]
                current |= dict.fromkeys(forms, forms[-1])
    return current


def _columns(places: Iterable[TokenPlace]) -> list[str]:
    return [place.column for place in places]


def _tokens_of(table: str, places: Iterable[TokenPlace]) -> str:
    return " UNION ".join(f"SELECT {erasures.tokens_at(place)} FROM {table}" for place in places)


def _pairs(connection: Connection, sql: str, tokens: Iterable[str]) -> Any:
    return connection.run(f"{sql} = ANY(CAST(:tokens AS text[]))", tokens=array_cell([*tokens])) or []


def _those(connection: Connection, sql: str, tokens: Iterable[str]) -> set[str]:
    return {token for (token,) in _pairs(connection, sql, tokens)}


def _delete(connection: Connection, table: str, tokens: Iterable[str]) -> int:
    connection.run(f"DELETE FROM {table} = ANY(CAST(:tokens AS text[]))", tokens=array_cell([*tokens]))
    return int(connection.row_count)
