"""The tables that hold tokens. Each is read and rewritten in batches, in the order of its primary key."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, Protocol

from sluice.declaration.personal import SUBJECT, TextPlace, TokenPlace
from sluice.declaration.stream import Stream
from sluice.operators.rekey import spans
from sluice.operators.rekey.spans import Span
from sluice.postgres import stream_rows
from sluice.postgres.cells import array_cell
from sluice.postgres.driver import Connection, identifier, literal, quoted_table
from sluice.postgres.stream_rows import BEFORE_ALL, RowId
from sluice.pseudonyms.keyset import TOKEN, Keyset

LONGEST_PLACE = 63  # characters, as the column of `rekeying`; a table with its schema can be longer
BATCH_ROWS = 1000  # in a transaction, for which an erasure waits


class Batch(NamedTuple):
    """The next rows of a table, as far as they have tokens under an older token key. An id is a row's primary key."""

    last_id: str | None  # of the rows that were looked at; None: the table has no more
    tokens: Mapping[str, str]  # the current token by the older one
    row_ids: Sequence[str]  # of the rows that have an older token


class TokenTable(Protocol):
    """A table that holds tokens."""

    @property
    def name(self) -> str: ...

    def read(self, connection: Connection, after: str | None) -> Batch:
        """Return the rows after that id, at most BATCH_ROWS; None: the first ones."""

    def rewrite(self, connection: Connection, batch: Batch, is_settled: bool) -> int:
        """Put the current tokens into these rows, and return how many were changed.

        `is_settled` tells that nobody works with an older token key any more.
        """

    def estimate(self, connection: Connection, until: str | None = None) -> int:
        """Return about how many rows there are up to that id; None: in all."""


class Successors:
    """What follows a token: the token of the same value under the current token key."""

    def __init__(self, keyset: Keyset) -> None:
        self._keyset = keyset
        self._prefix = f"t{keyset.current}_"
        self._newer: dict[str, Callable[[str], list[str]]] = {}

    def of(self, domain: str, token: str) -> str:
        """Return the current token, or the same text where it is the current one already or no token at all."""
        if token.startswith(self._prefix) or not TOKEN.fullmatch(token):
            return token
        if domain not in self._newer:
            self._newer[domain] = self._keyset.newer(domain)
        return [token, *self._newer[domain](token)][-1]


@dataclass(frozen=True)
class SealedValues:
    """The vault: sealed values by their tokens."""

    successors: Successors
    name: str = "pii_vault"

    def estimate(self, connection: Connection, until: str | None = None) -> int:
        return _estimate(connection, "pii_vault", _until("token", until))

    def read(self, connection: Connection, after: str | None) -> Batch:
        # A token can be in several partitions. DISTINCT, so that no batch ends between its entries.
        rows = _next(connection, "DISTINCT token, domain", "pii_vault", "token", after)
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
class ErasedPersons:
    """Who was erased. An environment that works with an older token key still looks for the token under that one."""

    successors: Successors
    name: str = "erasure"

    def estimate(self, connection: Connection, until: str | None = None) -> int:
        return _estimate(connection, "erasure", _until("subject_token", until))

    def read(self, connection: Connection, after: str | None) -> Batch:
        tokens = [token for (token,) in _next(connection, "subject_token", "erasure", "subject_token", after)]
        return _batch(tokens, {token: self.successors.of(SUBJECT, token) for token in tokens})

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


@dataclass(frozen=True)
class ErasedValues:
    """What identifies persons who were erased. As with `ErasedPersons`, older tokens are still looked for."""

    successors: Successors
    name: str = "erased_value"

    def estimate(self, connection: Connection, until: str | None = None) -> int:
        return _estimate(connection, "erased_value", _until("token", until))

    def read(self, connection: Connection, after: str | None) -> Batch:
        rows = _next(connection, "token, domain", "erased_value", "token", after)
        return _batch(
            [token for token, _ in rows], {token: self.successors.of(domain, token) for token, domain in rows}
        )

    def rewrite(self, connection: Connection, batch: Batch, is_settled: bool) -> int:
        old_tokens = array_cell([*batch.tokens])
        connection.run(
            "INSERT INTO erased_value (token, domain) SELECT r.token, v.domain FROM unnest("
            "CAST(:old_tokens AS text[]), CAST(:tokens AS text[])) AS r(old_token, token)"
            " JOIN erased_value v ON v.token = r.old_token ON CONFLICT DO NOTHING",
            old_tokens=old_tokens,
            tokens=array_cell([*batch.tokens.values()]),
        )
        if is_settled:
            connection.run("DELETE FROM erased_value WHERE token = ANY(CAST(:tokens AS text[]))", tokens=old_tokens)
        return len(batch.tokens)


