"""Names what is declared: the classes, their fields and the columns, each by a name that nothing else has."""

import keyword
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import sluice
from sluice.declaration.layout import OWN_COLUMNS
from sluice.declaration.stream import Part, Stream
from tools.sluice_cli.authors import detection
from tools.sluice_cli.authors.new.rules import Undeclarable
from tools.sluice_cli.authors.table_sql import RESERVED

LONGEST_IDENTIFIER = 63  # bytes, of PostgreSQL
LONGEST_COLUMN = LONGEST_IDENTIFIER - len("_99")
CLASSES = frozenset({*sluice.__all__, "Decimal", "Annotated"})
NAMES = frozenset(
    {*dir(Stream), *Part.__annotations__, *Stream.__annotations__}
    | {*"bool datetime eventbridge float int list msgspec sns str".split()}
)


@dataclass(frozen=True)
class Scope:
    """Where the members of an object stand, as columns and as fields."""

    columns: set[str]  # those taken, which are added to
    prefix: str = ""  # of the columns' names
    path: str | None = None  # of names in the classes, each with a dot behind it; None: a stream cannot name them
    in_json: bool = False  # its columns are members of a column, so SQL has no name for them

    @property
    def is_outermost(self) -> bool:
        """Whether a column of it is called as its field is."""
        return not (self.prefix or self.in_json)

    def inside(self, name: str) -> "Scope":
        """Return the scope of the members of an object in this one."""
        path = None if self.path is None else f"{self.path}{name}."
        return replace(self, prefix=f"{self.prefix}{name}_", path=path)

    def without_path(self) -> "Scope":
        return replace(self, path=None)

    def refuse_taken(self, name: str) -> None:
        """Raise Undeclarable when a field cannot have its own column."""
        column = self.prefix + name
        if column in self.columns or len(column) > LONGEST_IDENTIFIER:
            raise Undeclarable("the name of its column is taken or too long")

    def take(self, name: str) -> None:
        self.columns.add(self.prefix + name)


def snake(key: str) -> str:
    """Return a key as the name of a field and a column: small ASCII letters, digits and underscores."""
    name = _small(key)
    if not name:
        return "field"
    return f"n_{name}" if name[0].isdigit() else name


def _small(key: str) -> str:
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", detection.ascii_of(key)).lower()
    return re.sub(r"[^a-z0-9]+", "_", parted).strip("_")


def pascal(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def free(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken and no word of Python."""
    taken = {*taken, *keyword.kwlist}
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def why(key: str, name: str, of_sql: Collection[str]) -> str:
    """Return why a field is not called as its key is in small letters; nothing where it is. It quotes no key.

    `of_sql` are the words of SQL that are no names there.
    """
    wanted = snake(key)
    if name != wanted:
        if keyword.iskeyword(wanted):
            return f"Called so, since `{wanted}` is a word of Python."
        if wanted in NAMES:
            return f"Called so, since `{wanted}` has a meaning in declarations."
        if wanted in of_sql:
            return f"Called so, since `{wanted}` is a word of SQL."
        return "Called so, since the name without the number is that of another field."
    if wanted == _small(key):
        return ""
    return "Called so, since a name begins with a letter." if _small(key) else "Its key has no letter for a name."


def why_column(wanted: str, column: str) -> str:
    """Return why a field's column is not called as the field is; nothing where it is."""
    if column == wanted:
        return ""
    if wanted in OWN_COLUMNS:
        return f"Its column is not `{wanted}`, since every table has one."
    if wanted in RESERVED:
        return f"Its column is not `{wanted}`, since that is a word of SQL."
    if len(wanted) > LONGEST_COLUMN:
        return f"Its column has a shorter name, since PostgreSQL takes {LONGEST_IDENTIFIER} bytes."
    return "Its column has another name, since the usual one is taken."


def column(name: str, scope: Scope) -> str:
    """Return a column's name that is not taken, no word of SQL, and short enough for PostgreSQL."""
    taken = scope.columns
    is_word = name in RESERVED and not scope.in_json
    name = f"record_{name}" if is_word or (name in taken and name in OWN_COLUMNS) else name
    while len(name) > LONGEST_COLUMN and "_" in name:
        name = name.partition("_")[2]
    return free(name[:LONGEST_COLUMN], taken)


def literal(text: str) -> str:
    """Return a text as Python spells it."""
    return repr(text) if text.isprintable() else ascii(text)
