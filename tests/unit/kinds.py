"""One field of every kind, in every place of a record where a field can be."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from sluice.declaration.envelopes import eventbridge
from sluice.declaration.layout import FROM_ENVELOPE
from sluice.declaration.masks import Mask
from sluice.declaration.rules import (
    Boolean,
    Card,
    CaseFolded,
    Custom,
    Date,
    Each,
    Email,
    Float,
    Iban,
    Id,
    Integer,
    IpAddress,
    Number,
    OneOf,
    Phone,
    Rule,
    Text,
    Timestamp,
    Uuid,
    Version,
)
from sluice.declaration.stream import Part, Stream
from sluice.declaration.unions import ByType, Tagged
from sluice.failures import Rejected
from sluice.postgres.cells import Cell, Json
from sluice.pseudonyms.keyset import Keyset


class Kind(NamedTuple):
    """A rule and a value that it takes; without `short` the value has no shorter form."""

    rule: Rule
    given: str  # as JSON
    cell: Cell
    text: str  # what its token is made of
    to: int | str | None = None
    short: Cell = None


def plate(value: str) -> str:
    """Bring a number plate to its canonical form."""
    if "?" in value:
        raise Rejected("not_a_plate")
    return value.replace(" ", "").upper()


NUMBER = Decimal("-7.482999207915176")  # the shortest that is this float

KINDS = {
    "text": Kind(Text(max=9), '" e\\u0301t\\u00e9 "', "été", "été", to=1, short="é"),
    "case-folded": Kind(CaseFolded(max=9), '"STRAẞE"', "strasse", "strasse", to=4, short="stra"),
    "id": Kind(Id(max=9), "42", "42", "42", to=1, short="4"),
    "e-mail": Kind(Email(), '"Ada@Example.COM"', "Ada@example.com", "Ada@example.com", short="example.com"),
    "phone": Kind(Phone(region="GB"), '"020 7946 0018"', "+442079460018", "+442079460018", to=3, short="+44"),
    "card": Kind(Card(), '"4111 1111-1111 1111"', "4111111111111111", "4111111111111111", to=6, short="411111"),
    "iban": Kind(
        Iban(), '"gb33 BUKB 2020 1555 5555 55"', "GB33BUKB20201555555555", "GB33BUKB20201555555555", to=2, short="GB"
    ),
    "ip address": Kind(IpAddress(), '"::ffff:192.0.2.7"', "192.0.2.7", "192.0.2.7", short="192.0.2.0/24"),
    "version": Kind(Version(), '"2.3"', "2.3", "2.3", to=1, short="2"),
    "custom": Kind(Custom(max=9, form=plate), '" b ad 123 "', "BAD123", "BAD123", to=1, short="B"),
    "integer": Kind(Integer(min=-9, max=9), "-7", -7, "-7", to=5, short=-10),
    "number": Kind(Number(precision=4, scale=2), "-7.5", Decimal("-7.50"), "-7.50", to=5, short=Decimal(-10)),
    "boolean": Kind(Boolean(), "true", True, "true"),
    "choice": Kind(OneOf("new", "paid"), '"paid"', "paid", "paid"),
    "uuid": Kind(
        Uuid(),
        '"424CDD2179F649F0BEFC636BA1B47D75"',
        "424cdd21-79f6-49f0-befc-636ba1b47d75",
        "424cdd21-79f6-49f0-befc-636ba1b47d75",
    ),
    "timestamp": Kind(
        Timestamp(),
        '"2026-01-31T23:59:59.5+01:00"',
        "2026-01-31T22:59:59.500000+00:00",
        "2026-01-31T22:59:59.500000+00:00",
        to="hour",
        short="2026-01-31T22:00:00+00:00",
    ),
    "epoch": Kind(
        Timestamp(epoch="milliseconds"),
        "1769903999999",
        "2026-01-31T23:59:59.999000+00:00",
        "2026-01-31T23:59:59.999000+00:00",
        to="month",
        short="2026-01-01T00:00:00+00:00",
    ),
    "zoned": Kind(
        Timestamp(zone="Europe/Berlin"),
        '"2026-01-31T23:59:59.5"',
        "2026-01-31T22:59:59.500000+00:00",
        "2026-01-31T22:59:59.500000+00:00",
        to="day",
        short="2026-01-31T00:00:00+00:00",
    ),
    "mail date": Kind(
        Timestamp(format="rfc2822"),
        '"Sat, 31 Jan 2026 23:59:59 +0100 (CET)"',
        "2026-01-31T22:59:59+00:00",
        "2026-01-31T22:59:59+00:00",
        to="minute",
        short="2026-01-31T22:59:00+00:00",
    ),
    "date": Kind(Date(), '"20260131"', "2026-01-31", "2026-01-31", to="month", short="2026-01-01"),
    "float": Kind(Float(), "-7.4829992079151759", NUMBER, str(NUMBER), to=5, short=Decimal("-10.0")),
    "rounded": Kind(
        Number(precision=4, scale=2, round=True), "-7.485", Decimal("-7.49"), "-7.49", to=5, short=Decimal(-10)
    ),
}


def declare(base: type[Part], members: dict[str, Any], defaults: dict[str, Any] | None = None, **options: Any) -> Any:
    """Make a stream or a part as a class statement does."""
    namespace = {"__annotations__": members, "__module__": __name__, **(defaults or {})}
    return type("Declared", (base,), namespace, **options)


def field(rule: Rule, *masks: Mask) -> Any:
    return Annotated[(rule.makes, rule, *masks)]


class Place(NamedTuple):
    """Where a field is: how a stream declares it there, a record has it there, a row keeps it, an error names it."""

    declare: Callable[..., Any]
    record: Callable[[str, str], str]  # two values as JSON, of which a place for one has the second
    cells: Callable[[Cell], list[Any]]  # for the cell of a value, what `read` makes of the row's
    pointer: str


def read(cells: tuple[Cell, ...]) -> list[Any]:
    """Return cells, those of JSON as what is in it."""
    return [json.loads(cell, parse_float=Decimal) if isinstance(cell, Json) else cell for cell in cells]


def _stream(**members: Any) -> type[Stream]:
    made: type[Stream] = declare(Stream, members, table="declared")
    return made


def _part(**members: Any) -> Any:
    return declare(Part, members)


def _tagged(part: Any) -> Any:
    return Annotated[list[part], Tagged("case", {1: part})]


def _array(cell: Cell) -> str:
    text = str(cell).lower() if isinstance(cell, bool) else cell
    return f'{{"{text}","{text}"}}'


PLACES = {
    "alone": Place(
        lambda rule, *masks: _stream(field=field(rule, *masks)),
        lambda first, second: f'{{"field": {second}}}',
        lambda cell: [cell],
        "/field",
    ),
    "nested": Place(
        lambda rule, *masks: _stream(outer=_part(inner=_part(field=field(rule, *masks)))),
        lambda first, second: f'{{"outer": {{"inner": {{"field": {second}}}}}}}',
        lambda cell: [cell],
        "/outer/inner/field",
    ),
    "array": Place(
        lambda rule, *masks: _stream(field=field(Each(rule), *masks)),
        lambda first, second: f'{{"field": [{first}, {second}]}}',
        lambda cell: [_array(cell)],
        "/field/1",
    ),
    "JSON": Place(
        lambda rule, *masks: _stream(field=field(Each(rule, json=True), *masks)),
        lambda first, second: f'{{"field": [{first}, {second}]}}',
        lambda cell: [[cell, cell]],
        "/field/1",
    ),
    "objects": Place(
        lambda rule, *masks: _stream(parts=list[_part(field=field(rule, *masks))]),  # type: ignore[misc]
        lambda first, second: f'{{"parts": [{{"field": {first}}}, {{"field": {second}}}]}}',
        lambda cell: [[{"field": cell}, {"field": cell}]],
        "/parts/1/field",
    ),
    "list in objects": Place(
        lambda rule, *masks: _stream(parts=list[_part(field=field(Each(rule), *masks))]),  # type: ignore[misc]
        lambda first, second: f'{{"parts": [{{"field": []}}, {{"field": [{first}, {second}]}}]}}',
        lambda cell: [[{"field": []}, {"field": [cell, cell]}]],
        "/parts/1/field/1",
    ),
    "objects in objects": Place(
        lambda rule, *masks: _stream(
            parts=list[_part(inner=list[_part(field=field(rule, *masks))])]  # type: ignore[misc]
        ),
        lambda first, second: f'{{"parts": [{{"inner": [{{"field": {first}}}, {{"field": {second}}}]}}]}}',
        lambda cell: [[{"inner": [{"field": cell}, {"field": cell}]}]],
        "/parts/0/inner/1/field",
    ),
    "envelope": Place(
        lambda rule, *masks: declare(
            Stream,
            {"around": Annotated[_part(field=field(rule, *masks)), FROM_ENVELOPE]},
            table="declared",
            envelope=eventbridge,
        ),
        lambda first, second: f'{{"detail": {{}}, "field": {second}}}',
        lambda cell: [cell],
        "envelope/field",
    ),
    "case of a value": Place(
        lambda rule, *masks: _stream(field=Annotated[rule.makes, ByType((rule, *masks))]),
        lambda first, second: f'{{"field": {second}}}',
        lambda cell: [cell],
        "/field",
    ),
    "case of objects": Place(
        lambda rule, *masks: _stream(parts=_tagged(_part(field=field(rule, *masks)))),
        lambda first, second: f'{{"parts": [{{"case": 1, "field": {first}}}, {{"case": 1, "field": {second}}}]}}',
        lambda cell: [[{"field": cell}, {"field": cell}]],
        "/parts/1/field",
    ),
}


def mask_body(stream: type[Stream], body: str, keyset: Keyset) -> list[Any]:
    return read(stream.masker(keyset)(body).cells)
