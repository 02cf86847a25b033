"""Phone numbers: one spelling for every number that can be dialled from abroad."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration.rules import Phone
from sluice.failures import Rejected


@pytest.mark.parametrize(
    ("region", "spellings", "canonical"),
    [
        (
            "GB",
            [
                "+442079460018",
                "020 7946 0018",
                "(020) 7946-0018",
                "+44 (0)20 7946 0018",
                "00 44 20 7946 0018",
                "020.7946.0018",
                "tel:+44-20-7946-0018",
                "020\N{NO-BREAK SPACE}7946\N{NON-BREAKING HYPHEN}0018",
                "\N{LEFT-TO-RIGHT EMBEDDING}+44 20 7946 0018\N{POP DIRECTIONAL FORMATTING}",  # as a phone copies it
                "٠٢٠ ٧٩٤٦ ٠٠١٨",
                "\N{FULLWIDTH PLUS SIGN}44 20 7946 0018",
            ],
            "+442079460018",
        ),
        ("DE", ["030/1234567", "030 / 123 45 67", "+49 30 1234567"], "+49301234567"),
        ("US", ["(202) 555-0143", "1-202-555-0143", "202.555.0143", "+1 202 555 0143"], "+12025550143"),
        (None, ["+39 06 1234 5678"], "+390612345678"),  # whose 0 belongs to it
        (
            "US",
            [
                "+12025550143;ext=5",
                "tel:+1-202-555-0143;ext=5",
                "(202) 555-0143 x5",
                "(202) 555-0143 ext. 5",
                "(202) 555-0143, extension 5",
                "202 555 0143 #5",
            ],
            "+12025550143;ext=5",
        ),
    ],
    ids=str,
)
def test_every_spelling_of_a_number_has_one_canonical_form(
    region: str | None, spellings: list[str], canonical: str
) -> None:
    assert {Phone(region=region).canonical(spelling) for spelling in spellings} == {canonical}


def test_two_extensions_are_two_numbers() -> None:
    numbers = ["+12025550143", "+12025550143;ext=5", "+12025550143;ext=05", "+12025550143;ext=50"]
    assert {Phone().canonical(number) for number in numbers} == set(numbers)


@pytest.mark.parametrize(
    ("region", "value"),
    [
        ("US", "555-1234"),  # lacks its area
        ("US", "+1 555 1234"),
        ("BR", "3456-7890"),
        ("GB", "112"),
        ("US", "911"),
        ("GB", "0207"),
        ("GB", "+44 20 7946 0018 0018 0018"),
        ("GB", "+4400207946001"),  # one zero too many: without it another number
        (None, "020 7946 0018"),
        (None, "+999 20 7946 0018"),
        ("GB", "020 7946 0018 Ada"),
        ("GB", "Ada: 020 7946 0018"),
        ("GB", "call 020 7946 0018"),
        ("GB", "020 7946 0018 / 020 7946 0019"),
        ("DE", "030 1234567/68"),
        ("GB", "020 7946 0018, 020 7946 0019"),
        ("GB", "020 7946 0018 +44"),
        ("GB", "++44 20 7946 0018"),
        ("US", "1-800-FLOWERS"),
        ("US", "+12025550143;ext="),
        ("US", "+12025550143;ext=5;isub=1"),
        ("US", "+12025550143;phone-context=example.com"),
        ("US", "+12025550143;ext=123456789012"),
        ("US", "5"),
        ("US", "+"),
        ("US", "()"),
    ],
)
def test_what_is_no_number_that_can_be_dialled_from_abroad_is_refused(region: str | None, value: str) -> None:
    with pytest.raises(Rejected) as caught:
        Phone(region=region).canonical(value)
    assert caught.value.reason == "not_a_phone_number"


REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
FORMATS = [
    phonenumbers.PhoneNumberFormat.E164,
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    phonenumbers.PhoneNumberFormat.NATIONAL,
    phonenumbers.PhoneNumberFormat.RFC3966,
]


@given(st.sampled_from(REGIONS), st.from_regex(r"[+0]?[0-9 ()./-]{5,20}( ?x[0-9]{1,4})?", fullmatch=True))
def test_a_canonical_number_is_its_own_canonical_form_and_e_164(region: str, value: str) -> None:
    try:
        canonical = Phone(region=region).canonical(value)
    except Rejected:
        return
    number, _, extension = canonical.partition(";ext=")
    assert number[0] == "+"
    assert number[1:].isascii()
    assert number[1:].isdigit()
    assert extension == "" or extension.isdigit()
    assert len(canonical) <= 32
    assert Phone(region=region).canonical(canonical) == Phone().canonical(canonical) == canonical


@given(st.sampled_from(REGIONS), st.sampled_from([None, "5", "0042"]))
def test_every_format_of_an_example_number_is_one_number(region: str, extension: str | None) -> None:
    number = phonenumbers.example_number(region)
    if number is None or phonenumbers.is_possible_number_with_reason(number) != 0:
        return
    number.extension = extension
    spellings = {phonenumbers.format_number(number, form) for form in FORMATS}
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    canonical = plain if extension is None else f"{plain};ext={extension}"
    found = {Phone(region=region).canonical(spelling) for spelling in spellings - {plain}}
    assert found == {canonical}
