"""A new token key is added to the keyset and made the current one. A call that was cut off is continued by the next."""

import secrets
from dataclasses import dataclass
from typing import Any

import msgspec

from sluice.deadline import Deadline
from sluice.operators.audit import audit_log
from sluice.operators.audit.audit_log import Entry, Head
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.pseudonyms import check_values, keyset_secret
from sluice.pseudonyms.keyset import Keyset

LOCK = 0x51D1  # two callers who add a token key take turns
RANDOM_BYTES = 48  # 64 characters of base64url


@dataclass(frozen=True)
class TokenKeyAdder:
    """The secret that holds the keyset, and what the database remembers of its token keys."""

    database: Database
    secret_id: str

    def add(self, entry: Entry, deadline: Deadline) -> dict[str, Any]:
        """Add a token key, remember it in the database, and only then make it current; return how many there are.

        A token key that an earlier call added, and did not make current, is taken. Raises Outage.
        """
        number, head = self.database.transact_once(lambda connection: self._remember(connection, entry), deadline)
        audit_log.log_head(head)
        keyset = self.database.transact(lambda connection: self._make_current(connection, number), deadline)
        return {"current": keyset.current, "keys": len(keyset.keys)}

    def _remember(self, connection: Connection, entry: Entry) -> tuple[int, Head]:
        keyset = self._read(connection)
        number = keyset.current + 1
        if number not in keyset.keys:
            keyset = Keyset({**keyset.keys, number: secrets.token_urlsafe(RANDOM_BYTES)}, keyset.current)
            keyset_secret.put(self.secret_id, keyset)  # first: the secret must hold what the database remembers
        check_values.remember(connection, keyset)
        entry = msgspec.structs.replace(entry, action="key_added", counts={"key_number": number})
        return number, audit_log.append(connection, entry)

    def _make_current(self, connection: Connection, number: int) -> Keyset:
        keyset = self._read(connection)
        if keyset.current >= number:
            return keyset  # another caller was quicker
        keyset = Keyset(keyset.keys, number)
        keyset_secret.put(self.secret_id, keyset)
        return keyset

    def _read(self, connection: Connection) -> Keyset:
        """Return the keyset, which no other caller changes until the transaction ends."""
        connection.run(f"SELECT pg_advisory_xact_lock({LOCK})")
        keyset = keyset_secret.newest(self.secret_id)
        check_values.check_whole(connection, keyset)
        return keyset
