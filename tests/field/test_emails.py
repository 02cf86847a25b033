"""E-mail addresses: one spelling for every address, and a domain, nothing but a domain, behind the @."""

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration.masks import Pseudonym, Truncate
from sluice.declaration.rules import Email
from sluice.failures import Rejected
from sluice.pseudonyms.keyset import Keyset
from tests.unit.kinds import PLACES, mask_body

DOMAIN = re.compile(r"(?!.*\.\d+\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


def refusal(rule: Email, value: str) -> str:
    with pytest.raises(Rejected) as caught:
        rule.canonical(value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.reason


@pytest.mark.parametrize(
    ("spellings", "canonical"),
    [
        (["Ada@Example.COM", " Ada@example.com\n", "Ada@EXAMPLE.com"], "Ada@example.com"),
        (
            [
                "person@bücher.example",
                "person@BÜCHER.Example",
                "person@bu\N{COMBINING DIAERESIS}cher.example",
                "person@xn--bcher-kva.example",
                "person@XN--BCHER-KVA.EXAMPLE",
                "person@bücher\N{IDEOGRAPHIC FULL STOP}example",
                "person@bücher\N{FULLWIDTH FULL STOP}example",
            ],
            "person@xn--bcher-kva.example",
        ),
        (["person@straße.example", "person@xn--strae-oqa.example"], "person@xn--strae-oqa.example"),
        (
            ["person@\N{FULLWIDTH LATIN SMALL LETTER E}xample.com", "person@example\N{SOFT HYPHEN}.com"],
            "person@example.com",
        ),
        (["e\N{COMBINING ACUTE ACCENT}va@example.com", "éva@example.com"], "éva@example.com"),
        (["root@localhost"], "root@localhost"),
        (["ada@mail.local", "ada@MAIL.local"], "ada@mail.local"),
        (["ada@shop.test"], "ada@shop.test"),
        (["ada@r3---sn.example"], "ada@r3---sn.example"),
        (["o'brien+news/x=1@sub.example.co.uk"], "o'brien+news/x=1@sub.example.co.uk"),
        (["Info@example.com"], "Info@example.com"),  # no exception for names that RFC 2142 knows
        (["ada@127.example"], "ada@127.example"),
    ],
    ids=str,
)
def test_every_spelling_of_an_address_has_one_canonical_form(spellings: list[str], canonical: str) -> None:
    assert {Email().canonical(spelling) for spelling in spellings} == {canonical}


@pytest.mark.parametrize("two", [("Ada@x.example", "ada@x.example"), ("a@straße.example", "a@strasse.example")])
def test_two_addresses_are_never_one(two: tuple[str, str]) -> None:
    assert len({Email().canonical(address) for address in two}) == 2


@pytest.mark.parametrize(
    "value",
    [
        "person@example.com?cc=first.last",
        "person@example.com?cc=first@last.example",
        "person@example.com,",
        "person@example.com;",
        "person@example.com>",
        "person@example.com.",
        "person@example.com/x",
        "person@example.com:25",
        "person@example.com (Ada)",
        "person@example.com other@example.com",
        "person@example.com,other@example.com",
        "Ada <person@example.com>",
        "<person@example.com>",
        "mailto:person@example.com",
        '"person@home"@example.com',
        '"person"@example.com',
        "person@home@example.com",
        "person\N{FULLWIDTH COMMERCIAL AT}example.com",
        ".person@example.com",
        "person.@example.com",
        "per..son@example.com",
        "per son@example.com",
        "per\N{NO-BREAK SPACE}son@example.com",
        "per\N{ZERO WIDTH SPACE}son@example.com",
        "per\N{RIGHT-TO-LEFT OVERRIDE}son@example.com",
        "\N{COMBINING ACUTE ACCENT}person@example.com",
        "per\nson@example.com",
        "per\x7fson@example.com",
        "person@example..com",
        "person@.example.com",
        "person@-example.com",
        "person@example-.com",
        "person@exam_ple.com",
        "person@exam ple.com",
        "person@exa\N{FULLWIDTH QUESTION MARK}mple.com",
        "person@😀.example",
        "person@xn--e28h.example",
        "person@xn--a.example",
        "person@xn--.example",
        "person@192.0.2.1",
        "person@[192.0.2.1]",
        "person@[IPv6:2001:db8::1]",
        "person@42",
        f"person@{'a' * 64}.example",
        f"person@{'ß' * 60}.example",
        "person@" + "a." * 126 + "example",
        "@example.com",
        "person@",
        "person",
        "@",
    ],
)
def test_what_is_no_address_or_has_something_around_it_is_refused(value: str) -> None:
    assert refusal(Email(), value) in ("not_an_email_address", "too_long")


def test_an_address_has_a_longest() -> None:
    longest = f"{'a' * 242}@example.com"
    assert Email().canonical(longest) == longest
    assert refusal(Email(), f"a{longest}") == "too_long"


def test_the_local_part_is_folded_where_the_declaration_says_so() -> None:
    fold = Email(fold=True)
    assert {fold.canonical(value) for value in ("Ann@x.example", "ANN@X.example", "ann@x.example")} == {"ann@x.example"}
    assert fold.canonical("STRAẞE@x.example") == fold.canonical("straße@x.example") == "strasse@x.example"
    assert refusal(fold, "Ann@x.example?") == "not_an_email_address"


@pytest.mark.parametrize(
    ("address", "first_release"),
    [
        ("person@bücher.example", "person@bücher.example"),
        ("person@straße.example", "person@strasse.example"),
        ("person@BÜCHER.example", "person@bücher.example"),
    ],
)
def test_a_domain_that_is_not_ascii_has_another_token_than_in_the_first_release(
    address: str, first_release: str, keyset: Keyset
) -> None:
    place = PLACES["alone"]
    stream = place.declare(Email(), Pseudonym(domain="email"))
    (token,) = mask_body(stream, place.record("", json.dumps(address)), keyset)
    assert token != keyset.pseudonymizer("email")(first_release)


def test_an_ascii_address_has_the_token_of_the_first_release(keyset: Keyset) -> None:
    place = PLACES["alone"]
    stream = place.declare(Email(), Pseudonym(domain="email"))
    for address in ("Ada@Example.COM", "o'brien@mail.local"):
        local, _, domain = address.partition("@")
        (token,) = mask_body(stream, place.record("", json.dumps(address)), keyset)
        assert token == keyset.pseudonymizer("email")(f"{local}@{domain.lower()}")


letters = st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=["Cs", "Cn"])
anything = st.text(letters, max_size=30)
domains = st.lists(st.text(letters, min_size=1, max_size=12) | st.just("example"), min_size=1, max_size=4).map(".".join)
addresses = st.tuples(anything | st.just("ada"), domains | anything).map("@".join)


@given(addresses, st.booleans())
def test_a_canonical_address_is_its_own_canonical_form_and_leaves_a_domain(address: str, fold: bool) -> None:
    rule = Email(fold=fold)
    try:
        canonical = rule.canonical(address)
    except Rejected:
        return
    assert rule.canonical(canonical) == canonical
    domain = rule.shorten(None)(canonical)
    assert DOMAIN.fullmatch(domain)
    assert canonical == f"{canonical.rpartition('@')[0]}@{domain}"


labels = st.from_regex(r"[a-zA-Z0-9äöüßéñåβδдж]{1,12}", fullmatch=True)


@given(st.from_regex(r"[a-z0-9_+-]{1,20}", fullmatch=True), st.lists(labels, min_size=1, max_size=3))
def test_a_domain_is_one_in_capitals_in_small_letters_and_in_ascii(local: str, names: list[str]) -> None:
    domain = ".".join([*names, "example"])
    canonical = Email().canonical(f"{local}@{domain}")
    ascii_domain = canonical.rpartition("@")[2]
    spellings = [domain.lower(), ascii_domain, ascii_domain.upper()]
    if "ß" not in domain:  # whose capital is SS
        spellings.append(domain.upper())
    assert {Email().canonical(f"{local}@{spelling}") for spelling in spellings} == {canonical}


def test_what_truncate_leaves_in_a_column_is_a_domain_or_there_is_no_row(keyset: Keyset) -> None:
    place = PLACES["alone"]
    stream = place.declare(Email(), Truncate())
    assert mask_body(stream, place.record("", '"person@bücher.example"'), keyset) == ["xn--bcher-kva.example"]
    with pytest.raises(Rejected) as caught:
        stream.masker(keyset)(place.record("", '"person@example.com?cc=first.last"'))
    assert (caught.value.reason, caught.value.pointer) == ("not_an_email_address", "/field")


def test_idna_is_imported_for_a_domain_that_needs_it_alone() -> None:
    code = (
        "import sys; from sluice.declaration.rules import Email; rule = Email(); rule.canonical('Ada@Example.com');"
        "before = 'idna' in sys.modules; rule.canonical('ada@bücher.example'); print(before, 'idna' in sys.modules)"
    )
    path = {"PYTHONPATH": ":".join(sys.path), "PYTHONUTF8": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
