"""The wire: what the decoder makes of JSON before a rule sees it, and the one type that it has no name for."""

from collections.abc import Callable
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from math import isfinite
from typing import Any

import msgspec

# Every digit of a text is kept. What has too large an exponent becomes infinite, and is out of every range.
exact = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[]).create_decimal


class _Unchecked(type):
    def __instancecheck__(cls, value: object) -> bool:
        return True


class Numeric(metaclass=_Unchecked):
    """A JSON number with all its digits, or a text that may be one.

    msgspec makes a Decimal of a text as Python does, which takes `1_0`, blanks and the digits of any script. A rule
    that accepts Numeric gets the text itself, and whatever else comes, and has to look.
    """


def default(info: msgspec.structs.FieldInfo) -> Any:
    """Return what a field is where its member is missing, or NODEFAULT where that must not be."""
    return info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()


def is_null(value: object) -> bool:
    """Tell whether a member is null, be it decoded or not."""
    return value is None or (isinstance(value, msgspec.Raw) and bytes(value) == b"null")


def decoder(wire: Any) -> Callable[[str | bytes | msgspec.Raw], Any]:
    """Return the function from JSON to what the wire type describes: the object of a record, or a value of its own."""
    literal = ""

    def read_float(text: str) -> float | Decimal:
        nonlocal literal
        literal = text
        value = float(text)
        return value if isfinite(value) else exact(text)

    def read_numeric(_: type, value: object) -> object:
        if type(value) is float:
            return exact(literal)  # of this very number: it was read just before
        if value is None:
            raise TypeError("got `null`")
        return value

    return msgspec.json.Decoder(wire, dec_hook=read_numeric, float_hook=read_float).decode
