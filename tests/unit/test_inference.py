"""What `sluice new` makes of samples: a declaration that takes all of them, and keeps nothing personal unasked."""

import json
import re
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sluice.declaration import column_types, description
from sluice.declaration.envelopes import plain
from sluice.declaration.outside import Outside
from sluice.declaration.stream import Stream
from sluice.failures import Rejected
from tests.unit.samples import calls
from tools.sluice_cli.authors import table_sql, throwaway
from tools.sluice_cli.authors.new import declaration, examples, samples
from tools.sluice_cli.authors.new.names import snake
from tools.sluice_cli.authors.new.planner import Planner
from tools.sluice_cli.authors.new.wrapping import Wrapping

KEYSET = throwaway.keyset()


def planned(records: list[Any], *subject: str) -> tuple[Planner, str]:
    """Return what was planned for samples, and the text of the declaration."""
    planner = Planner("Thing", subject)
    plan = planner.plan(samples.records_of(json.dumps(record) for record in records))
    named = {"subject": [*planner.subject_paths.values()], "mentions": planner.mention_paths}
    return planner, declaration.source("things", plan, "plain", named) if plan.members else ""


def field(values: list[Any], key: str = "x", many: int = 1) -> str:
    """Return the line that declares a field of which there are such samples, without its name and mark."""
    _, text = planned([{key: value} for value in values] * many)
    if not text:
        return ""
    line = " ".join(text.partition('record of the stream `things`."""')[2].split())
    declared = line.partition("# confirm")[0].partition(": ")[2].strip()
    return re.sub(r",? ]", "]", declared.replace("[ ", "["))


SHA = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
UUID = "7d1c5b1e-2c2b-4f0a-9f0e-0b1c2d3e4f50"


@pytest.mark.parametrize(
    ("values", "key", "declared"),
    [
        ([True, False], "x", "Annotated[bool, Boolean()]"),
        ([True, None], "x", "Annotated[bool | None, Boolean()]"),
        ([1, 2], "x", "Annotated[int, Integer()]"),
        ([1, 2], "count", "Annotated[int, Integer(min=0, max=2_147_483_647)]"),
        ([-1, 2], "count", "Annotated[int, Integer()]"),
        ([10**12], "byte_count", "Annotated[int, Integer(min=0)]"),
        ([10**30], "x", "Annotated[Decimal, Number(precision=33, scale=0)]"),
        ([1.5, 2], "x", "Annotated[Decimal, Number(precision=8, scale=2)]"),
        ([1.55], "price", "Annotated[Decimal, Number(precision=8, scale=2)]"),
        ([52.48299920791517], "x", "Annotated[float, Float()]"),
        ([52.48299920791517, 1], "x", "Annotated[float, Float()]"),
        ([1e-292, 5e-324, 1e308], "x", "Annotated[float, Float()]"),
        ([10**990], "x", "Annotated[Decimal, Number(precision=993, scale=0)]"),
        ([52.48299920791517], "price", "Annotated[Decimal, Number(precision=24, scale=18)]"),
        (["12.50", "3"], "total", "Annotated[Decimal, Number(precision=8, scale=2)]"),
        (["12.50", 3], "x", "Annotated[Decimal, Number(precision=10, scale=4)]"),
        (["1.10"], "version", "Annotated[str, Text(max=32)]"),
        (["0123"], "x", "Annotated[str, Text(max=32)]"),
        (["a" * 33], "x", "Annotated[str, Text(max=256)]"),
        (["a" * 30_000], "x", "Annotated[str, Text(max=256_000)]"),
        ([SHA], "commit", "Annotated[str, Text(max=256)]"),
        ([UUID], "x", "Annotated[str, Uuid()]"),
        ([UUID, "x"], "x", "Annotated[str, Text(max=256)]"),
        ([7, "a-7"], "cart_id", "Annotated[str, Id(max=32)]"),
        (["2026-01-31T12:00:00Z", "2026-01-31T12:00:00+01:00"], "x", "Annotated[datetime, Timestamp()]"),
        (["2026-01-31T12:00:00"], "x", "Annotated[str, Text(max=128)]"),  # without a zone it is no moment
        (["2026-01-31 12:00:00"], "x", "Annotated[str, Text(max=128)]"),
        (["2026-01-31 12:00:00Z", "2026-01-31T12:00:00Z"], "x", "Annotated[datetime, Timestamp()]"),
        (["2026-01-31 at noon"], "x", "Annotated[str, Text(max=128), Redact()]"),
        (["2026-01-31"], "x", "Annotated[date, Date()]"),
        (["2026-01-31", "soon"], "x", "Annotated[str, Text(max=64)]"),
        (["20260131"], "x", "Annotated[str, Text(max=32)]"),
        (["Sat, 31 Jan 2026 12:00:00 GMT"], "x", 'Annotated[datetime, Timestamp(format="http")]'),
        (["31 Jan 2026 12:00 +0100"], "x", 'Annotated[datetime, Timestamp(format="rfc2822")]'),
        ([1769903999500000], "timestamp", 'Annotated[datetime, Timestamp(epoch="microseconds")]'),
        (["1769903999500000000"], "timestamp", 'Annotated[datetime, Timestamp(epoch="nanoseconds")]'),
        (["true", "False"], "x", "Annotated[bool, Boolean(text=True)]"),
        (["", "a"], "x", 'Annotated[str | None, Text(max=32), NullIf("blank")]'),
        ([" ", 7, None], "x", 'Annotated[int | None, Integer(), NullIf("blank")]'),
        ([["", UUID]], "x", 'Annotated[list[str | None], Each(Uuid()), NullIf("blank")]'),
        (
            [[["", 1.5]]],
            "x",
            "Annotated[list[list[Decimal | None]],"
            ' Each(Each(Number(precision=8, scale=2)), json=True), NullIf("blank")]',
        ),
        ([[[-1] * 300]], "x", "Annotated[list[list[int]], Each(Each(Integer(), max=10_000), json=True)]"),
        ([1769903999], "created_at", "Annotated[datetime, Timestamp()]"),
        ([1769903999.5, "2026-01-31T12:00:00Z"], "created_at", "Annotated[datetime, Timestamp()]"),
        ([1769903999500], "timestamp", 'Annotated[datetime, Timestamp(epoch="milliseconds")]'),
        ([1769903999], "x", "Annotated[int, Integer()]"),
        ([7], "created_at", "Annotated[int, Integer()]"),
        (["refs/heads/main"], "ref", "Annotated[str, Text(max=64)]"),
        ([["a", "b"]], "x", "Annotated[list[str], Each(Text(max=32))]"),
        ([["a"], []], "x", "Annotated[list[str], Each(Text(max=32))]"),
        ([["a"], None], "x", "Annotated[list[str] | None, Each(Text(max=32))]"),
        ([[-1] * 300], "x", "Annotated[list[int], Each(Integer(), max=10_000)]"),
    ],
)
def test_a_rule_fits_the_values(values: list[Any], key: str, declared: str) -> None:
    assert field(values, key) == declared


