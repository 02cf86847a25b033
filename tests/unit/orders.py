"""An order as the shop sends it, every personal value of it a canary, and what becomes of it."""

import json
from decimal import Decimal
from typing import Any

ORDER: dict[str, Any] = {
    "order_id": "0BADF00D-0000-4000-8000-000000000001",
    "placed_at": 1_769_903_999.5,
    "status": "paid",
    "total": "1204.50",
    "gift": True,
    "tags": [" Fragile", 'a "b", \\{c}', "NULL"],
    "recipients": ["kn4ry-one@Example.com", "kn4ry-two@example.com"],
    "ip": "203.0.113.77",
    "customer": {"email": "kn4ry-ada@EXAMPLE.com", "phone": "020 7946 0018", "name": "kn4ry-Ada", "kn4ry": 1},
    "lines": [
        {"sku": "S-1", "quantity": 2, "price": 600.1, "engraving": "kn4ry-love"},
        {"sku": "S-2", "quantity": 1, "price": "4.3", "kn4ry-key": "kn4ry-value"},
    ],
    "kn4ry": {"email": "kn4ry-value"},
}
LEAKS = ["kn4ry", "203.0.113.77", "7946", "0018"]


def order(**changes: object) -> str:
    return json.dumps(ORDER | changes)


def line(**changes: object) -> list[dict[str, object]]:
    """Return the lines of the order with the second of them changed."""
    return [ORDER["lines"][0], ORDER["lines"][1] | changes]


def customer(**changes: object) -> dict[str, object]:
    return {**ORDER["customer"], **changes}


# What is refused of it, and why.
BAD_ORDERS: list[tuple[dict[str, Any], str, str]] = [
    ({"order_id": "kn4ry"}, "not_a_uuid", "/order_id"),
    ({"placed_at": "2026-01-31T12:00:00"}, "no_time_zone", "/placed_at"),
    ({"placed_at": True}, "wrong_type", "/placed_at"),
    ({"status": "kn4ry"}, "not_a_choice", "/status"),
    ({"total": "1.999"}, "too_precise", "/total"),
    ({"total": 1e10}, "out_of_range", "/total"),
    ({"gift": 1}, "wrong_type", "/gift"),
    ({"tags": None}, "null", "/tags"),
    ({"tags": ["a", None]}, "null", "/tags/1"),
    ({"tags": ["a", {"kn4ry": 1}]}, "wrong_type", "/tags/1"),
    ({"tags": ["a", "kn4ry" * 7]}, "too_long", "/tags/1"),
    ({"tags": ["a"] * 21}, "too_many", "/tags"),
    ({"recipients": ["kn4ry@example.com", "kn4ry"]}, "not_an_email_address", "/recipients/1"),
    ({"ip": "kn4ry"}, "not_an_ip_address", "/ip"),
    ({"customer": None}, "null", "/customer"),
    ({"customer": "kn4ry"}, "wrong_type", "/customer"),
    ({"customer": {"kn4ry": 1}}, "missing", "/customer/email"),
    ({"customer": customer(email="kn4ry")}, "not_an_email_address", "/customer/email"),
    ({"customer": customer(email=["kn4ry"])}, "wrong_type", "/customer/email"),
    ({"customer": customer(phone="kn4ry")}, "not_a_phone_number", "/customer/phone"),
    ({"customer": customer(name="kn4ry\0")}, "nul_character", "/customer/name"),
    ({"lines": {"kn4ry": 1}}, "wrong_type", "/lines"),
    ({"lines": [{"kn4ry": 1}]}, "missing", "/lines/0/sku"),
    ({"lines": line(sku=" ")}, "empty", "/lines/1/sku"),
    ({"lines": line(quantity=0)}, "out_of_range", "/lines/1/quantity"),
    ({"lines": line(quantity="kn4ry")}, "wrong_type", "/lines/1/quantity"),
    ({"lines": line(price="NaN")}, "out_of_range", "/lines/1/price"),
    ({"lines": line(price=None)}, "null", "/lines/1/price"),
    ({"lines": line(engraving="kn4ry" * 21)}, "too_long", "/lines/1/engraving"),
    ({"lines": [None]}, "null", "/lines/0"),
]
CELLS = {  # but for the tokens
    "order_id": "0badf00d-0000-4000-8000-000000000001",
    "placed_at": "2026-01-31T23:59:59.500000+00:00",
    "status": "paid",
    "total": Decimal("1204.50"),
    "gift": True,
    "tags": '{"fragile","a \\"b\\", \\\\{c}","null"}',
    "network": "203.0.113.0/24",
    "customer_domain": "example.com",
    "customer_name": None,
    "lines": [
        {"sku": "S-1", "quantity": 2, "price": Decimal("600.10"), "engraving": "engraved"},
        {"sku": "S-2", "quantity": 1, "price": Decimal("4.30"), "engraving": None},
    ],
    "source": "shop",
    "large": True,
}
