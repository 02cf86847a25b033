"""SQL cut into its statements, for a server that takes one at a time."""

import re
from collections.abc import Iterator

# What a semicolon may be a part of, and the semicolons that are a part of nothing else.
# https://www.postgresql.org/docs/current/sql-syntax-lexical.html
PART = re.compile(
    r"--[^\n]*|/\*.*?\*/"  # comments; one inside of another is not looked for
    r"|(?<![\w$])[eE]'(?:[^'\\]|\\.)*'|'[^']*'|\"[^\"]*\""
    r"|(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$"
    r"|(?P<end>;)",
    re.DOTALL,
)


def statements(sql: str) -> Iterator[str]:
    """Yield the statements. White space stands for the text before each, so that errors name the right positions.

    A statement that has a semicolon of another kind, as in BEGIN ATOMIC, is cut into two that PostgreSQL does not take.
    """
    start = 0
    for end in [*(part.end() for part in PART.finditer(sql) if part["end"]), len(sql)]:
        if sql[start:end].strip():
            yield re.sub(r"[^\n]", " ", sql[:start]) + sql[start:end]
        start = end
