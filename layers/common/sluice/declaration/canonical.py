"""Canonical forms: one spelling for all spellings of a value, so that equal values get equal tokens."""

import ipaddress
import re
import socket
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from unicodedata import category, combining, normalize

from sluice.declaration.wire import exact
from sluice.failures import Rejected

_LONG = 1_000  # characters; a longer text is looked at before it is normalised
_MOST_MARKS = 100  # in a row; every language does with 30 (Unicode's Stream-Safe Text Format, UAX #15)

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"  # RFC 5322, 3.2.3, widened by RFC 6531, 3.3
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"  # RFC 1123, 2.1
_HOST_NAME = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")  # digits alone would end an IP address
_LONGEST_HOST_NAME = 253  # characters (RFC 1035, 2.3.4)

_BETWEEN = r"[\s().~\[\]\u00ad\u200b\u200e-\u2015\u202a-\u202e\u2060\u2066-\u2069\u2212\uff08\uff09\uff0d\uff0e-]*"
_PHONE = re.compile(
    # After a slash come at least four digits: `1234567/68` is two numbers.
    rf"(?:tel:)?(?P<digits>{_BETWEEN}[+\uff0b]?(?:{_BETWEEN}\d)+(?:{_BETWEEN}/(?:{_BETWEEN}\d){{4,}})?){_BETWEEN}"
    # With eleven digits all of it has at most 32 characters. phonenumbers writes the marks of some countries.
    r"(?:(?:;ext=|,?\s*(?:ext(?:ensio)?n?|x|anexo|int|доб|#)[.:]?\s*)(?P<extension>[0-9]{1,11}))?",
    re.IGNORECASE,
)

_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_UUID_DIGITS = re.compile(r"[0-9A-Fa-f]{32}")

# Digits can be read in one way only: with `[0-9]+\.?[0-9]*` a million of them and an `x` would take hours.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[Ee][+-]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[+-]?(?:s?nan|inf(?:inity)?)", re.IGNORECASE | re.ASCII)  # which some writers of JSON make


def text(value: str) -> str:
    """Return the text in Unicode's NFC, without surrounding white space.

    Raises Rejected when nothing is left, or when it holds what PostgreSQL cannot store: U+0000, half a surrogate pair.
    """
    canonical = (value if value.isascii() else _normalised(value)).strip()
    if not canonical:
        raise Rejected("empty")
    if "\0" in canonical:
        raise Rejected("nul_character")
    return canonical


def storable(value: str) -> str:
    """Return a text as it is. Raises Rejected when it holds U+0000, which PostgreSQL cannot store."""
    if "\0" in value:
        raise Rejected("nul_character")
    return value


def _normalised(value: str) -> str:
    # Python's time grows by the square of the combining marks in a row: 100,000 take ten seconds, too long for a batch.
    if len(value) > _LONG and any(
        is_mark and sum(1 for _ in run) > _MOST_MARKS
        for is_mark, run in groupby(value, lambda character: combining(character) > 0)
    ):
        raise Rejected("too_many_marks")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Rejected("lone_surrogate") from None  # the cause has the value
    return normalize("NFC", value)


def case_folded(value: str) -> str:
    """Return a canonical text that is the same in upper and lower case; folding alone would not leave it in NFC."""
    return value.lower() if value.isascii() else normalize("NFC", value.casefold())


def ip_address(value: str) -> str:
    """Return the address as `ipaddress` spells it; an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) as IPv4.

    Raises Rejected when it is not an address, or has a scope id, which means something on one machine only.
    """
    try:
        if socket.inet_ntoa(socket.inet_pton(socket.AF_INET, value)) == value:
            return value  # most addresses are IPv4: two calls into C instead of 2 µs in ipaddress
    except (OSError, ValueError):
        pass
    try:
        address = ipaddress.ip_address(value.strip())
    except ValueError:
        raise Rejected("not_an_ip_address") from None  # the cause quotes the address
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise Rejected("scoped_ip_address")
        return str(address.ipv4_mapped or address)
    return str(address)


def ip_network(address: str) -> str:
    """Return the network of a canonical address: /24, for IPv6 /48."""
    return str(ipaddress.ip_network((address, 48 if ":" in address else 24), strict=False))


