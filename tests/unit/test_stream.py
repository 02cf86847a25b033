"""A stream's declaration, and what becomes of a message's body: a row of masked cells, or a reason and a pointer."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import streams
from sluice.declaration.layout import Field
from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
from sluice.declaration.registry import load, load_all, names
from sluice.declaration.rules import IpAddress, Text, Version, version_number
from sluice.declaration.stream import Stream
from sluice.failures import DeclarationError, Rejected
from sluice.pseudonyms.keyset import Keyset
from streams.user_logins import UserLogin
from tests.unit.fakes import DEVICE_TOKEN, IP_TOKEN, KEYSET, LOGIN, login

TEXT = Text(max=32)
IDENTIFIER = Text(max=128)
REQUIRED = ["user_id", "device_type", "ip", "device_id", "app_version"]
ROW = (LOGIN["user_id"], "android", IP_TOKEN, DEVICE_TOKEN, "2.3.0", 2_003_000, "RU")


def with_json(field: str, value: str) -> str:
    """Return a login's body in which the field has the value as it is written in JSON."""
    return json.dumps({name: text for name, text in LOGIN.items() if name != field})[:-1] + f', "{field}": {value}}}'


def refused(body: str, keyset: Keyset) -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        UserLogin.masker(keyset)(body)
    return caught.value.reason, caught.value.pointer


# The declaration


def test_a_stream_knows_its_fields_and_columns() -> None:
    assert UserLogin.layout.fields == (
        Field("user_id", "user_id", False, IDENTIFIER, (Keep(),)),
        Field("device_type", "device_type", False, TEXT, (Keep(),)),
        Field("ip", "ip", False, IpAddress(), (Pseudonym("masked_ip", recoverable=True),)),
        Field("device_id", "device_id", False, IDENTIFIER, (Pseudonym("masked_device_id", recoverable=True),)),
        Field(
            "app_version",
            "app_version",
            False,
            Version(),
            (Keep("app_version_text"), Keep("app_version", as_=version_number)),
        ),
        Field("locale", "locale", True, TEXT, (Keep(),)),
    )
    assert (UserLogin.table, UserLogin.columns()) == (
        "user_logins",
        (
            ("user_id", "/user_id"),
            ("device_type", "/device_type"),
            ("masked_ip", "/ip"),
            ("masked_device_id", "/device_id"),
            ("app_version_text", "/app_version"),
            ("app_version", "/app_version"),
            ("locale", "/locale"),
        ),
    )


@pytest.mark.parametrize(
    "annotation",
    [
        str,
        Annotated[str, "a text"],
        Annotated[str, Keep()],
        Annotated[str, Keep(), TEXT],
        Annotated[str, TEXT, "a text"],
        Annotated[str, TEXT, TEXT],
        Annotated[str, IpAddress],
        Annotated[str, TEXT, Pseudonym],
    ],
)
def test_a_field_without_a_rule_or_with_something_else_than_masks_is_a_declaration_error(annotation: Any) -> None:
    with pytest.raises(DeclarationError) as caught:
        type("Bad", (Stream,), {"__annotations__": {"field": annotation}, "__module__": __name__}, table="bad")
    assert str(caught.value) == "Bad.field: must be Annotated[type, rule, mask, …], or a Part"


@pytest.mark.parametrize("type_", [int, str | int, list[str], None])
def test_a_field_that_is_no_text_is_a_declaration_error(type_: Any) -> None:
    with pytest.raises(DeclarationError) as caught:
        type(
            "Bad",
            (Stream,),
            {"__annotations__": {"field": Annotated[type_, TEXT]}, "__module__": __name__},
            table="bad",
        )
    assert str(caught.value) == "Bad.field: Text goes with the type str"


