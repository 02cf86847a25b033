"""Personal data inside of texts: what is found there, what stands in its place, and what does not compile."""

import json
import re
from itertools import pairwise
from typing import Annotated, Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.declaration import canonical
from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
from sluice.declaration.personal import TextPlace, TokenPlace
from sluice.declaration.rules import (
    Boolean,
    Card,
    CaseFolded,
    Custom,
    Each,
    Email,
    Iban,
    IpAddress,
    Phone,
    Rule,
    Text,
    Timestamp,
    Uuid,
)
from sluice.declaration.scrub import Find, Scrub
from sluice.declaration.search import Search
from sluice.declaration.stream import Part, Stream
from sluice.failures import DeclarationError, Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.unit.kinds import declare, field, mask_body

ADA, BOB = "ada@example.com", "bob@example.com"
EVERYTHING = [(rule, None) for rule in (Email(), IpAddress(), Phone(region="GB"), Card(), Iban(), Uuid())]
UUID = "550e8400-e29b-41d4-a716-446655440000"


def found(text: str, *wanted: tuple[Rule, str | None]) -> list[tuple[str, Any]]:
    """Return what is found in a text: as it stands there, and its canonical value."""
    return [(text[hit.start : hit.end], hit.value) for hit in Search(wanted or EVERYTHING).hits(text)]


