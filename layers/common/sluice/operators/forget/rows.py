"""The rows of a person, erased. The caller holds the lock of `vault.erasures`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sluice.declaration.personal import TokenPlace
from sluice.declaration.stream import Stream
from sluice.postgres.cells import Cell, array_cell
from sluice.postgres.driver import Connection, identifier, quoted_table
from sluice.vault import erasures

type Tokens = Mapping[str, set[str]]  # by domain


class ErasedRows(NamedTuple):
    """How many rows are gone, and every token that was in them."""

    rows: int
    tokens: Tokens


def erase_rows(
    connection: Connection, stream: type[Stream], subjects: Sequence[Cell], sent_before: datetime | None
) -> ErasedRows:
    """Delete the rows whose subject is one of these: all of them, or those that were sent before a moment."""
    if stream.subject is None or not subjects:
        return ErasedRows(0, {})
    places: dict[str, list[TokenPlace]] = defaultdict(list)
    for place in stream.token_places:
        places[place.domain].append(place)
    columns = dict.fromkeys(
        str(identifier(name)) for name in ("message_id", *(place.column for place in stream.token_places))
    )
    arrays = [f"ARRAY({_tokens_of('gone', several)})" for several in places.values()]
    found: Any = connection.run(
        f"WITH gone AS (DELETE FROM {quoted_table(stream.table)}"
        f" WHERE {identifier(stream.subject.column)} = ANY(:subjects)"
        " AND sent_at < coalesce(CAST(:sent_before AS timestamptz), 'infinity')"
        f" RETURNING {', '.join(columns)})"
        f" SELECT {', '.join(['(SELECT count(*) FROM gone)', *arrays])}",
        subjects=array_cell(subjects),
        sent_before=sent_before,
    )
    ((rows, *tokens),) = found
    return ErasedRows(rows, {domain: set(several) - {None} for domain, several in zip(places, tokens, strict=True)})


def _tokens_of(table: str, places: Sequence[TokenPlace]) -> str:
    return " UNION ".join(f"SELECT {erasures.tokens_at(place)} FROM {table}" for place in places)
