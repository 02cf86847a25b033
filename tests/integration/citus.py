"""A server that answers for some tables as Citus does for distributed ones: Citus is no package that tests can install.

What it answers was seen on Citus 13.2. The errors are those of a real server, and so is the state of the transaction
after them. The fields are those that Citus leaves of an error, by `ReportCopyError` and `ReportResultError` in its
source.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pg8000.core import Context
from pg8000.exceptions import DatabaseError

from sluice.postgres.driver import Connection


def _left(fields: dict[str, str], **changes: str) -> dict[str, str]:
    """Return what Citus leaves of an error."""
    return {name: value for name, value in fields.items() if name in "SVCMD"} | changes


def _as_citus_says(fields: dict[str, str], sql: str) -> dict[str, str]:
    """Return the fields of an error that a worker met."""
    if fields["C"][:2] == "23" and "COPY " in sql:
        return _left(fields, C="XX000", R="ReportCopyError")
    return _left(fields, R="ReportResultError", W="while executing command on worker:5432")


def _refused(sql: str) -> str | None:
    """Return the code with which Citus refuses a statement before it does anything."""
    if "FOR UPDATE" in sql:
        return "0A000"
    return "42601" if sql.count("ALTER TABLE") > 1 else None


@contextmanager
def distributed(*tables: str) -> Iterator[list[str]]:
    """Answer as Citus. Give the list of the codes that it answered with, in their order."""
    handle_error, run = Connection.handle_ERROR_RESPONSE, Connection.run
    on_a_table = re.compile(rf'\b(COPY|FROM|INTO|TABLE|UPDATE) "?({"|".join(tables)})\b')
    codes: list[str] = []

    def answer(connection: Connection, data: bytes, context: Context) -> None:
        handle_error(connection, data, context)
        if on_a_table.search(context.statement):
            fields = _as_citus_says(context.error.args[0], context.statement)
            codes.append(fields["C"])
            context.error = DatabaseError(fields)

    def run_unless_refused(connection: Connection, sql: str, stream: Any = None, **parameters: Any) -> Any:
        code = _refused(sql) if on_a_table.search(sql) else None
        if code is None:
            return run(connection, sql, stream, **parameters)
        return run(connection, f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$ /* {sql} */")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "handle_ERROR_RESPONSE", answer)
        patch.setattr(Connection, "run", run_unless_refused)
        yield codes