@pytest.mark.parametrize(
    ("values", "key", "masks"),
    [
        (["ada@example.com"], "x", 'Annotated[str, Email(), Pseudonym(domain="email", recoverable=True)]'),
        (["ada@example.com", "-"], "x", "Annotated[str, Text(max=64), Redact()]"),
        (["203.0.113.7"], "ip", 'Annotated[str, IpAddress(), Pseudonym(), Truncate("ip_network")]'),
        (["203.0.113.7", "unknown"], "ip", "Annotated[str, Text(max=64), Redact()]"),
        (["2.3.0.1"], "app_version", "Annotated[str, Text(max=32)]"),
        (["+442079460018"], "x", 'Annotated[str, Phone(), Pseudonym(domain="phone", recoverable=True)]'),
        (["020 7946 0018"], "x", "Annotated[str, Text(max=64), Redact()]"),
        (  # not assigned, but possible
            ["+447700900123", "+442079460018"],
            "mobile",
            'Annotated[str, Phone(), Pseudonym(domain="phone", recoverable=True)]',
        ),
        (["+447700900123", "020 7946 0018"], "mobile", "Annotated[str, Text(max=64), Redact()]"),
        (["4242424242424242"], "x", "Annotated[str, Text(max=64), Redact()]"),
        ([4242424242424242], "x", "Annotated[int, Integer(), Redact()]"),
        (["GB33BUKB20201555555555"], "x", "Annotated[str, Text(max=128), Redact()]"),
        (
            ["arn:aws:iam::123456789012:user/ann"],
            "x",
            'Annotated[str, Text(max=256), Pseudonym(domain="arn")]',
        ),
        (["00:1a:2b:3c:4d:5e"], "x", 'Annotated[str, Text(max=128), Pseudonym(domain="mac")]'),
        (["u-17"], "user_id", "Annotated[str, Text(max=32), Pseudonym()]"),
        ([17], "user_id", "Annotated[int, Integer(min=0), Pseudonym()]"),
        ([UUID], "device_id", "Annotated[str, Uuid(), Pseudonym()]"),
        (["Ada"], "first_name", "Annotated[str, Text(max=32), Redact()]"),
        (["1990-01-31"], "birth_date", "Annotated[date, Date(), Redact()]"),
        (["593-47-5928"], "ssn", "Annotated[str, Text(max=64), Redact()]"),
        (["s3cr3t"], "password", "Annotated[str, Text(max=32), Redact()]"),
        (["ada@example.com"], "password", "Annotated[str, Email(), Redact()]"),
        (["late"], "comment", "Annotated[str, Text(max=32), Redact()]"),
        (["two words"], "x", "Annotated[str, Text(max=64), Redact()]"),
        (
            ["to ada@example.com"],
            "x",
            'Annotated[str, Text(max=128), Scrub(Find(Email(), Pseudonym(domain="email", recoverable=True)))]',
        ),
        (
            ["of +44 20 7946 0018, 203.0.113.7"],
            "comment",
            "Annotated[str, Text(max=128), Scrub("
            'Find(IpAddress(), Redact(constant="[ip]")), Find(Phone(), Redact(constant="[phone]")))]',
        ),
        (["of 020 7946 0018"], "comment", "Annotated[str, Text(max=64), Redact()]"),  # of which region?
        (["from 203.0.113.7 by aa:bb:cc:dd:ee:01"], "x", "Annotated[str, Text(max=256), Redact()]"),
        (["https://example.com/ada"], "x", "Annotated[str, Text(max=128), Redact()]"),
        ([52.5], "latitude", "Annotated[Decimal, Number(precision=8, scale=2), Redact()]"),
        ([[54.05, 8.58]], "geo", "Annotated[list[Decimal], Each(Number(precision=10, scale=4)), Redact()]"),
        (["50.1,8.6"], "position", "Annotated[str, Text(max=32), Redact()]"),
        (["50.1,8.6", "lead"], "position", "Annotated[str, Text(max=32)]"),
        ([[1, 2]], "position", "Annotated[list[int], Each(Integer())]"),
        (["f"], "sex", "Annotated[str, Text(max=32), Redact()]"),
        ([1], "gender", "Annotated[int, Integer(), Redact()]"),
        ([True], "disability", "Annotated[bool, Boolean(), Redact()]"),
        ([["nuts"]], "allergies", "Annotated[list[str], Each(Text(max=32)), Redact()]"),
        (["P-17"], "policyNumber", "Annotated[str, Text(max=32), Pseudonym()]"),
        (["Mozilla/5.0 (X11)"], "userAgent", "Annotated[str, Text(max=128), Pseudonym()]"),
        (
            [["ada@example.com"]],
            "to",
            'Annotated[list[str], Each(Email()), Pseudonym("record_to", domain="email", recoverable=True)]',
        ),
        ([["Ada"]], "names", "Annotated[list[str], Each(Text(max=32)), Redact()]"),
        ([True], "mobile", "Annotated[bool, Boolean()]"),
        (["ready"], "status", "Annotated[str, Text(max=32)]"),
        (["Signed Up"], "event", "Annotated[str, Text(max=64)]"),
        (["Signed up by Ada"], "event", "Annotated[str, Text(max=64), Redact()]"),
    ],
)
def test_what_may_be_personal_is_masked_and_marked(values: list[Any], key: str, masks: str) -> None:
    assert field(values, key) == masks
    is_masked = any(mask in masks for mask in ("Pseudonym", "Redact"))
    assert ("# confirm: " in planned([{key: value} for value in values])[1]) == is_masked
    assert [one for one in planned([{key: value} for value in values])[1].splitlines() if "confirm" in one][1:] == []


