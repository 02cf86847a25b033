"""What a rule accepts is what PostgreSQL holds, on both ways into the table; all else is refused where it is."""

import ipaddress
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from typing import Annotated, Any, NamedTuple

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

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
    NullIf,
    Number,
    OneOf,
    Phone,
    Rule,
    Text,
    Timestamp,
    Uuid,
    Version,
)
from sluice.declaration.stream import Masked, Part, Row, Stream
from sluice.failures import Rejected
from sluice.ingest.rows import MaskedRow
from sluice.migrate import rights
from sluice.pseudonyms.keyset import Keyset
from tests.integration.databases import LOGINS, TestDatabase, in_seconds
from tests.integration.environment import OpenStore, write
from tests.integration.messages import KEYSET, numbered
from tests.unit.kinds import declare, field

SENT_AT = "2026-01-31T23:59:59.999+00:00"
LARGEST = Decimal(10**38 - 1).scaleb(-10)  # of numeric(38, 10)
NASTY = [
    *("", " ", "\\N", "\\.", "\\", "\\\\", "\t", "\n", "\r\n", "\b\f\v", '"', "'", "NULL", "null", "\x7f\x85\u2028"),
    *("a,b", "{}", "{a,b}", "}", "{", '{"a"}', '\\"', '",", "', "[]", "😀\ufeff\uffff", "e\u0301", "ẞ", "İ", "ΐ"),
    *(
        "\N{COMBINING ACUTE ACCENT}",
        "\u03b1\u0345\u0301",
        "true",
        "1",
        "1e400",
        "$1",
        "%s",
        ":x",
        "{{x}}",
        "a\0b",
        "\0",
    ),
]


class Kind(NamedTuple):
    """A rule, PostgreSQL's type for it, values of which it takes most, and how a canonical value is read back."""

    rule: Rule
    type: str
    samples: list[Any]
    values: st.SearchStrategy[Any]
    read: Callable[[Any], Any] = lambda found: found


def shout(value: str) -> str:
    """Bring a text to upper case, which may be longer."""
    return value.upper()


texts = st.text(st.characters(exclude_categories=["Cs"]))
addresses = st.tuples(texts, st.from_regex(r"[A-Za-z0-9-]{1,20}(\.[A-Za-zÄßİ]{2,9}){1,3}", fullmatch=True)).map(
    "@".join
)
numbers = st.decimals(-LARGEST, LARGEST, allow_nan=False, places=10)
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=zones).map(datetime.isoformat)
seconds = st.integers(-62_135_596_800, 253_402_300_799)
NUMBERS = [0, Decimal("-0"), LARGEST, -LARGEST, str(LARGEST), Decimal("1E+27"), Decimal("1E-10"), 0.1, "NaN", "1E-11"]
FIRST, LAST = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))
MOMENTS = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-31T00:00:00.000001+14:00"]

