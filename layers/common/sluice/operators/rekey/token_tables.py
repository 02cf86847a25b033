"""The tables that hold tokens: the key of the last row seen in, the next rows and what their tokens are now out."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, Protocol

from sluice.declaration.personal import SUBJECT, TokenPlace
from sluice.declaration.stream import Stream
from sluice.postgres.cells import array_cell, json_cell
from sluice.postgres.driver import Connection, identifier
from sluice.pseudonyms.keyset import TOKEN, Keyset

BATCH_ROWS = 1000  # a transaction; an erasure waits for it


class Batch(NamedTuple):
    """The next rows of a table, as far as they have tokens of an older key."""

    last: str | None  # the key of the last row that was looked at; None: the table has no more
    tokens: Mapping[str, str]  # which token is now which
    keys: Sequence[str]  # of the rows that have one


class TokenTable(Protocol):
    """A table that holds tokens, in the order of its primary key."""

    @property
    def name(self) -> str: ...

    def read(self, connection: Connection, after: str | None) -> Batch:
        """Return the next rows."""

    def rewrite(self, connection: Connection, batch: Batch, is_settled: bool) -> int:
        """Put the current tokens into these rows, and return how many were changed.

        `is_settled` tells that nobody works with an older key any more.
        """


class Successors:
    """The keyset as a function from a token to the current one of the same value."""

    def __init__(self, keyset: Keyset) -> None:
        self._keyset = keyset
        self._prefix = f"t{keyset.current}_"
        self._newer: dict[str, Callable[[str], list[str]]] = {}

    def of(self, domain: str, token: str) -> str:
        """Return the current token; the same one when it is that already, or is no token of this keyset."""
        if token.startswith(self._prefix) or not TOKEN.fullmatch(token):
            return token
        if domain not in self._newer:
            self._newer[domain] = self._keyset.newer(domain)
        return [token, *self._newer[domain](token)][-1]


@dataclass(frozen=True)
class Vault:
    """The sealed values, by their tokens."""

    successors: Successors
    name: str = "pii_vault"

    def read(self, connection: Connection, after: str | None) -> Batch:
        rows = _next(connection, "token, domain", "pii_vault", "token", after)
        return _batch(
            [token for token, _ in rows], {token: self.successors.of(domain, token) for token, domain in rows}
        )

    def rewrite(self, connection: Connection, batch: Batch, is_settled: bool) -> int:
        old_tokens = sorted(batch.tokens, key=batch.tokens.__getitem__)
        connection.run(
            "SELECT rekey_vault(CAST(:old_tokens AS text[]), CAST(:tokens AS text[]))",
            old_tokens=array_cell(old_tokens),
            tokens=array_cell([batch.tokens[token] for token in old_tokens]),
        )
        return len(batch.tokens)


@dataclass(frozen=True)
class Erasures:
    """Who was erased. An environment that works with an older key still looks for that key's token."""

    successors: Successors
    name: str = "erasure"

    def read(self, connection: Connection, after: str | None) -> Batch:
        keys = [token for (token,) in _next(connection, "subject_token", "erasure", "subject_token", after)]
        return _batch(keys, {token: self.successors.of(SUBJECT, token) for token in keys})

    def rewrite(self, connection: Connection, batch: Batch, is_settled: bool) -> int:
        old_tokens = array_cell([*batch.tokens])
        connection.run(
            "INSERT INTO erasure (subject_token, erased_at) SELECT r.token, max(e.erased_at) FROM unnest("
            "CAST(:old_tokens AS text[]), CAST(:tokens AS text[])) AS r(old_token, token)"
            " JOIN erasure e ON e.subject_token = r.old_token GROUP BY r.token"
            " ON CONFLICT (subject_token) DO UPDATE SET erased_at = greatest(erasure.erased_at, excluded.erased_at)",
            old_tokens=old_tokens,
            tokens=array_cell([*batch.tokens.values()]),
        )
        if is_settled:
            connection.run("DELETE FROM erasure WHERE subject_token = ANY(CAST(:tokens AS text[]))", tokens=old_tokens)
        return len(batch.tokens)


