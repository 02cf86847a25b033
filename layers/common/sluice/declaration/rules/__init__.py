"""Rules: what a field accepts, and the one canonical value of all its spellings."""

from sluice.declaration.rules.checked import IBAN_LENGTHS, Card, Iban
from sluice.declaration.rules.lists import Each
from sluice.declaration.rules.moments import EPOCHS_FROM, EPOCHS_TO, Timestamp
from sluice.declaration.rules.numbers import LARGEST_BIGINT, LARGEST_INTEGER, Boolean, Integer, Number
from sluice.declaration.rules.rule import Rule
from sluice.declaration.rules.texts import (
    CaseFolded,
    Custom,
    Email,
    IpAddress,
    OneOf,
    Phone,
    Text,
    Uuid,
    Version,
    version_number,
)

__all__ = [
    "EPOCHS_FROM",
    "EPOCHS_TO",
    "IBAN_LENGTHS",
    "LARGEST_BIGINT",
    "LARGEST_INTEGER",
    "Boolean",
    "Card",
    "CaseFolded",
    "Custom",
    "Each",
    "Email",
    "Iban",
    "Integer",
    "IpAddress",
    "Number",
    "OneOf",
    "Phone",
    "Rule",
    "Text",
    "Timestamp",
    "Uuid",
    "Version",
    "version_number",
]