KINDS = {
    "text": Kind(Text(max=50), "varchar(50)", NASTY, texts),
    "case_folded": Kind(CaseFolded(max=50), "varchar(50)", NASTY, texts),
    "id": Kind(
        Id(max=20), "varchar(20)", [*NASTY, 42, 42.0, 4.2, 2**64, -(2**63)], texts | st.integers(-(2**63), 2**63)
    ),
    "email": Kind(
        Email(),
        "varchar(254)",
        [f"{'a' * n}@bücher.example" for n in (231, 232)] + [f"a@{'ß' * n}.example" for n in (50, 60)],
        addresses,
    ),
    "phone": Kind(
        Phone(region="GB"),
        "varchar(32)",
        ["020 7946 0018", "+1 202 555 0143", "+1 202 555 0143 ext. 12345678901"],
        st.from_regex(r"(\+[1-9]|0)[0-9 ()-]{6,18}", fullmatch=True),
    ),
    "card": Kind(
        Card(),
        "varchar(19)",
        ["4111 1111 1111 1111", "6304000000000000", "4111-1111-1111-1112"],
        st.from_regex(r"[3-6][0-9]{3}([ -]?[0-9]{4}){2,3}", fullmatch=True),
    ),
    "iban": Kind(
        Iban(),
        "varchar(34)",
        ["gb33 BUKB 2020 1555 5555 55", "MT84MALT011000012345MTLCAST001S", "GB33BUKB20201555555556"],
        st.from_regex(r"NO[0-9]{2} ?[0-9]{11}", fullmatch=True),
    ),
    "version": Kind(
        Version(), "varchar(32)", ["2147.483.647"], st.from_regex(r"[0-9]{1,4}(\.[0-9]{1,3}){0,3}", fullmatch=True)
    ),
    "custom": Kind(Custom(max=50, form=shout), "varchar(50)", [*NASTY, "ß" * 25, "ß" * 26], texts),
    "choice": Kind(OneOf(*NASTY[:-2]), "text", NASTY, texts),
    "ip": Kind(
        IpAddress(),
        "inet",
        ["::ffff:192.0.2.7", "::", "255.255.255.255"],
        st.ip_addresses().map(str),
        lambda found: str(ipaddress.ip_address(found)),
    ),
    "uuid": Kind(Uuid(), "uuid", ["{" + "F" * 32 + "}", "F" * 32], st.uuids().map(str)),
    "integer": Kind(
        Integer(), "bigint", [n + d for n in (2**63, -(2**63)) for d in (-1, 0, 1)], st.integers(-(2**63), 2**63 - 1)
    ),
    "number": Kind(Number(precision=38, scale=10), "numeric(38, 10)", NUMBERS, numbers),
    "money": Kind(
        Number(precision=6, scale=2), "numeric(6, 2)", [9999.99, -9999.99, 10_000], st.decimals(-9999, 9999, places=2)
    ),
    "whole": Kind(
        Integer(min=-99, max=99, text=True),
        "integer",
        [7.0, "7", "-07", "7.5", 100, "1e1", " 7"],
        st.integers(-120, 120) | st.integers(-99, 99).map(str) | st.integers(-99, 99).map(float),
    ),
    "rounded": Kind(
        Number(precision=6, scale=2, round=True),
        "numeric(6, 2)",
        [52.48299920791517, 0.005, "-0.005", 9999.994, 9999.995, "1e-9", True],
        st.floats(-11_000, 11_000) | st.decimals(-9999, 9999, places=5),
    ),
    "float": Kind(
        Float(),
        "double precision",
        [5e-324, 1.7976931348623157e308, -0.0, 2**53 + 1, "1e309", "1E-400", "NaN", "0.1", True],
        st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.floats().map(repr),
        float,
    ),
    "date": Kind(
        Date(), "date", ["0001-01-01", "9999-12-31", "20260131", "2026-02-30"], st.dates().map(str), date.fromisoformat
    ),
    "boolean": Kind(Boolean(), "boolean", [True, False, 0, 1, "t"], st.booleans()),
    "timestamp": Kind(
        Timestamp(earliest=FIRST, latest=LAST),
        "timestamptz",
        [*MOMENTS, -62_135_596_800, 253_402_300_799, 253_402_300_800, 0.1, -0.0, 5e-324],
        moments | seconds | seconds.map(str) | st.floats(-62_135_596_800, 253_402_300_799),
        datetime.fromisoformat,
    ),
    "milliseconds": Kind(
        Timestamp(epoch="milliseconds", earliest=FIRST, latest=LAST),
        "timestamptz",
        MOMENTS,
        seconds.map(lambda n: n * 1000),
        datetime.fromisoformat,
    ),
    "zoned": Kind(
        Timestamp(zone="Europe/Berlin", earliest=FIRST, latest=LAST),
        "timestamptz",
        ["2026-10-25T02:30:00", "2026-03-29T02:30:00", "2026-03-29T03:30:00", "2026-03-29"],
        st.datetimes().map(datetime.isoformat),
        datetime.fromisoformat,
    ),
}
FORMS = ("alone", "array", "json", "parts")
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)


def stream_of(rule: Any) -> type[Stream]:
    """Return a stream with a field of the rule alone, in an array, in a list of JSON and in a list of objects."""
    members: dict[str, Any] = {
        "alone": Annotated[rule.makes | None, rule],
        "array": Annotated[list[rule.makes] | None, Each(rule, max=99)],
        "json": Annotated[list[rule.makes] | None, Each(rule, max=99, json=True)],
        "parts": list[declare(Part, {"value": field(rule)})] | None,  # type: ignore[misc]
    }
    made: type[Stream] = declare(Stream, members, dict.fromkeys(members), table="everything")
    return made


def in_form(form: str, values: list[Any]) -> Any:
    """Return values as the field of that name takes them: the first of them alone, or a list, or a list of objects."""
    if form == "alone":
        return values[0]
    return [{"value": value} for value in values] if form == "parts" else values


def of_form(form: str, value: Any, read: Callable[[Any], Any]) -> Any:
    """Return what `read` makes of every value in a field."""
    if value is None or form == "alone":
        return value if value is None else read(value)
    return [read(element["value"] if form == "parts" else element) for element in value]


def given_in_json(value: Any) -> str:
    return msgspec.json.Encoder(decimal_format="number").encode(value).decode()


