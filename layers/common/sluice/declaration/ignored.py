"""Messages and records to ignore: those that have certain members with certain values."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from sluice.failures import DeclarationError

type Members = Mapping[str, Any]  # JSON scalars, or further members


def check(patterns: object) -> None:
    """Raise DeclarationError unless all are members with values that can be compared."""
    if not isinstance(patterns, tuple | list):
        raise DeclarationError('ignore is a tuple of members, such as ({"Event": "s3:TestEvent"},): mind the comma')
    for pattern in patterns:
        _check(pattern)
    try:
        matcher(patterns)
    except ValueError as error:  # such as a quote in a key
        raise DeclarationError(f"ignore cannot read a key: {error}") from None


def matcher(patterns: Sequence[Members]) -> Callable[[str | bytes], bool]:
    """Return the function that tells whether a text is JSON with all members of one of the patterns.

    It raises nothing. No more of the text is decoded than the members that are named.
    """
    keys = list(dict.fromkeys(key for pattern in patterns for key in pattern))
    names = {key: f"member_{number}" for number, key in enumerate(keys)}
    type_ = msgspec.defstruct(
        "Named", [(name, Any, msgspec.field(name=key, default=msgspec.UNSET)) for key, name in names.items()]
    )
    decode = msgspec.json.Decoder(type_).decode

    def is_ignored(text: str | bytes) -> bool:
        try:
            found = decode(text)
        except (ValueError, RecursionError):
            return False
        return any(
            all(_has(getattr(found, names[key]), wanted) for key, wanted in pattern.items()) for pattern in patterns
        )

    return is_ignored


def _has(value: object, wanted: object) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(value, dict) and all(key in value and _has(value[key], one) for key, one in wanted.items())
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)  # true is no 1


def _check(pattern: object) -> None:
    if not isinstance(pattern, Mapping) or not pattern:
        raise DeclarationError('ignore names members and their values, such as {"Event": "s3:TestEvent"}')
    for key, value in pattern.items():
        if isinstance(value, Mapping):
            _check(value)
        elif not isinstance(key, str) or not (value is None or isinstance(value, str | int | float)):
            raise DeclarationError("ignore compares with a text, a number, true, false or null")
