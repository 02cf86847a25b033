"""Reveal the clear values that are sealed under tokens. The audit log first says who asked for them, and why."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from aws_lambda_powertools.metrics import MetricUnit

from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.failures import Outage
from sluice.operators.audit import audit_log
from sluice.operators.audit.audit_log import Head, Reason
from sluice.operators.call import Ticket, Token
from sluice.postgres.cells import array_cell
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.pseudonyms import check_values
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import RevealSettings
from sluice.telemetry import metrics
from sluice.vault.sealing import Altered, DataKey, WrappedDataKey, open_data_key

MOST_TOKENS = 100  # of a call
KMS_SECONDS = 25  # a call of KMS takes no longer (see sluice.aws.clients), and what became of it must still be logged


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for, and why."""

    tokens: Annotated[list[Token], msgspec.Meta(min_length=1, max_length=MOST_TOKENS)]
    reason: Reason
    ticket: Ticket


class Found(NamedTuple):
    """An entry of the vault, and the token that led to it: the entry's own, or another of the same value."""

    asked: str
    token: str
    domain: str
    sealed: bytes
    data_key: WrappedDataKey | None  # without it the value cannot be opened


class Revealer:
    """The vault, as the reveal role may use it."""

    def __init__(
        self, database: Database, streams: Iterable[type[Stream]], keyset: Keyset, settings: RevealSettings
    ) -> None:
        self._database = database
        self._keyset = keyset
        self._settings = settings
        places = [place for stream in streams for place in stream.token_places if place.recoverable]
        self._newer = [keyset.newer(domain) for domain in sorted({place.domain for place in places})]

    def run(self, actor: str, request: Request, deadline: Deadline) -> dict[str, Any]:
        """Return the values, and which tokens are unknown or of entries that somebody altered.

        Raises LimitReached or Outage; without the row in the audit log nothing is opened.
        """
        asked = list(dict.fromkeys(request.tokens))

        def look_up(connection: Connection) -> tuple[dict[str, list[Found]], Head]:
            check_values.check(connection, self._keyset)
            found = _find(connection, self._forms(asked))
            counts = {"asked": len(asked), "found": len(found)}
            entry = _entry("reveal", actor, request, asked, counts)
            return found, audit_log.append(connection, entry, self._settings.daily_limit)

        found, head = self._database.transact_once(look_up, deadline)
        audit_log.log_head(head)
        try:
            values = self._open(found, deadline)
        except Exception:
            self._log_failure(_entry("reveal_failed", actor, request, [*found], {"opened": 0}), deadline)
            raise
        altered = [token for token in asked if token in found and token not in values]
        if altered:
            counts = {"opened": len(values), "altered": len(altered)}
            self._log_failure(_entry("reveal_failed", actor, request, altered, counts), deadline)
        metrics.add_metric("ValuesRevealed", MetricUnit.Count, len(values))
        metrics.flush_metrics()
        return {
            "values": [values[token] for token in asked if token in values],
            "unknown": [token for token in asked if token not in found],
            "altered": altered,
        }

    def _forms(self, asked: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield each token with every token that its entry may have by now: itself, and those of newer token keys."""
        for token in asked:
            yield token, token
            yield from ((token, later) for newer in self._newer for later in newer(token))

    def _open(self, found: Mapping[str, Sequence[Found]], deadline: Deadline) -> dict[str, dict[str, str]]:
        """Return the answer's member for each token, unless somebody altered one of its entries."""
        wrapped = {
            entry.data_key.id: entry.data_key for entries in found.values() for entry in entries if entry.data_key
        }
        data_keys: dict[UUID, DataKey] = {}
        for key_id, wrapped_key in wrapped.items():
            if not deadline.allows(KMS_SECONDS):
                raise Outage("out of time")
            try:
                data_keys[key_id] = open_data_key(wrapped_key, self._settings.vault)
            except Altered:
                continue  # then all that was sealed under it counts as altered
        opened = {}
        for token, entries in found.items():
            try:
                values = {(entry.domain, self._value(entry, data_keys)) for entry in entries}
            except Altered:
                continue
            for domain, value in values:  # one: only equal values of one domain have equal tokens
                opened[token] = {"token": token, "domain": domain, "value": value}
        return opened

    def _value(self, entry: Found, data_keys: Mapping[UUID, DataKey]) -> str:
        """Open an entry. Raises Altered unless its value has both tokens: its own, and that which was asked for."""
        if entry.data_key is None or entry.data_key.id not in data_keys:
            raise Altered
        value = data_keys[entry.data_key.id].open(entry.sealed, entry.domain)
        if not {entry.token, entry.asked} <= set(self._keyset.tokens(entry.domain, value)):
            raise Altered
        return value

    def _log_failure(self, entry: audit_log.Entry, deadline: Deadline) -> None:
        head = self._database.transact_once(lambda connection: audit_log.append(connection, entry), deadline)
        audit_log.log_head(head)


def _find(connection: Connection, forms: Iterable[tuple[str, str]]) -> dict[str, list[Found]]:
    """Return the entries by the token that was asked for.

    While a new token key is being taken into use, an entry may still have a token of an older one.
    """
    asked, tokens = zip(*forms, strict=True)
    rows: Any = connection.run(
        "WITH form AS (SELECT * FROM unnest(CAST(:asked AS text[]), CAST(:tokens AS text[])) AS form(asked, token)),"
        " looked_for AS ("
        "SELECT asked, token FROM form"
        " UNION SELECT asked, old_token FROM form JOIN rekeyed_token USING (token))"
        " SELECT asked, token, domain, sealed, id, wrapped, kms_key_arn"
        " FROM looked_for JOIN pii_vault USING (token) LEFT JOIN pii_vault_key ON id = key_id",
        asked=array_cell(asked),
        tokens=array_cell(tokens),
    )
    found: dict[str, list[Found]] = defaultdict(list)
    for asked_for, token, domain, sealed, *wrapped in rows:
        data_key = WrappedDataKey(*wrapped) if wrapped[0] else None
        found[asked_for].append(Found(asked_for, token, domain, sealed, data_key))
    return dict(found)


def _entry(
    action: str, actor: str, request: Request, tokens: Sequence[str], counts: Mapping[str, int]
) -> audit_log.Entry:
    return audit_log.Entry(
        actor=actor, action=action, reason=request.reason, ticket=request.ticket, tokens=tokens, counts=counts
    )
