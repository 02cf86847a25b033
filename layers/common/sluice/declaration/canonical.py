"""Canonical forms: every spelling of one value in, one spelling out, so that equal values get equal tokens."""

import ipaddress
import socket
from unicodedata import normalize

from sluice.failures import Rejected


def text(value: str) -> str:
    """Return the text in Unicode's NFC, without surrounding white space.

    Raises Rejected when nothing is left, or when it holds U+0000, which PostgreSQL cannot store.
    """
    canonical = (value if value.isascii() else normalize("NFC", value)).strip()
    if not canonical:
        raise Rejected("empty")
    if "\0" in canonical:
        raise Rejected("nul_character")
    return canonical


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
        address = ipaddress.ip_address(value)
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


def email(value: str) -> str:
    """Return a canonical text as an e-mail address with its domain case-folded. Raises Rejected when it is none."""
    local, at, domain = value.rpartition("@")
    if not (local and at and domain) or any(character.isspace() for character in value):
        raise Rejected("not_an_email_address")
    return f"{local}@{domain.casefold()}"


def is_phone_region(region: str) -> bool:
    """Tell whether phone numbers of a region (ISO 3166, two capital letters) can be known."""
    import phonenumbers

    return region in phonenumbers.SUPPORTED_REGIONS


def phone(value: str, region: str | None) -> str:
    """Return a phone number in E.164 (`+442079460018`). Raises Rejected when it is no possible number."""
    import phonenumbers  # the numbering plans of the world: only for streams that have such a field

    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        raise Rejected("not_a_phone_number") from None
    if not phonenumbers.is_possible_number(number):
        raise Rejected("not_a_phone_number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
