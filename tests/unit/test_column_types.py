"""Which type of PostgreSQL holds every value of a field: as far as no server has to be asked."""

from typing import Any

import pytest

from sluice.declaration import column_types
from sluice.declaration.column_types import Column, ColumnType
from tests.unit.column_types import OF_A_SERVER, TYPES, declaration, typed


def column(field: str) -> Column:
    """Return the column of a stream that has this field alone."""
    names: dict[str, Any] = {"__name__": "declared"}
    exec(declaration(field), names)
    (found,) = column_types.columns(names["Visit"].layout)
    return found


FOREIGN = ColumnType("ours", "ours", is_foreign=True)


@pytest.mark.parametrize(
    ("field", "type_", "wanted"),
    [one for name, one in TYPES.items() if name not in OF_A_SERVER],
    ids=[name for name in TYPES if name not in OF_A_SERVER],
)
def test_a_type_holds_every_value_or_another_one_is_wanted(field: str, type_: str, wanted: str | None) -> None:
    cells = column(field).cells
    assert cells.fit(typed(type_)) == (wanted is None)
    assert wanted in (None, cells.wanted)
    assert cells.fit(FOREIGN) == (not isinstance(cells, column_types.Arrays))  # nobody knows


@pytest.mark.parametrize(
    ("field", "type_", "is_held"),
    [
        ("Annotated[int, Integer(min=0, max=32_767)]", "smallint", True),
        ("Annotated[int, Integer(min=-32_768, max=0)]", "smallint", True),
        ("Annotated[int, Integer(min=-32_769, max=0)]", "smallint", False),
        ("Annotated[int, Integer(min=0, max=32_768)]", "smallint", False),
        ("Annotated[int, Integer(min=0, max=2**31 - 1)]", "integer", True),
        ("Annotated[int, Integer(min=0, max=2**31)]", "integer", False),
        ("Annotated[int, Integer(min=0, max=2**24)]", "real", True),
        ("Annotated[int, Integer(min=0, max=2**24 + 2)]", "real", False),
        ("Annotated[int, Integer(min=0, max=2**53)]", "double precision", True),
        ("Annotated[int, Integer(min=0, max=2**53 + 2)]", "double precision", False),
        ("Annotated[int, Integer(min=-999, max=9)]", "numeric(3)", True),
        ("Annotated[int, Integer(min=-1000, max=9)]", "numeric(3)", False),
        ("Annotated[int, Integer()]", "jsonb", True),
        ("Annotated[Decimal, Number(precision=5, scale=2)]", "json", True),
        ("Annotated[Decimal, Number(precision=5, scale=2)]", "numeric(5, 2)", True),
        ("Annotated[Decimal, Number(precision=5, scale=2)]", "numeric(4, 2)", False),
        ("Annotated[Decimal, Number(precision=5, scale=2)]", "numeric(5, 3)", False),
        ("Annotated[Decimal, Number(precision=5, scale=2)]", "bigint", False),
        ("Annotated[Decimal, Number(precision=5, scale=2)]", "numeric(5, -1)", False),
        ("Annotated[Decimal, Number(precision=5, scale=2)]", "varchar(8)", True),
        ("Annotated[Decimal, Number(precision=5, scale=2)]", "varchar(7)", False),
        ("Annotated[Decimal, Number(precision=5, scale=2), Truncate(to=10)]", "numeric(3)", True),
        ("Annotated[Decimal, Number(precision=5, scale=2), Truncate(to=10)]", "numeric(2)", False),
        ("Annotated[Decimal, Number(precision=5, scale=2), Truncate(to=10)]", "varchar(4)", True),
        ("Annotated[Decimal, Number(precision=5, scale=2), Truncate(to=10)]", "varchar(3)", False),
        ("Annotated[Decimal, Number(precision=5, scale=2), Truncate(to=10)]", "smallint", True),
        ("Annotated[int, Integer(min=0, max=9), Keep(as_=version_number)]", "varchar(1)", True),
        ("Annotated[float, Float()]", "double precision", True),
        ("Annotated[float, Float()]", "jsonb", True),
        ("Annotated[float, Float()]", "real", False),
        ("Annotated[float, Float()]", "numeric", True),
        ("Annotated[float, Float()]", "numeric(20, 9)", False),
        ("Annotated[float, Float()]", "text", True),
        ("Annotated[float, Float()]", "varchar(24)", True),
        ("Annotated[float, Float()]", "varchar(23)", False),
        ("Annotated[datetime, Timestamp()]", "timestamptz(6)", True),
        ("Annotated[datetime, Timestamp()]", "timestamptz(5)", False),
        ("Annotated[datetime, Timestamp()]", "timestamp", True),
        ("Annotated[datetime, Timestamp()]", "time", False),
        ("Annotated[datetime, Timestamp()]", "varchar(32)", True),
        ("Annotated[datetime, Timestamp()]", "varchar(31)", False),
        ('Annotated[datetime, Timestamp(), Truncate(to="hour")]', "timestamptz(0)", True),
        ('Annotated[datetime, Timestamp(), Truncate(to="month")]', "date", True),
        ('Annotated[datetime, Timestamp(), Truncate(to="year")]', "date", True),
        ('Annotated[datetime, Timestamp(), Truncate(to="minute")]', "date", False),
        ("Annotated[date, Date()]", "date", True),
        ("Annotated[date, Date()]", "timestamptz", False),
        ("Annotated[date, Date()]", "varchar(10)", True),
        ("Annotated[date, Date()]", "varchar(9)", False),
        ("Annotated[str, IpAddress()]", "cidr", True),
        ("Annotated[str, IpAddress()]", "varchar(39)", True),
        ("Annotated[str, IpAddress()]", "varchar(38)", False),
        ("Annotated[str, IpAddress(), Truncate()]", "inet", True),
        ("Annotated[str, IpAddress(), Truncate()]", "varchar(43)", True),
        ("Annotated[str, IpAddress(), Truncate()]", "varchar(42)", False),
        ("Annotated[bool, Boolean()]", "jsonb", True),
        ("Annotated[list[bool], Each(Boolean())]", "boolean[]", True),
        ("Annotated[list[bool], Each(Boolean())]", "boolean", False),
        ("Annotated[list[bool], Each(Boolean(), json=True)]", "json", True),
    ],
)
def test_a_type_holds_what_is_between_the_bounds_of_a_field(field: str, type_: str, is_held: bool) -> None:
    assert column(f"note: {field}").cells.fit(typed(type_)) is is_held


