"""Values that become NULL: blank ones and invalid ones, under every rule and mask, in every place."""

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from sluice.declaration import whose
from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
from sluice.declaration.rules import Each, Email, Integer, NullIf, Number, Rule, Text, Timestamp
from sluice.declaration.stream import Part, Stream, derived
from sluice.failures import DeclarationError, Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.unit.kinds import KINDS, Kind, declare, mask_body, read

BLANKS = ['""', '" "', '"\\t\\n\\u00a0"', '"\\u0020\\r"']
WRONG = ["{}", '{"kn4ry": ["kn4ry"]}', "[]", '"\\u0000"', '"kn4ry \\ud83d\\ude00 kn4ry?"', "1e400", "9" * 999]
MASKS: list[Mask] = [Keep(), Pseudonym(), Pseudonym(recoverable=True), Redact(), Redact(constant="hidden")]

kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def nullable(rule: Rule, null_if: NullIf, *masks: Mask) -> Any:
    return Annotated[(rule.makes | None, rule, null_if, *masks)]


def elements(rule: Rule, null_if: NullIf, *masks: Mask, json: bool = False) -> Any:
    return Annotated[(list[rule.makes | None], Each(rule, json=json), null_if, *masks)]  # type: ignore[name-defined]


def part(**members: Any) -> Any:
    return declare(Part, members)


PLACES: dict[str, tuple[Callable[..., dict[str, Any]], str, list[Any], str]] = {  # with record, cells and pointer
    "alone": (lambda *all_: {"field": nullable(*all_)}, '{"field": VALUE}', [None], "/field"),
    "nested": (
        lambda *all_: {"outer": part(inner=part(field=nullable(*all_)))},
        '{"outer": {"inner": {"field": VALUE}}}',
        [None],
        "/outer/inner/field",
    ),
    "objects": (
        lambda *all_: {"parts": list[part(field=nullable(*all_))]},  # type: ignore[misc]
        '{"parts": [{"field": null}, {"field": VALUE}]}',
        [[{"field": None}, {"field": None}]],
        "/parts/*/field",
    ),
    "array": (lambda *all_: {"field": elements(*all_)}, '{"field": [null, VALUE]}', ["{NULL,NULL}"], "/field/*"),
    "JSON": (lambda *all_: {"field": elements(*all_, json=True)}, '{"field": [VALUE]}', [[None]], "/field/*"),
    "list in objects": (
        lambda *all_: {"parts": list[part(field=elements(*all_))]},  # type: ignore[misc]
        '{"parts": [{"field": [VALUE, null]}]}',
        [[{"field": [None, None]}]],
        "/parts/*/field/*",
    ),
}
places = pytest.mark.parametrize("name", PLACES)


def stream_of(members: dict[str, Any]) -> type[Stream]:
    made: type[Stream] = declare(Stream, members, table="declared")
    return made


@places
@kinds
def test_a_blank_text_is_null_whatever_the_rule_and_the_mask(name: str, kind: Kind, keyset: Keyset) -> None:
    members, record, cells, _ = PLACES[name]
    of_list = ("[" in record and "parts" not in record) or name == "list in objects"
    masks = [*MASKS, *([Truncate(to=kind.to)] if kind.short is not None else [])]
    for mask in [mask for mask in masks if not (of_list and isinstance(mask, Redact))]:
        mask_one = stream_of(members(kind.rule, NullIf("blank"), mask)).masker(keyset)
        for blank in BLANKS:
            masked = mask_one(record.replace("VALUE", blank))
            assert (read(masked.cells), masked.nulled) == (cells, ())


@places
@kinds
def test_what_a_rule_refuses_is_null_and_told_by_its_pointer(name: str, kind: Kind, keyset: Keyset) -> None:
    members, record, cells, pointer = PLACES[name]
    for null_if in (NullIf("invalid"), NullIf("blank", "invalid")):
        stream = stream_of(members(kind.rule, null_if, Pseudonym(recoverable=True)))
        mask = stream.masker(keyset)
        for wrong in WRONG:
            masked = mask(record.replace("VALUE", wrong))
            assert (read(masked.cells), masked.nulled, masked.originals.values) == (cells, (pointer,), ())


@places
@kinds
def test_a_value_that_the_rule_takes_is_what_it_would_be_without(name: str, kind: Kind, keyset: Keyset) -> None:
    members, record, _, _ = PLACES[name]
    body = record.replace("VALUE", kind.given)
    stream = stream_of(members(kind.rule, NullIf("blank", "invalid")))
    (cell,) = mask_body(stream, body, keyset)
    assert str(kind.cell).lower() in str(cell).lower()
    assert stream.masker(keyset)(body).nulled == ()
    plain = stream_of({"field": Annotated[(kind.rule.makes | None, kind.rule)]})
    if name == "alone":
        assert [cell] == mask_body(plain, body, keyset)