def test_a_text_with_a_name_of_the_samples_is_redacted_however_much_else_can_be_found_in_it() -> None:
    record = {"requester": {"fullName": "Ingrid Berg"}, "words": "mail ann@example.com, regards"}
    _, kept = planned([record])
    _, redacted = planned([record, record | {"words": "mail ann@example.com, regards, INGRID"}])
    assert "Scrub(Find(Email()" in kept and "names and addresses in it stay readable" in kept
    assert "Scrub(" not in redacted and "holds an e-mail address and a name" in redacted


def test_in_a_map_a_text_with_a_name_of_the_samples_is_redacted_too() -> None:
    def proposed(words: str) -> str:
        maps = [{"plan": "pro", "reply": words, "n": [n, "x"][n % 2], f"k{n}": 1} for n in range(8)]
        records = [{"fullName": "Ingrid Berg", "x": n, "event": {"properties": one}} for n, one in enumerate(maps)]
        return planned(records)[1].partition('"/reply"')[2].partition('"/n"')[0]

    assert "Scrub(Find(Email()" in proposed("mail ann@example.com, regards")
    assert "Redact()" in (named := proposed("mail ann@example.com, regards, INGRID")) and "and a name" in named


@pytest.mark.parametrize(
    ("key", "value"), [("assignee", "m.berg"), ("loyaltyNo", "LY96234074"), ("vatId", "DE811907980")]
)
def test_a_key_that_names_a_person_or_a_number_of_one_is_marked(key: str, value: str) -> None:
    assert "# confirm:" in planned([{key: value}])[1]


def test_what_is_told_of_a_person_is_masked() -> None:
    _, text = planned(
        [{"customer": {"tier": "gold", "city": "Paris", "age": 7, "vip": True}, "shop": {"city": "Paris"}}]
    )
    customer = text.partition("class Shop(Part)")[0]
    assert "city: Annotated[str, Text(max=32), Redact()]  # confirm: is about a person" in customer
    assert [line for line in text.splitlines() if "confirm" in line] == [
        line for line in customer.splitlines() if "city" in line
    ]


def test_a_city_is_a_part_of_an_address_where_the_rest_of_it_stands_beside() -> None:
    _, text = planned([{"street": "Main St", "town": "Bath", "region": "x", "shop": {"town": "Bath"}}])
    assert re.findall(r"(\w+): Annotated.*# confirm: (.*)", text) == [
        ("street", "by its name a postal address"),
        ("town", "by its name a postal address"),
    ]


def test_a_choice_that_tells_something_special_is_redacted() -> None:
    declared = field(["A", "B"], "blood_type", many=30)
    assert declared == 'Annotated[str, OneOf("A", "B"), Redact()]'


def test_a_choice_is_declared_where_many_samples_have_few_values_of_a_kind() -> None:
    declared = field(["ios", "android"], "platform", many=30)
    assert declared == 'Annotated[str, OneOf("android", "ios")]'
    for values, key, many in (
        (["ios", "android"], "platform", 24),  # too few samples
        (["ios", "android"], "owner_word", 30),  # its key names no kind of things
        (["ios"], "platform", 60),
        ([f"p{number}" for number in range(9)], "platform", 10),
        (["ios", "ada@example.com"], "platform", 30),
        (["ios", "Ada Lovelace"], "platform", 30),
    ):
        assert "OneOf" not in field(values, key, many)
    assert "OneOf" not in field(["ios"] * 60 + ["new"], "platform")  # another rare one may come


def test_what_may_be_missing_or_null_is_told_apart() -> None:
    records = [
        {"a": 1, "b": None, "c": [1], "o": {"x": 1}, "l": [{"x": 1}], "kebab-key": 1, "camelKey": 1},
        {"b": 1, "o": None},
        {"a": None, "b": 1, "c": [], "l": []},
    ]
    lines = planned(records)[1].splitlines()
    assert [line.strip() for line in lines if line.startswith("    ") and ": " in line and "`" not in line][1:] == [
        "a: Annotated[int | None, Integer()] = None",
        "b: Annotated[int | None, Integer()]",
        "c: Annotated[list[int], Each(Integer())] = []",
        "o: O | None = None",
        "l: list[O] = []",
        'kebab_key: Annotated[int | None, Integer()] = msgspec.field(name="kebab-key", default=None)',
        'camel_key: Annotated[int | None, Integer()] = msgspec.field(name="camelKey", default=None)',
    ]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("userId", "user_id"),
        ("userID", "user_id"),
        ("HTTPCode", "http_code"),
        ("page-path", "page_path"),
        ("$set", "set"),
        ("2fa", "n_2fa"),
        ("größe", "groesse"),
        ("Straße", "strasse"),
        ("NI No.", "ni_no"),
        ("Employee ID", "employee_id"),
        ("ключ", "field"),
        ("__typename", "typename"),
    ],
)
def test_a_key_becomes_the_name_of_a_field(key: str, name: str) -> None:
    assert snake(key) == name


