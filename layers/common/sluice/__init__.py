"""Sluice: JSON records from SQS in, personal data masked, rows in PostgreSQL out.

A declaration imports all that it needs from here: `from sluice import Stream, Text, Pseudonym, …`. Nothing is loaded
before a name is asked for, so a function loads no more than it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluice.declaration.envelopes import Envelope, eventbridge, plain, sns
    from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
    from sluice.declaration.rules import (
        Boolean,
        Card,
        CaseFolded,
        Custom,
        Each,
        Email,
        Iban,
        Integer,
        IpAddress,
        Number,
        OneOf,
        Phone,
        Rule,
        Text,
        Timestamp,
        Uuid,
        Version,
        version_number,
    )
    from sluice.declaration.scrub import Find, Scrub
    from sluice.declaration.stream import Part, Stream, constant, derived
    from sluice.failures import DeclarationError, Rejected
else:  # a type checker that saw this would take any name

    def __getattr__(name: str) -> Any:
        """Import a name of `__all__` when it is first asked for (PEP 562)."""
        if name in __all__:
            for module in ("stream", "masks", "scrub", "rules", "envelopes"):
                home = import_module(f"sluice.declaration.{module}")
                if hasattr(home, name):
                    return getattr(home, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Boolean",
    "Card",
    "CaseFolded",
    "Custom",
    "DeclarationError",
    "Each",
    "Email",
    "Envelope",
    "Find",
    "Iban",
    "Integer",
    "IpAddress",
    "Keep",
    "Mask",
    "Number",
    "OneOf",
    "Part",
    "Phone",
    "Pseudonym",
    "Redact",
    "Rejected",
    "Rule",
    "Scrub",
    "Stream",
    "Text",
    "Timestamp",
    "Truncate",
    "Uuid",
    "Version",
    "constant",
    "derived",
    "eventbridge",
    "plain",
    "sns",
    "version_number",
]
