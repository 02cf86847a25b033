"""Every kind of field with every mask that goes with it, in every place: what is accepted, stored, and refused."""

import json

import pytest

from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
from sluice.declaration.rules import Each, Text
from sluice.failures import DeclarationError, Rejected
from sluice.postgres.cells import Cell
from sluice.pseudonyms.keyset import Keyset
from tests.unit.kinds import KINDS, PLACES, Kind, Place, mask_body

LISTS = ["array", "JSON"]

kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
places = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())


@places
@kinds
def test_a_value_is_kept_in_its_canonical_form(kind: Kind, place: Place, keyset: Keyset) -> None:
    stream = place.declare(kind.rule)
    assert mask_body(stream, place.record(kind.given, kind.given), keyset) == place.cells(kind.cell)


@places
@kinds
def test_a_value_may_be_kept_as_a_function_makes_it(kind: Kind, place: Place, keyset: Keyset) -> None:
    stream = place.declare(kind.rule, Keep(as_=lambda value: f"kept {type(value).__name__}"))
    made = kind.rule.makes.__name__
    assert mask_body(stream, place.record(kind.given, kind.given), keyset) == place.cells(f"kept {made}")


@places
@kinds
def test_a_value_becomes_the_token_of_its_canonical_text(kind: Kind, place: Place, keyset: Keyset) -> None:
    stream = place.declare(kind.rule, Pseudonym())
    token = keyset.pseudonymizer("field")(kind.text)
    assert mask_body(stream, place.record(kind.given, kind.given), keyset) == place.cells(token)


@kinds
def test_one_value_of_a_domain_is_one_token_wherever_it_is(kind: Kind, keyset: Keyset) -> None:
    token = keyset.pseudonymizer("shared")(kind.text)
    for place in PLACES.values():
        stream = place.declare(kind.rule, Pseudonym(domain="shared"))
        assert mask_body(stream, place.record(kind.given, kind.given), keyset) == place.cells(token)


@kinds
@pytest.mark.parametrize("constant", [None, "hidden"])
@pytest.mark.parametrize("name", [name for name in PLACES if name not in [*LISTS, "list in objects"]])
def test_a_redacted_value_is_null_or_a_constant(name: str, constant: str | None, kind: Kind, keyset: Keyset) -> None:
    place = PLACES[name]
    stream = place.declare(kind.rule, Redact(constant=constant))
    assert mask_body(stream, place.record(kind.given, kind.given), keyset) == place.cells(constant)


@kinds
@pytest.mark.parametrize("name", LISTS)
def test_a_redacted_list_is_null_or_a_constant_as_a_whole(name: str, kind: Kind, keyset: Keyset) -> None:
    place = PLACES[name]
    body = place.record(kind.given, kind.given)
    for constant in (None, "hidden"):
        assert mask_body(place.declare(kind.rule, Redact(constant=constant)), body, keyset) == [constant]


@places
@kinds
def test_a_truncated_value_is_less_of_it_where_there_is_less(kind: Kind, place: Place, keyset: Keyset) -> None:
    if kind.short is None:
        with pytest.raises(DeclarationError) as caught:
            place.declare(kind.rule, Truncate("short", to=1))
        reason = f"{type(kind.rule).__name__} has no shorter form: Truncate does not go with it"
        assert str(caught.value) == f"Declared.field: {reason}"
        return
    stream = place.declare(kind.rule, Truncate(to=kind.to))
    assert mask_body(stream, place.record(kind.given, kind.given), keyset) == place.cells(kind.short)


@places
@kinds
@pytest.mark.parametrize("mask", [Pseudonym(), Redact(), Redact(constant="hidden")])
def test_what_is_masked_is_clear_in_no_cell(mask: Mask, kind: Kind, place: Place, keyset: Keyset) -> None:
    stream = place.declare(kind.rule, mask)
    cells = repr(stream.masker(keyset)(place.record(kind.given, kind.given)).cells)
    assert kind.text not in cells
    assert str(json.loads(kind.given)) not in cells


@pytest.mark.parametrize("name", [name for name in PLACES if name != "alone"])
def test_null_is_a_cell_where_it_is_allowed_and_no_element_of_a_list(name: str, keyset: Keyset) -> None:
    place = PLACES[name]
    stream = place.declare(Text(max=9))
    with pytest.raises(Rejected) as caught:
        stream.masker(keyset)(place.record('"a"', "null"))
    assert (caught.value.reason, caught.value.pointer) == ("null", place.pointer)