class Rows:
    """The rows of a stream, by their message ids."""

    def __init__(self, stream: type[Stream], successors: Successors) -> None:
        self.name = stream.table
        self._successors = successors
        self._table = identifier(stream.table)
        self._places: dict[str, list[TokenPlace]] = defaultdict(list)
        for place in stream.token_places:
            self._places[place.column].append(place)
        self._is_json = [any(place.path for place in places) for places in self._places.values()]
        self._names = [str(identifier(column)) for column in self._places]
        texts = [f"{name}::text" if json else name for name, json in zip(self._names, self._is_json, strict=True)]
        self._columns = ", ".join(["message_id::text", *texts])

    def read(self, connection: Connection, after: str | None) -> Batch:
        rows = _next(connection, self._columns, self._table, "message_id", after)
        tokens: dict[str, str] = {}
        keys = []
        for key, *values in rows:
            decoded = self._decoded(values)
            if self._replaced(decoded, tokens) != decoded:
                keys.append(key)
        return Batch(rows[-1][0] if rows else None, tokens, keys)

    def rewrite(self, connection: Connection, batch: Batch, is_settled: bool) -> int:
        locked: Any = connection.run(  # whose table it is may change a row of it, too
            f"SELECT {self._columns} FROM {self._table} WHERE message_id = ANY(CAST(:keys AS uuid[]))"
            " ORDER BY message_id FOR UPDATE",
            keys=array_cell(batch.keys),
        )
        members = [
            {"message_id": key} | dict(zip(self._places, self._replaced(self._decoded(values), {}), strict=True))
            for key, *values in locked
        ]
        connection.run(
            f"UPDATE {self._table} t SET {', '.join(f'{name} = r.{name}' for name in self._names)}"
            f" FROM json_populate_recordset(NULL::{self._table}, CAST(:rows AS json)) r"
            " WHERE t.message_id = r.message_id",
            rows=str(json_cell(members)),
        )
        return len(members)

    def _decoded(self, values: Sequence[Any]) -> list[Any]:
        return [
            # Decimals, because a number in JSON may have more digits than a float.
            json.loads(value, parse_float=Decimal, parse_int=Decimal) if is_json and value is not None else value
            for value, is_json in zip(values, self._is_json, strict=True)
        ]

    def _replaced(self, values: Sequence[Any], tokens: dict[str, str]) -> list[Any]:
        """Return the columns' values with current tokens, and add to `tokens` which was replaced by which."""
        replaced = []
        for value, places in zip(values, self._places.values(), strict=True):
            for place in places:
                value = place.replace(value, partial(self._replace, place.domain, tokens))
            replaced.append(value)
        return replaced

    def _replace(self, domain: str, tokens: dict[str, str], token: str) -> str:
        current = self._successors.of(domain, token)
        if current != token:
            tokens[token] = current
        return current


def tables(streams: Iterable[type[Stream]], keyset: Keyset) -> list[TokenTable]:
    """Return every table that holds tokens, always in this order."""
    successors = Successors(keyset)
    of_streams = [Rows(stream, successors) for stream in streams if stream.token_places]
    return [Vault(successors), Erasures(successors), *of_streams]


def _next(connection: Connection, columns: str, table: str, key: str, after: str | None) -> Any:
    """Return the next rows after that key, in the order of the key: the primary key's index has it."""
    order = f"ORDER BY {key} LIMIT {BATCH_ROWS}"
    if after is None:
        return connection.run(f"SELECT {columns} FROM {table} {order}") or []
    return connection.run(f"SELECT {columns} FROM {table} WHERE {key} > :after {order}", after=after) or []


def _batch(keys: Sequence[str], current: Mapping[str, str]) -> Batch:
    """Return the batch of a table whose key is the token."""
    tokens = {old: token for old, token in current.items() if old != token}
    return Batch(keys[-1] if keys else None, tokens, [*tokens])
