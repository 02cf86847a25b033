"""Rules: what a field accepts, and the one canonical value of all its spellings."""

from sluice.declaration.rules.checked import IBAN_LENGTHS, Card, Iban
from sluice.declaration.rules.lists import Each
from sluice.declaration.rules.moments import EPOCHS, EPOCHS_FROM, EPOCHS_TO, Date, Timestamp
from sluice.declaration.rules.nulls import BLANK, INVALID, NullIf
from sluice.declaration.rules.numbers import LARGEST_BIGINT, LARGEST_INTEGER, Boolean, Float, Integer, Number
from sluice.declaration.rules.rule import Rule
from sluice.declaration.rules.texts import (
    CaseFolded,
    Custom,
    Email,
    Id,
    IpAddress,
    OneOf,
    Phone,
    Text,
    Uuid,
    Version,
    version_number,
)

__all__ = [
    "BLANK",
    "EPOCHS",
    "EPOCHS_FROM",
    "EPOCHS_TO",
    "IBAN_LENGTHS",
    "INVALID",
    "LARGEST_BIGINT",
    "LARGEST_INTEGER",
    "Boolean",
    "Card",
    "CaseFolded",
    "Custom",
    "Date",
    "Each",
    "Email",
    "Float",
    "Iban",
    "Id",
    "Integer",
    "IpAddress",
    "NullIf",
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