@places
@kinds
def test_without_invalid_the_same_is_refused_as_ever(name: str, kind: Kind, keyset: Keyset) -> None:
    members, record, _, _ = PLACES[name]
    stream = stream_of(members(kind.rule, NullIf("blank")))
    plain = stream_of({"field": Annotated[(kind.rule.makes, kind.rule)]})
    for wrong in ["{}", "[]", "1e400", '"\\u0000"', "9" * 5000]:
        found = []
        for one, body in ((stream, record.replace("VALUE", wrong)), (plain, f'{{"field": {wrong}}}')):
            with pytest.raises(Rejected) as caught:
                one.masker(keyset)(body)
            found.append(caught.value)
        assert found[0].reason == found[1].reason
        index = {"objects": "/parts/1/field", "array": "/field/1", "JSON": "/field/0", "list in objects": "/field/0"}
        assert found[0].pointer.endswith(index.get(name, "/field"))


class Order(Stream, table="orders"):
    """Fields that must be there, that need not be, and a list that may be null itself."""

    note: Annotated[str | None, Text(max=5), NullIf("blank")]
    total: Annotated[Decimal | None, Number(precision=4, scale=2), NullIf("invalid")] = Decimal(7)
    tags: Annotated[list[str | None], Each(Text(max=3), max=2), NullIf("blank")] = msgspec.field(default_factory=list)
    counts: Annotated[list[int | None] | None, Each(Integer(), max=2), NullIf("blank", "invalid")] = None

    @derived
    def about(self) -> str:
        return f"{self.note} {self.total} {self.tags} {self.counts}"


@pytest.mark.parametrize(
    ("body", "cells", "nulled"),
    [
        ('{"note": null}', [None, Decimal("7.00"), "{}", None, "None 7.00 [] None"], ()),
        ('{"note": "a", "total": null}', ["a", None, "{}", None, "a None [] None"], ()),
        ('{"note": " ", "total": ""}', [None, None, "{}", None, "None None [] None"], ("/total",)),
        ('{"note": "", "counts": ""}', [None, Decimal("7.00"), "{}", None, "None 7.00 [] None"], ()),
        ('{"note": "", "counts": [1, 2, 3]}', [None, Decimal("7.00"), "{}", None, "None 7.00 [] None"], ("/counts",)),
        ('{"note": "", "counts": {}}', [None, Decimal("7.00"), "{}", None, "None 7.00 [] None"], ("/counts",)),
        (
            '{"note": "", "tags": ["a", " "], "counts": ["1", 2]}',
            [None, Decimal("7.00"), '{"a",NULL}', '{NULL,"2"}', "None 7.00 ['a', None] [None, 2]"],
            ("/counts/*",),
        ),
    ],
)
def test_a_field_with_null_if_becomes_a_cell(
    body: str, cells: list[Any], nulled: tuple[str, ...], keyset: Keyset
) -> None:
    masked = Order.masker(keyset)(body)
    assert ([*masked.cells], masked.nulled) == (cells, nulled)


@pytest.mark.parametrize(
    ("record", "reason", "pointer"),
    [
        ({}, "missing", "/note"),
        ({"note": "123456"}, "too_long", "/note"),
        ({"note": None, "tags": None}, "null", "/tags"),
        ({"note": None, "tags": ""}, "wrong_type", "/tags"),
        ({"note": None, "tags": ["a", 1]}, "wrong_type", "/tags/1"),
        ({"note": None, "tags": ["a", "b", "c"]}, "too_many", "/tags"),
    ],
)
def test_what_null_if_does_not_speak_of_is_refused(record: Any, reason: str, pointer: str, keyset: Keyset) -> None:
    with pytest.raises(Rejected) as caught:
        Order.masker(keyset)(json.dumps(record))
    assert (caught.value.reason, caught.value.pointer) == (reason, pointer)


def test_a_nulled_value_of_one_record_is_not_told_of_the_next(keyset: Keyset) -> None:
    mask = Order.masker(keyset)
    assert mask('{"note": "a", "total": "kn4ry"}').nulled == ("/total",)
    assert mask('{"note": "a", "total": "1"}').nulled == ()