def test_a_stream_without_a_table_is_a_declaration_error() -> None:
    with pytest.raises(DeclarationError) as caught:
        type("Bad", (Stream,), {"__annotations__": {"field": Annotated[str, TEXT]}, "__module__": __name__})
    assert str(caught.value) == "Bad: a Stream names its table, a Part has none"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"one": [Keep("same")], "two": [Keep("same")]}, "one and two are both written to the column same"),
        ({"one": [Keep("two")], "two": []}, "one and two are both written to the column two"),
        ({"one": [Keep(), Redact()]}, "two masks of one write to the column one"),
        ({"one": [Pseudonym("message_id")]}, "one is written to the column message_id, which Sluice writes itself"),
        ({"sent_at": []}, "sent_at is written to the column sent_at, which Sluice writes itself"),
    ],
)
def test_two_fields_of_one_column_are_a_declaration_error(fields: dict[str, list[Mask]], error: str) -> None:
    annotations = {name: Annotated[str, TEXT, *masks] for name, masks in fields.items()}
    with pytest.raises(DeclarationError) as caught:
        type("Bad", (Stream,), {"__annotations__": annotations, "__module__": __name__}, table="bad")
    assert str(caught.value).startswith(f"Bad: {error}")


def test_a_field_may_have_several_masks_and_a_column_for_each(keyset: Keyset) -> None:
    class Visit(Stream, table="visits"):
        ip: Annotated[str, IpAddress(), Pseudonym("ip_token"), Truncate("network"), Redact("ip")]
        note: Annotated[str | None, TEXT, Keep(), Truncate("initial", to=1)] = None

    mask = Visit.masker(keyset)
    token = keyset.pseudonymizer("ip")("2001:db8::1")
    assert [column for column, _ in Visit.columns()] == ["ip_token", "network", "ip", "note", "initial"]
    assert mask('{"ip": "2001:DB8::1", "note": " Hi "}').cells == (token, "2001:db8::/48", None, "Hi", "H")
    assert mask('{"ip": "2001:DB8::1"}').cells == (token, "2001:db8::/48", None, None, None)


def test_a_stream_may_have_one_field(keyset: Keyset) -> None:
    class Note(Stream, table="notes"):
        note: Annotated[str, TEXT]

    assert Note.masker(keyset)('{"note": "hello"}').cells == ("hello",)


def test_a_rejection_by_a_masks_own_function_points_to_the_field(keyset: Keyset) -> None:
    class Measured(Stream, table="measured"):
        name: Annotated[str, TEXT]
        version: Annotated[str, TEXT, Keep(as_=version_number)]

    with pytest.raises(Rejected) as caught:
        Measured.masker(keyset)('{"name": "a", "version": "1.1000"}')
    assert (caught.value.reason, caught.value.pointer) == ("out_of_range", "/version")


def test_a_stream_is_loaded_by_the_name_of_its_module() -> None:
    assert load("user_logins") is UserLogin


