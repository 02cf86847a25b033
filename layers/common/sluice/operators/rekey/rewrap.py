"""The vault's data keys in, wrapped by another KMS key out: KMS does it, and none is ever in the clear here."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from sluice.aws import clients
from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.operators.audit import audit_log
from sluice.operators.audit.audit_log import Entry, Head
from sluice.postgres.cells import array_cell
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.settings import VaultSettings
from sluice.vault.sealing import WrappedKey

BATCH_KEYS = 100  # a transaction; 1 to 2 s of calls to KMS
BATCH_SECONDS = 10


def rewrap(database: Database, settings: VaultSettings, entry: Entry, deadline: Deadline) -> dict[str, Any]:
    """Bring data keys to the KMS key of the settings, until all are or the time is nearly used.

    Each batch has its row in the audit log. Raises Outage; what was committed until then stays.
    """
    changed = 0
    while deadline.allows(BATCH_SECONDS):
        count, head = database.transact(lambda connection: _rewrap_some(connection, settings, entry), deadline)
        if head is None:
            break
        audit_log.log_head(head)
        changed += count
    others = database.transact(lambda connection: count_others(connection, settings), deadline)
    return {"done": others == 0, "changed": changed}


def count_others(connection: Connection, settings: VaultSettings) -> int:
    """Return how many data keys another KMS key has wrapped."""
    rows = connection.run("SELECT count(*) FROM pii_vault_key WHERE kms_key_arn <> :arn", arn=settings.key_id)
    return int((rows or [[0]])[0][0])


def _rewrap_some(connection: Connection, settings: VaultSettings, entry: Entry) -> tuple[int, Head | None]:
    found: Any = connection.run(
        "SELECT id, wrapped, kms_key_arn FROM pii_vault_key WHERE kms_key_arn <> :arn"
        f" ORDER BY id LIMIT {BATCH_KEYS} FOR UPDATE",
        arn=settings.key_id,
    )
    if not found:
        return 0, None
    _update(connection, [_rewrapped(WrappedKey(*row), settings) for row in found])
    return len(found), audit_log.append(
        connection, msgspec.structs.replace(entry, action="rewrapped", counts={"data_keys": len(found)})
    )


def _rewrapped(key: WrappedKey, settings: VaultSettings) -> tuple[UUID, bytes, str]:
    try:
        made = clients.client("kms").re_encrypt(
            CiphertextBlob=key.wrapped,
            SourceKeyId=key.kms_key_arn,
            SourceEncryptionContext=dict(settings.encryption_context),
            DestinationKeyId=settings.key_id,
            DestinationEncryptionContext=dict(settings.encryption_context),
        )
    except clients.errors() as error:
        raise Outage(f"kms: {clients.reason(error)}") from None  # the text holds account and key ids
    return key.id, made["CiphertextBlob"], made["KeyId"]


def _update(connection: Connection, keys: Sequence[tuple[UUID, bytes, str]]) -> None:
    ids, wrapped, arns = zip(*keys, strict=True)
    connection.run(
        "UPDATE pii_vault_key k SET wrapped = decode(r.wrapped, 'hex'), kms_key_arn = r.arn FROM unnest("
        "CAST(:ids AS uuid[]), CAST(:wrapped AS text[]), CAST(:arns AS text[])) AS r(id, wrapped, arn)"
        " WHERE k.id = r.id",
        ids=array_cell([str(identity) for identity in ids]),
        wrapped=array_cell([blob.hex() for blob in wrapped]),
        arns=array_cell(arns),
    )