class Faulty(Rule):
    """A rule of one's own, which fails of what nobody foresaw."""

    accepts = dict[str, int]

    def canonical(self, value: dict[str, int], /) -> dict[str, int]:
        if not value:
            raise Rejected("empty")
        return {"half": value["whole"] // 2}


def test_a_rule_of_ones_own_that_refuses_makes_null_and_one_that_fails_a_rejection(keyset: Keyset) -> None:
    member = Annotated[dict[str, int] | None, Faulty(), NullIf("blank", "invalid")]
    mask = stream_of({"field": member}).masker(keyset)
    assert mask('{"field": {"whole": 4}}').cells == ('{"half":2}',)
    assert [mask(f'{{"field": {value}}}').nulled for value in ("{}", '{"whole": "4"}', '" "')] == [
        ("/field",),
        ("/field",),
        (),
    ]
    with pytest.raises(Rejected) as caught:
        mask('{"field": {"kn4ry": 4}}')
    assert (caught.value.reason, caught.value.pointer) == ("internal_error", "/field")


def test_what_a_function_of_a_mask_refuses_stays_refused(keyset: Keyset) -> None:
    def refuse(value: str) -> str:
        raise Rejected("not_wanted")

    member = Annotated[str | None, Text(max=9), NullIf("invalid"), Keep(as_=refuse)]
    with pytest.raises(Rejected) as caught:
        stream_of({"field": member}).masker(keyset)('{"field": "a"}')
    assert (caught.value.reason, caught.value.pointer) == ("not_wanted", "/field")


@pytest.mark.parametrize(
    ("member", "error"),
    [
        (Annotated[str, Text(max=9), NullIf("blank")], "NullIf needs a type with `| None`"),
        (
            Annotated[list[str] | None, Each(Text(max=9)), NullIf("blank")],
            "NullIf makes null of single elements: the type must be list[str | None]",
        ),
        (
            Annotated[list[datetime], Each(Timestamp()), NullIf("blank")],
            "NullIf makes null of single elements: the type must be list[datetime.datetime | None]",
        ),
        (Annotated[int | None, Text(max=9), NullIf("blank")], "Text goes with the type str"),
        (Annotated[str | None, Text(max=9), NullIf()], 'NullIf takes "blank", "invalid" or both'),
        (Annotated[str | None, Text(max=9), NullIf("empty")], 'NullIf takes "blank", "invalid" or both'),
        (Annotated[str | None, Text(max=9), NullIf("blank", "blank")], 'NullIf takes "blank", "invalid" or both'),
        (
            Annotated[str | None, Text(max=9), NullIf("blank"), NullIf("invalid")],
            "must be Annotated[type, rule, mask, …], or a Part",
        ),
        (Annotated[str | None, NullIf("blank"), Text(max=9)], "must be Annotated[type, rule, mask, …], or a Part"),
        (Annotated[str | None, Text(max=9), NullIf], "must be Annotated[type, rule, mask, …], or a Part"),
    ],
)
def test_a_wrong_null_if_is_a_declaration_error(member: Any, error: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        stream_of({"field": member})
    assert str(caught.value) == f"Declared.field: {error}"


def test_a_blank_subject_is_none_and_the_next_field_says_whose_the_record_is(keyset: Keyset) -> None:
    members = {key: nullable(Email(), NullIf("blank")) for key in ("who", "other")}
    stream = declare(Stream, members, table="declared", subject=("who", "other"))
    for body, persons in (
        ({"who": " ", "other": "b@example.com"}, ("b@example.com",)),
        ({"who": "a@example.com", "other": ""}, ("a@example.com",)),
        ({"who": "", "other": " "}, ()),
    ):
        assert stream.masker(keyset)(json.dumps(body)).originals.subjects == persons
        assert whose.of_body(stream, json.dumps(body)) == persons


def test_a_subject_may_be_blank_and_not_invalid(keyset: Keyset) -> None:
    members = {"who": nullable(Email(), NullIf("blank"))}
    stream = declare(Stream, members, table="declared", subject="who")
    assert stream.masker(keyset)('{"who": " "}').originals.subjects == ()
    with pytest.raises(DeclarationError) as caught:
        declare(Stream, {"who": nullable(Email(), NullIf("invalid"))}, table="declared", subject="who")
    assert str(caught.value) == (
        "Declared: the subject who must not become null where it is invalid: the row would be nobody's"
    )


@pytest.mark.parametrize("what", ["identity", "time"])
def test_an_identity_and_a_time_are_never_null(what: str) -> None:
    options: Any = {what: "when"}
    with pytest.raises(DeclarationError, match="must be in every record, but when has a default or can be null"):
        declare(Stream, {"when": nullable(Timestamp(), NullIf("blank"))}, table="declared", **options)