@pytest.mark.parametrize(("declarations", "count"), [("", 0), ("class {}(Stream, table='{}'): pass\n", 2)])
def test_a_module_that_does_not_declare_one_stream_is_a_declaration_error(
    declarations: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"declares_{count}"
    source = "from sluice import Stream\n" + "".join(declarations.format(x, x) for x in ("A", "B"))
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr(streams, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, f"streams.{name}", raising=False)
    with pytest.raises(DeclarationError) as caught:
        load(name)
    assert str(caught.value) == f"{name}: must declare one stream or one route, declares {count}"


def test_a_module_whose_name_begins_with_an_underscore_is_shared_by_streams_and_declares_none(
    declare: Callable[[str, str], None],
) -> None:
    declare("_shared", "from sluice import Text\n\nNAME = Text(max=9)\n")
    source = "from typing import Annotated\nfrom sluice import Stream\nfrom streams._shared import NAME\n"
    declare("visits", f"{source}class Visit(Stream, table='all_visits'):\n    name: Annotated[str, NAME]\n")
    assert names() == ["visits"]
    (visit,) = load_all()
    assert (visit.stream_name, visit.table, visit.columns()) == ("visits", "all_visits", (("name", "/name"),))


# Bodies that become rows


@pytest.mark.parametrize(
    ("body", "row"),
    [
        (login(), ROW),
        (login(locale=None), (*ROW[:-1], None)),
        (json.dumps({name: value for name, value in LOGIN.items() if name != "locale"}), (*ROW[:-1], None)),
        (json.dumps(dict(reversed(LOGIN.items())), indent=2), ROW),
        (login(user_id=" 1 ", device_type="ios"), ("1", "ios", *ROW[2:])),
        (login(ip="::ffff:199.172.111.135", device_id="593-47-5928 "), ROW),
        (login(user_id="u" * 128, locale="l" * 32), ("u" * 128, *ROW[1:-1], "l" * 32)),
        (login(app_version="2147.483.647"), (*ROW[:4], "2147.483.647", 2**31 - 1, "RU")),
        (with_json("user_id", '"\\ud83d\\ude00"'), ("😀", *ROW[1:])),
        (with_json("\\u0069p", '"199.172.111.135"').replace('"ip": "199.172.111.135", ', ""), ROW),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_a_valid_body_becomes_a_row(body: str, row: tuple[object, ...], keyset: Keyset) -> None:
    assert UserLogin.masker(keyset)(body).cells == row


@pytest.mark.parametrize(
    "value",
    ["null", "1e400", "9" * 5_000, '"\\u0000"', '{"ip": "bad"}', "[" * 500 + "]" * 500, f'"{"x" * 256 * 1024}"'],
    ids=lambda value: value[:20],
)
def test_fields_that_are_not_declared_are_skipped_whatever_they_hold(value: str, keyset: Keyset) -> None:
    assert UserLogin.masker(keyset)(with_json("undeclared", value)).cells == ROW


def test_of_two_members_with_one_name_the_last_counts(keyset: Keyset) -> None:
    mask = UserLogin.masker(keyset)
    assert mask(with_json("ip", '"bad", "ip": "199.172.111.135"')).cells == ROW
    assert mask(with_json("locale", 'null, "locale": "RU"')).cells == ROW
    assert refused(with_json("ip", '"199.172.111.135", "ip": "bad"'), keyset) == ("not_an_ip_address", "/ip")
    assert refused(with_json("ip", '"199.172.111.135", "ip": null'), keyset) == ("null", "/ip")


def test_a_member_of_the_wrong_type_is_rejected_even_where_a_later_one_would_count(keyset: Keyset) -> None:
    assert refused(with_json("ip", '1, "ip": "199.172.111.135"'), keyset) == ("wrong_type", "/ip")


def test_a_pseudonym_is_the_same_in_every_record_and_another_for_another_value(keyset: Keyset) -> None:
    mask = UserLogin.masker(keyset)
    once, again, other = (
        mask(login(user_id=str(n), device_id=device)).cells for n, device in enumerate(["a", "a", "b"])
    )
    assert (once[3] == again[3], once[3] == other[3]) == (True, False)


# Bodies that are rejected


@pytest.mark.parametrize("field", REQUIRED)
def test_a_field_that_is_missing_or_null_is_rejected(field: str, keyset: Keyset) -> None:
    missing = json.dumps({name: value for name, value in LOGIN.items() if name != field})
    assert refused(missing, keyset) == ("missing", f"/{field}")
    assert refused(login(**{field: None}), keyset) == ("null", f"/{field}")


@pytest.mark.parametrize("field", [*REQUIRED, "locale"])
@pytest.mark.parametrize(
    "value",
    ["1", "1.5", "1e400", "-1e400", "9" * 5_000, "true", "[]", '["a"]', "{}", "[" * 100_000],
    ids=lambda v: v[:9],
)
def test_a_field_that_is_no_text_is_rejected(field: str, value: str, keyset: Keyset) -> None:
    assert refused(with_json(field, value), keyset) == ("wrong_type", f"/{field}")


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("empty", {"user_id": ""}),
        ("empty", {"device_type": "  "}),
        ("empty", {"device_id": "\t\r\n"}),
        ("empty", {"locale": ""}),
        ("not_an_ip_address", {"ip": ""}),
        ("not_a_version", {"app_version": ""}),
        ("too_long", {"user_id": "u" * 129}),
        ("too_long", {"user_id": "u" * 256 * 1024}),
        ("too_long", {"device_type": "d" * 33}),
        ("too_long", {"device_id": "d" * 129}),
        ("too_long", {"locale": "l" * 33}),
        ("too_long", {"app_version": "1" * 33}),
        ("nul_character", {"user_id": "\0"}),
        ("nul_character", {"device_type": "ios\0"}),
        ("nul_character", {"device_id": "593\x0047"}),
        ("nul_character", {"locale": "\0RU"}),
        ("not_an_ip_address", {"ip": "199.172.111.135\0"}),
        ("not_a_version", {"app_version": "2.3\0"}),
        ("not_an_ip_address", {"ip": "199.172.111.256"}),
        ("scoped_ip_address", {"ip": "fe80::1%eth0"}),
        ("not_a_version", {"app_version": "2.3.0.1"}),
        ("out_of_range", {"app_version": "2.1000"}),
        ("out_of_range", {"app_version": "2147.483.648"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_value_is_rejected_with_its_reason_and_its_field(
    reason: str, changes: dict[str, str], keyset: Keyset
) -> None:
    assert refused(login(**changes), keyset) == (reason, f"/{next(iter(changes))}")


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "hello",
        "NaN",
        "{",
        login()[:-1],
        login() + "x",
        login() + login(),
        login().replace('"', "'"),
        with_json("user_id", '"\x01"'),
        with_json("user_id", '"\\q"'),
        with_json("user_id", '"\\ud800"'),
        with_json("user_id", '"\\udc00\\ud800"'),
        with_json("undeclared", '"\\ud800"'),
        with_json("undeclared\\ud800", "1"),
        login(user_id="me").replace("me", "\ud800"),
    ],
)
def test_what_is_not_json_is_rejected_lone_surrogates_included(body: str, keyset: Keyset) -> None:
    assert refused(body, keyset) == ("not_json", "")


@pytest.mark.parametrize("body", ["null", "true", "1", "1e400", '"text"', "[]", f"[{login()}]", "[" * 100_000])
def test_json_that_is_no_object_is_rejected(body: str, keyset: Keyset) -> None:
    assert refused(body, keyset) == ("not_an_object", "")


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_body_that_is_nested_too_deeply_is_rejected(opening: str, keyset: Keyset) -> None:
    assert refused(with_json("undeclared", opening * 100_000), keyset) == ("nested_too_deeply", "")


def test_the_first_of_two_bad_fields_as_the_record_has_them_is_named(keyset: Keyset) -> None:
    assert refused('{"device_id": 1, "user_id": 2}', keyset) == ("wrong_type", "/device_id")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


_names = st.sampled_from([*LOGIN, "other", "a/b", "ip.x", "ip[...]", "$", "`", "- at `$.ip`"])


@given(st.dictionaries(_names, _json | st.sampled_from(list(LOGIN.values()))))
def test_a_pointer_and_a_shape_name_declared_fields_alone(record: dict[str, object]) -> None:
    body = json.dumps(record)
    pointer = ""
    try:
        UserLogin.masker(Keyset.parse(KEYSET))(body)
    except Rejected as rejected:
        pointer = rejected.pointer
    assert pointer in ("", *(f"/{name}" for name in LOGIN))
    fields = UserLogin.shape(body).get("fields", {})
    assert isinstance(fields, dict)
    assert set(fields) <= set(LOGIN)


# The shape of what was rejected


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("", {"bytes": 0}),
        ("é😀", {"bytes": 6}),
        ("\ud800", {"bytes": 3}),
        ("{", {"bytes": 1}),
        ("[" * 100_000, {"bytes": 100_000}),
        ("null", {"bytes": 4, "type": "null"}),
        ("true", {"bytes": 4, "type": "boolean"}),
        ("-1", {"bytes": 2, "type": "number"}),
        ("1.5", {"bytes": 3, "type": "number"}),
        ('"text"', {"bytes": 6, "type": "string"}),
        ('[{"ip": 1}]', {"bytes": 11, "type": "array"}),
        ("{}", {"bytes": 2, "fields": {}, "other_fields": 0}),
        ('{"foo": "oops", "bar": "123"}', {"bytes": 29, "fields": {}, "other_fields": 2}),
        (
            '{"user_id": 1, "device_type": [1], "ip": {"a": 1}, "locale": null, "app_version": true, "a@example": 1}',
            {
                "bytes": 103,
                "fields": {
                    "user_id": "number",
                    "device_type": "array",
                    "ip": "object",
                    "locale": "null",
                    "app_version": "boolean",
                },
                "other_fields": 1,
            },
        ),
        ('{"ip": 1, "ip": "x"}', {"bytes": 20, "fields": {"ip": "string"}, "other_fields": 0}),
    ],
    ids=lambda value: str(value)[:30].encode(errors="replace").decode(),
)
def test_a_shape_tells_types_and_counts_and_no_value(body: str, shape: dict[str, object]) -> None:
    assert UserLogin.shape(body) == shape
