"""Rules for numbers with check digits: payment cards and bank accounts."""

import re
from dataclasses import dataclass

from sluice.declaration.rules.texts import Text
from sluice.failures import Rejected

# Compiled when they are first needed: most streams have no such rule.
_BLANK_OR_HYPHEN = r"(?<=[0-9A-Za-z])[ \u00a0\u2010\u2011-](?=[0-9A-Za-z])"
_CARD = (  # the ranges of the schemes, each with its lengths (ISO/IEC 7812)
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[689][0-9])[0-9]{11,16}"  # Diners Club
    r"|35[0-9]{14,17}"  # JCB
    r"|(?:6[0-9]|5[06-8])[0-9]{10,17}"  # Maestro, Discover, UnionPay, RuPay
    r"|(?:220[0-4]|8[12][0-9]{2}|9792)[0-9]{12,15}"  # Mir, UnionPay, Troy
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # a digit, doubled, and its digits added

_IBAN = r"[A-Za-z]{2}[0-9]{2}[0-9A-Za-z]{11,30}"
IBAN_LENGTHS = {  # characters, as countries registered them (ISO 13616)
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}


@dataclass(frozen=True)
class Card(Text):
    """The number of a payment card, 12 to 19 digits with a right check digit; blanks or hyphens may be between them."""

    max: int = 64  # characters, as it comes

    @property
    def example(self) -> str:
        return "4111111111111111"  # with which everybody tests

    def canonical(self, value: str, /) -> str:
        digits = re.sub(_BLANK_OR_HYPHEN, "", super().canonical(value))
        if not re.fullmatch(_CARD, digits) or not _has_check_digit(digits):
            raise Rejected("not_a_card_number")
        return digits


@dataclass(frozen=True)
class Iban(Text):
    """The number of a bank account (ISO 13616), with its country's length and right check digits."""

    max: int = 64  # characters, as it comes

    @property
    def example(self) -> str:
        return "GB33BUKB20201555555555"  # of no bank's customer

    def canonical(self, value: str, /) -> str:
        compact = re.sub(_BLANK_OR_HYPHEN, "", super().canonical(value))
        iban = compact.upper()
        if not re.fullmatch(_IBAN, compact) or len(iban) != IBAN_LENGTHS.get(iban[:2]):
            raise Rejected("not_an_iban")
        if int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 != 1:
            raise Rejected("not_an_iban")
        return iban


def _has_check_digit(digits: str) -> bool:
    """Tell whether the last digit is that of Luhn's algorithm (ISO/IEC 7812-1, annex B)."""
    odd, even = digits[-1::-2], digits[-2::-2]
    return (sum(map(int, odd)) + sum(_DOUBLED[int(digit)] for digit in even)) % 10 == 0
