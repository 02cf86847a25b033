"""A value of several shapes in PostgreSQL: its row, and its tokens when a person is erased or a key is replaced."""

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations, count
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.declaration.stream import Part, Stream
from sluice.declaration.unions import Tagged
from sluice.migrate import rights, tables
from sluice.operators.forget.eraser import Eraser
from sluice.operators.forget.requests import Erase
from sluice.operators.rekey.rekeyer import Rekeyer
from sluice.operators.reveal import Request, Revealer
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset_secret import KeysetVersion
from sluice.settings import RevealSettings, VaultSettings
from tests.integration.databases import LOGINS, TestDatabase, in_seconds
from tests.integration.environment import VAULT_KEY, OpenStore, write
from tests.integration.erasing import CALLER, sealed_tokens
from tests.integration.messages import numbered, token
from tests.integration.rekeying import ENTRY, NEW, OLD, masked, secret_text
from tests.integration.test_table_sql import findings
from tests.unit.kinds import KINDS, declare, field
from tests.unit.payments import Payment
from tests.unit.test_unions import PAYMENTS, payment
from tools.sluice_cli.authors import table_sql
from tools.testing.aws.account import FakeAws
from tools.testing.aws.secrets_manager import LONG_AGO

FULL = {
    "method": {"type": "bank", "iban": "GB33", "country": "GB"},
    "author": {"email": "author@example.com"},
    "to": ["one@example.com", "two@example.com"],
    "headers": [
        {"name": "Subject", "value": "kn4ry"},
        {"name": "to", "value": "one@example.com"},
        {"name": "Cc", "value": "cc@example.com"},
    ],
    "by": {"email": "by@example.com"},
}
IN_JSON = ["one@example.com", "cc@example.com"]
ALL = ["author@example.com", "one@example.com", "two@example.com", "cc@example.com", "by@example.com"]


@pytest.fixture(autouse=True)
def payments(database: TestDatabase) -> None:
    """Deploy the stream of payments."""
    database.sql(table_sql.create_table(Payment))
    assert tables.findings(database.owner, Payment, {}) == []
    rights.grant(database.owner, Payment, LOGINS)


@pytest.fixture
def connections(database: TestDatabase) -> Iterator[dict[str, Database]]:
    roles = ("forget", "rekey", "reveal")
    made = {role: Database(database.settings(role), "sluice-test") for role in roles}
    yield made
    for connection in made.values():
        connection.close()