class StreamRows:
    """The rows of a stream by their message ids and their times."""

    def __init__(self, stream: type[Stream], successors: Successors) -> None:
        self.name = stream.table if len(stream.table) <= LONGEST_PLACE else stream.stream_name
        self._successors = successors
        self._table = quoted_table(stream.table)
        self._places: dict[str, list[TokenPlace]] = defaultdict(list)
        self._text_places: dict[str, list[TextPlace]] = defaultdict(list)
        for place in stream.token_places:
            self._places[place.column].append(place)
        for text_place in stream.text_places:
            self._text_places[text_place.column].append(text_place)
        self._column_names = [*dict.fromkeys([*self._places, *self._text_places])]
        in_json = {place.column for place in stream.token_places if place.is_json}
        in_json |= {place.column for place in stream.text_places if place.is_json}
        self._is_json = [column in in_json for column in self._column_names]
        self._names = [str(identifier(column)) for column in self._column_names]
        texts = [f"{name}::text" if json else name for name, json in zip(self._names, self._is_json, strict=True)]
        self._columns = ", ".join(["message_id::text", "sent_at::text", *texts])

    def read(self, connection: Connection, after: str | None) -> Batch:
        tokens: dict[str, str] = {}
        row_ids, last_id = [], None
        for message_id, sent_at, *values in self._next(connection, _row_id(after) if after else BEFORE_ALL):
            last_id = f"{message_id} {sent_at}"
            decoded = self._decoded(values)
            if self._replaced(decoded, tokens) != decoded:
                row_ids.append(last_id)
        return Batch(last_id, tokens, row_ids)

    def _next(self, connection: Connection, after: RowId) -> Any:
        """Return the rows after that one, partition by partition."""
        for span in spans.since(connection, self._table, after[1]):
            rows = stream_rows.following(
                connection, self._table, self._columns, after, BATCH_ROWS, condition=span.condition
            )
            if rows:
                return rows
            after = BEFORE_ALL
        return []

    def rewrite(self, connection: Connection, batch: Batch, is_settled: bool) -> int:
        # The owner of the table may change a row at the same time.
        rows = [_row_id(row_id) for row_id in batch.row_ids]
        locked = stream_rows.lock(connection, self._table, rows, self._columns, self._names[0])
        members = [
            {"message_id": message_id, "sent_at": sent_at}
            | dict(zip(self._column_names, self._replaced(self._decoded(values), {}), strict=True))
            for message_id, sent_at, *values in locked
        ]
        stream_rows.change(connection, self._table, self._names, members)
        return len(members)

    def estimate(self, connection: Connection, until: str | None = None) -> int:
        if not until:
            return _estimate(connection, self._table, "true")
        row_id = _row_id(until)
        span = next(spans.since(connection, self._table, row_id[1]), Span())
        of_span = f"{span.condition} AND message_id <= {literal(row_id[0])}"
        before = f"sent_at < {literal(span.lower)} OR " if span.lower else ""
        return _estimate(connection, self._table, f"{before}{of_span}")

    def _decoded(self, values: Sequence[Any]) -> list[Any]:
        return [
            # Decimals, because a number in JSON may have more digits than a float.
            json.loads(value, parse_float=Decimal, parse_int=Decimal) if is_json and value is not None else value
            for value, is_json in zip(values, self._is_json, strict=True)
        ]

    def _replaced(self, values: Sequence[Any], tokens: dict[str, str]) -> list[Any]:
        """Return the columns' values with current tokens, and add the replaced tokens to `tokens`."""
        columns = dict(zip(self._column_names, values, strict=True))
        of_row: dict[str, str] = {}
        for column, places in self._places.items():
            for place in places:
                columns[column] = place.replace(columns[column], partial(self._replace, place.domain, of_row))
        for column, text_places in self._text_places.items():
            for text_place in text_places:
                columns[column] = text_place.replace(columns[column], of_row)
        tokens |= of_row
        return [*columns.values()]

    def _replace(self, domain: str, tokens: dict[str, str], token: str) -> str:
        current = self._successors.of(domain, token)
        if current != token:
            tokens[token] = current
        return current


def tables(streams: Iterable[type[Stream]], keyset: Keyset) -> list[TokenTable]:
    """Return every table that holds tokens, always in this order."""
    successors = Successors(keyset)
    of_streams = [StreamRows(stream, successors) for stream in streams if stream.token_places]
    return [SealedValues(successors), ErasedPersons(successors), ErasedValues(successors), *of_streams]


def _next(connection: Connection, columns: str, table: str, primary_key: str, after: str | None) -> Any:
    """Return the rows after that one, in the order of the primary key, by its index."""
    order = f"ORDER BY {primary_key} LIMIT {BATCH_ROWS}"
    if after is None:
        return connection.run(f"SELECT {columns} FROM {table} {order}") or []
    return connection.run(f"SELECT {columns} FROM {table} WHERE {primary_key} > :after {order}", after=after) or []


def _until(primary_key: str, until: str | None) -> str:
    return f"{primary_key} <= {literal(until)}" if until else "true"


def _estimate(connection: Connection, table: str, condition: str) -> int:
    """Return how many rows PostgreSQL expects by its statistics: to count them would take as long as to read them."""
    rows: Any = connection.run(f"EXPLAIN (FORMAT JSON) SELECT FROM {table} WHERE {condition}")
    return int(rows[0][0][0]["Plan"]["Plan Rows"])


def _row_id(text: str) -> RowId:
    """Return the id that a text is. An earlier version's has no time, and so tells no partition: all begins anew."""
    message_id, _, sent_at = text.partition(" ")
    return (message_id, sent_at) if sent_at else BEFORE_ALL


def _batch(row_ids: Sequence[str], current: Mapping[str, str]) -> Batch:
    """Return the batch of a table whose primary key is the token."""
    tokens = {old: token for old, token in current.items() if old != token}
    return Batch(row_ids[-1] if row_ids else None, tokens, [*tokens])