REFUSED = [
    *[("text", value, "empty") for value in ['""', '" "', '"\\t\\u00a0"']],
    ("text", '"a\\u0000"', "nul_character"),
    ("text", '"1234567890"', "too_long"),
    ("case-folded", '"ßßßßß"', "too_long"),  # ten characters when folded
    ("case-folded", '"\\u0000"', "nul_character"),
    *[
        ("e-mail", json.dumps(value), "not_an_email_address")
        for value in ["ada", "@example.com", "ada@", "@", "a da@example.com", "ada@example. com", "ada@exa\tmple.com"]
    ],
    ("e-mail", f'"{"a" * 243}@example.com"', "too_long"),
    ("e-mail", f'"a@{"ß" * 127}"', "not_an_email_address"),  # no label of a domain is that long
    *[("phone", json.dumps(value), "not_a_phone_number") for value in ["hello", "1", "+44", "+999 20 7946 0018"]],
    ("phone", f'"{"0" * 65}"', "too_long"),
    ("ip address", '"192.0.2"', "not_an_ip_address"),
    ("ip address", '"fe80::1%eth0"', "scoped_ip_address"),
    ("version", '"1.2.3.4"', "not_a_version"),
    ("version", '"1.1000"', "out_of_range"),
    ("custom", '"BAD?"', "not_a_plate"),
    ("custom", '" "', "empty"),
    ("custom", '"1234567890"', "too_long"),
    ("integer", "10", "out_of_range"),
    ("integer", "-10", "out_of_range"),
    ("integer", "9223372036854775808", "out_of_range"),
    ("integer", "9" * 5000, "out_of_range"),
    *[("integer", value, "wrong_type") for value in ["1.0", "1e0", "1e400", '"1"', "true", "[]", "{}"]],
    ("number", "1.005", "too_precise"),
    ("number", "1e-400", "too_precise"),
    ("number", "0." + "9" * 5000, "too_precise"),
    ("number", "100", "out_of_range"),
    ("number", "99.990000000000001", "too_precise"),
    *[("number", value, "out_of_range") for value in ["1e400", "-1e400", "1e2000", "9" * 5000]],
    *[("number", f'"{value}"', "out_of_range") for value in ["NaN", "-NaN", "sNaN", "Infinity", "-inf", "1E+9999"]],
    *[("number", value, "out_of_range") for value in ["1e99999999999999999999", '"1e-99999999999999999999"']],
    *[("number", value, "wrong_type") for value in ['"abc"', '""', "true", "false", "[]", "{}"]],
    *[("boolean", value, "wrong_type") for value in ["0", "1", '"true"', '"t"', '""', "[]"]],
    *[("choice", value, "not_a_choice") for value in ['"Paid"', '" paid"', '"sent"', '""']],
    ("choice", "1", "wrong_type"),
    *[("uuid", f'"{value}"', "not_a_uuid") for value in ["", "42", "424cdd21-79f6-49f0-befc-636ba1b47d7", "g" * 32]],
    *[("timestamp", f'"2026-01-31{time}"', "no_time_zone") for time in ["", "T12:00", " 12:00:00.5"]],
    *[
        ("timestamp", f'"{value}"', "not_a_timestamp")
        for value in ["", "now", "0000-01-01T00:00Z", "10000-01-01T00:00Z", "2026-02-29T00:00Z", "2026-01-31T25:00Z"]
    ],
    *[("timestamp", f'"{value}"', "not_a_timestamp") for value in ["1e9", "+1", "1_0", " 1", "0x1", "NaN", "9" * 21]],
    *[
        ("timestamp", value, "out_of_range")
        for value in ["4102444801", "631151999", "0", "-1", '"-1"', "20260131", "1769903999999", "1e15", "1e16"]
    ],
    *[("timestamp", f'"{value}"', "out_of_range") for value in ["0001-01-01T00:00+01:00", "9999-12-31T23:59-01:00"]],
    *[("timestamp", f'"{value}"', "no_time_zone") for value in ["20260131", "2026-W05-6", "20260131T12"]],
    *[("timestamp", value, "wrong_type") for value in ["true", "1e400", "[]", "{}"]],
    ("timestamp", "9" * 5000, "out_of_range"),
    ("epoch", "4102444800001", "out_of_range"),
    ("epoch", "1769903999", "out_of_range"),  # seconds
    *[("text", value, "wrong_type") for value in ["1", "true", '["a"]', '{"kn4ry": 1}']],
]  # fmt: skip