@pytest.mark.parametrize(
    ("record", "name", "why"),
    [
        ({"from": 1}, "from_2", "Called so, since `from` is a word of Python."),
        ({"Subject": "x"}, "subject_2", "Called so, since `subject` has a meaning in declarations."),
        ({"3d": 1}, "n_3d", "Called so, since a name begins with a letter."),
        ({"to": "x"}, "to", "Its column is not `to`, since that is a word of SQL."),
        ({"order": ["x"]}, "order", "Its column is not `order`, since that is a word of SQL."),
        ({"session": {"user": 1}}, "user", "Its column is not `session_user`, since that is a word of SQL."),
        ({"end": [{"x": 1}]}, "end_2", "Called so, since `end` is a word of SQL."),
        ({"列": 1}, "field", "Its key has no letter for a name."),
        ({"aB": 1, "a_b": 1}, "a_b_2", "Called so, since the name without the number is that of another field."),
        ({"sent_at": 1}, "sent_at", "Its column is not `sent_at`, since every table has one."),
        ({"sentAt": 1}, "sent_at", "Its column is not `sent_at`, since every table has one."),
        ({"o" * 30: {"i" * 31: 1}}, "i" * 31, "Its column has a shorter name, since PostgreSQL takes 63 bytes."),
        ({"a_b": 1, "a": {"b": 1}}, "b", "Its column has another name, since the usual one is taken."),
    ],
)
def test_a_comment_says_why_a_field_or_its_column_is_called_otherwise(
    record: dict[str, Any], name: str, why: str
) -> None:
    _, source = planned([record])
    assert re.findall(r"# (.+)\n    (\w+): ", source) == [(why, name)]


@pytest.mark.parametrize(
    ("record", "is_told"),
    [({"aB": 1}, True), ({"a": {"bC": 1}}, True), ({"detail-type": 1}, True), ({"a": {"b_c": 1}, "from": 1}, False)],
)
def test_the_module_says_once_why_names_are_in_small_letters(record: dict[str, Any], is_told: bool) -> None:
    _, source = planned([record])
    about = source.split('"""')[1]
    assert ("in small letters with underscores, so that SQL needs no quotes" in about) == is_told


def test_one_option_renames_all_keys_where_one_style_does() -> None:
    assert 'class Thing(Stream, table="things", rename="camel")' in planned([{"userId": 1, "pagePath": "x"}])[1]
    mixed = planned([{"userId": 1, "page_path": "x", "class": 1, "table": 2, "str": 3, "userID": 4}])[1]
    names = [line.split(":")[0].strip() for line in mixed.splitlines() if "Annotated[" in line]
    assert names == ["user_id", "page_path", "class_2", "table_2", "str_2", "user_id_2"]


def test_no_column_of_its_own_is_a_word_of_sql() -> None:
    maps = [{"k": 1, "v": n, f"k{n}": 1} for n in range(8)]
    objects = [{"to": 1, "order": {"by": 1}}]
    records = [{"to": "x", "user": "u", "select": [1], "order": {"by": 1}, "end": objects, "case": one} for one in maps]
    _, text = planned(records, "user")
    stream = declaration.load("things", text)
    assert [column for column, _ in stream.columns()] == [
        *("record_to", "record_user", "record_select", "case_2", "order_by", "end_2"),
    ]
    members = {entry.column for entry in description.entries(stream)}
    assert {"end_2[*].to", "end_2[*].order_by"} <= members  # in JSON no name needs quotes
    assert '"' not in table_sql.create_table(stream)
    assert [_refusal(stream, record) for record in records] == [""] * 8


def test_kinds_share_a_column_that_is_no_word_of_sql() -> None:
    kinds = [CARD | {"role": "a"}, BANK | {"role": "b"}] * 2
    _, text = planned([{"current": one} for one in kinds])
    assert text.count('role: Annotated[str, Text(max=32), Keep("record_current_role")]') == 2


def test_in_a_list_of_several_shapes_no_name_needs_quotes() -> None:
    assert "record_to" not in planned([{"x": [{"to": 1}, "a"]}])[1]


def test_columns_never_collide() -> None:
    record = {
        "message_id": "m",
        "sent_at": "s",
        "a_b": {"c": 1},
        "a": {"b_c": 2, "b": {"c": 3}},
        "a_b_c": 4,
        "x" * 60: {"y" * 60: 1},
    }
    stream = declaration.load("things", planned([record])[1])
    columns = [column for column, _ in stream.columns()]
    assert len(columns) == len(set(columns)) == 7
    assert {"record_message_id", "record_sent_at"} <= {*columns}
    assert max(map(len, columns)) <= 63


MAP = "it is a map whose keys look like values: write a Tree by hand"
OTHERS = "it is a map, of which only the keys that its Tree names are kept"
MAPS = "its objects are maps with any keys, which a list cannot hold"
MIXED_LIST = "its list holds things of several kinds, or lists of objects: that cannot be declared yet"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([{f"k{n}": 1} for n in range(9)], MAP),
        ([[{f"k{n}": 1} for n in range(9)]], MAPS),
        ([{"ada@example.com": 1}], MAP),
        ([[[{"a": 1}]]], MIXED_LIST),
        ([[[1], 1]], MIXED_LIST),
        ([[[1, None]]], "there is null in its list, which cannot be declared yet"),
        ([[[]]], "its list is empty in every sample"),
        ([[1, "a"]], MIXED_LIST),
        ([[1, {"a": 1}, None]], "there is null in its list, which cannot be declared yet"),
        ([[1, None]], "there is null in its list, which cannot be declared yet"),
        ([[{"a": 1}, None]], "there is null among its objects, which cannot be declared yet"),
        ([None], "it is null in every sample"),
        ([[]], "its list is empty in every sample"),
        ([{}], "there is nothing in it to declare"),
        ([[{}]], "there is nothing in its objects to declare"),
        (["", " "], "its text is blank in every sample"),
        ([["", " "]], "its text is blank in every sample"),
    ],
)
def test_what_cannot_be_declared_is_left_out_and_named(values: list[Any], told: str) -> None:
    planner, text = planned([{"x": 1, "m": value} for value in values])
    assert [(one.pointer, one.why) for one in planner.left_out] == [("/m", told)]
    assert "ada@example.com" not in text
    for value in values:
        declaration.load("things", text).masker(KEYSET)(json.dumps({"x": 1, "m": value}))