def expected(record: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a record that are not NULL, as PostgreSQL has them."""
    method, by, author, to = record["method"], record["by"], record["author"], record["to"]
    row: dict[str, Any] = {
        "user_id": "kim",
        "type": record["type"],
        "method_country": "DE",
        "headers": [_header(header) for header in record["headers"]],
    }
    if method["type"] == "bank":
        row |= {"method_iban": token("iban", method["iban"]), "method_kind": "bank transfer", "is_card": False}
    else:
        row |= {"card_token": token("number", method["number"]), "card_start": "kn4r", "method_kind": "card"}
        row |= {"is_card": True}
    if record["source"] and record["source"]["kind"] < 3:
        row |= {"source_till": record["source"]["till"]}
    if isinstance(author, dict):
        row |= {"author_email": token("email", author["email"])}
    elif isinstance(author, str):
        row |= {"author_name": token("author", author)}
    elif author is not None:
        row |= {"author_number": Decimal(author).quantize(Decimal("0.01"))}
    many = isinstance(to, list)
    row |= {"to_tokens": [token("email", one) for one in to]} if many else {"to_token": token("email", to)}
    if record["type"] == "identify":
        return row | {"traits_email": token("email", record["traits"]["email"])}
    by_column = {"by_email": token("email", by["email"])} if isinstance(by, dict) else {"by_name": token("by", by)}
    return row | {"event": "opened"} | by_column


def _header(header: dict[str, str]) -> dict[str, str]:
    if header["name"] == "other":
        return {"name": "other"}
    if header["name"] == "subject":
        return {"name": "subject", "text": "about"}
    return {"name": header["name"], "address": token("email", header["value"])}


def test_every_case_arrives_in_its_own_columns(database: TestDatabase, open_store: OpenStore) -> None:
    store, ids = open_store(Payment), count(1)

    @given(st.lists(PAYMENTS, min_size=1, max_size=20))
    @settings(max_examples=10, deadline=None, database=None)
    def round_trip(records: list[dict[str, Any]]) -> None:
        bodies = {next(ids): json.dumps(record) for record in records}
        assert write(store, masked(Payment, OLD, bodies), in_seconds(60)) == (len(records), 0, [])
        stored = database.sql(
            "SELECT to_jsonb(p)::text FROM payments p WHERE message_id = ANY(CAST(:ids AS uuid[])) ORDER BY message_id",
            ids=[*map(numbered, bodies)],
        )
        for record, (text,) in zip(records, stored, strict=True):
            found = json.loads(text, parse_float=Decimal)
            assert "kn4ry" not in text
            filled = {name: value for name, value in found.items() if value is not None}
            assert {name: value for name, value in filled.items() if name not in ("sent_at", "message_id")} == (
                expected(record)
            )

    round_trip()


def test_a_column_of_two_cases_holds_the_values_of_both(database: TestDatabase, open_store: OpenStore) -> None:
    streams, records = [], []
    for one, other in combinations(KINDS.values(), 2):
        parts = [declare(Part, {"value": field(kind.rule)}) for kind in (one, other)]
        hint = Annotated[parts[0] | parts[1], Tagged("of", dict(enumerate(parts)))]  # type: ignore[valid-type]
        streams.append(declare(Stream, {"any": hint}, table="either"))
        records.append([f'{{"any": {{"of": {of}, "value": {kind.given}}}}}' for of, kind in enumerate((one, other))])
    assert findings(database, *streams) == []
    for stream, bodies in list(zip(streams, records, strict=True))[:: len(streams) // 12]:
        database.sql(f"DROP TABLE IF EXISTS either; {table_sql.create_table(stream)}")
        rights.grant(database.owner, stream, LOGINS)
        rows = masked(stream, OLD, dict(enumerate(bodies, 1)))
        assert write(open_store(stream), rows, in_seconds(60)) == (2, 0, [])


def test_a_new_key_reaches_the_tokens_of_every_case(
    database: TestDatabase,
    open_store: OpenStore,
    fake_aws: FakeAws,
    settings: str,
    connections: dict[str, Database],
) -> None:
    store = open_store(Payment)
    store.verify(OLD, in_seconds(60))
    identify = payment(
        type="identify", traits={"email": "two@example.com"}, author="Kim", source={"kind": 1, "till": 2}
    )
    bodies: dict[int, object] = {1: payment(**FULL), 2: payment(), 3: identify}
    write(store, masked(Payment, OLD, bodies), in_seconds(60))
    fake_aws.secretsmanager.secrets[settings] = secret_text(NEW)
    database.sql("INSERT INTO token_key (number, check_value) VALUES (2, :value)", value=NEW.check_values[2])
    assert Rekeyer(connections["rekey"], [Payment], settings).run(ENTRY, in_seconds(60))["done"]
    rows, sealed = database.rows("payments"), sealed_tokens(database)
    assert "t1_" not in json.dumps(rows)
    database.sql("TRUNCATE payments, pii_vault, pii_vault_key")
    fresh = open_store(Payment)
    fresh.verify(NEW, in_seconds(60))
    write(fresh, masked(Payment, NEW, bodies), in_seconds(60))
    assert (rows, sealed) == (database.rows("payments"), sealed_tokens(database))


def test_a_person_who_is_erased_leaves_no_value_of_any_case(
    database: TestDatabase, open_store: OpenStore, connections: dict[str, Database]
) -> None:
    bodies: dict[int, object] = {1: payment(**FULL), 2: payment(user_id="lee", to="cc@example.com")}
    write(open_store(Payment), masked(Payment, OLD, bodies), in_seconds(60))
    assert {token("email", value) for value in ALL} < sealed_tokens(database)
    eraser = Eraser(connections["forget"], [Payment], KeysetVersion(OLD, LONG_AGO))
    request = Erase(reason="support_request", ticket="A-1", subject="kim")
    answer = eraser.run(CALLER, request, in_seconds(60))
    assert (answer["rows"], answer["values"]) == ({Payment.stream_name: 1}, 5)  # what Lee wrote to stays
    assert sealed_tokens(database) == {token("email", "cc@example.com"), token("number", "kn4ry-4242")}


def test_a_token_in_every_case_is_revealed(
    database: TestDatabase, open_store: OpenStore, connections: dict[str, Database]
) -> None:
    write(open_store(Payment), masked(Payment, OLD, {1: payment(**FULL)}), in_seconds(60))
    (row,) = database.rows("payments")
    tokens = [header["address"] for header in row["headers"] if "address" in header]
    assert tokens == [token("email", value) for value in IN_JSON]
    tokens += [row["method_iban"], row["by_email"]]
    reveal_settings = RevealSettings(
        daily_limit=10,
        token_key_secret_id="",
        allow_unverified_caller=False,
        database=database.settings("reveal"),
        vault=VaultSettings(key_id=VAULT_KEY, stack="tests"),
    )
    request = Request(tokens=tokens, reason="fraud_investigation", ticket="PRIV-1")
    answer = Revealer(connections["reveal"], [Payment], OLD, reveal_settings).run(CALLER, request, in_seconds(60))
    values = [(one["domain"], one["value"]) for one in answer["values"]]
    assert values == [*(("email", value) for value in IN_JSON), ("iban", "GB33"), ("email", "by@example.com")]
