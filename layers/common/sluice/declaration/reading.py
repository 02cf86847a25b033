"""Reading: from what the decoder makes of a field to its canonical value, or to None where it has NullIf."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import msgspec

from sluice.declaration import diagnosis, wire
from sluice.declaration.layout import Field
from sluice.declaration.rules import BLANK, INVALID, Each, NullIf, Rule
from sluice.failures import OF_A_USERS_CODE, Unforeseen, rejection_of

type Reader = Callable[[Any], Any]

_QUOTE, _N = ord('"'), ord("n")  # what a text begins with, and null
_TEXT = msgspec.json.Decoder(str)


def reader(field: Field, rule: Rule, note: Callable[[str], None]) -> Reader:
    """Return the function from what the decoder makes of a field to its canonical value. It raises Rejected.

    With NullIf it gets the value's JSON, or a default, and may return None. What becomes NULL because it is invalid is
    told to `note` by its pointer, `*` for an index.
    """
    if field.null_if is None:
        return _unless_null(rule.canonical) if comes_as_json(field) else rule.canonical
    return _reader(rule, field.null_if, field.optional, note, field.pointer)


def comes_as_json(field: Field) -> bool:
    """Tell whether a field that can be null comes as JSON, so that its null does, too."""
    return bool(field.optional and field.rule.accepts is msgspec.Raw)


def _unless_null(canonical: Reader) -> Reader:
    return lambda value: None if wire.is_null(value) else canonical(value)


def _reader(rule: Rule, null_if: NullIf, optional: bool, note: Callable[[str], None], pointer: str) -> Reader:
    if isinstance(rule, Each):
        is_list = isinstance(rule.rule, Each)
        rule = replace(rule, rule=_Element(_reader(rule.rule, null_if, not is_list, note, f"{pointer}/*")))
    read = _of_json(rule)
    return _or_none(read, null_if, lambda: note(pointer)) if optional else read


@dataclass(frozen=True)
class _Element(Rule):
    """An element of a list, which a reader reads."""

    canonical: Reader
    accepts: ClassVar[Any] = msgspec.Raw


def _of_json(rule: Rule) -> Reader:
    decode = wire.decoder(rule.accepts)

    def read(value: Any) -> Any:
        if isinstance(value, msgspec.Raw):
            try:
                value = decode(value)
            except ValueError as error:
                raise diagnosis.rejection_of_value(error) from None  # the cause may quote the value
        return rule.canonical(value)

    return read


def _or_none(read: Reader, null_if: NullIf, note: Callable[[], None]) -> Reader:
    takes_blank, takes_invalid = BLANK in null_if.when, INVALID in null_if.when

    def read_or_none(value: Any) -> Any:
        if isinstance(value, msgspec.Raw):
            first = memoryview(value)[0]
            if first == _N or (takes_blank and first == _QUOTE and not _TEXT.decode(value).strip()):
                return None
        try:
            return read(value)
        except OF_A_USERS_CODE as error:
            if not takes_invalid or isinstance(rejection_of(error), Unforeseen):
                raise
        note()
        return None

    return read_or_none