OBJECT_OR_LIST, OBJECT_OR_TEXT = (f"is sometimes an object, sometimes a {other}" for other in ("list", "text"))
CARD, BANK = {"type": "card", "last4": "4242", "country": "DE"}, {"type": "bank", "iban": "GB33", "country": "GB"}
GIFT, WARE = {"kind": "gift", "to": "ada@example.com", "of": "a"}, {"kind": "ware", "sku": "s", "of": ["a"]}


@pytest.mark.parametrize(
    ("values", "declared", "mark"),
    [
        (
            [1, "a"],
            'Annotated[str | int, ByType(Text(max=32), (Integer(), Keep("x_number")))]',
            "is sometimes a text, ",
        ),
        ([True, "a", None], "str | bool | None, ByType(", "is sometimes a text, sometimes a boolean"),
        (
            [{"email": "ada@example.com"}, "Ada Lovelace"],
            "Annotated[X | str, ByType(X, (Text(max=64), Redact()))]",
            "is sometimes an object, sometimes a text; free text",
        ),
        ([{"a": 1}, [1]], "Annotated[X | list[int], ByType(X, Each(Integer()))]", OBJECT_OR_LIST),
        ([[{"a": 1}], {"a": 1}], "ByType(", OBJECT_OR_LIST),
        ([[{"a": 1}, "a"]], "Annotated[list[X | str], ByType(X, Text(max=32))]", OBJECT_OR_TEXT),
        ([[{"x": 1}, "a"]], 'list[X | str], ByType(X, (Text(max=32), Keep("x_text")))]', OBJECT_OR_TEXT),
        (
            [CARD, BANK] * 2,
            'Annotated[CardX | BankX, Tagged("type", {"card": CardX, "bank": BankX})]',
            "does its type decide which fields it has?",
        ),
        ([CARD, BANK, None] * 2, 'CardX | BankX | None, Tagged("type"', "does its type decide which fields it has?"),
        (
            [[GIFT, WARE], [GIFT, WARE]],
            'Annotated[list[GiftX | WareX], Tagged("kind", {"gift": GiftX, "ware": WareX})]',
            "does its kind decide which fields it has?",
        ),
    ],
)
def test_a_value_of_several_shapes_is_a_union_to_be_confirmed(values: list[Any], declared: str, mark: str) -> None:
    records = [{"x": value} for value in values]
    planner, text = planned(records)
    assert planner.left_out == []
    joined = re.sub(r",? ([\])])", r"\1", re.sub(r"([\[(]) ", r"\1", " ".join(text.split())))
    assert declared in joined
    assert f"# confirm: {mark}" in joined
    stream = declaration.load("things", text)
    for record in records:
        stream.masker(KEYSET)(json.dumps(record))


def test_what_is_kept_in_several_cases_is_in_one_column_and_what_is_masked_is_not() -> None:
    _, text = planned([{"x": value} for value in [CARD, BANK] * 2])
    stream = declaration.load("things", text)
    assert [column for column, _ in stream.columns()] == ["x_type", "x_last4", "x_country", "x_iban"]
    _, text = planned([{"x": [GIFT, WARE, WARE, GIFT]}])
    members = [entry.column for entry in description.entries(declaration.load("things", text))][:6]
    assert members == ["x[*].kind", "x[*].to", "x[*].of", "x[*].kind", "x[*].sku", "x[*].of_2"]


def test_what_only_one_kind_of_records_has_is_in_a_case_to_be_confirmed() -> None:
    planner, text = planned(calls(), "userId")
    assert planner.left_out == []
    assert (
        """
    details: Annotated[
        Track | Identify,
        Tagged("type", {"track": Track, "identify": Identify}, inline=True),
    ]  # confirm: does its type decide which fields a record has?
"""
        in text
    )
    assert 'class Track(Part):\n    """What only records with the type `track` have."""\n' in text
    assert declaration.load("things", text).columns() == (
        ("type", "/type"),
        ("record_message_id", "/messageId"),
        ("user_id", "/userId"),
        ("record_sent_at", "/sentAt"),
        ("ip", "/ip"),
        ("ip_network", "/ip"),
        ("event", "/event"),
        ("properties_n", "/properties/n"),
        ("traits_name", "/traits/name"),
        ("traits_email", "/traits/email"),
    )
    assert [_refusal(declaration.load("things", text), call) for call in calls()] == [""] * 6
    other = calls()[0] | {"type": "page"}
    assert _refusal(declaration.load("things", text), other) == "not_a_choice"


@pytest.mark.parametrize(
    ("records", "subject"),
    [
        (calls()[:2], "userId"),  # each once
        (calls(), "event"),  # every record needs the subject
        ([call | {"event": "x"} for call in calls() if call["type"] == "track"] + [{"type": "page"}] * 2, "userId"),
        ([*calls(), {"userId": "u"}], "userId"),  # one has none
        ([{"userId": "u", "type": kind, f"only_{kind}": own} for kind, own in (("a", {}), ("b", 1))] * 2, "userId"),
    ],
)
def test_records_are_of_no_kinds_unless_each_has_members_of_its_own(
    records: list[dict[str, Any]], subject: str
) -> None:
    planner, text = planned(records, subject)
    assert (len(planner.subject_paths), "Tagged" in text) == (1, False)
    assert {_refusal(declaration.load("things", text), record) for record in records} == {""}


