"""The stream `orders`: nested objects, lists, and every kind of value, masked."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration.registry import load
from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset
from streams.orders import Order
from tests.unit.fakes import KEYSET
from tests.unit.kinds import mask_body
from tests.unit.orders import BAD_ORDERS, CELLS, LEAKS, ORDER, order


def test_an_order_becomes_a_row_of_masked_cells(keyset: Keyset) -> None:
    columns = [column for column, _ in Order.columns()]
    email, ip, phone, customer_email = map(keyset.pseudonymizer, ("email", "ip", "phone", "email"))
    assert dict(zip(columns, mask_body(Order, order(), keyset), strict=True)) == CELLS | {
        "recipient_emails": f'{{"{email("kn4ry-one@example.com")}","{email("kn4ry-two@example.com")}"}}',
        "masked_ip": ip("203.0.113.77"),
        "customer_phone": phone("+442079460018"),
        "customer_email": customer_email("kn4ry-ada@example.com"),
        "customer": keyset.pseudonymizer("subject")("kn4ry-ada@example.com"),
    }


def test_no_cell_of_an_order_holds_a_clear_value(keyset: Keyset) -> None:
    cells = repr(Order.masker(keyset)(order()).cells)
    assert [leak for leak in LEAKS if leak in cells] == []


@pytest.mark.parametrize(("changes", "reason", "pointer"), BAD_ORDERS, ids=lambda value: str(value)[:30])
def test_a_bad_order_is_rejected_with_reason_and_pointer_and_nothing_of_it(
    changes: dict[str, Any], reason: str, pointer: str, keyset: Keyset
) -> None:
    body = order(**changes)
    with pytest.raises(Rejected) as caught:
        Order.masker(keyset)(body)
    assert (caught.value.reason, caught.value.pointer) == (reason, pointer)
    assert caught.value.__suppress_context__
    told = f"{caught.value!r} {caught.value} {Order.shape(body)}"
    assert [leak for leak in LEAKS if leak in told] == []


def test_the_shape_of_an_order() -> None:
    assert Order.shape(order()) == {
        "bytes": len(order()),
        "fields": {
            "order_id": "string",
            "placed_at": "number",
            "status": "string",
            "total": "string",
            "gift": "boolean",
            "tags": "array",
            "recipients": "array",
            "ip": "string",
            "customer": {"email": "string", "phone": "string", "name": "string"},
            "lines": "array",
        },
        "other_fields": 1,
    }


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["email", "sku", "kn4ry"]), inner),
    max_leaves=10,
)


def _pointers() -> set[str]:
    """Return a pointer to every declared thing in an order, list indices as `#`."""
    found = {"", *(f"/{member.key}" for member in Order.layout.members)}
    found |= {f"/{key}/#" for key in ("tags", "recipients", "lines")}
    for nested in Order.layout.nested:
        found |= {f"/{nested.key}{'/#' if nested.many else ''}/{field.key}" for field in nested.layout.fields}
    return found


@given(st.dictionaries(st.sampled_from([*ORDER, "other", "customer.email", "lines[0]"]), _json))
def test_whatever_comes_a_pointer_and_a_shape_name_declared_fields_alone(changes: dict[str, Any]) -> None:
    body = order(**changes)
    pointer = ""
    try:
        Order.masker(Keyset.parse(KEYSET))(body)
    except Rejected as rejected:
        pointer = rejected.pointer
    assert "/".join("#" if part.isdigit() else part for part in pointer.split("/")) in _pointers()
    fields = Order.shape(body).get("fields", {})
    assert isinstance(fields, dict)
    assert set(fields) <= {member.key for member in Order.layout.members}
    assert "kn4ry" not in json.dumps(fields)


def test_orders_are_loaded_by_the_name_of_their_module() -> None:
    assert load("orders") is Order
