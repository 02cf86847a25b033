"""From an SQS event of orders to whole rows: nested objects, lists, exact numbers, times."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.databases import TestDatabase
from tests.integration.environment import Environment
from tests.integration.messages import event, failures, record, token
from tests.unit.orders import BAD_ORDERS, LEAKS, ORDER, line, order


@pytest.fixture
def ingest(settings: str, environments: Callable[[], Environment], monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An execution environment of the function of the orders."""
    monkeypatch.setenv("STREAM", "orders")
    return environments()


def row(sent: dict[str, Any], **changes: object) -> dict[str, Any]:
    """Return the whole row of the order above."""
    return {
        "order_id": "0badf00d-0000-4000-8000-000000000001",
        "placed_at": "2026-01-31T23:59:59.5+00:00",
        "status": "paid",
        "total": 1204.50,
        "gift": True,
        "tags": ["fragile", 'a "b", \\{c}', "null"],
        "recipient_emails": [token("email", "kn4ry-one@example.com"), token("email", "kn4ry-two@example.com")],
        "masked_ip": token("ip", "203.0.113.77"),
        "network": "203.0.113.0/24",
        "customer_email": token("email", "kn4ry-ada@example.com"),
        "customer": token("subject", "kn4ry-ada@example.com"),
        "customer_domain": "example.com",
        "customer_phone": token("phone", "+442079460018"),
        "customer_name": None,
        "lines": [
            {"sku": "S-1", "quantity": 2, "price": 600.10, "engraving": "engraved"},
            {"sku": "S-2", "quantity": 1, "price": 4.30, "engraving": None},
        ],
        "source": "shop",
        "large": True,
        "sent_at": "2026-01-31T23:59:59.999+00:00",
        "message_id": sent["messageId"],
    } | changes


LEAST = {
    name: ORDER[name] for name in ("order_id", "placed_at", "status", "total")
} | {"total": 999.99, "customer": {"email": "a@b.example", "name": "x"}, "lines": []}  # fmt: skip
LEAST_ROW = {
    "total": 999.99,
    "gift": False,
    "tags": [],
    "recipient_emails": [],
    "masked_ip": None,
    "network": None,
    "customer_email": token("email", "a@b.example"),
    "customer": token("subject", "a@b.example"),
    "customer_domain": "b.example",
    "customer_phone": None,
    "lines": [],
    "large": False,
}


def test_an_order_becomes_this_row(database: TestDatabase, ingest: Environment) -> None:
    full, least = record(ORDER), record(LEAST)
    assert ingest.invoke(event(full, least)) == {"batchItemFailures": []}
    wanted = [row(full), row(least, **LEAST_ROW)]
    assert database.rows("orders") == sorted(wanted, key=lambda found: found["message_id"])
    exact = "SELECT total::text, lines::text FROM orders WHERE large"
    ((total, lines),) = database.sql(exact)
    assert total == "1204.50"
    assert '"price": 600.10,' in lines  # not a float's 600.1


def test_the_row_is_the_same_when_it_is_merged(database: TestDatabase, ingest: Environment) -> None:
    old, full, least = record(LEAST), record(ORDER), record(LEAST)
    ingest.invoke(event(old))
    assert ingest.invoke(event(old, full, least)) == {"batchItemFailures": []}
    wanted = [row(old, **LEAST_ROW), row(full), row(least, **LEAST_ROW)]
    assert database.rows("orders") == sorted(wanted, key=lambda found: found["message_id"])
    ((total, lines),) = database.sql("SELECT total::text, lines::text FROM orders WHERE large")
    assert total == "1204.50"
    assert '"price": 600.10,' in lines


def test_bad_orders_are_reported_and_recorded_and_the_others_are_rows(
    database: TestDatabase, ingest: Environment
) -> None:
    good = record(ORDER)
    bad = [record(order(**changes)) for changes, _, _ in BAD_ORDERS]
    assert ingest.invoke(event(*bad, good)) == failures(*bad)
    assert database.rows("orders") == [row(good)]
    assert database.rejections() == {
        sent["messageId"]: (reason, pointer) for sent, (_, reason, pointer) in zip(bad, BAD_ORDERS, strict=True)
    }
    assert {found["stream"] for found in database.rows("rejection")} == {"orders"}


@pytest.mark.parametrize(
    ("condition", "changes"),
    [
        ("status <> 'sent'", {"status": "sent"}),
        ("cardinality(tags) < 4", {"tags": ["a", "b", "c", "d"]}),
        ("jsonb_array_length(lines) < 3", {"lines": [*line(), *line()]}),
    ],
)
def test_an_order_that_breaks_a_constraint_is_rejected_alone(
    condition: str, changes: dict[str, Any], database: TestDatabase, ingest: Environment
) -> None:
    database.sql(f"ALTER TABLE orders ADD CONSTRAINT mine CHECK ({condition})")
    good, bad = record(ORDER), record(order(**changes))
    assert ingest.invoke(event(bad, good)) == failures(bad)
    assert database.rows("orders") == [row(good)]
    assert database.rejections() == {bad["messageId"]: ("sqlstate_23514", "")}


@pytest.mark.parametrize(
    ("sql", "changes", "reason", "pointer"),
    [
        (
            "ALTER TABLE orders ALTER COLUMN customer_domain TYPE varchar(11)",
            {"customer": {"email": "a@long.example.com", "name": "x"}},
            "sqlstate_22001",
            "/customer/email",
        ),
        ("ALTER TABLE orders ALTER COLUMN tags TYPE varchar(9)[]", {"tags": ["x" * 10]}, "sqlstate_22001", "/tags"),
        ("ALTER TABLE orders ALTER COLUMN total TYPE numeric(5, 2)", {"total": 1000}, "sqlstate_22003", "/total"),
        ("ALTER TABLE orders ALTER COLUMN masked_ip SET NOT NULL", {"ip": None}, "sqlstate_23502", "/ip"),
    ],
)
def test_a_value_that_postgresql_refuses_points_into_the_record(
    sql: str, changes: dict[str, Any], reason: str, pointer: str, database: TestDatabase, ingest: Environment
) -> None:
    database.sql(sql)
    good, bad = record(order(tags=[], total=1)), record(order(**{"tags": [], "total": 1} | changes))
    assert ingest.invoke(event(good, bad)) == failures(bad)
    assert database.rejections() == {bad["messageId"]: (reason, pointer)}
    assert [found["message_id"] for found in database.rows("orders")] == [good["messageId"]]


def test_clear_values_of_an_order_are_in_no_table(database: TestDatabase, ingest: Environment) -> None:
    records = [record(ORDER), *(record(order(**changes)) for changes, _, _ in BAD_ORDERS)]
    ingest.invoke(event(*records))
    ingest.invoke(event(records[0], record(ORDER)))  # merged
    assert len(database.rows("orders")) == 2
    for table in ("orders", "rejection"):
        stored = json.dumps([{**found, "message_id": "", "at": ""} for found in database.rows(table)])
        assert [leak for leak in LEAKS if leak in stored] == []