@pytest.mark.parametrize(
    "values",
    [
        [CARD, BANK],  # each once
        [CARD, CARD | {"type": "debit"}] * 2,  # nothing goes along with it
        [CARD, BANK, {"last4": "1"}] * 2,  # one has none
        [{"type": str(number), f"k{number}": 1} for number in range(20)] * 2,
    ],
)
def test_a_key_that_does_not_tell_what_an_object_is_decides_nothing(values: list[Any]) -> None:
    _, text = planned([{"x": value, "y": 1} for value in values])
    assert "Tagged" not in text


def test_an_object_with_the_subject_in_it_is_in_no_case() -> None:
    cases = [CARD | {"user": "u"}, BANK | {"user": "v"}] * 2
    planner, text = planned([{"x": value} for value in cases], "x.user")
    assert (planner.subject_paths, "Tagged" in text) == ({"x.user": "x.user"}, False)


@pytest.mark.parametrize("key", ["layout", "Layout", "token_places", "columns", "shape", "table", "str", "class"])
def test_a_key_that_is_called_like_something_of_a_stream_gets_another_name(key: str) -> None:
    planner, text = planned([{key: 1}])
    assert planner.left_out == []
    declaration.load("things", text).masker(KEYSET)(json.dumps({key: 1}))


def test_a_key_that_is_a_value_is_not_told() -> None:
    planner, text = planned([{"x": 1, "y": 1, "ada@example.com": 1, "203.0.113.7": 2}])
    assert [(one.pointer, one.why) for one in planner.left_out] == [
        ("", "2 keys in it look like addresses or numbers of persons")
    ]
    assert "ada@example.com" not in text


def left_out(records: list[dict[str, Any]], *subject: str) -> list[tuple[str, str]]:
    return [(one.pointer, one.why) for one in planned(records, *subject)[0].left_out]


def test_a_key_that_nearly_all_objects_have_is_a_name_whatever_it_looks_like() -> None:
    record = {"Employee ID": "E1", "Full Name": "Ada", "NI No.": "QQ1", "2": 1, "q" * 65: 1, "x": {"sick days": 1}}
    records = [record] * 9 + [record | {"x": {}}]
    planner, text = planned(records, "Employee ID")
    assert planner.left_out == []
    assert (planner.subject_paths, 'name="NI No."' in text) == ({"Employee ID": "employee_id"}, True)
    stream = declaration.load("things", text)
    assert [column for column, _ in stream.columns()][:4] == ["employee_id", "full_name", "ni_no", "n_2"]
    assert [_refusal(stream, one) for one in records] == [""] * 10


def test_once_keys_have_blanks_others_may_have_them_too() -> None:
    records: list[dict[str, Any]] = [{"Full Name": "Ada"}] * 8 + [{"Full Name": "Ada", "Middle Name": "M"}] * 2
    assert left_out(records) == []
    assert left_out([*records, {"Full Name": "Ada", "Bob Ross": 1}]) == [
        ("", "1 key in it looks like a value, and few samples have it")
    ]


def test_a_key_that_may_be_a_value_is_counted_and_another_is_named() -> None:
    one = {"x": 1, "y": 2, "z": 3, 'the "best"': 1, "ada@example.com": 1, "1234567": 1}
    some = {"Ada Lovelace": 1, "Bob Ross": 1}
    assert left_out([one] * 9 + [one | some]) == [
        ('/the "best"', "its key has a quote, a backslash or a control character, which no field's name can have"),
        ("", "2 keys in it look like addresses or numbers of persons"),
        ("", "2 keys in it look like values, and few samples have them"),
    ]
    assert left_out([{"x": 1, "ada@example.com": 1}]) == [
        ("", "1 key in it looks like an address or a number of a person")
    ]


def test_two_samples_do_not_tell_a_name_with_blanks_but_the_subject_does() -> None:
    records = [{"x": 1, "Employee ID": "E1"}] * 2
    assert left_out(records) == [("", "1 key in it looks like a value, and few samples have it")]
    planner, _ = planned(records, "Employee ID")
    assert (planner.left_out, planner.subject_paths) == ([], {"Employee ID": "employee_id"})


def test_a_subject_may_have_a_dot_in_its_key() -> None:
    records = [{"NI No.": f"n{n}", "by": {"NI No.": f"n{n - 1}"}} for n in range(3)]
    planner, _ = planned(records, "by.NI No.")
    assert (planner.subject_paths, planner.mention_paths) == ({"by.NI No.": "by.ni_no"}, [])


def test_of_a_map_a_tree_names_the_keys_that_came_more_than_once() -> None:
    items = [{"sku": "s", "ip": "192.0.2.1"}]
    maps = [
        {"plan": "pro", "userId": "u1", "note": "x" * (n % 2), "n": [n, "x"][n % 2], "items": items, f"k{n}": 1}
        for n in range(8)
    ]
    records = [{"x": n, "event": {"properties": one | {"ada@x.de": 1}}} for n, one in enumerate(maps)]
    planner, text = planned(records)
    assert [(one.pointer, one.why) for one in planner.left_out] == [("/event/properties/**", OTHERS)]
    assert (
        text.partition("    properties: ")[2].partition("\n\n\n")[0]
        == """Annotated[
        dict[str, Any],
        Tree(
            {
                "/plan": Text(max=32),
                "/userId": (Text(max=32), Pseudonym(domain="user_id")),  # confirm: by its name a person's id
                "/note": Redact(),  # confirm: by its name free text
                "/n": Keep(),
                "/items/*/sku": Text(max=32),
                "/items/*/ip": (IpAddress(), Pseudonym()),  # confirm: looks like an IP address
            }
        ),
    ]"""
    )
    stream = declaration.load("things", text)
    columns = [column for column, _ in stream.columns()]
    assert columns == ["x", "event_properties", "event_properties_user_id", "event_properties_ip"]
    assert [_refusal(stream, record) for record in records] == [""] * 8
    plan = Planner("Thing").plan(samples.records_of(map(json.dumps, records)))
    assert [json.loads(line).keys() for line in examples.lines(stream, plan)] == [
        {"record": 0, "row": 0}.keys(),
        {"record": 0, "row": 0}.keys(),
        {"record": 0, "refused": 0}.keys(),
    ]