OWN_RULE = 'type("Own", (Text,), {})(max=9)'
BY_TYPE = "note: Annotated[{types}, ByType({cases})]"

# A field, the type that is wanted for its column, and whether null can be written to it.
WANTED = {
    "phone": ("note: Annotated[str, Phone(region='GB')]", "varchar(32)", False),
    "card": ("note: Annotated[str, Card()]", "varchar(19)", False),
    "iban": ("note: Annotated[str, Iban()]", "varchar(34)", False),
    "own rule": ("note: Annotated[str, Custom(max=9, form=str.upper)]", "varchar(9)", False),
    "e-mail": ("note: Annotated[str, Email(max=99)]", "varchar(99)", False),
    "host of an e-mail": ("note: Annotated[str, Email(max=99), Truncate()]", "varchar(97)", False),
    "text found in": ("note: Annotated[str, Text(max=9), Scrub(Find(Email(), Redact()))]", "text", False),
    "tree": ('note: Annotated[dict[str, Any], Tree({"/a": Text(max=9)})]', "jsonb", False),
    "tokens in lists": ("note: Annotated[list[str], Each(Text(max=9)), Pseudonym()]", "varchar(51)[]", False),
    "redacted list": ('note: Annotated[list[str], Each(Text(max=9)), Redact(constant="x")]', "any type", False),
    "integer": ("note: Annotated[int, Integer(min=0, max=99), Truncate(to=10)]", "smallint", False),
    "integer below a bound": ("note: Annotated[int, Integer(min=-32_768, max=9), Truncate(to=10)]", "integer", False),
    "lowest integer": ("note: Annotated[int, Integer(), Truncate(to=10)]", "bigint", False),
    "number": ("note: Annotated[Decimal, Number(precision=5, scale=2), Truncate(to=10)]", "numeric(3,0)", False),
    "float": ("note: Annotated[float, Float(), Truncate(to=10)]", "double precision", False),
    "day": ('note: Annotated[date, Date(), Truncate(to="month")]', "date", False),
    "text": ("note: Annotated[str, Text(max=9), Truncate(to=20)]", "varchar(9)", False),
    "function": ("note: Annotated[str, Text(max=9), Keep(as_=lambda value: 1)]", "any type", False),
    "true": ("note = constant(True)", "boolean", False),
    "number of a constant": ("note = constant(-40_000)", "integer", False),
    "nothing of a constant": ("note = constant(None)", "any type", True),
    "float of a constant": ("note = constant(1.5)", "any type", False),
    "texts": (BY_TYPE.format(types="str | int", cases="Text(max=9), Integer(min=0, max=9)"), "varchar(9)", False),
    "rule of one's own": (f"note: Annotated[str, {OWN_RULE}]", "any type", False),
    "truncated by a rule of one's own": (f"note: Annotated[str, {OWN_RULE}, Truncate(to=2)]", "any type", False),
    "list in JSON": ("note: Annotated[list[str], Each(Text(max=9), json=True)]", "jsonb", False),
    "text of a constant": ('note = constant("shop")', "varchar(4)", False),
    "lowest bigint": ("note = constant(-(2**63))", "bigint", False),
    "below it": ("note = constant(-(2**63) - 1)", "numeric", False),
    "above it": ("note = constant(2**63)", "numeric", False),
    "null of a case": ("note: Annotated[str | None, Text(max=9)] = None", "varchar(9)", True),
}


@pytest.mark.parametrize(("field", "wanted", "nullable"), WANTED.values(), ids=WANTED.keys())
def test_the_type_that_is_wanted_holds_every_value(field: str, wanted: str, nullable: bool) -> None:
    found = column(field)
    assert (found.cells.wanted, found.nullable) == (wanted, nullable)
    if wanted != "any type":
        assert found.cells.fit(typed(wanted.replace(",", ", ")))


@pytest.mark.parametrize(
    ("promised", "wanted", "nullable"),
    [
        ("bool", "boolean", False),
        ("int", "bigint", False),
        ("int | None", "bigint", True),
        ("Decimal", "numeric", False),
        ("datetime", "timestamptz", False),
        ("dict[str, int]", "jsonb", False),
        ("list", "jsonb", False),
        ("str", "any type", False),
        ("int | str", "any type", False),
        ("int | str | None", "any type", True),
        ("None", "any type", True),
        ("Nobody", "any type", False),
    ],
)
def test_a_function_promises_its_cells_by_its_annotation(promised: str, wanted: str, nullable: bool) -> None:
    found = column(f'@derived\n    def note(self) -> "{promised}":\n        return 1')
    assert (found.cells.wanted, found.nullable) == (wanted, nullable)


@pytest.mark.parametrize("type_", ["timestamptz", "date", "varchar(1)"])
def test_of_a_moment_that_a_function_makes_nobody_knows_more(type_: str) -> None:
    assert column("@derived\n    def note(self) -> datetime:\n        return self.at").cells.fit(typed(type_))
