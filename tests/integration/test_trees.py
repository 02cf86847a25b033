"""A Tree fits the table that is proposed for it, and the tokens inside of it are found by their arrays and revealed."""

import json
from typing import Annotated, Any

from sluice.deadline import Deadline
from sluice.declaration.stream import Part, Stream
from sluice.migrate import rights, tables
from sluice.operators.reveal import Request, Revealer
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import RevealSettings, VaultSettings
from tests.integration.databases import LOGINS, TestDatabase, in_seconds
from tests.integration.environment import VAULT_KEY, OpenStore, write
from tests.integration.erasing import CALLER, SEEN, WHY
from tests.integration.messages import KEYSET, token
from tests.integration.rekeying import masked
from tools.sluice_cli.authors import table_sql

KEYS = Keyset.parse(KEYSET)


class Visitor(Part):
    """Who was seen."""

    details: Annotated[dict[str, Any], SEEN]


class Sighting(Stream, table="sightings"):
    """A Tree, and a list of objects with one each."""

    details: Annotated[dict[str, Any] | None, SEEN]
    visitors: list[Visitor]


def test_tokens_inside_of_a_tree_are_found_by_their_array_and_revealed(
    database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    database.sql(table_sql.create_table(Sighting))
    rights.grant(database.owner, Sighting, LOGINS)
    assert tables.findings(database.owner, Sighting, {}) == []
    gate = {"gate": {"email": "ada@example.com", "ip": "203.0.113.7", "name": "Ada"}}
    records = [
        {"details": {"seen": gate, "digits": 1}, "visitors": [{"details": {"devices": ["d1", "d1"]}}]},
        {"details": None, "visitors": []},
    ]
    rows = masked(Sighting, KEYS, {number: json.dumps(record) for number, record in enumerate(records, 1)})
    assert write(open_store(Sighting), rows, in_seconds(60)) == (2, 0, [])
    ada, ip, device = token("email", "ada@example.com"), token("ip", "203.0.113.7"), token("device_id", "d1")
    arrays = "details, details_email, seen_addresses, details_device_id"
    of_visitor = {"details_email": [], "seen_addresses": [], "details_device_id": [device]}
    assert database.sql(f"SELECT {arrays}, visitors FROM sightings ORDER BY message_id") == [
        [
            {"seen": {"gate": {"email": ada, "ip": ip}}, "digits": 1},
            *([ada], [ip], []),
            [{"details": {"devices": [device, device]}} | of_visitor],
        ],
        [None, None, None, None, []],
    ]
    assert database.sql("SELECT count(*) FROM sightings WHERE details_email @> ARRAY[:token]", token=ada) == [[1]]

    connection = Database(database.settings("reveal"), "sluice-test")
    settings = RevealSettings(
        daily_limit=10,
        token_key_secret_id="",
        allow_unverified_caller=False,
        database=database.settings("reveal"),
        vault=VaultSettings(key_id=VAULT_KEY, stack="tests"),
    )
    request = Request(tokens=[ada, device, ip], **WHY)  # type: ignore[arg-type]
    answer = Revealer(connection, [Sighting], KEYS, settings).run(CALLER, request, deadline)
    connection.close()
    assert answer == {
        "values": [
            {"token": ada, "domain": "email", "value": "ada@example.com"},
            {"token": device, "domain": "device_id", "value": "d1"},
        ],
        "unknown": [ip],
        "altered": [],
    }