@pytest.mark.parametrize(("keys", "given", "is_map"), [(25, 12, True), (25, 13, False), (24, 12, False)])
def test_an_object_of_very_many_keys_is_a_map_if_most_are_missing_from_most_samples(
    keys: int, given: int, is_map: bool
) -> None:
    names = [f"{chr(97 + n)}x" for n in range(keys)]
    records = [{"x": 1, "m": dict.fromkeys(named, 1)} for named in (names, names[:given], [])]
    _, text = planned(records)
    assert ("Tree(" in text) == is_map


def test_an_object_whose_name_says_so_is_a_map_once_its_keys_vary() -> None:
    same, varying = {"a": 1, "b": 1}, {"a": 1}
    for key, others, told in (
        ("metadata", varying, [OTHERS]),
        ("properties", varying, [OTHERS]),
        ("metadata", same, []),
        ("device", varying, []),
    ):
        planner, _ = planned([{"x": 1, key: same}, {"x": 1, key: others}])
        assert [one.why for one in planner.left_out] == told


def test_the_subject_is_kept_or_a_token_of_its_domain() -> None:
    record = {"user_id": "u", "sku": "o", "buyer": {"email": "ada@example.com", "name": "Ada"}, "tags": ["x"]}
    for path, line in {
        "sku": "sku: Annotated[str, Text(max=32)]",
        "user_id": 'user_id: Annotated[str, Text(max=32), Pseudonym(domain="subject")]',
        "buyer.name": 'name: Annotated[str, Text(max=32), Pseudonym(domain="subject")]',
        "buyer.email": 'Pseudonym("buyer_email_subject", domain="subject")',
    }.items():
        planner, text = planned([record], path)
        assert [*planner.subject_paths.values()] == [path]
        assert line in " ".join(text.split())
        assert declaration.load("things", text).subject is not None
    for path in ("nothing", "buyer"):
        assert planned([record], path)[0].subject_paths == {}


def test_the_subject_may_be_the_first_of_several_fields_or_a_list() -> None:
    record = {"user_id": "u", "anonymous": {"id": "a"}, "members": ["ann", "bob"]}
    _, text = planned([record], "user_id", "anonymous.id")
    assert 'subject=("user_id", "anonymous.id")' in text
    assert declaration.load("things", text).subject is not None
    _, text = planned([record], "members")
    assert 'subject="members"' in text
    assert declaration.load("things", text).subject is not None


def test_a_field_with_a_value_of_the_subject_mentions_people_and_is_to_be_confirmed() -> None:
    first = {"user_id": "u1", "inviter": {"user_id": "u2"}, "owner_id": "o1", "cc": ["a@b.org"], "from": "c@d.org"}
    second = {"user_id": "u2", "inviter": {"user_id": "u3"}, "owner_id": "o2", "cc": [], "from": "a@b.org"}
    planner, text = planned([first, second], "user_id")
    assert planner.mention_paths == ["inviter.user_id"]
    declared = (
        'user_id: Annotated[ str | None, Text(max=32), Pseudonym(domain="subject"), ]'
        " # confirm: by its name a person's id, with values that the subject has, too"
    )
    assert declared in " ".join(text.split())
    assert 'mentions="inviter.user_id"' in text
    assert declaration.load("things", text).mentioned.paths == ("inviter.user_id",)
    planner, text = planned([first, second], "from")
    assert planner.mention_paths == ["cc"]
    assert declaration.load("things", text).mentioned.paths == ("cc",)


def test_a_field_with_values_of_a_masked_subject_is_masked_whatever_its_name() -> None:
    employees: list[dict[str, Any]] = [
        {
            "employee_id": f"E{n}",
            "reports_to": f"E{n // 2}",
            "sizes": [{"by": f"E{n}"}],
            "grade": f"G{n}" if n else "E1",
        }
        for n in range(6)
    ]
    planner, text = planned(employees, "employee_id")
    assert planner.mention_paths == ["reports_to"]
    declared = 'reports_to: Annotated[ str | None, Text(max=32), Pseudonym(domain="subject"), ]'
    mark = "# confirm: by its values a person's id"
    assert f"{declared} {mark}, with values that the subject has, too" in " ".join(text.split())
    assert f"by: Annotated[str, Text(max=32), Pseudonym()]  {mark}\n" in text
    assert "grade: Annotated[str, Text(max=32)]\n" in text
    planner, text = planned([{"sku": f"S{n}", "replaces": f"S{n // 2}"} for n in range(6)], "sku")
    assert (planner.mention_paths, "confirm" in text) == ([], False)  # the subject is in the clear itself


def test_the_author_is_asked_what_samples_do_not_tell() -> None:
    record = {"phone": "020 7946 0018", "mobile": "+447700900123", "at": "2026-01-31T12:00:00", "day": "2026-01-31"}
    zones = 'times name no zone, so they are kept as texts; if all are of one, Timestamp(zone="Europe/Berlin") makes'
    assert planned([record | {"till": "2026-01-31 12:00:00"}])[0].questions == [
        "/phone: some of its phone numbers have no country code, so they are redacted;"
        ' if all are of one country, Phone(region="GB") and Pseudonym() make tokens of them',
        f"/at: its {zones} moments of them",
        f"/till: its {zones} moments of them",
    ]


