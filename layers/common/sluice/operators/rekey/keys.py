"""What an operator can do with token keys and data keys: one of four actions, which tells how far it has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.operators.audit import audit_log
from sluice.operators.audit.audit_log import Entry, Reason
from sluice.operators.call import Ticket
from sluice.operators.rekey import rekeyer, rewrap
from sluice.operators.rekey.new_token_key import TokenKeyAdder
from sluice.operators.rekey.rekeyer import Rekeyer
from sluice.operators.rekey.token_tables import tables
from sluice.postgres.database import Database
from sluice.postgres.driver import Connection
from sluice.pseudonyms import check_values, keyset_secret
from sluice.settings import RekeySettings


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be done: add a token key, rekey the tokens, rewrap the data keys, or tell the status. And why."""

    action: Literal["add_key", "rekey", "rewrap", "status"]
    reason: Reason
    ticket: Ticket


@dataclass(frozen=True)
class Keys:
    """The token keys, the tables that hold their tokens, and the vault's data keys."""

    database: Database
    streams: Sequence[type[Stream]]
    settings: RekeySettings

    def run(self, actor: str, request: Request, deadline: Deadline) -> dict[str, Any]:
        """Do what is asked for, as far as there is time, once the audit log has the call. Raises Outage.

        What is done has rows of its own there. The same call, made again, goes on with the work.
        """
        entry = Entry(actor=actor, action=request.action, reason=request.reason, ticket=request.ticket)
        secret_id = self.settings.token_key_secret_id
        audit_log.log_head(self.database.transact_once(lambda session: audit_log.append(session, entry), deadline))
        match request.action:
            case "add_key":
                return TokenKeyAdder(self.database, secret_id).add(entry, deadline)
            case "rekey":
                return Rekeyer(self.database, self.streams, secret_id).run(entry, deadline)
            case "rewrap":
                return rewrap.rewrap(self.database, self.settings.vault, entry, deadline)
            case "status":
                return self.database.transact(self._status, deadline)

    def _status(self, connection: Connection) -> dict[str, Any]:
        keyset = keyset_secret.newest(self.settings.token_key_secret_id)
        check_values.check_whole(connection, keyset)
        return {
            "current": keyset.current,
            "keys": len(keyset.keys),
            **rekeyer.standing(connection, tables(self.streams, keyset)).told(),
            "data_keys_to_rewrap": rewrap.count_left(connection, self.settings.vault),
        }
