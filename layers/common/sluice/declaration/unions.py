"""Unions: what decides which of several shapes a value has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluice.declaration.masks import Mask
from sluice.declaration.rules.rule import Rule
from sluice.failures import DeclarationError

type Tag = str | int | bool


@dataclass(frozen=True)
class Tagged:
    """The member `key` of an object decides: a Part for each of its values, and one for all `others`.

    With `fold` the key's texts are the same in upper and lower case. With `inline` the cases' fields are members of the
    object around the field, and so is the key.
    """

    key: str
    cases: Mapping[Any, type]
    others: type | None = None
    fold: bool = False
    inline: bool = False

    def check(self) -> None:
        """Raise DeclarationError when the tags can hold for nothing."""
        if not self.cases:
            raise DeclarationError("Tagged needs a case")
        if self.others in self.cases.values():
            raise DeclarationError("Tagged has others that are a case already; declare a Part of their own")
        kinds = {type(tag) for tag in self.cases}
        if len(kinds) > 1 or not kinds <= {str, int, bool}:
            raise DeclarationError("Tagged takes tags of one kind: texts, whole numbers, or true and false")
        if self.fold and kinds != {str}:
            raise DeclarationError("Tagged folds texts alone")
        if len({self.tag(one) for one in self.cases}) < len(self.cases):
            raise DeclarationError("Tagged has two tags that are the same in upper and lower case")

    def tag(self, found: Tag) -> Tag:
        """Return the tag as it is compared."""
        return found.casefold() if self.fold and isinstance(found, str) else found


@dataclass(frozen=True, init=False)
class ByType:
    """The JSON type decides: a Part for objects, a list of a Part, a rule for other values, or a rule and its masks.

    Where two cases take one JSON type, the case that takes no other has it, or else the first. Of several Parts an
    object is the first whose required fields it has.
    """

    cases: tuple[Any, ...]  # each a Part, a list of a Part, or a rule and its masks

    def __init__(self, *cases: type | Rule | tuple[Rule | Mask, ...]) -> None:
        object.__setattr__(self, "cases", cases)


type Union = Tagged | ByType
