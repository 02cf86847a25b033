"""Sluice: JSON records from SQS in, personal data masked, rows in PostgreSQL out.

A declaration imports all that it needs from here: `from sluice import Stream, Text, Pseudonym, …`. Nothing is loaded
before a name is asked for, so a function loads no more than it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluice.declaration.envelopes import Envelope, eventbridge, plain, sns
    from sluice.declaration.layout import FROM_ENVELOPE, FROM_MESSAGE, Prefix
    from sluice.declaration.masks import Keep, Mask, Pseudonym, Redact, Truncate
    from sluice.declaration.offloading import ToS3
    from sluice.declaration.records import Records, json_lines, listed
    from sluice.declaration.route import Route
    from sluice.declaration.rules import (
        Boolean,
        Card,
        CaseFolded,
        Custom,
        Date,
        Each,
        Email,
        Float,
        Iban,
        Id,
        Integer,
        IpAddress,
        NullIf,
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
    from sluice.declaration.tree import Tree
    from sluice.declaration.unions import ByType, Tagged
    from sluice.failures import DeclarationError, Rejected
else:  # a type checker that saw this would take any name
    HOMES = (
        "stream",
        "masks",
        "rules",
        "envelopes",
        "offloading",
        "records",
        "route",
        "layout",
        "scrub",
        "tree",
        "unions",
    )

    def __getattr__(name: str) -> Any:
        """Import a name of `__all__` when it is first asked for (PEP 562)."""
        if name in __all__:
            for module in HOMES:
                home = import_module(f"sluice.declaration.{module}")
                if hasattr(home, name):
                    return getattr(home, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "FROM_ENVELOPE",
    "FROM_MESSAGE",
    "Boolean",
    "ByType",
    "Card",
    "CaseFolded",
    "Custom",
    "Date",
    "DeclarationError",
    "Each",
    "Email",
    "Envelope",
    "Find",
    "Float",
    "Iban",
    "Id",
    "Integer",
    "IpAddress",
    "Keep",
    "Mask",
    "NullIf",
    "Number",
    "OneOf",
    "Part",
    "Phone",
    "Prefix",
    "Pseudonym",
    "Records",
    "Redact",
    "Rejected",
    "Route",
    "Rule",
    "Scrub",
    "Stream",
    "Tagged",
    "Text",
    "Timestamp",
    "ToS3",
    "Tree",
    "Truncate",
    "Uuid",
    "Version",
    "constant",
    "derived",
    "eventbridge",
    "json_lines",
    "listed",
    "plain",
    "sns",
    "version_number",
]