def test_what_is_nested_too_deeply_is_left_out() -> None:
    deep: dict[str, Any] = {"x": 1}
    for _ in range(400):
        deep = {"d": deep}
    planner, text = planned([{"x": 1, "deep": deep}])
    assert [one.why for one in planner.left_out] == ["it is nested too deeply"]
    assert "x: Annotated[int, Integer()]" in text


def test_a_long_line_stays_as_it_is_once_its_mark_is_deleted() -> None:
    _, text = planned([{"address_of_the_customer_in_the_shop_email": "ada@example.com", "ip": "192.0.2.1"}])
    confirmed = re.sub(" +# confirm: .*", "", text)
    assert text != confirmed == declaration.formatted(confirmed)


TEXTS = st.text(max_size=12) | st.sampled_from(
    ["ada@example.com", "203.0.113.7", "+442079460018", UUID, "2026-01-31T12:00:00Z", "12.5", "7", "two words", ""]
)
KEYS = st.sampled_from(
    [
        "id",
        "name",
        "email",
        "created_at",
        "userId",
        "total",
        "type",
        "class",
        "message_id",
        "a_b",
        "a",
        "b",
        "table",
        "str",
        "Full Name",
        "to",
        "user",
        "session",
    ]
) | st.text(min_size=1, max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
STORABLE = "nul_character lone_surrogate too_many_marks".split()


@settings(max_examples=60)
@given(st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5), min_size=1, max_size=5))
def test_every_sample_becomes_a_row(records: list[dict[str, Any]]) -> None:
    root = samples.records_of(json.dumps(record) for record in records)
    assume(not root.is_map())
    planner = Planner("Thing")
    plan = planner.plan(root)
    assume(plan.members)
    stream = declaration.load("things", declaration.source("things", plan, "plain", {}))
    reasons = [reason for record in records if (reason := _refusal(stream, record))]
    assert [reason for reason in reasons if reason not in STORABLE] == []
    assert [column for column, _ in stream.columns()] == [column.name for column in column_types.columns(stream.layout)]
    assert table_sql.create_table(stream)
    assert [json.loads(line).keys() for line in examples.lines(stream, plan)]


@settings(max_examples=40)
@given(st.dictionaries(KEYS, VALUES, max_size=3), st.lists(st.dictionaries(KEYS, VALUES), min_size=2, max_size=2))
@example({}, [{}, {"id": {"0": None, "00": None, "id": [False, ""]}}])  # a map with a blank text in its list
@example({}, [{}, {"id": [{"id": 10**21}, {"id": "a"}]}])  # an id that is a number of more digits than a bigint
def test_every_sample_becomes_a_row_of_whichever_kind(shared: dict[str, Any], own: list[dict[str, Any]]) -> None:
    a, b = [{f"{tag}_{key}": value for key, value in one.items()} for tag, one in zip("ab", own, strict=True)]
    records = [shared | a | {"kind": "a", "only_a": "x"}, shared | b | {"kind": "b", "only_b": 1}] * 2
    root = samples.records_of(map(json.dumps, [*records, {"kind": "b", "only_b": 2}]))
    assume(not root.is_map())
    plan = Planner("Thing").plan(root)
    stream = declaration.load("things", declaration.source("things", plan, "plain", {}))
    reasons = [reason for record in records if (reason := _refusal(stream, record))]
    assert [reason for reason in reasons if reason not in STORABLE] == []
    assert table_sql.create_table(stream)
    assert [json.loads(line).keys() for line in examples.lines(stream, plan)]


@settings(max_examples=40)
@given(st.dictionaries(KEYS, SCALARS, min_size=1), st.lists(st.dictionaries(KEYS, VALUES), min_size=1, max_size=4))
def test_every_sample_becomes_a_row_whatever_is_beside_its_list(
    record: dict[str, Any], around: list[dict[str, Any]]
) -> None:
    root = samples.records_of([json.dumps(record)])
    assume(not root.is_map())
    plan = Planner("Thing").plan(root, [samples.DECODER.decode(json.dumps(one)) for one in around])
    assume(plan.around)
    stream = declaration.load("things", declaration.source("things", plan, "plain", {}, Wrapping((), "batch")))
    reasons = [reason for one in around if (reason := _refusal(stream, record, json.dumps(one)))]
    assert [reason for reason in reasons if reason not in STORABLE] == []
    assert table_sql.create_table(stream)
    assert [json.loads(line).keys() for line in examples.lines(stream, plan)]


def _refusal(stream: type[Stream], record: dict[str, Any], around: str = "") -> str:
    try:
        stream.masker(KEYSET, plain)(json.dumps(record), Outside(around))
    except Rejected as rejected:
        return rejected.reason
    return ""


def test_a_date_may_be_in_a_field_of_that_name() -> None:
    records = [{"date": "2026-01-31", "born": "1990-01-31", "note": ""}, {"note": "a"}]
    _, text = planned(records)
    assert "from datetime import date as calendar_date" in text
    mask = declaration.load("things", text).masker(KEYSET)
    assert [mask(json.dumps(record)).nulled for record in records] == [(), ()]


def test_what_is_blank_in_samples_is_null_in_the_examples_of_the_stream() -> None:
    records = [{"id": "a", "tags": ["x", ""], "at": "Sat, 31 Jan 2026 12:00:00 GMT", "x": [[0.12345678901234567]]}]
    planner = Planner("Thing")
    plan = planner.plan(samples.records_of(json.dumps(record) for record in [*records, {"id": " "}]))
    stream = declaration.load("things", declaration.source("things", plan, "plain", {}))
    assert json.loads(examples.lines(stream, plan)[0])["row"] == {
        "id": "id-1",
        "tags": ["tags-1"],
        "at": "2026-01-31T12:00:00+00:00",
        "x": [[1.5]],
    }
