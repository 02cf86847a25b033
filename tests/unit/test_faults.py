"""All that is wrong with a record is told at once, each as ingest tells it when it is alone."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sluice.declaration import registry
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.unit.cli import STREAM
from tests.unit.kinds import KINDS, PLACES
from tests.unit.orders import BAD_ORDERS, customer, line, order
from tools.sluice_cli.authors import faults


def told(stream: type[Stream], body: str, keyset: Keyset) -> list[tuple[str, str]]:
    """Return reasons and pointers of a body that is rejected."""
    with pytest.raises(Rejected) as raised:
        stream.masker(keyset)(body)
    return [(fault.reason, fault.pointer) for fault in faults.of(stream, body, keyset, raised.value)]


@pytest.mark.parametrize(("changes", "reason", "pointer"), BAD_ORDERS)
def test_a_fault_that_is_alone_is_told_as_ingest_tells_it(
    changes: dict[str, Any], reason: str, pointer: str, keyset: Keyset
) -> None:
    found = told(registry.load("orders"), order(**changes), keyset)
    missing_with_it = ("/customer/", "/lines/0/")  # an object that lacks one field lacks others too
    assert (reason, pointer) in found
    assert reason == "missing" or found == [(reason, pointer)]
    assert all(one.startswith(missing_with_it) for _, one in found) or found == [(reason, pointer)]


def test_no_fault_hides_another(keyset: Keyset) -> None:
    body = order(
        order_id="x",
        status=7,
        total="1.999",
        tags=["a", None],
        recipients=["x"],
        ip="x",
        customer=customer(email=None, phone="x"),
        lines=[{"sku": " ", "quantity": 0}, None, *line(price="NaN")],
    )
    assert told(registry.load("orders"), body, keyset) == [
        ("not_a_uuid", "/order_id"),
        ("wrong_type", "/status"),
        ("too_precise", "/total"),
        ("null", "/tags/1"),
        ("not_an_email_address", "/recipients/0"),
        ("not_an_ip_address", "/ip"),
        ("null", "/customer/email"),
        ("not_a_phone_number", "/customer/phone"),
        ("empty", "/lines/0/sku"),
        ("out_of_range", "/lines/0/quantity"),
        ("missing", "/lines/0/price"),
        ("null", "/lines/1"),
        ("out_of_range", "/lines/3/price"),
    ]


def test_what_is_missing_is_told_of_every_field(keyset: Keyset) -> None:
    assert told(registry.load("user_logins"), "{}", keyset) == [
        ("missing", f"/{name}") for name in ("user_id", "device_type", "ip", "device_id", "app_version")
    ]


@pytest.mark.parametrize("body", ["[]", "1", "{", '"x"', '{"a": ' + "[" * 100_000])
def test_a_body_that_is_no_record_has_the_one_fault(body: str, keyset: Keyset) -> None:
    assert len(told(registry.load("orders"), body, keyset)) == 1


def test_every_digit_counts(keyset: Keyset) -> None:
    body = order().replace('"1204.50"', "1204.500000000000000000000001")
    assert told(registry.load("orders"), body, keyset) == [("too_precise", "/total")]


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_value_is_told_in_every_place(place: Any, keyset: Keyset) -> None:
    stream = place.declare(KINDS["ip address"].rule)
    body = place.record(KINDS["ip address"].given, '"x"')
    assert told(stream, body, keyset) == [("not_an_ip_address", place.pointer)]


def test_a_column_that_is_made_of_the_whole_record_is_told_last(
    declare: Callable[[str, str], None], keyset: Keyset
) -> None:
    declare("visits", STREAM.replace("return len(self.stops)", "raise ValueError('kn4ry')"))
    stream = registry.load("visits")
    body = {"kind": "in", "version": "1", "guest": {"email": "a@example.com"}}
    assert told(stream, json.dumps(body), keyset) == [("internal_error", "")]
    assert told(stream, json.dumps(body | {"kind": "x"}), keyset) == [("not_a_choice", "/kind")]


def test_the_exception_behind_an_internal_error_is_found(declare: Callable[[str, str], None], keyset: Keyset) -> None:
    declare(
        "visits",
        STREAM.replace("Text(max=20), Pseudonym()]\n    note", "Custom(max=20, form=fail), Pseudonym()]\n    note")
        .replace("import (", "import (\n    Custom,")
        .replace("class Guest(Part)", 'def fail(value: str) -> str:\n    raise KeyError("why")\n\n\nclass Guest(Part)'),
    )
    stops = [{"room": "a", "badge": "b"}]
    body = json.dumps({"kind": "in", "version": "1", "guest": {"email": "a@example.com"}, "stops": stops})
    with pytest.raises(Rejected) as raised:
        registry.load("visits").masker(keyset)(body)
    (fault,) = faults.of(registry.load("visits"), body, keyset, raised.value)
    assert fault.pointer == "/stops/0/badge"
    for one in (fault, raised.value):
        assert repr(faults.cause(one)) == "KeyError('why')"
    assert faults.cause(Rejected("missing", "/a")) is None