def refusal(mask: Callable[[str], Masked], body: str) -> tuple[Row, str]:
    """Return the cells of a body, or none and the pointer of its rejection."""
    try:
        return mask(body).cells, ""
    except Rejected as rejected:
        return (), rejected.pointer


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_what_a_rule_accepts_arrives_as_it_was_and_all_else_is_refused_where_it_is(
    kind: Kind, database: TestDatabase, open_store: OpenStore
) -> None:
    database.sql(
        f'CREATE TABLE everything (alone {kind.type}, "array" {kind.type}[], json jsonb, parts jsonb,'
        " sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY)"
    )
    stream = stream_of(kind.rule)
    rights.grant(database.owner, stream, LOGINS)
    store = open_store(stream)
    mask = stream.masker(Keyset.parse(KEYSET))
    ids = map(numbered, count())
    old = MaskedRow(next(ids), SENT_AT, mask("{}").cells)
    assert write(store, [old], in_seconds(60)) == (1, 0, [])
    accepted: set[str] = set()
    refused: set[str] = set()

    def canonical(value: Any) -> Any:
        exact = Decimal(repr(value)) if isinstance(value, float) and kind.rule.accepts is Decimal else value
        return kind.rule.canonical(msgspec.convert(exact, kind.rule.accepts))

    value = kind.values | st.sampled_from(kind.samples)
    filled = st.tuples(st.sampled_from(FORMS), st.lists(value, min_size=1, max_size=4)).map(
        lambda filled: (filled[0], in_form(*filled))
    )

    @given(st.lists(filled | st.tuples(st.sampled_from(FORMS), anything), min_size=1, max_size=20))
    @example([(form, in_form(form, [value])) for form in FORMS for value in kind.samples])
    @example([(form, {"value": {}}) for form in FORMS] + [(form, []) for form in FORMS[1:]])
    @settings(max_examples=30, deadline=None, database=None)
    def round_trip(fields: Sequence[tuple[str, Any]]) -> None:
        kept = []
        for form, value in fields:
            cells, pointer = refusal(mask, given_in_json({form: value}))
            (accepted if cells else refused).add(form)
            if cells:
                kept.append((form, value, cells))
            else:
                assert re.fullmatch(rf"/{form}(/\d+)?(/value)?", pointer), (form, value, pointer)
        for duplicates in ([], [old]):  # copied, merged
            rows = [MaskedRow(next(ids), SENT_AT, cells) for _, _, cells in kept]
            assert write(store, [*rows, *duplicates], in_seconds(60)) == (len(rows), len(duplicates), [])
            stored = database.sql(
                "SELECT to_jsonb(e)::text FROM everything e WHERE message_id = ANY(CAST(:ids AS uuid[]))"
                " ORDER BY message_id",
                ids=[row.message_id for row in rows],
            )
            for (form, value, _), (text,) in zip(kept, stored, strict=True):
                row = json.loads(text, parse_float=Decimal)
                nothing = dict.fromkeys({*FORMS} - {form})
                assert {name: row[name] for name in nothing} == nothing
                found, wanted = of_form(form, row[form], kind.read), of_form(form, value, canonical)
                assert (form, repr(found)) == (form, repr(wanted))  # 1.10 is not 1.1 here, and True not 1

    round_trip()
    assert accepted == refused == {*FORMS}


NULLABLE: dict[str, Any] = {
    "alone": Annotated[int | None, Integer(), NullIf("blank", "invalid")],
    "array": Annotated[list[int | None] | None, Each(Integer(), max=3), NullIf("blank", "invalid")],
    "json": Annotated[list[int | None] | None, Each(Integer(), max=3, json=True), NullIf("blank", "invalid")],
}


def or_null(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63 else None


def test_what_a_rule_refuses_is_stored_as_null_and_all_else_as_it_was(
    database: TestDatabase, open_store: OpenStore
) -> None:
    database.sql(
        'CREATE TABLE everything (alone bigint, "array" bigint[], json jsonb,'
        " sent_at timestamptz NOT NULL, message_id uuid PRIMARY KEY)"
    )
    stream: type[Stream] = declare(Stream, NULLABLE, dict.fromkeys(NULLABLE), table="everything")
    rights.grant(database.owner, stream, LOGINS)
    store, mask, ids = open_store(stream), stream.masker(Keyset.parse(KEYSET)), map(numbered, count())

    @given(anything, st.lists(anything | st.integers(), max_size=4) | anything)
    @example("", ["", 1, None, {}])
    @example(" ", [1, 2, 3, 4])
    @settings(max_examples=30, deadline=None, database=None)
    def round_trip(value: Any, values: Any) -> None:
        masked = mask(given_in_json({"alone": value, "array": values, "json": values}))
        row = MaskedRow(next(ids), SENT_AT, masked.cells)
        assert write(store, [row], in_seconds(60)) == (1, 0, [])
        ((text,),) = database.sql(
            "SELECT to_jsonb(e)::text FROM everything e WHERE message_id = CAST(:id AS uuid)", id=row.message_id
        )
        stored, is_list = json.loads(text), isinstance(values, list) and len(values) <= 3
        elements = [or_null(element) for element in values] if is_list else None
        assert {name: stored[name] for name in NULLABLE} == {
            "alone": or_null(value),
            "array": elements,
            "json": elements,
        }

    round_trip()
