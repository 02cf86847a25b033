"""Errors of PostgreSQL: their codes and names may be told, their values not."""

import pytest
from pg8000.exceptions import DatabaseError

from sluice.postgres import sqlstate
from sluice.postgres.database import outage

VALUES = {"M": "value", "D": "value", "W": "value", "H": "value", "q": "value", "P": "value", "s": "schema"}


@pytest.mark.parametrize(
    ("fields", "code", "description"),
    [
        ({"C": "22001"}, "22001", "SQLSTATE 22001"),
        (
            {"C": "23502", "t": "user_logins", "c": "locale"},
            "23502",
            "SQLSTATE 23502, table user_logins, column locale",
        ),
        (
            {"C": "23514", "t": "user_logins", "n": "user_logins_check"},
            "23514",
            "SQLSTATE 23514, table user_logins, constraint user_logins_check",
        ),
        ({}, "", "SQLSTATE "),
    ],
)
def test_an_error_is_described_by_code_and_names_alone(fields: dict[str, str], code: str, description: str) -> None:
    error = DatabaseError(VALUES | fields)
    assert (sqlstate.of(error), sqlstate.describe(error), str(outage(error))) == (
        code,
        description,
        f"database: {description}",
    )


@pytest.mark.parametrize("arguments", [(), ("value",), (None,)])
def test_an_error_without_fields_tells_nothing(arguments: tuple[object, ...]) -> None:
    error = DatabaseError(*arguments)
    assert (sqlstate.of(error), sqlstate.describe(error)) == ("", "SQLSTATE ")
