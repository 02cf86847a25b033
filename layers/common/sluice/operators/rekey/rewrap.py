"""The vault's data keys are moved to another KMS key. KMS does it: no data key is ever in the clear here."""

from collections.abc import Sequence
from typing import Any

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
from sluice.vault.sealing import WrappedDataKey

BATCH_DATA_KEYS = 100  # in a transaction; they take 1 to 2 s of calls to KMS
BATCH_SECONDS = 10  # what a batch may take


def rewrap(database: Database, settings: VaultSettings, entry: Entry, deadline: Deadline) -> dict[str, Any]:
    """Move data keys to the KMS key of the settings, until all are moved or the time is nearly over.

    Each batch has its row in the audit log. Raises Outage; what was committed until then stays.
    """
    changed = 0
    while deadline.allows(BATCH_SECONDS):
        count, head = database.transact_once(lambda connection: _rewrap_batch(connection, settings, entry), deadline)
        if head is None:
            break
        audit_log.log_head(head)
        changed += count
    left = database.transact(lambda connection: count_left(connection, settings), deadline)
    return {"done": left == 0, "changed": changed}


def count_left(connection: Connection, settings: VaultSettings) -> int:
    """Return how many data keys are still wrapped by another KMS key."""
    rows = connection.run("SELECT count(*) FROM pii_vault_key WHERE kms_key_arn <> :arn", arn=settings.key_id)
    return int((rows or [[0]])[0][0])


def _rewrap_batch(connection: Connection, settings: VaultSettings, entry: Entry) -> tuple[int, Head | None]:
    found: Any = connection.run(
        "SELECT id, wrapped, kms_key_arn FROM pii_vault_key WHERE kms_key_arn <> :arn"
        f" ORDER BY id LIMIT {BATCH_DATA_KEYS} FOR UPDATE",
        arn=settings.key_id,
    )
    if not found:
        return 0, None  # all are moved
    _update(connection, [_rewrapped(WrappedDataKey(*row), settings) for row in found])
    return len(found), audit_log.append(
        connection, msgspec.structs.replace(entry, action="rewrapped", counts={"data_keys": len(found)})
    )


def _rewrapped(data_key: WrappedDataKey, settings: VaultSettings) -> WrappedDataKey:
    try:
        made = clients.client("kms").re_encrypt(
            CiphertextBlob=data_key.wrapped,
            SourceKeyId=settings.here(data_key.kms_key_arn),
            SourceEncryptionContext=dict(settings.encryption_context),
            DestinationKeyId=settings.key_id,
            DestinationEncryptionContext=dict(settings.encryption_context),
        )
    except clients.errors() as error:
        raise Outage(f"kms: {clients.reason(error)}") from None  # the text holds ids of the account and the KMS key
    return WrappedDataKey(data_key.id, made["CiphertextBlob"], made["KeyId"])


def _update(connection: Connection, data_keys: Sequence[WrappedDataKey]) -> None:
    ids, wrapped, arns = zip(*data_keys, strict=True)
    connection.run(
        "UPDATE pii_vault_key k SET wrapped = decode(r.wrapped, 'hex'), kms_key_arn = r.arn FROM unnest("
        "CAST(:ids AS uuid[]), CAST(:wrapped AS text[]), CAST(:arns AS text[])) AS r(id, wrapped, arn)"
        " WHERE k.id = r.id",
        ids=array_cell([str(identity) for identity in ids]),
        wrapped=array_cell([blob.hex() for blob in wrapped]),
        arns=array_cell(arns),
    )