def email(value: str, fold: bool = False) -> str:
    """Return a canonical text as an e-mail address whose domain is a host name; `fold` folds the local part's case.

    Raises Rejected when it is none, or has what only RFC 5322 knows: quotes, comments, a name, an address in brackets.
    """
    local, _, domain = value.rpartition("@")
    if not _LOCAL_PART.fullmatch(local):
        raise Rejected("not_an_email_address")
    if not local.isascii() and (not local.isprintable() or category(local[0]).startswith("M")):
        raise Rejected("not_an_email_address")  # space or control character, or a mark on nothing
    return f"{case_folded(local) if fold else local}@{host_name(domain)}"


@lru_cache(maxsize=4096)  # most addresses have one of a few domains: 0.1 instead of 1 µs, or 50 if it is not ASCII
def host_name(domain: str) -> str:
    """Return an e-mail address's domain in lower case, and in ASCII (IDNA 2008, mapped as browsers do: UTS #46).

    So that it compares, `bücher.example` becomes `xn--bcher-kva.example`. Names such as `localhost` are fine.
    Raises Rejected when it is no host name.
    """
    name = domain.lower()
    if len(domain) > _LONGEST_HOST_NAME or (name.isascii() and not _HOST_NAME.fullmatch(name)):
        raise Rejected("not_an_email_address")
    if not name.isascii() or name.startswith("xn--") or ".xn--" in name:
        import idna  # 45 ms and tables of all characters: only where a domain needs it

        try:
            name = idna.encode(domain, uts46=True, std3_rules=True).decode()
        except UnicodeError:
            raise Rejected("not_an_email_address") from None  # the cause quotes the domain
        if len(name) > _LONGEST_HOST_NAME or not _HOST_NAME.fullmatch(name):
            raise Rejected("not_an_email_address")
    return name


def is_phone_region(region: str) -> bool:
    """Tell whether phone numbers of a region (ISO 3166, two capital letters) can be known."""
    import phonenumbers

    return region in phonenumbers.SUPPORTED_REGIONS


def phone(value: str, region: str | None) -> str:
    """Return a phone number in E.164 (`+442079460018`), an extension behind it as in RFC 3966 (`;ext=5`).

    Raises Rejected when it is nothing but one number that can be dialled from abroad.
    """
    match = _PHONE.fullmatch(value)
    if not match:
        raise Rejected("not_a_phone_number")
    digits = "".join(character for character in match["digits"] if character.isdecimal() or character in "+\uff0b")
    number = _e164(digits, region)
    return number if match["extension"] is None else f"{number};ext={match['extension']}"


def _e164(digits: str, region: str | None) -> str:
    import phonenumbers  # the numbering plans of the world: only for streams that have such a field
    from phonenumbers.phonemetadata import PhoneMetadata

    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        raise Rejected("not_a_phone_number") from None
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise Rejected("not_a_phone_number")  # IS_POSSIBLE_LOCAL_ONLY: `555-1234` lacks its area
    if digits[0] not in "+\uff0b" and not phonenumbers.is_valid_number(number):
        raise Rejected("not_a_phone_number")  # in some regions a number without its area is as long as another one
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    plan = PhoneMetadata.metadata_for_region(phonenumbers.region_code_for_country_code(number.country_code or 0))
    prefix = plan and plan.national_prefix_for_parsing
    has_prefix = prefix and re.match(prefix, phonenumbers.national_significant_number(number))
    if has_prefix and digits != e164 and _e164(e164, None) != e164:
        raise Rejected("not_a_phone_number")  # `+44 00 20…` loses a zero each time: it has no one spelling
    return e164


def uuid(value: str) -> str:
    """Return a UUID (RFC 9562) in small letters, with hyphens. Raises Rejected unless it has all hyphens or none."""
    if _UUID.fullmatch(value):
        return value.lower()
    if not _UUID_DIGITS.fullmatch(value):
        raise Rejected("not_a_uuid")
    digits = value.lower()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def number(value: object) -> Decimal:
    """Return a JSON number, or a text of ASCII digits that is one, with all its digits.

    Raises Rejected when it is neither, or is none that PostgreSQL's numeric could hold, such as NaN or 1e9999.
    """
    decimal = value if isinstance(value, Decimal) else _decimal(value)
    if not decimal.is_finite() or abs(decimal.adjusted()) > 1000:
        raise Rejected("out_of_range")
    return decimal


def _decimal(value: object) -> Decimal:
    if isinstance(value, str):
        if _NO_NUMBER.fullmatch(value):
            raise Rejected("out_of_range")
        if not _NUMBER.fullmatch(value):
            raise Rejected("wrong_type")
        return exact(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected("null" if value is None else "wrong_type")
    return exact(repr(value) if isinstance(value, float) else value)  # the shortest text of it, not its binary value