@places
@pytest.mark.parametrize(("name", "value", "reason"), REFUSED, ids=lambda value: value[:30])
def test_what_a_rule_refuses_is_rejected_with_reason_and_pointer(
    name: str, value: str, reason: str, place: Place, keyset: Keyset
) -> None:
    kind = KINDS[name]
    for masks in ([], [Redact()], [Pseudonym()]):
        with pytest.raises(Rejected) as caught:
            place.declare(kind.rule, *masks).masker(keyset)(place.record(kind.given, value))
        assert (caught.value.reason, caught.value.pointer) == (reason, place.pointer)


@pytest.mark.parametrize(
    ("name", "value", "cell"),
    [
        ("text", '"123456789"', "123456789"),
        ("case-folded", '"\\u03b1\\u0345\\u0301"', "άι"),  # the marks in another order are the same text
        ("case-folded", '"\\u03b1\\u0301\\u0345"', "άι"),
        ("e-mail", '" ADA@EXAMPLE.COM "', "ADA@example.com"),
        ("phone", '"+1 (202) 555-0143"', "+12025550143"),
        ("phone", '"+44 20 7946 0018 ext. 5"', "+442079460018;ext=5"),
        ("number", "-0.0", "0.00"),
        ("number", '"-0"', "0.00"),
        ("number", "99.99", "99.99"),
        ("number", "99.9900000000000000000000000000000000", "99.99"),
        ("number", "1e1", "10.00"),
        ("number", '"1.5"', "1.50"),
        ("integer", "-0", 0),
        ("integer", "9", 9),
        ("boolean", "false", False),
        ("uuid", '"424CDD21-79f6-49f0-BEFC-636ba1b47d75"', KINDS["uuid"].cell),
        ("timestamp", "631152000", "1990-01-01T00:00:00+00:00"),
        ("timestamp", "631152000.0", "1990-01-01T00:00:00+00:00"),
        ("timestamp", '"4102444800"', "2100-01-01T00:00:00+00:00"),
        ("timestamp", "1700000000.123456", "2023-11-14T22:13:20.123456+00:00"),
        ("timestamp", '"1700000000.1234567890123"', "2023-11-14T22:13:20.123456+00:00"),
        ("timestamp", '"0001-01-01T00:00:00Z"', "0001-01-01T00:00:00+00:00"),
        ("timestamp", '"9999-12-31T23:59:59.999999Z"', "9999-12-31T23:59:59.999999+00:00"),
        ("timestamp", '"2026-01-31T00:00:00+05:30"', "2026-01-30T18:30:00+00:00"),
        ("timestamp", '"20260131T120000Z"', "2026-01-31T12:00:00+00:00"),
        ("epoch", '"1769903999999"', KINDS["epoch"].cell),
        ("epoch", '"2026-01-31T23:59:59.999Z"', KINDS["epoch"].cell),
        ("epoch", "1769903999999.5", "2026-01-31T23:59:59.999500+00:00"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_a_rule_accepts_at_its_limits(name: str, value: str, cell: Cell, keyset: Keyset) -> None:
    (found,) = mask_body(PLACES["alone"].declare(KINDS[name].rule), PLACES["alone"].record("", value), keyset)
    assert (str(found), type(found)) == (str(cell), type(KINDS[name].cell))


@pytest.mark.parametrize("json_", [False, True])
def test_a_list_may_be_empty_and_has_a_longest(json_: bool, keyset: Keyset) -> None:
    stream = PLACES["alone"].declare(Each(Text(max=9), max=2, json=json_))
    assert stream.masker(keyset)('{"field": []}').cells == ("[]" if json_ else "{}",)
    assert mask_body(stream, '{"field": ["a", "b"]}', keyset) == [["a", "b"] if json_ else '{"a","b"}']
    for value, why in {
        '["a", "b", "c"]': ("too_many", "/field"),
        '"a"': ("wrong_type", "/field"),
        "{}": ("wrong_type", "/field"),
        "null": ("null", "/field"),
        '[["a"]]': ("wrong_type", "/field/0"),
    }.items():
        with pytest.raises(Rejected) as caught:
            stream.masker(keyset)(f'{{"field": {value}}}')
        assert (caught.value.reason, caught.value.pointer) == why