@pytest.mark.parametrize(
    ("text", "spelled", "value"),
    [
        ("550 <person@example.com>... User unknown", "person@example.com", "person@example.com"),
        ("Signed-off-by: Ann Person <ann@Example.COM>", "ann@Example.COM", "ann@example.com"),
        ("mail ann@example.com.", "ann@example.com", "ann@example.com"),
        ("'ann@example.com', \"x\"", "ann@example.com", "ann@example.com"),
        ("to o'neil@example.com", "o'neil@example.com", "o'neil@example.com"),
        ("mailto:ann@example.com?subject=x", "ann@example.com", "ann@example.com"),
        ("from=ann@example.com", "ann@example.com", "ann@example.com"),
        ("ann@example.com.1", "ann@example.com", "ann@example.com"),
        ("100%ann@example.com", "ann@example.com", "ann@example.com"),
        ("root@db1", "root@db1", "root@db1"),
        ("ann@bücher.example!", "ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("请联系ann@example.com谢谢", "ann@example.com", "ann@example.com"),
        ("用户1@例え.jp", "用户1@例え.jp", "用户1@xn--r8jz45g.jp"),
        ("?email=person%40example.com&x=1", "person%40example.com", "person@example.com"),
        ("to=a%2Bb%2540example.com%26z", "a%2Bb%2540example.com", "a+b@example.com"),
        ("m=j%C3%B6rg%40example.com", "j%C3%B6rg%40example.com", "jörg@example.com"),
        ("bounce+ann=example.com@x.example", "bounce+ann=example.com@x.example", "bounce+ann=example.com@x.example"),
        ("(203.0.113.7)", "203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:443", "203.0.113.7", "203.0.113.7"),
        ("from 203.0.113.7.", "203.0.113.7", "203.0.113.7"),
        ("[2001:DB8::1]:443", "2001:DB8::1", "2001:db8::1"),
        ("at 2001:db8::1.", "2001:db8::1", "2001:db8::1"),
        ("ip:2001:db8::1: refused", "2001:db8::1", "2001:db8::1"),
        ("ip_2001:db8::1_", "2001:db8::1", "2001:db8::1"),
        ("ip%3D2001%3Adb8%3A%3A1%20", "2001%3Adb8%3A%3A1", "2001:db8::1"),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.7", "203.0.113.7"),
        ("peer fe80::1 left", "fe80::1", "fe80::1"),
        ("at ::1, port 1", "::1", "::1"),
        ("at :2001:db8::1", "2001:db8::1", "2001:db8::1"),
        ("net 2001:db8::.", "2001:db8::", "2001:db8::"),
        ("call (020) 7946 0018 now", "(020) 7946 0018", "+442079460018"),
        ("(020 7946 0018)", "020 7946 0018", "+442079460018"),
        ("+44 20 7946 0018 ext. 5", "+44 20 7946 0018 ext. 5", "+442079460018;ext=5"),
        ("tel:+442079460018;ext=5", "+442079460018;ext=5", "+442079460018;ext=5"),
        ("phone=%2B442079460018", "%2B442079460018", "+442079460018"),
        ("room 12, 020 7946 0018", "020 7946 0018", "+442079460018"),
        ("02 07 94 60 01 8", "02 07 94 60 01 8", "+442079460018"),
        ("card 4111 1111 1111 1111 exp 12/28", "4111 1111 1111 1111", "4111111111111111"),
        ("order 12345 4111-1111-1111-1111", "4111-1111-1111-1111", "4111111111111111"),
        ("4111111111111111 123", "4111111111111111", "4111111111111111"),
        ("4111 1111 1111 1111 27", "4111 1111 1111 1111", "4111111111111111"),
        ("5000 0000 0009 77 exp", "5000 0000 0009", "500000000009"),
        ("41 11 11 11 11 11 1111", "41 11 11 11 11 11 1111", "4111111111111111"),
        ("IBAN gb33 BUKB 2020 1555 5555 55 thanks", "gb33 BUKB 2020 1555 5555 55", "GB33BUKB20201555555555"),
        ("NO9386011117947.", "NO9386011117947", "NO9386011117947"),
        (f"id{UUID.upper()}", UUID.upper(), UUID),
        (f"({UUID.replace('-', '')})", UUID.replace("-", ""), UUID),
    ],
)
def test_a_value_is_found_however_it_stands_in_a_text(text: str, spelled: str, value: str) -> None:
    assert found(text) == [(spelled, value)]
    assert found(f"{text}\n{text}") == [(spelled, value)] * 2


@pytest.mark.parametrize(
    "text",
    [
        "std::vector, a :: b, 12:30:45, 00:1b:44:11:3a:b7",
        "npm i react@1.2.3, @ann, ann@, ann @ example.com",
        "2026-01-31 12:30, 31.01.2026, 1.2.3.4.5, 256.1.1.1",
        "4111 1111 1111 1112, 1234567890123, 41 11 11 11 11 11 11 11",
        "A02079460018, x020 7946 0018, 020 7946 0018x, 0 2 0 7 9 4 6 0 0 1 8",
        "GB33BUKB20201555555556, XX33BUKB20201555555555",
        "550e8400-e29b-41d4-a716, 100 %, %zz, 50%40",
        "",
    ],
)
def test_what_the_rule_refuses_stays(text: str) -> None:
    assert found(text) == []


def test_without_a_region_only_a_number_with_its_country_is_a_phone_number() -> None:
    text = "020 7946 0018, +44 20 7946 0018"
    assert found(text, (Phone(), None)) == [("+44 20 7946 0018", "+442079460018")]


@pytest.mark.parametrize("number", ["+44 20 7946 0018", "\uff0b44 20 7946 0018"])
def test_a_plus_may_be_one_of_full_width(number: str) -> None:
    assert found(f"call {number}", (Phone(), None)) == [(number, "+442079460018")]


def test_a_date_is_no_phone_number_even_where_its_digits_would_be_one() -> None:
    dates = "2020-01-31, 2026-01-31 0800, 31.01.2020 030 123456, 192.0.2.100 030 123457"
    numbers = [("030 123456", "+4930123456"), ("030 123457", "+4930123457")]
    assert found(dates, (Phone(region="DE"), None)) == numbers


def test_of_two_that_overlap_the_left_one_counts_then_the_longer_then_the_first() -> None:
    left, longer = (Custom(max=99, form=str), "b.d"), (Custom(max=99, form=str), "a.")
    assert found("abcd", left, longer) == [("ab", "ab")]
    assert found("abcd", (Custom(max=9, form=str), "ab"), (Custom(max=9, form=str), "abc")) == [("abc", "abc")]
    (hit,) = Search([(Text(max=9), "ab"), (CaseFolded(max=9), "ab")]).hits("ab")
    assert hit.finder == 0


def test_what_a_hit_that_does_not_count_has_hidden_is_found() -> None:
    wide, narrow = (Custom(max=99, form=str), r"b\S+ \S+"), (Custom(max=99, form=str), "ab")
    assert found(f"ab {ADA}", (Email(), None), wide, narrow) == [("ab", "ab"), (ADA, ADA)]


def test_a_pattern_of_ones_own_tells_where_a_value_may_stand_and_its_group_is_the_value() -> None:
    order = Custom(max=9, form=str.upper)
    assert found("order=a-17 and a-18, b-19", (order, r"a-\d+")) == [("a-17", "A-17"), ("a-18", "A-18")]
    assert found("order=a-17 é=b-1 a-18", (order, r"(?:order|é)=(\S+)")) == [("a-17", "A-17"), ("b-1", "B-1")]
    moment = "2026-01-31T23:59:59Z"
    assert [spelled for spelled, _ in found(f"at {moment} or 9Z", (Timestamp(), r"\S+Z"))] == [moment]


def test_a_pattern_that_would_hang_other_engines_is_done_at_once() -> None:
    assert found("a" * 50_000 + "!", (Text(max=9), r"(a+)+$")) == []
    assert found("a" * 50_000 + "!", (Text(max=9), r"(?:a|aa)+b")) == []


@pytest.mark.parametrize(
    "piece",
    ["@", "a", "a@", "a.", "1", "1 ", "12 34 5", "1.", "a:", "f", "f-", "%41", "%25", "GB33 ", "4 ", "+1 ", "(", "a=+"],
)
def test_no_text_makes_it_slow(piece: str) -> None:
    """What takes the square of the length, or worse, would not come to its end here."""
    assert isinstance(found(piece * (20_000 // len(piece)) + " @"), list)


# ---------------------------------------------------------------------------------------------------------------------

FINDS = (
    Find(Email(), Pseudonym(domain="email", recoverable=True)),
    Find(IpAddress(), Redact(constant="[ip]")),
    Find(Phone(region="GB"), Pseudonym("numbers", domain="phone")),
    Find(Card(), Truncate(to=6)),
    Find(Iban(), Redact()),
)
SCRUB = Scrub(*FINDS)


class Reply(Part):
    """An answer in a list."""

    text: Annotated[str, Text(max=2000), SCRUB]


class Mail(Stream, table="mails"):
    """Texts in all places."""

    subject_line: Annotated[str | None, CaseFolded(max=2000), Scrub(*FINDS[:1], column="line")] = None
    body: Annotated[str, Text(max=2000), SCRUB]
    lines: Annotated[list[str], Each(Text(max=200)), Scrub(*FINDS[:1])] = []  # noqa: RUF012 (msgspec copies it)
    sender: Annotated[str | None, Email(), Pseudonym(domain="email")] = None
    replies: list[Reply] = []  # noqa: RUF012


def row(keyset: Keyset, **record: Any) -> dict[str, Any]:
    masked = mask_body(Mail, json.dumps({"body": "x"} | record), keyset)
    return dict(zip([name for name, _ in Mail.columns()], masked, strict=True))


def test_each_value_gives_way_to_what_its_mask_makes_of_it(keyset: Keyset) -> None:
    token, number = keyset.pseudonymizer("email")(ADA), keyset.pseudonymizer("phone")("+442079460018")
    body = f"{ADA} from 203.0.113.7: 020 7946 0018, 4111 1111 1111 1111; GB33BUKB20201555555555 {ADA}!"
    assert row(keyset, body=body, sender=ADA) == {
        "line": None,
        "subject_line_email": None,
        "body": f"{token} from [ip]: {number}, 411111;  {token}!",
        "body_email": f'{{"{token}"}}',
        "numbers": f'{{"{number}"}}',
        "lines": "{}",
        "lines_email": "{}",
        "sender": token,
        "replies": [],
    }


def test_a_text_with_nothing_in_it_is_kept_and_its_arrays_are_empty(keyset: Keyset) -> None:
    masked = row(keyset, subject_line="HELLO", body="nobody's", replies=[{"text": "no"}])
    assert (masked["line"], masked["subject_line_email"]) == ("hello", "{}")
    assert (masked["body"], masked["body_email"], masked["numbers"]) == ("nobody's", "{}", "{}")
    assert masked["replies"] == [{"text": "no", "text_email": [], "numbers": []}]


def test_lists_of_texts_and_of_objects_have_the_tokens_of_their_own(keyset: Keyset) -> None:
    ada, bob = map(keyset.pseudonymizer("email"), (ADA, BOB))
    masked = row(keyset, lines=[ADA, "x", f"{BOB} {ADA}"], replies=[{"text": ADA}, {"text": f"{BOB}, {BOB}"}])
    assert masked["lines"] == f'{{"{ada}","x","{bob} {ada}"}}'
    assert masked["lines_email"] == f'{{"{ada}","{bob}"}}'
    assert masked["replies"] == [
        {"text": ada, "text_email": [ada], "numbers": []},
        {"text": f"{bob}, {bob}", "text_email": [bob], "numbers": []},
    ]


def test_what_can_be_recovered_goes_to_the_vault(keyset: Keyset) -> None:
    masked = Mail.masker(keyset)(json.dumps({"body": f"<{ADA}> 020 7946 0018"}))
    assert [(one.domain, one.token, one.value) for one in masked.originals.values] == [
        ("email", keyset.pseudonymizer("email")(ADA), ADA)
    ]


def test_the_text_may_grow_beyond_its_rules_max(keyset: Keyset) -> None:
    stream = declare(Stream, {"field": field(Text(max=20), Scrub(*FINDS[:1]))}, table="declared")
    (text, _) = mask_body(stream, '{"field": "ada@example.com"}', keyset)
    assert len(text) == len("t1_") + 43


def test_two_arrays_of_one_domain_hold_what_was_found_for_each(keyset: Keyset) -> None:
    finds = (
        Find(Email(), Pseudonym("a", domain="id")),
        Find(Uuid(), Pseudonym("b", domain="id")),
        Find(Phone(), Pseudonym("a", domain="id")),
    )
    stream = declare(Stream, {"field": field(Text(max=99), Scrub(*finds))}, table="declared")
    _, a, b = mask_body(stream, json.dumps({"field": f"{UUID} {ADA} +442079460018"}), keyset)
    token = keyset.pseudonymizer("id")
    assert (a, b) == (f'{{"{token(ADA)}","{token("+442079460018")}"}}', f'{{"{token(UUID)}"}}')


def test_a_rule_of_ones_own_that_makes_a_text_can_be_scrubbed_and_found(keyset: Keyset) -> None:
    class Lower(Rule):
        def canonical(self, value: str, /) -> str:
            if value == "no":
                raise Rejected("no")
            return value.lower()

    found_here = Find(Lower(), Pseudonym(domain="word"), pattern=r"\bno\b|\bN\w+")
    stream = declare(Stream, {"field": field(Lower(), Scrub(Find(Email(), Redact())))}, table="declared")
    assert mask_body(stream, '{"field": "A ADA@example.com"}', keyset) == ["a "]
    stream = declare(Stream, {"field": field(Text(max=99), Scrub(found_here))}, table="declared")
    token = keyset.pseudonymizer("word")("name")
    assert mask_body(stream, '{"field": "no Name"}', keyset) == [f"no {token}", f'{{"{token}"}}']


def test_code_of_ones_own_that_fails_or_makes_no_text_leaves_nothing_of_the_value() -> None:
    class Odd(Rule):
        def canonical(self, value: str, /) -> str:
            if "fail" in value:
                raise ValueError(value)
            return f"{value}\0" if "nul" in value else value

    found_here = Scrub(Find(Odd(), Redact(), pattern=r"\bf\w+"))
    keyset = Keyset({1: "1" * 64}, 1)
    for rule, mask, value, reason in (
        (Text(max=99), found_here, "it fails", "internal_error"),
        (Odd(), SCRUB, "fail", "internal_error"),
        (Odd(), SCRUB, "a nul", "nul_character"),
    ):
        stream = declare(Stream, {"field": field(rule, mask)}, table="declared")
        with pytest.raises(Rejected) as caught:
            mask_body(stream, json.dumps({"field": value}), keyset)
        assert (caught.value.reason, caught.value.pointer, caught.value.__cause__) == (reason, "/field", None)
        assert value not in str(caught.value)


def test_places_of_tokens_and_of_texts_with_tokens_are_known() -> None:
    assert Mail.token_places == (
        TokenPlace("subject_line_email", (), "email", recoverable=True, is_array=True),
        TokenPlace("body_email", (), "email", recoverable=True, is_array=True),
        TokenPlace("numbers", (), "phone", recoverable=False, is_array=True),
        TokenPlace("lines_email", (), "email", recoverable=True, is_array=True),
        TokenPlace("sender", (), "email", recoverable=False, is_array=False),
        TokenPlace("replies", ("text_email",), "email", recoverable=True, is_array=False, is_json=True),
        TokenPlace("replies", ("numbers",), "phone", recoverable=False, is_array=False, is_json=True),
    )
    assert Mail.text_places == (
        TextPlace("line", (), is_json=False),
        TextPlace("body", (), is_json=False),
        TextPlace("lines", (), is_json=False),
        TextPlace("replies", ("text",), is_json=True),
    )


def test_only_those_tokens_are_replaced_in_a_text() -> None:
    old, alike, new = "t1_" + "a" * 43, "t1_" + "b" * 43, "t2_" + "c" * 43
    place = TextPlace("replies", ("text",), is_json=True)
    value = [{"text": f"{old}{old} {alike}"}, {"text": None}, {"text": [old]}, {}]
    assert place.replace(value, {old: new}) == [{"text": f"{new}{new} {alike}"}, {"text": None}, {"text": [new]}, {}]
    assert TextPlace("tree", (), is_json=True).replace({"a": [{"b": old}, 1]}, {old: new}) == {"a": [{"b": new}, 1]}
    assert place.replace(value, {}) == value


@pytest.mark.parametrize(
    ("rule", "mask", "said"),
    [
        (Text(max=9), Scrub(), "Scrub needs what to find"),
        (Text(max=9), Scrub(Email()), "Scrub needs what to find"),  # type: ignore[arg-type]
        (Email(), SCRUB, "Scrub goes with a text, and Email is none"),
        (Each(Uuid()), SCRUB, "Scrub goes with a text, and Uuid is none"),
        (Timestamp(), SCRUB, "Scrub goes with a text, and Timestamp is none"),
        (Text(max=9), Scrub(Find(Email(), Keep())), "Find goes with Pseudonym, Redact or Truncate"),
        (Text(max=9), Scrub(Find(Email, Redact())), "Find needs a rule and a mask"),  # type: ignore[arg-type]
        (
            Text(max=9),
            Scrub(Find(Email(), Pseudonym())),
            'Find(Email) needs a domain for its tokens: Pseudonym(domain="…")',
        ),
        (
            Text(max=9),
            Scrub(Find(Email(), Redact("x"))),
            'Find(Email) has no column for its Redact (Redact(constant="…")',
        ),
        (Text(max=9), Scrub(Find(Email(), Truncate("x"))), "Find(Email) has no column for its Truncate"),
        (Text(max=9), Scrub(Find(Uuid(), Truncate(to=1))), "Uuid has no shorter form"),
        (Text(max=9), Scrub(Find(Phone(region="XX"), Redact())), "Phone knows no region XX"),
        (Text(max=9), Scrub(Find(Text(max=9), Redact())), "Find does not know where a value of Text may stand; say it"),
        (Text(max=9), Scrub(Find(Text(max=9), Redact(), "(")), "Find has a pattern that RE2 does not take"),
        (Text(max=9), Scrub(Find(Text(max=9), Redact(), "(?=a)")), "Find has a pattern that RE2 does not take"),
        (Text(max=9), Scrub(Find(Text(max=9), Redact(), "(a)(b)")), "Find has a pattern with several groups"),
        (Text(max=9), Scrub(Find(Text(max=9), Redact(), "a*")), "Find has a pattern that an empty text matches"),
        (Text(max=9), Scrub(Find(Each(Email()), Redact())), "Each takes no text, so Find finds none in one"),
        (Text(max=9), Scrub(Find(Boolean(), Redact(), "true")), "Boolean takes no text, so Find finds none in one"),
    ],
)
def test_what_cannot_be_is_told_when_it_is_declared(rule: Rule, mask: Mask, said: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(said)):
        declare(Stream, {"field": field(rule, mask)}, table="declared")


def test_two_scrubs_of_a_field_need_columns_of_their_own(keyset: Keyset) -> None:
    two = {"field": field(Text(max=99), Scrub(Find(Email(), Redact())), Scrub(*FINDS[:1], column="linked"))}
    stream = declare(Stream, two, table="declared")
    token = keyset.pseudonymizer("email")(ADA)
    assert mask_body(stream, json.dumps({"field": f"<{ADA}>"}), keyset) == ["<>", f"<{token}>", f'{{"{token}"}}']
    with pytest.raises(DeclarationError, match="two masks of field write to the column field_email"):
        declare(Stream, {"field": field(Text(max=9), Scrub(*FINDS[:1]), Scrub(*FINDS[:1], column="b"))}, table="d")


# ---------------------------------------------------------------------------------------------------------------------

PROSE = st.text(st.sampled_from("abc kyzäé.,;!?<>()[]\"'\n谢"), max_size=20)
NAMES = st.text(st.sampled_from("abcdefghijkmnopq"), min_size=3, max_size=12)
NUMBERS = st.integers(0, 999)
DOMAINS: dict[str, st.SearchStrategy[tuple[str, str]]] = {  # values as they may be spelled, and canonical
    "email": st.builds("{}@{}.example".format, NAMES, NAMES).map(lambda value: (value, value)),
    "ip": st.one_of(
        st.ip_addresses(v=4).map(str).map(lambda value: (value, value)),
        st.ip_addresses(v=6, network="2001:db8::/32").map(lambda value: (value.exploded.upper(), str(value))),
    ),
    "phone": NUMBERS.map(lambda number: (f"+44 (20) 7946-0{number:03}", f"+442079460{number:03}")),
    "card": st.sampled_from([("4111 1111 1111 1111", "4111111111111111"), ("5555555555554444", "5555555555554444")]),
    "iban": st.just(("gb33 BUKB 2020 1555 5555 55", "GB33BUKB20201555555555")),
    "uuid": st.uuids(version=4).map(lambda value: (str(value).upper(), str(value))),
}
SPELLINGS = st.sampled_from(["{}", "<{}>", "({})", "{}.", "={}&", "'{}'", '"{}",', "[{}]"])
VALUES = st.sampled_from([*DOMAINS]).flatmap(lambda domain: st.tuples(st.just(domain), DOMAINS[domain]))
RULES = (Email(), IpAddress(), Phone(), Card(), Iban(), Uuid())


class Prose(Stream, table="prose"):
    """A text of which all is tokens that can be."""

    body: Annotated[
        str,
        Text(max=5000),
        Scrub(*(Find(rule, Pseudonym(domain=domain)) for rule, domain in zip(RULES, DOMAINS, strict=True))),
    ]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(PROSE, SPELLINGS, VALUES, st.booleans()), min_size=1, max_size=5))
def test_no_value_survives_and_all_else_is_unchanged(
    pieces: list[tuple[str, str, tuple[str, tuple[str, str]], bool]],
) -> None:
    keyset = Keyset({1: "1" * 64}, 1)
    written, expected = "", ""
    tokens: dict[str, dict[str, None]] = {domain: {} for domain in DOMAINS}
    for prose, spelling, (domain, (spelled, value)), is_encoded in pieces:
        token = keyset.pseudonymizer(domain)(value)
        written += f"{prose} {spelling.format(quote(spelled) if is_encoded else spelled)} "
        expected += f"{prose} {spelling.format(token)} "
        tokens[domain][token] = None
    body, *arrays = mask_body(Prose, json.dumps({"body": written}), keyset)
    assert body == canonical.text(expected)
    assert arrays == ["{" + ",".join(f'"{token}"' for token in several) + "}" for several in tokens.values()]


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("a1 @.%40:+-()gG3/é谢\u0301=~_"), max_size=60))
def test_any_text_is_scrubbed_and_nothing_that_was_found_is_left(text: str) -> None:
    hits = Search(EVERYTHING).hits(text)
    assert all(one.end <= other.start for one, other in pairwise(hits))
    for hit in hits:
        assert 0 <= hit.start < hit.end <= len(text)
