"""Keysets of one and of two keys, and who works with them: environments of ingest, calls of the rekey function."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.deadline import Deadline
from sluice.declaration.stream import Stream
from sluice.ingest.batch import record_handler
from sluice.ingest.rows import MaskedRow
from sluice.ingest.store import Store
from sluice.operators.audit.audit_log import Entry
from sluice.operators.rekey.rekeyer import Rekeyer
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from streams.orders import Order
from streams.user_logins import UserLogin
from tests.integration.databases import TestDatabase, in_seconds
from tests.integration.environment import Environment, OpenStore, write
from tests.integration.erasing import Visit
from tests.integration.messages import KEY, numbered, record
from tools.testing.aws.account import FakeAws

CALLER = "arn:aws:sts::000000000000:assumed-role/keys/ann"
WHY = {"reason": "key_rotation", "ticket": "OPS-7"}
SECOND_KEY = "kn4ry-key" + "2" * 55
OLD = Keyset({1: KEY}, 1)
NEW = Keyset({1: KEY, 2: SECOND_KEY}, 2)
STREAMS: Sequence[type[Stream]] = (UserLogin, Order, Visit)
ENTRY = Entry(actor=CALLER, action="rekey", reason=WHY["reason"], ticket=WHY["ticket"])


def secret_text(keyset: Keyset) -> str:
    return json.dumps({"current": keyset.current} | {str(number): key for number, key in keyset.keys.items()})


def masked(stream: type[Stream], keyset: Keyset, bodies: Mapping[int, object], **attributes: str) -> list[MaskedRow]:
    """Return the rows of messages with these ids, as an environment with that keyset masks them."""
    handle = record_handler(stream, keyset)
    return [handle(SQSRecord(record(body, numbered(number), **attributes))).rows[0] for number, body in bodies.items()]


@dataclass
class Rekeying:
    """What the tests of rekeying do, on one database."""

    database: TestDatabase
    fake_aws: FakeAws
    secret_id: str
    open_store: OpenStore
    connection: Database

    def key_becomes_current(self, at: datetime | None = None) -> None:
        """Have two keys in the keyset, the second one current: long ago, or since a moment."""
        manager = self.fake_aws.secretsmanager
        manager.secrets[self.secret_id] = secret_text(NEW)
        if at:
            manager.put_at[self.secret_id] = at
        self.database.sql("INSERT INTO token_key (number, check_value) VALUES (2, :value)", value=NEW.check_values[2])

    def key_has_settled(self) -> None:
        self.fake_aws.secretsmanager.put_at.clear()

    def key_is_current_since_now(self) -> None:
        self.key_becomes_current(datetime.now(UTC))

    def ingest(
        self,
        keyset: Keyset,
        stream: type[Stream],
        bodies: Mapping[int, object],
        store: Store | None = None,
        **attributes: str,
    ) -> tuple[int, int, list[str]]:
        """Write messages as a cold environment with that keyset does, or as one with that store."""
        store = store or self.open_store(stream)
        store.verify(keyset, in_seconds(60))
        written = write(store, masked(stream, keyset, bodies, **attributes), in_seconds(60))
        store._database.close()  # a test may have more environments than the server takes connections
        return written

    def rekey(self, deadline: Deadline | None = None) -> dict[str, Any]:
        return Rekeyer(self.connection, STREAMS, self.secret_id).run(ENTRY, deadline or in_seconds(60))

    def stored(self) -> dict[str, Any]:
        """Return all that has tokens: whole rows, and what is known of the vault's entries but their sealed values."""
        return {
            **{stream.table: self.database.rows(stream.table) for stream in STREAMS},
            "vault": self.database.sql('SELECT token, domain FROM pii_vault ORDER BY token COLLATE "C"'),
            "erasure": self.database.sql("SELECT subject_token, erased_at FROM erasure ORDER BY 1"),
        }

    def empty(self) -> None:
        self.database.sql("TRUNCATE user_logins, orders, visits, pii_vault, pii_vault_key")


def call(environment: Environment, request: object, caller: str = CALLER, seconds: float = 30) -> tuple[int, Any]:
    """Call the rekey function's URL, and return status and body."""
    authorizer = {"iam": {"userArn": caller}} if caller else {}
    event = {"requestContext": {"authorizer": authorizer}, "body": json.dumps(request), "isBase64Encoded": False}
    response = environment.invoke(event, seconds)
    return response["statusCode"], json.loads(response["body"])
