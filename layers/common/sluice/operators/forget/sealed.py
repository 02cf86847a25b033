"""Sealed values that no row uses: erased with a person, or swept. The caller holds the lock of `vault.erasures`.

A value has one token under each token key. While a new token key is taken into use, the vault and the rows may have
different ones of them. So a sealed value can be in use although no row has the token that it is sealed under.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from sluice.declaration.stream import Stream
from sluice.operators.forget.rows import Tokens
from sluice.postgres.cells import array_cell
from sluice.postgres.driver import Connection
from sluice.pseudonyms.keyset import TOKEN, Keyset
from sluice.vault import erasures


class Forms(NamedTuple):
    """Some values, and all tokens that they have. A value goes by its token under the current token key."""

    value_of: Mapping[str, str]  # by token
    rekeyed: Collection[str]  # the tokens under older token keys that the table `rekeyed_token` remembers

    def values(self, tokens: Iterable[str]) -> set[str]:
        """Return the values that have these tokens."""
        return {self.value_of[token] for token in tokens}

    def tokens(self, values: Collection[str]) -> list[str]:
        """Return all tokens of these values."""
        return [token for token, value in self.value_of.items() if value in values]


class ErasedValues(NamedTuple):
    """How many sealed values are gone, and how many stay, because rows of others use them."""

    erased: int
    used_by_others: int


def erase_sealed(
    connection: Connection, streams: Iterable[type[Stream]], keyset: Keyset, tokens: Tokens, identifying: Tokens
) -> ErasedValues:
    """Delete the sealed values of these tokens that no row uses any more, and the identifying ones in any case."""
    forms = _forms(connection, keyset, [*tokens.items(), *identifying.items()])
    sealed = _among(connection, "SELECT token FROM pii_vault WHERE token", forms.value_of)
    in_rows = (
        f"SELECT DISTINCT token FROM ({erasures.tokens_in_rows(streams, {*tokens, *identifying})}) AS used WHERE token"
    )
    used = _among(connection, in_rows, forms.tokens(forms.values([*sealed, *forms.rekeyed])))

    used_values = forms.values(used)
    unused_rekeyed = [token for token in forms.rekeyed if forms.value_of[token] not in used_values]
    _delete(connection, "rekeyed_token WHERE old_token", unused_rekeyed)

    # A row may have a token that its value is not sealed under. Then the value stays under all of its tokens.
    needed_values = forms.values(used - sealed)
    own_values = forms.values([token for several in identifying.values() for token in several])
    gone = [
        token
        for token in sealed
        if forms.value_of[token] in own_values or not (token in used or forms.value_of[token] in needed_values)
    ]
    return ErasedValues(_delete(connection, "pii_vault WHERE token", gone), len(forms.values(sealed.difference(gone))))


def sweep(connection: Connection, streams: Iterable[type[Stream]]) -> tuple[int, int]:
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


def older_forms(connection: Connection, keyset: Keyset, values: Mapping[str, str]) -> dict[str, list[str]]:
    """Return all tokens that the vault has for these values, given as current tokens; the current one is last."""
    found: dict[str, list[str]] = {}
    for domain, current in values.items():
        newer = keyset.newer(domain)
        rows: Any = connection.run(
            "SELECT token FROM pii_vault WHERE domain = :domain AND NOT starts_with(token, :prefix)",
            domain=domain,
            prefix=f"t{keyset.current}_",
        )
        found[domain] = [token for (token,) in rows if newer(token)[-1] == current] + [current]
    return found


def _forms(connection: Connection, keyset: Keyset, tokens: Iterable[tuple[str, Collection[str]]]) -> Forms:
    """Return all tokens of the values that have these: newer ones are computed, older ones are in `rekeyed_token`."""
    value_of: dict[str, str] = {}
    for domain, several in tokens:
        newer = keyset.newer(domain)
        for token in several:
            if TOKEN.fullmatch(token):  # any other text is no token of ours, and was never sealed
                forms = [token, *newer(token)]
                value_of |= dict.fromkeys(forms, forms[-1])
    rekeyed = dict(_matching(connection, "SELECT old_token, token FROM rekeyed_token WHERE token", value_of))
    older = {old_token: value_of[token] for old_token, token in rekeyed.items()}
    return Forms(value_of | older, rekeyed)


def _matching(connection: Connection, sql: str, tokens: Iterable[str]) -> Any:
    return connection.run(f"{sql} = ANY(CAST(:tokens AS text[]))", tokens=array_cell([*tokens])) or []


def _among(connection: Connection, sql: str, tokens: Iterable[str]) -> set[str]:
    """Return those of the tokens that a query finds."""
    return {token for (token,) in _matching(connection, sql, tokens)}


def _delete(connection: Connection, table: str, tokens: Iterable[str]) -> int:
    connection.run(f"DELETE FROM {table} = ANY(CAST(:tokens AS text[]))", tokens=array_cell([*tokens]))
    return int(connection.row_count)
